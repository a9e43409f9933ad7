//! What a process is and has, and its end.

#[cfg(not(target_vendor = "apple"))]
use super::calls::check_bytes;
use super::calls::{check, last_error};
use crate::sys::Errno;
use core::ffi::{c_int, c_void};

/// Fills a buffer with random bytes; `false` where there are none to be had, or for more than 256.
pub fn random(buffer: &mut [u8]) -> bool {
    let (at, bytes) = (buffer.as_mut_ptr().cast::<c_void>(), buffer.len());
    #[cfg(target_vendor = "apple")]
    // SAFETY: valid for so many bytes.
    return unsafe { libc::getentropy(at, bytes) } == 0;
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: valid for so many bytes.
    return check_bytes(unsafe { libc::getrandom(at, bytes, 0) }) == Ok(bytes);
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    // SAFETY: always allowed.
    unsafe { libc::geteuid() }
}

/// The process id, as this process's pid namespace has it.
pub fn process_id() -> u32 {
    // SAFETY: always allowed.
    unsafe { libc::getpid() as u32 }
}

/// The working directory's path into `buffer`; its length without the closing zero.
pub fn working_directory(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: valid for so many bytes.
    let path = unsafe { libc::getcwd(buffer.as_mut_ptr().cast(), buffer.len()) };
    if path.is_null() {
        return Err(last_error());
    }
    Ok(buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len()))
}

/// Waits until `fd` can be read or is at its end; `Ok(false)`: `timeout_ns` have passed.
pub fn wait_readable(fd: i32, timeout_ns: u64) -> Result<bool, Errno> {
    poll(fd, libc::POLLIN, timeout_ns)
}

/// Waits until `fd` can be written to or has no reader; `Ok(false)`: `timeout_ns` have passed.
pub fn wait_writable(fd: i32, timeout_ns: u64) -> Result<bool, Errno> {
    poll(fd, libc::POLLOUT, timeout_ns)
}

fn poll(fd: i32, events: libc::c_short, timeout_ns: u64) -> Result<bool, Errno> {
    let mut poll = libc::pollfd { fd, events, revents: 0 };
    let timeout_ms = timeout_ns.div_ceil(1_000_000).min(c_int::MAX as u64) as c_int;
    // SAFETY: one live entry.
    check(unsafe { libc::poll(&raw mut poll, 1, timeout_ms) }).map(|ready| ready > 0)
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    // SAFETY: a number only.
    unsafe { libc::isatty(fd) == 1 }
}

/// Ends the process, all its threads, without running anything.
pub fn exit(code: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(code) }
}
