//! Clocks, and sleeping until a word of memory changes.

#[cfg(feature = "std")]
use crate::atomic::{AtomicU32, Ordering};

// On macOS this clock goes on while the machine sleeps.
#[cfg(target_vendor = "apple")]
const CLOCK_BOOTTIME: libc::clockid_t = libc::CLOCK_MONOTONIC_RAW;
#[cfg(not(target_vendor = "apple"))]
const CLOCK_BOOTTIME: libc::clockid_t = libc::CLOCK_BOOTTIME;

/// Nanoseconds since the machine started, sleep included; the same clock in every process.
#[inline]
pub fn boottime_ns() -> u64 {
    clock_ns(CLOCK_BOOTTIME)
}

/// Nanoseconds since 1970.
#[inline]
pub fn realtime_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer; both clocks exist.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    debug_assert_eq!(result, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until one of the words no longer has its expected value, as a producer's ring sees to, or
/// `timeout_ns` have passed. There is no futex: it looks every millisecond.
#[cfg(feature = "std")]
pub fn futex_wait_any(words: &[(&AtomicU32, u32)], timeout_ns: u64) {
    use std::time::{Duration, Instant};
    const INTERVAL: Duration = Duration::from_millis(1);
    let begin = Instant::now();
    let is_unchanged =
        |(word, expected): &(&AtomicU32, u32)| word.load(Ordering::Acquire) == *expected;
    while words.iter().all(is_unchanged) {
        let left = Duration::from_nanos(timeout_ns).saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(INTERVAL));
    }
}

/// Wakes nobody: the sleeper sees for itself that the word has changed.
pub fn futex_wake(_word: *const u32) {}
