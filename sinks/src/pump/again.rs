//! What is sent once more, since a person asked for it: a replay, or dead letters. In between the live events,
//! which go first whenever there are some, by the same worker: breaker, rate limit and dead letters are the
//! same.

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

/// What is under way.
pub(super) struct Again {
    job: Job,
    /// How often its next events were sent.
    attempts: Attempts,
    /// A part of what it sent was rejected: that is finished before anything else is sent.
    in_hand: bool,
}

enum Job {
    Replay(Box<ReplayJob>),
    Retry(Box<RetryJob>),
}

struct ReplayJob {
    replay: Replay,
    feed: Feed,
    pace: Pace,
    /// Read, and to be sent.
    ready: Option<Batch>,
    /// When the first of these is due, if that is not now.
    due: Option<Instant>,
    rejected_in_row: u64,
    written_at: Instant,
}

struct RetryJob {
    retry: Retry,
    letter: Option<RetryLetter>,
}

/// What a step of a job came to.
enum Went {
    /// There is more.
    On(Step),
    /// It is over.
    Over(ReplayEnd, Option<String>),
}

impl Worker {
    /// Begins what is asked for, and ends what is not wanted any more.
    /// What fails here holds up nothing else; the next look tries again.
    pub(super) fn look_for_again(&mut self) {
        let mut look = || {
            if self.again.is_none() {
                self.again = self.begin_again()?;
            }
            if self.switch.wants_stop() {
                if let Some(again) = self.again.take() {
                    self.end_again(again, ReplayEnd::Stopped, None)?;
                }
                self.switch.take_stop()?;
            }
            Ok::<_, SinkError>(())
        };
        if let Err(error) = look() {
            self.note_failure(&*error);
        }
    }

    /// Part of what is sent once more is in hand, and must be finished.
    pub(super) fn is_again_in_hand(&self) -> bool {
        self.again.as_ref().is_some_and(|again| again.in_hand)
    }

    /// For how long there is nothing to be sent once more.
    pub(super) fn again_wait(&self, now: Instant) -> Duration {
        match self.again.as_ref().map(|again| &again.job) {
            None => Duration::MAX,
            Some(Job::Retry(_)) => Duration::ZERO,
            Some(Job::Replay(job)) => {
                job.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
            }
        }
    }

    /// One step of what is sent once more, if anything is.
    pub(super) fn again(&mut self, now: Instant) -> Result<Step, SinkError> {
        let is_stopping = self.shared.stop_order().is_some();
        let Some(mut again) = self.again.take().filter(|_| !is_stopping) else {
            return Ok(Step::Done);
        };
        let went = match &mut again.job {
            Job::Replay(job) => self.replay(job, &mut again.attempts, &mut again.in_hand, now),
            Job::Retry(job) => self.retry(job, &mut again.attempts, now),
        };
        match went {
            Ok(Went::Over(end, error)) => {
                self.end_again(again, end, error)?;
                Ok(Step::Done)
            }
            Ok(Went::On(step)) => {
                self.again = Some(again);
                Ok(step)
            }
            Err(error) => {
                self.again = Some(again);
                Err(error)
            }
        }
    }

    /// At the end of this worker: the next one goes on.
    pub(super) fn leave_again(&mut self) {
        let Some(Again { job: Job::Replay(job), .. }) = self.again.take() else { return };
        if let Err(error) = self.replay_file.write(&job.replay) {
            self.note_failure(&error);
        }
    }

