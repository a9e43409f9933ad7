//! `hookring status`: what the daemon, the bus, the journal and each sink are doing.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Exit;
use super::args::JsonArgs;
use super::places_now;
use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};
use super::table::{Align, Cell, Table, human_bytes, human_duration};
use crate::paths::Paths;
use crate::run::place_log::no_ring;
use crate::run::status::{Latency, PlaceStatus, SinkStatus, Status, Waited};
use hookring_journal as journal;
use jiff::Timestamp;

/// Shows the status file, and whether the daemon that wrote it lives. A daemon that does not is
/// exit code 1, so that a script can ask.
///
/// # Errors
/// The result could not be written, or it cannot be found out whether a daemon runs.
pub fn status(args: &JsonArgs, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let journal = &paths.journal;
    let running = journal::is_in_use(journal).with_context(|| {
        format!("cannot ask for the lock of the journal in {}", journal.display())
    })?;
    let file = &paths.status_file;
    let (status, unreadable) = match Status::read(file) {
        Ok(status) => (status, None),
        // Whether a daemon runs is known all the same.
        Err(error) => (None, Some(format!("cannot read {}: {error}; remove it", file.display()))),
    };
    let exit = if running { Exit::Fine } else { Exit::Failed };
    // What the daemon said of the places is over; hooks go on there without it.
    let said = status.as_ref().map_or(&[][..], |status| &status.places);
    let places = (!running).then(|| places_now::look(paths, said));
    if args.json {
        let mut json = match &status {
            Some(status) => serde_json::to_value(status)?,
            None => serde_json::json!({}),
        };
        json["running"] = running.into();
        if let Some(places) = &places {
            json["places"] = serde_json::to_value(places)?;
        }
        if let Some(error) = unreadable {
            json["error"] = error.into();
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        return Ok(exit);
    }
    show_daemon(running, status.as_ref(), out)?;
    if let Some(error) = unreadable {
        writeln!(out, "{WARNING}{}{WARNING:#}", printable(&error))?;
    }
    match (status, places) {
        (Some(status), None) => {
            show_places(&status, out)?;
            if let Some(text) = no_ring(status.places.iter().map(|place| place.lanes)) {
                writeln!(out, "{WARNING}{text}{WARNING:#}")?;
            }
            show_the_rest(&status, out)?;
        }
        (said, Some(places)) => {
            places_now::show(&places, out)?;
            let is_said = said.is_some();
            let status = Status { places, ..said.unwrap_or_default() };
            if is_said {
                let age = human_duration(since(status.updated));
                writeln!(out, "\n{FAINT}what follows is from {age} ago{FAINT:#}")?;
                show_the_rest(&status, out)?;
            } else {
                show_problems(&status, out)?;
            }
        }
        (None, None) => {}
    }
    Ok(exit)
}

fn show_daemon(running: bool, status: Option<&Status>, out: &mut dyn Write) -> io::Result<()> {
    match (running, status) {
        (true, Some(status)) => {
            let age = human_duration(since(status.started));
            writeln!(
                out,
                "{GOOD}running{GOOD:#}  hookring {}, pid {}, for {age}",
                status.version, status.pid
            )?;
            show_events(status, out)?;
            let config = status.config.as_deref().unwrap_or("the defaults, there is no file");
            writeln!(out, "{FAINT}configuration: {}{FAINT:#}", printable(config))
        }
        (true, None) => writeln!(out, "{GOOD}running{GOOD:#}  it has not said anything yet"),
        (false, None) => writeln!(out, "{ERROR}not running{ERROR:#}  start it with `hookring run`"),
        (false, Some(_)) => writeln!(
            out,
            "{ERROR}not running{ERROR:#}  hooks' events wait in ring and spool; start it with `hookring run`"
        ),
    }
}

/// How many events came, and how long they took.
fn show_events(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let time = |ns| human_duration(Duration::from_nanos(ns));
    let Latency { count, p50_ns, p99_ns, .. } = status.publish_to_journal;
    write!(out, "{} events since then", status.events)?;
    if count > 0 {
        let [p50, p99] = [p50_ns, p99_ns].map(time);
        write!(out, ", from publish to journal {p50} (p50), {p99} (p99)")?;
    }
    let Waited { events, longest_ns } = status.waited;
    if events > 0 {
        let which = if events == status.events { "all" } else { &format!("{events} of them") };
        let longest = time(longest_ns);
        write!(out, "\n{which} had waited for a daemon, for up to {longest}")?;
        if count > 0 {
            write!(out, ", and are not in these times")?;
        }
    }
    writeln!(out)
}

fn since(time: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(time)).unwrap_or_default()
}

