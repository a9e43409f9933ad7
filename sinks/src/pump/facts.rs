//! What the stats say beside what the worker knows: found in the journal when somebody asks, and only if
//! something has changed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hookring_journal::{Reader, Seq, Tail};

use crate::stats::SinkStats;

/// Of one sink.
pub(super) struct Facts {
    journal_dir: PathBuf,
    /// The oldest event that is not delivered, as it was found last.
    oldest: Mutex<Option<(Seq, SystemTime)>>,
}

impl Facts {
    pub(super) fn new(journal_dir: PathBuf) -> Facts {
        Facts { journal_dir, oldest: Mutex::default() }
    }

    /// Adds when the oldest event that is not delivered was published.
    pub(super) fn fill(&self, stats: &mut SinkStats, tail: &Tail) {
        let Some(oldest) = stats.oldest_undelivered else { return };
        let mut known = self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|(seq, _)| seq != oldest) {
            *known = self.published_at(oldest, tail).map(|at| (oldest, at));
        }
        stats.oldest_at = known.map(|(_, at)| at);
    }

    /// When an event, or the first one behind it, was published.
    fn published_at(&self, seq: Seq, tail: &Tail) -> Option<SystemTime> {
        if let Some(chunk) = tail.chunk(seq) {
            let line = chunk.lines().find(|line| line.seq >= seq)?;
            return line.timestamp().map(SystemTime::from);
        }
        let batch = Reader::open(&self.journal_dir, seq).ok()?.next_batch(1, 1).ok()?;
        batch.lines().next()?.timestamp().map(SystemTime::from)
    }
}
