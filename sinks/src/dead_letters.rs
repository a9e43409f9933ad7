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

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hookring_journal::Line;
use hookring_journal::storage::create_private_dir;
use hookring_journal::text::push_json_string;
use jiff::Timestamp;

use crate::jsonl::encode::encode_line;
pub use count::LetterCount;
pub use letter::{Letter, LetterEvent};

/// Bytes that the dead letters of one sink may take.
pub const DEAD_LETTERS_BYTES: u64 = 64 << 20;
/// A longer reason is cut, in bytes.
const MAX_REASON_BYTES: usize = 1000;

/// Why letters could not be kept. The events are not done with then.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}; free some space or check the disk", path.display())]
pub struct DeadLetterError {
    /// What was tried.
    action: &'static str,
    /// The file.
    pub path: PathBuf,
    source: io::Error,
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
        }
    }

    /// Its files: those that are being sent again, and then the older one first. They may be missing.
    pub fn files(&self) -> [&Path; 3] {
        [&self.retry, &self.older, &self.path]
    }

    /// Shows each of them, the oldest first, and whether it is being sent again. Returns how many lines are
    /// none.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn each(&self, mut show: impl FnMut(&Letter<'_>, bool)) -> Result<u64, DeadLetterError> {
        let mut bad_lines = 0;
        for path in self.files() {
            let is_retried = path == self.retry;
            let read = each_line(path, |line| {
                match Letter::parse(line) {
                    Some(letter) => show(&letter, is_retried),
                    None if letter::is_done(line) => {}
                    None => bad_lines += 1,
                }
                Ok(())
            });
            read.map_err(|source| self.failed("read the dead letters in", path, source))?;
        }
        Ok(bad_lines)
    }

    /// Removes those that are not wanted any more, of which `None` is a line that is no letter; returns how
    /// many. Those that are being sent again stay.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written. Some may be removed.
    pub fn purge(
        &self,
        is_unwanted: impl FnMut(Option<&Letter<'_>>) -> bool,
    ) -> Result<u64, DeadLetterError> {
        let purge = || {
            let _lock = self.lock()?;
            self.remove(is_unwanted)
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
            let _lock = self.lock()?;
            self.append(&lines)
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

    /// Waits until nobody else changes the files, which takes as long as they are read and written.
    fn lock(&self) -> io::Result<File> {
        if let Some(dir) = self.path.parent() {
            create_private_dir(dir)?;
        }
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&self.lock)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(lock)
    }

    /// Under the lock: takes lines out of both files; each is replaced in one step.
    fn remove(&self, mut is_unwanted: impl FnMut(Option<&Letter<'_>>) -> bool) -> io::Result<u64> {
        let mut removed = 0;
        for path in [&self.older, &self.path] {
            let before = removed;
            let new = path.with_added_extension("new");
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            let mut rest = BufWriter::new(file);
            let mut kept = 0_u64;
            each_line(path, |line| {
                if is_unwanted(Letter::parse(line).as_ref()) {
                    removed += 1;
                    return Ok(());
                }
                kept += 1;
                rest.write_all(line)?;
                rest.write_all(b"\n")
            })?;
            let file = rest.into_inner().map_err(io::IntoInnerError::into_error)?;
            if removed == before {
                fs::remove_file(&new)?;
            } else if kept == 0 {
                fs::remove_file(&new)?;
                fs::remove_file(path)?;
            } else {
                file.sync_all()?;
                fs::rename(&new, path)?;
            }
        }
        Ok(removed)
    }

    /// Under the lock.
    fn append(&self, lines: &[u8]) -> io::Result<u64> {
        let (mut file, given_up) = self.open_to_append(lines.len() as u64)?;
        file.write_all(lines)?;
        file.sync_data()?;
        Ok(given_up)
    }

    /// Under the lock: the file to which so many bytes are to be added, and how many older letters were given up
    /// for them.
    fn open_to_append(&self, more_bytes: u64) -> io::Result<(File, u64)> {
        let mut given_up = 0;
        let bytes = fs::metadata(&self.path).map_or(0, |it| it.len());
        if bytes > 0 && bytes + more_bytes > self.limit_bytes / 2 {
            given_up = count_lines(&self.older)?;
            fs::rename(&self.path, &self.older)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        // A process that died may have left half a line.
        if ends_within_a_line(&mut file)? {
            file.write_all(b"\n")?;
        }
        Ok((file, given_up))
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

/// Shows each line of a file, without its newline; none if it is missing. What stands behind the last newline
/// is a line, too.
fn each_line(path: &Path, mut show: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let (mut reader, mut line) = (BufReader::new(file), Vec::new());
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        show(line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
}

/// How many lines a file has; none if it is missing.
fn count_lines(path: &Path) -> io::Result<u64> {
    let mut lines = 0;
    each_line(path, |_| {
        lines += 1;
        Ok(())
    })?;
    Ok(lines)
}

#[cfg(test)]
mod tests;
