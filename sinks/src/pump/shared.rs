//! What a worker and its handle share: the stats, and the order to stop.

use std::error::Error;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hookring_journal::{Seq, Tail};

use super::complaints::Complaints;
use crate::delivery::Delivery;
use crate::stats::{LastError, SinkState, SinkStats, in_words};
use crate::switch::{Off, OffBy};

/// When to end.
#[derive(Copy, Clone)]
pub(super) struct Stop {
    /// No batch is begun after this.
    pub(super) deadline: Instant,
    /// The last event to deliver.
    pub(super) last: Seq,
}

/// What a worker can still deliver, beside what the journal has.
#[derive(Copy, Clone, Default)]
pub(super) struct Reach {
    /// Events of a batch that is read and not accepted.
    pub(super) in_hand: u64,
    /// The first number that is not read.
    pub(super) read: Seq,
    /// The last number of a deleted file that is still open; less than `read`: there is none.
    pub(super) held_to: Seq,
}

pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `lag_events`, `counted_to` and `oldest_undelivered` are filled in when somebody asks.
    stats: SinkStats,
    reach: Reach,
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
                reach: Reach { read: position, ..Reach::default() },
                complaints: Complaints::default(),
                stop: None,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn stats(&self, tail: &Tail) -> SinkStats {
        let available = tail.available_from();
        let state = self.lock();
        let (mut stats, reach) = (state.stats.clone(), state.reach);
        drop(state);
        let written = tail.written();
        let held = (reach.held_to + 1).saturating_sub(reach.read);
        let rest = (reach.read + held).max(available);
        stats.lag_events = reach.in_hand + held + (written + 1).saturating_sub(rest);
        stats.counted_to = written;
        let next = match reach.in_hand + held {
            0 => rest,
            _ => stats.next_seq,
        };
        stats.oldest_undelivered = (stats.lag_events > 0).then_some(next);
        stats
    }

    /// A batch is delivered.
    pub(super) fn accepted(&self, events: u64, next: Seq, reach: Reach) {
        let mut state = self.lock();
        state.stats.delivered_events += events;
        state.stats.next_seq = next;
        state.reach = reach;
    }

    /// Tells how far the worker has read.
    pub(super) fn set_reach(&self, reach: Reach) {
        self.lock().reach = reach;
    }

    pub(super) fn stored_seq(&self) -> Seq {
        self.lock().stats.stored_seq
    }

    /// Changes the stats.
    pub(super) fn update(&self, change: impl FnOnce(&mut SinkStats)) {
        change(&mut self.lock().stats);
    }

    /// An attempt succeeded.
    pub(super) fn works(&self, delivery: &Delivery) {
        let mut state = self.lock();
        state.stats.state = SinkState::Running;
        state.stats.show(delivery);
        if let Some(line) = state.complaints.works(Instant::now()) {
            tracing::info!(sink = state.stats.name, "{line}");
        }
    }

    /// An attempt failed: shown until the next success, and remembered after it.
    pub(super) fn failed(&self, error: &(dyn Error + 'static), delivery: &Delivery) {
        let message = in_words(error);
        let mut state = self.lock();
        if let Some(line) = state.complaints.failed(&message, Instant::now()) {
            tracing::warn!(sink = state.stats.name, "{line}");
        }
        state.stats.last_error = Some(LastError { message, at: SystemTime::now() });
        state.stats.state = SinkState::Retrying;
        state.stats.show(delivery);
    }

    /// Somebody, or the sink itself, switched it off or on.
    pub(super) fn switched(&self, off: Option<Off>, is_opened: bool) {
        let mut state = self.lock();
        let name = &state.stats.name;
        match &off {
            Some(Off { by: OffBy::Person, .. }) => tracing::info!(sink = name, "paused"),
            Some(Off { by: OffBy::Place, reason }) => {
                tracing::warn!(sink = name, "switched off, it wants nothing any more: {reason}");
            }
            None => tracing::info!(sink = name, "switched on"),
        }
        state.stats.state = match &off {
            Some(_) => SinkState::Off,
            // What it can do now shows with its next attempt.
            None if is_opened => SinkState::Running,
            None => SinkState::Opening,
        };
        state.stats.off = off;
    }

    /// How the breaker stands now, and until when nothing is sent.
    pub(super) fn show(&self, delivery: &Delivery) {
        self.lock().stats.show(delivery);
    }

    /// Its cursor was damaged, which a person should know of.
    pub(super) fn cursor_damage(&self, message: &str) {
        let mut state = self.lock();
        tracing::warn!(sink = state.stats.name, "{message}");
        let damage = LastError { message: message.to_owned(), at: SystemTime::now() };
        state.stats.cursor_damage = Some(damage);
    }

    /// Events are gone for good.
    pub(super) fn lost(&self, message: &str) {
        tracing::error!("sink {} {message}", self.lock().stats.name);
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
