//! What a call of the C library returned.

use crate::sys::Errno;

/// What a call returned, or its error where that is -1.
pub(super) fn check<T: PartialEq + From<i8>>(result: T) -> Result<T, Errno> {
    if result == T::from(-1) { Err(last_error()) } else { Ok(result) }
}

pub(super) fn check_bytes(result: isize) -> Result<usize, Errno> {
    check(result).map(|bytes| bytes as usize)
}

pub(super) fn last_error() -> Errno {
    #[cfg(target_vendor = "apple")]
    // SAFETY: always allowed.
    let number = unsafe { libc::__error() };
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: always allowed.
    let number = unsafe { libc::__errno_location() };
    // SAFETY: this thread's errno.
    Errno(unsafe { number.read() })
}
