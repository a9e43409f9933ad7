//! `hookring reload`: has the running daemon read its configuration again, and says what came of it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use hookring_journal as journal;
use jiff::Timestamp;
use rustix::process::{Pid, Signal};

use super::Exit;
use super::attention::config_problem;
use super::config_commands::{load_and_look, write_warnings};
use super::style::{ERROR, GOOD, printable};
use crate::config::Warning;
use crate::paths::Paths;
use crate::run::holder::{holds_lock, writer_of};
use crate::run::status::Status;

/// How long the daemon may take to answer; it does within milliseconds, unless its disk hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often its answer is looked for.
const POLL: Duration = Duration::from_millis(10);
/// What a wrong configuration means for the daemon.
const EARLIER_STAYS: &str =
    "the daemon goes on as before: the earlier configuration stays in force";

/// Checks the configuration that the daemon of this directory would read, and only if that is valid
/// has it read. A wrong one is exit code 78.
///
/// # Errors
/// No daemon runs here, it cannot be told which process it is, or it does not answer.
pub fn reload(paths: &Paths, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit> {
    let daemon = Running::find(paths)?;
    let theirs = daemon.paths()?;
    let file = daemon.named_config(&theirs);
    let env = |name: &str| daemon.variable(name)?.into_string().ok();
    let has_secrets = match load_and_look(file.as_deref(), &theirs, &env) {
        Ok((config, warnings)) => {
            write_warnings(err, &told_here(warnings))?;
            config.sinks.iter().any(|sink| sink.enabled && sink.rereads_secrets())
        }
        Err(errors) => {
            write_warnings(err, &told_here(errors.warnings.clone()))?;
            write!(err, "{}", errors.styled())?;
            writeln!(err, "{EARLIER_STAYS}")?;
            return Ok(Exit::BadConfig);
        }
    };
    let sent = Timestamp::now();
    daemon.hang_up()?;
    let status = daemon.answer_to(sent, paths)?;
    if let Some(error) = &status.config_error {
        let problem = config_problem(error);
        let lines: Vec<_> = problem.lines().map(printable).collect();
        writeln!(err, "{ERROR}error{ERROR:#}: {}", lines.join("\n"))?;
        writeln!(err, "{EARLIER_STAYS}")?;
        return Ok(Exit::BadConfig);
    }
    write!(out, "{GOOD}reloaded{GOOD:#}: ")?;
    match &status.config {
        Some(file) => writeln!(out, "{} is in force", printable(file))?,
        None => {
            let file = theirs.config_file.to_string_lossy();
            writeln!(out, "there is no {}, the defaults apply", printable(&file))?;
        }
    }
    match &status.config_changes[..] {
        [] if has_secrets => writeln!(out, "nothing changed in it")?,
        [] => writeln!(out, "nothing changed")?,
        changes => changes.iter().try_for_each(|change| writeln!(out, "{}", printable(change)))?,
    }
    if has_secrets {
        writeln!(out, "the sinks' secrets are read again")?;
    }
    Ok(Exit::Fine)
}

/// That others can read the file is said by `hookring config check`, and by the daemon's log whenever it reads it.
fn told_here(mut warnings: Vec<Warning>) -> Vec<Warning> {
    warnings.retain(|it| !matches!(it, Warning::OpenToOthers { .. }));
    warnings
}

/// The daemon of a directory.
struct Running {
    pid: Pid,
    /// Stands for the process itself, whoever has its number later; `None` where the system has no
    /// such thing.
    handle: Option<OwnedFd>,
    /// What it said last.
    status: Status,
    /// The variables that it was started with, if they can be read.
    environment: Option<Vec<u8>>,
}

impl Running {
    /// The process that the status file names, if that is the one that holds the journal's lock.
    fn find(paths: &Paths) -> Result<Running> {
        let (dir, file) = (paths.journal.display(), paths.status_file.display());
        if !is_in_use(paths)? {
            bail!("no daemon runs with the journal in {dir}; `hookring run` starts one");
        }
        let status = Status::read(&paths.status_file)
            .with_context(|| format!("cannot read {file}; remove it, the daemon writes it anew"))?
            .unwrap_or_default();
        // The handle first: what is found out after it is about the process that it stands for.
        let found = writer_of(&status).map(|pid| (pid, handle_of(pid)));
        let Some((pid, handle)) = found.filter(|(pid, _)| holds_lock(*pid, &paths.journal)) else {
            bail!(
                "nobody was signalled: a daemon holds the journal in {dir}, but {file} does not name \
                 its process; if it is just starting, try again in a second, else send it SIGHUP"
            );
        };
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok();
        Ok(Running { pid, handle, status, environment })
    }

    /// A variable as the daemon has it, which a service manager may have given to it alone.
    fn variable(&self, name: &str) -> Option<OsString> {
        let Some(environment) = &self.environment else { return std::env::var_os(name) };
        let mut entries = environment.split(|byte| *byte == 0);
        let value = entries.find_map(|it| it.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        value.map(|value| OsStr::from_bytes(value).to_owned())
    }

    /// Where the daemon's files are.
    fn paths(&self) -> Result<Paths> {
        let home = self.variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let paths = Paths::resolve(&|name| self.variable(name), home.or_else(std::env::home_dir));
        paths.context("cannot tell where the daemon has its configuration")
    }

    /// The file that it was told to read, if it was told.
    fn named_config(&self, theirs: &Paths) -> Option<PathBuf> {
        let file = self.status.config.as_ref().map(PathBuf::from)?;
        (file != theirs.config_file).then_some(file)
    }

    fn hang_up(&self) -> Result<()> {
        let sent = match &self.handle {
            #[cfg(target_os = "linux")]
            Some(handle) => rustix::process::pidfd_send_signal(handle, Signal::HUP),
            _ => rustix::process::kill_process(self.pid, Signal::HUP),
        };
        let pid = self.pid.as_raw_nonzero();
        sent.with_context(|| format!("cannot signal the daemon (pid {pid}); does it still run?"))
    }

    /// Waits until the daemon has read its configuration after this time.
    fn answer_to(&self, sent: Timestamp, paths: &Paths) -> Result<Status> {
        let pid = self.pid.as_raw_nonzero();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            // One that cannot be read now may be there again in a moment.
            let status = Status::read(&paths.status_file).ok().flatten();
            let is_answer = |it: &Status| it.pid == self.status.pid && it.config_read >= sent;
            if let Some(status) = status.filter(is_answer) {
                return Ok(status);
            }
            if !is_in_use(paths)? {
                bail!("the daemon (pid {pid}) ended before it answered; its log says why");
            }
            thread::sleep(POLL);
        }
        Err(anyhow!(
            "the daemon (pid {pid}) was signalled and did not answer in {} s; `hookring status` and \
             its log may say why",
            PATIENCE.as_secs()
        ))
    }
}

fn is_in_use(paths: &Paths) -> Result<bool> {
    let journal = &paths.journal;
    journal::is_in_use(journal)
        .with_context(|| format!("cannot ask for the lock of the journal in {}", journal.display()))
}

#[cfg(target_os = "linux")]
fn handle_of(pid: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn handle_of(_pid: Pid) -> Option<OwnedFd> {
    None
}
