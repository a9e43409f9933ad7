//! The loop of one sink: read a batch, record it, deliver it until it is accepted, move on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hookring_journal::reader::Gap;
use hookring_journal::{Batch, Cursor, Feed, Seq, Tail};

use super::shared::{Reach, Shared};
use crate::backoff::Backoff;
use crate::filter::Filter;
use crate::sink::{Outcome, Sink, SinkError};
use crate::stats::SinkState;

/// How long one wait for new events lasts: an order to stop is noticed after this at the latest.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// The same while the cursor waits for the journal to sync.
const SETTLE_WAIT: Duration = Duration::from_millis(50);

/// How often a sink that waits for its next attempt looks what the journal gives up.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The state of a worker. Only `cursor` outlives it.
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) sink: Box<dyn Sink>,
    pub(super) filter: Option<Filter>,
    pub(super) feed: Feed,
    pub(super) cursor: Cursor,
    pub(super) tail: Arc<Tail>,
    pub(super) backoff: Backoff,
    pub(super) shared: Arc<Shared>,
    pub(super) batch_events: usize,
    pub(super) batch_bytes: usize,
    /// The sink said that it is ready.
    pub(super) opened: bool,
    /// The first event that was not accepted. At or above the cursor.
    pub(super) next: Seq,
    /// Read and not accepted yet.
    pub(super) batch: Option<Batch>,
    /// Told to stop, and nothing more was there to read.
    pub(super) drained: bool,
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
        while !self.is_done() {
            match self.step() {
                Ok(()) => {
                    self.backoff.reset();
                    self.shared.works();
                }
                Err(error) => {
                    self.shared.failed(&*error);
                    if self.shared.stop_order().is_some() {
                        break;
                    }
                    self.wait_to_retry();
                    self.shared.update(|stats| stats.retries += 1);
                }
            }
        }
        if let Err(error) = self.settle() {
            self.shared.failed(&*error);
        }
        self.note_lost();
        if self.tail.is_closed() {
            self.leave_behind();
        }
        // The sink may still have to end threads of its own; that can panic like any other call.
        let sink = self.sink;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(sink))) {
            self.shared.failed(&SinkPanicked(panic_message(&*panic)));
        }
    }

    /// Waits for the next attempt. Meanwhile the cursor goes up to what was accepted before, once that
    /// is synced: a restart must not take it for lost. And it is looked what the journal gives up.
    fn wait_to_retry(&mut self) {
        let end = Instant::now() + self.backoff.next_wait();
        loop {
            if let Err(error) = self.settle() {
                self.shared.failed(&*error);
            }
            self.note_lost();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.shared.stop_order().is_some() {
                return;
            }
            self.shared.wait_for_stop(left.min(LOOK_INTERVAL));
        }
    }

    /// True once it is told to stop and has nothing left to do, or no time.
    fn is_done(&self) -> bool {
        self.shared.stop_order().is_some_and(|stop| {
            self.drained || self.next > stop.last || Instant::now() >= stop.deadline
        })
    }

    /// One attempt at one batch, or one wait for new events.
    fn step(&mut self) -> Result<(), SinkError> {
        if !self.opened {
            guarded(|| self.sink.open())?;
            self.opened = true;
            self.shared.update(|stats| stats.state = SinkState::Running);
        }
        if self.batch.is_none() {
            self.settle()?;
            self.batch = self.read()?;
        }
        let Some(batch) = &self.batch else { return Ok(()) };
        if batch.is_empty() {
            // Nothing of it is for this sink.
            self.accepted();
            return Ok(());
        }
        self.cursor.begin(batch.first(), batch.last())?;
        match guarded(|| Ok(self.sink.deliver(batch)))? {
            Outcome::Accepted => {
                let (first, last, events) = (batch.first(), batch.last(), batch.len());
                tracing::debug!(
                    "sink {} took events {first} to {last}: {events}, {} bytes",
                    self.name,
                    batch.bytes().len()
                );
                self.accepted();
            }
            Outcome::Failed { error } => return Err(error),
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Batch>, SinkError> {
        let settled = self.cursor.position() >= self.next;
        let wait = if settled { IDLE_WAIT } else { SETTLE_WAIT };
        let stopping = self.shared.stop_order().is_some();
        let read = self.feed.next(self.batch_events, self.batch_bytes, wait)?;
        let batch = read.map(|batch| self.filtered(batch));
        self.report_skipped();
        self.shared.set_reach(self.reach(batch.as_ref()));
        if batch.is_none() {
            // Where the last lines are damaged, `next` never passes the last number.
            self.drained = stopping;
            if self.tail.is_closed() {
                // Nothing will come, and the feed does not wait for it.
                self.shared.wait_for_stop(wait);
            }
        }
        Ok(batch)
    }

    /// What of a batch the sink takes. It stands for the same numbers.
    fn filtered(&self, batch: Batch) -> Batch {
        let Some(filter) = &self.filter else { return batch };
        let taken = batch.only(|line| filter.takes(line.bytes));
        let left_out = (batch.len() - taken.len()) as u64;
        self.shared.update(|stats| stats.filtered_events += left_out);
        taken
    }

    fn accepted(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        self.next = batch.last() + 1;
        self.shared.accepted(batch.len() as u64, self.next, self.reach(None));
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
        match &self.batch {
            None => self.cursor.store(next)?,
            // Tried again under the same id.
            Some(_) => self.cursor.advance(next)?,
        }
        self.shared.update(|stats| stats.stored_seq = next);
        Ok(())
    }

    /// Goes back to the cursor: what lies beyond may be lost on the sink's side.
    fn rewind(&mut self) {
        self.next = self.cursor.position();
        self.batch = None;
        self.feed.seek(self.next);
        self.shared.set_reach(self.reach(None));
        self.shared.update(|stats| stats.next_seq = self.next);
    }

    fn report_skipped(&mut self) {
        let skipped = self.feed.take_skipped();
        if skipped.missing > 0 {
            let listed: u64 = skipped.gaps.iter().map(|gap| gap.last - gap.first + 1).sum();
            self.record_lost(&skipped.gaps, skipped.missing - listed, skipped.bad_lines);
        }
    }

    /// Looks for events that nobody can deliver any more, also while the sink takes none.
    fn note_lost(&mut self) {
        // First, so that nobody sees a loss and not what is left.
        self.shared.set_reach(self.reach(self.batch.as_ref()));
        if let Some(gap) = self.feed.lost_ahead() {
            self.record_lost(&[gap], 0, 0);
        }
    }

    /// Counts what is not known to be lost yet, remembers it in the cursor, and says it.
    /// `more` are gone, too, and not listed.
    fn record_lost(&mut self, gaps: &[Gap], more: u64, bad_lines: u64) {
        let now = SystemTime::now();
        let fresh: Vec<Gap> =
            gaps.iter().flat_map(|gap| self.cursor.note_lost(*gap, now)).collect();
        let events = fresh.iter().map(|gap| gap.last - gap.first + 1).sum::<u64>() + more;
        if events == 0 {
            return;
        }
        self.cursor.count_lost(more);
        self.shared.lost(&loss(&fresh, events, bad_lines, self.tail.oldest()));
        self.shared.update(|stats| {
            stats.skipped_events += events;
            stats.lost = self.cursor.lost().clone();
        });
        // The next store makes up for it.
        if let Err(error) = self.cursor.save() {
            self.shared.failed(&error);
        }
    }

    /// With this process goes what only its memory has, the batch in hand included: a restart finds
    /// what the files have.
    fn leave_behind(&mut self) {
        let oldest = self.tail.oldest();
        if self.next < oldest {
            self.record_lost(&[Gap { first: self.next, last: oldest - 1 }], 0, 0);
        }
        let read = self.next.max(oldest);
        self.shared.set_reach(Reach { read, ..Reach::default() });
    }

    fn reach(&self, batch: Option<&Batch>) -> Reach {
        let held_to = self.feed.lost_ahead().map_or(0, |gap| gap.first - 1);
        let in_hand = batch.map_or(0, |batch| batch.len() as u64);
        Reach { in_hand, read: self.feed.position(), held_to }
    }
}

/// Says which events are gone, and why.
fn loss(gaps: &[Gap], events: u64, bad_lines: u64, oldest: Seq) -> String {
    let numbers: Vec<String> =
        gaps.iter().map(|gap| format!("{}-{}", gap.first, gap.last)).collect();
    let why = if gaps.iter().all(|gap| gap.last < oldest) {
        "they were deleted from the journal before it had them".to_owned()
    } else {
        format!("they are damaged or missing in the journal (damaged lines: {bad_lines})")
    };
    let plural = if events == 1 { "" } else { "s" };
    format!("lost {events} event{plural}, numbers {}: {why}", numbers.join(", "))
}

/// Calls into a sink; a panic becomes an error.
fn guarded<T>(call: impl FnOnce() -> Result<T, SinkError>) -> Result<T, SinkError> {
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
