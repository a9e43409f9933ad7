//! The loop of one sink: read a batch, record it, deliver it until it is accepted, move on. How a batch is read
//! is in [`super::gather`], what a person asks for in [`super::orders`], what is sent once more in
//! [`super::again`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookring_journal::{Batch, Cursor, Feed, InFlight, Seq, Tail};

use super::again::{Again, Held};
use super::attempts::Attempts;
use super::gather::Gathering;
use super::orders::ORDERS_INTERVAL;
use super::shared::Shared;
use crate::dead_letters::{DeadLetters, LetterCount, Reason};
use crate::delivery::{Delivery, Turn, Verdict};
use crate::filter::Filter;
use crate::replay::ReplayFile;
use crate::sink::{Outcome, Sink, SinkError};
use crate::stats::in_words;
use crate::switch::{Off, OffBy, Switch};

/// How long a worker that is stopped waits for what its sink accepted to be synced, at most. Journals are synced
/// several times a second, unless somebody wants it otherwise.
const SYNC_PATIENCE: Duration = Duration::from_secs(3);

/// The state of a worker. Only `cursor` outlives it.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) sink: Box<dyn Sink>,
    pub(super) filter: Option<Filter>,
    pub(super) feed: Feed,
    pub(super) cursor: Cursor,
    pub(super) tail: Arc<Tail>,
    pub(super) delivery: Delivery,
    pub(super) dead_letters: DeadLetters,
    /// How many of them are kept, by the last look.
    pub(super) letters: LetterCount,
    /// When they are counted next.
    pub(super) next_count: Instant,
    pub(super) switch: Switch,
    /// Whether it is off, by the last look.
    pub(super) off: Option<Off>,
    /// When it is next looked what a person wants.
    pub(super) next_look: Instant,
    pub(super) replay_file: ReplayFile,
    /// What is sent once more.
    pub(super) again: Option<Again>,
    pub(super) held: Held,
    pub(super) journal_dir: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) batch_bytes: usize,
    /// How long a batch may wait for more events.
    pub(super) batch_age: Duration,
    /// The sink said that it is ready.
    pub(super) opened: bool,
    /// The sink knows what stands before the next event.
    pub(super) recalled: bool,
    /// The next attempt is a repeat.
    pub(super) is_retry: bool,
    /// How often the events in hand were sent.
    pub(super) attempts: Attempts,
    /// The first event that was not accepted. At or above the cursor.
    pub(super) next: Seq,
    /// Read and not accepted yet.
    pub(super) batch: Option<Batch>,
    /// Read, and to become the next batch.
    pub(super) gathering: Gathering,
    /// Told to stop, and nothing more was there to read.
    pub(super) drained: bool,
}

/// What comes after a step.
pub(super) enum Step {
    /// Another.
    Done,
    /// Another, of the same.
    Failed,
    /// Nothing before this moment.
    Wait(Instant),
}

/// A panic of a sink, as an error.
#[derive(Debug, thiserror::Error)]
#[error("the sink panicked: {0}")]
struct SinkPanicked(String);

