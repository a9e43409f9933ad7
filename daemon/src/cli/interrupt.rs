//! Ctrl-C, and what else ends a command that waits: noticed, so that it can stop what it began and say so.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Whether somebody wants the command to end. The second time ends it at once, as without this.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// By whatever signal.
    pub(super) fn watch() -> io::Result<Interrupt> {
        Interrupt::by(&[SIGINT, SIGTERM, SIGHUP])
    }

    /// By Ctrl-C alone: what else ends the command leaves what it began to the daemon.
    pub(super) fn watch_ctrl_c() -> io::Result<Interrupt> {
        Interrupt::by(&[SIGINT])
    }

    fn by(signals: &[i32]) -> io::Result<Interrupt> {
        let came = Arc::new(AtomicBool::new(false));
        for &signal in signals {
            // In this order: the first signal finds the flag down.
            flag::register_conditional_default(signal, Arc::clone(&came))?;
            flag::register(signal, Arc::clone(&came))?;
        }
        Ok(Interrupt(came))
    }

    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
