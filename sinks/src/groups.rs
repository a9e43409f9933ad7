//! The process groups of the programs that run (those of exec sinks, and those that say a secret), so that a daemon
//! that ends with a sink still within a call leaves none of them behind.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// By the numbers of their leaders, each of which was not reaped yet: no other group can have it.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills every program that a sink of this process has started, and what is in its process group. For
/// the end of the process: a sink whose program is gone has failed, and would start another.
pub fn kill_all() {
    for leader in running().iter().filter_map(|leader| Pid::from_raw(*leader)) {
        // The group may be empty already.
        let _ = kill_process_group(leader, Signal::KILL);
    }
}

/// A process leads a group of its own.
pub(crate) fn started(leader: Pid) {
    running().insert(leader.as_raw_nonzero().get());
}

/// It is about to be reaped.
pub(crate) fn ended(leader: Pid) {
    running().remove(&leader.as_raw_nonzero().get());
}

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    // A set that was being changed is still a set.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