impl Worker {
    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        // Dropped last, and in a panic, too: whoever waits for the end gets it.
        let _end = EndGuard(Arc::clone(&self.shared));
        let mut is_last_chance_over = false;
        while !self.is_done() {
            let step = self.step().unwrap_or_else(|error| {
                self.delivery.failed(Instant::now());
                self.note_failure(&*error);
                Step::Failed
            });
            let is_told_to_stop = self.shared.stop_order().is_some();
            match step {
                Step::Done => {}
                Step::Failed if is_told_to_stop => break,
                Step::Failed => self.look(),
                Step::Wait(_) if is_last_chance_over => break,
                Step::Wait(_) if is_told_to_stop => {
                    is_last_chance_over = true;
                    self.next_look = Instant::now();
                    self.delivery.hurry();
                }
                Step::Wait(until) => self.wait(until),
            }
        }
        self.leave_again();
        self.await_sync();
        if let Err(error) = self.settle() {
            self.note_failure(&*error);
        }
        self.note_lost();
        if self.tail.is_closed() {
            self.leave_behind();
        }
        self.send_last();
        // The sink may still have to end threads of its own; that can panic like any other call.
        let sink = self.sink;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(sink))) {
            self.shared.failed(&SinkPanicked(panic_message(&*panic)), &self.delivery);
        }
    }

    /// Waits for the next attempt, or for a person's order.
    fn wait(&mut self, until: Instant) {
        loop {
            let now = Instant::now();
            let left = until.saturating_duration_since(now);
            if left.is_zero() || self.shared.stop_order().is_some() || now >= self.next_look {
                return;
            }
            self.look();
            self.shared.wait_for_stop(left.min(self.next_look.saturating_duration_since(now)));
        }
    }

    /// While nothing is delivered: the same as while something is, and the sink looks after itself.
    fn look(&mut self) {
        if let Err(error) = self.keep_up().and_then(|()| self.idle()) {
            self.note_failure(&*error);
        }
    }

    /// The cursor goes up to what was accepted, once that is synced, with the rest of a batch in hand, too: a kill
    /// must not have it all sent again, nor taken for lost. And it is looked what the journal gives up.
    fn keep_up(&mut self) -> Result<(), SinkError> {
        let settled = self.settle();
        self.note_lost();
        settled
    }

    pub(super) fn note_failure(&self, error: &(dyn std::error::Error + 'static)) {
        self.shared.failed(error, &self.delivery);
    }

    /// Lets a sink that has nothing to send look after itself.
    fn idle(&mut self) -> Result<(), SinkError> {
        if !self.opened {
            return Ok(());
        }
        let is_on = self.off.is_none();
        let looked = guarded(|| {
            self.sink.idle()?;
            if is_on {
                self.sink.send_beside();
            }
            Ok(())
        });
        self.opened = looked.is_ok();
        if self.opened {
            self.note_more();
        }
        looked
    }

    /// True once it is told to stop and has nothing left to do, or no time.
    fn is_done(&self) -> bool {
        self.shared.stop_order().is_some_and(|stop| {
            self.drained || self.next > stop.last || Instant::now() >= stop.deadline
        })
    }

    /// One attempt at a part of a batch, or one wait for new events.
    fn step(&mut self) -> Result<Step, SinkError> {
        let now = Instant::now();
        if self.take_orders(now)? {
            self.keep_up()?;
        }
        if self.off.is_some() {
            return Ok(Step::Wait(now + ORDERS_INTERVAL));
        }
        // Before anything is tried that may be what failed: the disk of the cursor, say.
        if let Some((until, _)) = self.delivery.waits(now) {
            return Ok(Step::Wait(until));
        }
        if !self.opened {
            return self.open(now);
        }
        if !self.recalled {
            self.recall(self.next, false)?;
            self.recalled = true;
        }
        if self.is_again_in_hand() {
            return self.again(now);
        }
        if self.batch.is_none() {
            self.settle()?;
            if !self.gather(now)? {
                self.idle()?;
                return self.again(now);
            }
            self.delivery.begin();
            // What came meanwhile is looked at first.
            return Ok(Step::Done);
        }
        let events = match &self.batch {
            // Nothing of it is for this sink.
            Some(batch) if batch.is_empty() => {
                self.next = batch.last() + 1;
                self.batch = None;
                self.shared.accepted(0, self.next, self.reach(None));
                return Ok(Step::Done);
            }
            batch => batch.as_ref().map_or(1, Batch::len),
        };
        match self.delivery.turn(events, now) {
            Turn::Wait(until) => Ok(Step::Wait(until)),
            Turn::Send(part) => self.attempt(part),
        }
    }

    /// One attempt to make the sink ready.
    fn open(&mut self, now: Instant) -> Result<Step, SinkError> {
        if let Turn::Wait(until) = self.delivery.turn(1, now) {
            return Ok(Step::Wait(until));
        }
        self.count_retry();
        guarded(|| self.sink.open())?;
        (self.opened, self.is_retry) = (true, false);
        self.shared.works(&self.delivery);
        // What it counts is there with 0 before it rises.
        self.note_more();
        Ok(Step::Done)
    }

    /// Counts an attempt that repeats one that failed. Until it is known how it ends, so does the next.
    pub(super) fn count_retry(&mut self) {
        if std::mem::replace(&mut self.is_retry, true) {
            self.shared.update(|stats| stats.retries += 1);
        }
    }

    /// Sends the first `events` of the batch in hand.
    fn attempt(&mut self, events: usize) -> Result<Step, SinkError> {
        self.count_retry();
        let Some(batch) = &self.batch else { return Ok(Step::Done) };
        let part = fitting(&*self.sink, batch.split(events).0)?;
        // A single event is the same batch whenever it is sent. So all that was read is begun at once, and what is
        // remembered is only that no other event may get these numbers.
        let is_one_by_one = self.delivery.max_events() == 1;
        let begun = if is_one_by_one { batch } else { &part };
        let covers = |it: InFlight| it.first <= part.first() && part.last() <= it.last;
        if !(is_one_by_one && self.cursor.in_flight().is_some_and(covers)) {
            self.cursor.begin(begun.first(), begun.last())?;
        }
        self.attempts.sent(part.len());
        let outcome = guarded(|| Ok(self.sink.deliver(&part)))
            .unwrap_or_else(|error| Outcome::Failed { error });
        let verdict = self.delivery.answered(part.len(), &outcome, Instant::now());
        if !self.bury(&part, &verdict, &outcome, &self.attempts.of(&verdict.dead)) {
            return Ok(Step::Failed);
        }
        if verdict.done > 0 {
            self.done_with(&part, &verdict);
        }
        self.conclude(part.len(), &verdict, &outcome)
    }

    /// What an answer means for the sink, whatever so many events were.
    pub(super) fn conclude(
        &mut self,
        events: usize,
        verdict: &Verdict,
        outcome: &Outcome,
    ) -> Result<Step, SinkError> {
        self.shared.answered(events, verdict, outcome, &self.delivery);
        self.note_more();
        self.is_retry = verdict.done == 0;
        if verdict.is_gone {
            let reason = outcome.error().map(in_words).unwrap_or_default();
            let off = Off { by: OffBy::Place, reason };
            self.switch.off(off.by, &off.reason)?;
            self.set_off(Some(off));
        }
        Ok(if self.is_retry { Step::Failed } else { Step::Done })
    }

    /// What the sink has to say beside its answer.
    pub(super) fn note_more(&mut self) {
        let said = guarded(|| Ok((self.sink.take_warning(), self.sink.counts())));
        let Ok((warning, counts)) = said else { return };
        if let Some(warning) = warning {
            self.shared.warned(&*warning);
        }
        if !counts.is_empty() {
            self.shared.update(|stats| stats.counts = counts);
        }
    }

    /// What will never be taken goes to the dead letters. `false`: it could not be kept, so nothing is done with,
    /// and it is sent again. `attempts`: how often each of the dead was sent.
    pub(super) fn bury(
        &mut self,
        part: &Batch,
        verdict: &Verdict,
        outcome: &Outcome,
        attempts: &[u32],
    ) -> bool {
        if verdict.dead.is_empty() {
            return true;
        }
        let words = outcome.error().map(in_words).unwrap_or_default();
        let reason = Reason { status: outcome.status(), words: &words, attempts: 0 };
        let lines = part.lines().enumerate();
        let dead = lines.filter(|(at, _)| verdict.dead.contains(at)).map(|(_, line)| line);
        match self.dead_letters.keep_each(dead.zip(attempts.iter().copied()), reason) {
            Ok(given_up) => {
                self.delivery.buried();
                // They are in both counts at once.
                self.count_letters();
                let first = part.lines().nth(verdict.dead[0]).map_or(part.first(), |line| line.seq);
                self.shared.buried(first, verdict.dead.len() as u64, given_up, words);
                true
            }
            Err(error) => {
                self.delivery.not_buried(verdict, Instant::now());
                self.note_failure(&error);
                false
            }
        }
    }

    /// So many of the first events of the batch in hand need not be sent again.
    fn done_with(&mut self, part: &Batch, verdict: &Verdict) {
        let taken = (verdict.done - verdict.dead.len()) as u64;
        let (first, last, bytes) = (part.first(), part.last(), part.bytes().len());
        tracing::debug!(
            "sink {} took {taken} of events {first} to {last}: {bytes} bytes",
            self.name
        );
        self.attempts.done(verdict.done);
        let Some(batch) = self.batch.take() else { return };
        let (done, rest) = batch.split(verdict.done);
        self.next = done.last() + 1;
        self.batch = rest;
        self.shared.accepted(taken, self.next, self.reach(self.batch.as_ref()));
    }

    /// Stores the cursor as far as the journal is synced, after the sink made its part durable.
    fn settle(&mut self) -> Result<(), SinkError> {
        let next = self.next.min(self.tail.synced() + 1);
        // There is nothing before number 1.
        if next <= self.cursor.position().max(1) {
            return Ok(());
        }
        if let Err(error) = guarded(|| self.sink.flush()) {
            self.rewind();
            return Err(error);
        }
        self.cursor.advance(next)?;
        self.shared.update(|stats| stats.stored_seq = next);
        Ok(())
    }

    /// Whoever goes on from the cursor need not send what was accepted again, if that is synced soon.
    fn await_sync(&self) {
        let Some(stop) = self.shared.stop_order() else { return };
        let left = stop.deadline.saturating_duration_since(Instant::now());
        self.tail.wait_synced(self.next.saturating_sub(1), left.min(SYNC_PATIENCE));
    }

    /// Goes back to the cursor: what lies beyond may be lost on the sink's side.
    fn rewind(&mut self) {
        self.go_to(self.cursor.position());
    }

    /// Goes on there.
    pub(super) fn go_to(&mut self, next: Seq) {
        (self.next, self.recalled) = (next, false);
        (self.batch, self.gathering) = (None, Gathering::default());
        self.attempts = Attempts::default();
        self.feed.seek(self.next);
        self.shared.set_reach(self.reach(None));
        self.shared.update(|stats| stats.next_seq = self.next);
    }
}

/// As much of a batch as the sink takes at once.
pub(super) fn fitting(sink: &dyn Sink, batch: Batch) -> Result<Batch, SinkError> {
    let fits = guarded(|| Ok(sink.fits(&batch)))?.max(1);
    Ok(if fits < batch.len() { batch.split(fits).0 } else { batch })
}

/// Calls into a sink; a panic becomes an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, SinkError>) -> Result<T, SinkError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(SinkPanicked(panic_message(&*panic)).into()))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.ended();
    }
}
