//! Keeps a process on one core, so that the figures are not the scheduler's: two processes that spin on
//! the same core wait for each other's time slices.

use std::io;
use std::mem;
use std::ops::RangeInclusive;

use hookring_benches::machine::hop;

/// The sender's core, and the reader's.
pub(crate) const SENDER: usize = 0;
pub(crate) const READER: usize = 1;

/// Keeps this thread, and those that it starts, on a core.
pub(crate) fn stay_on(core: usize) -> io::Result<()> {
    may_run_on(core..=core)
}

/// The time that a cache line takes from core to core, in ns, for a thread that may leave its core.
pub(crate) fn free_hop() -> io::Result<u64> {
    may_run_on(SENDER..=READER)?;
    Ok(hop().as_nanos() as u64)
}

fn may_run_on(cores: RangeInclusive<usize>) -> io::Result<()> {
    // SAFETY: a set of bits; zeros are the empty one.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for core in cores {
        // SAFETY: the number is below the number of bits.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the set lives as long as the call.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
