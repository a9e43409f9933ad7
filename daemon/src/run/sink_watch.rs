//! Watches the sinks: says when one begins to fail or works again, when its breaker opens, when it is switched
//! off or on, and what one lost.
//!
//! The main thread looks once a second; what begins and ends between two looks is not told, but each retry
//! is counted in the status. A sink that fails and works by turns is told twice a minute at most, and so is one
//! that is switched off and on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hookring_journal::system::{DaemonGap, GapCause, Own, SinkChange};
use hookring_sinks::{BreakerState, SinkState, SinkStats};

use super::happenings::gap;
use super::status::state_name;

/// That a sink fails is told once in this time at most, and so that it is off. That it works again comes at most
/// as often as the two.
pub(super) const FAILURE_INTERVAL: Duration = Duration::from_secs(60);

/// What was told of each sink, by its name.
#[derive(Default)]
pub(super) struct SinkWatch {
    sinks: BTreeMap<String, Watched>,
}

struct Watched {
    /// As it was told last.
    state: &'static str,
    /// It was told that its breaker is open.
    is_open: bool,
    /// When it was told last that it fails.
    failed_at: Option<Instant>,
    /// When it was told last that it is off.
    off_at: Option<Instant>,
    /// Numbers that its worker has found lost.
    skipped_events: u64,
}

impl SinkWatch {
    /// What is new since the last look. A sink that is not there any more is forgotten.
    pub(super) fn look(&mut self, stats: &[SinkStats], now: Instant) -> Vec<Own> {
        self.sinks.retain(|name, _| stats.iter().any(|stats| stats.name == *name));
        let mut news = Vec::new();
        for stats in stats {
            let watched = self.sinks.entry(stats.name.clone()).or_insert(Watched {
                state: "opening",
                is_open: false,
                failed_at: None,
                off_at: None,
                skipped_events: 0,
            });
            news.extend(watched.change(stats, now).map(Own::Sink));
            news.extend(watched.loss(stats).map(Own::Gap));
        }
        news
    }
}

impl Watched {
    fn change(&mut self, stats: &SinkStats, now: Instant) -> Option<SinkChange> {
        let (before, state) = (self.state, state_name(stats));
        let is_open = state == "retrying" && stats.breaker == BreakerState::Open;
        if before == state && (self.is_open || !is_open) {
            return None;
        }
        let is_due = |last: Option<Instant>| {
            last.is_none_or(|last| now.duration_since(last) >= FAILURE_INTERVAL)
        };
        let is_told = match stats.state {
            // A sink that was off works as far as anybody knows.
            SinkState::Running => before != "opening",
            SinkState::Retrying => is_due(self.failed_at),
            SinkState::Off => is_due(self.off_at),
            // It is about to begin, or has ended with its daemon.
            SinkState::Opening | SinkState::Stopped => false,
        };
        if !is_told {
            if before == "opening" && stats.state == SinkState::Running {
                self.state = state;
            }
            return None;
        }
        (self.state, self.is_open) = (state, is_open);
        let error = match stats.state {
            SinkState::Retrying => {
                self.failed_at = Some(now);
                stats.last_error.as_ref().map(|error| error.message.clone())
            }
            SinkState::Off => {
                self.off_at = Some(now);
                stats.off.as_ref().map(|off| off.reason.clone()).filter(|it| !it.is_empty())
            }
            _ => None,
        };
        Some(SinkChange {
            sink: stats.name.clone(),
            state: state.to_owned(),
            before: before.to_owned(),
            breaker: is_open.then(|| "open".to_owned()),
            error,
        })
    }

