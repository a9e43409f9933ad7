//! What an event costs on one core from the ring into the journal's file (drain, parse, format,
//! write, release), beside what serde_json takes to parse the same bytes into a `Value`; and how
//! fast bytes go from the ring into a file if nobody looks at them, beside plain appends.
//!
//! Also what the metrics add to that.
//!
//! Interleaved: each round fills the ring, drains it, and does the other thing with as much.
//! Run with `cargo xtask bench --bench drain_to_journal [-- --rounds N] [--json FILE]`.

mod parsed;
mod raw;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hookring_benches::figures::{self, Figures, Row, Target};
use tempfile::TempDir;

const DEFAULT_ROUNDS: usize = 30;

fn main() -> ExitCode {
    figures::run("median", DEFAULT_ROUNDS, measure)
}

fn measure(rounds: usize) -> Figures {
    let mut figures = Figures::default();
    figures.rows.push(with_parse(rounds));
    figures.rows.push(with_metrics(rounds));
    figures.rows.push(while_scraped(rounds));
    figures.rows.extend(without(rounds));
    for Row { block, what, value, beside, base, unit, ratio, .. } in &figures.rows {
        println!("\n{block}\n{what} {value:.2} {unit}, {beside} {base:.2} {unit}: {ratio:.2} ×");
    }
    figures
}

fn with_parse(rounds: usize) -> Row {
    let (payloads, mean) = hookring_benches::payloads::payloads();
    let mut bench = parsed::Bench::new();
    bench.round(&payloads);
    let mut taken = Taken::default();
    for _ in 0..rounds {
        let (drain_ns, parse_ns) = bench.round(&payloads);
        taken.add(drain_ns / 1e3, parse_ns / 1e3);
    }
    taken.row(
        format!(
            "ring to journal on one core, agents' payloads of {mean} B on average: µs per event"
        ),
        "drain, parse, journal",
        "serde_json to Value",
        "µs",
        Target::AtMost(2.5),
    )
}

/// What metrics and the health loop add, the same events drained with them and without by turns.
fn with_metrics(rounds: usize) -> Row {
    let (payloads, mean) = hookring_benches::payloads::payloads();
    let mut bench = parsed::Bench::new();
    let mut taken = Taken::default();
    for round in 0..=rounds {
        // Whoever is first finds caches as something else left them.
        let first = bench.drain(&payloads, round % 2 == 0);
        let second = bench.drain(&payloads, round % 2 != 0);
        let (with, bare) = if round % 2 == 0 { (first, second) } else { (second, first) };
        // The first round warms up.
        if round > 0 {
            taken.add(with / 1e3, bare / 1e3);
        }
    }
    taken.row(
        format!("the same with metrics, payloads of {mean} B on average: µs per event"),
        "with metrics",
        "without",
        "µs",
        Target::AtMost(1.05),
    )
}

/// A thousand times as often as Prometheus does by default.
const SCRAPE_PAUSE: Duration = Duration::from_millis(15);

/// What the drain takes while somebody scrapes 10,000 series again and again, and while nobody does.
fn while_scraped(rounds: usize) -> Row {
    let (payloads, mean) = hookring_benches::payloads::payloads();
    let mut bench = parsed::Bench::new();
    bench.fill_series();
    bench.drain(&payloads, true);
    let mut taken = Taken::default();
    for _ in 0..rounds {
        let (metrics, stop) = (bench.metrics(), AtomicBool::new(false));
        let scraped = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box(metrics.render());
                    thread::sleep(SCRAPE_PAUSE);
                }
            });
            let scraped = bench.drain(&payloads, true);
            stop.store(true, Ordering::Relaxed);
            scraped
        });
        taken.add(scraped / 1e3, bench.drain(&payloads, true) / 1e3);
    }
    taken.row(
        format!("the same while 10,000 series are scraped, payloads of {mean} B: µs per event"),
        "scraped 66 times a second",
        "not scraped",
        "µs",
        Target::AtMost(1.25),
    )
}

fn without(rounds: usize) -> [Row; 2] {
    let mut bench = raw::Bench::new();
    let sizes = [(256, 0.35), (1024, 0.5)];
    let mut taken = [Taken::default(), Taken::default()];
    bench.append();
    for _ in 0..rounds {
        for ((bytes, _), taken) in sizes.iter().zip(&mut taken) {
            taken.add(bench.drain(*bytes), bench.append());
        }
    }
    let mut all = sizes.into_iter().zip(taken);
    std::array::from_fn(|_| {
        let ((bytes, at_least), mut taken) = all.next().expect("as many as sizes");
        taken.row(
            format!("ring to file on one core, raw, {bytes} B: GB of payload per second"),
            "drain, append",
            "appends of 256 KiB",
            "GB/s",
            Target::AtLeast(at_least),
        )
    })
}

/// What two kinds of work took, of every round.
#[derive(Default)]
struct Taken {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    ratios: Vec<f64>,
}

impl Taken {
    fn add(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
        self.ratios.push(ours / theirs);
    }

    fn row(&mut self, block: String, what: &str, beside: &str, unit: &str, target: Target) -> Row {
        Row {
            block,
            what: what.to_owned(),
            value: median(&mut self.ours),
            beside: beside.to_owned(),
            base: median(&mut self.theirs),
            unit: unit.to_owned(),
            ratio: median(&mut self.ratios),
            target: Some(target),
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// In memory, where the system has files there: as a ring is in use.
fn ring_dir() -> TempDir {
    let shm = Path::new("/dev/shm");
    private(if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() })
}

/// On the disk, as a journal is.
fn disk_dir() -> TempDir {
    private(tempfile::tempdir())
}

fn private(dir: std::io::Result<TempDir>) -> TempDir {
    let dir = dir.expect("a directory");
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).expect("its mode");
    dir
}
