//! System calls that a sandbox refuses with EPERM, as those do that were written before a call was known:
//! each has another way. Tests only.

use super::calls::{self, call};
use super::streams::{read_now, write_now};
use super::time::futex_wait_any;
use crate::atomic::AtomicU32;
use crate::sys::Errno;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// An instruction of a filter (`struct sock_filter`).
#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    instructions: u16,
    first: *const Instruction,
}

/// Has the kernel refuse these calls to this thread from now on.
fn refuse(numbers: &[usize]) {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const FAIL: u32 = 0x0005_0000;
    const SET_NO_NEW_PRIVS: usize = 38;
    const SET_SECCOMP: usize = 22;
    const FILTER: usize = 2;
    let step = |code, if_false, operand| Instruction { code, if_true: 0, if_false, operand };
    let mut filter = vec![step(LOAD_NUMBER, 0, 0)];
    for number in numbers {
        filter.push(step(JUMP_IF_EQUAL, 1, *number as u32));
        filter.push(step(RETURN, 0, FAIL | Errno::PERM.0 as u32));
    }
    filter.push(step(RETURN, 0, ALLOW));
    let program = Program { instructions: filter.len() as u16, first: filter.as_ptr() };
    call!(PRCTL, SET_NO_NEW_PRIVS, 1, 0, 0, 0).unwrap();
    call!(PRCTL, SET_SECCOMP, FILTER, &raw const program).unwrap();
}

/// Runs in a thread to which these calls are refused.
fn without(numbers: &[usize], act: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| {
            refuse(numbers);
            act();
        });
        refused.join().unwrap();
    });
}

#[test]
fn a_pipe_is_read_whichever_call_is_refused() {
    use calls::number::{PREADV2, PWRITEV2, VMSPLICE};
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"payload").unwrap();
    without(&[PREADV2, PWRITEV2], || {
        let mut buffer = [0; 8];
        assert_eq!(read_now(reader.as_raw_fd(), &mut buffer), Ok(7));
        assert_eq!(write_now(writer.as_raw_fd(), b"more"), Err(Errno::NOTSUP));
    });
    // Then the caller waits, and reads as programs do.
    without(&[PREADV2, VMSPLICE], || {
        assert_eq!(read_now(reader.as_raw_fd(), &mut [0; 8]), Err(Errno::NOTSUP));
    });
}

#[test]
fn a_sleep_lasts_where_the_newer_call_is_refused() {
    const LIMIT: Duration = Duration::from_millis(50);
    without(&[calls::number::FUTEX_WAITV], || {
        let begin = Instant::now();
        // Woken for nothing it may be, as any sleeper, but not each time.
        for _ in 0..10 {
            futex_wait_any(&[(&AtomicU32::new(1), 1)], LIMIT.as_nanos() as u64);
        }
        assert!(begin.elapsed() >= LIMIT);
    });
}
