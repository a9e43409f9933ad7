//! What `hookring top` shows: lines of text from what the status said before and says now. No clock, no
//! terminal.

use std::collections::{BTreeMap, VecDeque};

use anstyle::Style;
use jiff::Timestamp;

use super::attention::total;
use super::status_sinks::{lag, state_in_words};
use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};
use super::table::{fit, human_bytes, human_duration, wrap};
use crate::run::status::{SinkStatus, Status, since};

/// So many rates are remembered of each figure: a minute's, at one a second.
const REMEMBERED: usize = 60;
/// What is shown of a sink, in this order.
const COLUMNS: [Column; 10] = [
    Column { title: "SINK", width: 12, rank: 0 },
    Column { title: "STATE", width: 17, rank: 1 },
    Column { title: "RATE", width: 6, rank: 3 },
    Column { title: "", width: 7, rank: 8 },
    Column { title: "DELIVERED", width: 9, rank: 6 },
    Column { title: "BEHIND", width: 6, rank: 2 },
    Column { title: "FOR", width: 7, rank: 7 },
    Column { title: "DEAD", width: 4, rank: 4 },
    Column { title: "LOST", width: 4, rank: 5 },
    Column { title: "RETRIES", width: 7, rank: 9 },
];
/// The column with the rates of the last minute, and how wide it becomes where there is room.
const SPARK: usize = 3;
const WIDEST_SPARK: usize = 20;
/// How wide a sink's name becomes then.
const WIDEST_NAME: usize = 32;
/// So many lines of sinks have precedence over the lines above them.
const SINKS_FIRST: usize = 3;
/// A window of fewer lines has none for what needs attention.
const LINES_FOR_PROBLEMS: usize = 7;
/// The width of the lines at the top.
const LONG_SPARK: usize = 40;

/// From nothing to the most that was seen.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same where the terminal has no such characters.
const PLAIN: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// How a terminal shows things.
#[derive(Copy, Clone, Debug)]
pub(super) struct Screen {
    pub(super) columns: usize,
    pub(super) lines: usize,
    pub(super) is_coloured: bool,
    /// It has characters beyond ASCII.
    pub(super) is_unicode: bool,
}

struct Column {
    title: &'static str,
    width: usize,
    /// Where not all fit, the one with the highest goes first.
    rank: usize,
}

/// Events a second, the latest last.
#[derive(Clone, Debug, Default)]
struct Rate(VecDeque<f64>);

impl Rate {
    fn push(&mut self, before: u64, after: u64, seconds: f64) {
        // A daemon that was started anew counts from 0.
        let events = if after < before { after } else { after - before };
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(if seconds > 0.0 { events as f64 / seconds } else { 0.0 });
    }

    fn now(&self) -> f64 {
        self.0.back().copied().unwrap_or(0.0)
    }

    /// The latest ones as a line of so many characters, the highest of them being full.
    fn spark(&self, width: usize, screen: Screen) -> String {
        let steps = if screen.is_unicode { BLOCKS } else { PLAIN };
        let shown = self.0.iter().skip(self.0.len().saturating_sub(width));
        let most = shown.clone().copied().fold(0.0, f64::max);
        let step = |rate: &f64| match most > 0.0 {
            true => steps[((rate / most * 7.0).ceil() as usize).min(7)],
            false => steps[0],
        };
        let line: String = shown.map(step).collect();
        format!("{line:>width$}")
    }
}

/// What is known of the last minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    events: Rate,
    journaled: Rate,
    sinks: BTreeMap<String, Rate>,
}

impl Rates {
    /// Adds what happened between two looks, `seconds` apart.
    pub(super) fn push(&mut self, before: &Status, after: &Status, seconds: f64) {
        self.events.push(before.events, after.events, seconds);
        self.journaled.push(before.journal.written_seq, after.journal.written_seq, seconds);
        self.sinks.retain(|name, _| after.sinks.iter().any(|sink| sink.name == *name));
        for sink in &after.sinks {
            let earlier = before.sinks.iter().find(|it| it.name == sink.name);
            let delivered = earlier.map_or(sink.delivered_events, |it| it.delivered_events);
            let rate = self.sinks.entry(sink.name.clone()).or_default();
            rate.push(delivered, sink.delivered_events, seconds);
        }
    }
}

/// A piece of a line.
type Span = (String, Style);

