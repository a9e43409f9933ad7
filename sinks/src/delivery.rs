//! What becomes of a batch: how much of it is sent now, and what an answer means. No clock, no threads, no
//! files: `Delivery` decides and the worker does, so that each rule can be tested without waiting.
//!
//! | the sink answered | what happens |
//! |---|---|
//! | accepted | the cursor moves |
//! | throttled | nothing is sent until then; no failure |
//! | failed | a failure for the breaker; the same again after a wait |
//! | too large | half as much, from now on; a single event goes to the dead letters |
//! | rejected | halves, down to the event that is to blame; it alone goes to the dead letters |
//! | refused | the breaker opens for long, and nothing moves |
//! | gone | the sink is off until a person switches it on |
//!
//! Events that are rejected one after another are the sink's fault: beyond [`REJECTED_IN_ROW`] it counts as
//! refused, and the journal is not emptied into the dead letters. The next worker of a sink counts on.

pub(crate) mod breaker;
pub(crate) mod rate;
pub(crate) mod size;

use std::time::{Duration, Instant};

use crate::backoff::{Backoff, Jitter, RETRY};
use crate::sink::{Answer, Outcome};
pub use breaker::BreakerState;
use breaker::{Breaker, Permit};
use rate::RateLimit;
use size::BatchSize;

/// So many events in a row may be rejected before it is the sink that is to blame.
pub const REJECTED_IN_ROW: u32 = 10;
/// A sink that asks for less time than this, or for none, gets the time that one gets which fails, and at least
/// [`THROTTLE_FLOOR`].
const THROTTLE_OWN: Duration = Duration::from_secs(1);
const THROTTLE_FLOOR: Duration = Duration::from_millis(100);
/// A sink that asks for more time than this is asked again after it.
pub const THROTTLE_CAP: Duration = Duration::from_secs(3600);

/// What to do next with the batch in hand.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Send so many of its first events.
    Send(usize),
    /// Nothing before this moment.
    Wait(Instant),
}

/// What an answer means for the events that were sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Verdict {
    /// So many of the first ones are done with.
    pub(crate) done: usize,
    /// Which of those go to the dead letters.
    pub(crate) dead: Vec<usize>,
    /// Not all is done with, for a reason that is to be shown.
    pub(crate) is_failure: bool,
    /// The sink works, and asked for time.
    pub(crate) is_throttled: bool,
    /// The sink is to be switched off.
    pub(crate) is_gone: bool,
}

/// The state of one sink's delivery.
pub(crate) struct Delivery {
    breaker: Breaker,
    size: BatchSize,
    /// The most events that one call to the sink takes.
    max_events: usize,
    rate: Option<RateLimit>,
    backoff: Backoff,
    jitter: Jitter,
    /// After a failure, or when the sink asked for it.
    not_before: Option<Instant>,
    /// It was the sink that asked.
    is_throttled: bool,
    /// The parts into which the batch in hand was taken, in events; the next one is the last. What is
    /// beyond them was not tried yet.
    parts: Vec<usize>,
    rejected_in_row: u32,
    /// Between attempts to keep dead letters.
    bury_backoff: Backoff,
    /// Between attempts at other files of ours.
    file_backoff: Backoff,
}

/// Why nothing is sent before some moment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum WaitCause {
    /// The last attempts failed.
    Failed,
    /// The sink asked for it.
    Throttled,
    /// Only a person can help: a wrong key, a wrong address, a certificate.
    Refused,
}

impl Delivery {
    /// `batch_events`: at least 1. `events_per_s`: above 0, if there is a limit.
    pub(crate) fn new(batch_events: usize, events_per_s: Option<f64>, jitter: Jitter) -> Delivery {
        Delivery {
            breaker: Breaker::new(),
            size: BatchSize::new(batch_events),
            max_events: usize::MAX,
            rate: events_per_s.map(RateLimit::new),
            backoff: Backoff::new(RETRY),
            jitter,
            not_before: None,
            is_throttled: false,
            parts: Vec::new(),
            rejected_in_row: 0,
            bury_backoff: Backoff::new(RETRY),
            file_backoff: Backoff::new(RETRY),
        }
    }

    /// With calls to the sink of at most `events`.
    pub(crate) fn with_max_events(self, events: usize) -> Delivery {
        Delivery { max_events: events.max(1), ..self }
    }

