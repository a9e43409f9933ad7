//! Agents that nobody knows yet: their payloads are read by the names that most agents have.

use super::{Agent, Field, claude_code};

pub(super) const AGENT: Agent = Agent {
    name: "",
    title: "Others",
    events: claude_code::EVENTS,
    fields: &[
        claude_code::FIELDS,
        &[
            ("hookEventName", Field::Event),
            ("agent_action_name", Field::Event),
            ("hookName", Field::Event),
            ("event", Field::Event),
            ("type", Field::Event),
            ("sessionId", Field::Session),
            ("sessionID", Field::Session),
            ("conversation_id", Field::Session),
            ("conversationId", Field::Session),
            ("trajectory_id", Field::Session),
            ("taskId", Field::Session),
            ("thread-id", Field::Session),
            ("thread_id", Field::Session),
            ("workspace_roots", Field::Directory),
            ("workspaceRoots", Field::Directory),
            ("repo_working_dir", Field::Directory),
            ("toolName", Field::ToolName),
            ("toolUseId", Field::ToolUseId),
            ("toolInput", Field::ToolInput),
            ("tool_output", Field::ToolOutput),
            ("tool_result", Field::ToolOutput),
            ("toolResponse", Field::ToolOutput),
            ("command", Field::Command),
            ("url", Field::Url),
        ],
    ],
    recognises: |_| false,
    refine: |_, _| {},
};
