//! Mappings.

use super::calls::{check, last_error};
use crate::sys::{Advice, Errno, Fd};
use core::ffi::c_int;
use core::ptr;

/// # Safety
/// With `MAP_FIXED` the range must belong to a mapping of the caller's, whose loss it expects.
unsafe fn map(
    at: *mut u8,
    bytes: usize,
    flags: c_int,
    fd: c_int,
    offset: u64,
) -> Result<*mut u8, Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let offset = offset as libc::off_t;
    // SAFETY: the caller vouches for it.
    let at = unsafe { libc::mmap(at.cast(), bytes, access, flags, fd, offset) };
    if at == libc::MAP_FAILED { Err(last_error()) } else { Ok(at.cast()) }
}

/// Maps a part of a file, shared, for reading and writing.
pub fn map_shared(fd: &Fd, offset: u64, bytes: usize) -> Result<*mut u8, Errno> {
    // SAFETY: wherever there is room.
    unsafe { map(ptr::null_mut(), bytes, libc::MAP_SHARED, fd.raw(), offset) }
}

/// Maps zeroed memory of this process alone.
pub fn map_anonymous(bytes: usize) -> Result<*mut u8, Errno> {
    // SAFETY: wherever there is room.
    unsafe { map(ptr::null_mut(), bytes, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0) }
}

/// Puts zeroed memory of this process alone in the place of what is mapped there.
///
/// # Safety
/// The range must belong to a mapping of the caller's, whose loss it expects.
pub unsafe fn map_anonymous_over(at: *mut u8, bytes: usize) -> Result<(), Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
    // SAFETY: the caller vouches for it.
    unsafe { map(at, bytes, flags, -1, 0) }.map(drop)
}

/// Makes an anonymous mapping larger; it moves.
///
/// # Safety
/// The range must be a whole mapping from [`map_anonymous`] that nothing refers to any more.
pub unsafe fn remap(at: *mut u8, old_bytes: usize, new_bytes: usize) -> Result<*mut u8, Errno> {
    let new = map_anonymous(new_bytes)?;
    // SAFETY: two mappings, and not more than either has.
    unsafe { ptr::copy_nonoverlapping(at, new, old_bytes.min(new_bytes)) };
    // SAFETY: the caller vouches for it.
    unsafe { unmap(at, old_bytes) };
    Ok(new)
}

/// Unmaps.
///
/// # Safety
/// The range must be a mapping of the caller's that nothing refers to any more.
pub unsafe fn unmap(at: *mut u8, bytes: usize) {
    // SAFETY: the caller vouches for it.
    let _ = unsafe { libc::munmap(at.cast(), bytes) };
}

/// Tells the kernel how a mapping will be used. Fails for what only Linux knows.
///
/// # Safety
/// The range must be a mapping of the caller's.
pub unsafe fn advise(at: *mut u8, bytes: usize, advice: Advice) -> Result<(), Errno> {
    match advice {
        #[cfg(target_vendor = "apple")]
        Advice::DontFork => {
            // SAFETY: the caller's mapping; only a child loses it.
            check(unsafe { libc::minherit(at.cast(), bytes, libc::VM_INHERIT_NONE) }).map(drop)
        }
        #[cfg(not(target_vendor = "apple"))]
        Advice::DontFork => {
            // SAFETY: the caller's mapping; only a child loses it.
            check(unsafe { libc::madvise(at.cast(), bytes, libc::MADV_DONTFORK) }).map(drop)
        }
        Advice::WipeOnFork | Advice::PopulateWrite => Err(Errno::INVAL),
    }
}
