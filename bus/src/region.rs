//! A piece of shared memory, reached only by copies and atomics: no reference to shared bytes is
//! ever formed, except the atomics' own.

use crate::atomic::{AtomicU32, AtomicU64};
use crate::prefetch;
use crate::record::RECORD_HEADER_BYTES;
use crate::sys::{self, Advice, Errno, Fd};

/// A mapping of a ring file, or memory of this process that stands in for one.
///
/// All accesses are bounds-checked and panic beyond the end; offsets come from checked geometry, so
/// only a bug in this crate does that. It may be sent to another thread, not shared.
pub struct Region {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone; its address means the same in every thread.
unsafe impl Send for Region {}

impl Region {
    /// Maps `bytes` bytes of a file from `offset`, which must be a multiple of the page size.
    /// A page beyond the file's end raises SIGBUS when it is touched.
    ///
    /// # Panics
    /// If `bytes` is not a multiple of 8.
    pub fn map(fd: &Fd, offset: u64, bytes: usize) -> Result<Region, Errno> {
        assert!(bytes.is_multiple_of(8));
        sys::map_shared(fd, offset, bytes).map(|base| Region { base, bytes })
    }

    /// Zeroed memory of this process: a ring for one process, and for tests.
    ///
    /// # Panics
    /// If `bytes` is not a multiple of 8.
    pub fn anonymous(bytes: usize) -> Result<Region, Errno> {
        assert!(bytes.is_multiple_of(8));
        sys::map_anonymous(bytes).map(|base| Region { base, bytes })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The address of its first byte.
    pub fn address(&self) -> *mut u8 {
        self.base
    }

    /// Tells the kernel how it will be used.
    pub fn advise(&self, advice: Advice) -> Result<(), Errno> {
        // SAFETY: the range is this mapping.
        unsafe { sys::advise(self.base, self.bytes, advice) }
    }

    /// Touches every page now, so that no later access waits for the kernel.
    pub fn prefault(&self) {
        if self.advise(Advice::PopulateWrite).is_ok() {
            return;
        }
        for offset in (0..self.bytes).step_by(4096) {
            let at = self.at(offset, 1);
            // SAFETY: in bounds; the value is not used.
            let _ = unsafe { at.read_volatile() };
        }
    }

    /// Gives the mapping up without unmapping it: for a forked child, which never had it.
    pub fn forget(self) {
        core::mem::forget(self);
    }

    #[inline(always)]
    fn at(&self, offset: usize, bytes: usize) -> *mut u8 {
        assert!(offset <= self.bytes && bytes <= self.bytes - offset);
        // SAFETY: within the mapping, just checked.
        unsafe { self.base.add(offset) }
    }

    /// The 64-bit word at `offset`, a multiple of 8.
    #[inline(always)]
    pub fn word64(&self, offset: usize) -> &AtomicU64 {
        let word = self.word_at(offset);
        // SAFETY: in bounds, aligned, alive as long as `self`, and this word is only ever reached
        // through atomics.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// The 32-bit word at `offset`, a multiple of 8.
    #[inline(always)]
    pub fn word32(&self, offset: usize) -> &AtomicU32 {
        let word = self.word_at(offset).cast();
        // SAFETY: as for `word64`.
        unsafe { AtomicU32::from_ptr(word) }
    }

    #[inline(always)]
    fn word_at(&self, offset: usize) -> *mut u64 {
        // One comparison for all of its bytes, because the length is a multiple of 8 as well.
        assert!(offset.is_multiple_of(8) && offset < self.bytes);
        // SAFETY: within the mapping, just checked. Mappings begin on a page.
        unsafe { self.base.add(offset) }.cast()
    }

    /// Copies `from` into the region. Only for bytes that the reader does not look at yet.
    #[inline(always)]
    pub fn write(&self, offset: usize, from: &[u8]) {
        let at = self.at(offset, from.len());
        // SAFETY: `at` is valid for these bytes, and a slice never overlaps the mapping, of which no
        // slice is formed.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), at, from.len()) };
    }

    /// Copies out of the region. Whoever damages the ring may write at the same time: what was
    /// copied must be checked, and is not read again.
    #[inline(always)]
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        let at = self.at(offset, into.len());
        // SAFETY: as for `write`, the other way round.
        unsafe { core::ptr::copy_nonoverlapping(at, into.as_mut_ptr(), into.len()) };
        keep_copy();
    }

    /// The same for a record's header at `offset`, a multiple of 8: each word is read once.
    #[inline(always)]
    pub fn read_header(&self, offset: usize) -> [u64; RECORD_HEADER_BYTES / 8] {
        assert!(offset.is_multiple_of(8));
        let at = self.at(offset, RECORD_HEADER_BYTES).cast::<u64>();
        core::array::from_fn(|word| {
            let at = at.wrapping_add(word);
            // SAFETY: in bounds and aligned, as was just checked; mappings begin on a page.
            unsafe { at.read_volatile() }
        })
    }

    /// Appends a copy of `bytes` bytes to `into`.
    #[cfg(feature = "std")]
    pub fn append_to(&self, offset: usize, bytes: usize, into: &mut Vec<u8>) {
        let at = self.at(offset, bytes);
        into.reserve(bytes);
        let end = into.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: `at` is valid for these bytes, `end` was just reserved for them.
        unsafe { core::ptr::copy_nonoverlapping(at, end, bytes) };
        // SAFETY: these bytes were just initialised.
        unsafe { into.set_len(into.len() + bytes) };
        keep_copy();
    }

    /// Has the cache lines of a range, as far as it is in bounds, brought here.
    #[inline(always)]
    pub fn prefetch(&self, offset: usize, bytes: usize) {
        let bytes = bytes.min(self.bytes.saturating_sub(offset));
        prefetch::ask_for(self.base.wrapping_add(offset), bytes);
    }

    /// Zeroes a range that no producer writes to: between the reader's head and what it has read.
    pub fn zero(&self, offset: usize, bytes: usize) {
        let at = self.at(offset, bytes);
        // SAFETY: in bounds.
        unsafe { core::ptr::write_bytes(at, 0, bytes) };
    }
}

/// Keeps the compiler from reading the shared bytes again where it could read the copy: they may have
/// changed since, behind the check.
#[inline(always)]
fn keep_copy() {
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and every borrow of it has ended.
        unsafe { sys::unmap(self.base, self.bytes) };
    }
}
