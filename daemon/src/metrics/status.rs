//! What the daemon's status says, as metrics.

use std::collections::{BTreeMap, BTreeSet};

use hookring_sinks::Outcome;
use jiff::Timestamp;

use super::family::*;
use super::labels::clean;
use super::text::Text;
use crate::run::status::{HealthStatus, PlaceStatus, SinkStatus, Status, since};

const SINK_STATES: [&str; 6] = ["opening", "running", "retrying", "paused", "off", "stopped"];
const BREAKER_STATES: [&str; 3] = ["closed", "open", "half_open"];

/// What a place or a sink says of itself.
type Figure<T> = (&'static Family, fn(&T) -> u64);
/// In which of several states a sink is.
type Word = (&'static Family, &'static [&'static str], fn(&SinkStatus) -> &str);

/// `rules`: what takes secrets out now.
pub(super) fn write(status: &Status, rules: &BTreeSet<String>, text: &mut Text) {
    text.family(&BUILD_INFO).sample(&[&status.version], true);
    text.family(&CONFIG_REFUSED).sample(&[], status.config_error.is_some());
    write_counts(status, text);
    write_redactions(status, rules, text);
    write_health(&status.health, text);
    write_places(&status.places, text);
    write_bus(status, text);
    write_journal(status, text);
    write_sinks(&status.sinks, Timestamp::now(), text);
    text.family(&ORPHANED_CURSORS).sample(&[], status.orphaned_cursors.len() as u64);
}

fn write_counts(status: &Status, text: &mut Text) {
    let counts = &status.counts;
    text.family(&RECEIVED)
        .sample(&["ring"], counts.ring_events)
        .sample(&["spool"], counts.spool_events);
    text.family(&WAITED).sample(&[], status.waited.events);
    text.family(&MARKED)
        .sample(&["truncated"], counts.truncated_events)
        .sample(&["not_json"], counts.not_json_events)
        .sample(&["warned"], counts.warned_events)
        .sample(&["duplicate"], counts.duplicate_events);
    text.family(&CUT_TEXT).sample(&[], counts.cut_text_bytes);
    text.family(&RISKS)
        .sample(&["low"], status.risks.low)
        .sample(&["medium"], status.risks.medium)
        .sample(&["high"], status.risks.high)
        .sample(&["critical"], status.risks.critical);
}

/// Those that took nothing out are there, too: a series that begins with 1 has not risen.
fn write_redactions(status: &Status, rules: &BTreeSet<String>, text: &mut Text) {
    let counted = &status.redactions_by_rule;
    let mut samples = text.family(&REDACTIONS);
    for (rule, times) in counted {
        samples.sample(&[rule], *times);
    }
    for rule in rules.iter().filter(|rule| !counted.contains_key(*rule)) {
        samples.sample(&[rule], 0);
    }
}

fn write_health(health: &HealthStatus, text: &mut Text) {
    text.family(&ACTIVE_SESSIONS).sample(&[], health.active_sessions);
    text.family(&SILENT_SESSIONS).sample(&[], health.silent_sessions);
    text.family(&SLOW_HOOKS).sample(&[], health.slow_hooks.is_some());
    text.family(&SILENT_AGENTS).sample(&[], health.silent_agents.len() as u64);
    // What looks the same is one series.
    let mut agents: BTreeMap<String, bool> = BTreeMap::new();
    let watched = health.watched_agents.iter().map(|agent| (agent, false));
    let silent = health.silent_agents.iter().map(|silent| (&silent.agent, true));
    for (agent, is_silent) in watched.chain(silent) {
        *agents.entry(clean(agent)).or_default() |= is_silent;
    }
    let mut samples = text.family(&AGENT_SILENT);
    for (agent, is_silent) in agents {
        samples.sample(&[&agent], is_silent);
    }
    text.family(&HEALTH_LEFT_OUT)
        .sample(&["sessions"], health.left_out_sessions)
        .sample(&["agents"], health.left_out_agents);
}

fn write_places(places: &[PlaceStatus], text: &mut Text) {
    let figures: [Figure<PlaceStatus>; 7] = [
        (&BUS_LANES, |place| place.lanes as u64),
        (&BUS_LOCKED_LANES, |place| place.locked_lanes as u64),
        (&BUS_USED, |place| place.used_bytes),
        (&BUS_SPOOL_BYTES, |place| place.spool_bytes),
        (&BUS_SPOOL_EVENTS, |place| place.spool_entries as u64),
        (&BUS_UNREADABLE, |place| place.unreadable_spool_entries as u64),
        (&BUS_STUCK, |place| place.stuck_spool_entries as u64),
    ];
    let mut samples = text.family(&BUS_USABLE);
    // One that is simply not there is nobody's mistake.
    for place in places.iter().filter(|place| place.refused.as_deref() != Some("missing")) {
        samples.sample(&[&place.path], place.refused.is_none());
    }
    for (family, figure) in figures {
        let mut samples = text.family(family);
        for place in places {
            samples.sample(&[&place.path], figure(place));
        }
    }
    let kept: [Figure<PlaceStatus>; 2] = [
        (&BUS_DROPPED, |place| place.dropped_events),
        (&BUS_UNSTORED, |place| place.unstored_events),
    ];
    // What ring and spool have counted is not known of a place that was never used: 0 would be a fall, and what comes
    // after it an increase.
    let is_known = |place: &&PlaceStatus| place.refused.is_none() || place.dropped_events > 0;
    for (family, figure) in kept {
        let mut samples = text.family(family);
        for place in places.iter().filter(is_known) {
            samples.sample(&[&place.path], figure(place));
        }
    }
}

fn write_bus(status: &Status, text: &mut Text) {
    let counts = &status.counts;
    for (family, value) in [
        (&BUS_CONDEMNED, counts.condemned_lanes),
        (&BUS_DAMAGED, counts.damaged_bytes),
        (&BUS_BAD_ENTRIES, counts.bad_spool_entries),
        (&BUS_CLAMPED, counts.clamped_stamps),
        (&BUS_MENDED, counts.mended_spool_counters),
        (&BUS_RETIRED, counts.retired_rings),
    ] {
        text.family(family).sample(&[], value);
    }
}

fn write_journal(status: &Status, text: &mut Text) {
    let journal = &status.journal;
    text.family(&JOURNAL_OLDEST).sample(&[], journal.oldest_at.map_or(0.0, unix_s));
    for (family, value) in [
        (&JOURNAL_BYTES, journal.bytes),
        (&JOURNAL_SEGMENTS, journal.segments),
        (&JOURNAL_WRITTEN, journal.written_seq),
        (&JOURNAL_SYNCED, journal.synced_seq),
        (&JOURNAL_BAD_LINES, journal.bad_lines),
        (&JOURNAL_SYNC_ERRORS, journal.sync_errors),
        (&JOURNAL_PAUSED, u64::from(journal.paused.is_some())),
        (&JOURNAL_PAUSES, journal.pauses),
        (&JOURNAL_ROTATION, u64::from(journal.rotation_error.is_some())),
        (&JOURNAL_SACRIFICED, journal.sacrificed_events),
        (&JOURNAL_REMOVED, journal.removed_events),
    ] {
        text.family(family).sample(&[], value);
    }
}

/// Unix time, in seconds.
pub(super) fn unix_s(at: Timestamp) -> f64 {
    at.as_nanosecond() as f64 / 1e9
}

fn write_sinks(sinks: &[SinkStatus], now: Timestamp, text: &mut Text) {
    let figures: [Figure<SinkStatus>; 11] = [
        (&SINK_LAG_EVENTS, |sink| sink.lag_events),
        (&SINK_DELIVERED, |sink| sink.delivered_events),
        (&SINK_FILTERED, |sink| sink.filtered_events),
        (&SINK_SENT, |sink| sink.sent_events),
        (&SINK_RETRIES, |sink| sink.retries),
        (&SINK_BATCH, |sink| sink.batch_events),
        (&SINK_DEAD, |sink| sink.dead_letters),
        (&SINK_KEPT_DEAD, |sink| sink.kept_dead_letters),
        (&SINK_GIVEN_UP, |sink| sink.given_up_dead_letters),
        (&SINK_SKIPPED, |sink| sink.skipped_events),
        (&SINK_LOST, |sink| sink.lost_events),
    ];
    for (family, figure) in figures {
        let mut samples = text.family(family);
        for sink in sinks {
            samples.sample(&[&sink.name, &sink.kind], figure(sink));
        }
    }
    let mut samples = text.family(&SINK_LAG_SECONDS);
    for sink in sinks {
        let oldest = sink.oldest_undelivered_at.filter(|_| sink.lag_events > 0);
        let seconds = oldest.map_or(0.0, |at| since(at, now).as_secs_f64());
        samples.sample(&[&sink.name, &sink.kind], seconds);
    }
    let mut samples = text.family(&SINK_ATTEMPTS);
    for sink in sinks {
        for outcome in Outcome::NAMES {
            let times = sink.attempts.get(outcome).copied().unwrap_or_default();
            samples.sample(&[&sink.name, &sink.kind, outcome], times);
        }
    }
    let mut samples = text.family(&SINK_COUNTS);
    for sink in sinks {
        for (count, times) in &sink.counts {
            samples.sample(&[&sink.name, &sink.kind, count], *times);
        }
    }
    let states: [Word; 2] = [
        (&SINK_STATE, &SINK_STATES, |sink| &sink.state),
        (&SINK_BREAKER, &BREAKER_STATES, |sink| &sink.breaker),
    ];
    for (family, words, now) in states {
        let mut samples = text.family(family);
        for sink in sinks {
            for word in words {
                samples.sample(&[&sink.name, &sink.kind, word], now(sink) == *word);
            }
        }
    }
}
