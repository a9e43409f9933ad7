//! How long to wait before the next attempt: exponential backoff with full jitter.
//!
//! Full jitter (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): each
//! wait is drawn evenly from zero to a ceiling that doubles with every failure in a row. Many
//! clients of a server that comes back do not return in step.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The ceilings of the waits.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Waits {
    /// The ceiling of the first wait after a success.
    pub base: Duration,
    /// No ceiling grows beyond this.
    pub cap: Duration,
}

/// Between attempts that fail now and then.
pub const RETRY: Waits = Waits { base: Duration::from_millis(500), cap: Duration::from_secs(60) };

/// Chooses a wait between zero and the given ceiling. Injected, so that tests wait for nothing.
pub type Jitter = Box<dyn FnMut(Duration) -> Duration + Send>;

/// The waits between the attempts of one sink.
pub struct Backoff {
    waits: Waits,
    failures: u32,
}

impl Backoff {
    /// Starts with no failure counted.
    pub fn new(waits: Waits) -> Backoff {
        Backoff { waits, failures: 0 }
    }

    /// Counts a failure and says how long to wait: at most [`Waits::cap`].
    pub fn next_wait(&mut self, jitter: &mut Jitter) -> Duration {
        let ceiling = self.waits.ceiling(self.failures);
        self.failures = self.failures.saturating_add(1);
        jitter(ceiling).min(ceiling)
    }

    /// Forgets the failures: the sink works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

impl Waits {
    fn ceiling(self, failures: u32) -> Duration {
        let doubled = 2_u32.checked_pow(failures).and_then(|factor| self.base.checked_mul(factor));
        doubled.map_or(self.cap, |wait| wait.min(self.cap))
    }
}

/// Draws evenly from zero to the ceiling. Seeded by the operating system through the standard
/// library's hash keys; good enough to keep clients out of step, and not for secrets.
pub fn full_jitter() -> Jitter {
    let keys = RandomState::new();
    let mut draws = 0_u64;
    Box::new(move |ceiling| {
        draws = draws.wrapping_add(1);
        let mut hasher = keys.build_hasher();
        hasher.write_u64(draws);
        // The upper 53 bits fill a double's mantissa exactly: 0.0 <= part < 1.0.
        let part = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
        ceiling.mul_f64(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_its_cap_and_starts_again_after_a_success() {
        let mut whole: Jitter = Box::new(|ceiling| ceiling);
        let mut backoff = Backoff::new(RETRY);
        let waits: Vec<u128> = (0..9).map(|_| backoff.next_wait(&mut whole).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
        backoff.reset();
        assert_eq!(backoff.next_wait(&mut whole), RETRY.base);
    }

    #[test]
    fn a_year_of_failures_does_not_overflow() {
        assert_eq!(RETRY.ceiling(u32::MAX), RETRY.cap);
        assert_eq!(RETRY.ceiling(31), RETRY.cap);
    }

    #[test]
    fn full_jitter_stays_below_the_ceiling_and_uses_all_of_it() {
        let mut jitter = full_jitter();
        let draws: Vec<Duration> = (0..2000).map(|_| jitter(RETRY.cap)).collect();
        assert!(draws.iter().all(|wait| *wait <= RETRY.cap));
        assert!(draws.iter().any(|wait| *wait < RETRY.cap / 10));
        assert!(draws.iter().any(|wait| *wait > RETRY.cap / 10 * 9));
    }
}
