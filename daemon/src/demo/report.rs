//! What came of the demo: counts, times, and where to look.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Stage;
use super::play::Played;
use crate::cli::style::{ERROR, GOOD, HEADING};
use crate::cli::table::{Align, Cell, Table, human_duration};
use crate::run::status::Status;

/// The figures, as `--json` prints them.
#[derive(Serialize)]
pub(super) struct Report {
    sent: usize,
    journaled: usize,
    lost: usize,
    hook_process_p50_ns: u64,
    switched_off_process_p50_ns: u64,
    publish_to_journal_p50_ns: u64,
    publish_to_journal_p99_ns: u64,
    directory: String,
    journal: String,
    daemon_log: String,
}

impl Report {
    pub(super) fn new(stage: &Stage, played: &Played, status: &Status) -> Result<Report> {
        Ok(Report {
            sent: played.sent,
            journaled: played.journaled,
            lost: played.sent.saturating_sub(played.journaled),
            hook_process_p50_ns: median_ns(&played.hooks),
            switched_off_process_p50_ns: median_ns(&played.switched_off),
            publish_to_journal_p50_ns: status.publish_to_journal.p50_ns,
            publish_to_journal_p99_ns: status.publish_to_journal.p99_ns,
            directory: stage.dir.display().to_string(),
            journal: stage.journal().display().to_string(),
            daemon_log: stage.log().display().to_string(),
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
        let time = |ns| Cell::from(human_duration(Duration::from_nanos(ns)));
        let mut table = Table::new([Align::Left, Align::Right]);
        table.row([Cell::from("events sent"), Cell::from(self.sent)]);
        table.row([Cell::from("events journaled"), Cell::from(self.journaled)]);
        let colour = if self.lost == 0 { GOOD } else { ERROR };
        table.row([Cell::from("events lost"), Cell::styled(&self.lost.to_string(), colour)]);
        table.row([Cell::from("a hook, from spawn to exit (p50)"), time(self.hook_process_p50_ns)]);
        table.row([
            Cell::from("the same, switched off: reads its input, exits (p50)"),
            time(self.switched_off_process_p50_ns),
        ]);
        table.row([
            Cell::from("from publish to journal (p50)"),
            time(self.publish_to_journal_p50_ns),
        ]);
        table.row([
            Cell::from("from publish to journal (p99)"),
            time(self.publish_to_journal_p99_ns),
        ]);
        write!(out, "\n{table}\n")?;
        let mut places = Table::new([Align::Left, Align::Left]);
        places.row([Cell::from("journal"), Cell::from(&self.journal)]);
        places.row([Cell::from("ring, spool, status"), Cell::from(&self.directory)]);
        places.row([Cell::from("the daemon's messages"), Cell::from(&self.daemon_log)]);
        write!(out, "{HEADING}Look around{HEADING:#}\n{places}")?;
        writeln!(out, "{HEADING}And then{HEADING:#}\nrm -r {}", self.directory)?;
        Ok(())
    }
}

fn median_ns(times: &[Duration]) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    u64::try_from(median.as_nanos()).unwrap_or(u64::MAX)
}
