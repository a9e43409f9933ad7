//! Locks that belong to an open file description.

use super::calls::{self, call};
use crate::sys::{Errno, Fd};

/// See [`crate::sys::MappedLock`].
#[cfg(feature = "std")]
pub(in crate::sys) const MAPPING_KEEPS_LOCK: bool = true;

#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    start: i64,
    bytes: i64,
    pid: i32,
}

const F_OFD_GETLK: i32 = 36;
const F_OFD_SETLK: i32 = 37;
const F_RDLCK: i16 = 0;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;

/// Takes a write lock on one byte for the open file description behind `fd`, without waiting.
/// `Ok(false)`: another description holds it. A description that has it already gets it again.
pub fn lock_byte(fd: &Fd, at: u64) -> Result<bool, Errno> {
    try_lock(fd, F_WRLCK, at)
}

/// Takes a read lock on one byte, which others may hold as well: [`lock_byte`] excludes it, and it
/// excludes that. For a description that may be read through.
pub fn share_byte(fd: &Fd, at: u64) -> Result<bool, Errno> {
    try_lock(fd, F_RDLCK, at)
}

fn try_lock(fd: &Fd, kind: i16, at: u64) -> Result<bool, Errno> {
    let lock = Flock { kind, whence: 0, start: at as i64, bytes: 1, pid: 0 };
    match call!(FCNTL, fd.raw(), F_OFD_SETLK, &raw const lock) {
        Ok(_) => Ok(true),
        Err(Errno(11 | 13)) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Gives a byte back that [`lock_byte`] or [`share_byte`] took. Not for a producer's lane: unmap that instead.
pub fn unlock_byte(fd: &Fd, at: u64) -> Result<(), Errno> {
    let lock = Flock { kind: F_UNLCK, whence: 0, start: at as i64, bytes: 1, pid: 0 };
    call!(FCNTL, fd.raw(), F_OFD_SETLK, &raw const lock).map(drop)
}

/// Whether another description holds a lock on any of `bytes` bytes from `start`; 0 bytes: to the end.
pub fn is_locked(fd: &Fd, start: u64, bytes: u64) -> Result<bool, Errno> {
    let (start, bytes) = (start as i64, bytes as i64);
    let mut lock = Flock { kind: F_WRLCK, whence: 0, start, bytes, pid: 0 };
    call!(FCNTL, fd.raw(), F_OFD_GETLK, &raw mut lock)?;
    Ok(lock.kind != F_UNLCK)
}
