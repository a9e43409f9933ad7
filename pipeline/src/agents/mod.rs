//! What each agent's payloads mean: one small adapter per agent, all of the same shape.
//!
//! An adapter is data: the names of its events, the names of its fields, and how its payloads can be
//! told from others'. Where that is not enough, its `refine` mends the facts. The table in
//! `docs/events.md` is made from the same data.

use hookring_journal::model::EventType;

use crate::document::Value;

mod amp;
mod claude_code;
mod cline;
mod codex;
mod copilot;
mod cursor;
mod droid;
mod facts;
mod gemini_cli;
mod git;
mod kiro;
mod opencode;
mod recognise;
mod tools;
mod unknown;
mod windsurf;

pub(crate) use facts::read;
pub use facts::{Facts, Field, Warning};

/// How one agent's payloads are read.
#[derive(Debug)]
pub struct Agent {
    /// As `--agent` has it, and `source.agent` of an event.
    pub name: &'static str,
    /// As its makers write it.
    pub title: &'static str,
    /// The agent's own names of its events, and what they mean.
    pub events: &'static [(&'static str, EventType)],
    /// The members of its payloads that mean something. Where several mean the same, the first that
    /// is there counts.
    fields: &'static [Names],
    /// Whether a payload can only be this agent's.
    recognises: fn(&Top<'_>) -> bool,
    /// What the lists cannot say.
    refine: for<'a> fn(Value<'a>, &mut Facts<'a>),
}

/// Names of members, and what they mean.
type Names = &'static [(&'static str, Field)];

/// All agents, in the order in which payloads are tried: the ones that are easily told first.
pub const AGENTS: &[&Agent] = &[
    &cursor::AGENT,
    &windsurf::AGENT,
    &cline::AGENT,
    &droid::AGENT,
    &amp::AGENT,
    &copilot::AGENT,
    &gemini_cli::AGENT,
    &opencode::AGENT,
    &kiro::AGENT,
    &codex::AGENT,
    &claude_code::AGENT,
    &git::AGENT,
];

/// What is read from a payload of an agent that nobody knows.
pub(crate) const UNKNOWN: &Agent = &unknown::AGENT;

impl Agent {
    /// The agent with this name.
    pub fn named(name: &str) -> Option<&'static Agent> {
        AGENTS.iter().copied().find(|agent| agent.name == name)
    }

    /// What an event with this name means; `None`: nobody knows it yet. `preToolUse`, `pre_tool_use`
    /// and `PreToolUse` are one name: agents took it over from each other.
    pub fn event_type(&self, own_name: &str) -> Option<EventType> {
        let exact = self.events.iter().find(|(name, _)| *name == own_name);
        let known = exact.or_else(|| self.events.iter().find(|(name, _)| is_same(name, own_name)));
        known.map(|(_, kind)| *kind).or_else(|| {
            // What no adapter is for may have taken over any agent's names; git's are words like `update`.
            let others = AGENTS.iter().filter(|agent| self.name.is_empty() && agent.name != "git");
            others.into_iter().find_map(|agent| agent.event_type(own_name))
        })
    }
}

/// Whether an agent is called so, or an event of one: what hooks are told, almost always.
pub(crate) fn is_a_name(name: &str) -> bool {
    AGENTS
        .iter()
        .any(|agent| agent.name == name || agent.events.iter().any(|(event, _)| *event == name))
}

/// Whether two names differ in case and separators at most.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

fn letters(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

pub(crate) use recognise::{Top, recognise};

#[cfg(test)]
mod testing {
    use super::*;
    use crate::document::Document;

    /// Reads a payload as its agent's, told by its shape unless it is named.
    pub(super) fn read_as<T>(
        name: Option<&str>,
        payload: &str,
        look: impl FnOnce(&Facts<'_>) -> T,
    ) -> T {
        let mut document = Document::default();
        document.parse(payload.as_bytes()).expect("JSON");
        let root = document.root().expect("a value");
        let agent = match name {
            Some(name) => Agent::named(name),
            None => recognise(root),
        };
        look(&read(agent.unwrap_or(UNKNOWN), root, None))
    }

    /// The name of the agent whose payload it is, and of the event's type.
    pub(super) fn seen(payload: &str) -> (&'static str, &'static str) {
        read_as(None, payload, |facts| (facts.agent.name, facts.kind.map_or("", EventType::name)))
    }
}
