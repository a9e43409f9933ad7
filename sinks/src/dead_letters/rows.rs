//! The lines of a file of dead letters, one after the other, whatever stands in it: a line that is longer than
//! any letter is passed over without being held in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hookring_journal::segment::MAX_LINE_BYTES;
use sha2::{Digest as _, Sha256};

use super::letter::{DONE, Letter};
use crate::files;

/// A longer line is no letter, in bytes: an event's line, and room for what is said of it.
pub(super) const MAX_LETTER_BYTES: usize = MAX_LINE_BYTES + (64 << 10);
/// What of a line that is too long is copied at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Goes through a file.
#[derive(Debug)]
pub(super) struct Rows {
    reader: BufReader<File>,
    at: u64,
    line: Vec<u8>,
    max_bytes: usize,
    /// What stands from here on is not read.
    end: u64,
}

/// A line without its newline.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Where it begins.
    pub(super) at: u64,
    /// How long it is.
    pub(super) bytes: u64,
    /// `None`: it is too long to be a letter.
    pub(super) text: Option<&'a [u8]>,
    file: &'a File,
}

impl Rows {
    /// `None`: there is no such file.
    pub(super) fn open(path: &Path, max_bytes: usize) -> io::Result<Option<Rows>> {
        Rows::open_part(path, max_bytes, 0..u64::MAX)
    }

    /// What stands between two places, the first of which is a line's beginning.
    pub(super) fn open_part(
        path: &Path,
        max_bytes: usize,
        part: Range<u64>,
    ) -> io::Result<Option<Rows>> {
        let Some(mut file) = files::open_to_read(path)? else { return Ok(None) };
        file.seek(SeekFrom::Start(part.start))?;
        let (reader, at, end) = (BufReader::new(file), part.start, part.end);
        Ok(Some(Rows { reader, at, line: Vec::new(), max_bytes, end }))
    }

    /// The next line; `None` at the end. What stands behind the last newline is a line, too.
    pub(super) fn next(&mut self) -> io::Result<Option<Row<'_>>> {
        self.line.clear();
        let (at, mut bytes, mut is_ended) = (self.at, 0, false);
        while !is_ended {
            let chunk = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            let chunk = &chunk[..chunk.len().min(left)];
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            bytes += part.len() as u64;
            if bytes <= self.max_bytes as u64 {
                self.line.extend_from_slice(part);
            } else {
                self.line = Vec::new();
            }
            is_ended = end.is_some();
            let used = part.len() + usize::from(is_ended);
            self.at += used as u64;
            self.reader.consume(used);
        }
        if bytes == 0 && !is_ended {
            return Ok(None);
        }
        let text = (bytes <= self.max_bytes as u64).then_some(&*self.line);
        Ok(Some(Row { at, bytes, text, file: self.reader.get_ref() }))
    }
}

impl<'a> Row<'a> {
    /// The letter that it is, if it is one that is not done with.
    pub(super) fn letter(&self) -> Option<Letter<'a>> {
        Letter::parse(self.text?)
    }

    /// Whether it is a letter that is done with.
    pub(super) fn is_done(&self) -> bool {
        self.text.is_some_and(|text| text.first() == Some(&DONE))
    }

    /// Writes it, with a newline.
    pub(super) fn copy(&self, to: &mut impl Write) -> io::Result<()> {
        self.each_chunk(|chunk| to.write_all(chunk))?;
        to.write_all(b"\n")
    }

    /// By what it is known again among others, in little room: there may be a hundred thousand of them.
    pub(super) fn key(&self) -> io::Result<u128> {
        let mut hash = Sha256::new();
        self.each_chunk(|chunk| {
            hash.update(chunk);
            Ok(())
        })?;
        Ok(short(hash))
    }

    fn each_chunk(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if let Some(text) = self.text {
            return take(text);
        }
        let (mut chunk, mut at, end) = (vec![0; CHUNK_BYTES], self.at, self.at + self.bytes);
        while at < end {
            let most = usize::try_from(end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let read = self.file.read_at(&mut chunk[..most], at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&chunk[..read])?;
            at += read as u64;
        }
        Ok(())
    }
}

/// By what an event is known again by its id, whatever form that has.
pub(super) fn id_key(id: &str) -> u128 {
    short(Sha256::new_with_prefix(id))
}

fn short(hash: Sha256) -> u128 {
    hash.finalize().iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_copied_all_the_same() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a");
        let long = "x".repeat(CHUNK_BYTES * 2 + 1);
        let text = format!("one\n\n{long}\ntwo\nhalf");
        std::fs::write(&path, &text).expect("written");
        let mut rows = Rows::open(&path, 4).expect("readable").expect("a file");
        let (mut seen, mut copy, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(row) = rows.next().expect("readable") {
            seen.push((row.at, row.bytes, row.text.map(<[u8]>::to_vec)));
            row.copy(&mut copy).expect("copied");
            keys.push(row.key().expect("a key"));
        }
        let bytes = long.len() as u64;
        let some = |text: &str| Some(text.as_bytes().to_vec());
        let expected = [
            (0, 3, some("one")),
            (4, 0, some("")),
            (5, bytes, None),
            (6 + bytes, 3, some("two")),
            (10 + bytes, 4, some("half")),
        ];
        assert_eq!(seen, expected);
        assert_eq!(String::from_utf8(copy).expect("text"), text + "\n");
        assert_eq!(keys, ["one", "", &long, "two", "half"].map(id_key));
        assert!(rows.line.capacity() < CHUNK_BYTES, "it was not held");
        assert!(Rows::open(&dir.path().join("none"), 4).expect("readable").is_none());
    }
}
