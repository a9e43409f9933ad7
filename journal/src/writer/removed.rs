//! The journal's files removed, moved, replaced or cut off under its writer: somebody tidied up.

use std::io;

use super::{CommitError, Journal, SyncPolicy};
use crate::segment::file_name;
use crate::storage::{WriterLock, prepare_dir, sync_ancestors};

impl Journal {
    /// Looks whether readers still find what was written here; meant to be called about once a
    /// second. (Every commit and every sync look for the current segment; this is for the other files, and
    /// for a journal that is silent.)
    ///
    /// If the current segment or the lock has lost its name, or was cut off, the segment is sealed. The next
    /// [`Self::rotate`] makes the directory and the lock anew where they are missing, and writes
    /// what was not synced to a new segment; the other lines went with the file, as somebody wanted.
    /// Returns whether that was found by this call.
    pub fn find_removed(&mut self) -> bool {
        self.forget_removed_segments();
        if self.current.is_sealed() {
            return false;
        }
        if !self.is_current_named() || self.is_current_cut() {
            self.seal_removed();
        } else if !self.lock.is_in_place(&self.dir) {
            self.current.file = None;
        }
        self.current.is_sealed()
    }

    /// Whether the current segment's name belongs to the file that is written. One that cannot be
    /// looked at counts as there, and so does a sealed one.
    pub(super) fn is_current_named(&self) -> bool {
        let Some(file) = &self.current.file else { return true };
        let named = self.storage.id(&file_name(self.current.first));
        match (named, file.id()) {
            (Ok(named), Ok(ours)) => named == ours,
            (Err(error), _) => !is_gone(&error),
            (_, Err(_)) => true,
        }
    }

    /// Asked at every commit, so for one system call: a file that was deleted, or that another one
    /// replaced, has no name left. One that was only moved away still holds what is written now, and
    /// the next sync sees to it; where that keeps nothing in memory, everything is asked at once.
    pub(super) fn is_current_kept(&self) -> bool {
        match &self.current.file {
            Some(file) if self.options.sync != SyncPolicy::Never => {
                file.is_linked().unwrap_or(true)
            }
            _ => self.is_current_named(),
        }
    }

    /// Whether somebody cut the current segment off (`logrotate` with `copytruncate`, say). To be asked
    /// before a write, which would fill what is missing with zeros, and be part of a damaged line.
    pub(super) fn is_current_cut(&self) -> bool {
        let there = self.current.file.as_ref().map(|file| file.bytes());
        matches!(there, Some(Ok(bytes)) if bytes < self.current.bytes)
    }

    /// What was not synced is written again to the next segment. That may be more than what had no
    /// name any more; the rest was deleted with the file, as somebody wanted.
    pub(super) fn seal_removed(&mut self) {
        self.current.file = None;
        self.current.removed = true;
    }

    /// Segments that somebody deleted, which begins with the oldest: the figures are without them.
    fn forget_removed_segments(&mut self) {
        while let Some(oldest) = self.older.front()
            && !self.exists(oldest.first)
        {
            let numbers = self.numbers_of_oldest();
            self.older.pop_front();
            self.counters.removed_segments += 1;
            self.counters.removed_events += numbers.last + 1 - numbers.first;
        }
        self.publish_oldest();
    }

    /// Whether a segment of this name is there. One that cannot be looked at counts as there.
    pub(super) fn exists(&self, first: crate::Seq) -> bool {
        let named = self.storage.id(&file_name(first));
        !named.is_err_and(|error| is_gone(&error))
    }

    /// The directory with the lock on it, made and taken anew where they were removed.
    pub(super) fn hold_directory(&mut self) -> Result<(), CommitError> {
        if self.lock.is_in_place(&self.dir) {
            return Ok(());
        }
        let failed = |source| CommitError::Directory { path: self.dir.clone(), source };
        prepare_dir(&self.dir).map_err(failed)?;
        sync_ancestors(&self.dir).map_err(failed)?;
        let lock = WriterLock::take(&self.dir).map_err(failed)?;
        self.lock = lock.ok_or_else(|| CommitError::Locked { path: self.dir.clone() })?;
        Ok(())
    }
}

/// There is no such file, or somebody put something else in its directory's place.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests;