    fn loss(&mut self, stats: &SinkStats) -> Option<DaemonGap> {
        let known = std::mem::replace(&mut self.skipped_events, stats.skipped_events);
        // A worker that was started anew counts from 0.
        let known = if stats.skipped_events < known { 0 } else { known };
        let count = stats.skipped_events - known;
        if count == 0 {
            return None;
        }
        let latest = stats.lost.gaps.last().map(|lost| lost.gap);
        Some(DaemonGap {
            sink: Some(stats.name.clone()),
            first: latest.map(|gap| gap.first),
            last: latest.map(|gap| gap.last),
            ..gap(GapCause::SinkLost, count)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use hookring_journal::{Gap, Losses, Lost};
    use hookring_sinks::{LastError, OffBy};

    use super::*;

    fn stats(state: SinkState) -> SinkStats {
        SinkStats {
            state,
            last_error: Some(LastError { message: "down".to_owned(), at: SystemTime::now() }),
            ..SinkStats::at("s", 1)
        }
    }

    /// What is told of a sink that is seen like this at these seconds.
    fn told(seen: impl IntoIterator<Item = (u64, SinkState)>) -> Vec<(u64, String, String)> {
        let (mut watch, start) = (SinkWatch::default(), Instant::now());
        let mut told = Vec::new();
        for (second, state) in seen {
            for news in watch.look(&[stats(state)], start + Duration::from_secs(second)) {
                let Own::Sink(change) = news else { panic!("{news:?}") };
                assert_eq!(change.error.is_some(), change.state == "retrying");
                told.push((second, change.before, change.state));
            }
        }
        told
    }

    fn expected(told: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
        let owned = |(second, before, state): &(u64, &str, &str)| {
            (*second, (*before).to_owned(), (*state).to_owned())
        };
        told.iter().map(owned).collect()
    }

    #[test]
    fn only_a_change_is_told() {
        use SinkState::{Opening, Retrying, Running, Stopped};
        let seen = [(0, Opening), (1, Running), (2, Running), (3, Stopped)];
        assert_eq!(told(seen), []);
        let seen = [(0, Opening), (1, Retrying), (2, Retrying), (3, Running), (4, Running)];
        let changes = [(1, "opening", "retrying"), (3, "retrying", "running")];
        assert_eq!(told(seen), expected(&changes));
        // Changed by a reload: begun anew, and not known to work yet.
        let seen = [(0, Retrying), (1, Opening), (2, Running)];
        let changes = [(0, "opening", "retrying"), (2, "retrying", "running")];
        assert_eq!(told(seen), expected(&changes));
    }

    #[test]
    fn a_sink_that_fails_and_works_by_turns_is_told_twice_a_minute_and_how_it_ends() {
        use SinkState::{Retrying, Running};
        let seen = (0..600).map(|n| (n, if n % 2 == 0 { Retrying } else { Running }));
        let told = told(seen.chain([(600, Retrying), (700, Retrying)]));
        assert_eq!(told.len(), 2 * 10 + 1);
        assert_eq!(told.last().map(|(_, _, state)| &**state), Some("retrying"));
    }

    /// What is told of a sink in these states, the breaker and who switched it off included.
    fn told_of(seen: impl IntoIterator<Item = (u64, SinkStats)>) -> Vec<(u64, String)> {
        let (mut watch, start) = (SinkWatch::default(), Instant::now());
        let mut told = Vec::new();
        for (second, stats) in seen {
            for news in watch.look(&[stats], start + Duration::from_secs(second)) {
                let Own::Sink(change) = news else { panic!("{news:?}") };
                let SinkChange { before, state, breaker, error, .. } = change;
                let breaker = breaker.unwrap_or_default();
                told.push((
                    second,
                    format!("{before} {state} {breaker} {}", error.unwrap_or_default()),
                ));
            }
        }
        told
    }

    #[test]
    fn an_open_breaker_is_told_at_once_where_it_is_the_first_news_and_else_when_it_lasts() {
        use SinkState::{Retrying, Running};
        let open = || SinkStats { breaker: BreakerState::Open, ..stats(Retrying) };
        let seen =
            [(0, stats(Running)), (1, open()), (2, open()), (70, open()), (71, stats(Running))];
        let expected = [(1, "running retrying open down"), (71, "retrying running  ")];
        assert_eq!(told_of(seen), expected.map(|(at, text)| (at, text.to_owned())));
        let failing = (0..200).map(|n| (n, if n < 5 { stats(Retrying) } else { open() }));
        let expected = [(0, "opening retrying  down"), (60, "retrying retrying open down")];
        assert_eq!(told_of(failing), expected.map(|(at, text)| (at, text.to_owned())));
    }

    #[test]
    fn that_it_is_switched_off_and_on_is_told_by_whom_and_twice_a_minute_at_most() {
        use SinkState::{Off, Opening, Running};
        let off = |by, reason: &str| SinkStats {
            off: Some(hookring_sinks::Off { by, reason: reason.to_owned() }),
            ..stats(Off)
        };
        let person = || off(OffBy::Person, "");
        let seen = [
            (0, stats(Running)),
            (1, person()),
            (2, stats(Opening)),
            (3, stats(Running)),
            (70, off(OffBy::Place, "410 Gone")),
            (71, stats(Running)),
        ];
        let expected = [
            (1, "running paused  "),
            (3, "paused running  "),
            (70, "running off  410 Gone"),
            (71, "off running  "),
        ];
        assert_eq!(told_of(seen), expected.map(|(at, text)| (at, text.to_owned())));
        let by_turns = (0..600).map(|n| (n, if n % 2 == 0 { person() } else { stats(Running) }));
        assert_eq!(told_of(by_turns).len(), 2 * 10);
    }

    #[test]
    fn what_a_sink_lost_is_told_once_whichever_worker_found_it() {
        let mut watch = SinkWatch::default();
        let mut look = |skipped_events, gaps: &[(u64, u64)]| {
            let at = SystemTime::now();
            let gaps = gaps.iter().map(|&(first, last)| Lost { gap: Gap { first, last }, at });
            let lost = Losses { events: 1000, gaps: gaps.collect() };
            let stats = SinkStats { skipped_events, lost, ..stats(SinkState::Running) };
            let news = watch.look(&[stats], Instant::now());
            let gaps = news.into_iter().map(|news| match news {
                Own::Gap(gap) => (gap.count, gap.first, gap.last),
                news => panic!("{news:?}"),
            });
            gaps.collect::<Vec<_>>()
        };
        // Those of an earlier daemon are known to its log.
        assert_eq!(look(0, &[(1, 9)]), []);
        assert_eq!(look(4, &[(1, 9), (20, 23)]), [(4, Some(20), Some(23))]);
        assert_eq!(look(4, &[(1, 9), (20, 23)]), []);
        assert_eq!(look(1, &[(40, 40)]), [(1, Some(40), Some(40))]);
        assert!(watch.look(&[], Instant::now()).is_empty() && watch.sinks.is_empty());
    }
}
