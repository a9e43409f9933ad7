//! What the end of the journal says of the time before this daemon: a session that died with the last one is noticed
//! all the same. Read by a thread of its own, once.

use std::collections::HashMap;
use std::path::Path;

use hookring_journal::fields::Fields;
use hookring_journal::model::EventType;
use hookring_journal::{Reader, Seq};
use hookring_pipeline::OWN_AGENT;

use super::Moment;
use super::sessions::{MAX_SESSIONS, Session, cut};
use super::silence::{Agent, MAX_AGENTS};

/// So many events are read at most, and so many bytes.
const MAX_EVENTS: u64 = 50_000;
const MAX_BYTES: usize = 64 << 20;
/// As much as is in memory at once.
const BATCH_EVENTS: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// What was.
#[derive(Default)]
pub(in crate::run) struct Past {
    pub(super) sessions: Vec<Session>,
    pub(super) agents: Vec<Agent>,
}

/// Reads the events up to `last`. `now` is any moment by both clocks.
///
/// # Errors
/// The journal cannot be read.
pub(in crate::run) fn read_past(
    dir: &Path,
    last: Seq,
    now: Moment,
) -> Result<Past, hookring_journal::ReadError> {
    let mut reader = Reader::open(dir, last.saturating_sub(MAX_EVENTS - 1))?;
    let (mut gathered, mut bytes) = (Gathered { now, ..Gathered::default() }, 0);
    while bytes < MAX_BYTES {
        let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
        if batch.is_empty() {
            break;
        }
        bytes += batch.bytes().len();
        for line in batch.lines() {
            if line.seq > last {
                return Ok(gathered.past());
            }
            if let Ok(fields) = serde_json::from_slice::<Fields<'_>>(line.bytes) {
                gathered.note(&fields);
            }
        }
    }
    Ok(gathered.past())
}

#[derive(Default)]
struct Gathered {
    now: Moment,
    sessions: HashMap<(Box<str>, Box<str>), Session>,
    agents: HashMap<Box<str>, Agent>,
}

impl Gathered {
    fn note(&mut self, fields: &Fields<'_>) {
        let agent = fields.source.as_ref().and_then(|source| source.agent.as_deref()).unwrap_or("");
        if agent == OWN_AGENT {
            return self.note_own(fields);
        }
        let Ok(at) = fields.timestamp.parse::<jiff::Timestamp>() else { return };
        let wall_ns = i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
        let ago_ns = self.now.wall_ns.saturating_sub(wall_ns).max(0);
        let last = Moment { boot_ns: self.now.boot_ns.saturating_sub(ago_ns), wall_ns };
        let agent = cut(agent);
        if let Some(id) = &fields.session_id {
            let key = (agent.clone(), cut(id));
            if fields.event_type == EventType::SessionEnd.name() {
                self.sessions.remove(&key);
            } else if self.sessions.len() < MAX_SESSIONS || self.sessions.contains_key(&key) {
                let fresh = || Session::new(id, &agent, last);
                let session = self.sessions.entry(key).or_insert_with(fresh);
                session.events += 1;
                (session.last_seq, session.last) = (fields.seq, last);
            }
        }
        let is_room = self.agents.len() < MAX_AGENTS || self.agents.contains_key(&agent);
        if !agent.is_empty() && is_room {
            let fresh =
                || Agent { name: agent.clone(), events: 0, last_seq: 0, last, is_silent: false };
            let known = self.agents.entry(agent.clone()).or_insert_with(fresh);
            known.events += 1;
            (known.last_seq, known.last, known.is_silent) = (fields.seq, last, false);
        }
    }

    /// What was told before is not told again.
    fn note_own(&mut self, fields: &Fields<'_>) {
        let Some(payload) = fields.payload else { return };
        let payload = serde_json::from_str::<serde_json::Value>(payload.get()).unwrap_or_default();
        let text = |name: &str| payload[name].as_str().unwrap_or_default();
        if fields.event_type == EventType::SessionSilent.name() {
            self.sessions.remove(&(cut(text("agent")), cut(text("session_id"))));
        } else if fields.event_type == EventType::AgentSilent.name() {
            let is_silent = text("state") == "silent";
            if let Some(agent) = self.agents.get_mut(text("agent")) {
                agent.is_silent = is_silent;
            }
        }
    }

    fn past(self) -> Past {
        let (sessions, agents) = (self.sessions.into_values(), self.agents.into_values());
        Past { sessions: sessions.collect(), agents: agents.collect() }
    }
}
