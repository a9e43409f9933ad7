//! What the daemon tells in figures: counters, gauges and histograms in Prometheus's text format.
//!
//! Only what is of each event is counted as it comes ([`EventMetrics`]); everything else is written from a
//! [`Snapshot`] when somebody asks. A scrape takes no lock that the collector waits for: what the two share are
//! atomics, and a list of series that the collector adds to only if nobody reads it just then.

mod events;
mod family;
mod labels;
mod openmetrics;
mod process;
mod ready;
mod series;
mod status;
mod text;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::run::status::Status;
pub use events::EventMetrics;
use events::Events;
pub use family::{FAMILIES, Family, Kind};
pub use labels::{LIMITS, MAX_LABEL_BYTES};
pub use openmetrics::open_metrics;
pub use ready::not_ready;
use series::Histogram;
use text::Text;

/// All figures of a daemon. Cheap to share; one for each daemon, none of the process.
pub struct Metrics {
    events: Events,
    publish_to_journal: Histogram,
    journal_sync: Histogram,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// What takes secrets out, whether it ever did or not.
    rules: Mutex<BTreeSet<String>>,
}

/// What the daemon said of itself last.
pub struct Snapshot {
    /// Its status.
    pub status: Status,
    /// When that was taken.
    pub taken: Instant,
    /// The collector answered when it was asked for its figures.
    pub is_collecting: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            events: Events::default(),
            publish_to_journal: Histogram::plain(family::PUBLISH_BOUNDS),
            journal_sync: Histogram::plain(family::SYNC_BOUNDS),
            snapshot: Mutex::default(),
            rules: Mutex::default(),
        }
    }
}

impl Metrics {
    /// A record was journaled so long after it was published.
    pub fn note_journaled(&self, took_ns: u64) {
        self.publish_to_journal.add(took_ns);
    }

    /// A sync of the journal took so long.
    pub fn note_sync(&self, took_ns: u64) {
        self.journal_sync.add(took_ns);
    }

    /// These rules take secrets out from here on. What a rule that is off now took out is counted as before.
    pub fn set_rules<'a>(&self, rules: impl Iterator<Item = &'a str>) {
        let rules = rules.map(str::to_owned).collect();
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Takes the place of what was said before.
    pub fn set_snapshot(&self, snapshot: Snapshot) {
        let snapshot = Some(Arc::new(snapshot));
        let before = std::mem::replace(
            &mut *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner),
            snapshot,
        );
        // Not while others wait for the lock.
        drop(before);
    }

    /// What was said last; `None`: the daemon is about to start.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it in Prometheus's text format, as of now.
    pub fn render(&self) -> String {
        let mut text = Text::default();
        self.events.write(&mut text);
        text.family(&family::PUBLISH_TO_JOURNAL).histogram(&self.publish_to_journal);
        text.family(&family::JOURNAL_SYNC_DURATION).histogram(&self.journal_sync);
        let snapshot = self.snapshot();
        let is_ready = not_ready(snapshot.as_deref(), Instant::now()).is_empty();
        text.family(&family::READY).sample(&[], is_ready);
        if let Some(snapshot) = snapshot {
            let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
            status::write(&snapshot.status, &rules, &mut text);
            process::write(snapshot.status.started, &mut text);
        }
        text.finish()
    }
}

#[cfg(test)]
mod tests;
