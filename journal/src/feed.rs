//! What a sink reads: the shared cache while it keeps up, the files when it lags.

mod ahead;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::reader::{Gap, ReadError, Skipped};
use crate::tail::{Batch, Chunk, Place, Tail};
use crate::{OLDEST, Seq};
use ahead::{AheadReader, Limits};

/// One sink's way through the journal. Belongs to one thread at a time.
#[derive(Debug)]
pub struct Feed {
    dir: PathBuf,
    tail: Arc<Tail>,
    next: Seq,
    /// Open while it lags.
    reader: Option<AheadReader>,
    /// Where the last batch from the cache ended.
    place: Option<Place>,
    skipped: Skipped,
}

impl Feed {
    /// A feed that begins at `from` ([`OLDEST`]: at the oldest event that still exists) of the
    /// journal in `dir`, whose writer gave the `tail`.
    pub fn new(dir: PathBuf, tail: Arc<Tail>, from: Seq) -> Feed {
        Feed { dir, tail, next: from, reader: None, place: None, skipped: Skipped::default() }
    }

    /// The next events in order: at most `max_events` and `max_bytes`, but at least one line.
    /// `None`: nothing came within `wait`, or the journal is closed and everything was read.
    ///
    /// # Errors
    ///
    /// If the files cannot be read; nothing is lost, the call may be repeated.
    pub fn next(
        &mut self,
        max_events: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Option<Batch>, ReadError> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            // Asked first: what was written before the tail was closed is still found.
            let closed = self.tail.is_closed();
            let written = self.tail.written();
            self.pass_over_deleted();
            if self.next <= written {
                if let Some(batch) = self.cached(max_events, max_bytes) {
                    return Ok(Some(batch));
                }
                let batch = self.read(written, max_events, max_bytes)?;
                if !batch.is_empty() {
                    return Ok(Some(batch));
                }
            }
            let left = deadline.map_or(wait, |end| end.saturating_duration_since(Instant::now()));
            if closed || left.is_zero() {
                return Ok(None);
            }
            // Also if the wanted number is written and cannot be found (its line is damaged): the
            // next one is waited for.
            self.tail.wait_beyond(written.max(self.next.saturating_sub(1)), left);
        }
    }

    /// The number it wants next.
    pub fn position(&self) -> Seq {
        self.next
    }

    /// Numbers from the next one on that nobody can have any more: their files are deleted, and the
    /// cache does not go so far back. What a file holds that is deleted but still open is not among
    /// them.
    pub fn lost_ahead(&self) -> Option<Gap> {
        if self.next == OLDEST || self.next >= self.tail.oldest() {
            return None;
        }
        let available = self.tail.available_from();
        let readable = self.reader.as_ref().and_then(AheadReader::has_up_to);
        let first = readable.map_or(self.next, |last| self.next.max(last + 1));
        (first < available).then(|| Gap { first, last: available - 1 })
    }

    /// Without this, a reader would go to the oldest file and pass over what only the cache has.
    fn pass_over_deleted(&mut self) {
        if let Some(gap) = self.lost_ahead().filter(|gap| gap.first == self.next) {
            self.reader = None;
            self.skipped.add_gap(gap);
            self.next = gap.last + 1;
        }
    }

    /// Goes on at `seq`, in either direction.
    pub fn seek(&mut self, seq: Seq) {
        self.reader = None;
        self.next = seq;
    }

    /// What was passed over since this was last asked; it is then forgotten.
    pub fn take_skipped(&mut self) -> Skipped {
        std::mem::take(&mut self.skipped)
    }

    /// From the cache: without a copy if one chunk has enough, else gathered from several.
    fn cached(&mut self, max_events: usize, max_bytes: usize) -> Option<Batch> {
        let chunk = self.tail.chunk(self.next)?;
        let is_here = |place: &Place| place.next == self.next && place.is_in(&chunk);
        let mut batch = match self.place.filter(is_here) {
            Some(place) => Batch::of_place(&chunk, place, max_events, max_bytes)?,
            None => Batch::of(&chunk, self.next, max_events, max_bytes)?,
        };
        self.place = batch.end();
        if batch.last() == chunk.last() {
            (batch, self.place) = self.gather(batch, max_events, max_bytes);
        }
        self.reader = None;
        if batch.first() > self.next && self.next != OLDEST {
            self.skipped.add_gap(Gap { first: self.next, last: batch.first() - 1 });
        }
        self.next = batch.last() + 1;
        Some(batch)
    }

    /// Adds lines of the following chunks as long as there is room: after many small commits a
    /// sink still gets large batches.
    /// Also says where the last one ends.
    fn gather(&self, batch: Batch, max_events: usize, max_bytes: usize) -> (Batch, Option<Place>) {
        let (mut events, mut last, mut place) = (batch.len(), batch.last(), batch.end());
        let mut bytes = Vec::new();
        loop {
            let len = if bytes.is_empty() { batch.bytes().len() } else { bytes.len() };
            if events >= max_events || len >= max_bytes {
                break;
            }
            let Some(chunk) = self.tail.chunk(last + 1) else { break };
            let more = Batch::of(&chunk, last + 1, max_events - events, max_bytes - len);
            // The first line of a chunk comes however long it is.
            let Some(more) = more.filter(|more| more.bytes().len() <= max_bytes - len) else {
                break;
            };
            if bytes.is_empty() {
                bytes.extend_from_slice(batch.bytes());
            }
            bytes.extend_from_slice(more.bytes());
            events += more.len();
            (last, place) = (more.last(), more.end());
        }
        if bytes.is_empty() {
            return (batch, place);
        }
        (Batch::whole(Arc::new(Chunk::new(batch.first(), last, bytes)), events), place)
    }

    /// From the files, what is committed: lines that a full disk cut off in the middle of a write are written
    /// again, under other numbers if that takes another process.
    fn read(
        &mut self,
        written: Seq,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Batch, ReadError> {
        let limits = Limits { max_events, max_bytes };
        let reader = match self.reader.take().filter(|reader| reader.can_keep(limits)) {
            Some(reader) => self.reader.insert(reader),
            None => self.reader.insert(AheadReader::open(&self.dir, self.next)?),
        };
        let read = reader.next(written, limits)?;
        self.next = read.next;
        self.skipped.add(read.skipped);
        if self.next <= written && self.tail.chunk(self.next).is_none() {
            reader.read_ahead(&read.batch, limits);
        }
        Ok(read.batch)
    }
}

#[cfg(test)]
mod tests;
