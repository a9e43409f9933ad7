//! What the daemon says of its own life: the `payload` of the events in the namespace `system`.
//!
//! As with the other members of an event, this is the documented shape: the tables in `docs/events.md`
//! and the JSON Schema are made from it.

use serde::{Deserialize, Serialize};

use crate::model::EventType;

/// What one of the daemon's own events says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Own {
    /// See there.
    Start(DaemonStart),
    /// See there.
    Stop(DaemonStop),
    /// See there.
    Reload(DaemonReload),
    /// See there.
    Gap(DaemonGap),
    /// See there.
    Sink(SinkChange),
    /// See there.
    SessionSilent(SessionSilent),
    /// See there.
    HooksSlow(HooksSlow),
    /// See there.
    AgentSilent(AgentSilent),
}

impl Own {
    /// The event's type.
    pub fn kind(&self) -> EventType {
        match self {
            Own::Start(_) => EventType::DaemonStart,
            Own::Stop(_) => EventType::DaemonStop,
            Own::Reload(_) => EventType::DaemonReload,
            Own::Gap(_) => EventType::DaemonGap,
            Own::Sink(_) => EventType::SinkState,
            Own::SessionSilent(_) => EventType::SessionSilent,
            Own::HooksSlow(_) => EventType::HooksSlow,
            Own::AgentSilent(_) => EventType::AgentSilent,
        }
    }
}

/// The first event of each daemon.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DaemonStart {
    /// The daemon's version.
    pub version: String,
    /// How the daemon before it ended, as far as the end of the journal tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Ended>,
    /// Bytes of a line that was never finished, which were cut off.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub cut_bytes: u64,
    /// Damaged lines that were found at the end of the journal and are passed over.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub bad_lines: u64,
    /// Numbers that were left out to stay above every cursor.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub skipped_numbers: u64,
    /// A new key for the hashes of secrets was made, because there was none, though the journal has events: from
    /// here on a secret has another hash than before.
    #[serde(skip_serializing_if = "is_false", default)]
    pub new_redaction_key: bool,
}

/// How a daemon ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its last word, `daemon.stop`, is the journal's last.
    InOrder,
    /// It was killed, the power failed, or the journal took nothing any more.
    BrokenOff,
}

/// The last event of a daemon that ends in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DaemonStop {
    /// Why it ends: the signal's name, such as `SIGTERM`.
    pub reason: String,
    /// Events of hooks that it journaled since its start.
    pub events: u64,
}

/// The daemon was told to read its configuration again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DaemonReload {
    /// What came of it.
    pub result: Reloaded,
    /// The first line of what is wrong, if it was refused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What is different, in words, as the log has it: sinks, patterns and rules by name, settings without their
    /// values; of very many the first, and how many more.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<String>,
    /// How often this came before it could be journaled, if more than once; the latest counts.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub times: u64,
}

/// What came of a reload.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reloaded {
    /// The new configuration is in force.
    InForce,
    /// It is wrong; the earlier one stays in force.
    Refused,
}

/// Something was lost, dropped or given up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DaemonGap {
    /// What, and why.
    pub cause: GapCause,
    /// How much of it since the last event with this cause, in what the cause counts.
    pub count: u64,
    /// The sink that it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sink: Option<String>,
    /// The directory in which hooks and daemon meet that it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// The first number of the latest stretch that a sink lost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first: Option<u64>,
    /// The last one of that stretch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<u64>,
    /// What was wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub what: Option<String>,
}

/// Why something is gone, and what is counted.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// Numbers that a sink did not get, because the journal no longer had them.
    SinkLost,
    /// Events that hooks dropped, because neither ring nor spool took them.
    HooksDropped,
    /// Lanes of a ring that were found damaged.
    DamagedLanes,
    /// Bytes of damaged lanes in which no event could be found.
    DamagedBytes,
    /// Rings that were replaced for damage; what was whole in them is journaled.
    DamagedRing,
    /// Damaged entries of a spool, which were set aside.
    BadSpoolEntries,
    /// Events in files of the journal that somebody removed or cut off.
    JournalRemoved,
    /// Events deleted within the limits because the disk was full; every sink had them.
    DiskFull,
    /// Numbers that no event has: they were left out at the start, to stay above every cursor.
    SkippedNumbers,
    /// Events of the daemon itself, for which there was no room until they could be journaled.
    OwnEvents,
}

/// A sink began to fail, works again, or was switched off or on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SinkChange {
    /// Its name in the configuration.
    pub sink: String,
    /// What it does now, in the words of `hookring status`: `running`, `retrying`, `paused` (by a person) or `off`
    /// (the place wants nothing any more).
    pub state: String,
    /// What it did before: one of these, or `opening`.
    pub before: String,
    /// `open`, if nothing is sent to it for a while since it failed too often, or refuses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub breaker: Option<String>,
    /// What went wrong last, if it is `retrying`; why, if it is `paused` or `off`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// A session has not ended and said nothing for long (`health.session_silent`): killed, or waiting for somebody.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionSilent {
    /// The session's id.
    pub session_id: String,
    /// Its agent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<String>,
    /// How many events it sent, as far as the daemon knows.
    pub events: u64,
    /// The number of its last one.
    pub last_seq: u64,
    /// When that was published.
    pub last_event_at: String,
    /// How long ago that is, in seconds.
    pub silent_s: u64,
}

/// Of 100 hooks or more in five minutes, one in 100 took longer than `health.hook_p99`; or that was not so for five.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HooksSlow {
    /// Which of the two.
    pub state: SlowState,
    /// 99 of 100 took at most this long, in microseconds, from the hook's start to its publish.
    pub p99_us: u64,
    /// What they may take, in microseconds.
    pub limit_us: u64,
    /// How many hooks there were.
    pub hooks: u64,
}

/// Whether hooks are slow.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SlowState {
    /// They began to be.
    Slow,
    /// They are not any more, or there were none.
    Fine,
}

/// An agent that sent a hundred events or more sends none (`health.agent_silent`), or is not silent any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AgentSilent {
    /// The agent.
    pub agent: String,
    /// Which of these.
    pub state: SilenceState,
    /// How many events it had sent, as far as the daemon knows.
    pub events: u64,
    /// The number of the last one before the silence.
    pub last_seq: u64,
    /// When that was published.
    pub last_event_at: String,
    /// How long the silence lasted until now, in seconds.
    pub silent_s: u64,
}

/// Whether an agent is silent.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SilenceState {
    /// It became so.
    Silent,
    /// It sends events again.
    Back,
    /// It sends none, and is not missed any more: by another limit, or since 30 more days went by.
    Cleared,
}

fn is_false(truth: &bool) -> bool {
    !truth
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_one(count: &u64) -> bool {
    *count == 1
}

fn one() -> u64 {
    1
}
