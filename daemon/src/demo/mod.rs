//! `hookring demo`: a recorded agent session through real hooks, a real daemon and a real journal,
//! in a directory of its own.

mod play;
mod report;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};

use crate::cli::Exit;
use crate::cli::args::JsonArgs;
use crate::paths::{DIR_VARIABLE, ensure_private_dir};
use crate::run::status::Status;

/// The recorded session: one hook payload per line.
const SESSION: &str = include_str!("../../demo/session.jsonl");
/// How long the daemon may take to start, to journal, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// Demos of one user that may run at a time.
const MAX_DEMOS: u32 = 16;

/// Plays the session and shows what became of it. Exit code 1 if an event was lost.
///
/// # Errors
/// The programs, the directory or the daemon could not be had.
pub fn demo(args: &JsonArgs, out: &mut dyn Write) -> Result<Exit> {
    let stage = Stage::new()?;
    let mut daemon = Daemon::start(&stage)?;
    let payloads: Vec<&str> = SESSION.lines().filter(|line| !line.is_empty()).collect();
    let played = play::play(&stage, &payloads, if args.json { None } else { Some(&mut *out) })?;
    let status = daemon.wait_for(|status| status.events >= payloads.len() as u64);
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
        Ok(Stage { dir: fresh_dir()?, hookring, emit })
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

/// An empty directory on tmpfs, where a ring belongs. The one of an earlier demo is used again, so that
/// they do not pile up there, unless that demo still runs.
fn fresh_dir() -> Result<PathBuf> {
    let shm = Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir());
    let base = shm.unwrap_or_else(std::env::temp_dir);
    let uid = rustix::process::geteuid().as_raw();
    for number in 1..=MAX_DEMOS {
        let dir = base.join(format!("hookring-demo-{uid}-{number}"));
        ensure_private_dir(&dir)?;
        if hookring_journal::is_in_use(&dir.join("journal"))? {
            continue;
        }
        fs::remove_dir_all(&dir).with_context(|| format!("cannot clear {}", dir.display()))?;
        ensure_private_dir(&dir)?;
        return Ok(dir);
    }
    bail!("{MAX_DEMOS} demos run already; wait for one to end")
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
