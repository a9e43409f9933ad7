//! What can go wrong in the writer's operations.

use std::io;
use std::path::PathBuf;

use super::Retained;
use crate::reader::ReadError;

/// Why a journal could not be opened for writing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("cannot use the journal directory {}; it must be a directory of your own", path.display())]
    Directory {
        /// The journal's directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else writes it.
    #[error("the journal in {} is in use; stop the other daemon or wait for its repair to end", path.display())]
    Locked {
        /// The journal's directory.
        path: PathBuf,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The first segment could not be begun.
    #[error(transparent)]
    Begin(CommitError),
}

/// Why staged lines could not be written, or a new segment not begun. Nothing is lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Writing failed; the lines are still staged.
    #[error("cannot write to the journal segment {}; free some space or check the disk, it is tried again", path.display())]
    Write {
        /// The segment's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A new segment could not be begun; the current one stays.
    #[error("cannot begin the journal segment {}; free some space or check the disk, it is tried again", path.display())]
    Begin {
        /// The new segment's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal's directory was removed and cannot be made anew; the lines are still staged.
    #[error("cannot use the journal directory {}; it must be a directory of your own, it is tried again", path.display())]
    Directory {
        /// The journal's directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else took the journal after its files were removed.
    #[error("the journal in {} was taken by another process; stop it, it is tried again", path.display())]
    Locked {
        /// The journal's directory.
        path: PathBuf,
    },
    /// The segment takes no more lines after an earlier error: a rotation is due.
    #[error("the journal segment {} is sealed after an error; the next rotation begins a new one", path.display())]
    Sealed {
        /// The segment's file.
        path: PathBuf,
    },
    /// Somebody removed the segment; the lines are still staged, and a rotation is due.
    #[error("the journal segment {} was removed while it was written; the next rotation begins a new one", path.display())]
    Removed {
        /// Where it was.
        path: PathBuf,
    },
    /// Too much was unsynced, and could not be synced.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl CommitError {
    /// Whether freeing disk space can help ([`Journal::relieve`](super::Journal::relieve)).
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            CommitError::Write { source, .. }
            | CommitError::Begin { source, .. }
            | CommitError::Directory { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
            }
            CommitError::Locked { .. }
            | CommitError::Sealed { .. }
            | CommitError::Removed { .. }
            | CommitError::Sync(_) => false,
        }
    }
}

/// Why written lines may not survive power loss.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The segment is sealed now; the next rotation writes its unsynced lines again.
    #[error("cannot sync the journal segment {}; what was not synced is written to a new one", path.display())]
    Segment {
        /// The segment's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory's entries may not be on disk; the next sync tries again.
    #[error("cannot sync the journal directory {}; it is tried again", path.display())]
    Directory {
        /// The journal's directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The segment was sealed earlier: a rotation is due.
    #[error("the journal segment {} is sealed after an error; the next rotation begins a new one", path.display())]
    Sealed {
        /// The segment's file.
        path: PathBuf,
    },
    /// Somebody removed the segment or moved it away; the next rotation writes its unsynced lines again.
    #[error("the journal segment {} was removed while it was written; what was not synced is written to a new one", path.display())]
    Removed {
        /// Where it was.
        path: PathBuf,
    },
}

/// Why a segment could not be deleted.
#[derive(Debug, thiserror::Error)]
#[error("cannot delete the old journal segment {}; check the permissions of its directory", path.display())]
pub struct RetainError {
    /// The segment's file.
    pub path: PathBuf,
    /// What was deleted before.
    pub before: Retained,
    /// What the system said.
    pub source: io::Error,
}
