//! A batch: records copied out of rings and spools, in the order of time.

use super::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS};
use crate::record::RecordHeader;
use crate::sys;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

/// A batch keeps at most this much memory for the next one.
const KEEP_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// A position in a lane of a ring.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct LaneEnd {
    /// The ring's UUID.
    pub bus: [u8; 16],
    /// The lane.
    pub lane: u16,
    /// Position after a record, in bytes since the lane was made.
    pub end: u64,
}

/// Where a record came from: enough to recognise it after a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A lane, and the record's end in it.
    Lane(LaneEnd),
    /// The spool entry of this name.
    Spool(Arc<str>),
}

/// A record of a batch.
#[derive(Copy, Clone, Debug)]
pub struct Record<'a> {
    /// The header as it was published.
    pub header: &'a RecordHeader,
    /// The stamp by which it was ordered: the header's own unless that cannot be.
    pub stamp_ns: u64,
    /// Metadata entries; see `record::meta_entries`.
    pub meta: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// Where it came from.
    pub origin: &'a Origin,
}

/// Records in order. Its memory is reused from batch to batch.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    boottime_ns: u64,
    /// Read when somebody asks.
    realtime_ns: OnceCell<u64>,
}

struct Entry {
    header: RecordHeader,
    stamp_ns: u64,
    body: Range<usize>,
    origin: Origin,
}

impl Batch {
    /// How many records it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Metadata and payload bytes of all records.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// `CLOCK_BOOTTIME` when it was gathered, in ns.
    pub fn boottime_ns(&self) -> u64 {
        self.boottime_ns
    }

    /// The wall clock at [`Self::boottime_ns`], in ns since 1970: so a stamp becomes a time.
    pub fn realtime_ns(&self) -> u64 {
        *self.realtime_ns.get_or_init(|| {
            let since_ns = sys::boottime_ns().saturating_sub(self.boottime_ns);
            sys::realtime_ns().saturating_sub(since_ns)
        })
    }

    /// The records.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.entries.iter().map(|entry| {
            let body = &self.bytes[entry.body.clone()];
            let (meta, payload) = body.split_at(entry.header.meta_bytes as usize);
            Record {
                header: &entry.header,
                stamp_ns: entry.stamp_ns,
                meta,
                payload,
                origin: &entry.origin,
            }
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= MAX_BATCH_BYTES || self.entries.len() >= MAX_BATCH_RECORDS
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        // One payload of 60 MB must not cost its memory for ever.
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes.shrink_to(KEEP_BYTES);
        }
    }

    pub(super) fn set_clock(&mut self, boottime_ns: u64) {
        (self.boottime_ns, self.realtime_ns) = (boottime_ns, OnceCell::new());
    }

    /// The buffer for a record's body, to which [`Self::push`] then refers.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Adds a record whose body is what stands in the buffer from `start`.
    pub(super) fn push(
        &mut self,
        header: RecordHeader,
        stamp_ns: u64,
        start: usize,
        origin: Origin,
    ) {
        debug_assert_eq!((self.bytes.len() - start) as u64 + 64, header.bytes());
        self.entries.push(Entry { header, stamp_ns, body: start..self.bytes.len(), origin });
    }
}
