//! `membarrier(2)`: a full fence in another process, so that the frequent side of a pair needs none.

use super::calls::{self, call};

const QUERY: usize = 0;
const GLOBAL_EXPEDITED: usize = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: usize = 1 << 2;

/// Whether this kernel has both calls below, for a processor on which they are enough.
///
/// On x86_64 stores become visible in their order, so that a publish has its fence for the doorbell
/// alone. Elsewhere that fence also keeps the tail before what the producer stores next.
pub fn has_barrier() -> bool {
    const BOTH: usize = GLOBAL_EXPEDITED | REGISTER_GLOBAL_EXPEDITED;
    cfg!(target_arch = "x86_64")
        && call!(MEMBARRIER, QUERY, 0, 0).is_ok_and(|has| has & BOTH == BOTH)
}

/// Has this process take part in [`barrier`]; until it executes another program.
pub fn join_barrier() -> bool {
    has_barrier() && call!(MEMBARRIER, REGISTER_GLOBAL_EXPEDITED, 0, 0).is_ok()
}

/// Makes a full fence in every thread that runs now and whose process has joined; a thread that does
/// not run had one when it was stopped. `false`: it was not made.
pub fn barrier() -> bool {
    call!(MEMBARRIER, GLOBAL_EXPEDITED, 0, 0).is_ok()
}
