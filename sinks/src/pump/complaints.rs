//! When a failing sink is worth a line of the log: its first failure, what changes, and from time to
//! time that it still fails. The stats count every failure; the log is for people.

use std::time::{Duration, Instant};

/// The first reminder comes so long after the first line; between lines about one sink that fails
/// and works by turns there is at least this much time, too.
const FIRST_GAP: Duration = Duration::from_secs(60);
/// The time between reminders doubles up to this.
const LAST_GAP: Duration = Duration::from_secs(3600);

/// What was said about one sink.
#[derive(Default)]
pub(super) struct Complaints {
    /// The last line about a failure.
    said: Option<Said>,
    /// Failures since then.
    unsaid: u64,
    /// Failures since the sink last worked for long enough to be said.
    failures: u64,
    /// Since when it works, if it does.
    works_since: Option<Instant>,
}

struct Said {
    at: Instant,
    message: String,
    /// The time until the next line about the same.
    gap: Duration,
    /// Nothing was said of its end yet.
    is_open: bool,
}

impl Complaints {
    /// The line to log for a failure, if it is time for one.
    pub(super) fn failed(&mut self, message: &str, now: Instant) -> Option<String> {
        let worked_for = self.works_since.take().map(|since| now.duration_since(since));
        if worked_for.is_some_and(|time| time >= FIRST_GAP) {
            *self = Complaints::default();
        }
        self.failures += 1;
        let (line, gap) = match &self.said {
            None => (format!("{message}; it is tried again"), FIRST_GAP),
            Some(said) => {
                let is_news = !said.is_open || said.message != message;
                let wait = if is_news { FIRST_GAP } else { said.gap };
                if now.duration_since(said.at) < wait {
                    self.unsaid += 1;
                    return None;
                }
                let repeats = self.unsaid + 1;
                let gap = if is_news { FIRST_GAP } else { (said.gap * 2).min(LAST_GAP) };
                (format!("{message}; failed {} since the last message", times(repeats)), gap)
            }
        };
        self.unsaid = 0;
        self.said = Some(Said { at: now, message: message.to_owned(), gap, is_open: true });
        Some(line)
    }

    /// The line to log now that an attempt did not fail, if it ends what was complained about.
    pub(super) fn works(&mut self, now: Instant) -> Option<String> {
        // Asked after each attempt, most of which follow one that did not fail, either.
        if self.works_since.is_some() || self.failures == 0 {
            return None;
        }
        self.works_since = Some(now);
        let said = self.said.as_mut().filter(|said| said.is_open)?;
        said.is_open = false;
        let failures = std::mem::take(&mut self.failures);
        self.unsaid = 0;
        Some(format!("works again; it had failed {}", times(failures)))
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
                Some(message) => complaints.failed(message, now),
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
    fn another_error_is_said_but_not_with_each_change() {
        let message = |second: u64| if second.is_multiple_of(2) { "down" } else { "full" };
        let lines = said((0..600).map(|second| (second, Some(message(second)))));
        assert_eq!(lines.len(), 10);
        let lines = said([(0, Some("down")), (61, Some("down")), (130, Some("full"))]);
        assert_eq!(lines[2].1, "full; failed once since the last message");
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
