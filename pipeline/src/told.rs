//! What only earlier events can tell of one: that it was told before, when its call began, what its agent has
//! done since.

use std::borrow::Cow;

use hookring_journal::model::{EventType, Operation};

use crate::activity::{Activity, Call, Sameness, Work};
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
        nested: Option<Value<'a>>,
    ) -> Told<'a> {
        let call = Call { event_id: received.id, timestamp_ns: received.timestamp_ns };
        let session = facts.text(Field::Session);
        let who = (facts.agent.name, session.as_deref());
        let deed = (facts.is_tool()).then(|| Deed::of(facts, nested));
        let mut told = Told { deed, ..Told::default() };
        told.duplicate_of = told.note_report(activity, received, facts, who, call);
        if told.duplicate_of.is_none() {
            told.note_call(activity, facts, who, call);
        }
        told
    }

    /// Whether it was reported before.
    fn note_report(
        &self,
        activity: &mut Activity,
        received: &Received<'_>,
        facts: &Facts<'a>,
        who: (&str, Option<&str>),
        call: Call,
    ) -> Option<[u8; 16]> {
        if received.payload.is_empty() {
            return None;
        }
        let own_name = activity.key(facts.event.as_deref());
        let id = facts.text(Field::ToolUseId);
        let same_bytes = activity.key((received.event, received.arguments, received.payload));
        let sameness = if id.is_some() { Sameness::Id } else { Sameness::Bytes };
        let duplicate = activity.report((same_bytes, sameness), own_name, call);
        let deed = self.deed.as_ref();
        let about = deed.and_then(|deed| deed.command.as_deref().or(deed.file_path.as_deref()));
        let same_deed = about.map(|about| activity.key((who, facts.kind, facts.operation, about)));
        let other =
            same_deed.and_then(|key| activity.report((key, Sameness::Deed), own_name, call));
        duplicate.or(other)
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
            if matches!(
                facts.kind,
                Some(EventType::AgentStop | EventType::TurnEnd | EventType::TurnFail)
            ) {
                self.work = activity.take_work(agent);
            }
            return;
        };
        let keys = self.call_keys(activity, facts, agent, deed);
        let keys = keys.into_iter().flatten();
        match facts.kind {
            Some(EventType::ToolPre) => activity.begin(keys, call),
            Some(EventType::ToolPost | EventType::ToolFail) => {
                self.began = activity.call(keys.clone());
                activity.end(keys);
                let is_write = facts.operation == Some(Operation::Write);
                let file = deed.file_path.as_deref().filter(|_| is_write);
                activity.work(agent, facts.tool_name.as_deref().unwrap_or_default(), file);
            }
            _ => self.began = activity.call(keys),
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
        let about = deed.command.as_deref().or(deed.file_path.as_deref()).map(Cow::Borrowed);
        let about = about.or_else(|| {
            let mut text = Vec::new();
            deed.input?.write_to(&mut text);
            String::from_utf8(text).ok().map(Cow::Owned)
        });
        let tool = facts.tool_name.as_deref();
        [id, about.map(|about| activity.key((agent, 1, tool, about)))]
    }
}
