//! Whether a sink is on: a person may pause it, and a place that wants nothing any more switches it off. It
//! stays so across restarts, since a file beside the cursor says it, until a person switches it on.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hookring_journal::storage::create_private_dir;

/// A longer reason is cut, in bytes.
const MAX_REASON_BYTES: usize = 1000;

/// Why a switch could not be read or turned.
#[derive(Debug, thiserror::Error)]
#[error("cannot switch a sink by the file {}", path.display())]
pub struct SwitchError {
    /// The file.
    pub path: PathBuf,
    source: io::Error,
}

/// The switch of one sink.
#[derive(Clone, Debug)]
pub struct Switch {
    path: PathBuf,
}

impl Switch {
    /// That of `sink`, in the directory of the cursors.
    pub fn new(cursor_dir: &Path, sink: &str) -> Switch {
        Switch { path: cursor_dir.join(format!("{sink}.off")) }
    }

    /// Why it is off; `None` if it is on.
    ///
    /// # Errors
    ///
    /// If the file is there and cannot be read.
    pub fn is_off(&self) -> Result<Option<String>, SwitchError> {
        match fs::read(&self.path) {
            Ok(reason) => Ok(Some(String::from_utf8_lossy(&reason).trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Switches it off.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn off(&self, reason: &str) -> Result<(), SwitchError> {
        let end = reason.floor_char_boundary(MAX_REASON_BYTES);
        let write = || {
            if let Some(dir) = self.path.parent() {
                create_private_dir(dir)?;
            }
            let new = self.path.with_added_extension("new");
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(format!("{}\n", &reason[..end]).as_bytes())?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| self.failed(error))
    }

    /// Switches it on. Says whether it was off.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn on(&self) -> Result<bool, SwitchError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: io::Error) -> SwitchError {
        SwitchError { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_as_it_was_turned() {
        let dir = tempfile::tempdir().expect("a folder");
        let switch = Switch::new(&dir.path().join("cursors"), "s");
        assert_eq!(switch.is_off().expect("readable"), None);
        assert!(!switch.on().expect("on already"));
        switch.off("410 Gone: it moved").expect("off");
        let again = Switch::new(&dir.path().join("cursors"), "s");
        assert_eq!(again.is_off().expect("readable").as_deref(), Some("410 Gone: it moved"));
        assert!(again.on().expect("on"));
        assert_eq!(switch.is_off().expect("readable"), None);
    }
}
