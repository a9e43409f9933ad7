//! What one hook costs its agent: from spawning the process to having reaped it, beside the floor
//! (a program that only reads its stdin) and beside what hooks are commonly made of.
//!
//! `cargo xtask bench --bench hook_process [-- --rounds N] [--json FILE]`. All programs take turns in
//! one run, so the ratios hold where the absolute times do not.

mod candidate;
mod drainer;
mod figures;
mod loopback;
mod process;
mod reader;
mod report;

use std::env;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use candidate::{Bench, Candidate};
use drainer::Drainer;
use hookring_benches::args::Args;
use hookring_benches::figures::Figures;
use hookring_benches::machine::Machine;
use reader::Reader;
use report::Row;

/// Rounds without `--rounds`.
const DEFAULT_ROUNDS: usize = 1000;
/// Rounds whose times are thrown away, so that every program is in the page cache.
const WARM_UP_ROUNDS: usize = 10;
/// The large payload takes a share of the rounds, or it would fill a small machine's tmpfs.
const LARGE_SHARE: usize = 4;
/// So do the runs with a daemon, most of whose time is spent waiting for it to fall asleep.
const DAEMON_SHARE: usize = 4;
/// Silence after which a reader with nothing to do sleeps.
const SILENCE: Duration = Duration::from_millis(5);

const SMALL_BYTES: usize = 1_500;
const LARGE_BYTES: usize = 60_000;

/// Who reads the ring while a program is timed.
#[derive(Clone, Copy, PartialEq)]
enum ReadBy {
    /// A reader that never sleeps and does nothing but drain, so that the figure is the hook's alone.
    Drainer,
    /// A daemon that is busy with the last event: on few cores the two are in each other's way.
    BusyDaemon,
    /// A daemon that sleeps and must be woken, because nothing has happened for a while.
    SleepingDaemon,
}

impl ReadBy {
    fn describe(self) -> &'static str {
        match self {
            ReadBy::Drainer => "reader awake",
            ReadBy::BusyDaemon => "daemon busy with the event before",
            ReadBy::SleepingDaemon => "daemon asleep, to be woken",
        }
    }
}

fn main() -> Result<()> {
    let args = Args::read(env::args().skip(1)).map_err(Error::msg)?;
    let bin_dir = env::var_os("HOOKRING_TEST_BIN_DIR").map(PathBuf::from);
    let bin_dir = bin_dir.context("HOOKRING_TEST_BIN_DIR is not set; run `cargo xtask bench`")?;
    let mut bench = Bench::new(&bin_dir)?;
    println!("one hook process, spawn to reaped | {}", Machine::look());
    let figures = measure(&mut bench, args.rounds.unwrap_or(DEFAULT_ROUNDS))?;
    match &args.json {
        Some(path) => {
            figures.write(path).with_context(|| format!("could not write {}", path.display()))
        }
        None => Ok(()),
    }
}

fn measure(bench: &mut Bench, rounds: usize) -> Result<Figures> {
    let large_rounds = (rounds / LARGE_SHARE).max(1);
    let mut figures = Figures::default();
    let drainer = Drainer::start(&bench.hookring_dir)?;
    for (bytes, rounds) in [(SMALL_BYTES, rounds), (LARGE_BYTES, large_rounds)] {
        let rows = run(bench, bytes, rounds, ReadBy::Drainer)?;
        figures.add(figures::of(&rows, bytes));
    }
    figures.rows.push(figures::cpuid(&bench.emit, &bench.floor)?);
    drainer.finish(std::mem::take(&mut bench.published))?;

    let Some(daemon) = Reader::start(bench)? else {
        println!("left out: the daemon, because `{} run` did not work", bench.daemon.display());
        return Ok(figures);
    };
    for read_by in [ReadBy::BusyDaemon, ReadBy::SleepingDaemon] {
        for (bytes, rounds) in [(SMALL_BYTES, rounds), (LARGE_BYTES, large_rounds)] {
            let rows = run(bench, bytes, rounds.div_ceil(DAEMON_SHARE), read_by)?;
            figures.rows.extend(figures::with_daemon(&rows, bytes, read_by.describe()));
        }
    }
    daemon.finish(bench)?;
    Ok(figures)
}

/// Times every candidate in turn and prints a table.
fn run(
    bench: &mut Bench,
    payload_bytes: usize,
    rounds: usize,
    read_by: ReadBy,
) -> Result<Vec<Row>> {
    let payload = bench.payload(payload_bytes);
    let mut candidates: Vec<Candidate> = bench.candidates();
    if read_by != ReadBy::Drainer {
        candidates.retain(Candidate::is_ours);
    }
    let mut rows: Vec<Row> = candidates.iter().map(|one| Row::new(one.name)).collect();
    for round in 0..WARM_UP_ROUNDS + rounds {
        bench.clear_scratch()?;
        for turn in 0..candidates.len() {
            let at = whose_turn(turn, round, candidates.len());
            let candidate = &candidates[at];
            if !round.is_multiple_of(candidate.every) {
                continue;
            }
            // Always the same program in front: the one after a large one finds cold caches.
            bench.publish(&payload)?;
            if read_by == ReadBy::SleepingDaemon {
                thread::sleep(SILENCE);
            }
            let sample = bench.time(candidate, &payload)?;
            if round >= WARM_UP_ROUNDS {
                rows[at].add(sample)?;
            }
        }
    }
    report::print(&format!("{payload_bytes} B on stdin, {}", read_by.describe()), &rows);
    Ok(rows)
}

/// Which of `count` candidates comes at this turn: the first one moves on from round to round, and
/// every other round goes backwards, so that none has the same neighbour all the time. (With a fixed
/// order a program that follows the shell is 4 % slower than itself.)
fn whose_turn(turn: usize, round: usize, count: usize) -> usize {
    let at = (turn + round) % count;
    if round.is_multiple_of(2) { at } else { count - 1 - at }
}
