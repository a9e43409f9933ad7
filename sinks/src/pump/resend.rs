//! The steps of what is sent once more: events of a replay, or one dead letter.

use std::time::{Duration, Instant, SystemTime};

use hookring_journal::{Batch, Feed};
use jiff::Timestamp;

use super::attempts::Attempts;
use super::worker::{Step, Worker, fitting, guarded};
use crate::dead_letters::retry::{Retry, RetryLetter};
use crate::delivery::{Turn, Verdict};
use crate::replay::pace::Pace;
use crate::replay::{REJECTED_IN_ROW, Replay, ReplayEnd};
use crate::sink::{Outcome, SinkError};
use crate::stats::{RetryProgress, in_words};

/// How often a replay's file says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct ReplayJob {
    pub(super) replay: Replay,
    pub(super) feed: Feed,
    pub(super) pace: Pace,
    /// Read, and to be sent.
    pub(super) ready: Option<Batch>,
    /// When the first of these is due, if that is not now.
    pub(super) due: Option<Instant>,
    pub(super) rejected_in_row: u64,
    /// The sink knows what stands before the next event.
    pub(super) is_recalled: bool,
    pub(super) written_at: Instant,
}

pub(super) struct RetryJob {
    pub(super) retry: Retry,
    pub(super) letter: Option<RetryLetter>,
    /// The sink knows what stands before it.
    pub(super) is_recalled: bool,
    /// The sink has it, or refused it again: only its mark is missing.
    pub(super) is_refused: Option<bool>,
}

/// What a step of a job came to.
pub(super) enum Went {
    /// There is more.
    On(Step),
    /// It is over.
    Over(ReplayEnd, Option<String>),
    /// A file could not be read or written.
    Stuck(SinkError),
}

impl Worker {
    pub(super) fn replay(
        &mut self,
        job: &mut ReplayJob,
        attempts: &mut Attempts,
        in_hand: &mut bool,
        now: Instant,
    ) -> Result<Went, SinkError> {
        if job.ready.is_none() {
            match self.read_again(job) {
                Ok(true) => {}
                Ok(false) => return Ok(Went::Over(ReplayEnd::Done, None)),
                Err(error) => return Ok(Went::Stuck(error)),
            }
        }
        let Some(ready) = &job.ready else {
            // None of what was read is wanted.
            self.note_progress(job, now);
            return Ok(Went::On(Step::Done));
        };
        if !job.is_recalled {
            if let Err(error) = self.recall(ready.first(), true) {
                return Ok(Went::Stuck(error));
            }
            job.is_recalled = true;
        }
        let due = job.pace.count_due(ready, now);
        if let Err(due) = due {
            if job.due.replace(due).is_none() {
                let next_at = SystemTime::now().checked_add(due.saturating_duration_since(now));
                job.replay.next_at = next_at.and_then(|at| Timestamp::try_from(at).ok());
                self.tell(&job.replay);
                self.write_progress(job, now);
            }
            return Ok(Went::On(Step::Done));
        }
        (job.due, job.replay.next_at) = (None, None);
        if !*in_hand {
            self.delivery.begin();
        }
        let events = match self.delivery.turn(due.unwrap_or(1), now) {
            Turn::Wait(until) => return Ok(Went::On(Step::Wait(until))),
            Turn::Send(events) => events,
        };
        let part = fitting(&*self.sink, ready.split(events).0)?;
        self.count_retry();
        attempts.sent(part.len());
        let outcome = guarded(|| Ok(self.sink.replay(&part)))
            .unwrap_or_else(|error| Outcome::Failed { error });
        let verdict = self.delivery.answered_again(part.len(), &outcome, Instant::now());
        let is_kept = self.bury(&part, &verdict, &outcome, &attempts.of(&verdict.dead));
        *in_hand = self.delivery.is_split() && !is_outage(&outcome);
        if !is_kept {
            return Ok(Went::On(Step::Failed));
        }
        if verdict.done > 0 {
            attempts.done(verdict.done);
            job.advance(&part, &verdict, now);
        }
        self.note_progress(job, now);
        let step = self.conclude(part.len(), &verdict, &outcome)?;
        if job.rejected_in_row >= REJECTED_IN_ROW {
            let why = outcome.error().map(in_words);
            return Ok(Went::Over(ReplayEnd::Rejected, why));
        }
        Ok(Went::On(step))
    }

    /// Reads on, up to the first that is wanted; `false`: there is nothing more.
    fn read_again(&mut self, job: &mut ReplayJob) -> Result<bool, SinkError> {
        if job.replay.next > job.replay.last {
            return Ok(false);
        }
        let events = self.delivery.batch_events();
        let read = job.feed.next(events, self.batch_bytes, Duration::ZERO)?;
        job.replay.missing_events += job.feed.take_skipped().missing;
        let Some(batch) = read else { return Ok(false) };
        let filter = self.filter.as_ref();
        let wanted = batch.only(|line| {
            job.replay.takes(line) && filter.is_none_or(|filter| filter.takes(line.bytes))
        });
        if wanted.is_empty() {
            job.replay.next = batch.last() + 1;
        } else {
            job.ready = Some(wanted);
        }
        Ok(true)
    }

