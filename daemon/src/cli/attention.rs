//! What somebody should do something about: the last part of `hookring status`, and its answer to
//! `--check`.

use std::time::Duration;

use jiff::Timestamp;

use super::places_now::MISSING;
use super::status_health::problems as health_problems;
use super::table::human_duration;
use crate::config::{ConfigReport, ProblemReport};
use crate::run::status::{Loss, LostStatus, NEWS, PlaceStatus, SinkStatus, Status, since};

/// The most errors of a configuration that are told here.
const CONFIG_ERRORS_SHOWN: usize = 3;
/// Nobody needs to know how to end a shorter wait.
const LONG_WAIT: Duration = Duration::from_secs(10);

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
    let sinks = status.sinks.iter().flat_map(|sink| {
        let lost = lost(sink, status.started, now);
        [cursor_damage(sink, now), lost, letters(sink), given_up(sink), sink_problem(sink, now)]
    });
    let counted = counted_losses(status, now);
    let health = health_problems(status, now).into_iter().map(Some);
    said.into_iter()
        .chain(health)
        .chain(places)
        .chain(losses)
        .chain(counted)
        .chain(sinks)
        .flatten()
        .collect()
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
    let refused = place.refused.clone().filter(|reason| reason != MISSING);
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
    let name = &sink.name;
    if sink.state == "off" {
        let why = sink.off_reason.as_deref().unwrap_or("it wants nothing any more");
        return Some(format!(
            "sink {name} is off by the answer of its place: {why}; set it right, then `hookring sink resume {name}`"
        ));
    }
    let error = sink.last_error.as_ref()?;
    if matches!(&*sink.state, "running" | "opening" | "paused") || has_ended_well(sink) {
        return None;
    }
    let ago = sink.last_error_at.map(|at| format!(", {}", ago(at, now))).unwrap_or_default();
    let wait = match sink.lag_events {
        0 => String::new(),
        events => format!("; {} in the journal", wait(events)),
    };
    let until = sink.waits_until.filter(|_| sink.state == "retrying");
    let left = until.map(|until| since(now, until)).filter(|left| *left >= LONG_WAIT);
    // Everything else mends itself.
    let help = match sink.waits_because.as_deref() {
        Some("refused") => {
            format!(
                "; only you can help: set it right, then `hookring sink resume {name}` tries at once"
            )
        }
        _ => left.map_or_else(String::new, |left| {
            let left = human_duration(left);
            format!("; it is tried again in {left}, `hookring sink resume {name}` tries at once")
        }),
    };
    Some(format!("sink {name}{ago}: {error}{wait}{help}"))
}

/// What went wrong once was over when its daemon ended.
pub(super) fn has_ended_well(sink: &SinkStatus) -> bool {
    sink.state == "stopped" && !sink.ended_failing
}

/// Said as long as the daemon runs that found it.
fn cursor_damage(sink: &SinkStatus, now: Timestamp) -> Option<String> {
    let at = sink.cursor_damage_at?;
    Some(format!("sink {}, {}: {}", sink.name, ago(at, now), sink.cursor_damage.as_ref()?))
}

/// Events that somebody should look at, as long as they are there.
fn letters(sink: &SinkStatus) -> Option<String> {
    let (name, letters) = (&sink.name, sink.kept_dead_letters);
    let it = if letters == 1 { "it" } else { "them" };
    (letters > 0 && sink.retry.is_none()).then(|| {
        format!(
            "sink {name} would not take {}: `hookring dlq list --sink {name}` says why, \
             `hookring dlq retry --sink {name} --all` sends {it} again, `hookring dlq purge --sink {name} --all` \
             gives {it} up",
            count(letters)
        )
    })
}

/// Said as long as the daemon runs that gave them up.
fn given_up(sink: &SinkStatus) -> Option<String> {
    let letters = sink.given_up_dead_letters;
    (letters > 0).then(|| {
        format!(
            "{} of sink {} for good, to keep later ones",
            were(letters, "dead letter", "dead letters") + " given up",
            sink.name
        )
    })
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
            "{} dropped {}, the last found {}: {}",
            were(place.dropped_events, "event", "events"),
            dropped_since(place),
            ago(at, now),
            why_dropped(place),
        )
    })
}

/// What had no room, and the way out of that.
fn why_dropped(place: &PlaceStatus) -> String {
    let PlaceStatus { path, dropped_events, unstored_events, .. } = place;
    let full = format!(
        "{path} had room for them in neither ring nor spool; keep a daemon running, or raise \
         bus.spool_bytes"
    );
    let unwritten = match &place.spool_error {
        Some(error) => format!(
            "its spool cannot be used: {error}; see that {path}/spool is a directory of this user with \
             mode 0700, on a disk with room"
        ),
        None => format!(
            "no spool could be written; see that there is room on its disk, and whether the daemon's \
             log says that {path} had no spool"
        ),
    };
    match *unstored_events {
        0 => full,
        some if some < *dropped_events => format!("{full}. For {some} of them {unwritten}"),
        _ => format!("the ring in {path} did not take them, and {unwritten}"),
    }
}

/// What was lost and is counted for all places together.
fn counted_losses(status: &Status, now: Timestamp) -> [Option<String>; 3] {
    let news = |loss: &Loss| {
        let (count, at) = loss.news(status.started, now)?;
        Some((count, format!("the last found {}", ago(at, now))))
    };
    let losses = &status.losses;
    let damaged = news(&losses.damaged_bytes).map(|(count, last)| {
        format!(
            "{} found damaged in the ring without a whole event, {last}: what was published there is \
             lost; see what else writes to the ring's file or cuts it off",
            were(count, "byte", "bytes")
        )
    });
    let set_aside = news(&losses.bad_spool_entries).map(|(count, last)| {
        format!(
            "{} damaged and set aside for good, {last}, with what was published there; the newest are \
             kept as .bad-… in the spool: see what else writes there, or whether its disk fails",
            were(count, "spool entry", "spool entries"),
        )
    });
    let removed = news(&losses.removed_events).map(|(count, last)| {
        format!(
            "{} in journal files that somebody removed or cut off, {last}: sinks that had not got them \
             may never do; keep others (logrotate, say) away from {}, and limit it with \
             journal.retention_bytes or journal.retention_age",
            were(count, "event", "events"),
            status.journal.path
        )
    });
    [damaged, set_aside, removed]
}

/// Since when what a place dropped is counted.
pub(super) fn dropped_since(place: &PlaceStatus) -> String {
    match place.dropped_since {
        Some(since) => format!("since {since:.0}"),
        None => "since the ring was made".to_owned(),
    }
}

/// As the beginning of "3 events were dropped".
fn were(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one} was"),
        count => format!("{count} {many} were"),
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

#[cfg(test)]
mod tests;
