//! One hook run, timed as its agent sees it: spawn, payload into a pipe, wait.

use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Until `spawn` came back: the agent's part, which must be the same for every program.
    pub(crate) spawned: Duration,
    /// Until the process was reaped.
    pub(crate) reaped: Duration,
    /// The process's minor page faults, by the kernel's account.
    pub(crate) page_faults: u64,
}

/// Runs `command` with `payload` on its stdin.
///
/// # Errors
///
/// When it cannot be run, does not take its stdin, or does not exit with 0.
pub(crate) fn time(mut command: Command, payload: &[u8]) -> Result<Sample> {
    let (stdin, mut agent) = io::pipe().context("could not create a pipe")?;
    command.stdin(stdin);
    let start = Instant::now();
    let child = command.spawn()?;
    let spawned = start.elapsed();
    agent.write_all(payload).context("stdin was not taken")?;
    drop(agent);
    let (status, page_faults) = reap(child.id())?;
    let reaped = start.elapsed();
    ensure!(status.success(), "{} ended with {status}", command.get_program().display());
    Ok(Sample { spawned, reaped, page_faults })
}

/// Waits for a child of ours, which std cannot do and tell its page faults, too.
fn reap(pid: u32) -> Result<(ExitStatus, u64)> {
    use std::os::unix::process::ExitStatusExt as _;
    let pid = libc::pid_t::try_from(pid)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live variables of the types that wait4 fills in.
    let reaped = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
    ensure!(reaped == pid, "could not wait for process {pid}: {}", io::Error::last_os_error());
    // SAFETY: rusage is made of integers only, so the zeroes it began with were valid already.
    let usage = unsafe { usage.assume_init() };
    Ok((ExitStatus::from_raw(status), usage.ru_minflt.try_into()?))
}
