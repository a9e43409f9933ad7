//! What a sink will never take: kept in a file of JSON lines of its own, with the reason, so that a person
//! can look at it and send it again.
//!
//! `<sink>.jsonl` is appended to; once it has half of what is allowed it becomes `<sink>.older.jsonl`, in
//! place of the one before, whose letters are given up and counted. `<sink>.retry.jsonl` has those that are
//! being sent again ([`retry`]). Nothing is kept open: whoever removes a file frees its space. Whoever changes
//! one holds the lock `<sink>.lock`, since both the daemon and `hookring dlq` do.

mod count;
mod letter;
pub mod retry;
mod rows;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hookring_journal::Line;
use hookring_journal::storage::create_private_dir;
use hookring_journal::text::push_json_string;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::files::{self, NewFile};
use crate::jsonl::encode::encode_line;
pub use count::LetterCount;
pub use letter::{Letter, LetterEvent};
use rows::{MAX_LETTER_BYTES, Row, Rows};

/// Bytes that the dead letters of one sink may take.
pub const DEAD_LETTERS_BYTES: u64 = 64 << 20;
/// A longer reason is cut, in bytes.
const MAX_REASON_BYTES: usize = 1000;

/// How long it is waited for who has the lock. A sink's worker delivers nothing meanwhile, and one that is told
/// to stop has more time than this.
const LOCK_WAIT: Duration = Duration::from_secs(3);
/// The same where it is tried again soon, and something else may be to do.
const LOCK_GLANCE: Duration = Duration::from_millis(100);
/// How often it is looked whether the lock is free.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// Why letters could not be kept, read or changed. Events are not done with then.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}; {}", path.display(), way_out(source))]
pub struct DeadLetterError {
    /// What was tried.
    action: &'static str,
    /// The file.
    pub path: PathBuf,
    source: io::Error,
}

fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::WouldBlock => "wait for the other process or end it",
        io::ErrorKind::InvalidInput => "move it away",
        _ => "free some space or check the disk",
    }
}

/// Why an event is dead.
#[derive(Copy, Clone, Debug)]
pub struct Reason<'a> {
    /// The code of the sink's answer, if it has one.
    pub status: Option<u16>,
    /// Its words.
    pub words: &'a str,
    /// How often the event was sent.
    pub attempts: u32,
}

/// The dead letters of one sink.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    sink: String,
    path: PathBuf,
    older: PathBuf,
    retry: PathBuf,
    lock: PathBuf,
    limit_bytes: u64,
    /// A longer line is none.
    max_letter_bytes: usize,
    lock_wait: Duration,
    /// Older letters that were given up for others which could not be written then; told with the next ones.
    given_up: Arc<AtomicU64>,
}

/// The sinks that have dead letters in `dir`, by name; also those that are not configured any more.
///
/// # Errors
///
/// If the folder is there and cannot be listed.
pub fn sinks_with_letters(dir: &Path) -> Result<Vec<String>, DeadLetterError> {
    let failed = |source| DeadLetterError { action: "list", path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut sinks = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        let Some(stem) = stem else { continue };
        let sink = stem.strip_suffix(".older").or(stem.strip_suffix(".retry")).unwrap_or(stem);
        sinks.push(sink.to_owned());
    }
    sinks.sort();
    sinks.dedup();
    Ok(sinks)
}

impl DeadLetters {
    /// Those of `sink` in `dir`, which is made when there is something to keep.
    pub fn new(dir: &Path, sink: &str, limit_bytes: u64) -> DeadLetters {
        DeadLetters {
            sink: sink.to_owned(),
            path: dir.join(format!("{sink}.jsonl")),
            older: dir.join(format!("{sink}.older.jsonl")),
            retry: dir.join(format!("{sink}.retry.jsonl")),
            lock: dir.join(format!("{sink}.lock")),
            limit_bytes,
            max_letter_bytes: MAX_LETTER_BYTES,
            lock_wait: LOCK_WAIT,
            given_up: Arc::default(),
        }
    }

