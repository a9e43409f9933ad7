//! Claude Code.

use hookring_journal::model::EventType as Type;

use super::{Agent, Field, Names};

pub(super) const AGENT: Agent = Agent {
    name: "claude-code",
    title: "Claude Code",
    events: EVENTS,
    // What the user fills into a form of a server.
    fields: &[FIELDS, &[("content", Field::Answer)]],
    recognises: |top| {
        EVENTS.iter().any(|(name, _)| top.is_event(&[name])) || top.transcript_in("/.claude/")
    },
    refine: |_, _| {},
};

/// Codex, Droid and others took over most of these.
pub(super) const EVENTS: &[(&str, Type)] = &[
    ("SessionStart", Type::SessionStart),
    ("Setup", Type::SessionSetup),
    ("UserPromptSubmit", Type::PromptSubmit),
    ("UserPromptExpansion", Type::PromptExpand),
    ("PreToolUse", Type::ToolPre),
    ("PermissionRequest", Type::PermissionRequest),
    ("PermissionDenied", Type::PermissionDenied),
    ("PostToolUse", Type::ToolPost),
    ("PostToolUseFailure", Type::ToolFail),
    ("PostToolBatch", Type::ToolBatch),
    ("Notification", Type::Notify),
    ("MessageDisplay", Type::MessageDisplay),
    ("SubagentStart", Type::AgentStart),
    ("SubagentStop", Type::AgentStop),
    ("TaskCreated", Type::TaskCreated),
    ("TaskCompleted", Type::TaskCompleted),
    ("Stop", Type::TurnEnd),
    ("StopFailure", Type::TurnFail),
    ("TeammateIdle", Type::AgentIdle),
    ("InstructionsLoaded", Type::InstructionsLoaded),
    ("ConfigChange", Type::ConfigChange),
    ("CwdChanged", Type::DirectoryChange),
    ("DirectoryAdded", Type::DirectoryAdd),
    ("FileChanged", Type::FileChange),
    ("WorktreeCreate", Type::WorktreeCreate),
    ("WorktreeRemove", Type::WorktreeRemove),
    ("PreCompact", Type::CompactPre),
    ("PostCompact", Type::CompactPost),
    ("PreModelSwitch", Type::ModelSwitchPre),
    ("PostModelSwitch", Type::ModelSwitchPost),
    ("Elicitation", Type::ElicitationRequest),
    ("ElicitationResult", Type::ElicitationResult),
    ("SessionEnd", Type::SessionEnd),
];

/// As above.
pub(super) const FIELDS: Names = &[
    ("hook_event_name", Field::Event),
    ("session_id", Field::Session),
    ("new_cwd", Field::Directory),
    ("cwd", Field::Directory),
    ("prompt_id", Field::PromptId),
    ("agent_id", Field::AgentId),
    ("agent_type", Field::AgentType),
    ("teammate_name", Field::AgentType),
    ("permission_mode", Field::PermissionMode),
    ("model", Field::Model),
    ("to_model", Field::Model),
    ("tool_name", Field::ToolName),
    ("tool_use_id", Field::ToolUseId),
    ("tool_input", Field::ToolInput),
    ("tool_response", Field::ToolOutput),
    ("error", Field::Error),
    ("duration_ms", Field::Duration),
    ("is_interrupt", Field::Interrupted),
    ("prompt", Field::Prompt),
    ("last_assistant_message", Field::Answer),
    ("compact_summary", Field::Answer),
    ("delta", Field::Answer),
    ("message", Field::Message),
    ("notification_type", Field::NotificationType),
    ("reason", Field::Reason),
    ("trigger", Field::Reason),
    ("source", Field::Reason),
    ("task_id", Field::TaskId),
    ("task_subject", Field::Task),
    ("task_description", Field::Task),
    ("elicitation_id", Field::Correlation),
    ("file_path", Field::FilePath),
    ("worktree_path", Field::FilePath),
    ("directory", Field::FilePath),
];
