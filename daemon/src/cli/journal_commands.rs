//! `hookring journal verify`, `repair` and `export`.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hookring_journal::repair::SegmentReport;
use hookring_journal::{self as journal, Filter, Report};
use serde_json::json;

use super::Exit;
use super::args::{ExportArgs, JsonArgs};
use super::style::{ERROR, GOOD, WARNING};
use super::table::{Align, Cell, Table, human_bytes};
use crate::paths::Paths;

/// Checks every line. Damage is exit code 1.
///
/// # Errors
/// The journal could not be read.
pub fn verify(
    args: &JsonArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
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
                "{WARNING}{}{WARNING:#}: byte {}, {} bytes: {}",
                segment.path.display(),
                line.offset,
                line.len,
                line.why
            )?;
        }
    }
    for gap in &report.missing.gaps {
        writeln!(out, "no events {} to {} (a restart may leave numbers out)", gap.first, gap.last)?;
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
/// The daemon runs, or the journal could not be rewritten.
pub fn repair(
    args: &JsonArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
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
            "{GOOD}repaired{GOOD:#} {}: {} damaged lines ({}) are now in {}",
            segment.before.path.display(),
            segment.before.bad_lines,
            human_bytes(segment.bad_bytes),
            segment.bad_path.display()
        )?;
    }
    Ok(Exit::Fine)
}

/// Writes events as they stand in the journal.
///
/// # Errors
/// The journal could not be read, or the output not written.
pub fn export(
    args: &ExportArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let filter = Filter { since: args.since, until: args.until, session: args.session.clone() };
    let mut file;
    let out: &mut dyn Write = match &args.output {
        Some(path) => {
            let mut options = OpenOptions::new();
            let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
            file = opened.with_context(|| format!("cannot write {}", path.display()))?;
            &mut file
        }
        None => out,
    };
    let mut out = BufWriter::new(out);
    let mut progress = Progress::new(err);
    let exported = journal::export(&paths.journal, &filter, &mut out, |done, total| {
        progress.show(done, total);
    })?;
    out.flush()?;
    progress.clear();
    if args.output.is_some() {
        writeln!(err, "{} events", exported.events)?;
    }
    if exported.skipped.bad_lines > 0 {
        writeln!(
            err,
            "{WARNING}{} damaged lines were passed over{WARNING:#}",
            exported.skipped.bad_lines
        )?;
    }
    Ok(Exit::Fine)
}

/// A line on a terminal that says how far long work is; nothing elsewhere, nothing for short work.
struct Progress<'a> {
    err: &'a mut dyn Write,
    begun: Instant,
    shown: Option<Instant>,
    terminal: bool,
}

impl<'a> Progress<'a> {
    fn new(err: &'a mut dyn Write) -> Progress<'a> {
        let terminal = io::stderr().is_terminal();
        Progress { err, begun: Instant::now(), shown: None, terminal }
    }

    fn show(&mut self, done: u64, total: u64) {
        let last = self.shown.unwrap_or(self.begun);
        if !self.terminal || last.elapsed() < Duration::from_millis(200) {
            return;
        }
        self.shown = Some(Instant::now());
        let percent = (done.min(total) * 100).checked_div(total).unwrap_or(100);
        // Without a terminal to show it on, the work goes on all the same.
        let _ = write!(
            self.err,
            "\r\x1b[K{} of {} ({percent} %)",
            human_bytes(done),
            human_bytes(total)
        );
        let _ = self.err.flush();
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(self.err, "\r\x1b[K");
        }
    }
}
