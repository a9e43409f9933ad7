//! A reader that is always awake: it never announces that it sleeps, drains what the timed hooks
//! publish, and does nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use std::os::unix::ffi::OsStrExt as _;

/// Between two looks at the ring. It does not spin, or it would take a core from the programs.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// A thread that looks after the ring until [`Drainer::finish`].
pub(crate) struct Drainer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Drainer {
    /// Makes the ring under `dir` and starts to drain it.
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        let places = Places::new(Some(dir.as_os_str().as_bytes()), sys::effective_uid());
        let drain = Drain::open(&places, Options::default())?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Ok(Self { stop, thread: thread::spawn(move || drain_until(drain, &stopped)) })
    }

    /// Stops, and makes sure that all that was published arrived: times of a hook that loses events
    /// mean nothing.
    ///
    /// # Errors
    ///
    /// When something is missing or came twice.
    pub(crate) fn finish(self, published: usize) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let drained = self.thread.join().map_err(|_| anyhow!("the reader panicked"))?;
        println!("\nevents published {published}, drained {drained}");
        ensure!(published == drained, "events published and drained differ");
        Ok(())
    }
}

/// Drains until it is told to stop and nothing is left; how many records that were.
fn drain_until(mut drain: Drain, stop: &AtomicBool) -> usize {
    let mut drained = 0;
    // Two empty rounds: a record stamped during one waits for the next.
    let mut empty_rounds = 0;
    while empty_rounds < 2 {
        let is_last = stop.load(Ordering::Relaxed);
        if !drain.has_work() && !is_last {
            thread::sleep(LOOK_EVERY);
            continue;
        }
        let found = drain.next_batch().len();
        drain.release();
        drained += found;
        empty_rounds = if is_last && found == 0 { empty_rounds + 1 } else { 0 };
    }
    drained
}
