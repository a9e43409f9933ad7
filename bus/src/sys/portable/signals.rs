//! Signals: SIGBUS handled, others ignored.

use super::calls::check;
use crate::atomic::Ordering;
#[cfg(feature = "std")]
use crate::sys::SigxfszBefore;
use crate::sys::{Errno, SignalHandler};
use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::AtomicPtr;

/// Handles SIGBUS, which the kernel sends for a mapped page whose file was cut off. This thread, and
/// those that it starts, must not block it: see [`unblock_sigbus`].
///
/// # Safety
/// The handler must do only what a signal handler may.
pub unsafe fn catch_sigbus(handler: SignalHandler) -> Result<(), Errno> {
    set_action(libc::SIGBUS, handler as libc::sighandler_t, libc::SA_SIGINFO | libc::SA_NODEFER)
}

/// Lets this thread have SIGBUS. Whoever started the process may have blocked it, and a fault whose
/// signal is blocked may end the process whatever the handler.
pub fn unblock_sigbus() -> Result<(), Errno> {
    let (set, old) = (set_of(libc::SIGBUS), ptr::null_mut());
    // SAFETY: a live set; the old one is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, old) } {
        0 => Ok(()),
        errno => Err(Errno(errno)),
    }
}

static KEEPSAKE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// As [`catch_sigbus`], for a handler that needs something: [`kept_for_handler`] finds it.
///
/// # Safety
/// As for [`catch_sigbus`], and `keepsake` must outlive every use of the handler. Once per process.
pub unsafe fn catch_sigbus_with<T>(
    keepsake: *const T,
    handler: SignalHandler,
) -> Result<(), Errno> {
    KEEPSAKE.store(keepsake.cast_mut().cast(), Ordering::Release);
    // SAFETY: the caller vouches for the handler.
    unsafe { catch_sigbus(handler) }
}

/// What [`catch_sigbus_with`] was given.
///
/// # Safety
/// `T` must be the same type.
pub unsafe fn kept_for_handler<T>(_context: *const u8) -> *const T {
    KEEPSAKE.load(Ordering::Acquire).cast_const().cast()
}

/// Gives SIGBUS its default effect back: the process ends.
pub fn default_sigbus() -> Result<(), Errno> {
    set_action(libc::SIGBUS, libc::SIG_DFL, 0)
}

/// Has a write to a closed pipe fail instead of ending the process.
pub fn ignore_sigpipe() -> Result<(), Errno> {
    set_action(libc::SIGPIPE, libc::SIG_IGN, 0)
}

/// Has a write beyond the limit for a file's size fail instead of ending the process.
pub fn ignore_sigxfsz() -> Result<(), Errno> {
    set_action(libc::SIGXFSZ, libc::SIG_IGN, 0)
}

/// Has children waited for, whatever this process was started with: where SIGCHLD is ignored, they are gone at
/// once, and how they ended with them.
pub fn default_sigchld() -> Result<(), Errno> {
    set_action(libc::SIGCHLD, libc::SIG_DFL, 0)
}

/// Keeps SIGXFSZ from this thread.
#[cfg(feature = "std")]
pub(in crate::sys) fn block_sigxfsz() -> SigxfszBefore {
    let set = set_of(libc::SIGXFSZ);
    let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: two live sets.
    let _ = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, mask.as_mut_ptr()) };
    // SAFETY: a set, if only the empty one.
    let was_blocked = unsafe { libc::sigismember(mask.as_ptr(), libc::SIGXFSZ) } == 1;
    SigxfszBefore { was_blocked, was_pending: is_sigxfsz_pending() }
}

/// Takes the SIGXFSZ that this thread was sent since, and lets it have others again.
#[cfg(feature = "std")]
pub(in crate::sys) fn unblock_sigxfsz(before: SigxfszBefore) {
    let set = set_of(libc::SIGXFSZ);
    if !before.was_pending && is_sigxfsz_pending() {
        let mut signal = 0;
        // It is there already, so this waits for nothing.
        // SAFETY: a live set and a live integer.
        let _ = unsafe { libc::sigwait(&raw const set, &raw mut signal) };
    }
    if !before.was_blocked {
        let (how, old) = (libc::SIG_UNBLOCK, ptr::null_mut());
        // SAFETY: a live set; the old one is not asked for.
        let _ = unsafe { libc::pthread_sigmask(how, &raw const set, old) };
    }
}

#[cfg(feature = "std")]
fn is_sigxfsz_pending() -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: room for a set.
    let _ = unsafe { libc::sigpending(pending.as_mut_ptr()) };
    // SAFETY: a set, if only the empty one.
    unsafe { libc::sigismember(pending.as_ptr(), libc::SIGXFSZ) == 1 }
}

fn set_of(signal: c_int) -> libc::sigset_t {
    // SAFETY: integers, for which zeros are fine.
    let mut set: libc::sigset_t = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: a live set.
    let _ = unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: a live set and a signal that there is.
    let _ = unsafe { libc::sigaddset(&raw mut set, signal) };
    set
}

fn set_action(signal: c_int, handler: libc::sighandler_t, flags: c_int) -> Result<(), Errno> {
    // SAFETY: integers, an empty set and a null pointer, for which zeros are fine.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    // SAFETY: a live action; whoever gave the handler vouches for it.
    check(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }).map(drop)
}

/// The address that a fault hit, from the `siginfo_t` that a handler was given.
///
/// # Safety
/// `info` must be the pointer that the kernel gave to the handler.
pub unsafe fn fault_address(info: *const u8) -> usize {
    // SAFETY: the caller vouches for it.
    let info = unsafe { &*info.cast::<libc::siginfo_t>() };
    // SAFETY: SIGBUS carries an address.
    unsafe { info.si_addr() as usize }
}
