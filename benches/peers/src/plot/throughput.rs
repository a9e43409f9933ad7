//! Records per second over the number of producers.

use super::axis::Log;
use super::svg::{Anchor, Svg, spread};
use super::{colour, is_between_threads, machine, of};
use crate::document::Document;
use crate::report::figure;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 500.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = WIDTH - 225.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = HEIGHT - 80.0;

pub(super) fn draw(document: &Document) -> Option<String> {
    let all = of(document, "throughput");
    let points = || all.iter().flat_map(|series| &series.points);
    let y = Log::new(points().map(|[_, rate]| *rate), BOTTOM, TOP)?;
    let most = points().map(|[producers, _]| *producers).fold(2.0, f64::max).log2();
    let x = |producers: f64| LEFT + (RIGHT - LEFT) * producers.log2() / most;
    let title = "Throughput to one reader, 256 B, in batches of 32 where there are batches";
    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.text((20.0, 28.0), Anchor::Start, "title", title);
    for tick in y.ticks() {
        svg.line((LEFT, y.at(tick)), (RIGHT, y.at(tick)), "grid");
        svg.text((LEFT - 8.0, y.at(tick) + 4.0), Anchor::End, "soft", &figure_of(tick));
    }
    let mut marks: Vec<f64> = points().map(|[producers, _]| *producers).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    for producers in marks {
        svg.line((x(producers), TOP), (x(producers), BOTTOM), "grid");
        let label = format!("{producers:.0}");
        svg.text((x(producers), BOTTOM + 18.0), Anchor::Middle, "soft", &label);
    }
    svg.text(
        (LEFT.midpoint(RIGHT), BOTTOM + 38.0),
        Anchor::Middle,
        "soft",
        "producers (dashes: threads of the reader's process)",
    );
    svg.text_upwards((22.0, TOP.midpoint(BOTTOM)), "million records per second");
    for series in all.iter().rev() {
        let class = class(&series.name);
        let points: Vec<_> =
            series.points.iter().map(|[count, rate]| (x(*count), y.at(*rate))).collect();
        svg.path(&points, &class);
        points.iter().for_each(|at| svg.dot(*at, 3.5, &class));
    }
    let ends =
        all.iter().map(|series| series.points.last().map_or(BOTTOM, |[_, rate]| y.at(*rate)));
    for (series, at) in all.iter().zip(spread(&ends.collect::<Vec<_>>(), 16.0, TOP, BOTTOM)) {
        let last = series.points.last().map_or(0.0, |[_, rate]| *rate);
        let label = format!("{} {}", series.name, figure(last));
        svg.text((RIGHT + 12.0, at + 4.0), Anchor::Start, &class(&series.name), &label);
    }
    svg.text((20.0, HEIGHT - 12.0), Anchor::Start, "soft small", &machine(document));
    Some(svg.finish(title))
}

fn figure_of(tick: f64) -> String {
    if tick < 1.0 { format!("{tick:.1}") } else { format!("{tick:.0}") }
}

fn class(name: &str) -> String {
    let dashed = if is_between_threads(name) { " dashed" } else { "" };
    let ours = if name == "hookring" { " ours" } else { "" };
    format!("{}{dashed}{ours}", colour(name))
}
