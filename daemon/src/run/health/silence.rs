//! Agents that used to send events.

use std::time::Duration;

use hookring_journal::Seq;
use hookring_journal::system::{AgentSilent, SilenceState};

use super::sessions::shortened;
use super::{Moment, agent_silent};

/// So many agents are watched at most; events of others are counted.
pub(super) const MAX_AGENTS: usize = 64;
/// One that sent fewer events did not use to send any.
pub(super) const MIN_EVENTS: u64 = 100;

/// One that sends nothing for so long after it could be told silent is not used any more: it is forgotten.
pub(super) const FORGET: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::run) struct Agent {
    pub(super) name: Box<str>,
    pub(super) events: u64,
    pub(super) last_seq: Seq,
    pub(super) last: Moment,
    /// It was told that it is silent.
    pub(super) is_silent: bool,
}

/// Those that are known: few, so the last one is nearly always found at once.
#[derive(Default)]
pub(super) struct Agents {
    known: Vec<Agent>,
    /// Whose event was noted last.
    noted: Option<usize>,
    /// The place of the one that was looked for last.
    last: usize,
    /// Those that were silent and are back, with what was told of them.
    back: Vec<AgentSilent>,
    left_out: u64,
}

impl Agents {
    pub(super) fn note(&mut self, name: &str, now: Moment) {
        self.noted = None;
        // Nobody can say that nobody stopped.
        if name.is_empty() {
            return;
        }
        let Some(at) = self.place(name) else {
            self.left_out += 1;
            return;
        };
        let agent = &mut self.known[at];
        if std::mem::take(&mut agent.is_silent) {
            let was = (agent.events, agent.last_seq, agent.last);
            let silent = now.since(agent.last);
            self.back.push(agent_silent(&agent.name, SilenceState::Back, was, silent));
        }
        agent.events += 1;
        agent.last = now;
        (self.noted, self.last) = (Some(at), at);
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        if self.known.get(self.last).is_some_and(|agent| *agent.name == *name) {
            return Some(self.last);
        }
        let name = shortened(name);
        let found = self.known.iter().position(|agent| *agent.name == *name);
        found.or_else(|| {
            let is_room = self.known.len() < MAX_AGENTS;
            let name = name.into();
            let agent =
                Agent { name, events: 0, last_seq: 0, last: Moment::default(), is_silent: false };
            is_room.then(|| self.known.push(agent))?;
            Some(self.known.len() - 1)
        })
    }

    pub(super) fn numbered(&mut self, seq: Seq) {
        if let Some(at) = self.noted.take() {
            self.known[at].last_seq = seq;
        }
    }

    /// Takes in those that sent events before this daemon. `left_out`: events of others, for which there was no room.
    pub(super) fn remember(&mut self, past: Vec<Agent>, left_out: u64) {
        self.left_out += left_out;
        for agent in past {
            match self.known.iter().position(|known| known.name == agent.name) {
                Some(at) => {
                    let known = &mut self.known[at];
                    known.events += agent.events;
                    if agent.is_silent {
                        let was = (agent.events, agent.last_seq, agent.last);
                        let silent = known.last.since(agent.last);
                        self.back.push(agent_silent(&agent.name, SilenceState::Back, was, silent));
                    }
                }
                None if self.known.len() < MAX_AGENTS => self.known.push(agent),
                None => self.left_out += agent.events,
            }
        }
    }

    /// Those that are silent for longer than `limit` now, those that are back, and those that were told to be silent and
    /// are no more, by another limit or since they are forgotten. Zero: none is silent.
    pub(super) fn look(&mut self, now: Moment, limit: Duration) -> Vec<AgentSilent> {
        let mut told = std::mem::take(&mut self.back);
        self.known.retain_mut(|agent| {
            let silent = now.since(agent.last);
            let is_forgotten = silent > limit.saturating_add(FORGET);
            let is_beyond = !limit.is_zero() && !is_forgotten && silent > limit;
            // Of one that was told silent before this daemon, perhaps not all that it sent is known.
            let is_known = agent.is_silent || agent.events >= MIN_EVENTS;
            let is_silent = is_beyond && is_known;
            if is_silent != agent.is_silent {
                agent.is_silent = is_silent;
                let state = if is_silent { SilenceState::Silent } else { SilenceState::Cleared };
                let was = (agent.events, agent.last_seq, agent.last);
                told.push(agent_silent(&agent.name, state, was, silent));
            }
            !is_forgotten
        });
        // Places are others now.
        (self.noted, self.last) = (None, 0);
        told
    }

    pub(super) fn silent(&self) -> Vec<(String, Moment)> {
        let silent = self.known.iter().filter(|agent| agent.is_silent);
        silent.map(|agent| (agent.name.to_string(), agent.last)).collect()
    }

    /// Those that can be silent.
    pub(super) fn watched(&self) -> Vec<String> {
        let is_watched = |it: &&Agent| it.is_silent || it.events >= MIN_EVENTS;
        let watched = self.known.iter().filter(is_watched);
        watched.map(|agent| agent.name.to_string()).collect()
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }
}
