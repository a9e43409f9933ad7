//! OpenAI Codex: Claude Code's shape with a turn's id, and the JSON that `notify` programs get.

use hookring_journal::model::EventType as Type;

use super::{Agent, Field, claude_code};

pub(super) const AGENT: Agent = Agent {
    name: "codex",
    title: "OpenAI Codex",
    events: &[
        ("SessionStart", Type::SessionStart),
        ("UserPromptSubmit", Type::PromptSubmit),
        ("PreToolUse", Type::ToolPre),
        ("PermissionRequest", Type::PermissionRequest),
        ("PostToolUse", Type::ToolPost),
        ("PreCompact", Type::CompactPre),
        ("PostCompact", Type::CompactPost),
        ("SubagentStart", Type::AgentStart),
        ("SubagentStop", Type::AgentStop),
        ("Stop", Type::TurnEnd),
        ("StopFailure", Type::TurnFail),
        ("Interrupt", Type::TurnFail),
        ("SessionEnd", Type::SessionEnd),
        ("agent-turn-complete", Type::TurnEnd),
    ],
    fields: &[
        &[
            ("turn_id", Field::PromptId),
            ("turn-id", Field::PromptId),
            ("thread-id", Field::Session),
            ("type", Field::Event),
            ("input-messages", Field::Prompt),
            ("last-assistant-message", Field::Answer),
        ],
        claude_code::FIELDS,
    ],
    recognises: |top| {
        let notified = top.text("type").is_some_and(|kind| kind == "agent-turn-complete");
        // Claude Code has a turn's id where it shows a message, and no model there.
        notified || (top.has("turn_id") && top.has("model")) || top.transcript_in("/.codex/")
    },
    refine: |_, _| {},
};
