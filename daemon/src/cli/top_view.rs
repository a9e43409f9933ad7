//! What `hookring top` shows: lines of text from what the status said before and says now. No clock, no
//! terminal.

use std::collections::{BTreeMap, VecDeque};

use anstyle::Style;
use jiff::Timestamp;
use unicode_width::UnicodeWidthChar;

use super::attention::total;
use super::status_sinks::{lag, state_in_words};
use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};
use super::table::{human_bytes, human_duration};
use crate::run::status::{SinkStatus, Status, since};

/// So many rates are remembered of each figure: a minute's, at one a second.
const REMEMBERED: usize = 60;
/// The widths of a sink's columns; with blanks in between they are 80.
const WIDTHS: [usize; 7] = [14, 20, 8, 12, 8, 7, 5];
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
    let mut lines = vec![head(status, is_running, now), Vec::new()];
    let rate = |name: &str, rate: &Rate, rest: String| {
        let text = format!(
            "{name:<10}{:>10}  {}  {rest}",
            per_second(rate.now()),
            rate.spark(LONG_SPARK, screen)
        );
        vec![(text, Style::new())]
    };
    let journal = &status.journal;
    lines.push(rate("EVENTS IN", &rates.events, status.events.to_string()));
    lines.push(rate("JOURNALED", &rates.journaled, format!("last {}", journal.written_seq)));
    lines.push(vec![(bus(status), Style::new())]);
    lines.push(Vec::new());
    lines.push(vec![(titles(), HEADING)]);
    // The hints below take what the sinks leave, and at least a line if there is something to say.
    let kept = if problems.is_empty() { 0 } else { 3 };
    let room = screen.lines.saturating_sub(lines.len() + kept).max(1);
    let shown = if status.sinks.len() > room { room - 1 } else { status.sinks.len() };
    let mut sinks: Vec<_> = status.sinks.iter().collect();
    // Those that do not work first, where not all can be shown.
    if shown < sinks.len() {
        sinks.sort_by_key(|sink| sink.state == "running" && sink.lag_events == 0);
    }
    for sink in &sinks[..shown] {
        let rate = rates.sinks.get(&sink.name).cloned().unwrap_or_default();
        lines.push(sink_line(sink, &rate, now, screen));
    }
    match sinks.len() - shown {
        0 if sinks.is_empty() => lines.push(vec![("no sink is configured".to_owned(), FAINT)]),
        0 => {}
        more => lines.push(vec![(format!("and {more} more"), FAINT)]),
    }
    if !problems.is_empty() {
        lines.extend([Vec::new(), vec![("NEEDS ATTENTION".to_owned(), HEADING)]]);
        let said = problems.iter().flat_map(|problem| problem.lines());
        lines.extend(said.map(|line| vec![(printable(line).into_owned(), WARNING)]));
    }
    lines.truncate(screen.lines);
    lines.iter().map(|line| cut(line, screen)).collect()
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

fn titles() -> String {
    columns(["SINK", "STATE", "RATE", "", "BEHIND", "FOR", "DEAD"].map(str::to_owned))
}

fn sink_line(sink: &SinkStatus, rate: &Rate, now: Timestamp, screen: Screen) -> Vec<Span> {
    let (state, colour) = state_in_words(sink, now);
    let lag = lag(sink, now).map(human_duration).unwrap_or_default();
    let text = columns([
        printable(&sink.name).into_owned(),
        state.clone(),
        per_second(rate.now()),
        rate.spark(WIDTHS[3], screen),
        short(sink.lag_events),
        lag,
        short(sink.kept_dead_letters),
    ]);
    // The state alone has a colour; the columns before it have a fixed width.
    let begin = text.char_indices().scan(0, |at, (byte, char)| {
        let here = (*at, byte);
        *at += char.width().unwrap_or(0);
        Some(here)
    });
    let at = |column: usize| {
        begin.clone().find(|(at, _)| *at >= column).map_or(text.len(), |(_, byte)| byte)
    };
    let (from, to) = (at(WIDTHS[0] + 1), at(WIDTHS[0] + 1 + WIDTHS[1]));
    vec![
        (text[..from].to_owned(), Style::new()),
        (text[from..to].to_owned(), colour),
        (text[to..].to_owned(), Style::new()),
    ]
}

/// A line of the table: names to the left, numbers to the right, none wider than its column.
fn columns(cells: [String; 7]) -> String {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(WIDTHS).enumerate() {
        let (text, used) = fit(cell, width);
        let blank = " ".repeat(width - used);
        if at > 0 {
            line.push(' ');
        }
        match at {
            0 | 1 => line.extend([&*text, &*blank]),
            _ => line.extend([&*blank, &*text]),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// As much of a text as fits, and its width; what is cut off leaves a mark.
fn fit(text: &str, width: usize) -> (String, usize) {
    let whole: usize = text.chars().filter_map(UnicodeWidthChar::width).sum();
    if whole <= width {
        return (text.to_owned(), whole);
    }
    let (mut cut, mut used) = (String::new(), 0);
    for char in text.chars() {
        let more = char.width().unwrap_or(0);
        if used + more >= width {
            break;
        }
        cut.push(char);
        used += more;
    }
    cut.push('~');
    (cut, used + 1)
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

/// A count in five characters at most, as far as there are letters for it.
fn short(count: u64) -> String {
    match count {
        0..=9999 => count.to_string(),
        10_000..=9_999_999 => format!("{}k", count / 1000),
        10_000_000..=9_999_999_999 => format!("{}M", count / 1_000_000),
        _ => format!("{}G", count / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests;
