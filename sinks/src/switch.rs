//! What a person, or the place itself, has decided about a sink, in files beside its cursor: so it holds
//! whether a daemon runs or not, and across restarts.
//!
//! | file | says |
//! |---|---|
//! | `<sink>.off` | it is off, by whom, and why |
//! | `<sink>.reset` | its cursor is to go there; taken away when that is done |
//! | `<sink>.try` | something was mended: try at once; taken away when it is seen |
//! | `<sink>.stop` | what was asked for once more ends; likewise |

use std::io;
use std::path::{Path, PathBuf};

use hookring_journal::{OLDEST, Seq};

use crate::files;

/// A longer reason is cut, in bytes.
const MAX_REASON_BYTES: usize = 1000;
/// The first line of the file by which a person switched a sink off.
const PAUSED: &str = "paused";
/// The same by the place.
const GONE: &str = "gone";
/// Where a cursor is to go, if that is no number.
const TO_OLDEST: &str = "oldest";

/// Why a switch could not be read or turned.
#[derive(Debug, thiserror::Error)]
#[error("cannot switch a sink by the file {}", path.display())]
pub struct SwitchError {
    /// The file.
    pub path: PathBuf,
    source: io::Error,
}

/// Who switched a sink off.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum OffBy {
    /// A person: it is paused.
    Person,
    /// The place that the events go to wants nothing any more.
    Place,
}

/// A sink is off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Off {
    /// By whom.
    pub by: OffBy,
    /// Why, in words; may be empty.
    pub reason: String,
}

/// The switch of one sink.
#[derive(Clone, Debug)]
pub struct Switch {
    off: PathBuf,
    reset: PathBuf,
    try_now: PathBuf,
    stop: PathBuf,
}

impl Switch {
    /// That of `sink`, in the directory of the cursors.
    pub fn new(cursor_dir: &Path, sink: &str) -> Switch {
        let file = |what: &str| cursor_dir.join(format!("{sink}.{what}"));
        Switch { off: file("off"), reset: file("reset"), try_now: file("try"), stop: file("stop") }
    }

    /// Who switched it off and why; `None` if it is on.
    ///
    /// # Errors
    ///
    /// If the file is there and cannot be read.
    pub fn is_off(&self) -> Result<Option<Off>, SwitchError> {
        let Some(text) = read(&self.off)? else { return Ok(None) };
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        // A file that somebody made by hand says what it says.
        let (by, reason) = match first.trim() {
            GONE => (OffBy::Place, rest),
            PAUSED => (OffBy::Person, rest),
            _ => (OffBy::Person, &*text),
        };
        Ok(Some(Off { by, reason: reason.trim().to_owned() }))
    }

    /// Switches it off.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn off(&self, by: OffBy, reason: &str) -> Result<(), SwitchError> {
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
        let by = if by == OffBy::Place { GONE } else { PAUSED };
        write(&self.off, &format!("{by}\n{reason}\n"))
    }

    /// Switches it on. Says whether it was off.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn on(&self) -> Result<bool, SwitchError> {
        remove(&self.off)
    }

    /// Has the cursor go to this number ([`OLDEST`]: to the oldest event that there is then).
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn ask_reset(&self, to: Seq) -> Result<(), SwitchError> {
        let to = if to == OLDEST { TO_OLDEST.to_owned() } else { to.to_string() };
        write(&self.reset, &format!("{to}\n"))
    }

    /// Where the cursor is to go, if it is to. What nobody can read asks for nothing.
    ///
    /// # Errors
    ///
    /// If the file is there and cannot be read.
    pub fn wants_reset(&self) -> Result<Option<Seq>, SwitchError> {
        Ok(read(&self.reset)?.and_then(|text| match text.trim() {
            TO_OLDEST => Some(OLDEST),
            number => number.parse().ok(),
        }))
    }

    /// The cursor is there, or nobody wants it there any more.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn reset_done(&self) -> Result<bool, SwitchError> {
        remove(&self.reset)
    }

    /// Has the sink tried at once, whatever it waits for.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn ask_try_now(&self) -> Result<(), SwitchError> {
        write(&self.try_now, "")
    }

    /// Whether it is to be tried at once; asked once.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn take_try_now(&self) -> Result<bool, SwitchError> {
        // Asked often: where nothing may be written, removing what is not there is an error.
        Ok(self.try_now.exists() && remove(&self.try_now)?)
    }

    /// Ends a replay, or a retry of dead letters.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn ask_stop(&self) -> Result<(), SwitchError> {
        write(&self.stop, "")
    }

    /// Whether it is to end.
    pub fn wants_stop(&self) -> bool {
        self.stop.exists()
    }

    /// It has ended. Says whether somebody wanted that.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn take_stop(&self) -> Result<bool, SwitchError> {
        remove(&self.stop)
    }
}

fn read(path: &Path) -> Result<Option<String>, SwitchError> {
    let bytes = files::read(path).map_err(failed(path))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn write(path: &Path, text: &str) -> Result<(), SwitchError> {
    files::replace(path, text.as_bytes()).map_err(failed(path))
}

fn remove(path: &Path) -> Result<bool, SwitchError> {
    files::remove(path).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SwitchError {
    move |source| SwitchError { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(dir: &tempfile::TempDir) -> Switch {
        Switch::new(&dir.path().join("cursors"), "s")
    }

    #[test]
    fn it_stays_as_it_was_turned() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(switch(&dir).is_off().expect("readable"), None);
        assert!(!switch(&dir).on().expect("on already"));
        for (by, reason) in [(OffBy::Place, "410 Gone: it moved"), (OffBy::Person, "")] {
            switch(&dir).off(by, reason).expect("off");
            let off = switch(&dir).is_off().expect("readable");
            assert_eq!(off, Some(Off { by, reason: reason.to_owned() }));
        }
        assert!(switch(&dir).on().expect("on"));
        assert_eq!(switch(&dir).is_off().expect("readable"), None);
    }

    #[test]
    fn a_file_that_a_person_made_pauses_it_and_says_why() {
        let dir = tempfile::tempdir().expect("a folder");
        switch(&dir).off(OffBy::Place, "").expect("off");
        std::fs::write(dir.path().join("cursors/s.off"), "we move house\n").expect("written");
        let off = switch(&dir).is_off().expect("readable").expect("off");
        assert_eq!((off.by, &*off.reason), (OffBy::Person, "we move house"));
    }

    #[test]
    fn what_is_asked_for_is_there_until_it_is_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let switch = switch(&dir);
        assert_eq!(switch.wants_reset().expect("readable"), None);
        for to in [OLDEST, 17] {
            switch.ask_reset(to).expect("asked");
            assert_eq!(switch.wants_reset().expect("readable"), Some(to));
        }
        assert!(switch.reset_done().expect("done") && !switch.reset_done().expect("done"));
        switch.ask_try_now().expect("asked");
        switch.ask_stop().expect("asked");
        assert!(switch.take_try_now().expect("taken") && !switch.take_try_now().expect("none"));
        assert!(switch.take_stop().expect("taken") && !switch.take_stop().expect("none"));
        assert_eq!(switch.is_off().expect("readable"), None);
    }
}