/// The whole screen, a line each, none longer or more than there is room for. `problems`: what needs attention.
pub(super) fn render(
    status: &Status,
    rates: &Rates,
    (is_running, problems): (bool, &[String]),
    now: Timestamp,
    screen: Screen,
) -> Vec<String> {
    let kept = if problems.is_empty() || screen.lines < LINES_FOR_PROBLEMS { 0 } else { 3 };
    let wanted = status.sinks.len().clamp(1, SINKS_FIRST) + kept;
    let mut lines = top(status, rates, (is_running, now), wanted, screen);
    // The hints below take what the sinks leave, and at least a line if there is something to say.
    let room = screen.lines.saturating_sub(lines.len() + kept).max(1);
    lines.extend(sinks(status, rates, now, room, screen));
    if !problems.is_empty() {
        lines.extend([Vec::new(), vec![("NEEDS ATTENTION".to_owned(), HEADING)]]);
        let first = lines.len();
        let said = problems.iter().flat_map(|problem| problem.lines());
        let said = said.flat_map(|line| wrap(&printable(line), screen.columns));
        lines.extend(said.map(|line| vec![(line, WARNING)]));
        if lines.len() > screen.lines && first + 1 < screen.lines {
            lines.truncate(screen.lines - 1);
            lines.push(vec![("`hookring status` has the rest".to_owned(), FAINT)]);
        }
    }
    lines.truncate(screen.lines);
    lines.iter().map(|line| cut(line, screen)).collect()
}