fn show_places(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    use Align::{Left, Right};
    let titles = [
        ("BUS", Left),
        ("LANES", Right),
        ("IN USE", Right),
        ("WAITING", Right),
        ("SPOOL", Right),
        ("DROPPED", Right),
    ];
    let mut table = Table::with_titles(titles);
    for place in &status.places {
        if let Some(reason) = &place.refused {
            // A place that is simply not there is no news.
            if reason != "missing" {
                let reason = Cell::styled(&format!("not used: {reason}"), WARNING);
                table.row([
                    Cell::from(&place.path),
                    reason,
                    "".into(),
                    "".into(),
                    "".into(),
                    "".into(),
                ]);
            }
            continue;
        }
        let dropped = if place.dropped_events > 0 { ERROR } else { FAINT };
        table.row([
            Cell::from(&place.path),
            Cell::from(place.lanes),
            Cell::from(place.locked_lanes),
            Cell::from(human_bytes(place.used_bytes)),
            Cell::from(human_bytes(place.spool_bytes)),
            Cell::styled(&place.dropped_events.to_string(), dropped),
        ]);
    }
    write!(out, "\n{table}")
}

fn show_the_rest(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    show_journal(status, out)?;
    show_sinks(status, out)?;
    show_counts(status, out)?;
    show_problems(status, out)
}

fn show_journal(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    use Align::{Left, Right};
    let journal = &status.journal;
    let titles = [
        ("JOURNAL", Left),
        ("LAST", Right),
        ("SYNCED", Right),
        ("SEGMENTS", Right),
        ("SIZE", Right),
    ];
    let mut table = Table::with_titles(titles);
    table.row([
        Cell::from(&journal.path),
        Cell::from(journal.written_seq),
        Cell::from(journal.synced_seq),
        Cell::from(journal.segments),
        Cell::from(human_bytes(journal.bytes)),
    ]);
    write!(out, "\n{table}")
}

fn show_sinks(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    use Align::{Left, Right};
    if status.sinks.is_empty() {
        return writeln!(out, "\n{HEADING}SINKS{HEADING:#}\nnone configured");
    }
    let titles = [
        ("SINK", Left),
        ("STATE", Left),
        ("DELIVERED", Right),
        ("BEHIND", Right),
        ("RETRIES", Right),
    ];
    let mut table = Table::with_titles(titles);
    for sink in &status.sinks {
        let state = match &*sink.state {
            "running" => GOOD,
            "stopped" => FAINT,
            _ => WARNING,
        };
        table.row([
            Cell::from(&sink.name),
            Cell::styled(&sink.state, state),
            Cell::from(sink.delivered_events),
            Cell::from(sink.lag_events),
            Cell::from(sink.retries),
        ]);
    }
    write!(out, "\n{table}")
}

