//! GitHub Copilot: the CLI, whose payloads do not name their event, and the hooks of VS Code.

use hookring_journal::model::EventType as Type;

use super::{Agent, Facts, Field, claude_code};
use crate::document::Value;

pub(super) const AGENT: Agent = Agent {
    name: "copilot",
    title: "GitHub Copilot",
    events: &[
        ("sessionStart", Type::SessionStart),
        ("sessionEnd", Type::SessionEnd),
        ("userPromptSubmitted", Type::PromptSubmit),
        ("preToolUse", Type::ToolPre),
        ("postToolUse", Type::ToolPost),
        ("postToolUseFailure", Type::ToolFail),
        ("permissionRequest", Type::PermissionRequest),
        ("agentStop", Type::TurnEnd),
        ("errorOccurred", Type::TurnFail),
        ("subagentStart", Type::AgentStart),
        ("subagentStop", Type::AgentStop),
        ("preCompact", Type::CompactPre),
        ("notification", Type::Notify),
        ("SessionStart", Type::SessionStart),
        ("UserPromptSubmit", Type::PromptSubmit),
        ("PreToolUse", Type::ToolPre),
        ("PostToolUse", Type::ToolPost),
        ("SubagentStart", Type::AgentStart),
        ("SubagentStop", Type::AgentStop),
        ("PreCompact", Type::CompactPre),
        ("Stop", Type::TurnEnd),
        ("SessionEnd", Type::SessionEnd),
    ],
    fields: &[
        &[
            ("hookEventName", Field::Event),
            ("sessionId", Field::Session),
            ("toolName", Field::ToolName),
            ("toolUseId", Field::ToolUseId),
            ("toolArgs", Field::ToolInput),
            ("toolInput", Field::ToolInput),
            ("toolResult", Field::ToolOutput),
            ("toolResponse", Field::ToolOutput),
            ("toolError", Field::Error),
            ("exitCode", Field::ExitCode),
            ("durationMs", Field::Duration),
            ("initialPrompt", Field::Prompt),
            ("agentId", Field::AgentId),
            ("agentType", Field::AgentType),
            ("agentName", Field::AgentType),
            ("notificationType", Field::NotificationType),
        ],
        claude_code::FIELDS,
    ],
    recognises: |top| {
        let names_no_event = !top.has("hook_event_name") && !top.has("type");
        let is_native = top.has("sessionId") && (top.has("timestamp") || top.has("toolName"));
        let folders = ["/.copilot/", "/GitHub.copilot-chat/"];
        top.has("hookEventName")
            || folders.iter().any(|folder| top.transcript_in(folder))
            || (names_no_event && (is_native || top.has("toolArgs")))
    },
    refine,
};

fn refine<'a>(root: Value<'a>, facts: &mut Facts<'a>) {
    if facts.event.is_none() {
        facts.kind = by_its_shape(root, facts);
    }
    // `{resultType: "failure"}` is how the CLI says that a tool failed.
    let result = facts.get(Field::ToolOutput).and_then(|output| output.get("resultType"));
    if result.is_some_and(|result| result.is_text("failure") || result.is_text("denied")) {
        facts.success = Some(false);
    }
    if facts.kind == Some(Type::ToolPost) && facts.get(Field::Error).is_some() {
        facts.kind = Some(Type::ToolFail);
    }
}

/// Which event it is where nobody says it: each has members that no other has.
fn by_its_shape(root: Value<'_>, facts: &Facts<'_>) -> Option<Type> {
    let has = |key| root.get(key).is_some();
    let used = facts.get(Field::ToolOutput).is_some() || facts.get(Field::ExitCode).is_some();
    match facts.get(Field::ToolName) {
        Some(_) if facts.get(Field::Error).is_some() => Some(Type::ToolFail),
        Some(_) if used => Some(Type::ToolPost),
        Some(_) => Some(Type::ToolPre),
        None if has("initialPrompt") || has("source") => Some(Type::SessionStart),
        None if has("prompt") => Some(Type::PromptSubmit),
        None if has("error") => Some(Type::TurnFail),
        None if has("reason") => Some(Type::SessionEnd),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::agents::testing::{read_as, seen};

    #[test]
    fn an_event_without_a_name_is_told_by_its_members() {
        for (members, kind) in [
            (r#""initialPrompt":"p""#, "session.start"),
            (r#""source":"resume""#, "session.start"),
            (r#""prompt":"p""#, "prompt.submit"),
            (r#""error":{"message":"m"}"#, "turn.fail"),
            (r#""reason":"complete""#, "session.end"),
            (r#""toolName":"bash","toolArgs":"{}""#, "tool.pre"),
            (r#""toolName":"bash","toolResult":{"resultType":"success"}"#, "tool.post"),
            (r#""toolName":"bash","exitCode":0"#, "tool.post"),
            (r#""toolName":"bash","toolError":{"stderr":"e"},"exitCode":1"#, "tool.fail"),
            (r#""x":1"#, ""),
        ] {
            let payload = format!(r#"{{"sessionId":"s","timestamp":1,{members}}}"#);
            assert_eq!(seen(&payload), ("copilot", kind), "{payload}");
        }
    }

    #[test]
    fn a_result_says_whether_the_call_failed() {
        for (result, success) in
            [("failure", Some(false)), ("denied", Some(false)), ("success", None)]
        {
            let payload =
                format!(r#"{{"toolName":"bash","toolResult":{{"resultType":"{result}"}}}}"#);
            assert_eq!(read_as(Some("copilot"), &payload, |facts| facts.success), success);
        }
    }
}
