//! What only earlier events can tell of one: that it was told before, when its call began, what its agent has
//! done since.

use std::borrow::Cow;
use std::sync::Arc;

use hookring_journal::model::{EventType, Operation};

use crate::activity::{Activity, Call, Phase, Sameness, Work};
use crate::agents::{Facts, Field};
use crate::deed::Deed;
use crate::document::Value;
use crate::received::Received;

/// What only earlier events can tell.
#[derive(Default)]
pub(crate) struct Told<'a> {
    pub(crate) deed: Option<Deed<'a>>,
    pub(crate) duplicate_of: Option<[u8; 16]>,
    pub(crate) began: Option<Call>,
    pub(crate) work: Option<Work>,
}

impl<'a> Told<'a> {
    pub(crate) fn of(
        activity: &mut Activity,
        received: &Received<'_>,
        facts: &Facts<'a>,
        nested: (Option<Value<'a>>, Option<Value<'a>>),
    ) -> Told<'a> {
        let call = Call {
            event_id: received.id,
            timestamp_ns: received.timestamp_ns,
            monotonic_ns: received.monotonic_ns,
            tool_use_id: facts.text(Field::ToolUseId).map(Arc::from),
        };
        let session = facts.text(Field::Session);
        let who = (facts.agent.name, session.as_deref());
        let deed = (facts.is_tool()).then(|| Deed::of(facts, nested));
        let mut told = Told { deed, ..Told::default() };
        told.duplicate_of = told.note_report(activity, received, facts, who, &call);
        told.note_call(activity, facts, who, call);
        told
    }

    /// Whether it was reported before.
    fn note_report(
        &self,
        activity: &mut Activity,
        received: &Received<'_>,
        facts: &Facts<'a>,
        who: (&str, Option<&str>),
        call: &Call,
    ) -> Option<[u8; 16]> {
        if received.payload.is_empty() {
            return None;
        }
        let own_name = activity.key(facts.event.as_deref());
        let id = facts.text(Field::ToolUseId);
        let stretch = self.stretch(activity, facts, who);
        let bytes = (received.event, received.arguments, received.payload);
        let (same_bytes, sameness) = match id {
            Some(_) => (activity.key(bytes), Sameness::Id),
            None => (activity.key((bytes, stretch)), Sameness::Bytes),
        };
        let duplicate = activity.report((same_bytes, sameness), own_name, call);
        let deed = self.deed.as_ref();
        let is_distinct = |deed: &&Deed<'a>| {
            let named = deed.command.is_some() || deed.file_path.is_some();
            // What a server's tool was given; of other tools that may say little.
            named || facts.is_of_a_server || facts.operation == Some(Operation::Network)
        };
        let about = deed.filter(is_distinct).and_then(about);
        let same_deed =
            about.map(|about| activity.key((who, facts.kind, facts.operation, about, stretch)));
        let other =
            same_deed.and_then(|key| activity.report((key, Sameness::Deed), own_name, call));
        duplicate.or(other)
    }

    /// In which part of a turn, and of a call in it, this was reported: what was reported in another is not the same,
    /// however much it looks like it.
    fn stretch(
        &self,
        activity: &mut Activity,
        facts: &Facts<'a>,
        who: (&str, Option<&str>),
    ) -> (u64, u64) {
        let phase = facts.kind.and_then(phase);
        let turn = activity.key((who, "turn"));
        let Some(deed) = &self.deed else {
            let life = match facts.kind {
                Some(EventType::AgentStart | EventType::AgentStop) => "agent",
                Some(EventType::CompactPre | EventType::CompactPost) => "compact",
                Some(EventType::ModelRequest | EventType::ModelResponse) => "model",
                _ => return (activity.stretch(turn, phase), 0),
            };
            let life = activity.key((who, life));
            return (activity.stretch(turn, None), activity.stretch(life, phase));
        };
        let call = match about(deed) {
            Some(about) => activity.key((who, "about", about)),
            None => activity.key((who, "tool", facts.tool_name.as_deref())),
        };
        (activity.stretch(turn, None), activity.stretch(call, phase))
    }

    /// When the call began, and what its agent has done.
    fn note_call(
        &mut self,
        activity: &mut Activity,
        facts: &Facts<'a>,
        who: (&str, Option<&str>),
        call: Call,
    ) {
        let agent_id = facts.text(Field::AgentId);
        let agent = activity.key((who, agent_id.as_deref()));
        let Some(deed) = &self.deed else {
            let ends = match facts.kind {
                // Without an id nobody knows whose tools those were.
                Some(EventType::AgentStop) => agent_id.is_some(),
                Some(EventType::TurnEnd | EventType::TurnFail) => true,
                _ => false,
            };
            if ends && self.duplicate_of.is_none() {
                self.work = activity.take_work(agent);
            }
            return;
        };
        let keys = self.call_keys(activity, facts, agent, deed);
        let keys = keys.into_iter().flatten();
        let id = call.tool_use_id.clone();
        let id = id.as_deref();
        match facts.kind {
            _ if self.duplicate_of.is_some() => self.began = activity.call(keys, id),
            Some(EventType::ToolPre) => activity.begin(keys, call),
            Some(EventType::ToolPost | EventType::ToolFail) => {
                self.began = activity.call(keys.clone(), id);
                activity.end(keys, id);
                let files = deed.files().filter(|_| deed.has_written(facts));
                activity.work(agent, facts.tool_name.as_deref().unwrap_or_default(), files);
            }
            _ => self.began = activity.call(keys, id),
        }
    }

    /// The key of a call's id, and that of what it is about, for agents and events without ids.
    fn call_keys(
        &self,
        activity: &Activity,
        facts: &Facts<'a>,
        agent: u64,
        deed: &Deed<'a>,
    ) -> [Option<u64>; 2] {
        let id = facts.text(Field::ToolUseId).map(|id| activity.key((agent, 0, id)));
        // Cursor names a server's tool with this and without.
        let tool = facts.tool_name.as_deref().map(|tool| tool.strip_prefix("MCP:").unwrap_or(tool));
        [id, about(deed).map(|about| activity.key((agent, 1, tool, about)))]
    }
}

/// Whether a call, a turn or the like begins or ends with such an event.
fn phase(kind: EventType) -> Option<Phase> {
    use EventType as Type;
    match kind {
        Type::ToolPre | Type::PromptSubmit | Type::SessionStart => Some(Phase::Begin),
        Type::AgentStart | Type::CompactPre | Type::ModelRequest => Some(Phase::Begin),
        Type::ToolPost | Type::ToolFail | Type::PermissionDenied => Some(Phase::End),
        Type::TurnEnd | Type::TurnFail | Type::SessionEnd => Some(Phase::End),
        Type::AgentStop | Type::CompactPost | Type::ModelResponse => Some(Phase::End),
        _ => None,
    }
}

/// What a call is about: its command, its file, else all that the tool was given.
fn about<'d>(deed: &'d Deed<'_>) -> Option<Cow<'d, str>> {
    let named = deed.command.as_deref().or(deed.file_path.as_deref()).map(Cow::Borrowed);
    named.or_else(|| {
        let mut text = Vec::new();
        deed.input?.write_to(&mut text);
        String::from_utf8(text).ok().map(Cow::Owned)
    })
}
