//! The producer's side of a lane: where the next record goes, and how it becomes visible.
//!
//! A lane has one producer at a time, the holder of its lock. It alone writes past the tail, and
//! publishes with one release store of the tail; whatever it wrote before and did not publish, the
//! next owner overwrites.

use crate::atomic::Ordering;
use crate::control::Control;
use crate::layout::LANE_LOCK;
use crate::record::{RECORD_HEADER_BYTES, RecordHeader, kind};
use crate::sys::{self, Errno, Fd};

/// Tries to take a lane for the open file description behind `fd`. Never waits.
///
/// The lock lives until the last descriptor and the last mapping of that description are gone. A
/// description that has the lane already gets it again: take one lane per description.
pub fn try_lock(fd: &Fd, lane: u32) -> Result<bool, Errno> {
    sys::lock_byte(fd, LANE_LOCK + u64::from(lane))
}

/// Gives a lane back under whose lock nothing was written. After a store only unmapping may.
pub fn give_back(fd: &Fd, lane: u32) -> Result<(), Errno> {
    sys::unlock_byte(fd, LANE_LOCK + u64::from(lane))
}

/// Most lanes that are tried before a record goes to the spool.
pub const MAX_CLAIM_TRIES: u32 = 64;

/// The lanes in the order in which a one-shot hook tries them: the upper half, where no long-lived
/// producer sits, from a place that differs from hook to hook, then the lower.
pub fn claim_order(lanes: u32, seed: u32) -> impl Iterator<Item = u32> {
    let upper = lanes / 2;
    let lower = lanes - upper;
    let from_upper = (0..upper).map(move |i| lower + (seed % upper + i) % upper);
    let from_lower = (0..lower).map(move |i| (seed % lower + i) % lower);
    from_upper.chain(from_lower).take(MAX_CLAIM_TRIES as usize)
}

/// The producer's own copy of where its lane stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Where the next record goes; nobody else moves it while the lane is held.
    tail: u64,
    /// The last head that was seen; the reader only moves it forward.
    head: u64,
    lane_bytes: u64,
    /// Records published into this lane so far, by all its producers, and those since.
    records: u64,
}

/// Where a record goes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Position of the record.
    pub at: u64,
    /// Position of a pad record that fills the lane's end first, if one is needed.
    pub pad_at: Option<u64>,
    /// The tail that publishes it.
    pub end: u64,
}

impl Position {
    /// Reads where a lane stands that was just locked. `None`: its words contradict each other;
    /// the reader will condemn it, so another lane must be taken.
    pub fn load(control: &Control, lane: u32) -> Option<Position> {
        let lane_bytes = control.geometry().lane_bytes;
        // Acquire: pairs with the reader's release of the head, so that its zeroing of the bytes
        // before the head is done before this producer writes there.
        let head = control.head(lane).load(Ordering::Acquire);
        let tail = control.tail(lane).load(Ordering::Relaxed);
        let records = control.records(lane).load(Ordering::Relaxed);
        let holds = tail.wrapping_sub(head) <= lane_bytes
            && tail.is_multiple_of(RECORD_HEADER_BYTES as u64)
            && head <= tail
            && tail < u64::MAX / 2;
        (holds && !control.is_condemned(lane)).then_some(Position {
            tail,
            head,
            lane_bytes,
            records,
        })
    }

    /// Where the next record will be published.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Finds room for a record of `bytes` bytes (a multiple of 64, at most half a lane).
    /// `None`: the lane is full as far as this producer has seen; see [`Self::refresh`].
    #[inline]
    pub fn place(&self, bytes: u64) -> Option<Place> {
        debug_assert!(bytes <= self.lane_bytes / 2);
        let to_end = self.lane_bytes - (self.tail & (self.lane_bytes - 1));
        let (at, pad_at) =
            if bytes <= to_end { (self.tail, None) } else { (self.tail + to_end, Some(self.tail)) };
        let end = at + bytes;
        (end - self.head <= self.lane_bytes).then_some(Place { at, pad_at, end })
    }

    /// Looks again how far the reader is. `false`: the head that it finds cannot be; leave the lane.
    pub fn refresh(&mut self, control: &Control, lane: u32) -> bool {
        // Acquire: as in `load`.
        let head = control.head(lane).load(Ordering::Acquire);
        let sane = (self.head..=self.tail).contains(&head);
        if sane {
            self.head = head;
        }
        sane
    }

