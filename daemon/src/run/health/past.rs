//! What the end of the journal says of the time before this daemon: a session that died with the last one is noticed
//! all the same. Read by a thread of its own, once.

use std::collections::HashMap;
use std::path::Path;

use hookring_journal::fields::Fields;
use hookring_journal::model::EventType;
use hookring_journal::{ReadError, Reader, Seq};
use hookring_pipeline::OWN_AGENT;

use super::Moment;
use super::sessions::{MAX_SESSIONS, Session, cut};
use super::silence::{Agent, MAX_AGENTS};

/// How much is read: the end of the journal, so that what came last is known.
#[derive(Copy, Clone)]
struct Limits {
    events: u64,
    bytes: usize,
}

const LIMITS: Limits = Limits { events: 50_000, bytes: 64 << 20 };
/// As much as is in memory at once.
const BATCH_EVENTS: usize = 256;
const BATCH_BYTES: usize = 1 << 20;

/// What was.
#[derive(Default)]
pub(in crate::run) struct Past {
    pub(super) sessions: Vec<Session>,
    pub(super) agents: Vec<Agent>,
    /// Events of sessions and of agents for which there was no room.
    pub(super) left_out_sessions: u64,
    pub(super) left_out_agents: u64,
}

/// Reads the events up to `last`. `now` is any moment by both clocks.
///
/// # Errors
/// The journal cannot be read.
pub(in crate::run) fn read_past(dir: &Path, last: Seq, now: Moment) -> Result<Past, ReadError> {
    read_within(dir, last, now, LIMITS)
}

fn read_within(dir: &Path, last: Seq, now: Moment, limits: Limits) -> Result<Past, ReadError> {
    let mut gathered = Gathered { now, ..Gathered::default() };
    each_line(dir, begin(dir, last, limits)?, last, |_, line| {
        if let Ok(fields) = serde_json::from_slice::<Fields<'_>>(line) {
            gathered.note(&fields);
        }
    })?;
    Ok(gathered.past())
}

/// The number with which to begin, so that what is from there to `last` is within the limits.
fn begin(dir: &Path, last: Seq, limits: Limits) -> Result<Seq, ReadError> {
    let oldest = last.saturating_sub(limits.events - 1);
    let (mut from, mut bytes) = (last + 1, 0);
    while from > oldest {
        let chunk = from.saturating_sub(BATCH_EVENTS as u64).max(oldest);
        let mut lengths = Vec::new();
        each_line(dir, chunk, from - 1, |seq, line| lengths.push((seq, line.len())))?;
        for (seq, length) in lengths.into_iter().rev() {
            bytes += length;
            if bytes > limits.bytes {
                return Ok(from);
            }
            from = seq;
        }
        from = chunk;
    }
    Ok(oldest)
}

/// The lines from one number to another, both included, in order.
fn each_line(
    dir: &Path,
    first: Seq,
    last: Seq,
    mut act: impl FnMut(Seq, &[u8]),
) -> Result<(), ReadError> {
    let mut reader = Reader::open(dir, first)?;
    loop {
        let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
        if batch.is_empty() {
            return Ok(());
        }
        for line in batch.lines() {
            if line.seq > last {
                return Ok(());
            }
            act(line.seq, line.bytes);
        }
    }
}

#[derive(Default)]
struct Gathered {
    now: Moment,
    sessions: HashMap<(Box<str>, Box<str>), Session>,
    agents: HashMap<Box<str>, Agent>,
    left_out_sessions: u64,
    left_out_agents: u64,
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
            self.note_session(fields, (agent.clone(), cut(id)), last);
        }
        if !agent.is_empty() {
            self.note_agent(fields, agent, last);
        }
    }

    fn note_session(&mut self, fields: &Fields<'_>, key: (Box<str>, Box<str>), last: Moment) {
        if fields.event_type == EventType::SessionEnd.name() {
            self.sessions.remove(&key);
            return;
        }
        if self.sessions.len() >= MAX_SESSIONS && !self.sessions.contains_key(&key) {
            self.left_out_sessions += 1;
            return;
        }
        let fresh = Session::new(&key.1, &key.0, last);
        let session = self.sessions.entry(key).or_insert(fresh);
        session.events += 1;
        (session.last_seq, session.last) = (fields.seq, last);
    }

    fn note_agent(&mut self, fields: &Fields<'_>, name: Box<str>, last: Moment) {
        if self.agents.len() >= MAX_AGENTS && !self.agents.contains_key(&name) {
            self.left_out_agents += 1;
            return;
        }
        let fresh = Agent { name: name.clone(), events: 0, last_seq: 0, last, is_silent: false };
        let known = self.agents.entry(name).or_insert(fresh);
        known.events += 1;
        (known.last_seq, known.last, known.is_silent) = (fields.seq, last, false);
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
        Past {
            sessions: self.sessions.into_values().collect(),
            agents: self.agents.into_values().collect(),
            left_out_sessions: self.left_out_sessions,
            left_out_agents: self.left_out_agents,
        }
    }
}

#[cfg(test)]
mod tests;
