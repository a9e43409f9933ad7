//! Losses of which only a count is kept, with the time at which they were found: what a check that runs
//! once a day should still tell, whichever daemon counted it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Status;

/// What was lost needs attention for this long, and as long as the daemon that found it runs.
pub(crate) const NEWS: Duration = Duration::from_secs(24 * 60 * 60);

/// Each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossesStatus {
    /// Bytes of damaged lanes in which no event could be found.
    pub damaged_bytes: Loss,
    /// Damaged spool entries that were set aside.
    pub bad_spool_entries: Loss,
    /// Events that were in journal files when somebody removed those or cut them off.
    pub removed_events: Loss,
}

/// One kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Loss {
    /// How much this daemon found, and those before it that were news at its start.
    pub count: u64,
    /// When the last of it was found.
    pub at: Option<Timestamp>,
}

impl Loss {
    /// What is to be told: not what an earlier daemon found more than a day ago.
    pub(crate) fn news(&self, started: Timestamp, now: Timestamp) -> Option<(u64, Timestamp)> {
        let at = self.at.filter(|_| self.count > 0)?;
        (at >= started || since(at, now) < NEWS).then_some((self.count, at))
    }

    /// `before` and `after`: what this daemon had counted at its last look and has counted now.
    fn note(&mut self, before: u64, after: u64, now: Timestamp) {
        if after > before {
            self.count = self.count.saturating_add(after - before);
            self.at = Some(now);
        }
    }
}

impl LossesStatus {
    /// What the next daemon begins with.
    pub(crate) fn left_at(self, now: Timestamp) -> LossesStatus {
        let left = |loss: Loss| loss.news(now, now).map_or_else(Loss::default, |_| loss);
        LossesStatus {
            damaged_bytes: left(self.damaged_bytes),
            bad_spool_entries: left(self.bad_spool_entries),
            removed_events: left(self.removed_events),
        }
    }

    /// Notes what the daemon counted between two looks.
    pub(super) fn note(&mut self, before: [u64; 3], after: [u64; 3], now: Timestamp) {
        let kinds =
            [&mut self.damaged_bytes, &mut self.bad_spool_entries, &mut self.removed_events];
        for ((loss, before), after) in kinds.into_iter().zip(before).zip(after) {
            loss.note(before, after, now);
        }
    }
}

impl Status {
    /// What the daemon has counted of each kind since its start.
    pub(super) fn counted_losses(&self) -> [u64; 3] {
        let Status { counts, journal, .. } = self;
        [counts.damaged_bytes, counts.bad_spool_entries, journal.removed_events]
    }
}

/// How long ago that was.
pub(crate) fn since(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::status::BusStatus;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).expect("a time")
    }

    #[test]
    fn what_each_daemon_counts_adds_up_while_it_is_news() {
        let mut losses = LossesStatus::default();
        losses.note([0; 3], [0, 2, 0], at(0));
        losses.note([0, 2, 0], [64, 2, 0], at(1));
        losses.note([64, 2, 0], [64, 2, 0], at(9));
        let found = |count, hours| Loss { count, at: Some(at(hours)) };
        assert_eq!(
            (&losses.damaged_bytes, &losses.bad_spool_entries),
            (&found(64, 1), &found(2, 0))
        );
        assert_eq!(losses.removed_events, Loss::default());
        // The next daemon counts from 0.
        let mut next = losses.clone().left_at(at(10));
        next.note([0; 3], [36, 0, 5], at(11));
        assert_eq!((next.damaged_bytes, next.removed_events), (found(100, 11), found(5, 11)));
        let much_later = losses.left_at(at(24));
        assert_eq!(much_later.bad_spool_entries, Loss::default());
        assert_eq!(much_later.damaged_bytes, found(64, 1));
    }

    #[test]
    fn each_figure_of_the_collector_goes_to_its_kind() {
        let mut bus = BusStatus::default();
        (bus.counts.damaged_bytes, bus.counts.bad_spool_entries) = (1, 2);
        bus.journal.removed_events = 3;
        let mut status = Status::default();
        status.set_bus(&bus);
        status.set_bus(&bus);
        let LossesStatus { damaged_bytes, bad_spool_entries, removed_events } = status.losses;
        let counts = [damaged_bytes, bad_spool_entries, removed_events].map(|loss| loss.count);
        assert_eq!(counts, [1, 2, 3]);
    }
}
