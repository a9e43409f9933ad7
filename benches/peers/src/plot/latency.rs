//! Distributions of the time from one end to the other: which part of the messages took how long.

use hookring_benches::figures::Series;

use super::axis::{Log, time};
use super::svg::{Anchor, Svg, spread};
use super::{colour, is_between_threads, machine, of};
use crate::document::Document;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = WIDTH - 225.0;
const PANEL: f64 = 330.0;
const TOP: f64 = 60.0;
const GAP: f64 = 90.0;
const PANELS: [(&str, &str); 2] = [
    ("latency, spinning", "The reader spins, on another core"),
    ("latency, sleeping on another core", "The reader sleeps, on another core"),
];
/// Marks of the first axis; a mark's distance from the first one grows with its number of nines.
const PARTS: [(f64, &str); 7] = [
    (0.0, "0 %"),
    (0.5, "50 %"),
    (0.75, "75 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
];

pub(super) fn draw(document: &Document) -> Option<String> {
    let panels: Vec<_> = PANELS
        .iter()
        .map(|(plot, title)| (of(document, plot), *title))
        .filter(|(series, _)| !series.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let height = TOP + panels.len() as f64 * (PANEL + GAP) + 10.0;
    let mut svg = Svg::new(WIDTH, height);
    let title = "One way, 256 B, from one process to another";
    svg.text((20.0, 28.0), Anchor::Start, "title", title);
    for (index, (series, title)) in panels.iter().enumerate() {
        panel(&mut svg, series, title, TOP + index as f64 * (PANEL + GAP))?;
    }
    svg.text((20.0, height - 12.0), Anchor::Start, "soft small", &machine(document));
    Some(svg.finish(title))
}

fn panel(svg: &mut Svg, all: &[&Series], title: &str, top: f64) -> Option<()> {
    let (top, bottom) = (top + 24.0, top + PANEL);
    svg.text((LEFT, top - 10.0), Anchor::Start, "head", title);
    let values = all.iter().flat_map(|series| &series.points).map(|[_, ns]| *ns);
    let y = Log::new(values, bottom, top)?;
    let last = all.iter().flat_map(|series| &series.points).map(|[part, _]| *part);
    let last = nines(last.fold(0.0, f64::max));
    let x = |part: f64| LEFT + (RIGHT - LEFT) * nines(part) / last;
    for tick in y.ticks() {
        svg.line((LEFT, y.at(tick)), (RIGHT, y.at(tick)), "grid");
        svg.text((LEFT - 8.0, y.at(tick) + 4.0), Anchor::End, "soft", &time(tick));
    }
    for (part, name) in PARTS.iter().filter(|(part, _)| nines(*part) <= last) {
        svg.line((x(*part), top), (x(*part), bottom), "grid");
        svg.text((x(*part), bottom + 18.0), Anchor::Middle, "soft", name);
    }
    let below = (LEFT.midpoint(RIGHT), bottom + 38.0);
    svg.text(below, Anchor::Middle, "soft", "part of the messages that took at most so long");
    svg.text_upwards((22.0, top.midpoint(bottom)), "time from send to receipt");
    // hookring last, over the others.
    for series in all.iter().rev() {
        let points: Vec<_> = series.points.iter().map(|[part, ns]| (x(*part), y.at(*ns))).collect();
        svg.path(&points, &class(&series.name));
    }
    let ends = all.iter().map(|series| series.points.last().map_or(bottom, |[_, ns]| y.at(*ns)));
    let labels = spread(&ends.collect::<Vec<_>>(), 16.0, top + 4.0, bottom);
    for (series, at) in all.iter().zip(labels) {
        let median = series.points.iter().find(|[part, _]| *part >= 0.5).map_or(0.0, |[_, ns]| *ns);
        let label = format!("{} {}", series.name, time(median));
        svg.text((RIGHT + 10.0, at + 4.0), Anchor::Start, &class(&series.name), &label);
    }
    svg.text(
        (RIGHT + 10.0, top - 10.0),
        Anchor::Start,
        "soft small",
        "with medians; dashes: between threads",
    );
    Some(())
}

fn class(name: &str) -> String {
    let dashed = if is_between_threads(name) { " dashed" } else { "" };
    let ours = if name == "hookring" { " ours" } else { "" };
    format!("{}{dashed}{ours}", colour(name))
}

/// How far to the right a part of the messages stands.
fn nines(part: f64) -> f64 {
    -(1.0 - part).log10()
}
