//! A process with three pipes. Nothing here waits for a process that does not read or write: each look at
//! the pipes ends at a given moment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group,
    set_parent_process_death_signal, waitid,
};

use super::config::ExecConfig;
use super::lines::{Lines, MAX_LINE_BYTES};
use super::problem::Problem;
use super::voice::Voice;
use crate::groups;

/// As much as a pipe holds.
const CHUNK_BYTES: usize = 64 << 10;
/// A buffer of more than this is given back once it is written.
const KEPT_BYTES: usize = 64 << 10;
/// A program may write so much to its stdout during one call, in bytes: four of the longest answers. What is more
/// costs more than it can be worth.
pub(super) const MAX_SAID_BYTES: usize = 4 * MAX_LINE_BYTES;
/// So much of its stderr is read in each [`HEARD_INTERVAL`], in bytes. A program that writes more waits.
const HEARD_BYTES: usize = 1 << 20;
const HEARD_INTERVAL: Duration = Duration::from_secs(1);
/// So many looks in a row find something at most, before something else gets its turn.
const MAX_ROUNDS: usize = 64;
/// How often it is looked whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long a process may take to end once it closed a pipe, or its stdin was closed.
const END_LIMIT: Duration = Duration::from_secs(1);
/// How long it may take after SIGTERM.
const TERM_LIMIT: Duration = Duration::from_secs(1);
/// After SIGKILL only the system itself can be in the way.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The running process. Dropped, it is killed, and all that it left in its process group.
pub(super) struct Child {
    process: process::Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// What is to be written to it, and how much of that is.
    out: Vec<u8>,
    written: usize,
    /// How much was written before that.
    written_before: u64,
    /// What came from it.
    pub(super) lines: Lines,
    /// How much that is since the call began.
    said_bytes: usize,
    heard: Pace,
    is_reaped: bool,
}

