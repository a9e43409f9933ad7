//! When the oldest event of the journal was published: looked up once for each oldest segment.

use std::path::Path;

use hookring_journal::{Reader, Seq};
use jiff::Timestamp;

/// What is known of the oldest event.
#[derive(Default)]
pub(super) struct Oldest {
    known: Option<(Seq, Timestamp)>,
}

impl Oldest {
    /// When the event with this number, or the first one behind it, was published. `None`: there is none, or it cannot
    /// be read now.
    pub(super) fn at(&mut self, journal_dir: &Path, seq: Seq) -> Option<Timestamp> {
        if self.known.is_none_or(|(known, _)| known != seq) {
            self.known = published_at(journal_dir, seq).map(|at| (seq, at));
        }
        self.known.map(|(_, at)| at)
    }
}

fn published_at(journal_dir: &Path, seq: Seq) -> Option<Timestamp> {
    let batch = Reader::open(journal_dir, seq).ok()?.next_batch(1, 1).ok()?;
    batch.lines().next()?.timestamp()
}
