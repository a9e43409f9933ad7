//! The loop of one sink: read a batch, record it, deliver it until it is accepted, move on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookring_journal::{Batch, Cursor, Feed, Seq, Tail};

use super::shared::Shared;
use crate::backoff::Backoff;
use crate::sink::{Outcome, Sink, SinkError};
use crate::stats::SinkState;

/// How long one wait for new events lasts: an order to stop is noticed after this at the latest.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// The same while the cursor waits for the journal to sync.
const SETTLE_WAIT: Duration = Duration::from_millis(50);

/// The state of a worker. Only `cursor` outlives it.
pub(super) struct Worker {
    pub(super) sink: Box<dyn Sink>,
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
                    self.shared.wait_for_stop(self.backoff.next_wait());
                    self.shared.update(|stats| stats.retries += 1);
                }
            }
        }
        if let Err(error) = self.settle() {
            self.shared.failed(&*error);
        }
        // The sink may still have to end threads of its own; that can panic like any other call.
        let sink = self.sink;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(sink))) {
            self.shared.failed(&SinkPanicked(panic_message(&*panic)));
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
        self.cursor.begin(batch.first(), batch.last())?;
        match guarded(|| Ok(self.sink.deliver(batch)))? {
            Outcome::Accepted => self.accepted(),
            Outcome::Failed { error } => return Err(error),
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Batch>, SinkError> {
        let settled = self.cursor.position() >= self.next;
        let wait = if settled { IDLE_WAIT } else { SETTLE_WAIT };
        let stopping = self.shared.stop_order().is_some();
        let batch = self.feed.next(self.batch_events, self.batch_bytes, wait)?;
        self.report_skipped();
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

    fn accepted(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        self.next = batch.last() + 1;
        self.shared.update(|stats| {
            stats.delivered_events += batch.len() as u64;
            stats.next_seq = self.next;
        });
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
        self.cursor.store(next)?;
        self.shared.update(|stats| stats.stored_seq = next);
        Ok(())
    }

    /// Goes back to the cursor: what lies beyond may be lost on the sink's side.
    fn rewind(&mut self) {
        self.next = self.cursor.position();
        self.batch = None;
        self.feed.seek(self.next);
        self.shared.update(|stats| stats.next_seq = self.next);
    }

    fn report_skipped(&mut self) {
        let skipped = self.feed.take_skipped();
        if skipped.missing == 0 && skipped.bad_lines == 0 {
            return;
        }
        let gaps: Vec<String> =
            skipped.gaps.iter().map(|gap| format!("{}-{}", gap.first, gap.last)).collect();
        self.shared.update(|stats| stats.skipped_events += skipped.missing);
        self.shared.warn(&format!(
            "events missing in the journal: {} (damaged lines: {}), numbers {}",
            skipped.missing,
            skipped.bad_lines,
            gaps.join(", ")
        ));
    }
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
