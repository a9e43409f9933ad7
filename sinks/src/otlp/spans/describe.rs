//! What spans say of themselves: their names and attributes.

use crate::otlp::attributes::{Attributes, MAX_CONTENT_BYTES};
use crate::otlp::content;
use crate::otlp::event::Event;
use crate::otlp::failures::error_type;
use crate::otlp::names;

use super::open::Open;

/// A longer part of a span's name is cut, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// `invoke_agent claude-code`.
pub(super) fn root_name(event: &Event<'_>) -> String {
    name(names::INVOKE_AGENT, event.agent())
}

/// `invoke_agent Explore`.
pub(super) fn agent_name(event: &Event<'_>) -> String {
    name(names::INVOKE_AGENT, event.agent_type.as_deref())
}

/// `execute_tool Bash`.
pub(super) fn tool_name(event: &Event<'_>) -> String {
    name(names::EXECUTE_TOOL, event.tool_name.as_deref())
}

fn name(operation: &str, of: Option<&str>) -> String {
    match of {
        Some(of) => format!("{operation} {}", &of[..of.floor_char_boundary(MAX_NAME_BYTES)]),
        None => operation.to_owned(),
    }
}

/// Of the span of a prompt.
pub(super) fn root(to: &mut Attributes, event: &Event<'_>, model: Option<&str>) {
    to.text(names::OPERATION, names::INVOKE_AGENT);
    to.some(names::AGENT_NAME, event.agent());
    session(to, event);
    to.some(names::MODEL, model);
    to.some(names::USER, event.user_id.as_deref());
    to.some(names::PROMPT, event.prompt_id.as_deref());
    to.some(names::DIRECTORY, event.working_directory.as_deref());
    to.some(names::PERMISSION_MODE, event.permission_mode.as_deref());
}

/// What was asked, behind what was asked before under the same id.
pub(super) fn prompt(to: &mut Attributes, event: &Event<'_>) {
    if let Some(messages) = event.content.as_ref().and_then(content::input_messages) {
        to.add_to_content(names::INPUT_MESSAGES, &messages);
    }
}

/// Of the span of a subagent.
pub(super) fn agent(to: &mut Attributes, event: &Event<'_>) {
    to.text(names::OPERATION, names::INVOKE_AGENT);
    to.some(names::AGENT_NAME, event.agent_type.as_deref());
    to.some(names::AGENT_ID, event.agent_id.as_deref());
    session(to, event);
    to.some(names::MODEL, event.source.model.as_deref());
    if let Some(text) = event.content.as_ref().and_then(|it| it.task_description.as_deref()) {
        to.content(names::TASK_DESCRIPTION, text);
    }
}

/// Of the span of a tool's call.
pub(super) fn tool(to: &mut Attributes, event: &Event<'_>) {
    to.text(names::OPERATION, names::EXECUTE_TOOL);
    to.some(names::TOOL_NAME, event.tool_name.as_deref());
    to.some(names::TOOL_CALL_ID, event.tool_use_id.as_deref());
    to.text(names::TOOL_TYPE, "function");
    to.some(names::AGENT_ID, event.agent_id.as_deref());
    session(to, event);
    to.some(names::OPERATION_TYPE, event.operation_type.as_deref());
    to.some(names::PERMISSION_MODE, event.permission_mode.as_deref());
    if let Some(server) = event.tool_name.as_deref().and_then(mcp) {
        to.text(names::MCP_METHOD, "tools/call");
        to.some(names::MCP_SERVER, Some(server).filter(|it| !it.is_empty()));
    }
    risk(to, event);
    let Some(content) = &event.content else { return };
    if let Some(parameters) = content.tool_parameters {
        to.content(names::TOOL_ARGUMENTS, parameters.get());
    }
    if let Some(command) = content.command.as_deref() {
        to.content(names::COMMAND, command);
    }
    to.some(names::FILE, content.file_path.as_deref());
}

/// How a call, a turn or a subagent ended. `failed`: what a failure of it is called where nobody says more.
pub(super) fn end(open: &mut Open, event: &Event<'_>, failed: &'static str) {
    let is_failed = event.success == Some(false)
        || matches!(&*event.event_type, "tool.fail" | "turn.fail" | "permission.denied");
    let to = &mut open.attributes;
    if let Some(code) = event.exit_code {
        to.number(names::EXIT_CODE, code);
    }
    to.count(names::OUTPUT_SIZE, event.output_size);
    to.count(names::DURATION_MS, event.duration_ms);
    to.some(names::STATUS, event.status.as_deref());
    if let Some(content) = &event.content {
        let is_call = event.tool_name.is_some();
        if let Some(result) = is_call.then(|| content::tool_result(content)).flatten() {
            to.content(names::TOOL_RESULT, &result);
        }
        let messages = (!is_call).then(|| content::output_messages(content, is_failed));
        if let Some(messages) = messages.flatten() {
            to.content(names::OUTPUT_MESSAGES, &messages);
        }
    }
    if is_failed {
        open.error = Some(error_type(event, failed));
        let message = event.error_message.as_deref().filter(|_| event.content.is_some());
        open.message = message.map(|it| it[..it.floor_char_boundary(MAX_CONTENT_BYTES)].into());
    }
}

/// What happens while a span is open.
pub(super) fn happening(event: &Event<'_>) -> Attributes {
    let mut to = Attributes::with_capacity(6);
    to.text(names::RECORD_UID, &event.id);
    to.some(names::TOOL_NAME, event.tool_name.as_deref());
    to.some(names::CLASSIFICATION, event.classification.as_deref());
    to.some(names::STATUS, event.status.as_deref());
    to.some(names::SECURITY_RISK, event.security_risk.as_deref());
    to
}

/// The id of the session, under both of its names.
pub(in crate::otlp) fn session(to: &mut Attributes, event: &Event<'_>) {
    to.some(names::CONVERSATION, event.session_id.as_deref());
    to.some(names::SESSION, event.session_id.as_deref());
}

/// How much harm it can do, and by which rules.
pub(in crate::otlp) fn risk(to: &mut Attributes, event: &Event<'_>) {
    to.some(names::SECURITY_RISK, event.security_risk.as_deref());
    to.texts(names::RISK_RULES, event.risk.iter().map(|it| &*it.rule));
    if event.content.is_some() {
        let evidence = event.risk.iter().filter_map(|it| it.evidence.as_deref());
        to.texts(names::RISK_EVIDENCE, evidence);
    }
}

/// The server of an MCP tool, as its name tells; empty where the name does not tell where it ends.
pub(in crate::otlp) fn mcp(tool: &str) -> Option<&str> {
    if let Some(named) = tool.strip_prefix("mcp__") {
        return Some(named.split_once("__").map_or("", |(server, _)| server));
    }
    let is_mcp = tool.starts_with("mcp_") || tool.starts_with("MCP:");
    is_mcp.then_some("")
}

/// Whether a tool begins subagents.
pub(super) fn begins_agents(tool: &str) -> bool {
    const LAUNCHERS: [&str; 6] =
        ["task", "agent", "subagent", "spawn_agent", "delegate_task", "invoke_subagent"];
    LAUNCHERS.iter().any(|name| tool.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_by_names() {
        for (tool, server) in [
            ("mcp__github__list_issues", Some("github")),
            ("mcp__plugin_shop_db__query", Some("plugin_shop_db")),
            ("mcp__odd", Some("")),
            ("mcp_search_find", Some("")),
            ("MCP:find", Some("")),
            ("Bash", None),
        ] {
            assert_eq!(mcp(tool), server, "{tool}");
        }
    }
}
