//! What the stats say beside what the worker knows: found in the journal when somebody asks, and only if
//! something has changed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hookring_journal::{Reader, Seq, Tail};

use crate::stats::SinkStats;

/// How often the journal's files are read for it, at most: a sink that catches up is elsewhere at each look.
const OLDEST_INTERVAL: Duration = Duration::from_secs(1);

/// Of one sink.
pub(super) struct Facts {
    journal_dir: PathBuf,
    /// The oldest event that is not delivered, as it was found last.
    oldest: Mutex<Option<Oldest>>,
}

/// When an event was published, and when that was looked up.
struct Oldest {
    seq: Seq,
    at: SystemTime,
    looked: Instant,
}

impl Facts {
    pub(super) fn new(journal_dir: PathBuf) -> Facts {
        Facts { journal_dir, oldest: Mutex::default() }
    }

    /// Adds when the oldest event that is not delivered was published: that of one before it, if the last look was
    /// less than a second ago.
    pub(super) fn fill(&self, stats: &mut SinkStats, tail: &Tail) {
        let Some(oldest) = stats.oldest_undelivered else { return };
        let mut known = self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        stats.oldest_at = self.oldest_at(&mut known, oldest, tail, Instant::now());
    }

    fn oldest_at(
        &self,
        known: &mut Option<Oldest>,
        seq: Seq,
        tail: &Tail,
        now: Instant,
    ) -> Option<SystemTime> {
        let is_recent = |it: &Oldest| {
            it.seq < seq && now.saturating_duration_since(it.looked) < OLDEST_INTERVAL
        };
        if known.as_ref().is_none_or(|it| it.seq != seq && !is_recent(it)) {
            let at = self.published_at(seq, tail);
            *known = at.map(|at| Oldest { seq, at, looked: now });
        }
        known.as_ref().map(|it| it.at)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestJournal;

    #[test]
    fn the_files_are_read_once_in_a_second_for_a_sink_that_goes_on() {
        let mut journal = TestJournal::new();
        journal.write_many(9);
        let (facts, tail) = (Facts::new(journal.path("journal")), journal.tail());
        let published = |seq| journal.batch(seq, 1).lines().next()?.timestamp();
        let published = |seq| published(seq).map(SystemTime::from);
        let (mut known, begin) = (None, Instant::now());
        for (seq, after_ms, expected) in
            [(3, 0, 3), (3, 5000, 3), (5, 5001, 5), (7, 5500, 5), (7, 6001, 7), (6, 6002, 6)]
        {
            let now = begin + Duration::from_millis(after_ms);
            let at = facts.oldest_at(&mut known, seq, &tail, now);
            assert_eq!(at, published(expected), "{seq} after {after_ms} ms");
        }
    }
}
