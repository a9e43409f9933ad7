//! The seed of a test in which things happen at random moments.

use std::thread;
use std::time::SystemTime;

use crate::numbered::Rng;

/// Where a test's choices come from; named when it begins and when it fails.
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn choose() -> Seed {
        let named = std::env::var("HOOKRING_TEST_SEED").ok();
        let named = named.map(|seed| seed.parse().expect("HOOKRING_TEST_SEED is a number"));
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = named.unwrap_or_else(|| clock().expect("a clock after 1970").as_nanos() as u64);
        println!("HOOKRING_TEST_SEED={seed}");
        Seed(seed)
    }

    /// The choices of one of the test's threads.
    pub(crate) fn rng(&self, thread: u32) -> Rng {
        Rng::new(Rng::new(self.0 ^ u64::from(thread) << 40).bits())
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed with HOOKRING_TEST_SEED={}", self.0);
        }
    }
}
