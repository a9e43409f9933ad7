//! When a failing sink is worth a line of the log: its first failure, each other error, and from time to
//! time that it still fails; and events that became dead letters. The stats count every failure; the log is
//! for people.

use std::time::{Duration, Instant};

use hookring_journal::Seq;

/// The first reminder comes so long after the first line; between two lines about the same error there is at
/// least this much time, too.
const FIRST_GAP: Duration = Duration::from_secs(60);
/// The time between reminders doubles up to this.
const LAST_GAP: Duration = Duration::from_secs(3600);
/// So many different errors are said within [`FIRST_GAP`]; a refusal always is.
const ERRORS_MAX: usize = 5;
/// So many errors are known again; of more the one that was said first is forgotten.
const KNOWN_MAX: usize = 16;

/// What comes of a failure.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The same is sent again.
    Failed,
    /// It is sent again in smaller parts.
    Halved,
    /// Only a person can help.
    Refused,
    /// The worker ends.
    Last,
}

/// What was said about one sink.
#[derive(Default)]
pub(super) struct Complaints {
    /// The lines about failures, each error once, the latest last.
    said: Vec<Said>,
    /// Nothing was said of the end of these yet.
    is_open: bool,
    /// The last failure was a refusal.
    is_refused: bool,
    /// Failures since the last line.
    unsaid: u64,
    /// Failures since the sink last worked for long enough to be said.
    failures: u64,
    /// Since when it works, if it does.
    works_since: Option<Instant>,
    throttles: Counted,
    letters: Counted,
}

struct Said {
    at: Instant,
    message: String,
    /// The time until the next line about the same.
    gap: Duration,
}

/// Said at once, and then with the count once in [`FIRST_GAP`].
#[derive(Default)]
struct Counted {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    /// The line to log for a failure, if it is time for one.
    pub(super) fn failed(&mut self, message: &str, kind: Kind, now: Instant) -> Option<String> {
        let worked_for = self.works_since.take().map(|since| now.duration_since(since));
        if worked_for.is_some_and(|time| time >= FIRST_GAP) {
            let (throttles, letters) =
                (std::mem::take(&mut self.throttles), std::mem::take(&mut self.letters));
            *self = Complaints { throttles, letters, ..Complaints::default() };
        }
        self.failures += 1;
        self.unsaid += 1;
        let is_first = self.said.is_empty();
        let was_refused = std::mem::replace(&mut self.is_refused, kind == Kind::Refused);
        let gap = self.due(message, now, self.is_refused && !was_refused)?;
        self.said.retain(|said| said.message != message);
        if self.said.len() == KNOWN_MAX {
            self.said.remove(0);
        }
        self.said.push(Said { at: now, message: message.to_owned(), gap });
        self.is_open = true;
        let failed = times(std::mem::take(&mut self.unsaid));
        let then = kind.then();
        Some(match is_first {
            true => format!("{message}; {then}"),
            false if kind == Kind::Failed => {
                format!("{message}; failed {failed} since the last message")
            }
            false => format!("{message}; failed {failed} since the last message; {then}"),
        })
    }

    /// If this is to be said now: the time until it is said again.
    fn due(&self, message: &str, now: Instant, is_urgent: bool) -> Option<Duration> {
        let since = |said: &Said| now.duration_since(said.at);
        let Some(said) = self.said.iter().find(|said| said.message == message) else {
            let recent = self.said.iter().filter(|said| since(said) < FIRST_GAP).count();
            return (is_urgent || recent < ERRORS_MAX).then_some(FIRST_GAP);
        };
        let wait = if self.is_open { said.gap } else { FIRST_GAP };
        let next = if self.is_open { (said.gap * 2).min(LAST_GAP) } else { FIRST_GAP };
        (is_urgent || since(said) >= wait).then_some(next)
    }

