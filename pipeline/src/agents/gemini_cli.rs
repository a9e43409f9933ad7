//! Gemini CLI.

use hookring_journal::model::EventType as Type;

use super::{Agent, Facts, Field, claude_code};
use crate::document::{Kind, Value};

const EVENTS: &[(&str, Type)] = &[
    ("SessionStart", Type::SessionStart),
    ("SessionEnd", Type::SessionEnd),
    ("BeforeAgent", Type::PromptSubmit),
    ("AfterAgent", Type::TurnEnd),
    ("BeforeModel", Type::ModelRequest),
    ("AfterModel", Type::ModelResponse),
    ("BeforeToolSelection", Type::ToolSelect),
    ("BeforeTool", Type::ToolPre),
    ("AfterTool", Type::ToolPost),
    ("PreCompress", Type::CompactPre),
    ("Notification", Type::Notify),
];

pub(super) const AGENT: Agent = Agent {
    name: "gemini-cli",
    title: "Gemini CLI",
    events: EVENTS,
    fields: &[&[("prompt_response", Field::Answer)], claude_code::FIELDS],
    recognises: |top| {
        let shared = ["SessionStart", "SessionEnd", "Notification"];
        let mut own = EVENTS.iter().map(|(name, _)| *name).filter(|name| !shared.contains(name));
        own.any(|name| top.is_event(&[name])) || top.transcript_in("/.gemini/")
    },
    refine,
};

fn refine<'a>(_: Value<'a>, facts: &mut Facts<'a>) {
    let error = facts.get(Field::ToolOutput).and_then(|output| output.get("error"));
    match facts.kind {
        Some(Type::ToolPost) if error.is_some_and(|error| error.kind() != Kind::Null) => {
            facts.kind = Some(Type::ToolFail);
            facts.set(Field::Error, error);
        }
        Some(Type::Notify) if facts.is(Field::NotificationType, "ToolPermission") => {
            facts.kind = Some(Type::PermissionRequest);
        }
        _ => {}
    }
}
