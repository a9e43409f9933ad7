//! What the files already hold, so that a restart does not write it again.
//!
//! After a crash the cursor may lag behind the file: it never passes what the journal has synced. An
//! event is left out if a line with the same number *and the same bytes* is there. The number alone
//! would not do: after a loss of power, or with a new journal, numbers may be used again for other
//! events.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, BufRead, BufReader};

use hookring_journal::Seq;

use super::compress::open_plain;
use super::encode::line_seq;
use super::file::{ActiveFile, FileError, io_error, skip_to_line};
use super::rotate::Rotated;

/// How far back the files are read, in bytes of plain text. The cursor lags by what the journal has
/// not synced (8 MiB at most) and by one batch; what is further back is written again.
pub const RESUME_BYTES: u64 = 16 << 20;

/// The lines that were written before the file was opened.
#[derive(Debug, Default)]
pub(super) struct WrittenLines {
    /// A number may stand there for several events.
    hashes: HashSet<u64>,
    keys: RandomState,
    last: Seq,
}

impl WrittenLines {
    /// Reads back as far as `from`, through the active file and then the rotated ones, newest first.
    pub(super) fn read(
        active: &ActiveFile,
        rotated: &[Rotated],
        from: Seq,
    ) -> Result<WrittenLines, FileError> {
        let mut lines = WrittenLines::default();
        let skip = active.bytes().saturating_sub(RESUME_BYTES);
        let reader = skip_to_line(active.reader()?, skip);
        reader
            .and_then(|mut reader| lines.collect(&mut reader, from))
            .map_err(io_error("read", active.path()))?;
        let mut budget = RESUME_BYTES.saturating_sub(active.bytes());
        let mut reached = active.first_seq();
        for file in rotated.iter().filter(|file| !file.is_part) {
            if budget == 0 || reached.is_some_and(|first| first <= from) {
                break;
            }
            let read = open_plain(&file.path, file.compression)
                .and_then(|reader| lines.collect(&mut BufReader::new(reader), from))
                .map_err(io_error("read", &file.path))?;
            budget = budget.saturating_sub(read);
            // One whose first line was not readable is called 0, which says nothing of what it holds.
            reached = Some(file.first_seq).filter(|first| *first > 0).or(reached);
        }
        Ok(lines)
    }

    /// True once no event from `seq` on can be known.
    pub(super) fn is_past(&self, seq: Seq) -> bool {
        seq > self.last
    }

    /// True if exactly this line, with its newline, is in the files.
    pub(super) fn contains(&self, line: &[u8]) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.keys.hash_one(line))
    }

    /// Says how many bytes were read.
    fn collect(&mut self, reader: &mut impl BufRead, from: Seq) -> io::Result<u64> {
        let mut line = Vec::new();
        let mut bytes = 0;
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(bytes);
            }
            bytes += read as u64;
            if let Some(seq) = line_seq(&line).filter(|seq| *seq >= from) {
                let hash = self.keys.hash_one(&*line);
                self.hashes.insert(hash);
                self.last = self.last.max(seq);
            }
        }
    }
}
