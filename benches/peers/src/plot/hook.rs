//! What a hook costs its agent: a dot at the median, a line to the 99th percentile.

use hookring_benches::figures::Series;

use super::axis::{Log, time};
use super::svg::{Anchor, Svg};
use super::{colour, machine, of};
use crate::document::Document;
use crate::report::figure;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 175.0;
const RIGHT: f64 = WIDTH - 150.0;
const ROW: f64 = 30.0;
const TOP: f64 = 52.0;
const PANELS: [(&str, &str); 2] =
    [("hook-1500", "1.5 KB on stdin"), ("hook-60000", "60 KB on stdin")];

pub(super) fn draw(document: &Document) -> Option<String> {
    let panels: Vec<_> = PANELS
        .iter()
        .map(|(plot, title)| (of(document, plot), *title))
        .filter(|(series, _)| !series.is_empty())
        .collect();
    let values = panels.iter().flat_map(|(all, _)| all).flat_map(|series| &series.points);
    let x = Log::new(values.map(|[_, us]| us * 1e3), LEFT, RIGHT)?;
    let rows: usize = panels.iter().map(|(all, _)| all.len()).sum();
    let height = TOP + rows as f64 * ROW + panels.len() as f64 * 44.0 + 76.0;
    let mut svg = Svg::new(WIDTH, height);
    let title = "What one hook costs its agent, from spawning the process to having reaped it";
    svg.text((20.0, 28.0), Anchor::Start, "title", title);
    let (mut top, bottom) = (TOP, height - 72.0);
    for tick in x.ticks() {
        svg.line((x.at(tick), TOP), (x.at(tick), bottom), "grid");
        svg.text((x.at(tick), bottom + 18.0), Anchor::Middle, "soft", &time(tick));
    }
    let below = (LEFT.midpoint(RIGHT), bottom + 38.0);
    svg.text(
        below,
        Anchor::Middle,
        "soft",
        "dot: half of the runs took at most so long; line: 99 in 100 did",
    );
    for (all, title) in &panels {
        svg.text((20.0, top + 22.0), Anchor::Start, "head", title);
        top += 30.0;
        for series in all {
            row(&mut svg, series, all[0], &x, top + ROW / 2.0);
            top += ROW;
        }
        top += 14.0;
    }
    svg.text((20.0, height - 12.0), Anchor::Start, "soft small", &machine(document));
    Some(svg.finish(title))
}

fn row(svg: &mut Svg, series: &Series, floor: &Series, x: &Log, y: f64) {
    let at =
        |series: &Series, index: usize| series.points.get(index).map_or(0.0, |[_, us]| us * 1e3);
    let (median, p99) = (at(series, 0), at(series, 1));
    let is_ours = series.name == "hookring-emit";
    let class = format!("{}{}", colour(&series.name), if is_ours { " ours" } else { "" });
    svg.text((LEFT - 14.0, y + 4.0), Anchor::End, &class, &series.name);
    svg.line((x.at(median), y), (x.at(p99), y), &class);
    svg.dot((x.at(median), y), if is_ours { 6.0 } else { 5.0 }, &class);
    let times = median / at(floor, 0);
    let label = format!("{} · {} ×", time(median), figure(times));
    svg.text((RIGHT + 14.0, y + 4.0), Anchor::Start, &class, &label);
}
