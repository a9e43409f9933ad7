//! The plots of a run, as SVG that is readable on light and dark pages.

mod axis;
mod hook;
mod latency;
mod svg;
mod throughput;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use hookring_benches::figures::Series;

use crate::document::Document;

type Draw = fn(&Document) -> Option<String>;

/// File, title, and what draws it.
const PLOTS: [(&str, &str, Draw); 3] = [
    ("hook.svg", "What a hook costs its agent, beside what people use today", hook::draw),
    ("latency.svg", "Latency from one process to another", latency::draw),
    ("throughput.svg", "Throughput over the number of producers", throughput::draw),
];

/// Writes each plot that the run has figures for into the directory; their titles and files.
pub(crate) fn write(document: &Document, dir: &Path) -> Result<Vec<(&'static str, &'static str)>> {
    fs::create_dir_all(dir).with_context(|| format!("could not create {}", dir.display()))?;
    let mut written = Vec::new();
    for (file, title, draw) in PLOTS {
        let Some(text) = draw(document) else { continue };
        let path = dir.join(file);
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        written.push((title, file));
    }
    Ok(written)
}

/// The curves of one plot.
fn of<'a>(document: &'a Document, plot: &str) -> Vec<&'a Series> {
    document.figures.series.iter().filter(|series| series.plot == plot).collect()
}

/// What stands below every plot: where it was taken.
fn machine(document: &Document) -> String {
    let Document { cpu, kernel, rustc, hops_ns, is_quick, .. } = document;
    let hop = crate::stats::median(hops_ns);
    let quick = if *is_quick { " · a short run" } else { "" };
    format!("{cpu} · {kernel} · {rustc} · core to core {hop:.0} ns{quick}")
}

/// The class that gives a contender its colour, the same one in every plot.
fn colour(name: &str) -> &'static str {
    match name {
        "hookring" | "hookring-emit" => "c0",
        "rtrb" => "c1",
        "crossbeam ArrayQueue" => "c2",
        "iceoryx2" => "c3",
        "Aeron" => "c4",
        "Unix datagram" => "c5",
        "TCP on loopback" => "c6",
        _ => "c7",
    }
}

/// Queues that need both ends in one process are drawn in dashes.
fn is_between_threads(name: &str) -> bool {
    matches!(name, "rtrb" | "crossbeam ArrayQueue")
}
