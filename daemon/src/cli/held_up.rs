//! What holds a sink up that a command wants something sent to, in the words of `hookring status`.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::style::printable;
use super::table::human_duration;
use crate::run::status::{SinkStatus, since};

/// An error that does not stop a sink is said of one where nothing has moved for so long.
const STILL_AFTER: Duration = Duration::from_secs(3);

/// Why a sink is sent nothing now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldUp {
    /// `paused`, `off`, `stopped`, `open`, `refused`, `throttled`, `retrying`; `running` where only our own files are
    /// in the way.
    pub(super) state: String,
    /// Until when, if that is known.
    until: Option<Timestamp>,
    /// Who paused it, what its place or the system said.
    pub(super) reason: Option<String>,
}

/// Looks at one sink as long as a command waits for it.
#[derive(Debug)]
pub(super) struct Watch {
    /// What was said last, without the time left.
    said: Option<(String, Option<String>)>,
    /// How far it was, and since when.
    at: (u64, Instant),
    asked_at: Timestamp,
}

impl Watch {
    /// For what was asked then.
    pub(super) fn new(asked_at: Timestamp) -> Watch {
        Watch { said: None, at: (0, Instant::now()), asked_at }
    }

    /// What holds it up, if anything does that has come to so much.
    pub(super) fn look(&mut self, sink: &SinkStatus, done: u64, now: Timestamp) -> Option<HeldUp> {
        if self.at.0 != done {
            (self.at, self.said) = ((done, Instant::now()), None);
        }
        let is_still = self.at.1.elapsed() >= STILL_AFTER;
        let is_new = sink.last_error_at.is_some_and(|at| at >= self.asked_at);
        held_up(sink, now).or_else(|| {
            let reason = sink.last_error.clone();
            let state = sink.state.clone();
            (is_still && is_new && state == "running").then_some(HeldUp {
                state,
                until: None,
                reason,
            })
        })
    }

    /// A line of that, if it was not said already.
    pub(super) fn news(&mut self, name: &str, held: &HeldUp, now: Timestamp) -> Option<String> {
        let what = (held.state.clone(), held.reason.clone());
        if self.said.as_ref() == Some(&what) {
            return None;
        }
        self.said = Some(what);
        let name = printable(name);
        let help = match &*held.state {
            "paused" => "; `hookring sink resume` has it go on",
            "off" | "refused" => "; set it right, then `hookring sink resume` tries at once",
            _ => "",
        };
        Some(format!("{name} is {}{help}", held.in_words(now)))
    }
}

impl HeldUp {
    /// Its state with the time left: `refused, 42.0 s more`.
    pub(super) fn state_in_words(&self, now: Timestamp) -> String {
        let left = self.until.map(|until| since(now, until)).filter(|left| !left.is_zero());
        let left = left.map(|left| format!(", {} more", human_duration(left)));
        format!("{}{}", self.state, left.unwrap_or_default())
    }

    fn in_words(&self, now: Timestamp) -> String {
        let reason = self.reason.as_ref().map(|why| format!(": {}", printable(why)));
        format!("{}{}", self.state_in_words(now), reason.unwrap_or_default())
    }
}

/// One that is being tried just now is not held up.
fn held_up(sink: &SinkStatus, now: Timestamp) -> Option<HeldUp> {
    let of = |state: &str, until, reason: &Option<String>| HeldUp {
        state: state.to_owned(),
        until,
        reason: reason.clone(),
    };
    match &*sink.state {
        state @ ("paused" | "off" | "stopped") => Some(of(state, None, &sink.off_reason)),
        "retrying" | "running" => {
            let until = sink.waits_until.filter(|until| *until > now)?;
            let state = match sink.waits_because.as_deref() {
                Some(because @ ("throttled" | "refused")) => because,
                _ if sink.breaker == "open" => "open",
                _ => "retrying",
            };
            Some(of(state, Some(until), &sink.last_error))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn sink(state: &str, because: &str, error: &str) -> SinkStatus {
        SinkStatus {
            state: state.to_owned(),
            breaker: "open".to_owned(),
            waits_until: Some(at(92)),
            waits_because: Some(because.to_owned()),
            last_error: Some(error.to_owned()),
            last_error_at: Some(at(-1)),
            off_reason: Some("we move".to_owned()),
            ..SinkStatus::default()
        }
    }

    #[test]
    fn what_holds_a_sink_up_is_said_once_and_when_it_changes() {
        let mut watch = Watch::new(at(0));
        let mut said = |sink: &SinkStatus, done, now| {
            let held = watch.look(sink, done, at(now))?;
            watch.news("tls", &held, at(now))
        };
        let refused = sink("retrying", "refused", "no\u{1b} certificate");
        let help = "; set it right, then `hookring sink resume` tries at once";
        let expected = format!("tls is refused, 1m 32s more: no\\u{{1b}} certificate{help}");
        assert_eq!(said(&refused, 0, 0), Some(expected));
        assert_eq!(said(&refused, 0, 10), None);
        // It is tried, and is as before.
        let tried = SinkStatus { waits_until: None, ..refused.clone() };
        assert_eq!((said(&tried, 0, 11), said(&refused, 0, 12)), (None, None));
        let open = sink("retrying", "failed", "it is down");
        assert_eq!(said(&open, 0, 52).as_deref(), Some("tls is open, 40.0 s more: it is down"));
        let throttled = sink("running", "throttled", "later");
        assert_eq!(
            said(&throttled, 0, 82).as_deref(),
            Some("tls is throttled, 10.0 s more: later")
        );
        let paused = said(&sink("paused", "", ""), 0, 0).expect("news");
        assert_eq!(paused, "tls is paused: we move; `hookring sink resume` has it go on");
        // It went on meanwhile.
        assert!(said(&open, 0, 0).is_some() && said(&open, 0, 0).is_none());
        assert!(said(&open, 1, 0).is_some());
        let runs = SinkStatus { waits_until: None, ..sink("running", "", "an error of earlier") };
        assert_eq!(said(&runs, 1, 0), None);
    }

    #[test]
    fn our_own_files_hold_up_a_sink_that_runs() {
        let mut watch = Watch::new(at(0));
        let runs = SinkStatus {
            waits_until: None,
            last_error_at: Some(at(1)),
            ..sink("running", "", "cannot begin with x")
        };
        assert_eq!(watch.look(&runs, 0, at(2)), None, "it may be moving");
        watch.at.1 = Instant::now().checked_sub(STILL_AFTER).expect("a time");
        let held = watch.look(&runs, 0, at(2)).expect("it stands still");
        let line = watch.news("file", &held, at(2));
        assert_eq!(line.as_deref(), Some("file is running: cannot begin with x"));
    }
}
