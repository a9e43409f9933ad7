//! What a pump shows of itself: a snapshot for `hookring status` and the metrics.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::time::{Instant, SystemTime};

use hookring_journal::{Losses, OLDEST, Seq, Tail};

use crate::delivery::{BreakerState, Delivery, WaitCause};
use crate::replay::Replay;
use crate::switch::Off;

/// The causes of one error that are spelled out at most.
const CAUSES_SHOWN: usize = 8;

/// What a sink is doing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SinkState {
    /// Getting ready: no batch was sent yet.
    Opening,
    /// Delivering, or waiting for the next event.
    Running,
    /// The last attempt failed; the same will be tried again.
    Retrying,
    /// Switched off, by a person or since the place wants nothing any more: see [`crate::Switch`].
    Off,
    /// The worker has ended.
    Stopped,
}

/// One sink at one moment. Counts are of this run of the daemon; positions outlive it.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkStats {
    /// The sink's name in the config.
    pub name: String,
    /// What it is doing.
    pub state: SinkState,
    /// It has ended, and was failing then, or off by its place.
    pub ended_failing: bool,
    /// Who switched it off and why, if it is off.
    pub off: Option<Off>,
    /// Whether it is tried, after failures.
    pub breaker: BreakerState,
    /// Until when nothing is sent, and why; `None`, or over: it is not waited for.
    pub waiting: Option<Waiting>,
    /// Events accepted by the sink.
    pub delivered_events: u64,
    /// Events that its filter left out.
    pub filtered_events: u64,
    /// What only this kind of sink counts, by name.
    pub counts: Vec<(&'static str, u64)>,
    /// Attempts that were repeats of a failed one.
    pub retries: u64,
    /// Batches that were sent, by what the sink answered: see [`Outcome::name`](crate::Outcome::name).
    pub attempts: BTreeMap<&'static str, u64>,
    /// Events in those batches: each time that one is sent.
    pub sent_events: u64,
    /// How many events are sent at once at most, just now.
    pub batch_events: u64,
    /// Events that the sink will never take, kept as dead letters.
    pub dead_letters: u64,
    /// So many of the latest events were rejected, one after another, also by workers before this one: see
    /// [`REJECTED_IN_ROW`](crate::delivery::REJECTED_IN_ROW).
    pub rejected_in_row: u32,
    /// Older dead letters that were given up to keep later ones.
    pub given_up_dead_letters: u64,
    /// Dead letters that are in files now, of earlier runs, too.
    pub kept_dead_letters: u64,
    /// The replay that goes on.
    pub replay: Option<Replay>,
    /// Dead letters that are being sent again, if some are.
    pub retry: Option<RetryProgress>,
    /// What the last retry of dead letters came to that ended.
    pub last_retry: Option<LastRetry>,
    /// Next sequence number to deliver.
    pub next_seq: Seq,
    /// The cursor as stored: where a restart would begin. Never above `next_seq`.
    pub stored_seq: Seq,
    /// Events up to `counted_to` that are not yet delivered, nor found to be lost.
    pub lag_events: u64,
    /// The last number that was written when `lag_events` was counted.
    pub counted_to: Seq,
    /// The oldest event not yet delivered; `None` when there is none.
    pub oldest_undelivered: Option<Seq>,
    /// When that was published, as far as it can be found.
    pub oldest_at: Option<SystemTime>,
    /// Events that could not be read from the journal, because their line is damaged or because
    /// retention deleted them before this sink took them.
    pub skipped_events: u64,
    /// The same since the sink's cursor was made, with the latest numbers.
    pub lost: Losses,
    /// There is a cursor of it, or was one as far as anybody knows.
    pub had_cursor: bool,
    /// It is new, and began behind events that the journal has.
    pub began: Option<Began>,
    /// What was wrong with its cursor when it began.
    pub cursor_damage: Option<LastError>,
    /// The last thing that went wrong, kept after it is over.
    pub last_error: Option<LastError>,
}

impl SinkStats {
    /// A sink that is about to begin with this number.
    pub fn at(name: &str, position: Seq) -> SinkStats {
        SinkStats {
            name: name.to_owned(),
            state: SinkState::Opening,
            ended_failing: false,
            off: None,
            breaker: BreakerState::Closed,
            waiting: None,
            delivered_events: 0,
            filtered_events: 0,
            counts: Vec::new(),
            retries: 0,
            attempts: BTreeMap::new(),
            sent_events: 0,
            batch_events: 0,
            dead_letters: 0,
            rejected_in_row: 0,
            given_up_dead_letters: 0,
            kept_dead_letters: 0,
            replay: None,
            retry: None,
            last_retry: None,
            next_seq: position,
            stored_seq: position,
            lag_events: 0,
            counted_to: 0,
            oldest_undelivered: None,
            oldest_at: None,
            skipped_events: 0,
            lost: Losses::default(),
            had_cursor: true,
            began: None,
            cursor_damage: None,
            last_error: None,
        }
    }

