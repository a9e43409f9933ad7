//! `hookring demo`: a recorded agent session through real hooks, a real daemon and a real journal,
//! in a directory of its own.

mod play;
mod report;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hookring_journal as journal;
use rustix::process::{Pid, Signal};

use crate::cli::Exit;
use crate::cli::args::JsonArgs;
use crate::paths::DIR_VARIABLE;
use crate::run::status::Status;

/// The recorded session: one hook payload per line.
const SESSION: &str = include_str!("../../demo/session.jsonl");
/// What the names of the demos' directories begin with, before the user's number and their own.
const DIR_PREFIX: &str = "hookring-demo-";
/// How long the daemon may take to start, to journal, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the session is played again to time its hooks, each beside a process that does nothing:
/// enough for a median that stays the same, and done within a second or two.
const TIMED_ROUNDS: usize = 12;

/// Plays the session and shows what became of it. Exit code 1 if an event was lost.
///
/// # Errors
/// The programs, the directory or the daemon could not be had.
pub fn demo(args: &JsonArgs, out: &mut dyn Write) -> Result<Exit> {
    let stage = Stage::new()?;
    let mut daemon = Daemon::start(&stage)?;
    let payloads: Vec<&str> = SESSION.lines().filter(|line| !line.is_empty()).collect();
    let mut played = play::play(&stage, &payloads, if args.json { None } else { Some(&mut *out) })?;
    // Before the hooks that follow without a pause, which keep this machine busy.
    let status = daemon.wait_for(|status| status.events >= played.session as u64);
    play::time(&stage, &payloads, TIMED_ROUNDS, &mut played)?;
    daemon.stop()?;
    let status = status
        .or_else(|_| Status::read(&stage.status_file())?.context("the daemon said nothing"))?;
    let report = report::Report::new(&stage, &played, &status)?;
    report.write(args.json, out)?;
    Ok(if report.lost() == 0 { Exit::Fine } else { Exit::Failed })
}

/// The directory and the programs.
struct Stage {
    dir: PathBuf,
    hookring: PathBuf,
    emit: PathBuf,
    /// The process that does nothing. Not installed with the others.
    floor: Option<PathBuf>,
    /// Folders of earlier demos, and of those that play now.
    others: Vec<PathBuf>,
}

impl Stage {
    fn new() -> Result<Stage> {
        let hookring = std::env::current_exe().context("cannot find the hookring program")?;
        let emit = hookring.with_file_name("hookring-emit");
        ensure!(
            emit.is_file(),
            "{} is missing; build it with `cargo xtask build`, or install it beside hookring",
            emit.display()
        );
        let floor = Some(hookring.with_file_name("hookring-floor")).filter(|file| file.is_file());
        let (dir, others) = fresh_dir()?;
        Ok(Stage { dir, hookring, emit, floor, others })
    }

    /// The folders of earlier demos, without those in which a daemon runs, or may yet start.
    fn earlier(&self) -> Vec<&Path> {
        let is_over = |dir: &&Path| {
            let journal = dir.join("journal");
            journal::is_begun(&journal).is_ok_and(|begun| begun)
                && journal::is_in_use(&journal).is_ok_and(|used| !used)
        };
        self.others.iter().map(PathBuf::as_path).filter(is_over).collect()
    }

    fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    fn status_file(&self) -> PathBuf {
        self.dir.join("status.json")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    /// A command in the demo's own environment: none of the user's switches apply.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env(DIR_VARIABLE, &self.dir).env_remove("HOOKRING_OFF").env_remove("HOOKRING_SKIP");
        command
    }
}

/// A new directory on tmpfs, where a ring belongs, and those of other demos: whoever played one may
/// still look at what it left.
fn fresh_dir() -> Result<(PathBuf, Vec<PathBuf>)> {
    let shm = Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir());
    let base = shm.unwrap_or_else(std::env::temp_dir);
    let prefix = format!("{DIR_PREFIX}{}-", rustix::process::geteuid().as_raw());
    let is_ours = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(&prefix));
    let entries = fs::read_dir(&base).with_context(|| format!("cannot list {}", base.display()))?;
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    let others = names.iter().filter(|name| is_ours(name)).map(|name| base.join(name)).collect();
    // A folder that somebody else made meanwhile is not ours to use: the next number may be.
    for number in (1_u32..).filter(|number| !names.contains(&format!("{prefix}{number}").into())) {
        let dir = base.join(format!("{prefix}{number}"));
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok((dir, others)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot create {}", dir.display()));
            }
        }
    }
    bail!("{} is full of demos; remove them", base.display())
}

/// The demo's daemon; killed if the demo ends without stopping it.
struct Daemon {
    child: Child,
    status_file: PathBuf,
    log: PathBuf,
}

impl Daemon {
    fn start(stage: &Stage) -> Result<Daemon> {
        let log = fs::File::create(stage.log())
            .with_context(|| format!("cannot write {}", stage.log().display()))?;
        let child = stage
            .command(&stage.hookring)
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start the daemon")?;
        let mut daemon = Daemon { child, status_file: stage.status_file(), log: stage.log() };
        daemon.wait_for(|_| true)?;
        Ok(daemon)
    }

    /// Waits for the daemon to say something of itself.
    fn wait_for(&mut self, what: impl Fn(&Status) -> bool) -> Result<Status> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = Status::read(&self.status_file)?.filter(&what) {
                return Ok(status);
            }
            if let Some(code) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the daemon ended with {code}: {log}");
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!(
            "the daemon did not get there in {} s; see {}",
            PATIENCE.as_secs(),
            self.log.display()
        )
    }

    /// Stops it as a service manager would.
    fn stop(&mut self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        let code = self.child.wait()?;
        ensure!(code.success(), "the daemon ended with {code}; see {}", self.log.display());
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
