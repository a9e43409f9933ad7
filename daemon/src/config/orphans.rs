//! Cursors of sinks that are not configured: a sink was renamed, perhaps, and begins anew under its new name.

use hookring_journal::{CursorError, Seq, stored_cursors};

use super::{Config, Warning};
use crate::paths::Paths;

impl Config {
    /// The sinks that have a cursor and are not configured, also not as switched off, each with the number that it
    /// would have got next.
    ///
    /// # Errors
    ///
    /// The cursors cannot be read.
    pub fn orphaned_cursors(&self, paths: &Paths) -> Result<Vec<(String, Seq)>, CursorError> {
        let mut cursors = stored_cursors(&paths.cursors)?;
        cursors.retain(|(name, _)| !self.sinks.iter().any(|sink| sink.name == *name));
        Ok(cursors)
    }

    /// The same as warnings. What cannot be read is for the daemon to say.
    pub fn orphan_warnings(&self, paths: &Paths) -> Vec<Warning> {
        let orphans = self.orphaned_cursors(paths).unwrap_or_default();
        let warning = |(sink, next_seq)| Warning::OrphanedCursor { sink, next_seq };
        orphans.into_iter().map(warning).collect()
    }
}
