//! What is sent once more, since a person asked for it: a replay, or dead letters. In between the live events,
//! which go first whenever there are some, by the same worker: breaker, rate limit and dead letters are the
//! same. A file of ours that cannot be written says nothing of the sink: what it is to have stays in memory, and
//! is tried again after a wait of its own.

use std::time::{Duration, Instant, SystemTime};

use hookring_journal::Feed;
use jiff::Timestamp;

use super::attempts::Attempts;
use super::resend::{ReplayJob, RetryJob, Went, progress};
use super::worker::{Step, Worker};
use crate::dead_letters::retry::{EndedRetry, Retry, RetryLetter};
use crate::replay::pace::Pace;
use crate::replay::{Replay, ReplayEnd};
use crate::sink::SinkError;
use crate::stats::{LastRetry, RetryProgress};

/// For how long the file of a replay says how that ended. Who follows one removes it as soon as that is read.
const END_KEPT: Duration = Duration::from_hours(1);

/// What is under way.
pub(super) struct Again {
    job: Job,
    /// How often its next events were sent.
    attempts: Attempts,
    /// A part of what it sent was rejected: that is finished before anything else is sent.
    in_hand: bool,
    /// It is over, and that is to be written yet.
    is_over: bool,
    /// A file that it needs cannot be read or written: the same step comes again.
    is_stuck: bool,
}

/// What files that cannot be read or written hold up.
#[derive(Default)]
pub(super) struct Held {
    /// When they are tried again.
    until: Option<Instant>,
    /// Somebody wanted an end at the last look.
    saw_stop: bool,
    /// They failed the last time.
    pub(super) is_failing: bool,
    /// So did the count of dead letters.
    pub(super) is_miscounted: bool,
}

enum Job {
    Replay(Box<ReplayJob>),
    Retry(Box<RetryJob>),
}

impl Held {
    /// Somebody mended something.
    pub(super) fn let_go(&mut self) {
        self.until = self.until.map(|_| Instant::now());
    }

    fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

impl Worker {
    /// Begins what is asked for, and ends what is over or not wanted any more.
    /// What fails here holds up nothing else; a later look tries again.
    pub(super) fn look_for_again(&mut self, now: Instant) {
        let wants_stop = self.switch.wants_stop();
        let saw_stop = std::mem::replace(&mut self.held.saw_stop, wants_stop);
        if self.held.holds(now) && (saw_stop || !wants_stop) {
            return;
        }
        match self.begin_or_end(wants_stop) {
            Err(error) => self.hold(&*error, now),
            // One that is stuck shows with its next step whether it still is.
            Ok(()) if self.again.as_ref().is_some_and(|again| again.is_stuck) => {}
            Ok(()) if self.held.until.is_some() => self.files_work(),
            Ok(()) => {}
        }
    }

    fn begin_or_end(&mut self, wants_stop: bool) -> Result<(), SinkError> {
        if self.again.is_none() && wants_stop && self.dead_letters.is_retrying() {
            // What could not begin can end all the same.
            self.put_back(RetryProgress::default(), None)?;
        } else if self.again.is_none() {
            self.again = self.begin_again()?;
        }
        if let Some(again) = self.again.as_mut().filter(|_| wants_stop) {
            again.end(ReplayEnd::Stopped, None);
        }
        self.write_end()?;
        if wants_stop {
            self.switch.take_stop()?;
        }
        Ok(())
    }

    /// Dead letters are being sent again, by this worker.
    pub(super) fn is_retrying(&self) -> bool {
        self.again.as_ref().is_some_and(|again| matches!(again.job, Job::Retry(_)))
    }

    /// Part of what is sent once more is in hand, and must be finished.
    pub(super) fn is_again_in_hand(&self) -> bool {
        let is_stopping = self.shared.stop_order().is_some();
        !is_stopping && self.again.as_ref().is_some_and(|again| again.in_hand)
    }

    /// For how long there is nothing to be sent once more.
    pub(super) fn again_wait(&self, now: Instant) -> Duration {
        let wait_until = |at: Instant| at.saturating_duration_since(now);
        let Some(again) = self.again.as_ref().filter(|again| !again.is_over) else {
            return Duration::MAX;
        };
        match &again.job {
            _ if again.is_stuck => self.held.until.map_or(Duration::ZERO, wait_until),
            Job::Retry(_) => Duration::ZERO,
            Job::Replay(job) => job.due.map_or(Duration::ZERO, wait_until),
        }
    }

    /// One step of what is sent once more, if anything is.
    pub(super) fn again(&mut self, now: Instant) -> Result<Step, SinkError> {
        let is_held = self.held.holds(now);
        let is_stopping = self.shared.stop_order().is_some();
        let can_step =
            |again: &mut Again| !(is_stopping || again.is_over || again.is_stuck && is_held);
        let Some(mut again) = self.again.take_if(can_step) else { return Ok(Step::Done) };
        let went = match &mut again.job {
            Job::Replay(job) => self.replay(job, &mut again.attempts, &mut again.in_hand, now),
            Job::Retry(job) => self.retry(job, &mut again.attempts, now),
        };
        let was_stuck = std::mem::take(&mut again.is_stuck);
        let step = match went {
            Ok(Went::On(step)) => Ok(step),
            Ok(Went::Over(end, error)) => {
                again.end(end, error);
                Ok(Step::Done)
            }
            Ok(Went::Stuck(error)) => {
                again.is_stuck = true;
                self.hold(&*error, now);
                Ok(Step::Done)
            }
            Err(error) => Err(error),
        };
        if was_stuck && !again.is_stuck {
            self.files_work();
        }
        self.again = Some(again);
        if let Err(error) = self.write_end() {
            self.hold(&*error, now);
        }
        step
    }

