//! The tables: one row per program, with the floor as the measure.

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::process::Sample;

/// Three digits are more than one run is worth.
const DIGITS: u8 = 3;

/// All samples of one program.
pub(crate) struct Row {
    name: &'static str,
    reaped_ns: Histogram<u64>,
    spawned_ns: Histogram<u64>,
    page_faults: Histogram<u64>,
}

impl Row {
    pub(crate) fn new(name: &'static str) -> Self {
        let empty = || Histogram::new(DIGITS).expect("the digits are in range");
        Self { name, reaped_ns: empty(), spawned_ns: empty(), page_faults: empty() }
    }

    pub(crate) fn add(&mut self, sample: Sample) -> Result<()> {
        self.reaped_ns.record(sample.reaped.as_nanos().try_into()?)?;
        self.spawned_ns.record(sample.spawned.as_nanos().try_into()?)?;
        self.page_faults.record(sample.page_faults)?;
        Ok(())
    }

    fn p50_us(&self) -> f64 {
        us(&self.reaped_ns, 0.5)
    }
}

/// Prints the rows below `title`; the first one is the floor.
pub(crate) fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    println!(
        "{:<22}{:>7}{:>10}{:>10}{:>10}{:>15}{:>13}",
        "program", "n", "p50 µs", "p99 µs", "× floor", "spawn p50 µs", "page faults"
    );
    let floor_us = rows.first().map_or(f64::NAN, Row::p50_us);
    for row in rows {
        println!(
            "{:<22}{:>7}{:>10.1}{:>10.1}{:>10.2}{:>15.1}{:>13}",
            row.name,
            row.reaped_ns.len(),
            row.p50_us(),
            us(&row.reaped_ns, 0.99),
            row.p50_us() / floor_us,
            us(&row.spawned_ns, 0.5),
            row.page_faults.value_at_quantile(0.5),
        );
    }
}

fn us(ns: &Histogram<u64>, quantile: f64) -> f64 {
    ns.value_at_quantile(quantile) as f64 / 1000.0
}
