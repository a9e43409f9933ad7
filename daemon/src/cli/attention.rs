//! What somebody should do something about: the last part of `hookring status`, and its answer to
//! `--check`.

use std::time::Duration;

use jiff::Timestamp;

use super::table::human_duration;
use crate::config::{ConfigReport, ProblemReport};
use crate::run::status::{LostStatus, PlaceStatus, SinkStatus, Status};

/// What was lost needs attention for this long, and as long as the daemon that found it runs.
const NEWS: Duration = Duration::from_secs(24 * 60 * 60);

/// The most errors of a configuration that are told here.
const CONFIG_ERRORS_SHOWN: usize = 3;

/// Each of them in a few lines, the most urgent one last. What needs attention and can mend itself is
/// here, too, as long as it lasts.
pub(super) fn needs_attention(status: &Status, now: Timestamp) -> Vec<String> {
    let journal = &status.journal;
    let rotation_error = journal.rotation_error.clone().filter(|_| journal.paused.is_none());
    let config_error = status.config_error.as_ref().map(config_problem);
    let said = [journal.paused.clone(), rotation_error, config_error];
    let places = status.places.iter().flat_map(place_problems);
    let losses = status
        .places
        .iter()
        .flat_map(|place| [damage(place, now), drops(place, status.started, now)]);
    let sinks = status
        .sinks
        .iter()
        .flat_map(|sink| [sink_problem(sink, now), lost(sink, status.started, now)]);
    said.into_iter().chain(places).chain(losses).chain(sinks).flatten().collect()
}

/// A configuration that the daemon refused, with its first errors.
pub(super) fn config_problem(report: &ConfigReport) -> String {
    let mut text = "the new configuration is wrong, the earlier one stays in force:".to_owned();
    let ConfigReport { file, errors, errors_left_out, .. } = report;
    for ProblemReport { key, message, line, .. } in errors.iter().take(CONFIG_ERRORS_SHOWN) {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = key.as_ref().map(|key| format!("{key}: ")).unwrap_or_default();
        text.push_str(&format!("\n  {file}{line}: {key}{message}"));
    }
    let more = errors.len().saturating_sub(CONFIG_ERRORS_SHOWN) + errors_left_out;
    if more > 0 {
        text.push_str(&format!("\n  and {more} more"));
    }
    text.push_str(&format!("\n  `hookring config check {file}` shows all of it"));
    text
}

fn place_problems(place: &PlaceStatus) -> [Option<String>; 4] {
    // One that is simply not there is no news.
    let refused = place.refused.clone().filter(|reason| reason != "missing");
    [
        ("is not used", &refused),
        ("has no ring", &place.ring_error),
        ("has no spool", &place.spool_error),
        ("has a spool that is held up", &place.spool_held_up),
    ]
    .map(|(what, error)| Some(format!("{} {what}: {}", place.path, error.as_ref()?)))
}

/// What a sink said last, where it does not work.
fn sink_problem(sink: &SinkStatus, now: Timestamp) -> Option<String> {
    let error = sink.last_error.as_ref()?;
    if matches!(&*sink.state, "running" | "opening") {
        return None;
    }
    let ago = sink.last_error_at.map(|at| format!(", {}", ago(at, now))).unwrap_or_default();
    let wait = match sink.lag_events {
        0 => String::new(),
        events => format!("; {} in the journal", wait(events)),
    };
    Some(format!("sink {}{ago}: {error}{wait}", sink.name))
}

/// What a sink will never get. The log has all of it.
fn lost(sink: &SinkStatus, started: Timestamp, now: Timestamp) -> Option<String> {
    let is_news =
        |lost: &&LostStatus| lost.at.is_none_or(|at| at >= started || since(at, now) < NEWS);
    let gaps: Vec<_> = sink.lost.iter().filter(is_news).collect();
    let last = gaps.iter().filter_map(|lost| lost.at).max()?;
    let events =
        total(gaps.iter().map(|lost| lost.last.saturating_sub(lost.first).saturating_add(1)));
    let numbers = |lost: &&LostStatus| format!("{} to {}", lost.first, lost.last);
    let numbers: Vec<_> = gaps.iter().map(numbers).collect();
    Some(format!(
        "sink {} lost {} that the journal no longer had, the last {}: {}; give it more time with a \
         larger journal.hard_limit_bytes",
        sink.name,
        count(events),
        ago(last, now),
        numbers.join(", ")
    ))
}

/// A ring that was replaced. What it held was taken as far as it was whole, and nothing is left to be
/// mended: it is told for a day, so that a check that runs once a day tells of it, by whichever daemon.
fn damage(place: &PlaceStatus, now: Timestamp) -> Option<String> {
    let what = place.ring_damage.as_ref()?;
    let at = place.ring_damage_at?;
    let path = &place.path;
    (since(at, now) < NEWS)
        .then(|| format!("{path} had a ring that was replaced {}: {what}", ago(at, now)))
}

/// The sum, as far as it can be counted: any figures may stand in a file.
pub(super) fn total(figures: impl Iterator<Item = u64>) -> u64 {
    figures.fold(0, u64::saturating_add)
}

fn drops(place: &PlaceStatus, started: Timestamp, now: Timestamp) -> Option<String> {
    let at = place.dropped_at.filter(|_| place.dropped_events > 0)?;
    let is_news = at >= started || since(at, now) < NEWS;
    is_news.then(|| {
        format!(
            "{} dropped {}, the last found {}: {} had room for them in neither ring nor spool; keep a \
             daemon running, or raise bus.spool_bytes",
            match place.dropped_events {
                1 => "1 event was".to_owned(),
                events => format!("{events} events were"),
            },
            dropped_since(place),
            ago(at, now),
            place.path,
        )
    })
}

/// Since when what a place dropped is counted.
pub(super) fn dropped_since(place: &PlaceStatus) -> String {
    match place.dropped_since {
        Some(since) => format!("since {since:.0}"),
        None => "since the ring was made".to_owned(),
    }
}

fn wait(events: u64) -> String {
    format!("{} wait{}", count(events), if events == 1 { "s" } else { "" })
}

fn count(events: u64) -> String {
    format!("{events} event{}", if events == 1 { "" } else { "s" })
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", human_duration(since(at, now)))
}

fn since(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
