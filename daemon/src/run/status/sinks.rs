//! What the status says of each sink.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use hookring_journal::Lost;
use hookring_sinks::{
    BreakerState, LastError, LastRetry, OffBy, Replay, RetryProgress, SinkState, SinkStats,
    WaitCause,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Status;

/// One sink. Counts are of this run of the daemon, unless they say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its type in the configuration.
    #[serde(rename = "type")]
    pub kind: String,
    /// `opening`, `running`, `retrying` (what was tried last failed), `paused` (by a person), `off` (the place
    /// wants nothing any more) or `stopped`.
    pub state: String,
    /// It is stopped, and was failing then, or off.
    pub ended_failing: bool,
    /// Why it is paused or off, if that was said.
    pub off_reason: Option<String>,
    /// `closed`, `open` (nothing is sent for a while) or `half_open` (one event at a time is, to see whether it
    /// works again).
    pub breaker: String,
    /// Until when nothing is sent to it.
    pub waits_until: Option<Timestamp>,
    /// Why: `failed`, `throttled` (it asked for it) or `refused` (only a person can help).
    pub waits_because: Option<String>,
    /// Events delivered since the start.
    pub delivered_events: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Batches that were sent, by what the sink answered: `accepted`, `throttled`, `failed`, `too_large`,
    /// `rejected`, `refused`, `gone` or `each` (for each event).
    pub attempts: BTreeMap<String, u64>,
    /// Events in those batches: each time that one is sent.
    pub sent_events: u64,
    /// How many events are sent at once at most, just now.
    pub batch_events: u64,
    /// Events that its filter left out.
    pub filtered_events: u64,
    /// What only this kind of sink counts, by name.
    pub counts: BTreeMap<String, u64>,
    /// Events that the journal has and it does not have yet.
    pub lag_events: u64,
    /// The oldest of them.
    pub oldest_undelivered: Option<u64>,
    /// When that was published.
    pub oldest_undelivered_at: Option<Timestamp>,
    /// Events that it will never take, found since the start.
    pub dead_letters: u64,
    /// Dead letters that are in files now, of earlier daemons, too.
    pub kept_dead_letters: u64,
    /// Dead letters that were given up for later ones since the start.
    pub given_up_dead_letters: u64,
    /// Events that were gone from the journal before it had them, found since the start.
    pub skipped_events: u64,
    /// The same since its cursor was made.
    pub lost_events: u64,
    /// Which, the latest gaps.
    pub lost: Vec<LostStatus>,
    /// The replay that is under way.
    pub replay: Option<Replay>,
    /// Dead letters that are being sent again, since the daemon took that up.
    pub retry: Option<RetryStatus>,
    /// The last retry of dead letters that ended since the start.
    pub last_retry: Option<LastRetryStatus>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When.
    pub last_error_at: Option<Timestamp>,
    /// There is a cursor of it, or was one as far as anybody knows.
    pub had_cursor: bool,
    /// It is new, and began with this number, behind events that the journal has.
    pub began_with: Option<u64>,
    /// When.
    pub began_at: Option<Timestamp>,
    /// What was wrong with its cursor when it began.
    pub cursor_damage: Option<String>,
    /// When.
    pub cursor_damage_at: Option<Timestamp>,
}

/// Numbers that a sink did not get because the journal no longer had them, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LostStatus {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// When the last of them was found to be lost.
    pub at: Option<Timestamp>,
}

/// Dead letters that are being sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryStatus {
    /// Those to go.
    pub left: u64,
    /// Those that the sink took.
    pub taken: u64,
    /// Those that it refused again.
    pub refused: u64,
}

/// What the next daemon is to know of a configured sink of which there is a cursor, or was one, also if it is
/// disabled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownSink {
    /// So many of the latest events were rejected, one after another.
    pub rejected_in_row: u32,
}

/// What a retry of dead letters came to: what is left of it stayed as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastRetryStatus {
    /// When it ended, before another one could be asked for.
    pub at: Option<Timestamp>,
    /// The letters.
    #[serde(flatten)]
    pub letters: RetryStatus,
}

impl From<&Lost> for LostStatus {
    fn from(lost: &Lost) -> Self {
        let at = Timestamp::try_from(lost.at).ok();
        LostStatus { first: lost.gap.first, last: lost.gap.last, at }
    }
}

impl From<RetryProgress> for RetryStatus {
    fn from(RetryProgress { left, taken, refused }: RetryProgress) -> Self {
        RetryStatus { left, taken, refused }
    }
}

impl From<LastRetry> for LastRetryStatus {
    fn from(LastRetry { progress, at }: LastRetry) -> Self {
        LastRetryStatus { at: Timestamp::try_from(at).ok(), letters: progress.into() }
    }
}

