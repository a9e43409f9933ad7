//! `hookring journal verify` and `repair`.

use std::io::{self, Write};

use anyhow::Result;
use hookring_journal::repair::SegmentReport;
use hookring_journal::{self as journal, Report};
use serde_json::json;

use super::args::JsonArgs;
use super::progress::Progress;
use super::style::{ERROR, GOOD, WARNING};
use super::table::{Align, Cell, Table, counted, human_bytes};
use super::{Exit, require_journal};
use crate::paths::Paths;

/// Checks every line. Damage is exit code 1.
///
/// # Errors
/// There is no journal, or it could not be read.
pub fn verify(
    args: &JsonArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    require_journal(paths)?;
    let mut progress = Progress::new(err);
    let report = journal::verify(&paths.journal, |done, total| progress.show(done, total))?;
    progress.clear();
    // A running daemon may be in the middle of the last line.
    let running = journal::is_in_use(&paths.journal)?;
    let damaged = |segment: &&SegmentReport| {
        segment.is_damaged() && !(running && segment.bad_lines == 0 && is_last(&report, segment))
    };
    let exit = if report.segments.iter().any(|s| damaged(&s)) { Exit::Failed } else { Exit::Fine };
    if args.json {
        writeln!(
            out,
            "{}",
            serde_json::to_string_pretty(&verify_json(&report, exit == Exit::Fine))?
        )?;
        return Ok(exit);
    }
    show_segments(&report, out)?;
    if exit == Exit::Fine {
        writeln!(out, "{GOOD}whole{GOOD:#}")?;
    } else if report
        .segments
        .iter()
        .filter(damaged)
        .all(|s| s.bad_lines == 0 && is_last(&report, s))
    {
        writeln!(
            out,
            "{WARNING}unfinished{WARNING:#}: the last line is not whole; the next `hookring run` cuts it off"
        )?;
    } else {
        writeln!(
            out,
            "{ERROR}damaged{ERROR:#}: damaged lines are passed over; `hookring journal repair` sets them aside"
        )?;
    }
    Ok(exit)
}

fn is_last(report: &Report, segment: &SegmentReport) -> bool {
    report.segments.last().is_some_and(|last| last.path == segment.path)
}

fn show_segments(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    use Align::{Left, Right};
    let titles = [
        ("SEGMENT", Left),
        ("EVENTS", Right),
        ("SIZE", Right),
        ("BAD LINES", Right),
        ("TORN", Right),
    ];
    let mut table = Table::with_titles(titles);
    for segment in &report.segments {
        let bad = if segment.bad_lines > 0 { ERROR } else { anstyle::Style::new() };
        table.row([
            Cell::from(segment.path.display()),
            Cell::from(segment.lines),
            Cell::from(human_bytes(segment.bytes)),
            Cell::styled(&segment.bad_lines.to_string(), bad),
            Cell::from(human_bytes(segment.torn_bytes)),
        ]);
    }
    write!(out, "{table}")?;
    for segment in &report.segments {
        for line in &segment.bad {
            writeln!(
                out,
                "{WARNING}{}{WARNING:#}: byte {}, {}: {}",
                segment.path.display(),
                line.offset,
                counted(line.len, "byte"),
                line.why
            )?;
        }
    }
    for gap in &report.missing.gaps {
        let (first, last) = (gap.first, gap.last);
        let which = if first == last {
            format!("event {first}")
        } else {
            format!("events {first} to {last}")
        };
        writeln!(out, "no {which} (a restart may leave numbers out)")?;
    }
    Ok(())
}

fn verify_json(report: &Report, whole: bool) -> serde_json::Value {
    let segments = report.segments.iter().map(|segment| {
        let bad = segment.bad.iter().map(
            |line| json!({"offset": line.offset, "bytes": line.len, "why": line.why.to_string()}),
        );
        json!({
            "path": segment.path.display().to_string(),
            "first_seq": segment.first_seq,
            "events": segment.lines,
            "bytes": segment.bytes,
            "bad_lines": segment.bad_lines,
            "torn_bytes": segment.torn_bytes,
            "bad": bad.collect::<Vec<_>>(),
        })
    });
    json!({ "whole": whole, "segments": segments.collect::<Vec<_>>(), "missing": report.missing.missing })
}

/// Moves damaged lines out of the way.
///
/// # Errors
/// There is no journal, the daemon runs, or the journal could not be rewritten.
pub fn repair(
    args: &JsonArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    require_journal(paths)?;
    let mut progress = Progress::new(err);
    let report = journal::repair(&paths.journal, |done, total| progress.show(done, total))?;
    progress.clear();
    let repaired = report.repaired.iter().map(|segment| {
        json!({
            "path": segment.before.path.display().to_string(),
            "bad_lines": segment.before.bad_lines,
            "bad_bytes": segment.bad_bytes,
            "set_aside": segment.bad_path.display().to_string(),
        })
    });
    let repaired: Vec<_> = repaired.collect();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&json!({ "repaired": repaired }))?)?;
        return Ok(Exit::Fine);
    }
    if report.repaired.is_empty() {
        writeln!(out, "{GOOD}whole{GOOD:#}: nothing to repair")?;
    }
    for segment in &report.repaired {
        writeln!(
            out,
            "{GOOD}repaired{GOOD:#} {}: {} ({}) now in {}",
            segment.before.path.display(),
            counted(segment.before.bad_lines, "damaged line"),
            human_bytes(segment.bad_bytes),
            segment.bad_path.display()
        )?;
    }
    Ok(Exit::Fine)
}
