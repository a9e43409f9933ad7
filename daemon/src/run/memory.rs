//! Memory that a burst of events needed goes back to the system when the burst is over.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A second in which the process took less of a core than this is a quiet one.
const QUIET: Duration = Duration::from_millis(10);
/// After less work than this there is not much to give back.
const WORK: Duration = Duration::from_millis(100);

/// Watches for the end of work, by the processor time of all threads.
#[derive(Default)]
pub(super) struct Memory {
    seen: Duration,
    given_back: Duration,
}

impl Memory {
    /// To be called once a second.
    pub(super) fn give_back_when_quiet(&mut self) {
        let now = processor_time();
        if now - self.seen < QUIET && now - self.given_back > WORK {
            give_back();
            self.given_back = processor_time();
        }
        self.seen = now;
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// Returns what the allocator keeps for itself. Takes some milliseconds.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it has no preconditions; the allocator locks what it changes.
    unsafe {
        libc::malloc_trim(0);
    }
}
