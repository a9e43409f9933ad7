//! Cline: an object that is named after the event has what it is about.

use hookring_journal::model::EventType as Type;

use super::{Agent, Facts, Field, Names, Warning};
use crate::document::{Kind, Value};

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
        if inside.kind() != Kind::Object {
            facts.warnings.push(Warning::Inside);
        }
        facts.take(inside, INSIDE);
        if let Some(about) = inside.get("taskMetadata") {
            facts.take(about, INSIDE);
        }
    }
    facts.set(Field::Model, root.path(&["model", "slug"]));
    let failed = facts.get(Field::Success).and_then(Value::as_bool) == Some(false);
    if failed && facts.kind == Some(Type::ToolPost) {
        facts.kind = Some(Type::ToolFail);
        if facts.get(Field::Error).is_none() {
            facts.set(Field::Error, facts.get(Field::ToolOutput));
        }
    }
}

/// `preToolUse` for `PreToolUse`.
fn named_after<'a>(root: Value<'a>, event: &str) -> Option<Value<'a>> {
    let first = event.chars().next()?;
    let own = first.to_lowercase().collect::<String>() + &event[first.len_utf8()..];
    root.get(&own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::testing::{read_as, seen};

    #[test]
    fn what_is_in_the_object_named_after_the_event_counts() {
        let payload = r#"{"hookName":"PostToolUse","postToolUse":{"toolName":"read_file","parameters":{"path":"a"},
            "result":"no such file","success":false},"preToolUse":{"toolName":"other"}}"#;
        assert_eq!(seen(payload), ("cline", "tool.fail"));
        read_as(None, payload, |facts| {
            assert_eq!(facts.tool_name.as_deref(), Some("read_file"));
            assert_eq!(facts.text(Field::Error).as_deref(), Some("no such file"));
            assert_eq!(facts.warnings, []);
        });
        let text = r#"{"hookName":"PreToolUse","preToolUse":"text"}"#;
        read_as(None, text, |facts| assert_eq!(facts.warnings[0], Warning::Inside));
        let odd = r#"{"hookName":"","":"text"}"#;
        read_as(None, odd, |facts| assert_eq!(facts.kind, None));
    }
}
