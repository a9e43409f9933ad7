//! What a sink will never take: kept in a file of JSON lines of its own, with the reason, so that a person
//! can look at it and send it again.
//!
//! `<sink>.jsonl` is appended to; once it has half of what is allowed it becomes `<sink>.older.jsonl`, in
//! place of the one before, whose letters are given up and counted. Nothing is kept open: whoever removes a
//! file frees its space.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hookring_journal::Line;
use hookring_journal::storage::create_private_dir;
use hookring_journal::text::push_json_string;
use jiff::Timestamp;

use crate::jsonl::encode::encode_line;

/// Bytes that the dead letters of one sink may take.
pub const DEAD_LETTERS_BYTES: u64 = 64 << 20;
/// A longer reason is cut, in bytes.
const MAX_REASON_BYTES: usize = 1000;

/// Why letters could not be kept. The events are not done with then.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep dead letters in {}; free some space or check the disk", path.display())]
pub struct DeadLetterError {
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
    limit_bytes: u64,
}

impl DeadLetters {
    /// Those of `sink` in `dir`, which is made when there is something to keep.
    pub fn new(dir: &Path, sink: &str, limit_bytes: u64) -> DeadLetters {
        DeadLetters {
            sink: sink.to_owned(),
            path: dir.join(format!("{sink}.jsonl")),
            older: dir.join(format!("{sink}.older.jsonl")),
            limit_bytes,
        }
    }

    /// Its files, the older one first. They may be missing.
    pub fn files(&self) -> [&Path; 2] {
        [&self.older, &self.path]
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
        let mut lines = Vec::new();
        for event in events {
            self.push(&mut lines, &event, reason);
        }
        self.append(&lines).map_err(|source| DeadLetterError { path: self.path.clone(), source })
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

    fn append(&self, lines: &[u8]) -> io::Result<u64> {
        if let Some(dir) = self.path.parent() {
            create_private_dir(dir)?;
        }
        let mut given_up = 0;
        let bytes = fs::metadata(&self.path).map_or(0, |it| it.len());
        if bytes > 0 && bytes + lines.len() as u64 > self.limit_bytes / 2 {
            given_up = count_lines(&self.older)?;
            fs::rename(&self.path, &self.older)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        // A process that died may have left half a line.
        if ends_within_a_line(&mut file)? {
            file.write_all(b"\n")?;
        }
        file.write_all(lines)?;
        file.sync_data()?;
        Ok(given_up)
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

/// How many lines a file has; none if it is missing.
fn count_lines(path: &Path) -> io::Result<u64> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes.iter().filter(|byte| **byte == b'\n').count() as u64),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestJournal;

    fn letters(journal: &TestJournal, limit_bytes: u64) -> DeadLetters {
        DeadLetters::new(&journal.path("dead_letters"), "s", limit_bytes)
    }

    const REASON: Reason<'_> = Reason { status: Some(400), words: "no \"good\"", attempts: 3 };

    #[test]
    fn each_says_what_it_is_and_why() {
        let mut journal = TestJournal::new();
        journal.write_many(2);
        let letters = letters(&journal, DEAD_LETTERS_BYTES);
        assert_eq!(letters.keep(journal.batch(1, 2).lines(), REASON).expect("kept"), 0);
        let text = fs::read_to_string(&letters.path).expect("the file");
        for (line, seq) in text.lines().zip(1..) {
            let letter: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!((&letter["sink"], &letter["status"]), (&"s".into(), &400.into()));
            assert_eq!(
                (&letter["reason"], &letter["attempts"]),
                (&"no \"good\"".into(), &3.into())
            );
            assert_eq!(letter["event"]["seq"], seq);
            assert!(letter["event"]["crc"].is_null() && letter["at"].is_string());
        }
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn half_a_line_of_a_dead_process_stands_alone() {
        let mut journal = TestJournal::new();
        journal.write_many(1);
        let letters = letters(&journal, DEAD_LETTERS_BYTES);
        letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
        let mut bytes = fs::read(&letters.path).expect("the file");
        bytes.extend_from_slice(b"{\"sink\":");
        fs::write(&letters.path, &bytes).expect("the file");
        letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
        let text = fs::read_to_string(&letters.path).expect("the file");
        let whole =
            text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
        assert_eq!((whole.count(), text.lines().count()), (2, 3));
    }

    #[test]
    fn the_oldest_are_given_up_at_the_limit_and_counted() {
        let mut journal = TestJournal::new();
        journal.write_many(1);
        let letters = letters(&journal, 4000);
        let mut given_up = 0;
        for _ in 0..100 {
            given_up += letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
        }
        let bytes: u64 =
            letters.files().map(|it| fs::metadata(it).expect("a file").len()).iter().sum();
        let kept: u64 = letters.files().map(|it| count_lines(it).expect("a file")).iter().sum();
        assert!(bytes <= 4000 && kept > 4, "{bytes} bytes, {kept} letters");
        assert_eq!(kept + given_up, 100);
    }
}
