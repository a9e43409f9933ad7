//! The sinks in `hookring status`: a table, and below it what does not fit into one.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::Style;
use jiff::Timestamp;

use super::attention::has_ended_well;
use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};
use super::table::{Align, Cell, Table, counted, human_duration};
use crate::config::{Orphan, Warning};
use crate::run::status::{NEWS, SinkStatus, Status, since};

/// Shows each sink, and cursors without one.
pub(super) fn show_sinks(status: &Status, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    use Align::{Left, Right};
    if status.sinks.is_empty() {
        writeln!(out, "\n{HEADING}SINKS{HEADING:#}\nnone configured")?;
        return show_orphans(&status.orphaned_cursors, out);
    }
    let titles = [
        ("SINK", Left),
        ("STATE", Left),
        ("DELIVERED", Right),
        ("BEHIND", Right),
        ("FOR", Right),
        ("DEAD", Right),
        ("LOST", Right),
        ("RETRIES", Right),
    ];
    let mut table = Table::with_titles(titles);
    for sink in &status.sinks {
        let (state, colour) = state_in_words(sink, now);
        let bad =
            |count: u64| Cell::styled(&count.to_string(), if count > 0 { ERROR } else { FAINT });
        let lag = lag(sink, now).map(human_duration).unwrap_or_default();
        table.row([
            Cell::from(&sink.name),
            Cell::styled(&state, colour),
            Cell::from(sink.delivered_events),
            Cell::from(sink.lag_events),
            Cell::from(lag),
            bad(sink.kept_dead_letters),
            bad(sink.lost_events),
            Cell::from(sink.retries),
        ]);
    }
    write!(out, "\n{table}")?;
    for sink in &status.sinks {
        for line in details(sink, now) {
            writeln!(out, "{FAINT}{}: {}{FAINT:#}", printable(&sink.name), printable(&line))?;
        }
    }
    show_orphans(&status.orphaned_cursors, out)
}

/// For how long the oldest event waits that a sink does not have yet.
pub(super) fn lag(sink: &SinkStatus, now: Timestamp) -> Option<Duration> {
    let oldest = sink.oldest_undelivered_at.filter(|_| sink.lag_events > 0)?;
    Some(since(oldest, now))
}

/// What a sink does, its breaker included.
pub(super) fn state_in_words(sink: &SinkStatus, now: Timestamp) -> (String, Style) {
    let left = sink.waits_until.map(|until| since(now, until)).filter(|left| !left.is_zero());
    let why = match sink.waits_because.as_deref() {
        Some("throttled") => "throttled",
        Some("refused") => "refused",
        _ if sink.breaker == "open" => "open",
        _ => "retrying",
    };
    match (&*sink.state, left) {
        ("running", Some(left)) if why == "throttled" => {
            (format!("throttled, {} more", human_duration(left)), WARNING)
        }
        ("retrying", Some(left)) => (format!("{why}, {} more", human_duration(left)), WARNING),
        ("retrying" | "running", _) if sink.breaker == "half_open" => {
            ("half-open".to_owned(), WARNING)
        }
        ("running", _) => ("running".to_owned(), GOOD),
        ("stopped" | "paused", _) => (sink.state.clone(), FAINT),
        ("off", _) => ("off".to_owned(), ERROR),
        (state, _) => (state.to_owned(), WARNING),
    }
}

fn show_orphans(orphans: &[Orphan], out: &mut dyn Write) -> io::Result<()> {
    if orphans.is_empty() {
        return Ok(());
    }
    let warning = Warning::Orphans { orphans: orphans.to_vec() };
    writeln!(out, "{WARNING}{}{WARNING:#}", printable(&warning.to_string()))
}

