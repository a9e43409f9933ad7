//! What one hook costs its agent: from spawning the process to having reaped it, beside the floor
//! (a program that only reads its stdin) and beside what hooks are commonly made of.
//!
//! `cargo xtask bench --bench hook_process [-- --rounds N]`. All programs take turns in one run, so
//! the ratios hold where the absolute times do not.

mod candidate;
mod drainer;
mod loopback;
mod process;
mod reader;
mod report;

use std::env;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use candidate::{Bench, Candidate};
use drainer::Drainer;
use hookring_benches::machine::Machine;
use reader::Reader;
use report::Row;

/// Rounds without `--rounds`.
const DEFAULT_ROUNDS: usize = 1000;
/// Rounds whose times are thrown away, so that every program is in the page cache.
const WARM_UP_ROUNDS: usize = 10;
/// The large payload takes a share of the rounds, or it would fill a small machine's tmpfs.
const LARGE_SHARE: usize = 4;
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

fn main() -> Result<()> {
    let rounds = rounds(env::args().skip(1))?;
    let large_rounds = (rounds / LARGE_SHARE).max(1);
    let bin_dir = env::var_os("HOOKRING_TEST_BIN_DIR").map(PathBuf::from);
    let bin_dir = bin_dir.context("HOOKRING_TEST_BIN_DIR is not set; run `cargo xtask bench`")?;
    let mut bench = Bench::new(&bin_dir)?;
    println!("one hook process, spawn to reaped | {}", Machine::look());

    let drainer = Drainer::start(&bench.hookring_dir)?;
    run(&mut bench, SMALL_BYTES, rounds, ReadBy::Drainer)?;
    run(&mut bench, LARGE_BYTES, large_rounds, ReadBy::Drainer)?;
    drainer.finish(std::mem::take(&mut bench.published))?;

    let Some(daemon) = Reader::start(&mut bench)? else {
        println!("left out: the daemon, because `{} run` did not work", bench.daemon.display());
        return Ok(());
    };
    for read_by in [ReadBy::BusyDaemon, ReadBy::SleepingDaemon] {
        run(&mut bench, SMALL_BYTES, rounds, read_by)?;
        run(&mut bench, LARGE_BYTES, large_rounds, read_by)?;
    }
    daemon.finish(&bench)
}

/// Times every candidate in turn and prints a table.
fn run(bench: &mut Bench, payload_bytes: usize, rounds: usize, read_by: ReadBy) -> Result<()> {
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
    let reader = match read_by {
        ReadBy::Drainer => "reader awake",
        ReadBy::BusyDaemon => "daemon busy with the event before",
        ReadBy::SleepingDaemon => "daemon asleep, to be woken",
    };
    report::print(&format!("{payload_bytes} B on stdin, {reader}"), &rows);
    Ok(())
}

/// Which of `count` candidates comes at this turn: the first one moves on from round to round, and
/// every other round goes backwards, so that none has the same neighbour all the time. (With a fixed
/// order a program that follows the shell is 4 % slower than itself.)
fn whose_turn(turn: usize, round: usize, count: usize) -> usize {
    let at = (turn + round) % count;
    if round.is_multiple_of(2) { at } else { count - 1 - at }
}

fn rounds(mut args: impl Iterator<Item = String>) -> Result<usize> {
    let mut rounds = DEFAULT_ROUNDS;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Cargo says this to every bench.
            "--bench" => {}
            "--rounds" => {
                let value = args.next().context("--rounds needs a number")?;
                rounds = value.parse().with_context(|| format!("--rounds {value}: no number"))?;
            }
            other => bail!("unknown argument `{other}`; there is only --rounds N"),
        }
    }
    Ok(rounds.max(1))
}
