//! Questions about a journal from outside its writer.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::Seq;
use crate::line::{Line, parse_prefix};
use crate::segment;
use crate::storage::LOCK_NAME;

/// How much of a segment's end is looked at first; it doubles until it holds a whole line.
const FIRST_LOOK_BYTES: u64 = 64 << 10;

/// Whether some process writes this journal now.
///
/// # Errors
///
/// If the lock's file cannot be opened; a missing one is `Ok(false)`.
pub fn is_in_use(dir: &Path) -> io::Result<bool> {
    let file = match File::open(dir.join(LOCK_NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // Held for the blink of an eye; a writer that starts just now tries again.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether there is a journal: a directory with at least one segment.
///
/// # Errors
///
/// If the directory cannot be read; a missing one is `Ok(false)`.
pub fn is_begun(dir: &Path) -> io::Result<bool> {
    match segment::list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        segments => Ok(!segments?.is_empty()),
    }
}

/// The number of the last whole line; 0 for an empty or missing journal. Does not check it.
///
/// # Errors
///
/// If the directory or a segment cannot be read.
pub fn last_seq(dir: &Path) -> io::Result<Seq> {
    let segments = match segment::list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        segments => segments?,
    };
    for segment in segments.iter().rev() {
        if let Some(seq) = last_in(&File::open(&segment.path)?)? {
            return Ok(seq);
        }
    }
    Ok(segments.first().map_or(0, |first| first.first - 1))
}

/// The number of the last whole line of a segment.
pub(crate) fn last_in(file: &File) -> io::Result<Option<Seq>> {
    let bytes = file.metadata()?.len();
    let mut look = FIRST_LOOK_BYTES;
    loop {
        let from = bytes.saturating_sub(look);
        let mut end = vec![0; (bytes - from) as usize];
        file.read_exact_at(&mut end, from)?;
        // The first piece may be the rest of a line, unless it is the file's own beginning.
        let lines = end.split(|byte| *byte == b'\n').rev().skip(1);
        let whole = lines.take_while(|line| from == 0 || line.as_ptr() != end.as_ptr());
        if let Some(seq) = whole.filter_map(event_seq).next() {
            return Ok(Some(seq));
        }
        if from == 0 {
            return Ok(None);
        }
        look *= 2;
    }
}

/// The number of an event's line; a segment's own first line has none.
fn event_seq(bytes: &[u8]) -> Option<Seq> {
    let (seq, _) = parse_prefix(bytes)?;
    Line { seq, bytes }.origin().map(|_| seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{self, LaneEnd, Origin};
    use crate::segment::{Header, file_name};

    fn event(seq: Seq, bytes: usize) -> Vec<u8> {
        let mut line = Vec::new();
        line::begin(&mut line, seq, &Origin::Ring(LaneEnd { bus: [0; 16], lane: 0, end: 64 }));
        line.extend_from_slice(format!(",\"payload\":\"{}\"", "x".repeat(bytes)).as_bytes());
        line::finish(&mut line, 0, 0);
        line
    }

    #[test]
    fn the_last_number_is_found_behind_torn_and_long_lines() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_seq(&dir.path().join("missing")).unwrap(), 0);
        assert_eq!(last_seq(dir.path()).unwrap(), 0);
        let mut bytes = Vec::new();
        Header::new(&[], &[]).write_to(&mut bytes, 5);
        let path = dir.path().join(file_name(5));
        assert!(!is_begun(dir.path()).unwrap() && !is_begun(&dir.path().join("missing")).unwrap());
        std::fs::write(&path, &bytes).unwrap();
        assert!(is_begun(dir.path()).unwrap());
        assert_eq!(last_seq(dir.path()).unwrap(), 4);
        for (seq, size) in [(5, 10), (6, 300_000), (7, 10)] {
            bytes.extend(event(seq, size));
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(last_seq(dir.path()).unwrap(), seq);
        }
        bytes.extend(&event(8, 500_000)[..400_000]);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(last_seq(dir.path()).unwrap(), 7);
    }

    #[test]
    fn a_journal_is_in_use_while_its_writer_lives() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_in_use(dir.path()).unwrap());
        let journal = crate::Journal::open(dir.path(), crate::Options::default(), 0).unwrap();
        assert!(is_in_use(dir.path()).unwrap());
        drop(journal);
        assert!(!is_in_use(dir.path()).unwrap());
    }
}