impl Child {
    /// Starts it. It leads a process group of its own, gets SIGKILL when this thread ends, and has no
    /// descriptors but its three pipes.
    pub(super) fn start(
        config: &ExecConfig,
        variables: BTreeMap<OsString, OsString>,
    ) -> io::Result<Child> {
        let (program, arguments) = config
            .command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no command"))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&config.cwd).process_group(0);
        command.env_clear().envs(variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        close_others_on_exec();
        let parent = getpid();
        let prepare = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have ended before that call.
            if getppid() != Some(parent) {
                return Err(Errno::SRCH.into());
            }
            Ok(())
        };
        // SAFETY: the closure makes system calls only, which may be made between fork and exec.
        unsafe { command.pre_exec(prepare) };
        let mut process = command.spawn()?;
        let (stdin, stdout, stderr) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take());
        groups::started(Pid::from_child(&process));
        let child = Child {
            process,
            stdin,
            stdout,
            stderr,
            out: Vec::new(),
            written: 0,
            written_before: 0,
            lines: Lines::default(),
            said_bytes: 0,
            heard: Pace::new(Instant::now()),
            is_reaped: false,
        };
        child.pipes().try_for_each(|pipe| rustix::io::ioctl_fionbio(pipe, true))?;
        Ok(child)
    }

    fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let stdin = self.stdin.as_ref().map(AsFd::as_fd);
        let stdout = self.stdout.as_ref().map(AsFd::as_fd);
        let stderr = self.stderr.as_ref().map(AsFd::as_fd);
        stdin.into_iter().chain(stdout).chain(stderr)
    }

    /// A call begins: what came before is not counted any more.
    pub(super) fn begin_call(&mut self) {
        self.said_bytes = 0;
    }

    /// Writes this as the process reads. Returns its end, counted in all bytes for it.
    pub(super) fn send(&mut self, message: &[u8]) -> u64 {
        self.out.extend_from_slice(message);
        self.written_before + self.out.len() as u64
    }

    /// Whether what ends there has been written.
    pub(super) fn is_written_to(&self, end: u64) -> bool {
        self.written_before + self.written as u64 >= end
    }

    fn is_all_written(&self) -> bool {
        self.written == self.out.len()
    }

    /// Whether nothing will come from it any more.
    pub(super) fn is_silent(&self) -> bool {
        self.stdout.is_none()
    }

    /// One look at the pipes: waits for something to do until `until`, and does it. Whether there was
    /// anything.
    ///
    /// # Errors
    /// A pipe does not work, the process closed its stdin before all was written, or it says too much.
    pub(super) fn exchange(&mut self, until: Instant, voice: &mut Voice) -> Result<bool, Problem> {
        let [mut can_write, mut can_read, mut can_hear] = [false; 3];
        let mut fds = Vec::with_capacity(3);
        let mut what = Vec::with_capacity(3);
        if let Some(stdin) = self.stdin.as_ref().filter(|_| !self.is_all_written()) {
            fds.push(PollFd::new(stdin, PollFlags::OUT));
            what.push(&mut can_write);
        }
        if let Some(stdout) = &self.stdout {
            fds.push(PollFd::new(stdout, PollFlags::IN));
            what.push(&mut can_read);
        }
        if let Some(stderr) = self.stderr.as_ref().filter(|_| self.heard.allows(Instant::now())) {
            fds.push(PollFd::new(stderr, PollFlags::IN));
            what.push(&mut can_hear);
        }
        let wait = until.saturating_duration_since(Instant::now());
        // One that does not fit is longer than anything waits.
        let wait = Timespec::try_from(wait).ok();
        match poll(&mut fds, wait.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Problem::Pipe(error.into())),
        }
        fds.iter().zip(what).for_each(|(fd, what)| *what = !fd.revents().is_empty());
        drop(fds);
        if can_hear {
            self.hear(voice)?;
        }
        if can_read {
            self.read()?;
        }
        if can_write {
            self.write()?;
        }
        Ok(can_hear || can_read || can_write)
    }

    /// What can be written and read now, within reason.
    pub(super) fn catch_up(&mut self, voice: &mut Voice) -> Result<(), Problem> {
        let now = Instant::now();
        for _ in 0..MAX_ROUNDS {
            if !self.exchange(now, voice)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Problem> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        match stdin.write(&self.out[self.written..]) {
            Ok(written) => self.written += written,
            Err(error) if is_later(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.stdin = None;
                return Err(Problem::ClosedInput);
            }
            Err(error) => return Err(error.into()),
        }
        if self.is_all_written() {
            self.written_before += std::mem::take(&mut self.written) as u64;
            self.out.clear();
            self.out.shrink_to(KEPT_BYTES);
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), Problem> {
        let Some(stdout) = &mut self.stdout else { return Ok(()) };
        let mut chunk = [0; CHUNK_BYTES];
        match stdout.read(&mut chunk) {
            Ok(0) => self.stdout = None,
            Ok(read) => {
                self.said_bytes += read;
                if self.said_bytes > MAX_SAID_BYTES {
                    return Err(Problem::SaysTooMuch);
                }
                self.lines.push(&chunk[..read]);
            }
            Err(error) if is_later(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn hear(&mut self, voice: &mut Voice) -> io::Result<()> {
        let Some(stderr) = &mut self.stderr else { return Ok(()) };
        let mut chunk = [0; CHUNK_BYTES];
        match stderr.read(&mut chunk) {
            Ok(0) => {
                voice.end(Instant::now());
                self.stderr = None;
            }
            Ok(read) => {
                self.heard.bytes += read;
                voice.hear(&chunk[..read], Instant::now());
            }
            Err(error) if is_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends it after a problem: how it ended, if it did so by itself.
    pub(super) fn end_after(mut self, problem: Problem, voice: &mut Voice) -> Problem {
        self.stdin = None;
        // It may end by itself: since it does so anyway, or since it reads what was wrong.
        let is_closed = matches!(problem, Problem::ClosedInput | Problem::ClosedOutput);
        let is_told = matches!(problem, Problem::Malformed(_));
        let has_ended = (is_closed || is_told) && self.wait(END_LIMIT, voice);
        if has_ended && is_closed {
            return self.reap(voice).map_or(problem, Problem::Ended);
        }
        self.end(voice);
        problem
    }

    /// Ends it: its stdin is closed, which it should notice, then it gets SIGTERM, then SIGKILL.
    pub(super) fn end_gently(mut self, voice: &mut Voice) {
        self.stdin = None;
        self.wait(END_LIMIT, voice);
        self.end(voice);
    }

    fn end(&mut self, voice: &mut Voice) {
        if !self.has_ended() {
            self.signal(Signal::TERM);
            self.wait(TERM_LIMIT, voice);
        }
        self.reap(voice);
    }

    /// Waits for its end, reading meanwhile what it still says. Whether it ended.
    fn wait(&mut self, limit: Duration, voice: &mut Voice) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if self.has_ended() {
                return true;
            }
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            // What it answers now has nobody to answer to.
            if self.exchange((now + LOOK_INTERVAL).min(deadline), voice).is_err() {
                (self.stdin, self.stdout) = (None, None);
            }
            self.lines = Lines::default();
        }
    }

    /// Without taking notice of its end: until that, its number and that of its group are its own.
    pub(super) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid()), options) {
            Ok(status) => status.is_some(),
            // There is no such child any more.
            Err(error) => error != Errno::INTR,
        }
    }

    /// Kills what is left of its group, and says how it ended itself.
    fn reap(&mut self, voice: &mut Voice) -> Option<ExitStatus> {
        if std::mem::replace(&mut self.is_reaped, true) {
            return None;
        }
        self.signal(Signal::KILL);
        if !self.wait(KILL_LIMIT, voice) {
            tracing::error!("process {} does not end on SIGKILL; it is left alone", self.pid());
            return None;
        }
        // Its last words, as far as they are in the pipe.
        (self.stdin, self.stdout) = (None, None);
        self.heard = Pace::new(Instant::now());
        if let Err(problem) = self.catch_up(voice) {
            tracing::debug!("what a program said last cannot be read: {problem}");
        }
        voice.end(Instant::now());
        groups::ended(self.pid());
        self.process.wait().ok()
    }

    fn signal(&self, signal: Signal) {
        // The group may be empty already.
        let _ = kill_process_group(self.pid(), signal);
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.signal(Signal::KILL);
            groups::ended(self.pid());
            let _ = self.process.wait();
        }
    }
}

/// How much of a stream is read in some time.
struct Pace {
    since: Instant,
    bytes: usize,
}

impl Pace {
    fn new(since: Instant) -> Pace {
        Pace { since, bytes: 0 }
    }

    /// Whether more may be read now.
    fn allows(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= HEARD_INTERVAL {
            *self = Pace::new(now);
        }
        self.bytes < HEARD_BYTES
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Ours close themselves on exec. Those that whoever started this process left open do so from here on. (In
/// the parent, and one by one: some sandboxes kill a process for `close_range`, which they do not know.)
fn close_others_on_exec() {
    // Without a listing there is nothing to be done.
    let Ok(listing) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number: &libc::c_int| *number > 2) {
        // SAFETY: the call takes numbers; on a descriptor that was closed meanwhile it fails, and on one that
        // was opened it sets the flag that all of ours have.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_heard_in_a_second_and_then_again() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.bytes += HEARD_BYTES - 1;
        assert!(pace.allows(start));
        pace.bytes += CHUNK_BYTES;
        assert!(!pace.allows(start) && !pace.allows(start + Duration::from_millis(999)));
        assert!(pace.allows(start + HEARD_INTERVAL));
    }
}