    /// Its files: those that are being sent again, and then the older one first. They may be missing.
    pub fn files(&self) -> [&Path; 3] {
        [&self.retry, &self.older, &self.path]
    }

    /// Shows each of them, the oldest first, and whether it is being sent again or waits for that. Returns how many
    /// lines are none, those that are too long among them.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn each(&self, mut show: impl FnMut(&Letter<'_>, bool)) -> Result<u64, DeadLetterError> {
        let (mut bad_lines, mut retried) = (0, HashSet::new());
        for path in self.files() {
            let is_retried = path == self.retry;
            let read = self.each_row(path, |row| {
                let Some(letter) = row.letter() else {
                    bad_lines += u64::from(!(is_retried && row.is_done()));
                    return Ok(());
                };
                if is_retried {
                    retried.insert(row.key()?);
                } else if !retried.is_empty() && retried.contains(&row.key()?) {
                    // A copy, as long as nobody has taken that up.
                    return Ok(());
                }
                show(&letter, is_retried);
                Ok(())
            });
            read.map_err(|source| self.failed("read the dead letters in", path, source))?;
        }
        Ok(bad_lines)
    }

    /// Removes those that are not wanted any more, of which `None` is a line that is no letter; returns how
    /// many. Those that are being sent again stay, unless `with_retried` says that nobody sends them.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written. Some may be removed.
    pub fn purge(
        &self,
        with_retried: bool,
        is_unwanted: impl FnMut(Option<&Letter<'_>>) -> bool,
    ) -> Result<u64, DeadLetterError> {
        let purge = || {
            let _lock = self.lock(self.lock_wait)?;
            self.remove(with_retried, is_unwanted)
        };
        purge().map_err(|source| self.failed("remove dead letters from", &self.path, source))
    }

    /// Keeps these, and syncs. Returns how many older ones were given up for them.
    ///
    /// # Errors
    ///
    /// If they cannot be written. Some may be there; they come again.
    pub fn keep<'a>(
        &self,
        events: impl IntoIterator<Item = Line<'a>>,
        reason: Reason<'_>,
    ) -> Result<u64, DeadLetterError> {
        self.keep_each(events.into_iter().map(|event| (event, reason.attempts)), reason)
    }

    /// [`keep`](Self::keep), with attempts of its own for each.
    pub(crate) fn keep_each<'a>(
        &self,
        events: impl IntoIterator<Item = (Line<'a>, u32)>,
        reason: Reason<'_>,
    ) -> Result<u64, DeadLetterError> {
        let mut lines = Vec::new();
        for (event, attempts) in events {
            self.push(&mut lines, &event, Reason { attempts, ..reason });
        }
        let append = || {
            let _lock = self.lock(self.lock_wait)?;
            self.append(lines.len() as u64, |file| file.write_all(&lines))
        };
        append().map_err(|source| self.failed("keep dead letters in", &self.path, source))
    }

    fn push(&self, out: &mut Vec<u8>, event: &Line<'_>, reason: Reason<'_>) {
        out.extend_from_slice(b"{\"sink\":");
        push_json_string(out, &self.sink);
        out.extend_from_slice(format!(",\"at\":\"{}\"", Timestamp::now()).as_bytes());
        if let Some(status) = reason.status {
            out.extend_from_slice(format!(",\"status\":{status}").as_bytes());
        }
        out.extend_from_slice(b",\"reason\":");
        let end = reason.words.floor_char_boundary(MAX_REASON_BYTES);
        push_json_string(out, &reason.words[..end]);
        out.extend_from_slice(format!(",\"attempts\":{},\"event\":", reason.attempts).as_bytes());
        encode_line(event, out);
        // In place of the newline.
        out.pop();
        out.extend_from_slice(b"}\n");
    }

    fn failed(&self, action: &'static str, path: &Path, source: io::Error) -> DeadLetterError {
        DeadLetterError { action, path: path.to_owned(), source }
    }

    /// Waits until nobody else changes the files, which takes as long as they are read and written; but no longer
    /// than `wait`, since a process that has the lock may stand still. What one left behind that died is removed.
    fn lock(&self, wait: Duration) -> io::Result<File> {
        if let Some(dir) = self.path.parent() {
            create_private_dir(dir)?;
        }
        let lock = files::open(&self.lock, OpenOptions::new().write(true).create(true))?;
        let end = Instant::now() + wait;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(LOCK_POLL),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let text = "another process holds the lock of these dead letters, such as a `hookring dlq`";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
                }
                Err(error) => return Err(error.into()),
            }
        }
        for path in self.files() {
            // What cannot be removed is an error where the next one is written.
            let _ = files::remove(&path.with_added_extension("new"));
        }
        Ok(lock)
    }

    /// Shows each line of a file; none if it is missing.
    fn each_row(
        &self,
        path: &Path,
        mut show: impl FnMut(&Row<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(mut rows) = Rows::open(path, self.max_letter_bytes)? else { return Ok(()) };
        while let Some(row) = rows.next()? {
            show(&row)?;
        }
        Ok(())
    }

    /// Under the lock: takes lines out of the files; each is replaced in one step, and only if there is something
    /// to take out. Where nothing stays, nothing is written.
    fn remove(
        &self,
        with_retried: bool,
        mut is_unwanted: impl FnMut(Option<&Letter<'_>>) -> bool,
    ) -> io::Result<u64> {
        let (mut removed, mut retried) = (0, HashSet::new());
        for path in self.files() {
            let is_retry = path == self.retry;
            if is_retry && !with_retried {
                continue;
            }
            let is_done = |row: &Row<'_>| is_retry && row.is_done();
            let mut is_gone = |row: &Row<'_>| is_done(row) || is_unwanted(row.letter().as_ref());
            let (mut gone, mut kept) = (0_u64, 0_u64);
            self.each_row(path, |row| {
                if !is_gone(row) {
                    kept += 1;
                    return Ok(());
                }
                gone += 1;
                // The copy of one that nobody has taken up is no other letter.
                let is_copy = !retried.is_empty() && retried.contains(&row.key()?);
                removed += u64::from(!is_done(row) && !is_copy);
                if is_retry {
                    retried.insert(row.key()?);
                }
                Ok(())
            })?;
            if gone > 0 && kept == 0 {
                fs::remove_file(path)?;
            } else if gone > 0 {
                let mut rest = NewFile::create(path)?;
                self.each_row(path, |row| if is_gone(row) { Ok(()) } else { row.copy(&mut rest) })?;
                rest.place_synced()?;
            }
        }
        Ok(removed)
    }

    /// Under the lock: adds so many bytes, and syncs. Returns how many older letters were given up for them.
    fn append(
        &self,
        bytes: u64,
        write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> io::Result<u64> {
        let file = self.open_to_append(bytes)?;
        let before = file.metadata()?.len();
        let append = || {
            let mut writer = BufWriter::new(&file);
            write(&mut writer)?;
            writer.flush()?;
            drop(writer);
            file.sync_data()
        };
        let appended = append();
        if appended.is_err() {
            // It comes again. If this fails, too, half a line is one that cannot be read.
            let _ = file.set_len(before);
        }
        appended.map(|()| self.given_up.swap(0, Ordering::Relaxed))
    }

    /// Under the lock: the file to which so many bytes are to be added.
    fn open_to_append(&self, more_bytes: u64) -> io::Result<File> {
        let bytes = fs::metadata(&self.path).map_or(0, |it| it.len());
        if bytes > 0 && bytes + more_bytes > self.limit_bytes / 2 {
            let given_up = self.count_lines(&self.older)?;
            fs::rename(&self.path, &self.older)?;
            self.given_up.fetch_add(given_up, Ordering::Relaxed);
        }
        let mut file =
            files::open(&self.path, OpenOptions::new().read(true).append(true).create(true))?;
        // A process that died may have left half a line.
        if ends_within_a_line(&mut file)? {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }

    /// How many lines a file has; none if it is missing.
    fn count_lines(&self, path: &Path) -> io::Result<u64> {
        let mut lines = 0;
        self.each_row(path, |_| {
            lines += 1;
            Ok(())
        })?;
        Ok(lines)
    }
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests;
