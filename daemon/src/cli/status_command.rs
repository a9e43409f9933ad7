//! `hookring status`: what the daemon, the bus, the journal and each sink are doing.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Exit;
use super::args::StatusArgs;
use super::attention::{dropped_since, needs_attention, total};
use super::places_now;
use super::status_health::{show_http, show_sessions};
use super::status_sinks::{lag, show_sinks};
use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};
use super::table::{Align, Cell, Table, counted, human_bytes, human_duration, numbered};
use crate::paths::Paths;
use crate::run::place_log::no_ring;
use crate::run::status::{Latency, PlaceStatus, RisksStatus, Status, Waited};
use hookring_journal as journal;
use jiff::Timestamp;

/// Shows the status file, and whether the daemon that wrote it lives. A daemon that does not is
/// exit code 1, so that a script can ask; with `--check`, so is anything that needs attention.
///
/// # Errors
/// The result could not be written, or it cannot be found out whether a daemon runs.
pub fn status(args: &StatusArgs, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
    let now = Timestamp::now();
    let look = Look::take(paths, now)?;
    let is_failed = !look.running || args.check && !look.problems.is_empty();
    let exit = if is_failed { Exit::Failed } else { Exit::Fine };
    if args.json {
        look.write_json(out)?;
    } else {
        look.show(out)?;
    }
    Ok(exit)
}

/// What is known.
struct Look {
    running: bool,
    /// What the daemon wrote last, with the places as they are now if none runs.
    status: Status,
    /// A daemon wrote it.
    is_said: bool,
    /// Why what it wrote cannot be read.
    unreadable: Option<String>,
    problems: Vec<String>,
}

/// A daemon takes what waits within a fifth of a second, and says each second what it took. One that
/// does neither for this long is stopped, or hangs.
const STUCK: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The daemon looks at its figures each second, and writes those that have changed. What is older is told.
const FRESH: Duration = Duration::from_secs(1);

