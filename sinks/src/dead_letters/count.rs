//! How many dead letters are kept, by the same lines that are listed. Asked each second, so a file is only read if it
//! changed, and only its new part if it grew.

use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::letter::DONE;
use super::rows::Rows;
use super::{DeadLetterError, DeadLetters};
use crate::files;

/// What is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The letters of one sink, as they were counted last.
#[derive(Debug, Default)]
pub struct LetterCount {
    files: [Counted; 3],
    /// Letters that stand in two files.
    copies: u64,
    /// The files as they were when those were counted.
    copies_of: Option<[State; 3]>,
}

/// By which it is seen that a file changed.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct State {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

#[derive(Debug, Default)]
struct Counted {
    state: State,
    letters: u64,
    /// The counted part ends with a whole line.
    ends_whole: bool,
}

impl LetterCount {
    /// How many there are now. `is_begun`: letters that are sent again are in no other file, which whoever sends them
    /// knows, and which costs less.
    ///
    /// # Errors
    ///
    /// If a file cannot be read: that one counts as it did before, the others are counted.
    pub fn look(&mut self, letters: &DeadLetters, is_begun: bool) -> Result<u64, DeadLetterError> {
        let files = letters.files();
        let mut failed = None;
        for (counted, path) in self.files.iter_mut().zip(files) {
            // That one is marked in place.
            let is_marked = path == files[0];
            match counted.look(path, is_marked, letters.max_letter_bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    *counted = Counted::default();
                }
                Err(error) => {
                    failed = Some(letters.failed("count the dead letters in", path, error));
                }
            }
        }
        if let Err(error) = self.count_copies(letters, is_begun) {
            failed.get_or_insert(error);
        }
        failed.map_or(Ok(self.known()), Err)
    }

    /// Letters that are to be sent again stand in both files until somebody begins with that.
    fn count_copies(
        &mut self,
        letters: &DeadLetters,
        is_begun: bool,
    ) -> Result<(), DeadLetterError> {
        if is_begun || self.files[0].letters == 0 {
            (self.copies, self.copies_of) = (0, None);
            return Ok(());
        }
        let now = self.files.each_ref().map(|file| file.state);
        if self.copies_of == Some(now) {
            return Ok(());
        }
        let mut listed = 0;
        letters.each(|_, _| listed += 1)?;
        self.copies = self.lines().saturating_sub(listed);
        self.copies_of = Some(now);
        Ok(())
    }

    /// How many there were at the last look.
    pub fn known(&self) -> u64 {
        self.lines().saturating_sub(self.copies)
    }

    fn lines(&self) -> u64 {
        self.files.iter().map(|file| file.letters).sum()
    }
}

impl Counted {
    fn look(&mut self, path: &Path, is_marked: bool, max_letter_bytes: usize) -> io::Result<()> {
        let metadata = std::fs::symlink_metadata(path)?;
        let changed = (metadata.mtime(), metadata.mtime_nsec());
        let (inode, bytes) = (metadata.ino(), metadata.len());
        let (state, before) = (State { inode, bytes, changed }, self.state);
        if state == before {
            return Ok(());
        }
        let is_longer = inode == before.inode && bytes >= before.bytes;
        let has_grown = is_longer && self.ends_whole && !is_marked;
        let from = if has_grown { before.bytes } else { 0 };
        let (letters, ends_whole) = match is_marked {
            true => (count_unmarked(path, bytes)?, false),
            false => count(path, max_letter_bytes, from..bytes)?,
        };
        let before = if has_grown { self.letters } else { 0 };
        *self = Counted { state, letters: before + letters, ends_whole };
        Ok(())
    }
}

/// How many letters stand between two places of a file, the first of which is a line's beginning, and whether the
/// last of them ends there.
fn count(path: &Path, max_bytes: usize, part: Range<u64>) -> io::Result<(u64, bool)> {
    let rows = Rows::open_part(path, max_bytes, part.clone())?;
    let (mut rows, mut letters) = (rows.ok_or(io::ErrorKind::NotFound)?, 0);
    let mut ends_whole = true;
    while let Some(row) = rows.next()? {
        letters += u64::from(row.letter().is_some());
        ends_whole = row.at + row.bytes < part.end;
    }
    Ok((letters, ends_whole))
}

/// The same of letters that are being sent again, each of which was one when it was asked for: the file is looked at
/// whenever one is marked.
fn count_unmarked(path: &Path, to: u64) -> io::Result<u64> {
    let file = files::open_to_read(path)?.ok_or(io::ErrorKind::NotFound)?;
    let mut file = file.take(to);
    let (mut chunk, mut letters, mut is_start) = (vec![0; CHUNK_BYTES], 0, true);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(letters);
        }
        for byte in &chunk[..read] {
            letters += u64::from(is_start && *byte != DONE);
            is_start = *byte == b'\n';
        }
    }
}
