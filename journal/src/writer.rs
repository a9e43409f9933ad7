//! Appends events to the journal: staged in memory, written in batches, synced at an interval.

mod error;
mod open;
mod options;
mod removed;
mod retention;
mod rotation;
mod stats;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use error::{CommitError, OpenError, RetainError, SyncError};
pub use options::{Options, SyncPolicy};
pub use retention::{Deleted, Retained};
use stats::Counters;
pub use stats::Stats;

use crate::Seq;
use crate::event::Event;
use crate::line::{self, Origin};
use crate::segment::file_name;
use crate::storage::{SegmentFile, Storage, WriterLock};
use crate::tail::{Chunk, Tail};

/// Written lines are kept until they are synced, because they are written again if that fails.
/// When they are this many bytes, a sync is due whatever the policy.
pub const UNSYNCED_BYTES_MAX: usize = 8 << 20;

/// The room that a staging buffer begins with at most; it grows for a larger batch.
const STAGING_BYTES_MAX: usize = 1 << 20;

/// Unused capacity of a chunk that is not worth giving back.
const SLACK_BYTES: usize = 4 << 10;

/// The journal's only writer. Belongs to one thread at a time; must not be used after `fork`.
///
/// Dropping it is what the death of its process is: staged lines are gone, written ones stay.
/// [`Journal::close`] is the orderly way.
pub struct Journal {
    storage: Box<dyn Storage>,
    dir: PathBuf,
    options: Options,
    tail: Arc<Tail>,
    older: VecDeque<OlderSegment>,
    current: CurrentSegment,
    staged: Vec<u8>,
    /// The number of the first staged line, or of the next one if none is staged.
    staged_first: Seq,
    next_seq: Seq,
    unsynced: Unsynced,
    /// A segment was created or renamed and the directory is not synced.
    directory_unsynced: bool,
    counters: Counters,
    on_sync: Option<Box<dyn FnMut(Duration) + Send>>,
    /// Of what is staged: counted when it is written.
    lock: WriterLock,
}

/// A segment that is not written any more.
#[derive(Debug)]
struct OlderSegment {
    first: Seq,
    /// The first number that is not its own.
    end: Seq,
    bytes: u64,
    modified: SystemTime,
}

struct CurrentSegment {
    file: Option<Box<dyn SegmentFile>>,
    first: Seq,
    /// Up to the last whole line.
    bytes: u64,
    seed: u32,
    reserved_bytes: u64,
    /// Readers do not find it any more; it is sealed, too.
    removed: bool,
    /// The process before wrote it, and it could not be synced; it is sealed, too. All its lines are
    /// written again to the next segment.
    uncertain: bool,
}

impl CurrentSegment {
    /// A sealed segment is never written or synced again.
    fn is_sealed(&self) -> bool {
        self.file.is_none()
    }
}

/// Lines that are written and not synced.
#[derive(Debug, Default)]
struct Unsynced {
    chunks: VecDeque<Arc<Chunk>>,
    bytes: usize,
    /// When the first of them was written.
    since: Option<Instant>,
}

impl Journal {
    /// Formats an event into the staging buffer and returns its number. Nothing is written yet; the
    /// caller commits before the buffer becomes larger than it likes.
    pub fn stage(&mut self, origin: Origin<'_>, event: &Event<'_>) -> Seq {
        let seq = self.next_seq;
        let start = self.staged.len();
        line::begin(&mut self.staged, seq, &origin);
        self.staged.push(b',');
        event.write_to(&mut self.staged);
        line::finish(&mut self.staged, start, self.current.seed);
        self.next_seq += 1;
        seq
    }

