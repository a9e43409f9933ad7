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
    ("mcp_tool_arguments", Field::ToolInput),
    ("mcp_server_name", Field::Correlation),
    ("mcp_result", Field::ToolOutput),
    ("stdout", Field::ToolOutput),
    ("exit_code", Field::ExitCode),
    ("user_prompt", Field::Prompt),
    ("response", Field::Answer),
];

fn refine<'a>(_: Value<'a>, facts: &mut Facts<'a>) {
    if let Some(info) = facts.get(Field::ToolInput) {
        facts.take(info, INFO);
    }
    let own = match facts.event.as_deref() {
        Some("pre_read_code" | "post_read_code") => ("read_code", Operation::Read),
        Some("pre_write_code" | "post_write_code" | "post_code_action") => {
            ("write_code", Operation::Write)
        }
        Some("pre_run_command" | "post_run_command") => ("run_command", Operation::Execute),
        Some("pre_mcp_tool_use" | "post_mcp_tool_use") => ("mcp_tool_use", Operation::Network),
        _ => return,
    };
    facts.operation = Some(own.1);
    facts.tool_name = facts.text(Field::ToolName).or(Some(Cow::Borrowed(own.0)));
}
