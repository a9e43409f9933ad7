//! What came of the demo: counts, times, and where to look.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Stage;
use super::play::Played;
use crate::cli::style::{ERROR, FAINT, GOOD, HEADING};
use crate::cli::table::{Align, Cell, Table, counted, human_duration};
use crate::run::status::Status;

/// The figures, as `--json` prints them.
#[derive(Serialize)]
pub(super) struct Report {
    session_events: usize,
    sent: usize,
    journaled: usize,
    lost: usize,
    hook_process_p50_ns: u64,
    /// `None`: the program that does nothing is not there.
    floor_process_p50_ns: Option<u64>,
    timed_processes: usize,
    publish_to_journal_p50_ns: u64,
    publish_to_journal_p99_ns: u64,
    directory: String,
    journal: String,
    daemon_log: String,
    program: String,
    earlier_demos: Vec<String>,
}

impl Report {
    pub(super) fn new(stage: &Stage, played: &Played, status: &Status) -> Result<Report> {
        Ok(Report {
            session_events: played.session,
            sent: played.sent,
            journaled: played.journaled,
            lost: played.sent.saturating_sub(played.journaled),
            hook_process_p50_ns: median_ns(&played.hooks),
            floor_process_p50_ns: stage.floor.as_ref().map(|_| median_ns(&played.floors)),
            timed_processes: played.hooks.len(),
            publish_to_journal_p50_ns: status.publish_to_journal.p50_ns,
            publish_to_journal_p99_ns: status.publish_to_journal.p99_ns,
            directory: stage.dir.display().to_string(),
            journal: stage.journal().display().to_string(),
            daemon_log: stage.log().display().to_string(),
            program: stage.hookring.display().to_string(),
            earlier_demos: stage.earlier().iter().map(|dir| dir.display().to_string()).collect(),
        })
    }

    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    pub(super) fn write(&self, json: bool, out: &mut dyn Write) -> Result<()> {
        if json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        write!(out, "\n{}", self.figures())?;
        if self.floor_process_p50_ns.is_none() {
            writeln!(
                out,
                "{FAINT}The comparison with a process that does nothing is left out: hookring-floor is \
                 not beside {}. `cargo xtask demo` has it.{FAINT:#}",
                self.program
            )?;
        }
        writeln!(out)?;
        let mut places = Table::new([Align::Left, Align::Left]);
        places.row([Cell::from("journal"), Cell::from(&self.journal)]);
        places.row([Cell::from("ring, spool, status"), Cell::from(&self.directory)]);
        places.row([Cell::from("the daemon's messages"), Cell::from(&self.daemon_log)]);
        write!(out, "{HEADING}Look around{HEADING:#}\n{places}")?;
        writeln!(
            out,
            "{FAINT}The demo's daemon has ended, so its status says that it is not running. Among the counts are the \
             {} events that timed the hook: the session over and over, so that many count as reported twice.{FAINT:#}",
            self.repeated()
        )?;
        // By its path: it may not be installed yet.
        writeln!(out, "HOOKRING_DIR={} {} status", self.directory, self.program)?;
        writeln!(out, "{HEADING}And then{HEADING:#}\nrm -r {}", self.directory)?;
        if !self.earlier_demos.is_empty() {
            // Each by its name: there may be demos that still play.
            let demos = counted(self.earlier_demos.len() as u64, "earlier demo");
            writeln!(out, "rm -r {}  # of {demos}", self.earlier_demos.join(" "))?;
        }
        Ok(())
    }

    /// Events that were sent to time the hook alone.
    fn repeated(&self) -> usize {
        self.sent.saturating_sub(self.session_events)
    }

    fn figures(&self) -> Table {
        let time = |ns| human_duration(Duration::from_nanos(ns));
        let mut table = Table::new([Align::Left, Align::Right]);
        let mut row = |what: &str, value: Cell| table.row([Cell::from(what), value]);
        let (session, again) = (self.session_events, self.repeated());
        let sent = format!("events sent ({session} shown, {again} more to time the hook)");
        row(&sent, Cell::from(self.sent));
        row("events journaled", Cell::from(self.journaled));
        let colour = if self.lost == 0 { GOOD } else { ERROR };
        row("events lost", Cell::styled(&self.lost.to_string(), colour));
        let hook = format!("a hook, from spawn to exit (median of {})", self.timed_processes);
        row(&hook, Cell::from(time(self.hook_process_p50_ns)));
        if let Some(floor_ns) = self.floor_process_p50_ns {
            let nothing = "a process that does nothing but read its stdin, in turns with the hook";
            row(nothing, Cell::from(time(floor_ns)));
            let ratio = self.hook_process_p50_ns as f64 / floor_ns.max(1) as f64;
            row("a hook takes, as a multiple of that", Cell::from(format!("{ratio:.2} ×")));
        }
        row(
            "an event of the session, from publish to journal (p50)",
            Cell::from(time(self.publish_to_journal_p50_ns)),
        );
        row(
            "an event of the session, from publish to journal (p99)",
            Cell::from(time(self.publish_to_journal_p99_ns)),
        );
        table
    }
}

fn median_ns(times: &[Duration]) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    u64::try_from(median.as_nanos()).unwrap_or(u64::MAX)
}