    /// Going on from what an earlier worker knew: see [`Delivery::rejected_in_row`].
    pub(crate) fn with_rejected_in_row(self, events: u32) -> Delivery {
        Delivery { rejected_in_row: events, ..self }
    }

    /// So many of the latest events were rejected, one after another.
    pub(crate) fn rejected_in_row(&self) -> u32 {
        self.rejected_in_row
    }

    pub(crate) fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Nothing is sent until a person has done something about it, or for long.
    pub(crate) fn is_refused(&self) -> bool {
        self.breaker.open_until().is_some_and(|(_, is_refused)| is_refused)
    }

    /// The most events that one call to the sink takes.
    pub(crate) fn max_events(&self) -> usize {
        self.max_events
    }

    /// How many events a new batch should have.
    pub(crate) fn batch_events(&self) -> usize {
        self.size.get()
    }

    /// Another batch is in hand, or the same was read anew.
    pub(crate) fn begin(&mut self) {
        self.parts.clear();
    }

    /// Part of the batch in hand was rejected as a whole, and its halves are not all done with.
    pub(crate) fn is_split(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Until when nothing is sent, and why; `None`: something may be, as far as that was said.
    pub(crate) fn waits(&self, now: Instant) -> Option<(Instant, WaitCause)> {
        let cause = if self.is_throttled { WaitCause::Throttled } else { WaitCause::Failed };
        let own = self.not_before.map(|until| (until, cause));
        let opens = self.breaker.open_until().map(|(until, is_refused)| {
            (until, if is_refused { WaitCause::Refused } else { WaitCause::Failed })
        });
        own.into_iter().chain(opens).filter(|(until, _)| now < *until).max_by_key(|it| it.0)
    }

    /// Somebody mended something: the next turn comes now. What was learned of the sink else stays.
    pub(crate) fn try_now(&mut self) {
        (self.not_before, self.is_throttled) = (None, false);
        self.breaker.try_now();
    }

    /// What to do at `now` with a batch of which `left` events (at least 1) are not done with.
    pub(crate) fn turn(&mut self, left: usize, now: Instant) -> Turn {
        if let Some(until) = self.not_before.filter(|until| now < *until) {
            return Turn::Wait(until);
        }
        let part = self.parts.last().copied().unwrap_or(left);
        let mut events = part.min(self.size.get()).min(self.max_events);
        match self.breaker.permit(now) {
            Permit::NotBefore(until) => return Turn::Wait(until),
            Permit::Probe => events = 1,
            Permit::Batch => {}
        }
        if let Some(rate) = &mut self.rate {
            match rate.permit(events, now) {
                Ok(permitted) => events = permitted,
                Err(later) => return Turn::Wait(later),
            }
        }
        Turn::Send(events)
    }

    /// There is no time to wait after a failure: the next turn comes now, unless the sink itself wants to be
    /// left alone or the breaker is open.
    pub(crate) fn hurry(&mut self) {
        self.not_before = self.not_before.filter(|_| self.is_throttled);
    }

    /// The sink, or what stands before it, could not even be opened: as [`Outcome::Failed`].
    pub(crate) fn failed(&mut self, now: Instant) {
        self.breaker.failed(now, &mut self.jitter);
        if self.breaker.state() == BreakerState::Closed {
            self.not_before = Some(now + self.backoff.next_wait(&mut self.jitter));
        }
    }

    /// The dead of this verdict could not be kept at `now`: nothing of it is done with.
    pub(crate) fn not_buried(&mut self, verdict: &Verdict, now: Instant) {
        self.rejected_in_row = self.rejected_in_row.saturating_sub(verdict.dead.len() as u32);
        self.parts.push(verdict.done);
        self.not_before = Some(now + self.bury_backoff.next_wait(&mut self.jitter));
    }

    /// A file of ours could not be read or written at `now`, which says nothing of the sink: for how long it is left
    /// alone.
    pub(crate) fn file_failed(&mut self, now: Instant) -> Instant {
        now + self.file_backoff.next_wait(&mut self.jitter)
    }

    /// It could.
    pub(crate) fn file_works(&mut self) {
        self.file_backoff.reset();
    }

    /// They are kept.
    pub(crate) fn buried(&mut self) {
        self.bury_backoff.reset();
    }

    /// As [`Delivery::answered`], to events that a person asked for once more: that they are rejected says
    /// nothing of the sink, however many are.
    pub(crate) fn answered_again(
        &mut self,
        sent: usize,
        outcome: &Outcome,
        now: Instant,
    ) -> Verdict {
        let in_row = std::mem::take(&mut self.rejected_in_row);
        let verdict = self.judged(sent, outcome, u32::MAX, now);
        self.rejected_in_row = in_row;
        verdict
    }

    /// The sink answered at `now`, to the first `sent` events of the batch in hand.
    pub(crate) fn answered(&mut self, sent: usize, outcome: &Outcome, now: Instant) -> Verdict {
        self.judged(sent, outcome, REJECTED_IN_ROW, now)
    }

    /// `most`: so many may be rejected in a row.
    fn judged(&mut self, sent: usize, outcome: &Outcome, most: u32, now: Instant) -> Verdict {
        if let Some(rate) = &mut self.rate {
            rate.took(sent);
        }
        (self.not_before, self.is_throttled) = (None, false);
        let failure = Verdict { is_failure: true, ..Verdict::default() };
        match outcome {
            Outcome::Accepted => self.accepted(sent),
            Outcome::Throttled { wait, .. } => {
                // Who asks for no time at all, or one that is over by our clock, is left alone all the same.
                let own = self.backoff.next_wait(&mut self.jitter).max(THROTTLE_FLOOR);
                let wait = wait.filter(|wait| *wait >= THROTTLE_OWN).unwrap_or(own);
                self.not_before = Some(now + wait.min(THROTTLE_CAP));
                self.is_throttled = true;
                Verdict { is_throttled: true, ..Verdict::default() }
            }
            Outcome::Failed { .. } => {
                self.failed(now);
                failure
            }
            Outcome::TooLarge { .. } if sent > 1 => {
                self.size.was_too_large(sent);
                self.split(sent);
                failure
            }
            Outcome::Rejected { .. } if sent > 1 => {
                self.breaker.succeeded();
                self.split(sent);
                failure
            }
            Outcome::TooLarge { .. } | Outcome::Rejected { .. } => {
                self.each(sent, &[Answer::Rejected], most, now)
            }
            Outcome::Refused { .. } => {
                self.breaker.refused(now, &mut self.jitter);
                failure
            }
            Outcome::Gone { .. } => Verdict { is_gone: true, ..failure },
            Outcome::Each { answers, .. } => self.each(sent, answers, most, now),
        }
    }

    fn accepted(&mut self, sent: usize) -> Verdict {
        self.breaker.succeeded();
        self.backoff.reset();
        self.size.was_taken(sent);
        self.rejected_in_row = 0;
        self.take(sent);
        Verdict { done: sent, ..Verdict::default() }
    }

    /// Event by event, up to the first that is to be sent again: one without an answer is such a one.
    fn each(&mut self, sent: usize, answers: &[Answer], most: u32, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        let answer_to = |at: usize| answers.get(at).copied().unwrap_or(Answer::Failed);
        while verdict.done < sent {
            match answer_to(verdict.done) {
                Answer::Accepted => self.rejected_in_row = 0,
                Answer::Rejected if self.rejected_in_row < most => {
                    self.rejected_in_row += 1;
                    verdict.dead.push(verdict.done);
                }
                Answer::Rejected | Answer::Failed => break,
            }
            verdict.done += 1;
        }
        self.take(verdict.done);
        if verdict.done == sent {
            self.breaker.succeeded();
            self.backoff.reset();
            if verdict.dead.is_empty() {
                self.size.was_taken(sent);
            }
        } else if answer_to(verdict.done) == Answer::Failed {
            self.failed(now);
        } else {
            self.breaker.refused(now, &mut self.jitter);
        }
        verdict.is_failure = verdict.done < sent;
        verdict
    }

    /// The next part becomes two halves.
    fn split(&mut self, sent: usize) {
        self.take(sent);
        self.parts.extend([sent - sent / 2, sent / 2]);
    }

    /// So many events of the next part are no longer in it.
    fn take(&mut self, mut events: usize) {
        while let Some(part) = self.parts.last_mut() {
            let taken = events.min(*part);
            (*part, events) = (*part - taken, events - taken);
            if *part > 0 {
                return;
            }
            self.parts.pop();
        }
    }
}

#[cfg(test)]
mod tests;
