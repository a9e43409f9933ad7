//! Dead letters that are sent again.
//!
//! Whoever wants that copies them to `<sink>.retry.jsonl` in one step; the sink's worker sees the file, takes
//! them out of the others, and goes through it. A letter that is done with is marked in place by its first
//! byte; one that is refused again was appended to the others before. So each is in some file at any moment,
//! whoever dies: it may be sent twice, under the same id. Marks are not synced.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use hookring_journal::{Batch, Seq};

use super::letter::{DONE, is_done};
use super::{DeadLetterError, DeadLetters, Letter, each_line};
use crate::files;

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
            let _lock = self.lock()?;
            if self.retry.exists() {
                return Ok(None);
            }
            let new = self.retry.with_added_extension("new");
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            let mut wanted = io::BufWriter::new(file);
            let mut count = 0;
            for path in [&self.older, &self.path] {
                each_line(path, |line| {
                    if Letter::parse(line).is_some_and(|letter| is_wanted(&letter)) {
                        count += 1;
                        wanted.write_all(line)?;
                        wanted.write_all(b"\n")?;
                    }
                    Ok(())
                })?;
            }
            let file = wanted.into_inner().map_err(io::IntoInnerError::into_error)?;
            if count == 0 {
                fs::remove_file(&new)?;
                return Ok(Some(0));
            }
            file.sync_all()?;
            fs::rename(&new, &self.retry)?;
            Ok(Some(count))
        };
        match ask().map_err(|source| self.failed("write", &self.retry, source))? {
            Some(count) => Ok(count),
            None => Err(RetryError::Running { sink: self.sink.clone() }),
        }
    }

    /// Whether letters are being sent again, or wait for that.
    pub fn is_retrying(&self) -> bool {
        self.retry.exists()
    }
}

/// The worker's way through the letters that are to be sent again.
#[derive(Debug)]
pub struct Retry {
    path: PathBuf,
    reader: BufReader<File>,
    marks: File,
    at: u64,
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
        let path = letters.retry.clone();
        let open = || {
            let marks = match OpenOptions::new().write(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                marks => marks?,
            };
            let mut ids = HashSet::new();
            let mut left = 0;
            each_line(&path, |line| {
                let letter = Letter::parse(line);
                left += u64::from(letter.is_some());
                ids.extend(letter.and_then(|it| id_of(&it)));
                Ok(())
            })?;
            let _lock = letters.lock()?;
            letters.remove(|letter| letter.and_then(id_of).is_some_and(|id| ids.contains(&id)))?;
            let reader = BufReader::new(File::open(&path)?);
            Ok(Some((reader, marks, left)))
        };
        let opened = open().map_err(|source| letters.failed("begin with", &path, source))?;
        Ok(opened.map(|(reader, marks, left)| Retry {
            path,
            reader,
            marks,
            at: 0,
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
    pub fn next_letter(&mut self) -> io::Result<Option<RetryLetter>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let (at, read) = (self.at, self.reader.read_until(b'\n', &mut line)?);
            if read == 0 {
                return Ok(None);
            }
            self.at += read as u64;
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let Some(letter) = Letter::parse(line) else { continue };
            let (Some(event), Some(members)) = (letter.event(), letter.members()) else { continue };
            let (seq, attempts) = (event.seq, letter.attempts);
            let batch = Batch::alone(seq, members);
            return Ok(Some(RetryLetter { at, seq, attempts, batch }));
        }
    }

    /// The sink has it, or did not take it again and it is kept elsewhere.
    ///
    /// # Errors
    ///
    /// If it cannot be marked.
    pub fn done(&mut self, letter: &RetryLetter) -> io::Result<()> {
        self.marks.write_all_at(&[DONE], letter.at)?;
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    /// Ends it; what was not sent is a dead letter as before. Returns how many older ones were given up.
    ///
    /// # Errors
    ///
    /// If that cannot be written; nothing is lost.
    pub fn finish(&self, letters: &DeadLetters) -> Result<u64, DeadLetterError> {
        let finish = || {
            let _lock = letters.lock()?;
            let mut bytes = 0;
            each_line(&self.path, |line| {
                bytes += if is_done(line) { 0 } else { line.len() as u64 + 1 };
                Ok(())
            })?;
            let mut given_up = 0;
            if bytes > 0 {
                let file;
                (file, given_up) = letters.open_to_append(bytes)?;
                let mut rest = io::BufWriter::new(file);
                each_line(&self.path, |line| {
                    if !is_done(line) {
                        rest.write_all(line)?;
                        rest.write_all(b"\n")?;
                    }
                    Ok(())
                })?;
                rest.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
            }
            files::remove(&self.path)?;
            Ok(given_up)
        };
        finish().map_err(|source| letters.failed("put back what is in", &self.path, source))
    }
}

/// An event's id, in little room: there may be a hundred thousand of them. `None`: it is in a form that no version
/// of this wrote, and such letters stay where they are.
fn id_of(letter: &Letter<'_>) -> Option<u128> {
    let digits = letter.event()?.id.replace('-', "");
    u128::from_str_radix(&digits, 16).ok()
}
