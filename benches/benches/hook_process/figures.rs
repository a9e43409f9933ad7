//! The same as rows and curves for the table of `benches/peers`, with what they are to be.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use hookring_benches::figures::{self, Figures, Series, Target};

use crate::SMALL_BYTES;
use crate::report::Row;

const P50: f64 = 0.5;
const P99: f64 = 0.99;
const PAGE_FAULTS: f64 = 8.0;
/// The instruction that hypervisors stop a program for, about 4 µs each time.
const CPUID: &[u8] = &[0x0f, 0xa2];

/// Of a run with a reader that is awake; the floor comes first, then the hook command.
pub(crate) fn of(rows: &[Row], bytes: usize) -> Figures {
    let mut figures = Figures::default();
    let [floor, emit, others @ ..] = rows else { return figures };
    let size = size(bytes);
    let at_most = if bytes == SMALL_BYTES { 1.18 } else { 1.25 };
    for (name, quantile, limit) in [("p50", P50, at_most), ("p99", P99, 1.2)] {
        let block = format!("a hook process, {size} on stdin, {name}: µs from spawn to reaped");
        figures.rows.push(time(&block, emit, floor, quantile, Some(limit)));
        figures.rows.extend(others.iter().map(|other| time(&block, emit, other, quantile, None)));
    }
    figures.rows.push(figures::Row {
        block: format!("a hook process, {size} on stdin: page faults"),
        // A large payload needs its own pages, whoever reads it.
        target: (bytes == SMALL_BYTES).then_some(Target::FigureAtMost(PAGE_FAULTS)),
        ..row(emit, floor, emit.page_faults() as f64, floor.page_faults() as f64)
    });
    figures.series = rows.iter().map(|row| series(row, bytes)).collect();
    figures
}

/// Of a run with a daemon.
pub(crate) fn with_daemon(rows: &[Row], bytes: usize, reader: &str) -> Vec<figures::Row> {
    let [floor, emit, ..] = rows else { return Vec::new() };
    let block = |name| {
        format!(
            "a hook process, {} on stdin, {reader}, {name}: µs from spawn to reaped",
            size(bytes)
        )
    };
    let quantiles = [("p50", P50), ("p99", P99)];
    quantiles.map(|(name, part)| time(&block(name), emit, floor, part, None)).into()
}

/// How often the bytes of a CPUID instruction stand in the programs. That need not be one, but where
/// they never stand none is executed.
pub(crate) fn cpuid(emit: &Path, floor: &Path) -> Result<figures::Row> {
    let count = |path: &Path| -> Result<f64> {
        let program =
            fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(program.windows(CPUID.len()).filter(|bytes| *bytes == CPUID).count() as f64)
    };
    let (of_emit, of_floor) = (count(emit)?, count(floor)?);
    Ok(figures::Row {
        block: "a hook process: CPUID instructions in the program".to_owned(),
        what: "hookring-emit".to_owned(),
        value: of_emit,
        beside: "hookring-floor".to_owned(),
        base: of_floor,
        unit: String::new(),
        // Nought by nought is no ratio; none more than the floor's is as many.
        ratio: if of_emit == of_floor { 1.0 } else { of_emit / of_floor },
        target: Some(Target::FigureAtMost(0.0)),
    })
}

fn time(block: &str, emit: &Row, other: &Row, quantile: f64, limit: Option<f64>) -> figures::Row {
    figures::Row {
        block: block.to_owned(),
        unit: "µs".to_owned(),
        target: limit.map(Target::AtMost),
        ..row(emit, other, emit.reaped_us(quantile), other.reaped_us(quantile))
    }
}

fn row(emit: &Row, other: &Row, value: f64, base: f64) -> figures::Row {
    figures::Row {
        block: String::new(),
        what: emit.name.to_owned(),
        value,
        beside: other.name.to_owned(),
        base,
        unit: String::new(),
        ratio: value / base,
        target: None,
    }
}

fn series(row: &Row, bytes: usize) -> Series {
    Series {
        plot: format!("hook-{bytes}"),
        name: row.name.to_owned(),
        points: [P50, P99].map(|part| [part, row.reaped_us(part)]).into(),
    }
}

fn size(bytes: usize) -> String {
    format!("{} KB", bytes as f64 / 1000.0)
}
