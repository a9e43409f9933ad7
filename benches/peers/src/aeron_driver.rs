//! The Aeron media driver, a program beside this one (`bin/aeron_driver.rs`), and when it runs.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// The program's name.
const PROGRAM: &str = "hookring-peers-aeron-driver";
const PATIENCE: Duration = Duration::from_secs(10);

/// A running driver, stopped while others are measured: it wakes a thousand times a second.
pub(crate) struct Driver {
    child: Option<Child>,
}

impl Driver {
    /// Starts it in the run's directory; does nothing where this was built without Aeron.
    pub(crate) fn start(run_dir: &Path) -> Result<Driver> {
        if !cfg!(feature = "aeron") {
            return Ok(Driver { child: None });
        }
        let program = std::env::current_exe()?.with_file_name(PROGRAM);
        let dir = run_dir.join("aeron");
        let mut command = Command::new(&program);
        command.arg::<&OsStr>(dir.as_ref()).stdin(Stdio::piped());
        let child = command.spawn().with_context(|| format!("could not start {program:?}"))?;
        let driver = Driver { child: Some(child) };
        let start = Instant::now();
        while !dir.join("cnc.dat").exists() {
            ensure!(start.elapsed() < PATIENCE, "the Aeron driver did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(driver)
    }

    /// Lets it run or holds it.
    pub(crate) fn set_awake(&self, is_awake: bool) {
        let Some(pid) = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()) else {
            return;
        };
        let signal = if is_awake { libc::SIGCONT } else { libc::SIGSTOP };
        // SAFETY: the process is a child that was not waited for, so the number is its own.
        unsafe { libc::kill(pid, signal) };
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its directory goes with the run's.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