    /// A file could not be read or written, which says nothing of the sink.
    fn hold(&mut self, error: &(dyn std::error::Error + 'static), now: Instant) {
        self.held.until = Some(self.delivery.file_failed(now));
        self.held.is_failing = true;
        self.note_trouble(error);
    }

    pub(super) fn files_work(&mut self) {
        self.held.until = None;
        if std::mem::take(&mut self.held.is_failing) {
            self.delivery.file_works();
            self.shared.trouble_is_over();
        }
    }

    pub(super) fn note_trouble(&self, error: &(dyn std::error::Error + 'static)) {
        self.shared.trouble(error);
    }

    /// At the end of this worker: the next one goes on.
    pub(super) fn leave_again(&mut self) {
        let Some(Again { job: Job::Replay(job), .. }) = self.again.take() else { return };
        if let Err(error) = self.replay_file.write(&job.replay) {
            self.note_trouble(&error);
        }
    }

    fn begin_again(&mut self) -> Result<Option<Again>, SinkError> {
        let job = if let Some(retry) = Retry::open(&self.dead_letters)? {
            self.count_letters();
            self.shared.update(|stats| stats.retry = Some(progress(&retry)));
            Job::Retry(Box::new(RetryJob {
                retry,
                letter: None,
                is_recalled: false,
                is_refused: None,
            }))
        } else {
            let Some(mut replay) = self.replay_file.read()? else { return Ok(None) };
            if replay.end.is_some() {
                self.replay_file.forget_old(END_KEPT)?;
                return Ok(None);
            }
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
                is_recalled: false,
                written_at: Instant::now(),
                replay,
            };
            tracing::info!(
                sink = self.name,
                "a replay of {} is under way, at {}",
                job.replay.range(),
                job.replay.next
            );
            self.tell(&job.replay);
            Job::Replay(Box::new(job))
        };
        let attempts = Attempts::default();
        Ok(Some(Again { job, attempts, in_hand: false, is_over: false, is_stuck: false }))
    }

    /// Says how it ended, if it has.
    fn write_end(&mut self) -> Result<(), SinkError> {
        let Some(again) = self.again.take_if(|again| again.is_over) else { return Ok(()) };
        let written = self.write_end_of(&again.job);
        match &written {
            Ok(()) => self.files_work(),
            Err(_) => self.again = Some(again),
        }
        written
    }

    fn write_end_of(&mut self, job: &Job) -> Result<(), SinkError> {
        match job {
            Job::Replay(job) => {
                if let Err(error) = self.replay_file.write(&job.replay) {
                    self.tell(&job.replay);
                    return Err(error.into());
                }
                // Behind the file: whoever sees it over here may begin another.
                self.shared.update(|stats| stats.replay = None);
                let Replay { sent_events, next, end, .. } = &job.replay;
                tracing::info!(
                    sink = self.name,
                    "the replay {} at event {next}, with {sent_events} sent",
                    end.map_or("is over", ReplayEnd::in_words)
                );
            }
            Job::Retry(job) => self.put_back(progress(&job.retry), job.unmarked())?,
        }
        Ok(())
    }

    /// Ends a retry of dead letters. One that is done with could not be marked, and whether it was refused.
    fn put_back(
        &mut self,
        progress: RetryProgress,
        unmarked: Option<(&RetryLetter, bool)>,
    ) -> Result<(), SinkError> {
        // Before the next one can be asked for.
        let at = SystemTime::now();
        // Nothing is lost if this fails.
        let ended = self.dead_letters.end_retry(unmarked.map(|(letter, _)| letter))?;
        let EndedRetry { given_up, left } = ended;
        let refused_now = u64::from(unmarked.is_some_and(|(_, is_refused)| is_refused));
        let taken_now = u64::from(unmarked.is_some()) - refused_now;
        let (taken, refused) = (progress.taken + taken_now, progress.refused + refused_now);
        self.shared.update(|stats| {
            stats.given_up_dead_letters += given_up;
            // It was counted when it became one.
            stats.dead_letters -= refused_now;
        });
        self.count_letters();
        let progress = RetryProgress { left, taken, refused };
        self.shared.update(|stats| {
            (stats.retry, stats.last_retry) = (None, Some(LastRetry { progress, at }));
        });
        tracing::info!(
            sink = self.name,
            "dead letters sent again: {taken} taken, {refused} refused, {left} not sent"
        );
        Ok(())
    }
}

impl Again {
    /// It is over, unless it was already.
    fn end(&mut self, end: ReplayEnd, error: Option<String>) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        (self.in_hand, self.is_stuck) = (false, false);
        if let Job::Replay(job) = &mut self.job {
            (job.replay.end, job.replay.error, job.replay.next_at) = (Some(end), error, None);
        }
    }
}
