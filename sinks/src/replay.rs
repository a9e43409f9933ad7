//! A replay: events that a sink had are sent to it once more, since a person asked for it.
//!
//! `<sink>.replay` beside the cursor says which, and how far it came. A command writes it, the sink's worker
//! takes it up and keeps it up to date, and says in it how it ended; so a restart goes on with it, and may
//! repeat what was sent since the file was last written.

pub mod pace;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hookring_journal::{Line, Seq, export};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files;

/// A replay whose events are rejected so often in a row ends: the sink does not want them again.
pub const REJECTED_IN_ROW: u64 = 10;
/// The slowest speed: a second takes eleven days.
pub const MIN_SPEED: f64 = 0.000_001;

/// What is to be sent again, and how far that is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Replay {
    /// By what the one who asked knows it again.
    pub id: String,
    /// The first number.
    pub first: Seq,
    /// The last number. What the sink has not had yet is left out: that comes by itself.
    pub last: Seq,
    /// Only events published at this time or later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// Only events published before this time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// Only events of this session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
    /// By what the times between events are divided, above 0; `None`: as fast as the sink takes them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub speed: Option<f64>,
    /// The first number that was not sent again yet; 0: none was.
    #[serde(default)]
    pub next: Seq,
    /// When the next event is due, if that is not now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_at: Option<Timestamp>,
    /// Events that the sink has once more.
    #[serde(default)]
    pub sent_events: u64,
    /// Events that it rejected this time; they are dead letters.
    #[serde(default)]
    pub dead_letters: u64,
    /// Numbers that the journal does not have any more, or whose line is damaged.
    #[serde(default)]
    pub missing_events: u64,
    /// How it ended; `None`: it goes on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<ReplayEnd>,
    /// Why, if that was an error.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// How a replay ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayEnd {
    /// Everything was sent.
    Done,
    /// A person stopped it.
    Stopped,
    /// The sink rejected too many events in a row.
    Rejected,
}

impl ReplayEnd {
    /// As the log has it.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            ReplayEnd::Done => "is done",
            ReplayEnd::Stopped => "was stopped",
            ReplayEnd::Rejected => "ended since too much was rejected",
        }
    }
}

impl Replay {
    /// Which events are meant, in words: `events 3 to 9`.
    pub fn range(&self) -> String {
        let Replay { first, last, .. } = self;
        if last > first { format!("events {first} to {last}") } else { format!("event {first}") }
    }

    /// Whether an event is among those that are to be sent. One that cannot be read is not.
    pub fn takes(&self, line: Line<'_>) -> bool {
        let (since, until, session) = (self.since, self.until, self.session.clone());
        let filter = export::Filter { since, until, session };
        (self.first..=self.last).contains(&line.seq) && filter.passes(line).unwrap_or(false)
    }
}

/// Why a replay could not be asked for or looked at.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// One at a time.
    #[error(
        "a replay to this sink is under way already, at event {next} of {first} to {last}; wait for its \
         end, or stop it with --stop"
    )]
    Running {
        /// The first number that was not sent again yet.
        next: Seq,
        /// The first number of all.
        first: Seq,
        /// The last number.
        last: Seq,
    },
    /// The file cannot be read or written.
    #[error("cannot {action} {}; free some space or check the disk", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The file of one sink's replay.
#[derive(Clone, Debug)]
pub struct ReplayFile {
    path: PathBuf,
}

impl ReplayFile {
    /// That of `sink`, in the directory of the cursors.
    pub fn new(cursor_dir: &Path, sink: &str) -> ReplayFile {
        ReplayFile { path: cursor_dir.join(format!("{sink}.replay")) }
    }

    /// The replay, which may have ended; `None`: there is none. A file that is damaged is none.
    ///
    /// # Errors
    ///
    /// If it is there and cannot be read.
    pub fn read(&self) -> Result<Option<Replay>, ReplayError> {
        let bytes = files::read(&self.path).map_err(|source| self.failed("read", source))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Asks for one.
    ///
    /// # Errors
    ///
    /// Another one has not ended, or the file cannot be written.
    pub fn ask(&self, replay: &Replay) -> Result<(), ReplayError> {
        if let Some(Replay { next, first, last, .. }) =
            self.read()?.filter(|earlier| earlier.end.is_none())
        {
            return Err(ReplayError::Running { next: next.max(first), first, last });
        }
        self.write(replay)
    }

    /// Says how far it is.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, replay: &Replay) -> Result<(), ReplayError> {
        let bytes = serde_json::to_vec(replay).map_err(io::Error::from);
        let written = bytes.and_then(|bytes| files::replace(&self.path, &bytes));
        written.map_err(|source| self.failed("write", source))
    }

    /// Forgets it.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn remove(&self) -> Result<bool, ReplayError> {
        files::remove(&self.path).map_err(|source| self.failed("remove", source))
    }

    /// Forgets it if nothing was said in it for so long.
    ///
    /// # Errors
    ///
    /// If the file cannot be looked at or removed.
    pub(crate) fn forget_old(&self, kept: Duration) -> Result<bool, ReplayError> {
        let said_at = self.path.symlink_metadata().and_then(|metadata| metadata.modified());
        let said_at = match said_at {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            said_at => said_at.map_err(|source| self.failed("look at", source))?,
        };
        // One from after a clock was set back is young.
        let is_old = said_at.elapsed().is_ok_and(|age| age > kept);
        if is_old { self.remove() } else { Ok(false) }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> ReplayError {
        ReplayError::File { action, path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_an_ended_one_makes_room() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = ReplayFile::new(&dir.path().join("cursors"), "s");
        assert_eq!(file.read().expect("readable"), None);
        let replay = Replay { first: 3, last: 9, speed: Some(2.0), ..Replay::default() };
        file.ask(&replay).expect("asked");
        assert_eq!(file.read().expect("readable"), Some(replay.clone()));
        file.write(&Replay { next: 5, ..replay.clone() }).expect("written");
        let error = file.ask(&replay).expect_err("one is under way");
        assert!(error.to_string().contains("at event 5 of 3 to 9"), "{error}");
        file.write(&Replay { end: Some(ReplayEnd::Stopped), ..replay.clone() }).expect("written");
        file.ask(&replay).expect("asked");
        std::fs::write(dir.path().join("cursors/s.replay"), "{").expect("written");
        assert_eq!(file.read().expect("readable"), None);
        assert!(file.remove().expect("removed") && !file.remove().expect("gone"));
    }

    #[test]
    fn it_is_forgotten_when_nothing_was_said_in_it_for_long() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = ReplayFile::new(dir.path(), "s");
        let hour = Duration::from_hours(1);
        assert!(!file.forget_old(hour).expect("none"));
        file.ask(&Replay::default()).expect("asked");
        let opened = std::fs::File::options().append(true).open(&file.path).expect("a file");
        let now = std::time::SystemTime::now();
        for (time, is_old) in [(now, false), (now + 9 * hour, false), (now - 2 * hour, true)] {
            opened.set_modified(time).expect("its time");
            assert_eq!(file.forget_old(hour).expect("looked"), is_old);
        }
        assert_eq!(file.read().expect("readable"), None);
    }

    #[test]
    fn its_events_are_named_as_one_or_as_many() {
        let of = |first, last| Replay { first, last, ..Replay::default() }.range();
        assert_eq!([of(3, 9), of(3, 3), of(3, 2)], ["events 3 to 9", "event 3", "event 3"]);
    }
}
