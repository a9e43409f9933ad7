//! Amp: what a plug-in or a delegate for permissions hands to the hook command.

use hookring_journal::model::EventType as Type;

use super::{Agent, Field, claude_code};

pub(super) const AGENT: Agent = Agent {
    name: "amp",
    title: "Amp",
    events: &[
        ("session.start", Type::SessionStart),
        ("agent.start", Type::PromptSubmit),
        ("agent.end", Type::TurnEnd),
        ("tool.call", Type::ToolPre),
        ("tool.result", Type::ToolPost),
        ("permission.request", Type::PermissionRequest),
        ("PreToolUse", Type::ToolPre),
        ("PostToolUse", Type::ToolPost),
    ],
    fields: &[
        &[
            ("thread_id", Field::Session),
            ("threadId", Field::Session),
            ("event", Field::Event),
            ("tool", Field::ToolName),
            ("toolUseID", Field::ToolUseId),
            ("input", Field::ToolInput),
            ("result", Field::ToolOutput),
            ("edited_filepaths", Field::FilesModified),
        ],
        claude_code::FIELDS,
    ],
    recognises: |top| {
        let thread = top.text("thread_id").or_else(|| top.text("threadId"));
        thread.is_some_and(|thread| thread.starts_with("T-")) || top.has("edited_filepaths")
    },
    refine: |_, _| {},
};
