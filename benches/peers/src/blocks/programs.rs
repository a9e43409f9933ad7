//! What the workspace's own benches find out: programs that are run as they are, each interleaved in
//! itself, and their figures taken over.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hookring_benches::figures::Figures;

use crate::run::Run;
use crate::watchdog;

const HOOK_ROUNDS: usize = 6000;
const JOURNAL_ROUNDS: usize = 60;
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What a hook costs that is a process, beside what people use today.
pub(crate) fn hook(run: &mut Run) -> Result<()> {
    bench(run, "hook_process", HOOK_ROUNDS)
}

/// From the ring into the journal.
pub(crate) fn journal(run: &mut Run) -> Result<()> {
    bench(run, "drain_to_journal", JOURNAL_ROUNDS)
}

fn bench(run: &mut Run, name: &str, rounds: usize) -> Result<()> {
    let file = run.dir().join(format!("{name}.json"));
    let rounds = run.rounds(rounds).to_string();
    let mut command = Command::new("cargo");
    command.args(["bench", "--quiet", "--package", "hookring-benches", "--bench", name]);
    command.args(["--", "--rounds", &rounds, "--json"]).arg(&file);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).stdout(Stdio::null());
    watchdog::begin_long(name, PATIENCE);
    let status = command.status().context("could not run cargo")?;
    ensure!(status.success(), "{name} ended with {status}");
    let figures = Figures::read(&file);
    run.figures.add(figures.with_context(|| format!("could not read {}", file.display()))?);
    run.look_at_cores();
    Ok(())
}