/// Everything that was dropped, cut, repaired or refused; nothing where there is nothing.
fn show_counts(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let counts = &status.counts;
    let figures = [
        (counts.not_json_events, "events whose payload is not JSON (kept as text or base64)"),
        (
            counts.truncated_events,
            "events that are cut (a writer that did not finish, or too large)",
        ),
        (counts.condemned_lanes, "damaged lanes"),
        (counts.damaged_bytes, "bytes of damaged lanes without an event"),
        (counts.clamped_stamps, "time stamps from the future"),
        (counts.bad_spool_entries, "damaged spool entries set aside"),
        (counts.journaled_spool_entries, "spool entries removed because the journal had them"),
        (
            status.places.iter().map(|place| place.stuck_spool_entries as u64).sum(),
            "spool entries that are journaled and cannot be removed",
        ),
        (
            status.places.iter().map(|place| place.unreadable_spool_entries as u64).sum(),
            "spool entries that cannot be read, kept and tried again (.unreadable-…)",
        ),
        (counts.mended_spool_counters, "counters of spools set right"),
        (counts.retired_rings, "rings replaced"),
        (status.journal.bad_lines, "damaged journal lines (hookring journal verify)"),
        (status.journal.cut_bytes, "bytes cut off behind the journal's last whole line"),
        (status.journal.sync_errors, "failed syncs of the journal"),
        (status.journal.pauses, "times the journal could take nothing"),
        (status.journal.removed_segments, "journal segments that somebody removed"),
        (status.journal.removed_events, "events that went with them"),
        (
            status.sinks.iter().map(|sink| sink.skipped_events).sum(),
            "events gone before a sink had them",
        ),
    ];
    let mut table = Table::new([Align::Right, Align::Left]);
    for (count, what) in figures.into_iter().filter(|(count, _)| *count > 0) {
        table.row([Cell::from(count), Cell::from(what)]);
    }
    let text = table.to_string();
    if !text.is_empty() {
        write!(out, "\n{HEADING}SINCE THE START{HEADING:#}\n{text}")?;
    }
    Ok(())
}

/// What somebody should do something about, last, so that it stands above the prompt.
fn show_problems(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let lacks = status.places.iter().flat_map(|place| {
        [
            ("has no ring", &place.ring_error),
            ("had a ring that was replaced", &place.ring_damage),
            ("has no spool", &place.spool_error),
        ]
        .map(|(what, error)| Some(format!("{} {what}: {}", place.path, error.as_ref()?)))
    });
    let journal = &status.journal;
    let rotation_error = journal.rotation_error.clone().filter(|_| journal.paused.is_none());
    let config_error = status.config_error.as_ref().map(|error| {
        format!("the new configuration is wrong, the earlier one stays in force:\n{error}")
    });
    let said = [journal.paused.clone(), rotation_error, config_error];
    let sinks = status.sinks.iter().map(sink_problem);
    let drops = status.places.iter().map(drops);
    let problems: Vec<_> =
        said.into_iter().chain(lacks).chain(drops).chain(sinks).flatten().collect();
    if !problems.is_empty() {
        writeln!(out, "\n{HEADING}NEEDS ATTENTION{HEADING:#}")?;
    }
    for line in problems.iter().flat_map(|problem| problem.lines()) {
        writeln!(out, "{WARNING}{}{WARNING:#}", printable(line))?;
    }
    Ok(())
}

/// What a sink said last, where it does not work or cannot deliver everything.
fn sink_problem(sink: &SinkStatus) -> Option<String> {
    let error = sink.last_error.as_ref()?;
    let has_gaps = sink.skipped_events > 0;
    if matches!(&*sink.state, "running" | "opening") && !has_gaps {
        return None;
    }
    let ago = sink.last_error_at.map(|at| format!(", {} ago", human_duration(since(at))));
    let wait = if sink.lag_events > 0 { "; its events wait in the journal" } else { "" };
    Some(format!("sink {}{}: {error}{wait}", sink.name, ago.unwrap_or_default()))
}

fn drops(place: &PlaceStatus) -> Option<String> {
    let PlaceStatus { path, dropped_events, .. } = place;
    (*dropped_events > 0).then(|| {
        format!(
            "{dropped_events} events were dropped since the ring was made: {path} had room for them in \
             neither ring nor spool; keep a daemon running, or raise bus.spool_bytes"
        )
    })
}
