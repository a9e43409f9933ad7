//! How a journal is written and how much of it is kept.

use std::time::Duration;

/// How a journal is written and how much of it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// A new segment is begun when one has this many bytes. Default: 64 MiB.
    pub segment_bytes: u64,
    /// When written lines are made to survive power loss. Default: every 100 ms.
    pub sync: SyncPolicy,
    /// Beyond this, the oldest segments are deleted unless some sink needs them. Default: 4 GiB.
    pub retention_bytes: Option<u64>,
    /// Segments whose last line is older are deleted unless some sink needs them. Default: 30 days.
    pub retention_age: Option<Duration>,
    /// Beyond this, the oldest segments are deleted even if some sink needs them. Default: 16 GiB.
    pub hard_limit_bytes: Option<u64>,
    /// What is kept in memory of the lines written last, for the sinks. Default: 8 MiB.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            sync: SyncPolicy::Interval(Duration::from_millis(100)),
            retention_bytes: Some(4 << 30),
            retention_age: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            hard_limit_bytes: Some(16 << 30),
            cache_bytes: 8 << 20,
        }
    }
}

/// When written lines are made to survive power loss. (They survive the death of the process in any
/// case.)
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SyncPolicy {
    /// At the latest this long after they were written: power loss costs so much.
    Interval(Duration),
    /// After every batch.
    EveryBatch,
    /// When the operating system pleases. Then [`Tail::synced`](crate::tail::Tail::synced) is what is written, and after power
    /// loss a sink may have got events that the journal no longer has.
    Never,
}
