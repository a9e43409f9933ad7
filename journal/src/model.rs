//! The words of the event model: what an event's type, namespace, operation and risk can be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What part of an agent's life an event is about.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Namespace {
    /// hookring's own daemon.
    System,
    /// A session, its prompts and turns, its context.
    Session,
    /// Subagents and teammates.
    Agent,
    /// What an agent does: tools, permissions, files, version control.
    Hook,
    /// Tasks and to-do lists.
    Todo,
    /// Instructions that an agent keeps.
    Memory,
    /// What an agent says to its user.
    Log,
}

impl Namespace {
    /// All of them.
    pub const ALL: [Namespace; 7] = [
        Namespace::System,
        Namespace::Session,
        Namespace::Agent,
        Namespace::Hook,
        Namespace::Todo,
        Namespace::Memory,
        Namespace::Log,
    ];

    /// As events and the configuration have it.
    pub const fn name(self) -> &'static str {
        match self {
            Namespace::System => "system",
            Namespace::Session => "session",
            Namespace::Agent => "agent",
            Namespace::Hook => "hook",
            Namespace::Todo => "todo",
            Namespace::Memory => "memory",
            Namespace::Log => "log",
        }
    }
}

/// What a tool does to the world.
#[derive(
    Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Looks at files.
    Read,
    /// Changes files.
    Write,
    /// Runs a command.
    Execute,
    /// Reaches beyond the machine, or asks another server.
    Network,
    /// Changes nothing but the agent's own plans.
    #[default]
    Metadata,
}

impl Operation {
    /// As events have it.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Execute => "execute",
            Operation::Network => "network",
            Operation::Metadata => "metadata",
        }
    }
}

/// How much harm something can do.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth a note.
    Low,
    /// Worth a look.
    Medium,
    /// Can lose work or leak data.
    High,
    /// Can lose a machine or its secrets.
    Critical,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Level; 4] = [Level::Low, Level::Medium, Level::High, Level::Critical];

    /// As events and the configuration have it.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
            Level::Critical => "critical",
        }
    }
}

impl Level {
    /// The level with this name.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Makes [`EventType`] from one list of its names, namespaces and meanings.
macro_rules! event_types {
    ($($variant:ident $name:literal $namespace:ident $meaning:literal)*) => {
        /// What happened, in words that are the same for all agents.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum EventType {
            $(#[doc = $meaning] $variant,)*
        }

        impl EventType {
            /// All of them.
            pub const ALL: &[EventType] = &[$(EventType::$variant),*];

            /// As `event_type` has it.
            pub const fn name(self) -> &'static str {
                match self { $(EventType::$variant => $name,)* }
            }

            /// The namespace of its events.
            pub const fn namespace(self) -> Namespace {
                match self { $(EventType::$variant => Namespace::$namespace,)* }
            }

            /// What it stands for, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(EventType::$variant => $meaning,)* }
            }
        }
    };
}

event_types! {
    SessionStart "session.start" Session "A session begins or goes on."
    SessionEnd "session.end" Session "A session ends."
    SessionSetup "session.setup" Session "An agent prepares a workspace."
    PromptSubmit "prompt.submit" Session "A user hands a prompt to the agent."
    PromptExpand "prompt.expand" Session "A command became a prompt."
    TurnEnd "turn.end" Session "The agent is done with a prompt."
    TurnFail "turn.fail" Session "The agent could not finish a prompt."
    CompactPre "context.compact.pre" Session "The context is about to be made shorter."
    CompactPost "context.compact.post" Session "The context was made shorter."
    ModelSwitchPre "model.switch.pre" Session "Another model is about to be used."
    ModelSwitchPost "model.switch.post" Session "Another model is used from here on."
    ModelRequest "model.request" Session "A model is about to be asked."
    ModelResponse "model.response" Session "A model answers."
    DirectoryChange "directory.change" Session "The agent works in another directory."
    DirectoryAdd "directory.add" Session "The agent may work in one more directory."
    WorktreeCreate "worktree.create" Session "A worktree is wanted."
    WorktreeRemove "worktree.remove" Session "A worktree is no longer wanted."
    AgentStart "agent.start" Agent "A subagent begins."
    AgentStop "agent.stop" Agent "A subagent is done."
    AgentIdle "agent.idle" Agent "A teammate has nothing to do."
    ToolPre "tool.pre" Hook "A tool is about to be used."
    ToolPost "tool.post" Hook "A tool was used."
    ToolFail "tool.fail" Hook "A tool failed."
    ToolBatch "tool.batch" Hook "Several tools were used together."
    ToolSelect "tool.select" Hook "The tools for a request are chosen."
    PermissionRequest "permission.request" Hook "The user is asked to allow something."
    PermissionDenied "permission.denied" Hook "Something was not allowed."
    ElicitationRequest "elicitation.request" Hook "A tool's server asks the user for something."
    ElicitationResult "elicitation.result" Hook "The user's answer to a tool's server."
    FileChange "file.change" Hook "A watched file changed."
    ConfigChange "config.change" Hook "The agent's configuration changed."
    GitCommitPre "git.commit.pre" Hook "A commit is about to be made."
    GitCommitMessage "git.commit.message" Hook "A commit's message is written."
    GitCommitPost "git.commit.post" Hook "A commit was made."
    GitPush "git.push" Hook "Commits are about to be pushed, or were received."
    GitCheckout "git.checkout" Hook "Another commit was checked out."
    GitMerge "git.merge" Hook "A merge is about to be made, or was made."
    GitRewrite "git.rewrite" Hook "Commits are about to be rewritten, or were."
    GitOther "git.other" Hook "Something else that git tells its hooks."
    TaskCreated "task.created" Todo "A task was made."
    TaskCompleted "task.completed" Todo "A task is done."
    InstructionsLoaded "instructions.loaded" Memory "The agent read a file of instructions."
    Notify "notify" Log "The agent tells its user something."
    MessageDisplay "message.display" Log "A part of an answer is shown."
    MessageResponse "message.response" Log "The agent said something."
    MessageThought "message.thought" Log "The agent thought something."
    DaemonStart "daemon.start" System "The daemon began."
    DaemonStop "daemon.stop" System "The daemon ends."
    DaemonReload "daemon.reload" System "The daemon read its configuration again."
    DaemonGap "daemon.gap" System "Something was lost, dropped or given up."
    SinkState "sink.state" System "A sink began to fail, works again, or was switched off or on."
    SessionSilent "session.silent" System "A session said nothing for long, and has not ended."
    HooksSlow "hooks.slow" System "Hooks began to take long, or do not any more."
    AgentSilent "agent.silent" System "An agent that used to send events sends none, or is back."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_serde_has_the_same() {
        let mut names: Vec<_> = EventType::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventType::ALL.len());
        for namespace in Namespace::ALL {
            assert_eq!(serde_json::to_value(namespace).unwrap(), namespace.name());
        }
        for level in Level::ALL {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
        }
        for operation in [Operation::Read, Operation::Execute, Operation::Metadata] {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.name());
        }
        assert!(Level::Low < Level::Medium && Level::High < Level::Critical);
    }
}
