//! Locks that belong to an open file description.

use super::calls::check;
use crate::sys::{Errno, Fd};
use core::mem::MaybeUninit;

/// See [`crate::sys::MappedLock`].
#[cfg(feature = "std")]
pub(in crate::sys) const MAPPING_KEEPS_LOCK: bool = false;

// The constants have other types on other systems.
#[allow(clippy::unnecessary_cast)]
const READ_LOCK: libc::c_short = libc::F_RDLCK as libc::c_short;
#[allow(clippy::unnecessary_cast)]
const WRITE_LOCK: libc::c_short = libc::F_WRLCK as libc::c_short;
#[allow(clippy::unnecessary_cast)]
const UNLOCK: libc::c_short = libc::F_UNLCK as libc::c_short;

fn lock(kind: libc::c_short, start: u64, bytes: u64) -> libc::flock {
    // SAFETY: integers only, for which zeros are fine.
    let mut lock: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    lock.l_type = kind;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    (lock.l_start, lock.l_len) = (start as libc::off_t, bytes as libc::off_t);
    lock
}

/// Takes a write lock on one byte for the open file description behind `fd`, without waiting.
/// `Ok(false)`: another description holds it. A description that has it already gets it again.
pub fn lock_byte(fd: &Fd, at: u64) -> Result<bool, Errno> {
    try_lock(fd, WRITE_LOCK, at)
}

/// Takes a read lock on one byte, which others may hold as well: [`lock_byte`] excludes it, and it
/// excludes that. For a description that may be read through.
pub fn share_byte(fd: &Fd, at: u64) -> Result<bool, Errno> {
    try_lock(fd, READ_LOCK, at)
}

fn try_lock(fd: &Fd, kind: libc::c_short, at: u64) -> Result<bool, Errno> {
    const ACCES: Errno = Errno(13);
    let lock = lock(kind, at, 1);
    // SAFETY: a live request of the kind that this command takes.
    match check(unsafe { libc::fcntl(fd.raw(), libc::F_OFD_SETLK, &raw const lock) }) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | ACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Gives a byte back that [`lock_byte`] or [`share_byte`] took. Not for a producer's lane: unmap that instead.
pub fn unlock_byte(fd: &Fd, at: u64) -> Result<(), Errno> {
    let lock = lock(UNLOCK, at, 1);
    // SAFETY: a live request of the kind that this command takes.
    check(unsafe { libc::fcntl(fd.raw(), libc::F_OFD_SETLK, &raw const lock) }).map(drop)
}

/// Whether another description holds a lock on any of `bytes` bytes from `start`; 0 bytes: to the end.
pub fn is_locked(fd: &Fd, start: u64, bytes: u64) -> Result<bool, Errno> {
    let mut lock = lock(WRITE_LOCK, start, bytes);
    // SAFETY: a live request of the kind that this command takes, with room for the answer.
    check(unsafe { libc::fcntl(fd.raw(), libc::F_OFD_GETLK, &raw mut lock) })?;
    Ok(lock.l_type != UNLOCK)
}
