//! Windsurf (Cascade): one object, `tool_info`, has what an action is about.

use std::borrow::Cow;

use hookring_journal::model::{EventType as Type, Operation};

use super::{Agent, Facts, Field, Names};
use crate::document::Value;

pub(super) const AGENT: Agent = Agent {
    name: "windsurf",
    title: "Windsurf",
    events: &[
        ("pre_user_prompt", Type::PromptSubmit),
        ("pre_read_code", Type::ToolPre),
        ("post_read_code", Type::ToolPost),
        ("pre_write_code", Type::ToolPre),
        ("post_write_code", Type::ToolPost),
        ("post_code_action", Type::ToolPost),
        ("pre_run_command", Type::ToolPre),
        ("post_run_command", Type::ToolPost),
        ("pre_mcp_tool_use", Type::ToolPre),
        ("post_mcp_tool_use", Type::ToolPost),
        ("post_cascade_response", Type::TurnEnd),
        ("post_setup_worktree", Type::WorktreeCreate),
    ],
    fields: &[&[
        ("agent_action_name", Field::Event),
        ("hook_event_name", Field::Event),
        ("trajectory_id", Field::Session),
        ("execution_id", Field::PromptId),
        ("model_name", Field::Model),
        ("cwd", Field::Directory),
        ("tool_info", Field::ToolInput),
    ]],
    recognises: |top| top.has("agent_action_name") || top.has("trajectory_id"),
    refine,
};

const INFO: Names = &[
    ("cwd", Field::Directory),
    ("root_workspace_path", Field::Directory),
    ("file_path", Field::FilePath),
    ("worktree_path", Field::FilePath),
    ("command_line", Field::Command),
    ("mcp_tool_name", Field::ToolName),
    ("mcp_result", Field::ToolOutput),
    ("stdout", Field::ToolOutput),
    ("exit_code", Field::ExitCode),
    ("user_prompt", Field::Prompt),
    ("response", Field::Answer),
];

fn refine<'a>(_: Value<'a>, facts: &mut Facts<'a>) {
    if let Some(info) = facts.get(Field::ToolInput) {
        facts.take(info, INFO);
        // What a server's tool was given stands apart from who gave it, and from its answer.
        facts.set(Field::ToolInput, info.get("mcp_tool_arguments"));
    }
    let own = match facts.event.as_deref() {
        Some("pre_read_code" | "post_read_code") => ("read_code", Operation::Read),
        Some("pre_write_code" | "post_write_code" | "post_code_action") => {
            ("write_code", Operation::Write)
        }
        Some("pre_run_command" | "post_run_command") => ("run_command", Operation::Execute),
        Some("pre_mcp_tool_use" | "post_mcp_tool_use") => {
            facts.is_of_a_server = true;
            facts.tool_name = facts.text(Field::ToolName).or(Some(Cow::Borrowed("mcp_tool_use")));
            return;
        }
        _ => return,
    };
    facts.operation = Some(own.1);
    facts.tool_name = facts.text(Field::ToolName).or(Some(Cow::Borrowed(own.0)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::testing::read_as;

    #[test]
    fn a_servers_tool_is_named_by_its_own_name_and_has_its_own_input() {
        let payload = r#"{"agent_action_name":"post_mcp_tool_use","tool_info":{"mcp_server_name":"s",
            "mcp_tool_name":"t","mcp_tool_arguments":{"a":1},"mcp_result":"r"}}"#;
        read_as(None, payload, |facts| {
            assert_eq!(facts.tool_name.as_deref(), Some("t"));
            assert_eq!(facts.operation, Some(Operation::Network));
            assert!(facts.get(Field::ToolInput).is_some_and(|input| input.get("a").is_some()));
            assert_eq!(facts.text(Field::ToolOutput).as_deref(), Some("r"));
            assert_eq!(facts.text(Field::Correlation), None);
        });
    }

    #[test]
    fn other_actions_are_tools_of_their_own() {
        for (action, tool, operation) in [
            ("pre_read_code", "read_code", Operation::Read),
            ("post_code_action", "write_code", Operation::Write),
            ("pre_run_command", "run_command", Operation::Execute),
        ] {
            let payload =
                format!(r#"{{"agent_action_name":"{action}","tool_info":{{"file_path":"f"}}}}"#);
            read_as(None, &payload, |facts| {
                assert_eq!(
                    (facts.tool_name.as_deref(), facts.operation),
                    (Some(tool), Some(operation))
                );
                assert_eq!(facts.text(Field::FilePath).as_deref(), Some("f"));
            });
        }
    }
}
