//! A journal in figures.

use std::time::Duration;

use super::Journal;
use crate::Seq;

/// A journal in figures. Counters begin at 0 when the journal is opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Segments, the one being written included.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Disk space set aside for the current segment, its bytes included; 0: none could be.
    pub reserved_bytes: u64,
    /// The first number of the oldest segment.
    pub oldest_seq: Seq,
    /// The number that the next event gets.
    pub next_seq: Seq,
    /// The last number written.
    pub written_seq: Seq,
    /// The last number synced.
    pub synced_seq: Seq,
    /// Bytes staged and not yet written.
    pub staged_bytes: usize,
    /// Bytes written and not yet synced.
    pub unsynced_bytes: usize,
    /// The current segment was sealed after an error and waits for [`Journal::rotate`].
    pub sealed: bool,
    /// Batches written.
    pub commits: u64,
    /// Batches that could not be written at the first attempt, or again.
    pub commit_errors: u64,
    /// Segments begun.
    pub rotations: u64,
    /// Syncs done.
    pub syncs: u64,
    /// Syncs failed.
    pub sync_errors: u64,
    /// Time spent in syncs.
    pub sync_time: Duration,
    /// The longest one.
    pub sync_time_max: Duration,
    /// Segments deleted by retention.
    pub deleted_segments: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
    /// Segments among them that were deleted within the limits, because the disk was full.
    pub sacrificed_segments: u64,
    /// Their bytes.
    pub sacrificed_bytes: u64,
    /// Their numbers.
    pub sacrificed_events: u64,
    /// Segments that somebody else removed while the journal was open.
    pub removed_segments: u64,
    /// Numbers that went with them; what was written again is not among them.
    pub removed_events: u64,
    /// Numbers deleted by retention although a sink still needed them.
    pub given_up_events: u64,
}

impl Journal {
    /// The journal in figures, as of now.
    pub fn stats(&self) -> Stats {
        let counters = self.counters;
        let older_bytes = self.older.iter().map(|segment| segment.bytes).sum::<u64>();
        Stats {
            segments: self.older.len() as u64 + 1,
            bytes: older_bytes + self.current.bytes,
            reserved_bytes: self.current.reserved_bytes,
            oldest_seq: self.older.front().map_or(self.current.first, |segment| segment.first),
            next_seq: self.next_seq,
            written_seq: self.tail.written(),
            synced_seq: self.tail.synced(),
            staged_bytes: self.staged.len(),
            unsynced_bytes: self.unsynced.bytes,
            sealed: self.current.is_sealed(),
            commits: counters.commits,
            commit_errors: counters.commit_errors,
            rotations: counters.rotations,
            syncs: counters.syncs,
            sync_errors: counters.sync_errors,
            sync_time: counters.sync_time,
            sync_time_max: counters.sync_time_max,
            deleted_segments: counters.deleted_segments,
            deleted_bytes: counters.deleted_bytes,
            sacrificed_segments: counters.sacrificed_segments,
            sacrificed_bytes: counters.sacrificed_bytes,
            sacrificed_events: counters.sacrificed_events,
            removed_segments: counters.removed_segments,
            removed_events: counters.removed_events,
            given_up_events: counters.given_up_events,
        }
    }
}

/// What the writer counts.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: u64,
    pub(super) commit_errors: u64,
    pub(super) rotations: u64,
    pub(super) syncs: u64,
    pub(super) sync_errors: u64,
    pub(super) sync_time: Duration,
    pub(super) sync_time_max: Duration,
    pub(super) deleted_segments: u64,
    pub(super) deleted_bytes: u64,
    pub(super) sacrificed_segments: u64,
    pub(super) sacrificed_bytes: u64,
    pub(super) sacrificed_events: u64,
    pub(super) removed_segments: u64,
    pub(super) removed_events: u64,
    pub(super) given_up_events: u64,
}
