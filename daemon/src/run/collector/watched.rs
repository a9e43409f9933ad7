//! What is noticed of events beside what is counted of them: figures for metrics, and silence.

use std::sync::Arc;

use hookring_bus::sys;
use hookring_journal::{Journal, Seq};
use hookring_pipeline::{Step, Summary, Watch};

use super::describe;
use crate::metrics::{EventMetrics, Metrics};
use crate::run::health::{self, Health, Moment, Past};
use crate::run::shared::Shared;

/// What is told of each event as it is made.
pub struct Watched {
    pub(super) metrics: EventMetrics,
    pub(super) health: Health,
    is_past_known: bool,
}

impl Watched {
    /// Nothing was noticed yet; what is counted shows in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Watched {
        let (metrics, health) = (EventMetrics::new(metrics), Health::default());
        Watched { metrics, health, is_past_known: false }
    }

    /// The events that follow were taken at this moment: `CLOCK_BOOTTIME` and Unix time, in nanoseconds.
    pub fn begin_batch(&mut self, boottime_ns: u64, realtime_ns: u64) {
        self.health.set_now(moment(boottime_ns, realtime_ns));
    }

    /// The event that was made last has this number.
    pub fn numbered(&mut self, seq: Seq) {
        self.health.numbered(seq);
    }

    /// Once a second. Until what waited for this daemon is collected, and what was before it is read, nobody knows
    /// who is silent.
    pub(super) fn keep_house(&mut self, shared: &Shared, has_caught_up: bool) {
        self.metrics.settle();
        if !has_caught_up {
            return;
        }
        self.health.set_config(shared.health());
        if let Some(past) = shared.take_past() {
            self.health.remember(past);
            self.is_past_known = true;
        }
        if !self.is_past_known {
            return;
        }
        let news = self.health.look(moment(sys::boottime_ns(), sys::realtime_ns()));
        news.into_iter().for_each(|own| shared.happened(own));
    }
}

impl Watch for Watched {
    fn done(&mut self, _step: Step) {}

    fn made(&mut self, summary: &Summary<'_>) {
        self.metrics.note(summary);
        self.health.note(summary);
    }
}

fn moment(boottime_ns: u64, realtime_ns: u64) -> Moment {
    let [boot_ns, wall_ns] =
        [boottime_ns, realtime_ns].map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
    Moment { boot_ns, wall_ns }
}

/// Has a thread of its own find out what was before this daemon. If it cannot, only what comes is watched.
pub(super) fn read_past(journal: &Journal, shared: &Arc<Shared>) {
    let last = journal.stats().written_seq;
    let (dir, its_shared) = (journal.dir().to_owned(), Arc::clone(shared));
    let now = moment(sys::boottime_ns(), sys::realtime_ns());
    let thread = std::thread::Builder::new().name("past".to_owned());
    let begun = thread.spawn(move || {
        let read = health::read_past(&dir, last, now);
        its_shared.set_past(read.unwrap_or_else(|error| {
            let error = describe(&error);
            tracing::warn!("{error}; sessions and agents of the time before are not watched");
            Past::default()
        }));
    });
    if let Err(error) = begun {
        tracing::warn!("cannot start a thread that reads what was before: {error}");
        shared.set_past(Past::default());
    }
}
