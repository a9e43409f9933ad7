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
        top.has("hookEventName") || (names_no_event && (is_native || top.has("toolArgs")))
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