    /// Counts on from what an `earlier` worker of the same sink has counted in this run of the daemon.
    pub fn count_on(&mut self, earlier: &SinkStats) {
        self.delivered_events += earlier.delivered_events;
        self.filtered_events += earlier.filtered_events;
        for (name, count) in &earlier.counts {
            match self.counts.iter_mut().find(|it| it.0 == *name) {
                Some((_, its)) => *its += count,
                None => self.counts.push((name, *count)),
            }
        }
        self.retries += earlier.retries;
        for (outcome, times) in &earlier.attempts {
            *self.attempts.entry(outcome).or_default() += times;
        }
        self.sent_events += earlier.sent_events;
        self.dead_letters += earlier.dead_letters;
        self.given_up_dead_letters += earlier.given_up_dead_letters;
        self.skipped_events += earlier.skipped_events;
        self.last_retry = self.last_retry.or(earlier.last_retry);
    }

    /// Takes over how the breaker stands, and what is waited for.
    pub(crate) fn show(&mut self, delivery: &Delivery) {
        let now = Instant::now();
        self.breaker = delivery.breaker();
        self.rejected_in_row = delivery.rejected_in_row();
        self.batch_events = delivery.batch_events() as u64;
        self.waiting = delivery.waits(now).map(|(until, cause)| Waiting {
            until: SystemTime::now() + until.saturating_duration_since(now),
            cause,
        });
    }

    /// A sink whose worker could not be started. Where it stands is not known, so all that the
    /// journal has counts as not delivered.
    pub fn not_started(name: &str, last_error: Option<LastError>, tail: &Tail) -> SinkStats {
        let written = tail.written();
        SinkStats {
            state: SinkState::Retrying,
            lag_events: (written + 1).saturating_sub(tail.available_from()),
            counted_to: written,
            had_cursor: false,
            last_error,
            ..SinkStats::at(name, OLDEST)
        }
    }
}

/// Nothing is sent before some moment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Wall-clock time.
    pub until: SystemTime,
    /// Why.
    pub cause: WaitCause,
}

/// Where a new sink began.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Began {
    /// The number.
    pub with: Seq,
    /// Wall-clock time.
    pub at: SystemTime,
}

/// Dead letters that are sent again, since a worker took that up.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryProgress {
    /// Letters to go.
    pub left: u64,
    /// Letters that the sink took.
    pub taken: u64,
    /// Letters that it refused again.
    pub refused: u64,
}

/// A retry of dead letters that ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LastRetry {
    /// What it came to.
    pub progress: RetryProgress,
    /// When it was about to end, by the wall clock: before another one could be asked for.
    pub at: SystemTime,
}

/// An error in words, and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// The error and its causes, on one line.
    pub message: String,
    /// Wall-clock time.
    pub at: SystemTime,
}

/// An error followed by its causes: `cannot open /x: Permission denied (os error 13)`.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    for _ in 0..CAUSES_SHOWN {
        let Some(inner) = cause else { break };
        // Writing to a String cannot fail.
        let _ = write!(words, ": {inner}");
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_counts_on_from_the_one_before() {
        let counted = |n: u64, outcome| SinkStats {
            delivered_events: n,
            filtered_events: 10 * n,
            counts: vec![("rejected_spans", 7 * n), ("late_ends", 8 * n)],
            retries: 100 * n,
            attempts: [("accepted", n), (outcome, 2 * n)].into(),
            sent_events: 6 * n,
            dead_letters: 3 * n,
            given_up_dead_letters: 4 * n,
            skipped_events: 5 * n,
            ..SinkStats::at("s", 1)
        };
        let mut stats = counted(1, "failed");
        stats.count_on(&counted(2, "rejected"));
        let attempts = [("accepted", 3), ("failed", 2), ("rejected", 4)].into();
        assert_eq!(stats, SinkStats { attempts, ..counted(3, "failed") });
        // Of a worker that has not said yet what its sink counts, and of one that counts other things.
        for counts in [vec![], vec![("told", 1)]] {
            let mut stats = SinkStats { counts: counts.clone(), ..SinkStats::at("s", 1) };
            stats.count_on(&counted(2, "failed"));
            let earlier = [("rejected_spans", 14), ("late_ends", 16)];
            assert_eq!(stats.counts, [&counts[..], &earlier].concat());
        }
    }
}
