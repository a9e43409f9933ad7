//! Cline: an object that is named after the event has what it is about.

use hookring_journal::model::EventType as Type;

use super::{Agent, Facts, Field, Names};
use crate::document::Value;

pub(super) const AGENT: Agent = Agent {
    name: "cline",
    title: "Cline",
    events: &[
        ("TaskStart", Type::SessionStart),
        ("TaskResume", Type::SessionStart),
        ("TaskCancel", Type::SessionEnd),
        ("TaskComplete", Type::SessionEnd),
        ("UserPromptSubmit", Type::PromptSubmit),
        ("PreToolUse", Type::ToolPre),
        ("PostToolUse", Type::ToolPost),
        ("Notification", Type::Notify),
        ("PreCompact", Type::CompactPre),
    ],
    fields: &[&[
        ("hookName", Field::Event),
        ("hook_event_name", Field::Event),
        ("clineVersion", Field::Version),
        ("taskId", Field::Session),
        ("workspaceRoots", Field::Directory),
        ("userId", Field::UserId),
    ]],
    recognises: |top| top.has("hookName") || top.has("clineVersion"),
    refine,
};

const INSIDE: Names = &[
    ("toolName", Field::ToolName),
    ("tool", Field::ToolName),
    ("parameters", Field::ToolInput),
    ("result", Field::ToolOutput),
    ("success", Field::Success),
    ("error", Field::Error),
    ("executionTimeMs", Field::Duration),
    ("durationMs", Field::Duration),
    ("prompt", Field::Prompt),
    ("message", Field::Message),
    ("task", Field::Task),
    ("initialTask", Field::Task),
    ("completionStatus", Field::Status),
];

fn refine<'a>(root: Value<'a>, facts: &mut Facts<'a>) {
    if let Some(inside) = facts.event.as_deref().and_then(|event| named_after(root, event)) {
        facts.take(inside, INSIDE);
        if let Some(about) = inside.get("taskMetadata") {
            facts.take(about, INSIDE);
        }
    }
    facts.set(Field::Model, root.path(&["model", "slug"]));
    let failed = facts.get(Field::Success).and_then(Value::as_bool) == Some(false);
    if failed && facts.kind == Some(Type::ToolPost) {
        facts.kind = Some(Type::ToolFail);
    }
}

/// `preToolUse` for `PreToolUse`.
fn named_after<'a>(root: Value<'a>, event: &str) -> Option<Value<'a>> {
    let first = event.chars().next()?;
    let own = first.to_lowercase().collect::<String>() + &event[first.len_utf8()..];
    root.get(&own)
}
