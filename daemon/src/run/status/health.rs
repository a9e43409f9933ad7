//! What the status says of sessions, hooks and agents.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::run::health::Figures;

/// Sessions, hooks and agents, since the start unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthStatus {
    /// Sessions that have said something, have not ended and are not silent.
    pub active_sessions: u64,
    /// Sessions that went silent without an end.
    pub silent_sessions: u64,
    /// Events of sessions that are not watched, since there are too many.
    pub left_out_sessions: u64,
    /// The same of agents.
    pub left_out_agents: u64,
    /// Agents that used to send events and are silent now.
    pub silent_agents: Vec<SilentAgentStatus>,
    /// Agents that used to send events: those whose silence is told.
    pub watched_agents: Vec<String>,
    /// Set while hooks are slow.
    pub slow_hooks: Option<SlowHooksStatus>,
}

/// An agent that sends nothing any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SilentAgentStatus {
    /// Its name.
    pub agent: String,
    /// When its last event was published.
    pub last_event_at: Timestamp,
}

/// How long hooks took in the last minutes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlowHooksStatus {
    /// 99 of 100 took at most this long, in microseconds.
    pub p99_us: u64,
    /// What they may take.
    pub limit_us: u64,
    /// How many there were.
    pub hooks: u64,
}

impl From<&Figures> for HealthStatus {
    fn from(figures: &Figures) -> Self {
        let silent = figures.silent_agents.iter().map(|(agent, last)| SilentAgentStatus {
            agent: agent.clone(),
            last_event_at: last.timestamp(),
        });
        let slow = figures.slow_hooks.as_ref().map(|slow| SlowHooksStatus {
            p99_us: slow.p99_us,
            limit_us: slow.limit_us,
            hooks: slow.hooks,
        });
        HealthStatus {
            active_sessions: figures.active_sessions,
            silent_sessions: figures.silent_sessions,
            left_out_sessions: figures.left_out_sessions,
            left_out_agents: figures.left_out_agents,
            silent_agents: silent.collect(),
            watched_agents: figures.watched_agents.clone(),
            slow_hooks: slow,
        }
    }
}
