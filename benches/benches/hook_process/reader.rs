//! The daemon that drains what the timed hooks publish.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::candidate::Bench;

/// How long the journal may take to show what was published.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at the journal.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running `hookring run`; it ends with this value.
pub(crate) struct Reader {
    daemon: Child,
}

impl Reader {
    /// Starts the daemon and sends it one event; `None` if that event never reaches the journal.
    pub(crate) fn start(bench: &mut Bench) -> Result<Option<Self>> {
        let Ok(daemon) = bench.command(&bench.daemon).arg("run").spawn() else { return Ok(None) };
        let mut reader = Self { daemon };
        bench.publish(&bench.payload(0))?;
        let journaled = reader.wait_for(1, bench)?;
        Ok((journaled == 1).then_some(reader))
    }

    /// Waits until all that was published is in the journal, and says so.
    ///
    /// # Errors
    ///
    /// When something is missing or there twice: times of a hook that loses events mean nothing.
    pub(crate) fn finish(mut self, bench: &Bench) -> Result<()> {
        let published = bench.published;
        let journaled = self.wait_for(published, bench)?;
        println!("\nevents published {published}, journaled {journaled}");
        ensure!(published == journaled, "events published and journaled differ");
        Ok(())
    }

    /// The number of journaled events, as soon as it is `wanted` or the daemon or patience ends.
    fn wait_for(&mut self, wanted: usize, bench: &Bench) -> Result<usize> {
        let start = Instant::now();
        loop {
            let running = self.daemon.try_wait()?.is_none();
            let found = journaled(bench)?;
            if found >= wanted || !running || start.elapsed() > PATIENCE {
                return Ok(found);
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // The folder goes with it, so there is nothing to flush.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// How many of this bench's events the journal holds.
fn journaled(bench: &Bench) -> Result<usize> {
    let mut command = bench.command(&bench.daemon);
    command.args(["journal", "export", "--session", &bench.session]).stdout(Stdio::piped());
    let mut export = command.spawn().context("could not run hookring journal export")?;
    let stdout = export.stdout.take().context("hookring journal export has no stdout")?;
    let lines = BufReader::new(stdout).split(b'\n').try_fold(0, |sum, line| line.map(|_| sum + 1));
    export.wait().context("could not wait for hookring journal export")?;
    lines.context("could not read what hookring journal export prints")
}
