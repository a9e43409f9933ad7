//! The files as a feed reads them that lags: the next batch is read while its owner is busy with the last one.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::Seq;
use crate::reader::{ReadError, Reader, Skipped};
use crate::tail::Batch;

/// For less than this it is not worth waking a thread, in bytes. (Tests have small batches.)
const WORTHWHILE_BYTES: usize = if cfg!(test) { 1 } else { 64 << 10 };

/// How much a batch may have.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    pub(super) max_events: usize,
    pub(super) max_bytes: usize,
}

/// What was read at once.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) batch: Batch,
    /// What was passed over before and within it.
    pub(super) skipped: Skipped,
    /// The number behind it.
    pub(super) next: Seq,
}

/// A reader, and a thread that reads ahead with it once that is worth it.
#[derive(Debug)]
pub(super) struct AheadReader {
    shared: Arc<Shared>,
    has_thread: bool,
}

#[derive(Debug)]
struct Shared {
    /// Whoever reads holds the lock, so one read comes after another.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    reader: Reader,
    /// Read ahead, within these limits.
    ready: Option<(Read, Limits)>,
    /// The thread is to read.
    wanted: Option<Limits>,
    is_over: bool,
}

impl AheadReader {
    /// As [`Reader::open`].
    pub(super) fn open(dir: &Path, from: Seq) -> Result<AheadReader, ReadError> {
        let reader = Reader::open(dir, from)?;
        let state = State { reader, ready: None, wanted: None, is_over: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        Ok(AheadReader { shared, has_thread: false })
    }

    /// Whether the next read can keep these limits: what is read already may have others.
    pub(super) fn can_keep(&self, limits: Limits) -> bool {
        self.shared.lock().ready.as_ref().is_none_or(|(_, ready)| *ready == limits)
    }

    /// The next lines, none behind the number `written`; as [`Reader::next_batch`].
    pub(super) fn next(&self, written: Seq, limits: Limits) -> Result<Read, ReadError> {
        let mut state = self.shared.lock();
        state.wanted = None;
        if let Some((read, _)) = state.ready.take() {
            return Ok(read);
        }
        state.reader.read_up_to(written);
        match state.read(limits)? {
            Some(read) => Ok(read),
            None => Ok(Read {
                batch: Batch::empty(),
                skipped: state.reader.take_skipped(),
                next: state.reader.position(),
            }),
        }
    }

    /// Has the next batch read meanwhile, if they are as large as the last one.
    pub(super) fn read_ahead(&mut self, last: &Batch, limits: Limits) {
        if last.bytes().len() < WORTHWHILE_BYTES {
            return;
        }
        if !self.has_thread {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("read-ahead".to_owned());
            // Where there is none to be had, who wants a batch reads it.
            self.has_thread = thread.spawn(move || shared.run()).is_ok();
        }
        self.shared.lock().wanted = Some(limits);
        self.shared.changed.notify_one();
    }

    /// No number up to this one, from what was handed out on, can be lost any more, whichever files are deleted.
    pub(super) fn has_up_to(&self) -> Option<Seq> {
        let state = self.shared.lock();
        let ready = state.ready.as_ref().map(|(read, _)| read.next - 1);
        ready.max(state.reader.last_in_open())
    }
}

impl Drop for AheadReader {
    /// The thread ends by itself.
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.lock();
        while !state.is_over {
            if let Some(limits) = state.wanted.take() {
                // An error comes again where it can be told.
                state.ready = state.read(limits).ok().flatten().map(|read| (read, limits));
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// `None`: there is nothing more for now.
    fn read(&mut self, limits: Limits) -> Result<Option<Read>, ReadError> {
        let batch = self.reader.next_batch(limits.max_events, limits.max_bytes)?;
        if batch.is_empty() {
            return Ok(None);
        }
        let (skipped, next) = (self.reader.take_skipped(), self.reader.position());
        Ok(Some(Read { batch, skipped, next }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::reader::Gap;
    use crate::testing::{damage_line, n_of, pairs, written};

    const TWO: Limits = Limits { max_events: 2, max_bytes: 1 << 20 };

    fn numbers(read: &Read) -> Vec<(Seq, u64)> {
        read.batch.lines().map(|line| (line.seq, n_of(line.bytes))).collect()
    }

    fn wait_until_ready(reader: &AheadReader) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while reader.shared.lock().ready.is_none() {
            assert!(Instant::now() < deadline, "nothing was read ahead");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_was_read_ahead_is_had_whatever_becomes_of_the_file_and_comes_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), 7);
        // Its third event.
        damage_line(&path, 3);
        let mut reader = AheadReader::open(dir.path(), 1).unwrap();
        let first = reader.next(7, TWO).unwrap();
        assert_eq!((numbers(&first), first.next, reader.has_up_to()), (pairs(1..=2), 3, Some(7)));
        reader.read_ahead(&first.batch, TWO);
        wait_until_ready(&reader);
        std::fs::write(&path, "").unwrap();
        assert_eq!(reader.has_up_to(), Some(5));
        assert!(reader.can_keep(TWO) && !reader.can_keep(Limits { max_events: 3, ..TWO }));
        let second = reader.next(7, TWO).unwrap();
        assert_eq!((numbers(&second), second.next), (pairs(4..=5), 6));
        assert_eq!(second.skipped.gaps, [Gap { first: 3, last: 3 }]);
        assert!(reader.can_keep(Limits { max_events: 3, ..TWO }));
    }

    #[test]
    fn it_does_not_read_ahead_of_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 7);
        let mut reader = AheadReader::open(dir.path(), 1).unwrap();
        let mut all = Vec::new();
        loop {
            let read = reader.next(5, TWO).unwrap();
            if read.batch.is_empty() {
                break;
            }
            reader.read_ahead(&read.batch, TWO);
            all.extend(numbers(&read));
        }
        assert_eq!(all, pairs(1..=5));
        assert_eq!(numbers(&reader.next(7, TWO).unwrap()), pairs(6..=7));
    }

    #[test]
    fn its_thread_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 7);
        let mut reader = AheadReader::open(dir.path(), 1).unwrap();
        let first = reader.next(7, TWO).unwrap();
        reader.read_ahead(&first.batch, TWO);
        let shared = Arc::downgrade(&reader.shared);
        drop(reader);
        let deadline = Instant::now() + Duration::from_secs(60);
        while shared.upgrade().is_some() {
            assert!(Instant::now() < deadline, "the thread goes on");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
