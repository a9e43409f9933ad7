//! Dead letters that are sent again.
//!
//! Whoever wants that copies them to `<sink>.retry.jsonl` in one step; the sink's worker sees the file, takes
//! them out of the others, and goes through it. A letter that is done with is marked in place by its first
//! byte; one that is refused again was appended to the others before. So each is in some file at any moment,
//! whoever dies: it may be sent twice, under the same id. Marks are not synced.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use hookring_journal::{Batch, Seq};

use super::letter::DONE;
use super::rows::{Row, Rows, id_key};
use super::{DeadLetterError, DeadLetters, LOCK_GLANCE, Letter};
use crate::files::{self, NewFile};

/// Why letters cannot be sent again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// One retry at a time.
    #[error(
        "letters of sink {sink} are being sent again already; wait until `hookring status` shows none, or \
         stop that with `hookring dlq retry --sink {sink} --stop`"
    )]
    Running {
        /// The sink.
        sink: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Files(#[from] DeadLetterError),
}

impl DeadLetters {
    /// Asks the sink's worker to send these again; returns how many.
    ///
    /// # Errors
    ///
    /// See [`RetryError`]; nothing has changed then.
    pub fn ask_retry(
        &self,
        mut is_wanted: impl FnMut(&Letter<'_>) -> bool,
    ) -> Result<u64, RetryError> {
        let mut ask = || {
            let _lock = self.lock(self.lock_wait)?;
            if self.is_retrying() {
                return Ok(None);
            }
            let mut wanted = NewFile::create(&self.retry)?;
            let mut count = 0;
            for path in [&self.older, &self.path] {
                self.each_row(path, |row| {
                    if row.letter().is_some_and(|letter| is_wanted(&letter)) {
                        count += 1;
                        row.copy(&mut wanted)?;
                    }
                    Ok(())
                })?;
            }
            if count > 0 {
                wanted.place_synced()?;
            }
            Ok(Some(count))
        };
        match ask().map_err(|source| self.failed("write", &self.retry, source))? {
            Some(count) => Ok(count),
            None => Err(RetryError::Running { sink: self.sink.clone() }),
        }
    }

    /// Whether letters are being sent again, or wait for that.
    pub fn is_retrying(&self) -> bool {
        self.retry.symlink_metadata().is_ok()
    }

    /// Ends a retry, whether it was taken up or not: what was not sent is a dead letter as before. `done` is one that
    /// could not be marked so.
    ///
    /// # Errors
    ///
    /// If that cannot be written; nothing is lost, and what was written is not written again.
    pub fn end_retry(&self, done: Option<&RetryLetter>) -> Result<EndedRetry, DeadLetterError> {
        let end = || {
            let _lock = self.lock(LOCK_GLANCE)?;
            let ended = self.put_back(done.map(|letter| letter.at))?;
            files::remove(&self.retry)?;
            Ok(ended)
        };
        end().map_err(|source| self.failed("put back what is in", &self.retry, source))
    }

    /// Under the lock. `done_at` is where one stands that is done with and not marked.
    pub(super) fn put_back(&self, done_at: Option<u64>) -> io::Result<EndedRetry> {
        let (mut rest, mut left) = (HashSet::new(), 0);
        let is_done = |row: &Row<'_>| row.is_done() || done_at == Some(row.at);
        self.each_row(&self.retry, |row| {
            if !is_done(row) {
                left += u64::from(row.letter().is_some());
                rest.insert(row.key()?);
            }
            Ok(())
        })?;
        let given_up = self.put_back_rows(rest, is_done)?;
        Ok(EndedRetry { given_up, left })
    }

    /// Those of `rest` that are in no other file. Returns how many older ones were given up for them.
    fn put_back_rows(
        &self,
        mut rest: HashSet<u128>,
        is_done: impl Fn(&Row<'_>) -> bool,
    ) -> io::Result<u64> {
        for path in [&self.older, &self.path] {
            if rest.is_empty() {
                return Ok(0);
            }
            self.each_row(path, |row| {
                rest.remove(&row.key()?);
                Ok(())
            })?;
        }
        let mut bytes = 0;
        self.each_row(&self.retry, |row| {
            if !is_done(row) && rest.contains(&row.key()?) {
                bytes += row.bytes + 1;
            }
            Ok(())
        })?;
        if bytes == 0 {
            return Ok(0);
        }
        self.append(bytes, |file| {
            self.each_row(&self.retry, |row| {
                if !is_done(row) && rest.remove(&row.key()?) { row.copy(file) } else { Ok(()) }
            })
        })
    }
}

/// What the end of a retry came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct EndedRetry {
    /// Older letters that were given up for want of room.
    pub given_up: u64,
    /// Letters that were not sent, and are as before.
    pub left: u64,
}

/// The worker's way through the letters that are to be sent again.
#[derive(Debug)]
pub struct Retry {
    path: PathBuf,
    rows: Rows,
    marks: File,
    left: u64,
    /// Which letters the sink has by now.
    pub taken: u64,
    /// Which it did not take this time, either.
    pub refused: u64,
}

/// One of them.
#[derive(Debug)]
pub struct RetryLetter {
    /// Where it begins.
    at: u64,
    /// The event's number.
    pub seq: Seq,
    /// How often it was sent before.
    pub attempts: u32,
    /// The event alone.
    pub batch: Batch,
}

impl Retry {
    /// Begins, or goes on where an earlier process was; `None`: nobody asked for it.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written.
    pub fn open(letters: &DeadLetters) -> Result<Option<Retry>, DeadLetterError> {
        if !letters.is_retrying() {
            return Ok(None);
        }
        let path = &letters.retry;
        let open = || {
            // Before it is opened: somebody may be putting back what is in it.
            let _lock = letters.lock(LOCK_GLANCE)?;
            let Some(rows) = Rows::open(path, letters.max_letter_bytes)? else { return Ok(None) };
            let marks = files::open(path, OpenOptions::new().write(true))?;
            let (mut ids, mut left) = (HashSet::new(), 0);
            letters.each_row(path, |row| {
                let letter = row.letter();
                left += u64::from(letter.is_some());
                ids.extend(letter.as_ref().and_then(key_of));
                Ok(())
            })?;
            letters.remove(false, |letter| {
                letter.and_then(key_of).is_some_and(|id| ids.contains(&id))
            })?;
            Ok(Some((rows, marks, left)))
        };
        let opened = open().map_err(|source| letters.failed("begin with", path, source))?;
        Ok(opened.map(|(rows, marks, left)| Retry {
            path: path.clone(),
            rows,
            marks,
            left,
            taken: 0,
            refused: 0,
        }))
    }

    /// How many are to go.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next one, which is to be [`done`](Retry::done); `None`: there is none.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn next_letter(&mut self) -> Result<Option<RetryLetter>, DeadLetterError> {
        let (action, path) = ("read the dead letters in", &self.path);
        let failed = |source| DeadLetterError { action, path: path.clone(), source };
        while let Some(row) = self.rows.next().map_err(failed)? {
            let Some(letter) = row.letter() else { continue };
            let (Some(event), Some(members)) = (letter.event(), letter.members()) else { continue };
            let (at, seq, attempts) = (row.at, event.seq, letter.attempts);
            let batch = Batch::alone(seq, members);
            return Ok(Some(RetryLetter { at, seq, attempts, batch }));
        }
        Ok(None)
    }

    /// The sink has it, or did not take it again and it is kept elsewhere.
    ///
    /// # Errors
    ///
    /// If it cannot be marked.
    pub fn done(&mut self, letter: &RetryLetter) -> Result<(), DeadLetterError> {
        self.marks.write_all_at(&[DONE], letter.at).map_err(|source| {
            let (action, path) = ("mark what was sent in", self.path.clone());
            DeadLetterError { action, path, source }
        })?;
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

fn key_of(letter: &Letter<'_>) -> Option<u128> {
    letter.event().map(|event| id_key(&event.id))
}
