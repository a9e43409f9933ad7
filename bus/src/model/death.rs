//! The death of a process at any of its steps.

use super::kernel;
use loom::thread::{self, ThreadId};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

struct Killed;

thread_local! {
    // loom runs all threads of a model on one real one.
    static DYING: RefCell<Vec<(ThreadId, usize)>> = const { RefCell::new(Vec::new()) };
}

/// To be called before whatever another process can see.
pub(crate) fn step() {
    let is_dead = DYING.with_borrow_mut(|dying| {
        if dying.is_empty() {
            return false;
        }
        let me = thread::current().id();
        let Some(at) = dying.iter().position(|(id, _)| *id == me) else { return false };
        if dying[at].1 > 0 {
            dying[at].1 -= 1;
            return false;
        }
        dying.swap_remove(at);
        true
    });
    if is_dead {
        // Not `panic`: that would say so each time.
        resume_unwind(Box::new(Killed));
    }
}

/// Runs a process that dies before its step of that number. `None`: it died.
pub(crate) fn killed_at<T>(steps: usize, run: impl FnOnce() -> T) -> Option<T> {
    let me = thread::current().id();
    DYING.with_borrow_mut(|dying| dying.push((me, steps)));
    let ended = catch_unwind(AssertUnwindSafe(run));
    DYING.with_borrow_mut(|dying| dying.retain(|(id, _)| *id != me));
    match ended {
        Ok(value) => Some(value),
        Err(reason) if reason.is::<Killed>() => {
            // Only now: what is dropped while the stack unwinds may not switch to another thread.
            kernel::ended();
            None
        }
        Err(reason) => resume_unwind(reason),
    }
}

/// A new execution begins.
pub(super) fn reset() {
    DYING.with_borrow_mut(Vec::clear);
}
