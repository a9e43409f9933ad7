//! The form of `region.rs` under `--cfg loom`: a part of the model's ring file. What is called here
//! what is explained there.

use crate::atomic::{AtomicU32, AtomicU64};
use crate::model::{self, Memory};
use crate::record::RECORD_HEADER_BYTES;
use crate::sys::{Advice, Errno, Fd};
use std::sync::Arc;

/// A mapping of the ring file.
pub struct Region {
    memory: Arc<Memory>,
    offset: usize,
    bytes: usize,
    // It keeps the description, as a mapping does.
    _description: Fd,
}

#[allow(missing_docs)]
impl Region {
    pub fn map(fd: &Fd, offset: u64, bytes: usize) -> Result<Region, Errno> {
        let (memory, _description) = model::map(fd);
        Ok(Region { memory, offset: offset as usize, bytes, _description })
    }

    /// The model has none.
    pub fn anonymous(_: usize) -> Result<Region, Errno> {
        Err(Errno::NOSYS)
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Nothing is reached through an address.
    pub fn address(&self) -> *mut u8 {
        std::ptr::null_mut()
    }

    pub fn advise(&self, _: Advice) -> Result<(), Errno> {
        Ok(())
    }

    pub fn prefault(&self) {}

    pub fn forget(self) {
        std::mem::forget(self);
    }

    fn at(&self, offset: usize, bytes: usize) -> usize {
        assert!(offset <= self.bytes && bytes <= self.bytes - offset);
        self.offset + offset
    }

    pub fn word64(&self, offset: usize) -> &AtomicU64 {
        self.memory.word64(self.at(offset, 8))
    }

    pub fn word32(&self, offset: usize) -> &AtomicU32 {
        self.memory.word32(self.at(offset, 4))
    }

    #[track_caller]
    pub fn write(&self, offset: usize, from: &[u8]) {
        self.memory.write(self.at(offset, from.len()), from);
    }

    #[track_caller]
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        self.memory.read(self.at(offset, into.len()), into);
    }

    #[track_caller]
    pub fn read_header(&self, offset: usize) -> [u64; RECORD_HEADER_BYTES / 8] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        self.read(offset, &mut bytes);
        let (words, _) = bytes.as_chunks::<8>();
        std::array::from_fn(|word| u64::from_le_bytes(words[word]))
    }

    pub fn prefetch(&self, _: usize, _: usize) {}

    #[track_caller]
    pub fn append_to(&self, offset: usize, bytes: usize, into: &mut Vec<u8>) {
        let start = into.len();
        into.resize(start + bytes, 0);
        self.read(offset, &mut into[start..]);
    }

    #[track_caller]
    pub fn zero(&self, offset: usize, bytes: usize) {
        self.write(offset, &vec![0; bytes]);
    }
}
