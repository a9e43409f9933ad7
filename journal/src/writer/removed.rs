//! The journal's files removed, moved or replaced under its writer: somebody tidied up.

use std::io;

use super::{CommitError, Journal};
use crate::segment::file_name;
use crate::storage::{WriterLock, prepare_dir};

impl Journal {
    /// Looks whether readers still find what is written here; meant to be called about once a second.
    ///
    /// If the current segment or the lock has lost its name, the segment is sealed. The next
    /// [`Self::rotate`] makes the directory and the lock anew where they are missing, and writes
    /// what was not synced to a new segment; the other lines went with the file, as somebody wanted.
    /// Returns whether that was found by this call.
    pub fn find_removed(&mut self) -> bool {
        self.forget_removed_segments();
        let Some(file) = &self.current.file else { return false };
        let named = self.storage.id(&file_name(self.current.first));
        let is_named = match (named, file.id()) {
            (Ok(named), Ok(ours)) => named == ours,
            (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
            (_, Err(_)) => true,
        };
        if is_named && self.lock.is_in_place(&self.dir) {
            return false;
        }
        self.current.file = None;
        self.counters.removed_segments += u64::from(!is_named);
        true
    }

    /// Segments that somebody deleted, which begins with the oldest: the figures are without them.
    fn forget_removed_segments(&mut self) {
        while let Some(oldest) = self.older.front()
            && !self.exists(oldest.first)
        {
            self.older.pop_front();
            self.counters.removed_segments += 1;
        }
    }

    /// Whether a segment of this name is there. One that cannot be looked at counts as there.
    pub(super) fn exists(&self, first: crate::Seq) -> bool {
        let named = self.storage.id(&file_name(first));
        !named.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The directory with the lock on it, made and taken anew where they were removed.
    pub(super) fn hold_directory(&mut self) -> Result<(), CommitError> {
        if self.lock.is_in_place(&self.dir) {
            return Ok(());
        }
        let failed = |source| CommitError::Directory { path: self.dir.clone(), source };
        prepare_dir(&self.dir).map_err(failed)?;
        let lock = WriterLock::take(&self.dir).map_err(failed)?;
        self.lock = lock.ok_or_else(|| CommitError::Locked { path: self.dir.clone() })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
