//! The table, ratios first, and the same figures as JSON.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use hookring_benches::machine::Machine;
use serde_json::{Value, json};

use crate::peers::Peer;
use crate::run::Run;
use crate::stats::{median, quantile};

/// What a ratio is to be.
#[derive(Copy, Clone, PartialEq, Debug)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn is_missed(self, ratio: f64) -> bool {
        // As it is printed: what reads as the target is no miss.
        let ratio = (ratio * 100.0).round() / 100.0;
        match self {
            Target::AtMost(limit) => ratio > limit,
            Target::AtLeast(limit) => ratio < limit,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtMost(limit) => write!(f, "at most {limit}"),
            Target::AtLeast(limit) => write!(f, "at least {limit}"),
        }
    }
}

/// A line of the table: one figure beside another.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub(crate) block: String,
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) beside: String,
    pub(crate) base: f64,
    pub(crate) unit: &'static str,
    /// The median of the rounds' quotients where both took turns, which need not be that of medians.
    pub(crate) ratio: f64,
    pub(crate) target: Option<Target>,
}

impl Row {
    fn is_missed(&self) -> bool {
        self.target.is_some_and(|target| target.is_missed(self.ratio))
    }

    fn json(&self) -> Value {
        let target = self.target.map(|target| target.to_string());
        let Row { block, what, value, beside, base, unit, ratio, .. } = self;
        json!({
            "block": block, "what": what, "value": value, "beside": beside, "base": base,
            "unit": unit, "ratio": ratio, "target": target, "missed": self.is_missed(),
        })
    }
}

/// Prints all that was measured.
pub(crate) fn print(run: &Run, machine: &Machine) {
    let (low, high) = (quantile(&run.hops, 0.1), quantile(&run.hops, 0.9));
    let hop = median(&run.hops);
    println!("{} | {} | {}", machine.cpu, machine.kernel, machine.rustc);
    println!(
        "a cache line from core to core: {hop:.0} ns, the median of {}; {low:.0} to {high:.0} for 8 in 10",
        run.hops.len()
    );
    if !Peer::all().any(|peer| peer == Peer::Aeron) {
        println!("Aeron is left out: it was not built here");
    }
    let mut block = "";
    for row in &run.rows {
        if row.block != block {
            block = &row.block;
            println!("\n{block}");
            println!(
                "{:>9}  {:<22}{:<34}{:>9}  {:<44}{:>9}",
                "ratio", "target", "", "", "beside", ""
            );
        }
        let target = row.target.map(|target| target.to_string()).unwrap_or_default();
        let target = if row.is_missed() { format!("{target}  MISSED") } else { target };
        println!(
            "{:>9}  {target:<22}{:<34}{:>9}  {:<44}{:>9} {}",
            figure(row.ratio),
            row.what,
            figure(row.value),
            row.beside,
            figure(row.base),
            row.unit
        );
    }
    let (targets, missed) = (
        run.rows.iter().filter(|row| row.target.is_some()).count(),
        run.rows.iter().filter(|row| row.is_missed()).count(),
    );
    println!("\n{targets} targets, {missed} missed");
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size < 0.1 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Writes the same as JSON.
pub(crate) fn write_json(run: &Run, machine: &Machine, path: &Path) -> Result<()> {
    let rows: Vec<Value> = run.rows.iter().map(Row::json).collect();
    let document = json!({
        "cpu": machine.cpu,
        "kernel": machine.kernel,
        "rustc": machine.rustc,
        "hop_ns": { "median": median(&run.hops), "all": run.hops },
        "quick": run.is_quick,
        "rows": rows,
    });
    let text = serde_json::to_string_pretty(&document)?;
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}
