//! A daemon in a folder of its own, and what the kernel says about its process.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hookring::run::status::Status;
use tempfile::TempDir;

/// How long the daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// It has nothing left to do when it took less of a core than `SETTLED_CPU` in this time, several
/// times one after another: it gives memory back in the first idle second or the second.
const SETTLED_TIME: Duration = Duration::from_secs(1);
const SETTLED_CPU: Duration = Duration::from_millis(10);
const SETTLED_TIMES: usize = 4;
/// Compressing what was rotated may take this long.
const SETTLED_PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks for its status file.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running `hookring run`; it ends with this value.
pub(crate) struct Daemon {
    process: Child,
    dir: PathBuf,
    /// Removed when this value goes.
    _temp: TempDir,
}

/// What is resident.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// The process's own memory, and files such as the program itself.
    pub(crate) own_bytes: u64,
    /// Memory shared with others: the ring and the spool's counters.
    pub(crate) shared_bytes: u64,
}

impl Daemon {
    /// Starts `program` with this configuration and waits until it says that it runs.
    ///
    /// # Errors
    ///
    /// When it ends at once, or says nothing for a long while.
    pub(crate) fn start(program: &Path, config: &str) -> Result<Self> {
        let shm = Path::new("/dev/shm");
        let temp = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() };
        let temp = temp.context("could not create a temporary folder")?;
        let dir = temp.path().join("hookring");
        DirBuilder::new().mode(0o700).create(&dir)?;
        fs::write(dir.join("hookring.toml"), config)?;
        let mut command = Command::new(program);
        command.arg("run").env("HOOKRING_DIR", &dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().context("could not run hookring")?;
        let mut daemon = Self { process, dir, _temp: temp };
        let start = Instant::now();
        while daemon.status()?.is_none() {
            ensure!(start.elapsed() < PATIENCE, "the daemon wrote no status file");
            thread::sleep(LOOK_EVERY);
        }
        Ok(daemon)
    }

    /// The folder in which it meets its producers.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it said, within the last second, that so many events are journaled and every sink has
    /// them.
    pub(crate) fn has_delivered(&mut self, events: u64) -> Result<bool> {
        let is_done = |status: Status| {
            status.events >= events && status.sinks.iter().all(|sink| sink.lag_events == 0)
        };
        Ok(self.status()?.is_some_and(is_done))
    }

    /// Waits until what a start or a load leaves to do, such as compressing files, is done.
    ///
    /// # Errors
    ///
    /// When it takes too long.
    pub(crate) fn settle(&self) -> Result<()> {
        let (start, mut times) = (Instant::now(), 0);
        let mut cpu = self.cpu_time()?;
        while times < SETTLED_TIMES {
            ensure!(start.elapsed() < SETTLED_PATIENCE, "the daemon does not become idle");
            thread::sleep(SETTLED_TIME);
            let now = self.cpu_time()?;
            // Less than before where a thread ended in between.
            let is_quiet = now >= cpu && now - cpu < SETTLED_CPU;
            times = if is_quiet { times + 1 } else { 0 };
            cpu = now;
        }
        Ok(())
    }

    fn status(&mut self) -> Result<Option<Status>> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the daemon ended with {status}");
        }
        Status::read(&self.dir.join("status.json")).context("could not read the status file")
    }

    /// What is resident now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let text = self.proc_file("status")?;
        let bytes = |name: &str| -> Result<u64> {
            let rest = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = rest.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            Ok(1024 * kib.with_context(|| format!("the kernel does not tell {name}"))?)
        };
        Ok(Memory {
            own_bytes: bytes("RssAnon:")? + bytes("RssFile:")?,
            shared_bytes: bytes("RssShmem:")?,
        })
    }

    /// What all of its threads took of a core so far. (A thread that ended is not in it.)
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let threads = self.proc_path("task");
        let mut total_ns = 0;
        for thread in fs::read_dir(&threads).context("could not list the daemon's threads")? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            let run_ns = text.split(' ').next().and_then(|word| word.parse::<u64>().ok());
            total_ns += run_ns.context("the kernel does not tell a thread's run time")?;
        }
        Ok(Duration::from_nanos(total_ns))
    }

    fn proc_file(&self, name: &str) -> Result<String> {
        let path = self.proc_path(name);
        fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    }

    fn proc_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.process.id()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The folder goes with it, so there is nothing to flush.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
