//! Factory Droid: Claude Code's shape of 2025, with tools of its own.

use hookring_journal::model::EventType as Type;

use super::{Agent, Field, claude_code};

pub(super) const AGENT: Agent = Agent {
    name: "droid",
    title: "Factory Droid",
    events: &[
        ("SessionStart", Type::SessionStart),
        ("UserPromptSubmit", Type::PromptSubmit),
        ("PreToolUse", Type::ToolPre),
        ("PostToolUse", Type::ToolPost),
        ("Notification", Type::Notify),
        ("SubagentStop", Type::AgentStop),
        ("PreCompact", Type::CompactPre),
        ("Stop", Type::TurnEnd),
        ("SessionEnd", Type::SessionEnd),
    ],
    fields: &[
        claude_code::FIELDS,
        &[
            ("hookEventName", Field::Event),
            ("sessionId", Field::Session),
            ("toolName", Field::ToolName),
            ("toolUseId", Field::ToolUseId),
            ("toolInput", Field::ToolInput),
            ("toolResponse", Field::ToolOutput),
            ("tool_result", Field::ToolOutput),
        ],
    ],
    recognises: |top| {
        top.transcript_in("/.factory/") || top.is_tool(&["Execute", "ApplyPatch", "Create"])
    },
    refine: |_, _| {},
};
