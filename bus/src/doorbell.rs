//! Waking the reader: a futex word that producers touch only when the reader said that it sleeps.
//!
//! The argument that no wake-up is lost is Dekker's: the producer stores its tail, then loads the
//! word; the reader sets SLEEPING, then loads the tails; full fences stand between both pairs, so
//! at least one of the two sees the other. A producer that dies between its store and its wake
//! delays the record until the reader's time limit.
//!
//! Producers publish far more often than the reader sleeps. So where the system lets it
//! (`sys::barrier`), the reader makes both fences: behind its announcement it has every producer that
//! joined make one, wherever that is. If the producer's load came before this fence its store did,
//! too, and the reader's check sees it; if it comes behind, it sees SLEEPING.
//!
//! Retirement rests on the same argument: a producer takes its lane's lock, then loads RETIRED; the
//! reader sets RETIRED, then asks for locks; full fences stand between both pairs. So a producer that
//! misses the bit holds a lock that the reader finds, and a lane that the reader finds free gets no
//! further record.

#[cfg(feature = "std")]
use crate::atomic::compiler_fence;
use crate::atomic::{AtomicU32, Ordering, fence};
use crate::sys;

/// The reader sleeps, or is about to, and wants to be woken.
pub const SLEEPING: u32 = 1;
/// The ring is being replaced: producers leave it after their publish.
pub const RETIRED: u32 = 2;

/// To be called after a publish: wakes the reader if it sleeps. Says whether the ring is retired.
#[inline]
pub fn ring(word: &AtomicU32) -> bool {
    // Pairs with the fence in `wait`: either this load sees SLEEPING, or the reader's check after
    // its announcement sees the tail that was stored before this fence.
    fence(Ordering::SeqCst);
    look(word)
}

/// As [`ring`], by a process that joined the barrier (`sys::join_barrier`) of a ring whose reader makes
/// it (`layout::FEATURE_BARRIER`). Anybody else who calls this may leave the reader asleep until its
/// time limit.
#[cfg(feature = "std")]
#[inline]
pub fn ring_joined(word: &AtomicU32) -> bool {
    // Pairs with the barrier in `wait`. The compiler keeps the load behind the store; the processor
    // may not, but never has the load before that barrier and the store behind it.
    compiler_fence(Ordering::SeqCst);
    look(word)
}

#[inline(always)]
fn look(word: &AtomicU32) -> bool {
    let seen = word.load(Ordering::Relaxed);
    if seen & SLEEPING != 0 {
        wake(word);
    }
    seen & RETIRED != 0
}

#[cold]
fn wake(word: &AtomicU32) {
    // One of several producers clears the bit and makes the system call for all.
    if word.fetch_and(!SLEEPING, Ordering::AcqRel) & SLEEPING != 0 {
        sys::futex_wake(word.as_ptr());
    }
}

/// Sleeps until a producer rings one of the words or `timeout_ns` have passed, unless `has_work` finds
/// something after the announcement. For the one reader of these rings; `has_joined`: one of them may
/// have producers that call [`ring_joined`].
#[cfg(feature = "std")]
pub fn wait(
    words: &[&AtomicU32],
    has_joined: bool,
    timeout_ns: u64,
    has_work: impl FnOnce() -> bool,
) {
    let announce = |word: &AtomicU32| word.fetch_or(SLEEPING, Ordering::AcqRel) | SLEEPING;
    let announced: Vec<_> = words.iter().map(|word| (*word, announce(word))).collect();
    // Pairs with the fence in `ring`.
    fence(Ordering::SeqCst);
    // Pairs with the load in `ring_joined`. Where the kernel has no memory for it a wake may be lost,
    // which costs the time limit.
    let _ = has_joined && sys::barrier();
    if !has_work() {
        sys::futex_wait_any(&announced, timeout_ns);
    }
    for word in words {
        word.fetch_and(!SLEEPING, Ordering::AcqRel);
    }
}

/// Tells every producer to leave the ring after its next publish. For the reader; whether a lane is
/// locked counts if it asks that afterwards.
pub fn retire(word: &AtomicU32) {
    word.fetch_or(RETIRED, Ordering::AcqRel);
    // Pairs with the fence in `is_retired`: either that load sees RETIRED, or the reader's question
    // after this fence finds the lock that was taken before that one.
    fence(Ordering::SeqCst);
}

/// Whether the ring is retired. A producer asks this under its lane's lock.
pub fn is_retired(word: &AtomicU32) -> bool {
    // Pairs with the fence in `retire`. The lock's system call is a full fence as well, on every
    // kernel there is; none promises it.
    fence(Ordering::SeqCst);
    word.load(Ordering::Relaxed) & RETIRED != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_is_woken_by_a_ring() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            // Ten minutes: the test ends because the ring wakes it, or hangs.
            let sleeper = scope.spawn(|| wait(&[&word], false, 600_000_000_000, || false));
            while !sleeper.is_finished() {
                ring(&word);
                std::thread::yield_now();
            }
        });
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn work_found_after_the_announcement_prevents_sleep() {
        let word = AtomicU32::new(0);
        wait(&[&word], true, u64::MAX / 2, || true);
        assert_eq!(word.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn retirement_is_seen_by_the_next_ring() {
        let word = AtomicU32::new(0);
        assert!(!ring(&word));
        retire(&word);
        assert!(ring(&word));
        assert!(is_retired(&word));
    }
}
