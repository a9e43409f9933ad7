//! What a worker and its handle share: the stats, and the order to stop.

use std::error::Error;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hookring_journal::{Losses, Seq, Tail};

use super::complaints::{Complaints, Kind};
use crate::delivery::{Delivery, Verdict};
use crate::sink::Outcome;
use crate::stats::{Began, LastError, SinkState, SinkStats, in_words};
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
    /// What is below this and neither delivered nor in reach counts as lost. What is above, and gone as well, counts
    /// as not delivered until the worker finds out: within a call to its sink it cannot.
    gone_to: Seq,
    complaints: Complaints,
    /// The same of our own files.
    troubles: Complaints,
    /// Why the last attempt failed, if it did.
    failure: Option<String>,
    /// What the sink said beside its answers since it fails.
    beside: Option<String>,
    /// When a line was logged of what the sink said beside taking something.
    warned_at: Option<Instant>,
    stop: Option<Stop>,
    ended: bool,
}

/// Between two lines about what a sink says beside taking something; each is shown in the stats.
const WARNING_GAP: Duration = Duration::from_secs(60);

impl Shared {
    pub(super) fn new(name: &str, position: Seq) -> Shared {
        let stats = SinkStats::at(name, position);
        Shared {
            state: Mutex::new(State {
                stats,
                reach: Reach { read: position, ..Reach::default() },
                // There is nothing before number 1.
                gone_to: 1,
                complaints: Complaints::default(),
                troubles: Complaints::default(),
                failure: None,
                beside: None,
                warned_at: None,
                stop: None,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    pub(super) fn stats(&self, tail: &Tail) -> SinkStats {
        let state = self.lock();
        let (mut stats, reach, gone_to) = (state.stats.clone(), state.reach, state.gone_to);
        drop(state);
        let written = tail.written();
        let held = (reach.held_to + 1).saturating_sub(reach.read);
        let rest = (reach.read + held).max(gone_to);
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
        let mut state = self.lock();
        state.reach = reach;
        // Looked at now and then by a worker that has nothing to send, too.
        state.say_rest(false);
    }

    #[cfg(test)]
    pub(super) fn reach(&self) -> Reach {
        self.lock().reach
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
        self.lock().works(delivery);
    }

    /// An attempt failed: shown until the next success, and remembered after it.
    pub(super) fn failed(&self, error: &(dyn Error + 'static), delivery: &Delivery) {
        self.lock().failed(in_words(error), Kind::Failed, delivery);
    }

    /// A file of ours could not be read or written, which says nothing of the sink. It is shown, unless the sink
    /// itself has something to say.
    pub(super) fn trouble(&self, error: &(dyn Error + 'static)) {
        let (message, now) = (in_words(error), Instant::now());
        let mut state = self.lock();
        let kind = if state.stop.is_some() { Kind::Last } else { Kind::Failed };
        if let Some(line) = state.troubles.failed(&message, kind, now) {
            tracing::warn!(sink = state.stats.name, "{line}");
        }
        if state.stats.state != SinkState::Retrying {
            state.stats.last_error = Some(LastError { message, at: SystemTime::now() });
        }
    }

    /// Our files are as they should be.
    pub(super) fn trouble_is_over(&self) {
        let mut state = self.lock();
        if let Some(line) = state.troubles.works(Instant::now()) {
            tracing::info!(sink = state.stats.name, "a file of its replays or dead letters {line}");
        }
    }

    /// The sink answered: what that says of it.
    pub(super) fn answered(
        &self,
        events: usize,
        verdict: &Verdict,
        outcome: &Outcome,
        delivery: &Delivery,
    ) {
        let is_told = verdict.is_failure || verdict.is_throttled;
        let mut state = self.lock();
        *state.stats.attempts.entry(outcome.name()).or_default() += 1;
        state.stats.sent_events += events as u64;
        let Some(error) = outcome.error().filter(|_| is_told) else {
            return state.works(delivery);
        };
        let message = in_words(error);
        match outcome {
            Outcome::Throttled { .. } => state.throttled(&message, delivery),
            // It is said that it is switched off.
            Outcome::Gone { .. } => state.fails(message, delivery),
            _ if delivery.is_refused() => state.failed(message, Kind::Refused, delivery),
            Outcome::TooLarge { .. } | Outcome::Rejected { .. } => {
                state.failed(message, Kind::Halved, delivery);
            }
            _ => state.failed(message, Kind::Failed, delivery),
        }
    }

    /// The sink said more than its answer. While it fails, that stands beside why.
    pub(super) fn warned(&self, warning: &(dyn Error + 'static)) {
        let message = in_words(warning);
        let (mut state, now) = (self.lock(), Instant::now());
        if state.warned_at.is_none_or(|at| now.duration_since(at) >= WARNING_GAP) {
            tracing::warn!(sink = state.stats.name, "{message}");
            state.warned_at = Some(now);
        }
        match state.failure.clone() {
            Some(failure) => {
                state.beside = Some(message);
                state.show_failure(failure);
            }
            None => state.stats.last_error = Some(LastError { message, at: SystemTime::now() }),
        }
    }

    /// So many events, from this one on, are dead letters now, and older ones were given up for them.
    pub(super) fn buried(&self, first: Seq, events: u64, given_up: u64, message: String) {
        let mut state = self.lock();
        state.stats.dead_letters += events;
        state.stats.given_up_dead_letters += given_up;
        if let Some(line) = state.complaints.buried(&message, first, events, Instant::now()) {
            tracing::warn!(sink = state.stats.name, "{line}");
        }
        state.stats.last_error = Some(LastError { message, at: SystemTime::now() });
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
            None => match state.stats.off.as_ref().map(|off| off.by) {
                Some(OffBy::Place) => tracing::info!(sink = name, "switched on"),
                Some(OffBy::Person) | None => tracing::info!(sink = name, "resumed"),
            },
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

    /// It is new. A person should know of it if it passes over events that the journal has.
    pub(super) fn began_anew(&self, oldest: Seq) {
        let stats = &mut self.lock().stats;
        let (sink, with) = (&stats.name, stats.next_seq);
        if with > oldest {
            tracing::warn!(
                "sink {sink} is new and begins with the next event, {with} (`start = \"now\"`); `hookring sink \
                 reset {sink} --to oldest` has it sent what the journal has"
            );
            stats.began = Some(Began { with, at: SystemTime::now() });
        }
    }

    /// Its cursor was damaged, which a person should know of.
    pub(super) fn cursor_damage(&self, message: &str) {
        let mut state = self.lock();
        tracing::warn!(sink = state.stats.name, "{message}");
        let damage = LastError { message: message.to_owned(), at: SystemTime::now() };
        state.stats.cursor_damage = Some(damage);
    }

    /// So many more events are gone for good, up to `gone_to`: they are counted there and no longer here, at once.
    pub(super) fn set_lost(&self, lost: &Losses, events: u64, gone_to: Seq, reach: Reach) {
        let mut state = self.lock();
        state.stats.skipped_events += events;
        state.stats.lost.clone_from(lost);
        state.gone_to = state.gone_to.max(gone_to);
        state.reach = reach;
        state.say_rest(false);
    }

    /// Events are gone for good.
    pub(super) fn say_lost(&self, message: &str) {
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
        state.say_rest(true);
        let stats = &mut state.stats;
        let is_gone = stats.off.as_ref().is_some_and(|off| off.by == OffBy::Place);
        stats.ended_failing = stats.state == SinkState::Retrying || is_gone;
        stats.state = SinkState::Stopped;
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

impl State {
    fn works(&mut self, delivery: &Delivery) {
        self.stats.state = SinkState::Running;
        (self.failure, self.beside) = (None, None);
        self.stats.show(delivery);
        if let Some(line) = self.complaints.works(Instant::now()) {
            tracing::info!(sink = self.stats.name, "{line}");
        }
    }

    fn failed(&mut self, message: String, kind: Kind, delivery: &Delivery) {
        // Nothing is tried again by a worker that ends.
        let is_last = self.stop.is_some() && kind == Kind::Failed;
        let kind = if is_last { Kind::Last } else { kind };
        if let Some(line) = self.complaints.failed(&message, kind, Instant::now()) {
            tracing::warn!(sink = self.stats.name, "{line}");
        }
        self.fails(message, delivery);
    }

    fn fails(&mut self, message: String, delivery: &Delivery) {
        self.show_failure(message);
        self.stats.state = SinkState::Retrying;
        self.stats.show(delivery);
    }

    /// Shows why it fails, and what it said beside that.
    fn show_failure(&mut self, failure: String) {
        let beside = self.beside.as_ref().map(|it| format!("; beside that, {it}"));
        let message = format!("{failure}{}", beside.unwrap_or_default());
        self.failure = Some(failure);
        self.stats.last_error = Some(LastError { message, at: SystemTime::now() });
    }

    /// It works and wants to be left alone for a while.
    fn throttled(&mut self, message: &str, delivery: &Delivery) {
        if let Some(line) = self.complaints.throttled(message, Instant::now()) {
            tracing::info!(sink = self.stats.name, "{line}");
        }
        self.stats.state = SinkState::Running;
        (self.failure, self.beside) = (None, None);
        self.stats.show(delivery);
    }

    /// Dead letters that were not said yet, if it is time, or the last one.
    fn say_rest(&mut self, is_end: bool) {
        if let Some(line) = self.complaints.rest(is_end, Instant::now()) {
            tracing::warn!(sink = self.stats.name, "{line}");
        }
    }
}
