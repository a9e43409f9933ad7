//! What a process is and has, and its end.

use super::calls::{self, call};
use super::time::Timespec;
use crate::sys::Errno;

/// Fills a buffer with random bytes; `false` where the kernel has none (before Linux 3.17).
pub fn random(buffer: &mut [u8]) -> bool {
    call!(GETRANDOM, buffer.as_mut_ptr(), buffer.len(), 0).is_ok_and(|n| n == buffer.len())
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    call!(GETEUID).unwrap_or(0) as u32
}

/// The process id, as this process's pid namespace has it.
pub fn process_id() -> u32 {
    call!(GETPID).unwrap_or(0) as u32
}

/// The working directory's path into `buffer`; its length without the closing zero.
pub fn working_directory(buffer: &mut [u8]) -> Result<usize, Errno> {
    call!(GETCWD, buffer.as_mut_ptr(), buffer.len()).map(|bytes| bytes.saturating_sub(1))
}

/// Waits until `fd` can be read or is at its end; `Ok(false)`: `timeout_ns` have passed.
pub fn wait_readable(fd: i32, timeout_ns: u64) -> Result<bool, Errno> {
    const POLLIN: i16 = 1;
    poll(fd, POLLIN, timeout_ns)
}

/// Waits until `fd` can be written to or has no reader; `Ok(false)`: `timeout_ns` have passed.
pub fn wait_writable(fd: i32, timeout_ns: u64) -> Result<bool, Errno> {
    const POLLOUT: i16 = 4;
    poll(fd, POLLOUT, timeout_ns)
}

fn poll(fd: i32, events: i16, timeout_ns: u64) -> Result<bool, Errno> {
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: i16,
        returned: i16,
    }
    let mut poll = PollFd { fd, events, returned: 0 };
    let mut timeout = Timespec::from_nanos(timeout_ns);
    call!(PPOLL, &raw mut poll, 1, &raw mut timeout, 0, 8).map(|ready| ready > 0)
}

/// How large the stack may become, in bytes; `u64::MAX` where nothing limits it.
#[inline(always)]
pub fn stack_limit_bytes() -> u64 {
    const RLIMIT_STACK: usize = 3;
    let mut limits = [u64::MAX; 2];
    let _ = call!(GETRLIMIT, RLIMIT_STACK, limits.as_mut_ptr());
    limits[0]
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    const TCGETS: usize = 0x5401;
    let mut settings = [0u32; 16];
    call!(IOCTL, fd, TCGETS, settings.as_mut_ptr()).is_ok()
}

/// Ends the process, all its threads, without running anything.
pub fn exit(code: i32) -> ! {
    loop {
        let _ = call!(EXIT_GROUP, code);
    }
}