    /// Moves on behind a record that was written; it is not visible yet.
    #[inline]
    pub fn advance(&mut self, place: &Place) {
        self.tail = place.end;
        self.records = self.records.wrapping_add(1);
    }

    /// Makes everything written so far visible to the reader: the release store of the tail.
    #[inline]
    pub fn publish(&self, control: &Control, lane: u32) {
        control.records(lane).store(self.records, Ordering::Relaxed);
        // Release: pairs with the reader's acquire of the tail; the records' bytes come first.
        control.tail(lane).store(self.tail, Ordering::Release);
    }

    /// The offset of a position within the lane's data, in bytes.
    #[inline]
    pub fn offset(&self, position: u64) -> usize {
        (position & (self.lane_bytes - 1)) as usize
    }
}

/// The header of the record that fills a lane from `position` to its end.
pub fn pad(position: u64, lane_bytes: u64, stamp_ns: u64) -> RecordHeader {
    let to_end = lane_bytes - (position & (lane_bytes - 1));
    RecordHeader {
        payload_bytes: (to_end - RECORD_HEADER_BYTES as u64) as u32,
        position,
        stamp_ns,
        kind: kind::PAD,
        ..RecordHeader::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Geometry;
    use crate::region::Region;
    use proptest::prelude::*;

    const LANE_BYTES: u64 = 16 * 1024;

    /// One lane with these words.
    fn control(head: u64, tail: u64) -> Control {
        let geometry =
            Geometry { lanes: 1, lane_bytes: LANE_BYTES, bus: [0; 16], boot: [0; 16], features: 0 };
        let region = Region::anonymous(geometry.data_offset() as usize).unwrap();
        let control = Control::from_region(region, geometry);
        control.head(0).store(head, Ordering::Relaxed);
        control.tail(0).store(tail, Ordering::Relaxed);
        control
    }

    #[test]
    fn a_lane_whose_words_cannot_be_is_not_taken() {
        let can_be = [(0, 0), (0, LANE_BYTES), (64, 128)];
        let cannot_be = [
            (0, LANE_BYTES + 64),
            (0, 65),
            (128, 64),
            (u64::MAX - 63, 64),
            (u64::MAX - 127, u64::MAX - 63),
        ];
        for (head, tail) in can_be {
            let control = control(head, tail);
            assert!(Position::load(&control, 0).is_some(), "{head} {tail}");
            control.condemned(0).store(1, Ordering::Relaxed);
            assert!(Position::load(&control, 0).is_none(), "condemned: {head} {tail}");
        }
        for (head, tail) in cannot_be {
            assert!(Position::load(&control(head, tail), 0).is_none(), "{head} {tail}");
        }
    }

    #[test]
    fn a_head_that_goes_back_or_beyond_the_tail_is_not_believed() {
        let control = control(64, 192);
        let mut position = Position::load(&control, 0).unwrap();
        for (head, is_believed) in [(128, true), (64, false), (256, false), (192, true)] {
            control.head(0).store(head, Ordering::Relaxed);
            assert_eq!(position.refresh(&control, 0), is_believed, "{head}");
        }
        assert_eq!(position.head, 192);
    }

    #[test]
    fn hooks_try_every_lane_the_upper_half_first() {
        for lanes in 1..20 {
            for seed in 0..40 {
                let order: Vec<_> = claim_order(lanes, seed).collect();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..lanes).collect::<Vec<_>>());
                let upper = (lanes / 2) as usize;
                assert!(order[..upper].iter().all(|lane| *lane >= lanes - lanes / 2));
            }
        }
    }

    proptest! {
        #[test]
        fn a_record_never_wraps_nor_overtakes_the_head(
            tail in 0u64..4096, used in 0u64..1024, need in 1u64..=512,
        ) {
            let (tail, used, need) = (tail * 64 + 65_536, used * 64, need * 64);
            let position = Position { tail, head: tail - used, lane_bytes: 65_536, records: 0 };
            let Some(place) = position.place(need) else {
                // A lane that is refused holds more than half a lane of unread records.
                prop_assert!(used + need + need > 65_536);
                return Ok(());
            };
            prop_assert_eq!(place.end - place.at, need);
            prop_assert!(place.end - position.head <= 65_536);
            prop_assert!(position.offset(place.at) as u64 + need <= 65_536);
            if let Some(at) = place.pad_at {
                prop_assert_eq!(at, tail);
                prop_assert_eq!(pad(at, 65_536, 0).lane_bytes(), place.at - tail);
            } else {
                prop_assert_eq!(place.at, tail);
            }
        }
    }
}
