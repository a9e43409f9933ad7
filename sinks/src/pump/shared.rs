//! What a worker and its handle share: the stats, and the order to stop.

use std::error::Error;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hookring_journal::Seq;

use super::complaints::Complaints;
use crate::stats::{LastError, SinkState, SinkStats, in_words};

/// When to end.
#[derive(Copy, Clone)]
pub(super) struct Stop {
    /// No batch is begun after this.
    pub(super) deadline: Instant,
    /// The last event to deliver.
    pub(super) last: Seq,
}

pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `lag_events` and `oldest_undelivered` are filled in when somebody asks.
    stats: SinkStats,
    complaints: Complaints,
    stop: Option<Stop>,
    ended: bool,
}

impl Shared {
    pub(super) fn new(name: &str, position: Seq) -> Shared {
        let stats = SinkStats::at(name, position);
        Shared {
            state: Mutex::new(State {
                stats,
                complaints: Complaints::default(),
                stop: None,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn stats(&self, written: Seq) -> SinkStats {
        let mut stats = self.lock().stats.clone();
        // The first event ever is number 1, whatever the cursor of a new sink says.
        let next = stats.next_seq.max(1);
        stats.lag_events = (written + 1).saturating_sub(next);
        stats.oldest_undelivered = (stats.lag_events > 0).then_some(next);
        stats
    }

    pub(super) fn stored_seq(&self) -> Seq {
        self.lock().stats.stored_seq
    }

    /// Changes the stats.
    pub(super) fn update(&self, change: impl FnOnce(&mut SinkStats)) {
        change(&mut self.lock().stats);
    }

    /// An attempt succeeded.
    pub(super) fn works(&self) {
        let mut state = self.lock();
        state.stats.state = SinkState::Running;
        if let Some(line) = state.complaints.works(Instant::now()) {
            tracing::info!(sink = state.stats.name, "{line}");
        }
    }

    /// An attempt failed: shown until the next success, and remembered after it.
    pub(super) fn failed(&self, error: &(dyn Error + 'static)) {
        let message = in_words(error);
        let mut state = self.lock();
        if let Some(line) = state.complaints.failed(&message, Instant::now()) {
            tracing::warn!(sink = state.stats.name, "{line}");
        }
        state.stats.last_error = Some(LastError { message, at: SystemTime::now() });
        state.stats.state = SinkState::Retrying;
    }

    /// Something that a person should know of.
    pub(super) fn warn(&self, message: &str) {
        let mut state = self.lock();
        tracing::warn!(sink = state.stats.name, "{message}");
        state.stats.last_error =
            Some(LastError { message: message.to_owned(), at: SystemTime::now() });
    }

    /// Gives the order to stop. A later order can only shorten the first.
    pub(super) fn stop(&self, deadline: Instant, last: Seq) {
        let mut state = self.lock();
        state.stop = Some(match state.stop {
            Some(earlier) => {
                Stop { deadline: earlier.deadline.min(deadline), last: earlier.last.min(last) }
            }
            None => Stop { deadline, last },
        });
        self.changed.notify_all();
    }

    /// The order to stop, if it was given.
    pub(super) fn stop_order(&self) -> Option<Stop> {
        self.lock().stop
    }

    /// Waits until the time is over or the order to stop comes.
    pub(super) fn wait_for_stop(&self, wait: Duration) {
        let state = self.lock();
        drop(self.changed.wait_timeout_while(state, wait, |state| state.stop.is_none()));
    }

    /// The worker's last words.
    pub(super) fn ended(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.stats.state = SinkState::Stopped;
        self.changed.notify_all();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// True if the worker ended in time.
    pub(super) fn wait_for_end(&self, deadline: Instant) -> bool {
        let wait = deadline.saturating_duration_since(Instant::now());
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, wait, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
