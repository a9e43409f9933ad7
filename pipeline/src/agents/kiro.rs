//! Kiro CLI, formerly Amazon Q.

use hookring_journal::model::EventType as Type;

use super::{Agent, claude_code};

const EVENTS: &[(&str, Type)] = &[
    ("agentSpawn", Type::SessionStart),
    ("userPromptSubmit", Type::PromptSubmit),
    ("preToolUse", Type::ToolPre),
    ("postToolUse", Type::ToolPost),
    ("stop", Type::TurnEnd),
    ("SessionStart", Type::SessionStart),
    ("UserPromptSubmit", Type::PromptSubmit),
    ("PreToolUse", Type::ToolPre),
    ("PostToolUse", Type::ToolPost),
    ("Stop", Type::TurnEnd),
    ("PostFileCreate", Type::FileChange),
    ("PostFileSave", Type::FileChange),
    ("PostFileDelete", Type::FileChange),
];

pub(super) const AGENT: Agent = Agent {
    name: "kiro",
    title: "Kiro",
    events: EVENTS,
    fields: &[claude_code::FIELDS],
    // Cursor, which has some of these names, too, was tried before.
    recognises: |top| {
        let own = ["agentSpawn", "userPromptSubmit", "preToolUse", "postToolUse", "stop"];
        let files = ["PostFileCreate", "PostFileSave", "PostFileDelete"];
        top.is_event(&files) || (top.is_event(&own) && top.has("cwd") && !top.has("model"))
    },
    refine: |_, _| {},
};
