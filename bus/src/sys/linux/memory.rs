//! Mappings.

use super::calls::{self, call};
use crate::sys::{Advice, Errno, Fd};

const PROT_READ_WRITE: usize = 3;
const MAP_SHARED: usize = 1;
const MAP_PRIVATE: usize = 2;
const MAP_FIXED: usize = 0x10;
const MAP_ANONYMOUS: usize = 0x20;

/// Maps a part of a file, shared, for reading and writing.
pub fn map_shared(fd: &Fd, offset: u64, bytes: usize) -> Result<*mut u8, Errno> {
    call!(MMAP, 0, bytes, PROT_READ_WRITE, MAP_SHARED, fd.raw(), offset).map(|at| at as *mut u8)
}

/// Maps zeroed memory of this process alone.
pub fn map_anonymous(bytes: usize) -> Result<*mut u8, Errno> {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    call!(MMAP, 0, bytes, PROT_READ_WRITE, flags, -1isize, 0).map(|at| at as *mut u8)
}

/// Puts zeroed memory of this process alone in the place of what is mapped there.
///
/// # Safety
/// The range must belong to a mapping of the caller's, whose loss it expects.
pub unsafe fn map_anonymous_over(at: *mut u8, bytes: usize) -> Result<(), Errno> {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    call!(MMAP, at, bytes, PROT_READ_WRITE, flags, -1isize, 0).map(drop)
}

/// Makes an anonymous mapping larger; it may move.
///
/// # Safety
/// The range must be a whole mapping from [`map_anonymous`] that nothing refers to any more.
pub unsafe fn remap(at: *mut u8, old_bytes: usize, new_bytes: usize) -> Result<*mut u8, Errno> {
    const MAY_MOVE: usize = 1;
    call!(MREMAP, at, old_bytes, new_bytes, MAY_MOVE).map(|at| at as *mut u8)
}

/// Unmaps.
///
/// # Safety
/// The range must be a mapping of the caller's that nothing refers to any more.
pub unsafe fn unmap(at: *mut u8, bytes: usize) {
    let _ = call!(MUNMAP, at, bytes);
}

/// Tells the kernel how a mapping will be used.
///
/// # Safety
/// The range must be a mapping of the caller's.
pub unsafe fn advise(at: *mut u8, bytes: usize, advice: Advice) -> Result<(), Errno> {
    call!(MADVISE, at, bytes, advice).map(drop)
}
