//! The death of a process at any of its steps, and its standing still there.

use super::kernel;
use loom::thread::{self, ThreadId};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

struct Killed;

thread_local! {
    // loom runs all threads of a model on one real one.
    static MARKED: RefCell<Vec<Marked>> = const { RefCell::new(Vec::new()) };
}

/// A process to which something happens before a step of its.
struct Marked {
    id: ThreadId,
    steps: usize,
    /// `None`: it dies.
    pause: Option<Box<dyn FnOnce()>>,
}

/// To be called before whatever another process can see.
pub(crate) fn step() {
    let reached = MARKED.with_borrow_mut(|marked| {
        if marked.is_empty() {
            return None;
        }
        let me = thread::current().id();
        let at = marked.iter().position(|it| it.id == me)?;
        if marked[at].steps > 0 {
            marked[at].steps -= 1;
            return None;
        }
        Some(marked.swap_remove(at))
    });
    match reached {
        None => {}
        Some(Marked { pause: Some(pause), .. }) => pause(),
        // Not `panic`: that would say so each time.
        Some(_) => resume_unwind(Box::new(Killed)),
    }
}

fn mark(steps: usize, pause: Option<Box<dyn FnOnce()>>) {
    let id = thread::current().id();
    MARKED.with_borrow_mut(|marked| marked.push(Marked { id, steps, pause }));
}

fn unmark() {
    let me = thread::current().id();
    MARKED.with_borrow_mut(|marked| marked.retain(|it| it.id != me));
}

/// Runs a process that stands still before its step of that number, until `pause` has returned.
pub(crate) fn held_at<T>(
    steps: usize,
    pause: impl FnOnce() + 'static,
    run: impl FnOnce() -> T,
) -> T {
    mark(steps, Some(Box::new(pause)));
    let value = run();
    unmark();
    value
}

/// Runs a process that dies before its step of that number. `None`: it died.
pub(crate) fn killed_at<T>(steps: usize, run: impl FnOnce() -> T) -> Option<T> {
    mark(steps, None);
    let ended = catch_unwind(AssertUnwindSafe(run));
    unmark();
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
    MARKED.with_borrow_mut(Vec::clear);
}
