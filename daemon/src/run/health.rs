//! The daemon's own health loop: notices that a session went silent without ending, that hooks became slow, that an
//! agent stopped sending. Without clock, thread or file: it is told of each event and what time it is.
//!
//! Times are of the machine's own clock (`CLOCK_BOOTTIME`), so that a wall clock that is set finds nobody silent.

mod hooks;
mod past;
mod sessions;
mod silence;

use std::time::Duration;

use hookring_journal::Seq;
use hookring_journal::system::{
    AgentSilent, HooksSlow, Own, SessionSilent, SilenceState, SlowState,
};
use hookring_pipeline::{OWN_AGENT, Step, Summary, Watch};
use jiff::Timestamp;

use crate::config::HealthConfig;
use hooks::Hooks;
pub(super) use past::{Past, read_past};
use sessions::Sessions;
use silence::Agents;

/// When something happened, by both clocks.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Moment {
    /// `CLOCK_BOOTTIME`; below zero: before the machine's start.
    pub(super) boot_ns: i64,
    /// Unix time.
    pub(super) wall_ns: i64,
}

impl Moment {
    fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(
            u64::try_from(self.boot_ns.saturating_sub(earlier.boot_ns)).unwrap_or(0),
        )
    }

    /// By the wall clock.
    pub(super) fn timestamp(self) -> Timestamp {
        Timestamp::from_nanosecond(self.wall_ns.into()).unwrap_or_default()
    }

    fn text(self) -> String {
        self.timestamp().to_string()
    }
}

/// What is watched.
#[derive(Default)]
pub(super) struct Health {
    config: HealthConfig,
    sessions: Sessions,
    agents: Agents,
    hooks: Hooks,
    now: Moment,
    figures: Figures,
}

/// What is counted of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Figures {
    pub(super) active_sessions: u64,
    pub(super) silent_sessions: u64,
    pub(super) left_out_sessions: u64,
    pub(super) left_out_agents: u64,
    /// Those that are silent now, with their last event's time.
    pub(super) silent_agents: Vec<(String, Moment)>,
    /// All whose silence is told.
    pub(super) watched_agents: Vec<String>,
    /// The figures of hooks, while they are slow.
    pub(super) slow_hooks: Option<HooksSlow>,
}

impl Health {
    /// What comes from here on comes at this moment.
    pub(super) fn set_now(&mut self, now: Moment) {
        self.now = now;
    }

    pub(super) fn set_config(&mut self, config: HealthConfig) {
        self.config = config;
    }

    /// An event was made; [`Health::numbered`] says its number.
    pub(super) fn note(&mut self, it: &Summary<'_>) {
        if it.agent == OWN_AGENT {
            return;
        }
        self.sessions.note(it, self.now);
        self.agents.note(it.agent, self.now);
        if it.elapsed_us > 0 {
            self.hooks.note(it.elapsed_us, self.now);
        }
    }

    /// The event that was noted last has this number.
    pub(super) fn numbered(&mut self, seq: Seq) {
        self.sessions.numbered(seq);
        self.agents.numbered(seq);
    }

    /// Takes in what the end of the journal told of the time before this daemon.
    pub(super) fn remember(&mut self, past: Past) {
        self.sessions.remember(past.sessions, past.left_out_sessions);
        self.agents.remember(past.agents, past.left_out_agents);
    }

    /// What is new since the last look; to be called once a second.
    pub(super) fn look(&mut self, now: Moment) -> Vec<Own> {
        self.now = now;
        let mut news = Vec::new();
        for (session, silent) in self.sessions.look(now, self.config.session_silent) {
            self.figures.silent_sessions += 1;
            news.push(Own::SessionSilent(SessionSilent {
                session_id: session.id.into(),
                agent: Some(session.agent.into()).filter(|agent: &String| !agent.is_empty()),
                events: session.events,
                last_seq: session.last_seq,
                last_event_at: session.last.text(),
                silent_s: silent.as_secs(),
            }));
        }
        news.extend(
            self.agents.look(now, self.config.agent_silent).into_iter().map(Own::AgentSilent),
        );
        news.extend(self.hooks.look(now, self.config.hook_p99).map(Own::HooksSlow));
        news
    }

    /// As of the last look.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            active_sessions: self.sessions.active(),
            left_out_sessions: self.sessions.left_out(),
            left_out_agents: self.agents.left_out(),
            silent_agents: self.agents.silent(),
            watched_agents: self.agents.watched(),
            slow_hooks: self.hooks.slow(),
            ..self.figures.clone()
        }
    }
}

impl Watch for Health {
    fn done(&mut self, _step: Step) {}

    fn made(&mut self, summary: &Summary<'_>) {
        self.note(summary);
    }
}

/// Builds what an agent's silence, or its end, is told with.
fn agent_silent(
    name: &str,
    state: SilenceState,
    (events, last_seq, last): (u64, Seq, Moment),
    silent: Duration,
) -> AgentSilent {
    AgentSilent {
        agent: name.to_owned(),
        state,
        events,
        last_seq,
        last_event_at: last.text(),
        silent_s: silent.as_secs(),
    }
}

/// Whole microseconds.
fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Builds what is told of hooks.
fn hooks_slow(state: SlowState, p99_us: u64, limit: Duration, hooks: u64) -> HooksSlow {
    HooksSlow { state, p99_us, limit_us: us(limit), hooks }
}

#[cfg(test)]
mod tests;
