//! The memory of a file that is mapped: words that are atomics, and 64-byte blocks in cells that loom watches,
//! so that two accesses to one of them of which neither comes first are found. Every record is made of
//! whole blocks.

use super::step;
use crate::atomic::{AtomicU32, AtomicU64};
use crate::layout::{
    ANNOUNCED_OFFSET, DOORBELL_OFFSET, DROPPED_OFFSET, Geometry, HEADER_BYTES, word,
};
use loom::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::ops::Range;

const BLOCK_BYTES: usize = 64;
/// Words of a spool's counters.
const COUNTERS: usize = 6;

/// Everything that can be reached; an access to anything else is a bug, and panics.
pub(crate) struct Memory {
    doorbell: AtomicU32,
    words: BTreeMap<usize, AtomicU64>,
    blocks: BTreeMap<usize, UnsafeCell<[u8; BLOCK_BYTES]>>,
}

// SAFETY: loom runs one thread at a time, and its cells panic where threads could have met.
unsafe impl Sync for Memory {}

impl Memory {
    /// The ring's.
    pub(super) fn of_ring(geometry: &Geometry) -> Memory {
        let of_lane = |lane| {
            let words = [word::TAIL, word::RECORDS, word::SPOOLED, word::HEAD, word::CONDEMNED];
            words.map(|word| Geometry::control_offset(lane) + word)
        };
        let words = (0..geometry.lanes).flat_map(of_lane).chain([DROPPED_OFFSET, ANNOUNCED_OFFSET]);
        let data = geometry.data_offset() as usize..geometry.file_bytes() as usize;
        let blocks = (0..HEADER_BYTES.next_multiple_of(BLOCK_BYTES)).chain(data);
        let memory = Memory::new(words, blocks.step_by(BLOCK_BYTES));
        memory.write(0, &geometry.encode());
        memory
    }

    /// That of a spool's counters: each of them.
    pub(super) fn of_counters() -> Memory {
        Memory::new((0..COUNTERS).map(|word| word * 8), [].into_iter())
    }

    fn new(words: impl Iterator<Item = usize>, blocks: impl Iterator<Item = usize>) -> Memory {
        let empty = || UnsafeCell::new([0; BLOCK_BYTES]);
        Memory {
            doorbell: AtomicU32::new(0),
            words: words.map(|at| (at, AtomicU64::new(0))).collect(),
            blocks: blocks.map(|at| (at, empty())).collect(),
        }
    }

    pub(crate) fn word64(&self, at: usize) -> &AtomicU64 {
        &self.words[&at]
    }

    pub(crate) fn word32(&self, at: usize) -> &AtomicU32 {
        assert_eq!(at, DOORBELL_OFFSET, "a word that is not part of the model");
        &self.doorbell
    }

    /// Calls `each` with every block of a range: the block's place, what of it, and what of the range.
    fn for_each(at: usize, bytes: usize, mut each: impl FnMut(usize, Range<usize>, Range<usize>)) {
        let mut done = 0;
        while done < bytes {
            let from = (at + done) % BLOCK_BYTES;
            let count = (BLOCK_BYTES - from).min(bytes - done);
            each(at + done - from, from..from + count, done..done + count);
            done += count;
        }
    }

    #[track_caller]
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        Memory::for_each(at, bytes.len(), |block, within, part| {
            step();
            self.blocks[&block].with_mut(|block| {
                // SAFETY: loom runs one thread at a time, and the block lives as long as `self`.
                let block = unsafe { &mut *block };
                block[within].copy_from_slice(&bytes[part]);
            });
        });
    }

    #[track_caller]
    pub(crate) fn read(&self, at: usize, into: &mut [u8]) {
        Memory::for_each(at, into.len(), |block, within, part| {
            self.blocks[&block].with(|block| {
                // SAFETY: as for `write`.
                let block = unsafe { &*block };
                into[part].copy_from_slice(&block[within]);
            });
        });
    }
}
