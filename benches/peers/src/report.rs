//! The table, ratios first.

use std::fmt::Write as _;

use hookring_benches::figures::Row;

use crate::document::Document;
use crate::stats::{median, quantile};

const HEAD: [&str; 8] = ["ratio", "target", "", "", "", "beside", "", ""];

/// The whole table as text, the machine above it.
pub(crate) fn table(document: &Document) -> String {
    let mut text = head(document);
    let rows = &document.figures.rows;
    let cells: Vec<[String; 8]> = rows.iter().map(cells).collect();
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let all = cells.iter().map(|cells| cells[column].chars().count());
        all.chain([HEAD[column].len()]).max().unwrap_or(0)
    });
    let mut block = "";
    for (row, cells) in rows.iter().zip(&cells) {
        if row.block != block {
            block = &row.block;
            text += &format!("\n{block}\n{}", line(&HEAD.map(str::to_owned), &widths));
        }
        text += &line(cells, &widths);
    }
    let targets = rows.iter().filter(|row| row.target.is_some()).count();
    let missed = rows.iter().filter(|row| row.is_missed()).count();
    text + &format!("\n{targets} targets, {missed} missed\n")
}

fn head(document: &Document) -> String {
    let Document { cpu, kernel, rustc, load, hops_ns, is_quick, has_aeron, .. } = document;
    let (low, high) = (quantile(hops_ns, 0.1), quantile(hops_ns, 0.9));
    let mut text = format!("{cpu} | {kernel} | {rustc} | load before the run {load}\n");
    let _ = writeln!(
        text,
        "a cache line from core to core: {:.0} ns, the median of {}; {low:.0} to {high:.0} for 8 in 10",
        median(hops_ns),
        hops_ns.len()
    );
    if *is_quick {
        text += "a short run: its figures are worth little\n";
    }
    if !has_aeron {
        text += "Aeron is left out: it was not built here\n";
    }
    text
}

fn cells(row: &Row) -> [String; 8] {
    let target = row.target.map(|target| target.to_string()).unwrap_or_default();
    let verdict = match row.target {
        None => "",
        Some(_) if row.is_missed() => "MISSED",
        Some(_) => "met",
    };
    let Row { what, value, beside, base, unit, ratio, .. } = row;
    [
        figure(*ratio),
        target,
        verdict.to_owned(),
        what.clone(),
        figure(*value),
        beside.clone(),
        figure(*base),
        unit.clone(),
    ]
}

/// Figures stand at the right of their columns, words at the left.
fn line(cells: &[String; 8], widths: &[usize; 8]) -> String {
    const FIGURES: [usize; 3] = [0, 4, 6];
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        let (before, behind) =
            if FIGURES.contains(&column) { (pad.as_str(), "") } else { ("", pad.as_str()) };
        line += &format!("{before}{cell}{behind}  ");
    }
    format!("{}\n", line.trim_end())
}

/// Three digits that count.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.1 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
