//! Signals: SIGBUS handled, others ignored.

use super::calls::{self, call};
#[cfg(feature = "std")]
use crate::sys::SigxfszBefore;
use crate::sys::{Errno, SignalHandler};

const SIGBUS: usize = 7;
const SIGPIPE: usize = 13;
const SIGCHLD: usize = 17;
const SIGXFSZ: usize = 25;
const SA_SIGINFO: usize = 4;
const SA_RESTORER: usize = 0x0400_0000;
const SA_NODEFER: usize = 0x4000_0000;
const SIGNAL_SET_BYTES: usize = 8;
static SIGBUS_SET: u64 = 1 << (SIGBUS - 1);
#[cfg(feature = "std")]
static SIGXFSZ_SET: u64 = 1 << (SIGXFSZ - 1);
#[cfg(feature = "std")]
const SIG_BLOCK: usize = 0;
const SIG_UNBLOCK: usize = 1;

#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Handles SIGBUS, which the kernel sends for a mapped page whose file was cut off. This thread, and
/// those that it starts, must not block it: see [`unblock_sigbus`].
///
/// # Safety
/// The handler must do only what a signal handler may.
pub unsafe fn catch_sigbus(handler: SignalHandler) -> Result<(), Errno> {
    let (restorer, flag) = restorer();
    let flags = SA_SIGINFO | SA_NODEFER | flag;
    let action = KernelAction { handler: handler as usize, flags, restorer, mask: 0 };
    set_action(SIGBUS, &action)
}

/// Lets this thread have SIGBUS. Whoever started the process may have blocked it, and a fault whose
/// signal is blocked ends the process whatever the handler.
pub fn unblock_sigbus() -> Result<(), Errno> {
    call!(RT_SIGPROCMASK, SIG_UNBLOCK, &raw const SIGBUS_SET, 0, SIGNAL_SET_BYTES).map(drop)
}

/// As [`catch_sigbus`], for a handler that needs something of this thread: [`kept_for_handler`] finds
/// it. Without a static, because a program that has none needs no writable page in its image.
///
/// # Safety
/// As for [`catch_sigbus`], and `keepsake` must outlive every use of the handler. The thread must not
/// use an alternate signal stack: this puts the pointer where the kernel keeps that one's address.
pub unsafe fn catch_sigbus_with<T>(
    keepsake: *const T,
    handler: SignalHandler,
) -> Result<(), Errno> {
    // No handler asks for the alternate stack, so its length only has to pass the kernel's check.
    const LENGTH: usize = 64 * 1024;
    let stack = SignalStack { base: keepsake.cast(), flags: 0, bytes: LENGTH };
    call!(SIGALTSTACK, &raw const stack, 0)?;
    // SAFETY: the caller vouches for the handler.
    unsafe { catch_sigbus(handler) }
}

/// What [`catch_sigbus_with`] was given.
///
/// # Safety
/// `context` must be the pointer that the kernel gave to the handler, and `T` the same type.
pub unsafe fn kept_for_handler<T>(context: *const u8) -> *const T {
    // struct ucontext begins with flags and a link, 8 bytes each; then the alternate stack.
    const UC_STACK: usize = 16;
    // SAFETY: within the context.
    let stack = unsafe { context.add(UC_STACK) }.cast::<SignalStack>();
    // SAFETY: a whole stack_t stands there, aligned.
    unsafe { stack.read() }.base.cast()
}

#[repr(C)]
struct SignalStack {
    base: *const u8,
    flags: i32,
    bytes: usize,
}

/// Gives SIGBUS its default effect back: the process ends.
pub fn default_sigbus() -> Result<(), Errno> {
    set_action(SIGBUS, &KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 })
}

/// Has a write to a closed pipe fail instead of ending the process.
pub fn ignore_sigpipe() -> Result<(), Errno> {
    set_action(SIGPIPE, &KernelAction { handler: 1, flags: 0, restorer: 0, mask: 0 })
}

/// Has a write beyond the limit for a file's size fail instead of ending the process.
pub fn ignore_sigxfsz() -> Result<(), Errno> {
    set_action(SIGXFSZ, &KernelAction { handler: 1, flags: 0, restorer: 0, mask: 0 })
}

/// Has children waited for, whatever this process was started with: where SIGCHLD is ignored, they are gone at
/// once, and how they ended with them.
pub fn default_sigchld() -> Result<(), Errno> {
    set_action(SIGCHLD, &KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 })
}

/// Keeps SIGXFSZ from this thread.
#[cfg(feature = "std")]
pub(in crate::sys) fn block_sigxfsz() -> SigxfszBefore {
    let mut mask = 0_u64;
    let _ =
        call!(RT_SIGPROCMASK, SIG_BLOCK, &raw const SIGXFSZ_SET, &raw mut mask, SIGNAL_SET_BYTES);
    SigxfszBefore { was_blocked: mask & SIGXFSZ_SET != 0, was_pending: is_sigxfsz_pending() }
}

/// Takes the SIGXFSZ that this thread was sent since, and lets it have others again.
#[cfg(feature = "std")]
pub(in crate::sys) fn unblock_sigxfsz(before: SigxfszBefore) {
    let set = &raw const SIGXFSZ_SET;
    if !before.was_pending && is_sigxfsz_pending() {
        // It is there already, so this waits for nothing.
        let no_time = [0_u64; 2];
        let _ = call!(RT_SIGTIMEDWAIT, set, 0, &raw const no_time, SIGNAL_SET_BYTES);
    }
    if !before.was_blocked {
        let _ = call!(RT_SIGPROCMASK, SIG_UNBLOCK, set, 0, SIGNAL_SET_BYTES);
    }
}

#[cfg(feature = "std")]
fn is_sigxfsz_pending() -> bool {
    let mut pending = 0_u64;
    let _ = call!(RT_SIGPENDING, &raw mut pending, SIGNAL_SET_BYTES);
    pending & SIGXFSZ_SET != 0
}

fn set_action(signal: usize, action: &KernelAction) -> Result<(), Errno> {
    call!(RT_SIGACTION, signal, &raw const *action, 0, SIGNAL_SET_BYTES).map(drop)
}

/// The address that a fault hit, from the `siginfo_t` that a handler was given.
///
/// # Safety
/// `info` must be the pointer that the kernel gave to the handler.
pub unsafe fn fault_address(info: *const u8) -> usize {
    const SI_ADDR: usize = 16;
    // SAFETY: siginfo_t has 128 bytes, aligned to 8.
    let field = unsafe { info.add(SI_ADDR) };
    // SAFETY: si_addr stands at byte 16, an aligned pointer.
    unsafe { field.cast::<usize>().read() }
}

// x86_64 returns from a handler through a stub that the program brings; aarch64's is in the vDSO.
#[cfg(target_arch = "x86_64")]
fn restorer() -> (usize, usize) {
    #[unsafe(naked)]
    unsafe extern "C" fn signal_return() {
        core::arch::naked_asm!("mov eax, 15", "syscall")
    }
    (signal_return as *const () as usize, SA_RESTORER)
}

#[cfg(target_arch = "aarch64")]
fn restorer() -> (usize, usize) {
    let _ = SA_RESTORER;
    (0, 0)
}
