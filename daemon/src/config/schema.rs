//! What can be configured outside the sinks: each setting's type, default and range, once.

use std::time::Duration;

use tracing::Level;

use super::reader::Section;
use super::units::{DAY_MS, GIB, HOUR_MS, KIB, MIB, SECOND_MS, TIB, format_size};

/// The most that a ring may take, in bytes: it is kept in memory.
pub const MAX_RING_BYTES: u64 = 4 * GIB;

/// `[bus]`: the ring and the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusConfig {
    /// How many producers can publish at the same moment without the spool. 1 to 1024.
    pub lanes: u32,
    /// The size of each lane, a power of two from 16 KiB to 64 MiB.
    pub lane_bytes: u64,
    /// How much the spool may hold. 1 MiB to 1 TiB.
    pub spool_bytes: u64,
}

/// `[journal]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// The size at which a segment is followed by the next. 64 KiB to 4 GiB.
    pub segment_bytes: u64,
    /// When what was written is made to survive the loss of power.
    pub sync: SyncPolicy,
    /// What of the journal is kept, at least one segment's size.
    pub retention_bytes: u64,
    /// How long events are kept. 1 hour to 3650 days.
    pub retention_age: Duration,
    /// What is kept for sinks that have not got it yet, at least `retention_bytes`.
    pub hard_limit_bytes: u64,
    /// The memory for batches that the sinks have not read yet. 64 KiB to 1 GiB.
    pub cache_bytes: u64,
}

/// When the journal is synced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// This long after a write at the latest. 1 ms to 1 hour.
    Interval(Duration),
    /// After each batch.
    EveryBatch,
    /// When the system likes to.
    Never,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important messages that are logged.
    pub level: Level,
}

/// `[health]`. A limit of zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthConfig {
    /// How long a session may say nothing before it is told that it is silent. 0 to 30 days.
    pub session_silent: Duration,
    /// What 99 of 100 hooks may take. 0 to 1 minute.
    pub hook_p99: Duration,
    /// How long an agent that used to send events may send none. 0 to 30 days.
    pub agent_silent: Duration,
}

impl Default for HealthConfig {
    fn default() -> Self {
        HealthConfig { session_silent: ms(HOUR_MS), hook_p99: ms(50), agent_silent: ms(3 * DAY_MS) }
    }
}

pub(super) fn bus(mut section: Section<'_, '_>) -> BusConfig {
    let lanes = section.integer("lanes", 32, 1..=1024);
    let lane_bytes = section.size("lane_bytes", 256 * KIB, 16 * KIB..=64 * MIB);
    let spool_bytes = section.size("spool_bytes", 256 * MIB, MIB..=TIB);
    let nearest = format_size(lane_bytes.next_power_of_two());
    section.require(
        "lane_bytes",
        &[],
        lane_bytes.is_power_of_two(),
        "this must be a power of two",
        format!("the next one is \"{nearest}\""),
    );
    section.require(
        "lane_bytes",
        &["lanes"],
        lanes * lane_bytes <= MAX_RING_BYTES,
        "the ring would take more than 4GiB of memory",
        "make `lanes` or `lane_bytes` smaller: the ring takes the one times the other".to_owned(),
    );
    section.finish();
    BusConfig { lanes: u32::try_from(lanes).unwrap_or(u32::MAX), lane_bytes, spool_bytes }
}

pub(super) fn journal(mut section: Section<'_, '_>) -> JournalConfig {
    let segment_bytes = section.size("segment_bytes", 64 * MIB, 64 * KIB..=4 * GIB);
    let words = [("interval", 0), ("every_batch", 1), ("never", 2)];
    let sync = section.choice("sync", Some(0), &words);
    let interval = section.duration("sync_interval", ms(100), ms(1)..=ms(HOUR_MS));
    // Half a million events of usual size, which is months of one person's work and little beside
    // what else is in a home directory.
    let retention_bytes = section.size("retention_bytes", GIB, 64 * KIB..=64 * TIB);
    let retention_age =
        section.duration("retention_age", ms(30 * DAY_MS), ms(HOUR_MS)..=ms(MAX_AGE_MS));
    // Four times retention: a sink may be down for weeks before it loses anything, and a sink that
    // nobody repairs cannot fill the disk.
    let hard_limit = retention_bytes.saturating_mul(4);
    let hard_limit_bytes = section.size("hard_limit_bytes", hard_limit, 64 * KIB..=256 * TIB);
    let cache_bytes = section.size("cache_bytes", 8 * MIB, 64 * KIB..=GIB);
    section.require(
        "retention_bytes",
        &["segment_bytes"],
        retention_bytes >= segment_bytes,
        "this is less than one segment, the least that can be deleted",
        "make it at least `segment_bytes`, or make that smaller".to_owned(),
    );
    // Retention is at least one segment, whatever it was meant to be.
    let (kept, others): (_, &[_]) = if section.is_known("retention_bytes") {
        (retention_bytes, &["retention_bytes"])
    } else {
        (segment_bytes, &["segment_bytes"])
    };
    section.require(
        "hard_limit_bytes",
        others,
        hard_limit_bytes >= kept,
        "this is less than what is kept anyway",
        "make it at least `retention_bytes`, or leave it out for four times that".to_owned(),
    );
    section.finish();
    let sync = match sync {
        Some(1) => SyncPolicy::EveryBatch,
        Some(2) => SyncPolicy::Never,
        _ => SyncPolicy::Interval(interval),
    };
    JournalConfig {
        segment_bytes,
        sync,
        retention_bytes,
        retention_age,
        hard_limit_bytes,
        cache_bytes,
    }
}

pub(super) fn log(mut section: Section<'_, '_>) -> LogConfig {
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let level = section.choice("level", Some(Level::INFO), &levels).unwrap_or(Level::INFO);
    section.finish();
    LogConfig { level }
}

pub(super) fn health(mut section: Section<'_, '_>) -> HealthConfig {
    let default = HealthConfig::default();
    let month = ms(30 * DAY_MS);
    let health = HealthConfig {
        session_silent: section.duration("session_silent", default.session_silent, ms(0)..=month),
        hook_p99: section.duration("hook_p99", default.hook_p99, ms(0)..=ms(60 * SECOND_MS)),
        agent_silent: section.duration("agent_silent", default.agent_silent, ms(0)..=month),
    };
    section.finish();
    health
}

/// Ten years, the longest that anything can be kept.
pub(super) const MAX_AGE_MS: u64 = 3650 * DAY_MS;

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
