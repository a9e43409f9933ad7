//! What the daemon costs while nothing happens and while it is kept busy: memory beside the ring,
//! share of a core, events per second; without a sink, and with one that compresses what it rotates.
//!
//! `cargo xtask bench --bench daemon_footprint [-- --seconds N]`. Every row is a daemon of its own.
//! The figures are the kernel's, so they hold for this machine; the targets are printed beside them.

mod daemon;
mod load;

use std::env;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use daemon::Daemon;
use hookring_benches::machine::Machine;
use load::{Load, Pace, Published};

/// How long each daemon is left alone, and then kept busy, without `--seconds`.
const DEFAULT_SECONDS: u64 = 20;
/// Between two looks at a busy daemon's memory.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

const MIB: f64 = 1024.0 * 1024.0;
const IDLE_LIMIT_MIB: f64 = 15.0;
const IDLE_LIMIT_PERCENT: f64 = 0.1;
const BUSY_LIMIT_MIB: f64 = 64.0;

/// The folder is in memory, so little of the journal is kept.
const JOURNAL: &str = "[journal]\nretention_bytes = \"128MiB\"\n";
const JSONL: &str = "[sinks.file]\ntype = \"jsonl\"\ncompress = \"zstd\"\n";

/// What one daemon showed.
struct Row {
    name: &'static str,
    idle_bytes: u64,
    ring_bytes: u64,
    idle_share: f64,
    busy_bytes: u64,
    after_bytes: u64,
    published: Published,
    took: Duration,
    drained: Duration,
}

fn main() -> Result<()> {
    let time = Duration::from_secs(seconds(env::args().skip(1))?);
    let bin_dir = env::var_os("HOOKRING_TEST_BIN_DIR").map(PathBuf::from);
    let bin_dir = bin_dir.context("HOOKRING_TEST_BIN_DIR is not set; run `cargo xtask bench`")?;
    let program = bin_dir.join("hookring").with_extension(env::consts::EXE_EXTENSION);
    ensure!(program.is_file(), "{} is not there; run `cargo xtask bench`", program.display());
    println!("the daemon idle and busy, {} s each | {}", time.as_secs(), Machine::look());
    let with_sink = format!("{JOURNAL}{JSONL}");
    let runs = [
        ("no sink, ring kept full", JOURNAL, Pace::RingFull),
        ("jsonl sink, ring kept full", &with_sink, Pace::RingFull),
        ("no sink, flooded into the spool", JOURNAL, Pace::Flood),
        ("jsonl sink, flooded into the spool", &with_sink, Pace::Flood),
    ];
    let rows = runs.map(|(name, config, pace)| {
        let mut daemon = Daemon::start(&program, config)?;
        measure(&mut daemon, name, pace, time).with_context(|| name.to_owned())
    });
    let rows: Vec<Row> = rows.into_iter().collect::<Result<_>>()?;
    print_idle(&rows);
    print_busy(&rows);
    Ok(())
}

/// Leaves the daemon alone, then keeps it busy, then waits until it has everything.
fn measure(daemon: &mut Daemon, name: &'static str, pace: Pace, time: Duration) -> Result<Row> {
    daemon.settle()?;
    let (cpu, start) = (daemon.cpu_time()?, Instant::now());
    thread::sleep(time);
    let cpu = daemon.cpu_time()?.saturating_sub(cpu);
    let idle_share = cpu.as_secs_f64() / start.elapsed().as_secs_f64();
    let idle = daemon.memory()?;

    let load = Load::start(daemon.dir(), pace, time)?;
    let start = Instant::now();
    let mut busy_bytes = 0;
    while !load.is_over() {
        busy_bytes = busy_bytes.max(daemon.memory()?.own_bytes);
        thread::sleep(SAMPLE_EVERY);
    }
    let took = start.elapsed();
    let published = load.finish()?;
    let start = Instant::now();
    while !daemon.has_delivered(published.ring + published.spool)? {
        busy_bytes = busy_bytes.max(daemon.memory()?.own_bytes);
        thread::sleep(SAMPLE_EVERY);
    }
    let drained = start.elapsed();
    daemon.settle()?;
    let after = daemon.memory()?;
    Ok(Row {
        name,
        idle_bytes: idle.own_bytes,
        ring_bytes: after.shared_bytes,
        idle_share,
        busy_bytes,
        after_bytes: after.own_bytes,
        published,
        took,
        drained,
    })
}

fn print_idle(rows: &[Row]) {
    println!("\nidle, resident at most {IDLE_LIMIT_MIB} MiB and {IDLE_LIMIT_PERCENT} % of a core");
    println!(
        "{:<36}{:>14}{:>12}{:>16}{:>16}",
        "daemon", "resident MiB", "% of core", "after load MiB", "ring, apart MiB"
    );
    for row in rows {
        let resident = judged(mib(row.idle_bytes), IDLE_LIMIT_MIB, 1);
        let share = judged(100.0 * row.idle_share, IDLE_LIMIT_PERCENT, 3);
        let after = judged(mib(row.after_bytes), IDLE_LIMIT_MIB, 1);
        let ring = format!("{:.1}", mib(row.ring_bytes));
        println!("{:<36}{resident:>14}{share:>12}{after:>16}{ring:>16}", row.name);
    }
}

fn print_busy(rows: &[Row]) {
    println!("\nbusy, {} producers, resident at most {BUSY_LIMIT_MIB} MiB", load::PRODUCERS);
    println!(
        "{:<36}{:>14}{:>11}{:>12}{:>12}{:>12}{:>12}",
        "daemon", "peak MiB", "events/s", "in ring", "in spool", "dropped", "rest took s"
    );
    for row in rows {
        let Published { ring, spool, dropped } = row.published;
        let peak = judged(mib(row.busy_bytes), BUSY_LIMIT_MIB, 1);
        let per_second = (ring + spool) as f64 / row.took.as_secs_f64();
        let drained = row.drained.as_secs_f64();
        println!(
            "{:<36}{peak:>14}{per_second:>11.0}{ring:>12}{spool:>12}{dropped:>12}{drained:>12.1}",
            row.name
        );
    }
}

/// A figure, marked where it is above its limit.
fn judged(value: f64, limit: f64, digits: usize) -> String {
    format!("{}{value:.digits$}", if value > limit { "MISSED " } else { "" })
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

fn seconds(mut args: impl Iterator<Item = String>) -> Result<u64> {
    let mut seconds = DEFAULT_SECONDS;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Cargo says this to every bench.
            "--bench" => {}
            "--seconds" => {
                let value = args.next().context("--seconds needs a number")?;
                seconds = value.parse().with_context(|| format!("--seconds {value}: no number"))?;
            }
            other => bail!("unknown argument `{other}`; there is only --seconds N"),
        }
    }
    Ok(seconds.max(1))
}
