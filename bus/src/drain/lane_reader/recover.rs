//! What a journal knows of a lane, against what the lane's words say.
//!
//! What is journaled was published, so no tail is before a journaled end; and what was released is
//! zeroed, so no record stands before a head. Words that say otherwise were written over, maybe while no
//! reader ran, and hooks may have gone on by them: nothing in the lane is where a position says. Then
//! what is journaled is known by its ids alone: nothing that a reader had not released can stand before
//! the journal's last segment.

use super::{Lane, LaneReader, State};
use crate::atomic::Ordering;
use crate::drain::Counts;
use crate::record::{RECORD_ALIGN, RecordHeader, flag, kind};

/// No lane comes to such a position, and behind it there is room to begin anew.
const MAX_END: u64 = u64::MAX / 4;

impl LaneReader {
    /// Everything before `end` was journaled by an earlier reader that died before it said so here, and
    /// of the records that still stand here those with an id of which `is_journaled` says so.
    pub(in crate::drain) fn recover(
        &mut self,
        lane: &Lane<'_>,
        end: u64,
        is_journaled: &dyn Fn(&[u8; 16]) -> bool,
        counts: &mut Counts,
    ) {
        if !end.is_multiple_of(RECORD_ALIGN) || end >= MAX_END {
            return;
        }
        let is_ahead = end > self.read;
        let tail = lane.control.tail(self.index).load(Ordering::Acquire);
        let is_lie = match self.is_position_known {
            true if is_ahead => end > tail || self.is_no_end(lane, end, is_journaled),
            true => end < self.read && self.is_unread() && self.holds_released(lane),
            false => is_ahead,
        };
        if is_lie {
            self.distrust(lane, end, is_journaled, counts);
        } else if is_ahead {
            (self.read, self.given) = (end, end);
            self.release(lane);
        }
    }

    /// Whether no reader can have journaled up to there by what stands before it: where the words were
    /// set back, hooks may have come as far again.
    ///
    /// Not every header there is one of a record: what a producer wrote and did not publish before it died
    /// may stand in the padding of another's record, and a reader that died may have begun to zero. So a
    /// record has to be whole, or, without a CRC, to follow on the head. And one that no journal has may
    /// have been left unpublished under a pad; but the pad's lap ends before the end of a record.
    fn is_no_end(
        &self,
        lane: &Lane<'_>,
        end: u64,
        is_journaled: &dyn Fn(&[u8; 16]) -> bool,
    ) -> bool {
        let mut position = self.released;
        while position < end {
            let header = self.header_in(lane, self.offset(position) as u64);
            let behind = position + header.lane_bytes();
            if !self.is_whole_at(lane, position, &header) {
                position += RECORD_ALIGN;
                continue;
            }
            let is_other = header.id != [0; 16] && !is_journaled(&header.id);
            let lap_end = (position + 1).next_multiple_of(self.lane_bytes);
            if behind > end || (is_other && lap_end >= end) {
                return true;
            }
            position = behind;
        }
        self.is_stepped_over(lane, end)
    }

    /// Whether a record with a CRC stands there that fits.
    fn is_whole_at(&self, lane: &Lane<'_>, position: u64, header: &RecordHeader) -> bool {
        let is_data = header.kind == kind::DATA && header.flags & flag::CRC != 0;
        let offset = self.offset(position) as u64;
        is_data
            && header.position == position
            && self.is_in_place(header, offset)
            && self.is_whole(lane, offset, header)
    }

    /// Whether the records that follow on the head one by one come past `end` and not to it.
    fn is_stepped_over(&self, lane: &Lane<'_>, end: u64) -> bool {
        let mut position = self.released;
        while position < end {
            let offset = self.offset(position) as u64;
            let header = self.header_in(lane, offset);
            if header.position != position || !self.is_in_place(&header, offset) {
                return false;
            }
            position += header.lane_bytes();
        }
        position > end
    }

    /// Whether nothing was taken out of it since it was opened, nor was it begun anew.
    fn is_unread(&self) -> bool {
        self.state == State::Sound && self.last_stamp_ns == 0 && self.read == self.released
    }

    /// Whether a whole record stands before the head.
    fn holds_released(&self, lane: &Lane<'_>) -> bool {
        self.records(lane).any(|(offset, header)| {
            let is_before = header.position < self.released && header.flags & flag::CRC != 0;
            is_before && self.is_whole(lane, offset, &header)
        })
    }

    /// Has the lane salvaged by its records' ids, and begun anew behind `end`.
    fn distrust(
        &mut self,
        lane: &Lane<'_>,
        end: u64,
        is_journaled: &dyn Fn(&[u8; 16]) -> bool,
        counts: &mut Counts,
    ) {
        if self.state == State::Sound {
            self.condemn(lane.control, counts);
        }
        (self.released, self.read, self.given) = (end, end, end);
        self.is_position_known = false;
        // Now, and not when the lane's lock can be had: until then a segment that is begun must know
        // them, too.
        let ids = self.records(lane).map(|(_, header)| header.id).filter(is_journaled);
        self.journaled = ids.collect();
    }

    /// Headers that stand where their positions say, and the offsets in the lane.
    fn records(&self, lane: &Lane<'_>) -> impl Iterator<Item = (u64, RecordHeader)> {
        let offsets = (0..self.lane_bytes).step_by(RECORD_ALIGN as usize);
        let headers = offsets.map(|offset| (offset, self.header_in(lane, offset)));
        headers.filter(|(offset, header)| {
            header.kind == kind::DATA && self.is_in_place(header, *offset)
        })
    }

    /// Ids of events that are journaled and still stand here.
    pub(in crate::drain) fn kept_ids(&self) -> impl Iterator<Item = [u8; 16]> {
        self.journaled.iter().copied()
    }
}