/// What is worth a line of its own.
fn details(sink: &SinkStatus, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if sink.state == "paused" {
        let why = sink.off_reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(format!("paused{why}; `hookring sink resume {}` has it go on", sink.name));
    }
    if let (Some(with), Some(at)) = (sink.began_with, sink.began_at)
        && since(at, now) < NEWS
    {
        let ago = human_duration(since(at, now));
        lines.push(format!(
            "new {ago} ago, and began with event {with}, the next one then (`start = \"now\"`); `hookring sink reset \
             {} --to oldest` has it sent what the journal has",
            sink.name
        ));
    }
    if let Some(replay) = &sink.replay {
        let next_at = replay.next_at.map(|at| since(now, at)).filter(|wait| !wait.is_zero());
        let next = next_at.map(|wait| format!(", the next in {}", human_duration(wait)));
        lines.push(format!(
            "replays events {} to {}, is at {}, {} sent{}",
            replay.first,
            replay.last,
            replay.next,
            replay.sent_events,
            next.unwrap_or_default()
        ));
    }
    if let Some(retry) = &sink.retry {
        lines.push(format!(
            "sends {} again: {} taken, {} refused",
            counted(retry.left, "dead letter"),
            retry.taken,
            retry.refused
        ));
    }
    let counts = sink.counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<_> =
        counts.map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
    if !counts.is_empty() {
        lines.push(counts.join(", "));
    }
    // Where it does not work, the error stands at the end.
    if let (Some(error), Some(at)) = (&sink.last_error, sink.last_error_at)
        && (matches!(&*sink.state, "running" | "opening" | "paused") || has_ended_well(sink))
        && since(at, now) < NEWS
    {
        lines.push(format!("last error {} ago: {error}", human_duration(since(at, now))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn sink(state: &str, breaker: &str) -> SinkStatus {
        SinkStatus {
            name: "s".to_owned(),
            state: state.to_owned(),
            breaker: breaker.to_owned(),
            ..SinkStatus::default()
        }
    }

    fn waiting(because: &str) -> SinkStatus {
        SinkStatus {
            waits_until: Some(at(42)),
            waits_because: Some(because.to_owned()),
            ..sink("retrying", "open")
        }
    }

    #[test]
    fn the_state_says_how_the_breaker_stands_and_until_when() {
        for (sink, expected) in [
            (sink("running", "closed"), "running"),
            (sink("running", "half_open"), "half-open"),
            (sink("retrying", "closed"), "retrying"),
            (sink("retrying", "half_open"), "half-open"),
            (waiting("failed"), "open, 42.0 s more"),
            (waiting("throttled"), "throttled, 42.0 s more"),
            (
                SinkStatus { state: "running".to_owned(), ..waiting("throttled") },
                "throttled, 42.0 s more",
            ),
            (waiting("refused"), "refused, 42.0 s more"),
            (
                SinkStatus { breaker: "closed".to_owned(), ..waiting("failed") },
                "retrying, 42.0 s more",
            ),
            (SinkStatus { waits_until: Some(at(-1)), ..waiting("failed") }, "retrying"),
            (sink("paused", "closed"), "paused"),
            (sink("off", "closed"), "off"),
            // As a daemon before this version wrote it.
            (sink("running", ""), "running"),
        ] {
            assert_eq!(state_in_words(&sink, at(0)).0, expected, "{sink:?}");
        }
    }

    #[test]
    fn a_sink_is_a_line_of_80_columns_and_what_is_special_stands_below() {
        let busy = SinkStatus {
            delivered_events: 1_234_567,
            lag_events: 12_345,
            oldest_undelivered_at: Some(at(-7200)),
            kept_dead_letters: 3,
            lost_events: 20,
            retries: 99,
            ..waiting("refused")
        };
        let paused = SinkStatus {
            off_reason: Some("we move\u{1b}".to_owned()),
            last_error: Some("it was down".to_owned()),
            last_error_at: Some(at(-60)),
            ..sink("paused", "closed")
        };
        let orphan = Orphan { sink: "old".to_owned(), next_seq: 17, followed_by: None };
        let status = Status {
            sinks: vec![busy, paused],
            orphaned_cursors: vec![orphan],
            ..Status::default()
        };
        let mut shown = Vec::new();
        show_sinks(&status, at(0), &mut shown).expect("written");
        let shown = String::from_utf8(shown).expect("text");
        let plain = anstream::adapter::strip_str(&shown).to_string();
        insta::assert_snapshot!(plain.trim_start(), @r"
        SINK  STATE                 DELIVERED  BEHIND    FOR  DEAD  LOST  RETRIES
        s     refused, 42.0 s more    1234567   12345  2h 0m     3    20       99
        s     paused                        0       0            0     0        0
        s: paused: we move\u{1b}; `hookring sink resume s` has it go on
        s: last error 1m 0s ago: it was down
        there is a cursor of sink old, which is not configured: if it has another name now, run `hookring sink reset NAME --to 17` before `hookring reload` or the start, and that goes on where old was, else it begins anew; `hookring sink forget old` removes the cursor
        ");
    }
}