    fn begin_again(&mut self) -> Result<Option<Again>, SinkError> {
        let job = if let Some(retry) = Retry::open(&self.dead_letters)? {
            self.shared.update(|stats| stats.retry = Some(progress(&retry)));
            Job::Retry(Box::new(RetryJob { retry, letter: None }))
        } else {
            let asked = self.replay_file.read()?.filter(|replay| replay.end.is_none());
            let Some(mut replay) = asked else { return Ok(None) };
            // The rest comes by itself.
            replay.last = replay.last.min(self.next.saturating_sub(1));
            replay.first = replay.first.max(self.tail.available_from().min(replay.last + 1));
            replay.next = replay.next.max(replay.first);
            let feed = Feed::new(self.journal_dir.clone(), self.tail.clone(), replay.next);
            let now = Timestamp::now();
            let wait = replay.next_at.map(|at| Duration::try_from(at.duration_since(now)));
            let wait = wait.and_then(Result::ok).unwrap_or_default();
            let job = ReplayJob {
                pace: Pace::beginning(replay.speed, Instant::now() + wait),
                feed,
                ready: None,
                due: None,
                rejected_in_row: 0,
                written_at: Instant::now(),
                replay,
            };
            tracing::info!(
                sink = self.name,
                "a replay of events {} to {} is under way, at {}",
                job.replay.first,
                job.replay.last,
                job.replay.next
            );
            self.tell(&job.replay);
            Job::Replay(Box::new(job))
        };
        Ok(Some(Again { job, attempts: Attempts::default(), in_hand: false }))
    }

    /// Says how it ended.
    fn end_again(
        &mut self,
        again: Again,
        end: ReplayEnd,
        error: Option<String>,
    ) -> Result<(), SinkError> {
        match again.job {
            Job::Replay(mut job) => {
                (job.replay.end, job.replay.error) = (Some(end), error);
                job.replay.next_at = None;
                self.shared.update(|stats| stats.replay = None);
                let Replay { sent_events, next, .. } = job.replay;
                tracing::info!(
                    sink = self.name,
                    "the replay {} at event {next}, with {sent_events} sent",
                    end.in_words()
                );
                self.replay_file.write(&job.replay)?;
            }
            Job::Retry(job) => {
                let ended = job.retry.finish(&self.dead_letters);
                let progress = progress(&job.retry);
                self.shared.update(|stats| stats.retry = None);
                // Nothing is lost: the next look begins with what is left.
                let given_up = ended?;
                self.shared.update(|stats| stats.given_up_dead_letters += given_up);
                let RetryProgress { taken, refused, left } = progress;
                tracing::info!(
                    sink = self.name,
                    "dead letters sent again: {taken} taken, {refused} refused, {left} not sent"
                );
            }
        }
        Ok(())
    }

    fn replay(
        &mut self,
        job: &mut ReplayJob,
        attempts: &mut Attempts,
        in_hand: &mut bool,
        now: Instant,
    ) -> Result<Went, SinkError> {
        if job.ready.is_none() && !self.read_again(job)? {
            return Ok(Went::Over(ReplayEnd::Done, None));
        }
        let Some(ready) = &job.ready else {
            // None of what was read is wanted.
            self.note_progress(job, now);
            return Ok(Went::On(Step::Done));
        };
        let due = job.pace.count_due(ready, now);
        if let Err(due) = due {
            if job.due.replace(due).is_none() {
                let next_at = SystemTime::now() + due.saturating_duration_since(now);
                job.replay.next_at = Timestamp::try_from(next_at).ok();
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
        let step = self.conclude(&verdict, &outcome)?;
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

    fn retry(
        &mut self,
        job: &mut RetryJob,
        attempts: &mut Attempts,
        now: Instant,
    ) -> Result<Went, SinkError> {
        if job.letter.is_none() {
            job.letter = job.retry.next_letter()?;
        }
        let Some(letter) = &job.letter else { return Ok(Went::Over(ReplayEnd::Done, None)) };
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
        if verdict.done > 0 {
            job.retry.done(letter)?;
            (job.letter, *attempts) = (None, Attempts::default());
            let is_refused = !verdict.dead.is_empty();
            job.retry.refused += u64::from(is_refused);
            job.retry.taken += u64::from(!is_refused);
            self.shared.update(|stats| {
                stats.retry = Some(progress(&job.retry));
                // It was counted when it became one.
                stats.dead_letters -= u64::from(is_refused);
            });
        }
        Ok(Went::On(self.conclude(&verdict, &outcome)?))
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
        if let Err(error) = self.replay_file.write(&job.replay) {
            self.note_failure(&error);
        }
    }

    fn tell(&self, replay: &Replay) {
        self.shared.update(|stats| stats.replay = Some(replay.clone()));
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

fn progress(retry: &Retry) -> RetryProgress {
    RetryProgress { left: retry.left(), taken: retry.taken, refused: retry.refused }
}
