//! The machine that the model checker runs the ring on, under `--cfg loom` alone: one place with a
//! ring file and a spool, their memory in loom's atomics and cells, and what the kernel does for them. The ring's own code runs
//! unchanged on top; `drain/models` has the models and says how to run them.
//!
//! What is modelled, always as the weakest that the code may rely on:
//! - A lock (`kernel`) synchronises its taker with the one who let go of it, and nothing else: taking
//!   or asking is no fence. It belongs to an open file description and goes with the last descriptor
//!   and mapping of that, as a process's death drops them all.
//! - A futex has the kernel's order of "compare, then sleep" against "wake", and no time limit but
//!   [`pass_time`]: a lost wake is a deadlock, which loom reports.
//! - The clock ([`Clock`]) only moves on, and reading it orders nothing.
//! - A directory (`files`): a name is given or taken in one step, and not to what has it. A listing
//!   has what was there from its beginning to its end; of two, a change and a listing, the later one
//!   sees what came before the earlier one. To look a name up is no such turn: it finds what was written
//!   before the name was given, or may not find it yet.
//! - `sys::barrier` and the compiler fence that it pairs with are two read-modify-writes of one hidden
//!   word, so the earlier is seen by the later and they order nothing with other fences. That is what
//!   the doorbell's argument takes from `membarrier(2)`, and all that this model says of it. That the
//!   kernel does so, and that a compiler fence is enough on the other side, it cannot say; nor that a
//!   processor keeps two stores of a joined producer in order (`sys::has_barrier` counts on x86_64 for
//!   that). `tests/lanes/barrier.rs` tests the real thing.
//!
//! A process may die before any store, lock or system call of its ([`killed_at`]), and in a copy before
//! each 64 bytes; or stand still there ([`held_at`]).
//!
//! loom's limits: a `SeqCst` fence is taken to order a little more than C++ has it (all that was before
//! one fence is seen behind every later one), and `SeqCst` accesses a little less; there are none here.

pub(crate) mod atomic;
mod death;
mod files;
mod kernel;
mod memory;

pub(crate) use death::{held_at, killed_at, step};
pub(crate) use files::{PLACE, UID};
pub(crate) use kernel::{Clock, pass_time, place, start};
pub(crate) use kernel::{
    barrier_word, clock_ns, close, fence_turn, futex_wait, futex_wake, is_locked, is_time_up,
    lock_byte, map, node, open, unlock_byte, with_files,
};
pub(crate) use memory::Memory;

/// Between two processes' steps: somebody removes the spool with all that is in it.
pub(crate) fn remove_spool() {
    with_files(files::Files::remove_spool);
}