/// What stands above the sinks, as far as `below` lines are left for those.
fn top(
    status: &Status,
    rates: &Rates,
    (is_running, now): (bool, Timestamp),
    below: usize,
    screen: Screen,
) -> Vec<Vec<Span>> {
    let rate = |name: &str, rate: &Rate, rest: String| {
        let text = format!(
            "{name:<10}{:>10}  {}  {rest}",
            per_second(rate.now()),
            rate.spark(LONG_SPARK, screen)
        );
        vec![(text, Style::new())]
    };
    let written = format!("last {}", status.journal.written_seq);
    // With the order in which they go where there is no room.
    let mut lines = vec![
        (usize::MAX, head(status, is_running, now)),
        (1, Vec::new()),
        (4, rate("EVENTS IN", &rates.events, status.events.to_string())),
        (3, rate("JOURNALED", &rates.journaled, written)),
        (2, vec![(bus(status), Style::new())]),
        (0, Vec::new()),
        (usize::MAX, vec![(titles(screen), HEADING)]),
    ];
    for first in 0..5 {
        if lines.len() + below > screen.lines {
            lines.retain(|(order, _)| *order != first);
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// A line for each sink, or as many as there is room for.
fn sinks(
    status: &Status,
    rates: &Rates,
    now: Timestamp,
    room: usize,
    screen: Screen,
) -> Vec<Vec<Span>> {
    let mut sinks: Vec<_> = status.sinks.iter().collect();
    let shown = if sinks.len() > room { (room - 1).max(1) } else { sinks.len() };
    // Those that do not work first, where not all can be shown.
    if shown < sinks.len() {
        sinks.sort_by_key(|sink| sink.state == "running" && sink.lag_events == 0);
    }
    let line = |sink: &&SinkStatus| {
        let rate = rates.sinks.get(&sink.name).cloned().unwrap_or_default();
        sink_line(sink, &rate, now, screen)
    };
    let mut lines: Vec<_> = sinks[..shown].iter().map(line).collect();
    match sinks.len() - shown {
        0 if sinks.is_empty() => lines.push(vec![("no sink is configured".to_owned(), FAINT)]),
        more if more > 0 && room > 1 => lines.push(vec![(format!("and {more} more"), FAINT)]),
        _ => {}
    }
    lines
}

fn head(status: &Status, is_running: bool, now: Timestamp) -> Vec<Span> {
    let quit = ("    q quits".to_owned(), FAINT);
    if !is_running {
        let start = ("  start it with `hookring run`".to_owned(), Style::new());
        return vec![("not running".to_owned(), ERROR), start, quit];
    }
    let age = human_duration(since(status.started, now));
    let about = format!("  hookring {}, pid {}, for {age}", printable(&status.version), status.pid);
    vec![("running".to_owned(), GOOD), (about, Style::new()), quit]
}

fn bus(status: &Status) -> String {
    let used = total(status.places.iter().map(|place| place.used_bytes));
    let spool = total(status.places.iter().map(|place| place.spool_bytes));
    let dropped = total(status.places.iter().map(|place| place.dropped_events));
    let lanes = total(status.places.iter().map(|place| place.locked_lanes as u64));
    format!(
        "{:<10}{lanes} lanes in use, waiting {}, spool {}, dropped {dropped}, journal {}",
        "BUS",
        human_bytes(used),
        human_bytes(spool),
        human_bytes(status.journal.bytes)
    )
}

fn titles(screen: Screen) -> String {
    let cells = COLUMNS.map(|column| (column.title.to_owned(), Style::new()));
    columns(cells, &widths(screen.columns)).into_iter().map(|(text, _)| text).collect()
}

fn sink_line(sink: &SinkStatus, rate: &Rate, now: Timestamp, screen: Screen) -> Vec<Span> {
    let widths = widths(screen.columns);
    let (state, colour) = state_in_words(sink, now);
    let lag = lag(sink, now).map(human_duration).unwrap_or_default();
    let plain = |text: String| (text, Style::new());
    let bad = |count: u64| (short(count), if count > 0 { ERROR } else { Style::new() });
    let cells = [
        plain(printable(&sink.name).into_owned()),
        (state.strip_suffix(" more").unwrap_or(&state).to_owned(), colour),
        plain(per_second(rate.now())),
        plain(rate.spark(widths[SPARK], screen)),
        plain(short(sink.delivered_events)),
        plain(short(sink.lag_events)),
        plain(lag),
        bad(sink.kept_dead_letters),
        bad(sink.lost_events),
        plain(short(sink.retries)),
    ];
    columns(cells, &widths)
}

/// How wide each column is, 0: it has no room. What is left goes to the rates, then to the names.
fn widths(columns: usize) -> [usize; COLUMNS.len()] {
    let mut widths = COLUMNS.map(|column| column.width);
    let taken =
        |widths: &[usize]| widths.iter().filter(|it| **it > 0).map(|it| it + 1).sum::<usize>();
    // The name and the state stay; the line is cut if not even they fit.
    for rank in (2..COLUMNS.len()).rev() {
        if taken(&widths) > columns + 1 {
            let last = COLUMNS.iter().position(|column| column.rank == rank);
            last.into_iter().for_each(|last| widths[last] = 0);
        }
    }
    for (column, widest) in [(SPARK, WIDEST_SPARK), (0, WIDEST_NAME)] {
        if widths[column] > 0 {
            let left = (columns + 1).saturating_sub(taken(&widths));
            widths[column] += left.min(widest - widths[column]);
        }
    }
    widths
}

/// A line of the table: names to the left, numbers to the right, none wider than its column.
fn columns(cells: [Span; COLUMNS.len()], widths: &[usize; COLUMNS.len()]) -> Vec<Span> {
    let last = widths.iter().rposition(|width| *width > 0).unwrap_or(0);
    let shown = cells.into_iter().zip(widths).enumerate().filter(|(_, (_, width))| **width > 0);
    let cell = |(at, ((text, style), width)): (usize, (Span, &usize))| {
        let (text, used) = fit(&text, *width);
        let blank = " ".repeat(width - used);
        let text = match at {
            0 | 1 if at == last => text,
            0 | 1 => format!("{text}{blank} "),
            _ if at == last => format!("{blank}{text}"),
            _ => format!("{blank}{text} "),
        };
        (text, style)
    };
    shown.map(cell).collect()
}

/// A line as the terminal gets it.
fn cut(line: &[Span], screen: Screen) -> String {
    let (mut out, mut left) = (String::new(), screen.columns);
    for (text, style) in line {
        let (text, used) = if left == 0 { break } else { fit(text, left) };
        left -= used;
        match screen.is_coloured {
            true => out.push_str(&format!("{style}{text}{style:#}")),
            false => out.push_str(&text),
        }
    }
    out
}

fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 9999.5 => format!("{}/s", short(rate as u64)),
        rate if rate >= 99.95 => format!("{rate:.0}/s"),
        rate => format!("{rate:.1}/s"),
    }
}

/// A count in four characters at most, as far as there are letters for it.
fn short(count: u64) -> String {
    match count {
        0..=9999 => count.to_string(),
        10_000..=999_999 => format!("{}k", count / 1000),
        1_000_000..=999_999_999 => format!("{}M", count / 1_000_000),
        _ => format!("{}G", count / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests;
