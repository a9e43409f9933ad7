//! What a sink will never get, because the journal no longer had it: counted, and the latest of it
//! number by number.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::reader::Gap;
use crate::segment::MAX_SEQ;

/// How many gaps are kept one by one; older ones are only counted.
pub const LOST_GAPS_KEPT: usize = 7;

/// Bytes that [`Losses`] take in a cursor's slot.
pub(super) const LOSSES_BYTES: usize = 8 + LOST_GAPS_KEPT * GAP_BYTES;
const GAP_BYTES: usize = 24;
/// Later than any clock shows, and still a time that the system can hold.
const SECONDS_MAX: u64 = 1 << 40;

/// Numbers that were gone from the journal before the sink took them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Which numbers.
    pub gap: Gap,
    /// When the last of them was found to be lost, to the second.
    pub at: SystemTime,
}

/// Everything that one sink lost since its cursor was made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Losses {
    /// How many numbers.
    pub events: u64,
    /// The latest gaps by number, at most [`LOST_GAPS_KEPT`].
    pub gaps: Vec<Lost>,
}

impl Losses {
    /// Adds what is not known yet; returns that.
    pub(super) fn add(&mut self, gap: Gap, at: SystemTime) -> Vec<Gap> {
        let mut fresh = vec![gap];
        for Lost { gap: known, .. } in &self.gaps {
            fresh = fresh.into_iter().flat_map(|gap| without(gap, *known)).collect();
        }
        let at = UNIX_EPOCH + Duration::from_secs(seconds(at));
        for gap in &fresh {
            self.count(gap.last - gap.first + 1);
            let after = self.gaps.partition_point(|lost| lost.gap.first < gap.first);
            match after.checked_sub(1).and_then(|before| self.gaps.get_mut(before)) {
                // A sink that is down loses segment after segment: that is one gap.
                Some(before) if before.gap.last + 1 == gap.first => {
                    *before = Lost { gap: Gap { first: before.gap.first, last: gap.last }, at };
                }
                _ => self.gaps.insert(after, Lost { gap: *gap, at }),
            }
        }
        let old = self.gaps.len().saturating_sub(LOST_GAPS_KEPT);
        self.gaps.drain(..old);
        fresh
    }

    pub(super) fn count(&mut self, events: u64) {
        self.events = self.events.saturating_add(events);
    }

    pub(super) fn write_to(&self, bytes: &mut [u8]) {
        bytes[..8].copy_from_slice(&self.events.to_le_bytes());
        for (place, Lost { gap, at }) in bytes[8..].chunks_exact_mut(GAP_BYTES).zip(&self.gaps) {
            place[..8].copy_from_slice(&gap.first.to_le_bytes());
            place[8..16].copy_from_slice(&gap.last.to_le_bytes());
            place[16..].copy_from_slice(&seconds(*at).to_le_bytes());
        }
    }

    pub(super) fn read_from(bytes: &[u8]) -> Losses {
        let number =
            |bytes: &[u8]| bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let lost = |place: &[u8]| Lost {
            gap: Gap { first: number(place), last: number(&place[8..]) },
            at: UNIX_EPOCH + Duration::from_secs(number(&place[16..]).min(SECONDS_MAX)),
        };
        let gaps = bytes[8..LOSSES_BYTES].chunks_exact(GAP_BYTES).map(lost);
        let is_gap =
            |Lost { gap, .. }: &Lost| (1..=gap.last).contains(&gap.first) && gap.last <= MAX_SEQ;
        Losses { events: number(bytes), gaps: gaps.take_while(is_gap).collect() }
    }
}

/// What of a gap is not in another one.
fn without(gap: Gap, known: Gap) -> impl Iterator<Item = Gap> {
    let before = Gap { first: gap.first, last: gap.last.min(known.first.saturating_sub(1)) };
    let after = Gap { first: gap.first.max(known.last + 1), last: gap.last };
    [before, after].into_iter().filter(|part| part.first <= part.last)
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().min(SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(first: u64, last: u64) -> Gap {
        Gap { first, last }
    }

    fn known(losses: &Losses) -> Vec<Gap> {
        losses.gaps.iter().map(|lost| lost.gap).collect()
    }

    #[test]
    fn nothing_is_counted_twice_and_neighbours_are_one_gap() {
        let mut losses = Losses::default();
        let now = SystemTime::now();
        assert_eq!(losses.add(gap(1, 25), now), [gap(1, 25)]);
        assert_eq!(losses.add(gap(1, 25), now), []);
        assert_eq!(losses.add(gap(20, 30), now), [gap(26, 30)]);
        assert_eq!((losses.events, known(&losses)), (30, vec![gap(1, 30)]));
        assert_eq!(losses.add(gap(40, 50), now), [gap(40, 50)]);
        assert_eq!(losses.add(gap(29, 60), now), [gap(31, 39), gap(51, 60)]);
        assert_eq!(losses.events, 60);
    }

    #[test]
    fn the_latest_gaps_are_kept_and_all_are_counted() {
        let mut losses = Losses::default();
        for n in 0..20 {
            losses.add(gap(10 * n + 1, 10 * n + 2), SystemTime::now());
        }
        assert_eq!((losses.events, losses.gaps.len()), (40, LOST_GAPS_KEPT));
        assert_eq!(known(&losses)[LOST_GAPS_KEPT - 1], gap(191, 192));
        let mut bytes = [0; LOSSES_BYTES];
        losses.write_to(&mut bytes);
        assert_eq!(Losses::read_from(&bytes), losses);
        assert_eq!(Losses::read_from(&[0; LOSSES_BYTES]), Losses::default());
    }

    #[test]
    fn noise_is_no_gap_and_a_time_whatever_stands_there() {
        let mut losses = Losses::read_from(&[0xff; LOSSES_BYTES]);
        assert_eq!(losses, Losses { events: u64::MAX, gaps: Vec::new() });
        assert_eq!(losses.add(gap(1, 2), SystemTime::now()), [gap(1, 2)]);
        assert_eq!(losses.events, u64::MAX, "as many as can be counted");
        let mut bytes = [0xff; LOSSES_BYTES];
        Losses { events: 1, gaps: Vec::new() }.write_to(&mut bytes);
        bytes[8..16].copy_from_slice(&1u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&MAX_SEQ.to_le_bytes());
        assert_eq!(known(&Losses::read_from(&bytes)), [gap(1, MAX_SEQ)]);
    }
}
