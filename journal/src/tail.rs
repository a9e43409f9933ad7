//! The end of the journal in memory: what the writer shares with every sink that keeps up.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Seq;
use crate::line::{self, Line, Lines};

/// The numbers written and synced, and a cache of the batches written last.
///
/// Shared by reference between the writer's thread and any number of readers' threads. Not usable
/// across `fork`.
#[derive(Debug)]
pub struct Tail {
    // Both are changed under `state`'s lock only; they are atomics so that they can be read without.
    written: AtomicU64,
    synced: AtomicU64,
    oldest: AtomicU64,
    cache_bytes: usize,
    state: Mutex<State>,
    /// More is written or synced, or nothing will be.
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    closed: bool,
}

impl Tail {
    pub(crate) fn new(last: Seq, cache_bytes: usize) -> Tail {
        Tail {
            written: AtomicU64::new(last),
            synced: AtomicU64::new(last),
            oldest: AtomicU64::new(last + 1),
            cache_bytes,
            state: Mutex::default(),
            grown: Condvar::new(),
        }
    }

    /// The last number written: visible to readers, safe from the death of the process. 0: none.
    pub fn written(&self) -> Seq {
        // SYNC POINT: with the release in `publish`.
        self.written.load(Ordering::Acquire)
    }

    /// The last number that survives power loss, too. A cursor is never stored beyond the one after
    /// it. Under [`SyncPolicy::Never`](crate::writer::SyncPolicy::Never) the same as [`Self::written`].
    pub fn synced(&self) -> Seq {
        // SYNC POINT: with the release in `set_synced`.
        self.synced.load(Ordering::Acquire)
    }

    /// The first number of the oldest segment: what comes before it is gone from the files.
    pub fn oldest(&self) -> Seq {
        self.oldest.load(Ordering::Acquire)
    }

    /// The first number that a reader can still get, from the files or from the cache.
    pub fn available_from(&self) -> Seq {
        let oldest = self.oldest();
        self.lock().chunks.front().map_or(oldest, |chunk| chunk.first.min(oldest))
    }

    /// Blocks until [`Self::written`] is beyond `seq`, `timeout` is over or the tail is closed;
    /// returns [`Self::written`].
    pub fn wait_beyond(&self, seq: Seq, timeout: Duration) -> Seq {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while self.written() <= seq && !state.closed {
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => timeout,
            };
            if left.is_zero() {
                break;
            }
            state = self.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.written()
    }

    /// Blocks until [`Self::synced`] has reached `seq`, `timeout` is over or the tail is closed;
    /// returns [`Self::synced`].
    pub fn wait_synced(&self, seq: Seq, timeout: Duration) -> Seq {
        let is_waiting = |state: &mut State| self.synced() < seq && !state.closed;
        drop(self.grown.wait_timeout_while(self.lock(), timeout, is_waiting));
        self.synced()
    }

    /// Whether the writer is gone: nothing will be added.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Tells all readers that nothing will be added, and wakes them.
    pub fn close(&self) {
        self.lock().closed = true;
        self.grown.notify_all();
    }

    /// The cached chunk that contains `seq`, if it is still cached.
    pub fn chunk(&self, seq: Seq) -> Option<Arc<Chunk>> {
        let state = self.lock();
        let after = state.chunks.partition_point(|chunk| chunk.first <= seq);
        let chunk = state.chunks.get(after.checked_sub(1)?)?;
        (seq <= chunk.last).then(|| Arc::clone(chunk))
    }

    /// Empties the cache of what comes before `seq`: every reader has it.
    pub fn forget_before(&self, seq: Seq) {
        let mut state = self.lock();
        let done = state.chunks.partition_point(|chunk| chunk.last < seq);
        let forgotten: Vec<_> = state.chunks.drain(..done).collect();
        state.bytes -= forgotten.iter().map(|chunk| chunk.cost_bytes()).sum::<usize>();
        if state.chunks.is_empty() {
            state.chunks.shrink_to_fit();
        }
        // The memory goes when nobody waits for the lock.
        drop(state);
    }