    /// Changes how the journal is written from now on, and how much of it is kept from the next
    /// [`Self::retain`] on. The size of the cache stays as it was when the journal was opened.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Bytes staged and not yet written.
    pub fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Writes everything staged to the current segment. Then the lines are visible to readers and
    /// survive the death of the process.
    ///
    /// # Errors
    ///
    /// If the disk is full ([`CommitError::is_disk_full`]) or fails: the file is cut back to its
    /// last whole line, the staged lines stay staged, and the call may be repeated. If the segment
    /// is sealed, or somebody removed it ([`CommitError::Removed`]): call [`Self::rotate`] first.
    pub fn commit(&mut self) -> Result<(), CommitError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        if self.unsynced.bytes >= UNSYNCED_BYTES_MAX && !self.current.is_sealed() {
            self.sync()?;
        }
        if self.is_current_cut() {
            let path = self.current_path();
            self.seal_removed();
            return Err(CommitError::Removed { path });
        }
        if let Err(error) = self.write_staged() {
            self.counters.commit_errors += 1;
            return Err(error);
        }
        // Asked after the write: what is in a file that has its name is in the journal.
        if !self.is_current_kept() {
            let path = self.current_path();
            self.seal_removed();
            return Err(CommitError::Removed { path });
        }
        self.counters.commits += 1;
        self.current.bytes += self.staged.len() as u64;
        let next_staging = Vec::with_capacity(self.staged.len().min(STAGING_BYTES_MAX));
        let mut bytes = std::mem::replace(&mut self.staged, next_staging);
        if bytes.capacity() - bytes.len() > SLACK_BYTES.max(bytes.len() / 4) {
            bytes.shrink_to_fit();
        }
        let chunk = Arc::new(Chunk::new(self.staged_first, self.next_seq - 1, bytes));
        self.staged_first = self.next_seq;
        if self.options.sync == SyncPolicy::Never {
            self.tail.set_synced(chunk.last());
        } else {
            self.unsynced.bytes += chunk.bytes().len();
            self.unsynced.since.get_or_insert_with(Instant::now);
            self.unsynced.chunks.push_back(Arc::clone(&chunk));
        }
        self.tail.publish(chunk);
        Ok(())
    }

    fn write_staged(&mut self) -> Result<(), CommitError> {
        let path = self.current_path();
        let Some(file) = &mut self.current.file else {
            return Err(CommitError::Sealed { path });
        };
        let good_bytes = self.current.bytes;
        let Err(source) = write_all_at(file.as_mut(), &self.staged, good_bytes) else {
            return Ok(());
        };
        // Readers may have seen whole lines of what was written before the error. That is harmless:
        // the same lines with the same numbers are written again.
        self.current.reserved_bytes = 0;
        if file.set_len(good_bytes).is_err() {
            self.current.file = None;
        }
        Err(CommitError::Write { path, source })
    }

    /// Syncs if the policy says that it is due, or too much is unsynced.
    ///
    /// # Errors
    ///
    /// See [`Self::sync`].
    pub fn sync_if_due(&mut self, now: Instant) -> Result<(), SyncError> {
        // Written after `now` was read, a batch may seem to be due in the future.
        let at_once = self.options.sync == SyncPolicy::EveryBatch
            || self.unsynced.bytes >= UNSYNCED_BYTES_MAX;
        match self.next_sync_due() {
            Some(due) if due <= now || at_once => self.sync(),
            _ => Ok(()),
        }
    }

    /// Makes everything that is written survive power loss.
    ///
    /// # Errors
    ///
    /// If the system could not: then nobody knows what is on the disk. The segment is sealed, what
    /// was not synced is kept in memory, and [`Self::rotate`] writes it to a new segment. Until
    /// then every further call is an error, too. The same if somebody removed the segment.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        let path = self.current_path();
        // Asked while what was written since the last time is still in memory.
        if !self.is_current_named() || self.is_current_cut() {
            self.seal_removed();
            return Err(SyncError::Removed { path });
        }
        let Some(file) = &mut self.current.file else {
            return Err(SyncError::Sealed { path });
        };
        if self.directory_unsynced {
            let result = self.storage.sync();
            self.counters.sync_errors += u64::from(result.is_err());
            result.map_err(|source| SyncError::Directory { path: self.dir.clone(), source })?;
            self.directory_unsynced = false;
        }
        let begin = Instant::now();
        let result = file.sync();
        let took = begin.elapsed();
        if let Err(source) = result {
            self.counters.sync_errors += 1;
            self.current.file = None;
            return Err(SyncError::Segment { path, source });
        }
        self.counters.syncs += 1;
        self.counters.sync_time += took;
        self.counters.sync_time_max = self.counters.sync_time_max.max(took);
        if let Some(tell) = &mut self.on_sync {
            tell(took);
        }
        self.unsynced = Unsynced::default();
        self.tail.set_synced(self.tail.written());
        Ok(())
    }

    /// Has `tell` told how long each sync takes that comes from here on.
    pub fn watch_syncs(&mut self, tell: impl FnMut(Duration) + Send + 'static) {
        self.on_sync = Some(Box::new(tell));
    }

    /// When the next sync is due by the policy; `None` when everything is synced, the policy is
    /// [`SyncPolicy::Never`], or the segment is sealed (then a rotation is due).
    pub fn next_sync_due(&self) -> Option<Instant> {
        let since = self.unsynced.since.filter(|_| !self.current.is_sealed())?;
        match self.options.sync {
            SyncPolicy::Interval(_) if self.unsynced.bytes >= UNSYNCED_BYTES_MAX => Some(since),
            SyncPolicy::Interval(interval) => since.checked_add(interval),
            SyncPolicy::EveryBatch => Some(since),
            SyncPolicy::Never => None,
        }
    }

    /// Whether [`Self::rotate`] should be called: the segment has its size, or is sealed.
    pub fn wants_rotation(&self) -> bool {
        self.current.is_sealed() || self.current.bytes >= self.options.segment_bytes
    }

    /// What readers in this process share with the writer.
    pub fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// The journal's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Syncs what is written, gives back the space that was set aside, and closes the tail. Staged
    /// lines that were not committed are gone.
    ///
    /// # Errors
    ///
    /// If the last lines may not survive power loss. (The next start takes it from there.)
    pub fn close(mut self) -> Result<(), SyncError> {
        let result = match self.options.sync {
            SyncPolicy::Never => Ok(()),
            _ => self.sync(),
        };
        self.release();
        result
    }

    fn current_path(&self) -> PathBuf {
        self.dir.join(file_name(self.current.first))
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.tail.close();
    }
}

/// Writes all of `bytes` at `offset`, in as many pieces as the system takes them.
fn write_all_at(file: &mut dyn SegmentFile, bytes: &[u8], offset: u64) -> std::io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;
