//! A descriptor that lies idle in a program which may close it, or use its number for another.

use hookring_bus::layout::READER_LOCK;
use hookring_bus::sys::{self, Fd, Stat};

/// A description of the ring apart from the lane's, to take the reader's lock with when no daemon
/// lives. The host may close it and use its number for something else: it is checked before use.
pub(super) struct Spare {
    pub(super) raw: i32,
    pub(super) stat: Stat,
}

impl Spare {
    fn is_ours(&self, fd: &Fd) -> bool {
        sys::fstat(fd).is_ok_and(|now| now.is_same_file(&self.stat))
    }

    /// Takes the reader's lock of this ring, if nobody has it and the host left us the descriptor.
    pub(super) fn lock_reader(&self) -> bool {
        let lock = |fd: &Fd| self.is_ours(fd) && sys::lock_byte(fd, READER_LOCK) == Ok(true);
        sys::borrow(self.raw, lock)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if sys::borrow(self.raw, |fd| self.is_ours(fd)) {
            sys::close_raw(self.raw);
        }
    }
}
