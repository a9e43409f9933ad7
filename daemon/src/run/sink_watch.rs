//! Watches the sinks: says when one begins to fail or works again, and what one lost.
//!
//! The main thread looks once a second; what begins and ends between two looks is not told, but each retry
//! is counted in the status. A sink that fails and works by turns is told twice a minute at most.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hookring_journal::system::{DaemonGap, GapCause, Own, SinkChange};
use hookring_sinks::{SinkState, SinkStats};

use super::happenings::gap;
use super::status::state_name;

/// That a sink fails is told once in this time at most. That it works again comes at most as often.
pub(super) const FAILURE_INTERVAL: Duration = Duration::from_secs(60);

/// What was told of each sink, by its name.
#[derive(Default)]
pub(super) struct SinkWatch {
    sinks: BTreeMap<String, Watched>,
}

struct Watched {
    state: SinkState,
    /// When it was told last that it fails.
    failed_at: Option<Instant>,
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
                state: SinkState::Opening,
                failed_at: None,
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
        let before = self.state;
        let is_told = match (before, stats.state) {
            (SinkState::Opening, SinkState::Running) => {
                self.state = SinkState::Running;
                false
            }
            (SinkState::Retrying, SinkState::Running) => true,
            (SinkState::Opening | SinkState::Running, SinkState::Retrying) => {
                self.failed_at.is_none_or(|at| now.duration_since(at) >= FAILURE_INTERVAL)
            }
            // It stays as it is, or is about to begin, or has ended with its daemon.
            _ => false,
        };
        if !is_told {
            return None;
        }
        self.state = stats.state;
        let fails = stats.state == SinkState::Retrying;
        if fails {
            self.failed_at = Some(now);
        }
        let error = stats.last_error.as_ref().filter(|_| fails);
        Some(SinkChange {
            sink: stats.name.clone(),
            state: state_name(stats.state).to_owned(),
            before: state_name(before).to_owned(),
            error: error.map(|error| error.message.clone()),
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
    use hookring_sinks::LastError;

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
