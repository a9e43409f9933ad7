//! From one segment to the next.

use std::io;
use std::time::SystemTime;

use super::{
    CommitError, CurrentSegment, Journal, OlderSegment, SyncPolicy, Unsynced, write_all_at,
};
use crate::Seq;
use crate::line::{self, LaneEnd};
use crate::scan::{SegmentScan, Step};
use crate::segment::{Header, file_name};
use crate::storage::SegmentFile;

/// A segment is made under this name and renamed when its first line is complete.
const NEW_NAME: &str = "segment.new";

impl Journal {
    /// Begins a new segment. `ends` says where every lane of every bus is in the journal now; it is
    /// all that a restart knows of the lanes that are silent from here on.
    ///
    /// Before the call, release the ring up to the last commit and unlink the spool files that are
    /// journaled: a restart looks for their ids in the last segment only. `ids` are those of spool
    /// files that could not be unlinked; they go into the new segment's first line.
    ///
    /// If the current segment is sealed, the new one begins with the lines that were not synced (with
    /// all of them, and in its place, if that is what a start found and could not sync).
    /// Staged lines stay staged.
    ///
    /// # Errors
    ///
    /// If the segment cannot be begun. The old one stays as it is, and the call may be repeated.
    pub fn rotate(&mut self, ends: &[LaneEnd], ids: &[[u8; 16]]) -> Result<(), CommitError> {
        if !self.current.is_sealed() && self.options.sync != SyncPolicy::Never {
            // The new segment must not survive power loss without the old one's last lines. If
            // this seals the segment, they go into the new one.
            if let Err(error) = self.sync() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the journal could not be synced before a new segment was begun",
                );
            }
        }
        let mut first =
            self.unsynced.chunks.front().map_or(self.staged_first, |chunk| chunk.first());
        if self.current.uncertain {
            first = self.current.first;
        }
        self.begin_segment(first, ends, ids)
    }

    /// Creates the segment that begins with `first`, with the unsynced lines, and makes it current.
    pub(super) fn begin_segment(
        &mut self,
        first: Seq,
        ends: &[LaneEnd],
        ids: &[[u8; 16]],
    ) -> Result<(), CommitError> {
        self.hold_directory()?;
        let header = Header::new(ends, ids);
        let begun = self.create_segment(&header, first);
        let (file, bytes) = begun.map_err(|source| {
            self.counters.commit_errors += 1;
            CommitError::Begin { path: self.dir.join(file_name(first)), source }
        })?;
        self.release();
        self.retire_current(first);
        let seed = header.seed();
        self.current = CurrentSegment {
            file: Some(file),
            first,
            bytes,
            seed,
            reserved_bytes: 0,
            removed: false,
            uncertain: false,
        };
        line::restamp(&mut self.staged, seed);
        self.counters.rotations += 1;
        self.publish_oldest();
        tracing::debug!("the journal begins a segment: {}", file_name(first));
        self.reserve();
        if self.options.sync != SyncPolicy::Never {
            self.sync_directory();
        }
        Ok(())
    }

    /// The current segment becomes an older one, or one that somebody removed; `end` is where the
    /// next one begins.
    fn retire_current(&mut self, end: Seq) {
        let first = self.current.first;
        // With the same first number the new file has taken the old one's name, and its lines.
        let is_there = self.current.first != end && self.exists(first);
        if self.current.removed || !is_there && first != end {
            self.counters.removed_segments += 1;
            self.counters.removed_events += end - first;
        }
        if is_there {
            let (bytes, modified) = (self.current.bytes, SystemTime::now());
            self.older.push_back(OlderSegment { first, end, bytes, modified });
        }
    }

    /// Makes the new segment's name survive power loss. If that fails, its lines count as unsynced
    /// until the next sync, which tries again.
    fn sync_directory(&mut self) {
        match self.storage.sync() {
            Ok(()) => {
                self.directory_unsynced = false;
                self.unsynced = Unsynced::default();
                self.tail.set_synced(self.tail.written());
            }
            Err(error) => {
                self.directory_unsynced = true;
                self.counters.sync_errors += 1;
                tracing::warn!(
                    path = %self.dir.display(), error = &error as &dyn std::error::Error,
                    "cannot sync the journal directory",
                );
            }
        }
    }

    /// The file, complete and synced under its name, and its length.
    fn create_segment(
        &mut self,
        header: &Header,
        first: Seq,
    ) -> io::Result<(Box<dyn SegmentFile>, u64)> {
        let mut file = self.storage.create(NEW_NAME)?;
        let mut bytes = Vec::new();
        header.write_to(&mut bytes, first);
        let mut len = 0;
        if self.current.uncertain {
            write_all_at(file.as_mut(), &bytes, 0)?;
            len = bytes.len() as u64;
            bytes.clear();
            len += self.copy_current(file.as_mut(), len, header.seed())?;
        }
        let mut chunks = self.unsynced.chunks.iter();
        loop {
            write_all_at(file.as_mut(), &bytes, len)?;
            len += bytes.len() as u64;
            let Some(chunk) = chunks.next() else { break };
            bytes.clear();
            bytes.extend_from_slice(chunk.bytes());
            line::restamp(&mut bytes, header.seed());
        }
        if self.options.sync != SyncPolicy::Never {
            file.sync()?;
        }
        self.storage.rename(NEW_NAME, &file_name(first))?;
        Ok((file, len))
    }

    /// Writes the lines of the current segment's file again, to `file` at `offset`; returns how many
    /// bytes. Damaged ones stay damaged.
    fn copy_current(&self, file: &mut dyn SegmentFile, offset: u64, seed: u32) -> io::Result<u64> {
        let mut scan = match SegmentScan::open(&self.current_path(), self.current.first) {
            // Somebody removed it meanwhile, and its lines with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            scan => scan?,
        };
        let mut line = Vec::new();
        let mut at = offset;
        loop {
            let (bytes, is_whole) = match scan.next()? {
                Step::Line { bytes, .. } => (bytes, true),
                Step::Bad { bytes, .. } => (bytes, false),
                Step::End { .. } => return Ok(at - offset),
            };
            line.clear();
            line.extend_from_slice(scan.bytes(bytes));
            line.push(b'\n');
            if is_whole {
                line::restamp(&mut line, seed);
            }
            write_all_at(file, &line, at)?;
            at += line.len() as u64;
        }
    }

    /// Sets disk space aside for the whole segment, so that a full disk is met at its beginning and
    /// not in its middle. Only a precaution: if it cannot be had, writing tells.
    pub(super) fn reserve(&mut self) {
        let Some(file) = &mut self.current.file else { return };
        let bytes = self.options.segment_bytes;
        if bytes > self.current.bytes && file.reserve(bytes).is_ok() {
            self.current.reserved_bytes = bytes;
        }
    }

    /// Gives back what was set aside and not used.
    pub(super) fn release(&mut self) {
        let Some(file) = &mut self.current.file else { return };
        if self.current.reserved_bytes > self.current.bytes
            && let Err(error) = file.set_len(self.current.bytes)
        {
            let path = self.current_path();
            tracing::warn!(
                path = %path.display(), error = &error as &dyn std::error::Error,
                "cannot give back the space set aside for a journal segment",
            );
        }
        self.current.reserved_bytes = 0;
    }
}
