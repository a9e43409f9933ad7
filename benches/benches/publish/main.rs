//! What publishing costs a running program, beside a copy of the same bytes (and one reading of the
//! clock, where a publish reads it).
//!
//! `cargo xtask bench --bench publish [-- --rounds N]`. The ratios are taken interleaved: every round
//! runs each workload once, in turn. Criterion then gives the means their confidence intervals.

mod bus;
mod threads;
mod workload;

use std::time::Duration;

use anyhow::{Context as _, Result};
use criterion::Criterion;
use hookring_benches::machine::Machine;
use workload::{Kind, Workload};

/// Rounds without `--rounds`.
const DEFAULT_ROUNDS: usize = 3000;
const SIZES: [usize; 2] = [256, 1024];

fn main() -> Result<()> {
    let rounds = rounds()?;
    println!("publish from a running program | {}", Machine::look());
    for bytes in SIZES {
        for is_varied in [false, true] {
            ratios(rounds, bytes, is_varied)?;
        }
    }
    threads::run(rounds / 30 + 1)?;
    means()
}

/// Runs every kind once per round, and prints medians and ratios.
fn ratios(rounds: usize, bytes: usize, is_varied: bool) -> Result<()> {
    let mut workload = Workload::new(bytes, is_varied)?;
    let mut times = Kind::ALL.map(|_| Vec::with_capacity(rounds));
    for round in 0..rounds {
        for turn in 0..Kind::ALL.len() {
            let at = (turn + round) % Kind::ALL.len();
            let ns = workload.run(Kind::ALL[at])?.as_nanos() as f64;
            times[at].push(ns / workload.records() as f64);
        }
    }
    let medians = times.map(|mut times| median(&mut times));
    let title = if is_varied { "varied around" } else { "of" };
    println!("\nns per record, payloads {title} {bytes} B, CRC off unless said");
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        let baseline = kind.baseline();
        println!(
            "{:<34}{:>8.1}{:>8.2} × {}",
            kind.name(),
            medians[at],
            medians[at] / medians[baseline as usize],
            baseline.name()
        );
    }
    Ok(())
}

/// The same workloads, one after another, with criterion's statistics.
fn means() -> Result<()> {
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20);
    println!();
    for bytes in SIZES {
        let mut workload = Workload::new(bytes, false)?;
        for kind in Kind::ALL {
            let name = format!("{bytes} B, {}", kind.name());
            criterion.bench_function(&name, |bencher| {
                bencher.iter_custom(|iterations| {
                    // One iteration is a record; a run of the workload has many of them.
                    let runs = iterations.div_ceil(workload.records() as u64).max(1);
                    let total: Duration =
                        (0..runs).map(|_| workload.run(kind).expect("no workload fails")).sum();
                    total.mul_f64(iterations as f64 / (runs * workload.records() as u64) as f64)
                });
            });
        }
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn rounds() -> Result<usize> {
    let args: Vec<String> = std::env::args().collect();
    let Some(at) = args.iter().position(|arg| arg == "--rounds") else {
        return Ok(DEFAULT_ROUNDS);
    };
    let value = args.get(at + 1).context("--rounds needs a number")?;
    value.parse::<usize>().map(|n| n.max(1)).with_context(|| format!("--rounds {value}: no number"))
}
