//! Cursor: it reports a call as itself (`preToolUse`) and as what it is (`beforeShellExecution`).

use std::borrow::Cow;

use hookring_journal::model::{EventType as Type, Operation};

use super::{Agent, Facts, Field};
use crate::document::Value;

pub(super) const AGENT: Agent = Agent {
    name: "cursor",
    title: "Cursor",
    events: &[
        ("sessionStart", Type::SessionStart),
        ("sessionEnd", Type::SessionEnd),
        ("beforeSubmitPrompt", Type::PromptSubmit),
        ("preToolUse", Type::ToolPre),
        ("postToolUse", Type::ToolPost),
        ("postToolUseFailure", Type::ToolFail),
        ("beforeShellExecution", Type::ToolPre),
        ("afterShellExecution", Type::ToolPost),
        ("beforeMCPExecution", Type::ToolPre),
        ("afterMCPExecution", Type::ToolPost),
        ("beforeReadFile", Type::ToolPre),
        ("afterFileEdit", Type::ToolPost),
        ("beforeTabFileRead", Type::ToolPre),
        ("afterTabFileEdit", Type::ToolPost),
        ("afterAgentResponse", Type::MessageResponse),
        ("afterAgentThought", Type::MessageThought),
        ("subagentStart", Type::AgentStart),
        ("subagentStop", Type::AgentStop),
        ("preCompact", Type::CompactPre),
        ("stop", Type::TurnEnd),
    ],
    fields: &[&[
        ("hook_event_name", Field::Event),
        ("conversation_id", Field::Session),
        ("session_id", Field::Session),
        ("cursor_version", Field::Version),
        ("generation_id", Field::PromptId),
        ("cwd", Field::Directory),
        ("workspace_roots", Field::Directory),
        ("user_email", Field::UserId),
        ("model", Field::Model),
        ("tool_name", Field::ToolName),
        ("tool_use_id", Field::ToolUseId),
        ("tool_input", Field::ToolInput),
        ("edits", Field::ToolInput),
        ("tool_output", Field::ToolOutput),
        ("result_json", Field::ToolOutput),
        ("output", Field::ToolOutput),
        ("error_message", Field::Error),
        ("duration_ms", Field::Duration),
        ("duration", Field::Duration),
        ("prompt", Field::Prompt),
        ("text", Field::Answer),
        ("status", Field::Status),
        ("modified_files", Field::FilesModified),
        ("reason", Field::Reason),
        ("trigger", Field::Reason),
        ("subagent_id", Field::AgentId),
        ("subagent_type", Field::AgentType),
        ("task", Field::Task),
        ("command", Field::Command),
        ("file_path", Field::FilePath),
        ("url", Field::Url),
        ("content", Field::Answer),
    ]],
    recognises: |top| {
        let is_own = top.has("cursor_version") || top.has("generation_id");
        !top.has("agent_action_name") && is_own
            || (top.is_lower_camel() && (top.has("conversation_id") || top.has("workspace_roots")))
    },
    refine,
};

fn refine<'a>(_: Value<'a>, facts: &mut Facts<'a>) {
    let own = match facts.event.as_deref() {
        Some("beforeShellExecution" | "afterShellExecution") => ("Shell", Operation::Execute),
        Some("beforeReadFile" | "beforeTabFileRead") => ("Read", Operation::Read),
        Some("afterFileEdit" | "afterTabFileEdit") => ("Edit", Operation::Write),
        Some("beforeMCPExecution" | "afterMCPExecution") => {
            facts.is_of_a_server = true;
            return;
        }
        Some("stop") if facts.is(Field::Status, "error") => {
            facts.kind = Some(Type::TurnFail);
            return;
        }
        _ => return,
    };
    facts.operation = Some(own.1);
    facts.tool_name = Some(Cow::Borrowed(own.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::testing::{read_as, seen};

    #[test]
    fn an_end_is_a_failure_only_where_it_says_so() {
        for (status, kind) in
            [("completed", "turn.end"), ("aborted", "turn.end"), ("error", "turn.fail")]
        {
            let payload =
                format!(r#"{{"hook_event_name":"stop","generation_id":"g","status":"{status}"}}"#);
            assert_eq!(seen(&payload), ("cursor", kind));
        }
    }

    #[test]
    fn specific_events_are_of_the_tool_that_the_generic_ones_name() {
        for (event, tool, operation) in [
            ("beforeShellExecution", Some("Shell"), Operation::Execute),
            ("beforeReadFile", Some("Read"), Operation::Read),
            ("afterTabFileEdit", Some("Edit"), Operation::Write),
            ("beforeMCPExecution", Some("find"), Operation::Network),
        ] {
            let payload = format!(
                r#"{{"hook_event_name":"{event}","conversation_id":"c","tool_name":"find","command":"x"}}"#
            );
            read_as(None, &payload, |facts| {
                assert_eq!((facts.tool_name.as_deref(), facts.operation), (tool, Some(operation)));
            });
        }
    }
}