/// Looks at ring and spool, and again for as long as something waits there and nothing is taken.
fn takes_nothing(paths: &Paths, status: &Status) -> Option<String> {
    let begin = Instant::now();
    while waits(paths, status) {
        let now = Status::read(&paths.status_file).ok().flatten();
        if now.is_none_or(|now| now.events != status.events || now.pid != status.pid) {
            return None;
        }
        if begin.elapsed() > STUCK {
            let (seconds, pid) = (STUCK.as_secs(), status.pid);
            return Some(format!(
                "the daemon (pid {pid}) takes nothing: events wait in ring or spool, and for {seconds} s it took \
                 none. Nothing is lost while there is room; if its log does not say why, end it (`kill -9 {pid}`) and \
                 start it again"
            ));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    None
}

/// Whether something is in ring or spool that the daemon has not said it cannot take.
fn waits(paths: &Paths, status: &Status) -> bool {
    let cannot = |place: &PlaceStatus| {
        place.stuck_spool_entries > 0
            || place.unreadable_spool_entries > 0
            || place.spool_held_up.is_some()
            || place.spool_error.is_some()
            || place.ring_damage.is_some()
            || place.refused.is_some()
    };
    let is_taken =
        |path: &str| !status.places.iter().any(|place| place.path == path && cannot(place));
    let places = places_now::look(paths, &status.places);
    places.iter().any(|place| is_taken(&place.path) && place.used_bytes + place.spool_bytes > 0)
}

/// Sees of each place whether it can be used: where it cannot, a daemon does not say so, since it says everything there.
fn see_refused(paths: &Paths, status: &mut Status) {
    for now in places_now::look(paths, &status.places) {
        let said = status.places.iter_mut().find(|said| said.path == now.path);
        if let Some(said) = said.filter(|said| said.refused.is_none()) {
            said.refused = now.refused.filter(|reason| reason != places_now::MISSING);
        }
    }
}

impl Look {
    fn take(paths: &Paths, now: Timestamp) -> Result<Look> {
        let journal = &paths.journal;
        let running = journal::is_in_use(journal).with_context(|| {
            format!("cannot ask for the lock of the journal in {}", journal.display())
        })?;
        let file = &paths.status_file;
        let (said, unreadable) = match Status::read(file) {
            Ok(said) => (said, None),
            // Whether a daemon runs is known all the same.
            Err(error) => {
                (None, Some(format!("cannot read {}: {error}; remove it", file.display())))
            }
        };
        let is_said = said.is_some();
        let mut status = said.unwrap_or_default();
        if !running {
            // What the daemon said of the places is over; hooks go on there without it.
            status.places = places_now::look(paths, &status.places);
        } else if is_said {
            see_refused(paths, &mut status);
        }
        let mut problems: Vec<_> = unreadable.iter().cloned().collect();
        if running && !is_said && unreadable.is_none() {
            problems.push(format!(
                "{} is missing; if the daemon does not write it within seconds, its log says why: a \
                 full disk, say",
                file.display()
            ));
        }
        // What is in a damaged lane waits for its producer.
        let is_sound = status.journal.paused.is_none() && status.counts.condemned_lanes == 0;
        if running && is_said && is_sound {
            problems.extend(takes_nothing(paths, &status));
        }
        problems.extend(needs_attention(&status, now));
        Ok(Look { running, status, is_said, unreadable, problems })
    }

    fn write_json(&self, out: &mut dyn Write) -> Result<()> {
        let mut json = serde_json::json!({});
        if self.is_said {
            json = serde_json::to_value(&self.status)?;
            // Not in the daemon's file, which would be another one each second.
            for (shown, sink) in
                json["sinks"].as_array_mut().into_iter().flatten().zip(&self.status.sinks)
            {
                shown["lag_s"] =
                    lag(sink, Timestamp::now()).map_or(0.0, |lag| lag.as_secs_f64()).into();
            }
        } else if !self.running {
            json["places"] = serde_json::to_value(&self.status.places)?;
        }
        json["running"] = self.running.into();
        json["needs_attention"] = serde_json::to_value(&self.problems)?;
        if let Some(error) = &self.unreadable {
            json["error"] = error.as_str().into();
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
        Ok(())
    }

    fn show(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = &self.status;
        self.show_daemon(out)?;
        if self.running && self.is_said {
            show_places(status, out)?;
            if let Some(text) = no_ring(status.places.iter().map(|place| place.lanes)) {
                writeln!(out, "{WARNING}{text}{WARNING:#}")?;
            }
        } else if !self.running {
            places_now::show(&status.places, out)?;
        }
        show_losses(status, out)?;
        if self.is_said {
            if !self.running {
                let age = human_duration(since(status.updated));
                writeln!(out, "\n{FAINT}what follows is from {age} ago{FAINT:#}")?;
                show_found(status, out)?;
            }
            show_journal(status, out)?;
            show_sinks(status, Timestamp::now(), out)?;
            show_counts(status, out)?;
        }
        show_problems(&self.problems, out)
    }

    fn show_daemon(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = &self.status;
        if !self.running {
            let wait = if self.is_said { "hooks' events wait in ring and spool; " } else { "" };
            let start = "start it with `hookring run`";
            return writeln!(out, "{ERROR}not running{ERROR:#}  {wait}{start}");
        }
        match self.problems.len() {
            0 => write!(out, "{GOOD}running{GOOD:#}")?,
            1 => write!(out, "{WARNING}running, but 1 thing needs attention{WARNING:#}")?,
            many => write!(out, "{WARNING}running, but {many} things need attention{WARNING:#}")?,
        }
        if !self.is_said {
            return writeln!(out, "  it has not said anything yet");
        }
        let age = human_duration(since(status.started));
        let version = printable(&status.version);
        writeln!(out, "  hookring {version}, pid {}, for {age}", status.pid)?;
        show_events(status, out)?;
        show_found(status, out)?;
        let age = since(status.updated);
        if age > FRESH {
            let age = human_duration(age);
            writeln!(
                out,
                "{FAINT}as of {age} ago: nothing has changed since, as the daemon looks{FAINT:#}"
            )?;
        }
        let config = status.config.as_deref().unwrap_or("the defaults, there is no file");
        writeln!(out, "{FAINT}configuration: {}{FAINT:#}", printable(config))?;
        show_http(status, out)?;
        show_sessions(status, out)
    }
}

/// How many events came, and how long they took.
fn show_events(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let time = |ns| human_duration(Duration::from_nanos(ns));
    let Latency { count, p50_ns, p99_ns, .. } = status.publish_to_journal;
    write!(out, "{} since then", counted(status.events, "event"))?;
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

/// How many of them were risky, and how many secrets were in them.
fn show_found(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let RisksStatus { low, medium, high, critical } = status.risks;
    let levels = [
        ("critical", critical, ERROR),
        ("high", high, ERROR),
        ("medium", medium, WARNING),
        ("low", low, FAINT),
    ];
    write!(out, "risk since the start:")?;
    for (at, (level, events, colour)) in levels.into_iter().enumerate() {
        let (colour, comma) =
            (if events > 0 { colour } else { FAINT }, if at > 0 { "," } else { "" });
        write!(out, "{comma} {colour}{events} {level}{colour:#}")?;
    }
    let redactions = status.counts.redactions;
    let secrets = if redactions == 1 { "secret" } else { "secrets" };
    writeln!(out, "; {redactions} {secrets} redacted")
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
            if reason != places_now::MISSING {
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

/// How old the drops are that the table counts, and the last damage.
fn show_losses(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    for place in status.places.iter().filter(|place| place.dropped_events > 0) {
        let (path, since) = (printable(&place.path), dropped_since(place));
        let at = place.dropped_at.map(|at| format!(", the last found at {at:.0}"));
        let (events, at) = (place.dropped_events, at.unwrap_or_default());
        let events = counted(events, "event");
        writeln!(out, "{FAINT}{path}: {events} dropped {since}{at}{FAINT:#}")?;
    }
    for place in &status.places {
        let (Some(what), Some(at)) = (&place.ring_damage, place.ring_damage_at) else { continue };
        let (path, what) = (printable(&place.path), printable(what));
        writeln!(out, "{FAINT}{path}: a damaged ring was replaced at {at:.0}: {what}{FAINT:#}")?;
    }
    Ok(())
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

/// Everything that was dropped, cut, repaired or refused; nothing where there is nothing.
fn show_counts(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let counts = &status.counts;
    let figures = [
        (counts.not_json_events, "event[|s] whose payload is not JSON (kept as text or base64)"),
        (
            counts.truncated_events,
            "event[|s] that [is|are] cut (a writer that did not finish, or too large)",
        ),
        (counts.cut_text_bytes, "byte[|s] of long texts cut (redact.max_text)"),
        (
            counts.warned_events,
            "event[|s] that [is|are] not as their agent's should be (normalise_warnings)",
        ),
        (counts.duplicate_events, "event[|s] that [was|were] reported twice (duplicate_of)"),
        (counts.condemned_lanes, "damaged lane[|s]"),
        (counts.damaged_bytes, "byte[|s] of damaged lanes without an event"),
        (counts.clamped_stamps, "time stamp[|s] from the future"),
        (counts.bad_spool_entries, "damaged spool entr[y|ies] set aside"),
        (
            counts.journaled_spool_entries,
            "spool entr[y|ies] removed because the journal had [it|them]",
        ),
        (
            total(status.places.iter().map(|place| place.stuck_spool_entries as u64)),
            "spool entr[y|ies] that [is|are] journaled and cannot be removed",
        ),
        (
            total(status.places.iter().map(|place| place.unreadable_spool_entries as u64)),
            "spool entr[y|ies] that cannot be read, kept and tried again (.unreadable-…)",
        ),
        (counts.mended_spool_counters, "counter[|s] of spools set right"),
        (counts.retired_rings, "ring[|s] replaced"),
        (status.journal.bad_lines, "damaged journal line[|s] (hookring journal verify)"),
        (status.journal.cut_bytes, "byte[|s] cut off behind the journal's last whole line"),
        (status.journal.sync_errors, "failed sync[|s] of the journal"),
        (status.journal.pauses, "time[|s] the journal could take nothing"),
        (
            status.journal.sacrificed_segments,
            "journal segment[|s] deleted early: the disk was full",
        ),
        (status.journal.sacrificed_bytes, "byte[|s] in them"),
        (status.journal.sacrificed_events, "event[|s] in them, which every sink had"),
        (status.journal.removed_segments, "journal segment[|s] that somebody removed or cut off"),
        (status.journal.removed_events, "event[|s] that [was|were] in them"),
    ];
    let mut table = Table::new([Align::Right, Align::Left]);
    for (count, what) in figures.into_iter().filter(|(count, _)| *count > 0) {
        table.row([Cell::from(count), Cell::from(numbered(count, what))]);
    }
    let text = table.to_string();
    if !text.is_empty() {
        write!(out, "\n{HEADING}SINCE THE START{HEADING:#}\n{text}")?;
    }
    Ok(())
}

/// What somebody should do something about, last, so that it stands above the prompt.
fn show_problems(problems: &[String], out: &mut dyn Write) -> io::Result<()> {
    if !problems.is_empty() {
        writeln!(out, "\n{HEADING}NEEDS ATTENTION{HEADING:#}")?;
    }
    for line in problems.iter().flat_map(|problem| problem.lines()) {
        writeln!(out, "{WARNING}{}{WARNING:#}", printable(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_their_risk_and_secrets_beside_them() {
        let mut status = Status { risks: [4, 0, 2, 1].into(), ..Status::default() };
        status.counts.redactions = 1;
        let mut shown = Vec::new();
        show_found(&status, &mut shown).expect("written");
        let shown = String::from_utf8(shown).expect("text");
        assert!(shown.contains(&format!("{ERROR}2 high{ERROR:#}")), "{shown:?}");
        let plain = anstream::adapter::strip_str(&shown).to_string();
        let expected =
            "risk since the start: 1 critical, 2 high, 0 medium, 4 low; 1 secret redacted\n";
        assert_eq!(plain, expected);
        let json = serde_json::to_value(&status).expect("JSON");
        assert_eq!(
            json["risks"],
            serde_json::json!({"low": 4, "medium": 0, "high": 2, "critical": 1})
        );
        // As an earlier daemon wrote it.
        let earlier = Status { risks: [4, 0, 2, 1].into(), ..Status::default() };
        let read: Status = serde_json::from_str(r#"{"risks":[4,0,2,1]}"#).expect("a status");
        assert_eq!(read.risks, earlier.risks);
    }

    #[test]
    fn figures_that_are_old_say_so() {
        for (seconds, expected) in [(0, false), (7, true)] {
            let updated = Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
            let status = Status { updated, events: 1, ..Status::default() };
            let (unreadable, problems) = (None, Vec::new());
            let look = Look { running: true, status, is_said: true, unreadable, problems };
            let mut shown = Vec::new();
            look.show_daemon(&mut shown).expect("written");
            let shown = String::from_utf8(shown).expect("text");
            assert_eq!(shown.contains("as of 7."), expected, "{shown}");
            assert!(shown.contains("\n1 event since then\n"), "{shown}");
        }
    }

    #[test]
    fn no_text_of_the_status_file_steers_the_terminal() {
        let status = Status { version: "1\u{1b}[2J".to_owned(), ..Status::default() };
        let (unreadable, problems) = (None, Vec::new());
        let look = Look { running: true, status, is_said: true, unreadable, problems };
        let mut shown = Vec::new();
        look.show(&mut shown).expect("written");
        let shown = String::from_utf8(shown).expect("text");
        assert!(shown.contains("hookring 1\\u{1b}[2J, pid 0"), "{shown}");
    }
}