    /// Bytes that the cache holds now.
    pub fn cached_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Adds a chunk that was written; the oldest ones make room for it. A chunk larger than the
    /// whole cache is not kept: its readers find it in the file.
    pub(crate) fn publish(&self, chunk: Arc<Chunk>) {
        let mut evicted = Vec::new();
        let mut state = self.lock();
        let last = chunk.last;
        state.bytes += chunk.cost_bytes();
        state.chunks.push_back(chunk);
        while state.bytes > self.cache_bytes
            && let Some(oldest) = state.chunks.pop_front()
        {
            state.bytes -= oldest.cost_bytes();
            evicted.push(oldest);
        }
        // SYNC POINT: with the acquire in `written`.
        self.written.store(last, Ordering::Release);
        drop(state);
        self.grown.notify_all();
    }

    pub(crate) fn set_synced(&self, seq: Seq) {
        let state = self.lock();
        // SYNC POINT: with the acquire in `synced`.
        self.synced.store(seq, Ordering::Release);
        drop(state);
        self.grown.notify_all();
    }

    pub(crate) fn set_oldest(&self, seq: Seq) {
        self.oldest.store(seq, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way, so a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole lines in rising order, without a segment's header line. Immutable, cheap to share.
#[derive(Debug)]
pub struct Chunk {
    first: Seq,
    last: Seq,
    bytes: Vec<u8>,
}

impl Chunk {
    /// `bytes`: at least one line, each ending in a newline, `first` to `last` their numbers.
    pub(crate) fn new(first: Seq, last: Seq, bytes: Vec<u8>) -> Chunk {
        debug_assert!(bytes.last() == Some(&b'\n') && first <= last);
        Chunk { first, last, bytes }
    }

    /// The number of its first line.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// The number of its last line.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// All lines, each with its newline.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its lines, one by one.
    pub fn lines(&self) -> Lines<'_> {
        Lines::new(&self.bytes)
    }

    /// What it costs to keep: unused capacity counts, too.
    pub(crate) fn cost_bytes(&self) -> usize {
        self.bytes.capacity() + size_of::<Chunk>()
    }
}

/// Where in a cached chunk a line begins. A tail has no two chunks with the same numbers.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The chunk's first and last number.
    chunk: (Seq, Seq),
    /// No line before it has this number or a higher one.
    pub(crate) next: Seq,
    at: usize,
}

impl Place {
    /// Whether it is one of this chunk, and not its end.
    pub(crate) fn is_in(&self, chunk: &Chunk) -> bool {
        self.chunk == (chunk.first, chunk.last) && self.at < chunk.bytes.len()
    }
}

/// Some lines of a chunk, in order: what a reader or a feed hands out. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Batch {
    chunk: Option<Arc<Chunk>>,
    range: Range<usize>,
    first: Seq,
    last: Seq,
    events: usize,
}

impl Batch {
    /// No lines.
    pub(crate) fn empty() -> Batch {
        Batch { chunk: None, range: 0..0, first: 0, last: 0, events: 0 }
    }

    /// All lines of a chunk.
    pub(crate) fn whole(chunk: Arc<Chunk>, events: usize) -> Batch {
        let (range, first, last) = (0..chunk.bytes.len(), chunk.first, chunk.last);
        Batch { chunk: Some(chunk), range, first, last, events }
    }