    /// The line to log now that an attempt did not fail, if it ends what was complained about.
    pub(super) fn works(&mut self, now: Instant) -> Option<String> {
        // Asked after each attempt, most of which follow one that did not fail, either.
        if self.works_since.is_some() || self.failures == 0 {
            return None;
        }
        (self.works_since, self.is_refused) = (Some(now), false);
        if !std::mem::take(&mut self.is_open) {
            return None;
        }
        let failures = std::mem::take(&mut self.failures);
        self.unsaid = 0;
        Some(format!("works again; it had failed {}", times(failures)))
    }

    /// The line to log for a sink that asked for time, if it is time for one.
    pub(super) fn throttled(&mut self, message: &str, now: Instant) -> Option<String> {
        let count = self.throttles.add(1, now)?;
        let since = if count > 1 { format!(", {} since", times(count)) } else { String::new() };
        Some(format!("asks for time{since}: {message}"))
    }

    /// The line to log for events that became dead letters, `first` and others, if it is time for one.
    pub(super) fn buried(
        &mut self,
        message: &str,
        first: Seq,
        events: u64,
        now: Instant,
    ) -> Option<String> {
        let count = self.letters.add(events, now)?;
        Some(match count {
            1 => format!("{message}; event {first} is kept as a dead letter"),
            _ => format!("{message}; {count} events are kept as dead letters, {first} among them"),
        })
    }

    /// The line to log for dead letters that were not said, once it is time or there is no other.
    pub(super) fn rest(&mut self, is_end: bool, now: Instant) -> Option<String> {
        if self.letters.unsaid == 0 || !(is_end || self.letters.is_due(now)) {
            return None;
        }
        let count = self.letters.add(0, now + FIRST_GAP)?;
        self.letters.said_at = Some(now);
        Some(match count {
            1 => "1 more event was kept as a dead letter since the last message".to_owned(),
            _ => format!("{count} more events were kept as dead letters since the last message"),
        })
    }
}

impl Kind {
    fn then(self) -> &'static str {
        match self {
            Kind::Failed => "it is tried again",
            Kind::Halved => "it is sent again in smaller parts",
            Kind::Refused => "it needs a person, and is tried again seldom",
            Kind::Last => "the next start goes on from there",
        }
    }
}

