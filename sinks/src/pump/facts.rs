//! What the stats say beside what the worker knows: found in files when somebody asks, and only if something
//! has changed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hookring_journal::{Reader, Seq, Tail};

use crate::dead_letters::{DeadLetters, LetterCount};
use crate::stats::SinkStats;

/// Of one sink.
pub(super) struct Facts {
    journal_dir: PathBuf,
    dead_letters: DeadLetters,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    letters: LetterCount,
    oldest: Option<(Seq, SystemTime)>,
}

impl Facts {
    pub(super) fn new(journal_dir: PathBuf, dead_letters: DeadLetters) -> Facts {
        Facts { journal_dir, dead_letters, known: Mutex::default() }
    }

    /// Adds how many dead letters are kept, and when the oldest event that is not delivered was published.
    pub(super) fn fill(&self, stats: &mut SinkStats, tail: &Tail) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        stats.kept_dead_letters = known.letters.look(&self.dead_letters);
        let Some(oldest) = stats.oldest_undelivered else { return };
        if known.oldest.is_none_or(|(seq, _)| seq != oldest) {
            known.oldest = self.published_at(oldest, tail).map(|at| (oldest, at));
        }
        stats.oldest_at = known.oldest.map(|(_, at)| at);
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
