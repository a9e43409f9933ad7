//! A secret from a program: run without a shell and for a limited time. Whatever it does, nothing of it is left
//! but what has left its process group; and that has nobody to talk to.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use zeroize::Zeroizing;

use super::{MAX_SECRET_BYTES, SecretError};
use crate::groups;

/// How often it is looked whether a program has ended that has closed its output.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What the program writes, up to one byte more than [`MAX_SECRET_BYTES`], where it is ended.
pub(super) fn said(words: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let deadline = Instant::now() + limit;
    let (program, arguments) =
        words.split_first().map_or((String::new(), &[][..]), |(first, rest)| (first.clone(), rest));
    let failed = |source| SecretError::Start { program: program.clone(), source };
    let mut running = Running::start(&program, arguments).map_err(failed)?;
    let Some(output) = running.process.stdout.take() else {
        return Err(failed(io::ErrorKind::BrokenPipe.into()));
    };
    let Some(bytes) = read_until(output, deadline).map_err(failed)? else {
        return Err(SecretError::TooSlow { program, limit });
    };
    if bytes.len() > MAX_SECRET_BYTES {
        return Ok(bytes);
    }
    match running.wait_until(deadline).map_err(failed)? {
        None => Err(SecretError::TooSlow { program, limit }),
        Some(status) if status.success() => Ok(bytes),
        Some(status) => Err(SecretError::Ended { program, status }),
    }
}

/// All that comes until its end, or until it is too much; `None`: not in time. The pipe is closed in any case, so
/// whoever still holds its other end cannot write any more.
fn read_until(
    mut output: ChildStdout,
    deadline: Instant,
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    rustix::io::ioctl_fionbio(&output, true)?;
    // At once, so that no copy is left behind by a vector that grew.
    let mut bytes = Zeroizing::new(vec![0; MAX_SECRET_BYTES + 1]);
    let mut length = 0;
    while length < bytes.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut fds = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match output.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

/// The leader of a process group of its own. Dropped, it is killed with the group, and reaped.
struct Running {
    process: Child,
    is_reaped: bool,
}

impl Running {
    fn start(program: &str, arguments: &[String]) -> io::Result<Running> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = command.process_group(0).spawn()?;
        groups::started(Pid::from_child(&process));
        Ok(Running { process, is_reaped: false })
    }

    /// How it ended; `None`: not in time.
    fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        while !self.has_ended()? {
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        self.end().map(Some)
    }

    /// Without reaping it: until that, its number and that of its group are its own.
    fn has_ended(&mut self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(Pid::from_child(&self.process)), options) {
            Ok(status) => Ok(status.is_some()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => {
                // Somebody else has reaped it, and its number may be another's by now.
                if error == Errno::CHILD {
                    self.let_go();
                }
                Err(error.into())
            }
        }
    }

    /// Also what it started and left in its group, if it has ended itself.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.has_ended()?;
        // The group may be empty already.
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        self.let_go();
        self.process.wait()
    }

    /// Its group is not to be killed from here on.
    fn let_go(&mut self) {
        groups::ended(Pid::from_child(&self.process));
        self.is_reaped = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            let _ = self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{WaitOptions, waitpid};

    use super::*;
    use crate::testing::{deadline, wait_for};

    #[test]
    fn the_group_of_a_number_that_is_nobodys_any_more_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        for is_asked in [true, false] {
            let file = dir.path().join(is_asked.to_string());
            let lines = || std::fs::read(&file).map_or(0, |lines| lines.len());
            // What stays in the group stands for one that has got its number since.
            let script = "(while echo >> $0; do sleep 0.05; done) & exit 0";
            let words = ["-c", script, &file.display().to_string()].map(str::to_owned);
            let mut running = Running::start("/bin/sh", &words).expect("a shell");
            let group = Pid::from_child(&running.process);
            waitpid(Some(group), WaitOptions::empty()).expect("somebody else reaps it");
            if is_asked {
                let error = running.wait_until(deadline()).expect_err("it is gone");
                assert_eq!(error.raw_os_error(), Some(Errno::CHILD.raw_os_error()));
            }
            drop(running);
            // The first two may have been on their way.
            let before = lines();
            wait_for("more lines", || (lines() > before + 2).then_some(()));
            kill_process_group(group, Signal::KILL).expect("it is there");
        }
    }
}
