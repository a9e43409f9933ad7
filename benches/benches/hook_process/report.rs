//! The tables: one row per program, with the floor as the measure.

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::process::Sample;

/// Three digits are more than one run is worth.
const DIGITS: u8 = 3;

/// All samples of one program.
pub(crate) struct Row {
    pub(crate) name: &'static str,
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

    /// The time below which so large a part of the runs stayed.
    pub(crate) fn reaped_us(&self, quantile: f64) -> f64 {
        us(&self.reaped_ns, quantile)
    }

    /// The median of the kernel's account.
    pub(crate) fn page_faults(&self) -> u64 {
        self.page_faults.value_at_quantile(0.5)
    }
}

/// Prints the rows below `title`; the first one is the floor.
pub(crate) fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    println!(
        "{:<22}{:>7}{:>10}{:>10}{:>10}{:>15}{:>13}",
        "program", "n", "p50 µs", "p99 µs", "× floor", "spawn p50 µs", "page faults"
    );
    let floor_us = rows.first().map_or(f64::NAN, |row| row.reaped_us(0.5));
    for row in rows {
        println!(
            "{:<22}{:>7}{:>10.1}{:>10.1}{:>10.2}{:>15.1}{:>13}",
            row.name,
            row.reaped_ns.len(),
            row.reaped_us(0.5),
            row.reaped_us(0.99),
            row.reaped_us(0.5) / floor_us,
            us(&row.spawned_ns, 0.5),
            row.page_faults(),
        );
    }
}

fn us(ns: &Histogram<u64>, quantile: f64) -> f64 {
    ns.value_at_quantile(quantile) as f64 / 1000.0
}
