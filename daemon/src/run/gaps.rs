//! Watches the collector's own counts of what was lost, dropped or given up, and says when one rises.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hookring_bus::drain::{Counts, PlaceReport};
use hookring_journal::Stats;
use hookring_journal::system::{DaemonGap, GapCause};

use super::happenings::gap;
use super::status::PlaceStatus;

/// Each cause is told once in this time at most, with all that was counted meanwhile.
pub(super) const GAP_INTERVAL: Duration = Duration::from_secs(1);

/// What was told.
#[derive(Default)]
pub(super) struct Gaps {
    /// By cause, of the whole daemon.
    told: BTreeMap<GapCause, u64>,
    /// By its path.
    places: BTreeMap<String, Place>,
    next_look: Option<Instant>,
}

/// What was told of one place.
#[derive(Clone, Default)]
struct Place {
    dropped_events: u64,
    /// When its ring was last replaced for damage, Unix time; 0: never.
    damaged_at_ns: u64,
}

impl Gaps {
    /// Hooks drop events while no daemon runs, too: what the one before said of its places is known.
    pub(super) fn after(before: &[PlaceStatus]) -> Gaps {
        let place = |status: &PlaceStatus| {
            let place = Place { dropped_events: status.dropped_events, damaged_at_ns: 0 };
            (status.path.clone(), place)
        };
        Gaps { places: before.iter().map(place).collect(), ..Gaps::default() }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_look.is_none_or(|next| next <= now)
    }

    /// What is new since the last look.
    pub(super) fn look(
        &mut self,
        now: Instant,
        counts: &Counts,
        places: &[PlaceReport],
        journal: &Stats,
    ) -> Vec<DaemonGap> {
        self.next_look = now.checked_add(GAP_INTERVAL);
        let counted = [
            (GapCause::DamagedLanes, counts.condemned_lanes),
            (GapCause::DamagedBytes, counts.damaged_bytes),
            (GapCause::BadSpoolEntries, counts.bad_spool_entries),
            (GapCause::JournalRemoved, journal.removed_events),
            (GapCause::DiskFull, journal.sacrificed_events),
        ];
        let mut gaps = Vec::new();
        for (cause, count) in counted {
            let told = self.told.insert(cause, count).unwrap_or(0);
            gaps.extend((count > told).then(|| gap(cause, count - told)));
        }
        places.iter().for_each(|place| self.look_at(place, &mut gaps));
        gaps
    }

    fn look_at(&mut self, place: &PlaceReport, gaps: &mut Vec<DaemonGap>) {
        // One that cannot be used now counts nothing, and is not another one for that.
        if place.refused.is_some() {
            return;
        }
        let told = self.places.entry(place.path.clone()).or_default();
        let path = || Some(place.path.clone());
        let dropped = place.dropped_events.saturating_add(place.spool_dropped_events);
        // A count that is smaller is another one.
        let known = if dropped < told.dropped_events { 0 } else { told.dropped_events };
        if dropped > known {
            let dropped = gap(GapCause::HooksDropped, dropped - known);
            gaps.push(DaemonGap { place: path(), ..dropped });
        }
        told.dropped_events = dropped;
        if let Some(damage) = place.ring_damage.as_ref().filter(|it| it.at_ns > told.damaged_at_ns)
        {
            told.damaged_at_ns = damage.at_ns;
            let what = Some(damage.what.clone());
            gaps.push(DaemonGap { place: path(), what, ..gap(GapCause::DamagedRing, 1) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookring_bus::drain::RingDamage;

    fn look(gaps: &mut Gaps, counts: Counts, places: &[PlaceReport]) -> Vec<DaemonGap> {
        gaps.look(Instant::now(), &counts, places, &Stats::default())
    }

    fn place(dropped_events: u64, spool_dropped_events: u64) -> PlaceReport {
        let path = "/x".to_owned();
        PlaceReport { path, dropped_events, spool_dropped_events, ..PlaceReport::default() }
    }

    #[test]
    fn what_rose_is_told_once() {
        let mut gaps = Gaps::default();
        let counts = Counts { damaged_bytes: 64, condemned_lanes: 1, ..Counts::default() };
        let expected = [gap(GapCause::DamagedLanes, 1), gap(GapCause::DamagedBytes, 64)];
        assert_eq!(look(&mut gaps, counts, &[]), expected);
        assert_eq!(look(&mut gaps, counts, &[]), []);
        let more = Counts { damaged_bytes: 100, bad_spool_entries: 2, ..counts };
        let expected = [gap(GapCause::DamagedBytes, 36), gap(GapCause::BadSpoolEntries, 2)];
        assert_eq!(look(&mut gaps, more, &[]), expected);
        let journal = Stats { removed_events: 5, sacrificed_events: 6, ..Stats::default() };
        let expected = [gap(GapCause::JournalRemoved, 5), gap(GapCause::DiskFull, 6)];
        assert_eq!(gaps.look(Instant::now(), &more, &[], &journal), expected);
    }

    #[test]
    fn drops_are_those_since_the_daemon_before_and_of_a_new_ring_all() {
        let path = "/x".to_owned();
        let before = PlaceStatus { path, dropped_events: 10, ..PlaceStatus::default() };
        let mut gaps = Gaps::after(&[before]);
        let mut dropped = |report: PlaceReport| {
            let found = look(&mut gaps, Counts::default(), &[report]);
            assert!(found.iter().all(|gap| gap.place.as_deref() == Some("/x")));
            found.iter().map(|gap| (gap.cause, gap.count)).collect::<Vec<_>>()
        };
        assert_eq!(dropped(place(8, 2)), []);
        assert_eq!(dropped(place(8, 5)), [(GapCause::HooksDropped, 3)]);
        let refused = Some("gone".to_owned());
        assert_eq!(dropped(PlaceReport { refused, ..place(0, 0) }), []);
        assert_eq!(dropped(place(8, 5)), []);
        assert_eq!(dropped(place(1, 1)), [(GapCause::HooksDropped, 2)]);
        let damage = RingDamage { what: "noise".to_owned(), at_ns: 3 };
        let damaged = || PlaceReport { ring_damage: Some(damage.clone()), ..place(1, 1) };
        assert_eq!(dropped(damaged()), [(GapCause::DamagedRing, 1)]);
        assert_eq!(dropped(damaged()), []);
    }

    #[test]
    fn a_look_is_due_once_in_the_interval() {
        let mut gaps = Gaps::default();
        let now = Instant::now();
        assert!(gaps.is_due(now));
        gaps.look(now, &Counts::default(), &[], &Stats::default());
        assert!(!gaps.is_due(now + GAP_INTERVAL / 2));
        assert!(gaps.is_due(now + GAP_INTERVAL));
    }
}