impl Status {
    /// The sinks of which there was a cursor.
    pub(in crate::run) fn known_sinks(&self) -> BTreeMap<String, KnownSink> {
        let mut known = self.known_sinks.clone();
        // A daemon that was killed as it began, or one of an earlier version, knew of these only.
        for sink in self.sinks.iter().filter(|sink| sink.had_cursor) {
            known.entry(sink.name.clone()).or_default();
        }
        known
    }

    /// Takes a sink out of the file that an ended daemon left behind: nobody knows it any more.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn forget_sink(path: &Path, name: &str) -> io::Result<()> {
        let Some(mut status) = Status::read(path)? else { return Ok(()) };
        let before = status.sinks.len();
        status.sinks.retain(|sink| sink.name != name);
        let was_known = status.known_sinks.remove(name).is_some();
        if was_known || status.sinks.len() < before { status.write(path) } else { Ok(()) }
    }
}

/// As the status and the daemon's events have it.
pub(in crate::run) fn state_name(stats: &SinkStats) -> &'static str {
    match stats.state {
        SinkState::Opening => "opening",
        SinkState::Running => "running",
        SinkState::Retrying => "retrying",
        SinkState::Off => match stats.off.as_ref().map(|off| off.by) {
            Some(OffBy::Place) => "off",
            Some(OffBy::Person) | None => "paused",
        },
        SinkState::Stopped => "stopped",
    }
}

fn breaker_name(breaker: BreakerState) -> &'static str {
    match breaker {
        BreakerState::Closed => "closed",
        BreakerState::Open => "open",
        BreakerState::HalfOpen => "half_open",
    }
}

fn cause_name(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::Failed => "failed",
        WaitCause::Throttled => "throttled",
        WaitCause::Refused => "refused",
    }
}

impl SinkStatus {
    /// Its daemon ends, and with it a worker that is still busy, or never began.
    pub(in crate::run) fn end(&mut self) {
        self.ended_failing |= matches!(&*self.state, "retrying" | "off");
        self.state = "stopped".to_owned();
    }

    /// A sink beside a journal whose last event was `written_seq` then or a little later.
    pub(super) fn new(stats: SinkStats, written_seq: u64) -> Self {
        let at = |time: SystemTime| Timestamp::try_from(time).ok();
        let said = |error: Option<LastError>| match error {
            Some(LastError { message, at: time }) => (Some(message), at(time)),
            None => (None, None),
        };
        let state = state_name(&stats).to_owned();
        let (last_error, last_error_at) = said(stats.last_error);
        let (cursor_damage, cursor_damage_at) = said(stats.cursor_damage);
        SinkStatus {
            name: stats.name,
            kind: String::new(),
            state,
            ended_failing: stats.ended_failing,
            off_reason: stats.off.map(|off| off.reason).filter(|reason| !reason.is_empty()),
            breaker: breaker_name(stats.breaker).to_owned(),
            waits_until: stats.waiting.and_then(|waiting| at(waiting.until)),
            waits_because: stats.waiting.map(|waiting| cause_name(waiting.cause).to_owned()),
            delivered_events: stats.delivered_events,
            filtered_events: stats.filtered_events,
            counts: stats.counts.iter().map(|(name, it)| ((*name).to_owned(), *it)).collect(),
            retries: stats.retries,
            attempts: stats.attempts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
            sent_events: stats.sent_events,
            batch_events: stats.batch_events,
            lag_events: stats.lag_events + written_seq.saturating_sub(stats.counted_to),
            oldest_undelivered: stats.oldest_undelivered,
            oldest_undelivered_at: stats.oldest_at.and_then(at),
            dead_letters: stats.dead_letters,
            kept_dead_letters: stats.kept_dead_letters,
            given_up_dead_letters: stats.given_up_dead_letters,
            skipped_events: stats.skipped_events,
            lost_events: stats.lost.events,
            lost: stats.lost.gaps.iter().map(LostStatus::from).collect(),
            replay: stats.replay,
            retry: stats.retry.map(RetryStatus::from),
            last_retry: stats.last_retry.map(LastRetryStatus::from),
            last_error,
            last_error_at,
            had_cursor: stats.had_cursor,
            began_with: stats.began.map(|began| began.with),
            began_at: stats.began.and_then(|began| at(began.at)),
            cursor_damage,
            cursor_damage_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_when_the_daemon_ended_is_known_after_it() {
        for (state, expected) in [("retrying", true), ("off", true), ("running", false)] {
            let mut sink = SinkStatus { state: state.to_owned(), ..SinkStatus::default() };
            (0..2).for_each(|_| sink.end());
            assert_eq!((&*sink.state, sink.ended_failing), ("stopped", expected), "{state}");
        }
    }
}
