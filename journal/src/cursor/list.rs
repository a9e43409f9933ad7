//! All cursors of a directory, from outside their workers.

use std::fs;
use std::io;
use std::path::Path;

use super::{CursorError, SUFFIX, Slot, is_name, newest, read_slots};
use crate::Seq;
use crate::storage::open_read;

/// The highest number that any cursor in `dir` speaks of: delivered, or in a batch in flight; 0 if
/// there is none. Damaged cursors say nothing.
///
/// # Errors
///
/// If the directory or a cursor cannot be read. A missing directory holds no cursors.
pub fn highest_cursor(dir: &Path) -> Result<Seq, CursorError> {
    let highest_of =
        |slot: &Slot| slot.in_flight.map_or(0, |batch| batch.last).max(slot.next.saturating_sub(1));
    let mut highest = 0;
    each(dir, |_, slots| {
        highest = slots.iter().flatten().map(highest_of).fold(highest, Seq::max);
    })?;
    Ok(highest)
}

/// The sinks that have a cursor in `dir`, by name, each with the number that it would get next. Damaged cursors
/// say nothing.
///
/// # Errors
///
/// If the directory or a cursor cannot be read. A missing directory holds no cursors.
pub fn stored_cursors(dir: &Path) -> Result<Vec<(String, Seq)>, CursorError> {
    let mut cursors = Vec::new();
    each(dir, |sink, slots| cursors.extend(newest(slots).map(|it| (sink.to_owned(), it.next))))?;
    cursors.sort();
    Ok(cursors)
}

fn each(dir: &Path, mut look: impl FnMut(&str, &[Option<Slot>; 2])) -> Result<(), CursorError> {
    let failed = |path: &Path, source| CursorError::Open { path: path.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| failed(dir, error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| failed(dir, error))?;
        let name = entry.file_name();
        let sink = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        let is_file = || entry.file_type().is_ok_and(|kind| kind.is_file());
        let Some(sink) = sink.filter(|sink| is_name(sink) && is_file()) else { continue };
        let path = entry.path();
        let slots = open_read(&path).and_then(|file| read_slots(&file));
        look(sink, &slots.map_err(|error| failed(&path, error))?.0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Cursor;

    #[test]
    fn each_sink_with_a_cursor_is_listed_with_the_number_it_gets_next() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(stored_cursors(&dir.path().join("none")).expect("a list"), []);
        for (sink, next) in [("b", 7), ("a", 3)] {
            let (mut cursor, _) = Cursor::open(dir.path(), sink, 1).expect("a cursor");
            cursor.store(next).expect("stored");
        }
        fs::write(dir.path().join("a.off"), "paused").expect("a file");
        fs::write(dir.path().join("c.cursor"), "damaged").expect("a file");
        let expected = [("a".to_owned(), 3), ("b".to_owned(), 7)];
        assert_eq!(stored_cursors(dir.path()).expect("a list"), expected);
    }
}
