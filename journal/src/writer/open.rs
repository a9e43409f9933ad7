//! The start of a writer: on an empty directory, or on what the one before it left.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{
    Counters, CurrentSegment, Journal, OlderSegment, OpenError, Options, SyncPolicy, Unsynced,
};
use crate::Seq;
use crate::recovery::{self, Found, Recovery};
use crate::segment::file_name;
use crate::storage::{RealStorage, SegmentFile, Storage, WriterLock, prepare_dir, sync_ancestors};
use crate::tail::Tail;

impl Journal {
    /// Opens the journal in `dir`, or begins one there.
    ///
    /// `cursor_floor` is the highest number that any cursor speaks of
    /// ([`highest_cursor`](crate::cursor::highest_cursor)); numbers go on above it.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used or read, or another process writes this journal. Damage in
    /// the journal is no error; [`Recovery`] tells of it.
    pub fn open(
        dir: &Path,
        options: Options,
        cursor_floor: Seq,
    ) -> Result<(Journal, Recovery), OpenError> {
        Self::open_with(Box::new(RealStorage::new(dir)), dir, options, cursor_floor)
    }

    /// The same, with every change to the disk going through `storage`.
    ///
    /// # Errors
    ///
    /// See [`Self::open`].
    pub fn open_with(
        storage: Box<dyn Storage>,
        dir: &Path,
        options: Options,
        cursor_floor: Seq,
    ) -> Result<(Journal, Recovery), OpenError> {
        let directory = |source| OpenError::Directory { path: dir.to_owned(), source };
        prepare_dir(dir).map_err(directory)?;
        sync_ancestors(dir).map_err(directory)?;
        let lock = WriterLock::take(dir).map_err(directory)?;
        let lock = lock.ok_or_else(|| OpenError::Locked { path: dir.to_owned() })?;
        let found = recovery::find(dir, cursor_floor)?;
        let last = found.recovery.next_seq - 1;
        let mut recovery = found.recovery.clone();
        let mut journal = Journal {
            storage,
            dir: dir.to_owned(),
            tail: Arc::new(Tail::new(last, options.cache_bytes)),
            options,
            older: VecDeque::new(),
            current: CurrentSegment {
                file: None,
                first: recovery.next_seq,
                bytes: 0,
                seed: 0,
                reserved_bytes: 0,
                removed: false,
                uncertain: false,
            },
            staged: Vec::new(),
            staged_first: recovery.next_seq,
            next_seq: recovery.next_seq,
            unsynced: Unsynced::default(),
            directory_unsynced: false,
            counters: Counters::default(),
            on_sync: None,
            lock,
        };
        if found.segments.is_empty() {
            journal.begin_segment(recovery.next_seq, &[], &[]).map_err(OpenError::Begin)?;
        } else {
            journal.continue_segment(&found, &mut recovery);
        }
        journal.publish_oldest();
        Ok((journal, recovery))
    }

    /// Goes on in the last segment, or leaves it sealed if that is not possible.
    fn continue_segment(&mut self, found: &Found, recovery: &mut Recovery) {
        for (at, segment) in found.segments.iter().enumerate() {
            let end = found.segments.get(at + 1).map_or(self.next_seq, |next| next.first);
            let (first, bytes, modified) = (segment.first, segment.bytes, segment.modified);
            self.older.push_back(OlderSegment { first, end, bytes, modified });
        }
        let Some(last) = self.older.pop_back() else { return };
        self.current.first = last.first;
        self.current.bytes = last.bytes;
        // One that cannot be continued is left as it is, for a repair.
        let cut_to = found.seed.filter(|_| recovery.cut_bytes > 0).map(|_| found.good_bytes);
        match (self.open_last(last.first, cut_to), found.seed) {
            (Ok(file), Some(seed)) => {
                self.current.file = Some(file);
                self.current.bytes = found.good_bytes;
                self.current.seed = seed;
                self.reserve();
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                let path = self.current_path();
                tracing::warn!(
                    path = %path.display(), error = &error as &dyn std::error::Error,
                    "cannot continue the last journal segment; a new one will be begun",
                );
                recovery.needs_rotation = true;
                if self.options.sync != SyncPolicy::Never {
                    self.current.uncertain = true;
                    self.tail.set_synced(last.first - 1);
                }
                self.counters.sync_errors += 1;
            }
        }
    }

    fn open_last(&mut self, first: Seq, cut_to: Option<u64>) -> io::Result<Box<dyn SegmentFile>> {
        let mut file = self.storage.open(&file_name(first))?;
        if let Some(bytes) = cut_to {
            file.set_len(bytes)?;
        }
        if self.options.sync != SyncPolicy::Never {
            // What the process before wrote and did not sync.
            file.sync()?;
            self.storage.sync()?;
        }
        Ok(file)
    }
}
