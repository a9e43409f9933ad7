//! OpenCode (and Kilo): what a plug-in in its process hands to the hook command.

use hookring_journal::model::EventType as Type;

use super::{Agent, Facts, Field, Names, claude_code};
use crate::document::Value;

pub(super) const AGENT: Agent = Agent {
    name: "opencode",
    title: "OpenCode",
    events: &[
        ("session.created", Type::SessionStart),
        ("session.deleted", Type::SessionEnd),
        ("session.idle", Type::TurnEnd),
        ("session.error", Type::TurnFail),
        ("session.compacted", Type::CompactPost),
        ("experimental.session.compacting", Type::CompactPre),
        ("chat.message", Type::PromptSubmit),
        ("tool.execute.before", Type::ToolPre),
        ("tool.execute.after", Type::ToolPost),
        ("permission.ask", Type::PermissionRequest),
        ("permission.asked", Type::PermissionRequest),
        ("message.updated", Type::MessageResponse),
        ("message.part.updated", Type::MessageDisplay),
        ("file.edited", Type::FileChange),
        ("file.watcher.updated", Type::FileChange),
        ("todo.updated", Type::TaskCreated),
        ("tui.toast.show", Type::Notify),
        ("SessionStart", Type::SessionStart),
        ("UserPromptSubmit", Type::PromptSubmit),
        ("PreToolUse", Type::ToolPre),
        ("PostToolUse", Type::ToolPost),
        ("PermissionRequest", Type::PermissionRequest),
        ("Stop", Type::TurnEnd),
        ("SessionError", Type::TurnFail),
    ],
    fields: &[
        &[("event", Field::Event), ("type", Field::Event), ("hook", Field::Event)],
        INSIDE,
        claude_code::FIELDS,
    ],
    recognises: |top| {
        let is_named = top.text("harness_name").is_some_and(|name| name == "opencode");
        let event = top.text("event").or_else(|| top.text("type"));
        let own = ["session.", "tool.execute.", "message.", "chat.message"];
        let is_event = event.is_some_and(|event| own.iter().any(|begin| event.starts_with(begin)));
        is_named || is_event || top.has("sessionID")
    },
    refine,
};

const INSIDE: Names = &[
    ("sessionID", Field::Session),
    ("callID", Field::ToolUseId),
    ("tool", Field::ToolName),
    ("args", Field::ToolInput),
    ("output", Field::ToolOutput),
    ("directory", Field::Directory),
    ("worktree", Field::Directory),
    ("error", Field::Error),
    ("file", Field::FilePath),
    ("parentID", Field::Correlation),
    ("version", Field::Version),
];

/// Plug-ins get two objects, `input` and `output`; events have `properties`, with `info` in it.
fn refine<'a>(root: Value<'a>, facts: &mut Facts<'a>) {
    for part in ["input", "output", "properties"] {
        let Some(part) = root.get(part) else { continue };
        facts.take(part, INSIDE);
        if let Some(info) = part.get("info") {
            facts.take(info, INSIDE);
            facts.take(info, &[("id", Field::Session)]);
        }
    }
    // A session that another one made is a subagent.
    if facts.kind == Some(Type::SessionStart) && facts.get(Field::Correlation).is_some() {
        facts.kind = Some(Type::AgentStart);
    }
}
