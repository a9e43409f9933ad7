//! Gemini CLI.

use hookring_journal::model::EventType as Type;

use super::{Agent, Facts, Field, Names, claude_code};
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

/// What a permission is asked for.
const DETAILS: Names = &[
    ("tool_name", Field::ToolName),
    ("toolName", Field::ToolName),
    ("type", Field::ToolName),
    ("command", Field::Command),
    ("filePath", Field::FilePath),
    ("path", Field::FilePath),
];

fn refine<'a>(root: Value<'a>, facts: &mut Facts<'a>) {
    let error = facts.get(Field::ToolOutput).and_then(|output| output.get("error"));
    match facts.kind {
        Some(Type::ToolPost) if error.is_some_and(|error| error.kind() != Kind::Null) => {
            facts.kind = Some(Type::ToolFail);
            facts.set(Field::Error, error);
        }
        Some(Type::Notify) if facts.is(Field::NotificationType, "ToolPermission") => {
            facts.kind = Some(Type::PermissionRequest);
            if let Some(details) = root.get("details") {
                facts.take(details, DETAILS);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::testing::{read_as, seen};

    #[test]
    fn only_an_error_that_is_one_makes_a_call_fail() {
        for (error, kind) in
            [("null", "tool.post"), (r#"{"message":"m"}"#, "tool.fail"), (r#""e""#, "tool.fail")]
        {
            let payload = format!(
                r#"{{"hook_event_name":"AfterTool","tool_name":"t","tool_response":{{"error":{error}}}}}"#
            );
            assert_eq!(seen(&payload), ("gemini-cli", kind));
        }
    }

    #[test]
    fn a_notification_of_a_permission_is_a_request_for_it() {
        let payload = r#"{"hook_event_name":"Notification","notification_type":"ToolPermission",
            "details":{"type":"exec","command":"ls"},"transcript_path":"/h/.gemini/x"}"#;
        assert_eq!(seen(payload), ("gemini-cli", "permission.request"));
        read_as(None, payload, |facts| {
            assert_eq!(facts.text(Field::Command).as_deref(), Some("ls"));
            assert_eq!(facts.operation, Some(hookring_journal::model::Operation::Execute));
        });
        let other = payload.replace("ToolPermission", "Other");
        assert_eq!(seen(&other), ("gemini-cli", "notify"));
    }
}