    /// The lines of `chunk` from number `from` on, as many as the limits allow, at least one;
    /// `None` if there is none.
    pub(crate) fn of(
        chunk: &Arc<Chunk>,
        from: Seq,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Batch> {
        let at = if from <= chunk.first { 0 } else { line::find_seq(&chunk.bytes, from) };
        Batch::of_lines_at(chunk, at, max_events, max_bytes)
    }

    /// The same from a place on that an earlier batch ended at, so that the lines before it are not gone through.
    pub(crate) fn of_place(
        chunk: &Arc<Chunk>,
        place: Place,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Batch> {
        debug_assert!(place.is_in(chunk));
        Batch::of_lines_at(chunk, place.at, max_events, max_bytes)
    }

    /// The lines from byte `at` of the chunk on, where one begins.
    fn of_lines_at(
        chunk: &Arc<Chunk>,
        mut at: usize,
        max_events: usize,
        max_bytes: usize,
    ) -> Option<Batch> {
        let mut batch = Batch::empty();
        for line in Lines::new(&chunk.bytes[at..]) {
            let end = at + line.bytes.len() + 1;
            if batch.events == 0 {
                batch.first = line.seq;
                batch.range = at..at;
            } else if batch.events >= max_events || end - batch.range.start > max_bytes {
                break;
            }
            batch.last = line.seq;
            batch.range.end = end;
            batch.events += 1;
            at = end;
        }
        batch.chunk = Some(Arc::clone(chunk));
        (batch.events > 0).then_some(batch)
    }

    /// Where in its chunk the lines behind it begin.
    pub(crate) fn end(&self) -> Option<Place> {
        let chunk = self.chunk.as_ref()?;
        let chunk = (chunk.first, chunk.last);
        Some(Place { chunk, next: self.last + 1, at: self.range.end })
    }

    /// One event that is not read from a journal: `members` is what follows its number, from the comma on. It
    /// has no checksum, and counts as the daemon's own.
    pub fn alone(seq: Seq, members: &[u8]) -> Batch {
        let mut bytes = Vec::new();
        line::begin(&mut bytes, seq, &line::Origin::Daemon);
        bytes.extend_from_slice(members);
        bytes.push(b'\n');
        Batch::whole(Arc::new(Chunk::new(seq, seq, bytes)), 1)
    }

    /// The number of the first event; 0 if nothing was read. Of [`Self::only`] some of a batch, that of the batch.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// The number of the last event, likewise.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// How many events it holds. Numbers may be missing, so this can be less than their distance.
    pub fn len(&self) -> usize {
        self.events
    }

    /// Those of its events that are wanted. It stands for the same numbers, so that whoever is done with it goes
    /// on behind them all.
    pub fn only(&self, mut is_wanted: impl FnMut(Line<'_>) -> bool) -> Batch {
        let mut bytes = Vec::new();
        let mut events = 0;
        for line in self.lines().filter(|line| is_wanted(*line)) {
            bytes.extend_from_slice(line.bytes);
            bytes.push(b'\n');
            events += 1;
        }
        if events == self.events {
            return self.clone();
        }
        let (first, last, range) = (self.first, self.last, 0..bytes.len());
        let chunk = (events > 0).then(|| Arc::new(Chunk::new(first, last, bytes)));
        Batch { chunk, range, first, last, events }
    }

    /// The first so many of its events (at least one), and what is left. Together they stand for the same
    /// numbers.
    pub fn split(&self, events: usize) -> (Batch, Option<Batch>) {
        if events >= self.events {
            return (self.clone(), None);
        }
        let mut first = Batch { range: self.range.start..self.range.start, events, ..self.clone() };
        for line in self.lines().take(events.max(1)) {
            first.last = line.seq;
            first.range.end += line.bytes.len() + 1;
        }
        first.events = events.max(1);
        let rest = Batch {
            range: first.range.end..self.range.end,
            first: first.last + 1,
            events: self.events - first.events,
            ..self.clone()
        };
        (first, Some(rest))
    }

    /// The events of batches that were read one after another, none of them empty, in one: copied together if
    /// there are several.
    pub fn joined(parts: &[Batch]) -> Batch {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Batch::empty();
        };
        if parts.len() == 1 {
            return first.clone();
        }
        debug_assert!(parts.is_sorted_by(|one, next| one.last < next.first));
        let bytes = parts.iter().map(Batch::bytes).collect::<Vec<_>>().concat();
        let events = parts.iter().map(Batch::len).sum();
        Batch::whole(Arc::new(Chunk::new(first.first, last.last, bytes)), events)
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// All lines, each with its newline.
    pub fn bytes(&self) -> &[u8] {
        self.chunk.as_ref().map_or(&[], |chunk| &chunk.bytes[self.range.clone()])
    }

    /// Its lines, one by one.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        Lines::new(self.bytes())
    }
}

#[cfg(test)]
mod tests;
