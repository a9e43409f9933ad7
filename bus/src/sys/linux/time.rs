//! Clocks, and sleeping until a word of memory changes.

use super::calls::{self, call};
#[cfg(feature = "std")]
use crate::atomic::AtomicU32;
#[cfg(feature = "std")]
use crate::sys::Errno;

#[repr(C)]
#[derive(Copy, Clone)]
pub(super) struct Timespec {
    seconds: i64,
    nanos: i64,
}

impl Timespec {
    pub(super) fn from_nanos(nanos: u64) -> Timespec {
        let second = 1_000_000_000;
        Timespec { seconds: (nanos / second) as i64, nanos: (nanos % second) as i64 }
    }
}

const CLOCK_REALTIME: usize = 0;
const CLOCK_BOOTTIME: usize = 7;

/// Nanoseconds since the machine started, sleep included; the same clock in every process.
#[inline]
pub fn boottime_ns() -> u64 {
    clock_ns(CLOCK_BOOTTIME)
}

/// Nanoseconds since 1970.
#[inline]
pub fn realtime_ns() -> u64 {
    clock_ns(CLOCK_REALTIME)
}

// A program with a C library has the vDSO at hand (22 ns); for a process that reads the clock twice,
// two system calls cost less than finding it.
#[cfg(feature = "std")]
#[inline]
fn clock_ns(clock: usize) -> u64 {
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    let mut time = Timespec { seconds: 0, nanos: 0 };
    // SAFETY: `time` is a live timespec, and these clocks exist on every kernel since 2.6.39.
    let result = unsafe { clock_gettime(clock as i32, &raw mut time) };
    debug_assert_eq!(result, 0);
    time.seconds as u64 * 1_000_000_000 + time.nanos as u64
}

#[cfg(not(feature = "std"))]
#[inline]
fn clock_ns(clock: usize) -> u64 {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    let _ = call!(CLOCK_GETTIME, clock, &raw mut time);
    time.seconds as u64 * 1_000_000_000 + time.nanos as u64
}

#[cfg(feature = "std")]
const _: usize = calls::number::CLOCK_GETTIME;

/// Sleeps until somebody wakes one of at most [`MAX_FUTEXES`] words (each with its expected value).
/// Where the kernel has no such call (before Linux 5.16), or a sandbox refuses it, it watches the first,
/// and the rest wait for the time limit.
#[cfg(feature = "std")]
pub fn futex_wait_any(words: &[(&AtomicU32, u32)], timeout_ns: u64) {
    #[repr(C)]
    #[derive(Copy, Clone)]
    struct WaitV {
        expected: u64,
        address: u64,
        flags: u32,
        reserved: u32,
    }
    const SIZE_32: u32 = 2;
    const CLOCK_MONOTONIC: usize = 1;
    let empty = WaitV { expected: 0, address: 0, flags: SIZE_32, reserved: 0 };
    let mut list = [empty; MAX_FUTEXES];
    let used = words.len().min(MAX_FUTEXES);
    for (entry, (word, expected)) in list.iter_mut().zip(words) {
        *entry = WaitV { expected: u64::from(*expected), address: word.as_ptr() as u64, ..empty };
    }
    let until = Timespec::from_nanos(clock_ns(CLOCK_MONOTONIC).saturating_add(timeout_ns));
    let clock = CLOCK_MONOTONIC;
    let result = call!(FUTEX_WAITV, list.as_ptr(), used, 0, &raw const until, clock);
    if let (Err(Errno::NOSYS | Errno::PERM), Some((word, expected))) = (result, words.first()) {
        const WAIT: usize = 0;
        let timeout = Timespec::from_nanos(timeout_ns);
        let _ = call!(FUTEX, word.as_ptr(), WAIT, *expected, &raw const timeout);
    }
}

/// See [`futex_wait_any`].
#[cfg(feature = "std")]
pub const MAX_FUTEXES: usize = 8;

/// Wakes one sleeper of `word`, in whichever process.
pub fn futex_wake(word: *const u32) {
    const WAKE: usize = 1;
    let _ = call!(FUTEX, word, WAKE, 1);
}
