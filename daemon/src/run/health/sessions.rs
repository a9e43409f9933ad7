//! The sessions that go on, as far as anybody knows.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::fast::RandomState;
use hookring_journal::Seq;
use hookring_journal::model::EventType;
use hookring_pipeline::Summary;

use super::Moment;

/// So many sessions are watched at most; what comes beyond is counted.
pub(super) const MAX_SESSIONS: usize = 4096;
/// The longest id and the longest name that are kept, in bytes; what is beyond is cut.
const MAX_TEXT_BYTES: usize = 256;
/// So many are told to be silent with one look; the others come with the next one.
const MAX_TOLD: usize = 64;
/// A session that nobody wants to know of is forgotten after so long.
const FORGET: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::run) struct Session {
    pub(super) id: Box<str>,
    /// Empty: nobody knows.
    pub(super) agent: Box<str>,
    pub(super) events: u64,
    pub(super) last_seq: Seq,
    pub(super) last: Moment,
}

impl Session {
    pub(super) fn new(id: &str, agent: &str, last: Moment) -> Session {
        Session { id: cut(id), agent: cut(agent), events: 0, last_seq: 0, last }
    }
}

/// All that go on.
#[derive(Default)]
pub(super) struct Sessions {
    hasher: RandomState,
    /// By the hash of agent and id.
    known: HashMap<u64, Session, RandomState>,
    /// That of the last event.
    noted: Option<u64>,
    /// What was before the daemon is known.
    is_past_known: bool,
    /// Those that ended until then.
    ended: Vec<u64>,
    left_out: u64,
}

impl Sessions {
    pub(super) fn note(&mut self, it: &Summary<'_>, now: Moment) {
        self.noted = None;
        let Some(id) = it.session else { return };
        let key = self.key(it.agent, id);
        if it.kind == Some(EventType::SessionEnd) {
            self.known.remove(&key);
            if !self.is_past_known && self.ended.len() < MAX_SESSIONS {
                self.ended.push(key);
            }
            return;
        }
        let is_full = self.known.len() >= MAX_SESSIONS;
        let session = match self.known.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if is_full => {
                self.left_out += 1;
                return;
            }
            Entry::Vacant(entry) => entry.insert(Session::new(id, it.agent, now)),
        };
        session.events += 1;
        session.last = now;
        self.noted = Some(key);
    }

    pub(super) fn numbered(&mut self, seq: Seq) {
        if let Some(session) = self.noted.take().and_then(|key| self.known.get_mut(&key)) {
            session.last_seq = seq;
        }
    }

    /// Takes in those that had not ended when this daemon began. What came since counts. `left_out`: events of others,
    /// for which there was no room.
    pub(super) fn remember(&mut self, past: Vec<Session>, left_out: u64) {
        let ended: HashSet<_> = std::mem::take(&mut self.ended).into_iter().collect();
        self.is_past_known = true;
        self.left_out += left_out;
        for session in past {
            let key = self.key(&session.agent, &session.id);
            if let Some(known) = self.known.get_mut(&key) {
                known.events += session.events;
            } else if ended.contains(&key) {
                // Not watched any more.
            } else if self.known.len() >= MAX_SESSIONS {
                self.left_out += session.events;
            } else {
                self.known.insert(key, session);
            }
        }
    }

    /// Those that are silent for longer than `limit`, with how long; they are forgotten, and new if they go on.
    /// Zero: none is.
    pub(super) fn look(&mut self, now: Moment, limit: Duration) -> Vec<(Session, Duration)> {
        let is_told = !limit.is_zero();
        let limit = if is_told { limit } else { FORGET };
        let silent = self.known.iter().filter(|(_, session)| now.since(session.last) > limit);
        let mut keys: Vec<_> = silent.map(|(key, session)| (session.last.boot_ns, *key)).collect();
        keys.sort_unstable();
        let taken = keys.into_iter().take(MAX_TOLD).filter_map(|(_, key)| self.known.remove(&key));
        let told = taken.map(|session| {
            let silent = now.since(session.last);
            (session, silent)
        });
        told.filter(|_| is_told).collect()
    }

    pub(super) fn active(&self) -> u64 {
        self.known.len() as u64
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    fn key(&self, agent: &str, id: &str) -> u64 {
        // As they are kept: one that is remembered is the same.
        self.hasher.hash_one((shortened(agent), shortened(id)))
    }
}

/// As it is kept.
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

pub(super) fn cut(text: &str) -> Box<str> {
    shortened(text).into()
}