    pub(super) fn retry(
        &mut self,
        job: &mut RetryJob,
        attempts: &mut Attempts,
        now: Instant,
    ) -> Result<Went, SinkError> {
        if job.is_refused.is_some() {
            return Ok(self.mark(job, attempts, Step::Done));
        }
        if job.letter.is_none() {
            match job.retry.next_letter() {
                Ok(letter) => (job.letter, job.is_recalled) = (letter, false),
                Err(error) => return Ok(Went::Stuck(error.into())),
            }
        }
        let Some(letter) = &job.letter else { return Ok(Went::Over(ReplayEnd::Done, None)) };
        if !job.is_recalled {
            if let Err(error) = self.recall(letter.batch.first(), true) {
                return Ok(Went::Stuck(error));
            }
            job.is_recalled = true;
        }
        self.delivery.begin();
        if let Turn::Wait(until) = self.delivery.turn(1, now) {
            return Ok(Went::On(Step::Wait(until)));
        }
        self.count_retry();
        attempts.sent(1);
        // Its number is lower than those that the sink had since: one that takes such numbers for repeats must know
        // that a person wants this.
        let outcome = guarded(|| Ok(self.sink.replay(&letter.batch)))
            .unwrap_or_else(|error| Outcome::Failed { error });
        let verdict = self.delivery.answered_again(1, &outcome, Instant::now());
        let all = attempts.of(&[0]).iter().fold(letter.attempts, |all, it| all.saturating_add(*it));
        if !self.bury(&letter.batch, &verdict, &outcome, &[all]) {
            return Ok(Went::On(Step::Failed));
        }
        let step = self.conclude(1, &verdict, &outcome)?;
        if verdict.done == 0 {
            return Ok(Went::On(step));
        }
        job.is_refused = Some(!verdict.dead.is_empty());
        Ok(self.mark(job, attempts, step))
    }

    /// A letter is done with. If that cannot be marked it is not sent again.
    fn mark(&mut self, job: &mut RetryJob, attempts: &mut Attempts, step: Step) -> Went {
        let (Some(letter), Some(is_refused)) = (&job.letter, job.is_refused) else {
            return Went::On(step);
        };
        if let Err(error) = job.retry.done(letter) {
            return Went::Stuck(error.into());
        }
        (job.letter, job.is_refused, *attempts) = (None, None, Attempts::default());
        job.retry.refused += u64::from(is_refused);
        job.retry.taken += u64::from(!is_refused);
        self.shared.update(|stats| {
            stats.retry = Some(progress(&job.retry));
            // It was counted when it became one.
            stats.dead_letters -= u64::from(is_refused);
        });
        Went::On(step)
    }

    /// Now and then.
    fn note_progress(&mut self, job: &mut ReplayJob, now: Instant) {
        if now.saturating_duration_since(job.written_at) >= PROGRESS_INTERVAL {
            self.tell(&job.replay);
            self.write_progress(job, now);
        }
    }

    /// The next time makes up for one that failed.
    fn write_progress(&mut self, job: &mut ReplayJob, now: Instant) {
        job.written_at = now;
        match self.replay_file.write(&job.replay) {
            Ok(()) => self.files_work(),
            Err(error) => {
                self.held.is_failing = true;
                self.note_trouble(&error);
            }
        }
    }

    pub(super) fn tell(&self, replay: &Replay) {
        self.shared.update(|stats| stats.replay = Some(replay.clone()));
    }
}

impl RetryJob {
    /// The letter that is done with and could not be marked so, and whether it was refused.
    pub(super) fn unmarked(&self) -> Option<(&RetryLetter, bool)> {
        self.letter.as_ref().zip(self.is_refused)
    }
}

impl ReplayJob {
    /// So many of the first events of what is ready are done with.
    fn advance(&mut self, part: &Batch, verdict: &Verdict, now: Instant) {
        let Some(ready) = self.ready.take() else { return };
        let (done, rest) = ready.split(verdict.done);
        if let Some(time) = done.lines().last().and_then(|line| line.timestamp()) {
            self.pace.sent(time, now);
        }
        let dead = verdict.dead.len() as u64;
        self.replay.next = done.last() + 1;
        self.replay.dead_letters += dead;
        self.replay.sent_events += verdict.done as u64 - dead;
        self.rejected_in_row =
            if verdict.dead.len() == part.len() { self.rejected_in_row + dead } else { 0 };
        self.ready = rest;
    }
}

/// Nothing arrived, and that is not due to what was sent.
fn is_outage(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failed { .. }
            | Outcome::Throttled { .. }
            | Outcome::Refused { .. }
            | Outcome::Gone { .. }
    )
}

pub(super) fn progress(retry: &Retry) -> RetryProgress {
    RetryProgress { left: retry.left(), taken: retry.taken, refused: retry.refused }
}
