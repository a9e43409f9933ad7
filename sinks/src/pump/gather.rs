//! How a worker reads: batches that are full, or have waited for more events as long as they may. No wait is long,
//! so that between them the worker looks at everything else.

use std::time::{Duration, Instant};

use hookring_journal::Batch;

use super::worker::Worker;
use crate::sink::SinkError;

/// How long one wait for new events lasts: an order to stop is noticed after this at the latest.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// The same while the cursor waits for the journal to sync.
const SETTLE_WAIT: Duration = Duration::from_millis(50);

/// Events that were read, and wait for more to be sent with.
#[derive(Default)]
pub(super) struct Gathering {
    parts: Vec<Batch>,
    pub(super) events: usize,
    bytes: usize,
    /// No longer than this.
    until: Option<Instant>,
}

impl Worker {
    /// Looks for events, or waits a while for them. `true`: a batch is in hand.
    pub(super) fn gather(&mut self, now: Instant) -> Result<bool, SinkError> {
        let is_settled = self.cursor.position() >= self.next;
        let wait = if is_settled { IDLE_WAIT } else { SETTLE_WAIT };
        let wait = self.again_wait(now).min(wait);
        // Asked first: what was written before is still read.
        let is_stopping = self.shared.stop_order().is_some();
        let is_full = self.read(now + wait, is_stopping || self.tail.is_closed())?;
        if is_full {
            let parts = std::mem::take(&mut self.gathering).parts;
            self.batch = Some(self.filtered(Batch::joined(&parts)));
        }
        self.report_skipped();
        self.shared.set_reach(self.reach(self.batch.as_ref()));
        if !is_full {
            // Where the last lines are damaged, `next` never passes the last number.
            self.drained = is_stopping;
            if self.tail.is_closed() {
                // Nothing will come, and the feed does not wait for it.
                self.shared.wait_for_stop(wait);
            }
        }
        Ok(is_full)
    }

    /// Reads on, until `until` at most. `true`: what is gathered is full, or has waited long enough.
    fn read(&mut self, until: Instant, is_last: bool) -> Result<bool, SinkError> {
        loop {
            let old_at = self.gathering.until;
            let now = Instant::now();
            let left = old_at.map_or(until, |it| it.min(until)).saturating_duration_since(now);
            let written = self.tail.written();
            let is_full = self.read_part(if is_last { Duration::ZERO } else { left })?;
            let Some(last) = self.gathering.parts.last().map(Batch::last) else { return Ok(false) };
            let is_old = self.gathering.until.is_none_or(|it| it <= Instant::now());
            if is_full || is_last || is_old || last < written {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// Adds what comes within `wait`. `true`: there is room for no more.
    fn read_part(&mut self, wait: Duration) -> Result<bool, SinkError> {
        let gathered = &self.gathering;
        let events = self.delivery.batch_events().saturating_sub(gathered.events);
        let bytes = self.batch_bytes.saturating_sub(gathered.bytes);
        let Some(mut part) = self.feed.next(events, bytes, wait)? else { return Ok(false) };
        let is_first = gathered.parts.is_empty();
        if !is_first && part.bytes().len() > bytes {
            // One event comes however long it is.
            self.feed.seek(part.first());
            return Ok(true);
        }
        let begun = if is_first { self.as_begun(&part) } else { None };
        let is_full = begun.is_some() || part.len() >= events || part.bytes().len() >= bytes;
        part = begun.unwrap_or(part);
        let gathered = &mut self.gathering;
        gathered.until = gathered.until.or_else(|| Instant::now().checked_add(self.batch_age));
        gathered.events += part.len();
        gathered.bytes += part.bytes().len();
        gathered.parts.push(part);
        Ok(is_full)
    }

    /// A batch that was begun, by a process before this one, too, keeps its end and so its identity.
    fn as_begun(&mut self, batch: &Batch) -> Option<Batch> {
        let begun = self.cursor.in_flight().filter(|it| it.first == batch.first())?;
        let events = batch.lines().take_while(|line| line.seq <= begun.last).count();
        let (part, rest) = batch.split(events);
        if rest.is_some() {
            self.feed.seek(part.last() + 1);
        }
        Some(part)
    }

    /// What of a batch the sink takes. It stands for the same numbers.
    fn filtered(&self, batch: Batch) -> Batch {
        let Some(filter) = &self.filter else { return batch };
        let taken = batch.only(|line| filter.takes(line.bytes));
        let left_out = (batch.len() - taken.len()) as u64;
        self.shared.update(|stats| stats.filtered_events += left_out);
        taken
    }
}