impl Counted {
    /// How many to say now, if it is time.
    fn add(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.unsaid += count;
        if !self.is_due(now) {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    fn is_due(&self, now: Instant) -> bool {
        self.said_at.is_none_or(|at| now.duration_since(at) >= FIRST_GAP)
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of attempts at these seconds; `None` is one that works.
    fn said(attempts: impl IntoIterator<Item = (u64, Option<&'static str>)>) -> Vec<(u64, String)> {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        let mut lines = Vec::new();
        for (second, message) in attempts {
            let now = start + Duration::from_secs(second);
            let line = match message {
                Some(message) => complaints.failed(message, Kind::Failed, now),
                None => complaints.works(now),
            };
            lines.extend(line.map(|line| (second, line)));
        }
        lines
    }

    #[test]
    fn the_first_failure_is_said_then_reminders_at_a_growing_interval() {
        let lines = said((0..=86_400).step_by(10).map(|second| (second, Some("down"))));
        let times: Vec<_> = lines.iter().map(|line| line.0).collect();
        assert_eq!(times[..8], [0, 60, 180, 420, 900, 1860, 3780, 7380]);
        // At last once an hour.
        assert_eq!(times.len(), 8 + 21);
        assert_eq!(lines[0].1, "down; it is tried again");
        assert_eq!(lines[2].1, "down; failed 12 times since the last message");
        // No failure is left out of the count.
        let counted: u64 = lines[1..]
            .iter()
            .filter_map(|line| line.1.split(' ').nth(2)?.parse::<u64>().ok())
            .sum();
        assert_eq!(counted, times.last().expect("a line") / 10);
    }

    #[test]
    fn the_end_is_said_once_and_a_new_failure_after_a_good_while_at_once() {
        let lines = said([
            (0, None),
            (1, Some("down")),
            (2, Some("down")),
            (3, None),
            (4, None),
            (63, Some("down")),
        ]);
        let expected = [
            (1, "down; it is tried again"),
            (3, "works again; it had failed 2 times"),
            (63, "down; it is tried again"),
        ];
        assert_eq!(lines, expected.map(|(second, line)| (second, line.to_owned())));
    }

    #[test]
    fn another_error_is_said_at_once_and_the_same_again_by_and_by() {
        let lines = said([(0, Some("500")), (1, Some("400")), (2, Some("500")), (3, Some("401"))]);
        let expected = [
            (0, "500; it is tried again"),
            (1, "400; failed once since the last message"),
            (3, "401; failed 2 times since the last message"),
        ];
        assert_eq!(lines, expected.map(|(second, line)| (second, line.to_owned())));
        let message = |second: u64| if second.is_multiple_of(2) { "down" } else { "full" };
        let lines = said((0..600).map(|second| (second, Some(message(second)))));
        let times: Vec<_> = lines.iter().map(|line| line.0).collect();
        assert_eq!(times, [0, 1, 60, 61, 180, 181, 420, 421]);
    }

    #[test]
    fn errors_that_are_never_the_same_do_not_fill_the_log_and_a_refusal_is_said_all_the_same() {
        let (mut complaints, now) = (Complaints::default(), Instant::now());
        let errors = (0..100).map(|n| format!("request {n} failed"));
        let lines: Vec<_> =
            errors.filter_map(|error| complaints.failed(&error, Kind::Failed, now)).collect();
        assert_eq!(lines.len(), ERRORS_MAX);
        for (kind, expected) in [
            (
                Kind::Refused,
                Some(
                    "401; failed 96 times since the last message; it needs a person, and is tried again seldom",
                ),
            ),
            (Kind::Refused, None),
            (Kind::Failed, None),
            (
                Kind::Refused,
                Some(
                    "401; failed 3 times since the last message; it needs a person, and is tried again seldom",
                ),
            ),
        ] {
            assert_eq!(complaints.failed("401", kind, now).as_deref(), expected);
        }
    }

    #[test]
    fn it_is_not_said_to_be_tried_again_where_it_is_not() {
        let first = |kind| Complaints::default().failed("no", kind, Instant::now());
        assert_eq!(first(Kind::Last).as_deref(), Some("no; the next start goes on from there"));
        assert_eq!(first(Kind::Halved).as_deref(), Some("no; it is sent again in smaller parts"));
    }

    #[test]
    fn dead_letters_and_throttles_are_said_at_once_and_then_counted_by_the_minute() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let lines: Vec<_> =
            (0..=100).filter_map(|n| complaints.buried("400", n, 1, at(n))).collect();
        let expected = [
            "400; event 0 is kept as a dead letter",
            "400; 60 events are kept as dead letters, 60 among them",
        ];
        assert_eq!(lines, expected);
        assert_eq!(complaints.rest(false, at(119)), None);
        let rest = complaints.rest(false, at(120));
        let said = "40 more events were kept as dead letters since the last message";
        assert_eq!(rest.as_deref(), Some(said));
        assert_eq!(complaints.rest(true, at(500)), None);
        assert_eq!(complaints.buried("400", 1, 1, at(121)), None);
        let said = "1 more event was kept as a dead letter since the last message";
        assert_eq!(complaints.rest(true, at(121)).as_deref(), Some(said));
        let lines: Vec<_> = (0..=60).filter_map(|n| complaints.throttled("429", at(n))).collect();
        assert_eq!(lines, ["asks for time: 429", "asks for time, 60 times since: 429"]);
        assert_eq!(complaints.works(at(61)), None, "it never failed");
    }

    #[test]
    fn a_sink_that_fails_and_works_by_turns_does_not_fill_the_log() {
        let attempt = |second: u64| second.is_multiple_of(2).then_some("down");
        let lines = said((0..600).map(|second| (second, attempt(second))));
        // A failure and its end in each minute.
        assert_eq!(lines.len(), 20);
        assert_eq!(lines[2].1, "down; failed 30 times since the last message");
    }
}
