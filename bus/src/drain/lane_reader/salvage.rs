//! What is done with a lane in which damage was found: what can still be found in it is given out, then
//! it is zeroed and begun anew.

use super::{Lane, LaneReader, State};
use crate::atomic::Ordering;
use crate::drain::Counts;
use crate::drain::batch::Batch;
use crate::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind};

impl LaneReader {
    /// Gives out what can still be found in a condemned lane whose lock the reader holds.
    ///
    /// What was released is zeroed, so every whole record that still stands here is owed. A record
    /// counts if it stands at its own position and its CRC fits; one without a CRC only before a
    /// tail that can be, since otherwise nobody may have published it. What is lost is what stood
    /// before such a tail and was not found; without one, what is not zero and part of no record.
    pub(in crate::drain) fn salvage(
        &mut self,
        lane: &Lane<'_>,
        now_ns: u64,
        batch: &mut Batch,
        counts: &mut Counts,
    ) {
        self.load_tail(lane.control);
        let is_tail_known = self.is_position_known && self.is_tail_sane();
        let end = if is_tail_known {
            self.salvage_published(lane, now_ns, batch, counts)
        } else {
            self.salvage_whole(lane, now_ns, batch, counts)
        };
        // Behind every position that was ever in use here, so that no stale record can have its own.
        let published = if is_tail_known { self.tail } else { 0 };
        let used = end.max(published).max(self.released + self.lane_bytes);
        let restart = (used + self.lane_bytes).next_multiple_of(self.lane_bytes);
        self.read = end;
        self.state = State::Salvaged { restart };
    }

    /// Gives out what stands in the lane's window, by position; where the last one ends.
    fn salvage_published(
        &mut self,
        lane: &Lane<'_>,
        now_ns: u64,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> u64 {
        let published = self.tail;
        let (mut end, mut accounted) = (self.read, self.read);
        let mut account = |from: u64, to: u64| {
            let lost = published.min(from).saturating_sub(accounted);
            accounted = accounted.max(to);
            lost
        };
        for header in self.candidates(lane, published) {
            let at = header.position;
            if header.kind == kind::PAD {
                counts.damaged_bytes += account(at, at + header.lane_bytes());
                continue;
            }
            if at < end {
                continue;
            }
            if self.give(lane, &header, now_ns, batch, counts) {
                end = at + header.lane_bytes();
                counts.damaged_bytes += account(at, end);
            }
        }
        counts.damaged_bytes += account(u64::MAX, u64::MAX);
        end
    }

    /// Headers of records that may be owed, and of pads, by position.
    fn candidates(&self, lane: &Lane<'_>, published: u64) -> Vec<RecordHeader> {
        let mut found = Vec::new();
        for offset in (0..self.lane_bytes).step_by(RECORD_ALIGN as usize) {
            let header = self.header_in(lane, offset);
            if !self.is_in_place(&header, offset) {
                continue;
            }
            let end = header.position + header.lane_bytes();
            let in_window = end <= self.released + self.lane_bytes;
            let owed = header.position >= self.read && in_window;
            let whole = header.flags & flag::CRC != 0 || end <= published;
            if owed && whole {
                found.push(header);
            }
        }
        found.sort_by_key(|header| header.position);
        found
    }

    /// Gives out what is whole wherever it stands, as nobody knows by which positions producers went
    /// on; where the last one ends, by position.
    fn salvage_whole(
        &mut self,
        lane: &Lane<'_>,
        now_ns: u64,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> u64 {
        let mut found = self.find_whole(lane, counts);
        // Positions that may have been set back say nothing of the order.
        found.sort_by_key(|header| (header.stamp_ns, header.position));
        let mut end = self.read;
        for header in found {
            if self.give(lane, &header, now_ns, batch, counts) {
                end = end.max(header.position + header.lane_bytes());
            } else {
                counts.damaged_bytes += header.lane_bytes();
            }
        }
        end
    }

    /// Headers of whole records that are owed. Counts bytes that are not part of any.
    fn find_whole(&self, lane: &Lane<'_>, counts: &mut Counts) -> Vec<RecordHeader> {
        let mut found = Vec::new();
        let (mut taken, mut covered) = (0, 0);
        for offset in (0..self.lane_bytes).step_by(RECORD_ALIGN as usize) {
            if offset < taken {
                continue;
            }
            let header = self.header_in(lane, offset);
            let is_in_place = self.is_in_place(&header, offset);
            let is_data = is_in_place && header.kind == kind::DATA;
            let end = if is_in_place { offset + header.lane_bytes() } else { offset };
            let has_crc = is_data && header.flags & flag::CRC != 0;
            let is_journaled = is_data && self.journaled.contains(&header.id);
            let is_uncounted = offset < covered || self.is_given(offset);
            if has_crc && self.is_whole(lane, offset, &header) {
                taken = end;
                let is_given = (self.released..self.read).contains(&header.position);
                found.extend(Some(header).filter(|_| !is_given && !is_journaled));
            } else if is_journaled || (is_in_place && !is_data) {
                covered = covered.max(end);
            } else if has_crc && !is_uncounted {
                counts.damaged_bytes += header.lane_bytes();
                covered = end;
            } else if !is_uncounted && !self.is_zero(lane, offset) {
                counts.damaged_bytes += RECORD_ALIGN;
            }
        }
        found
    }

    /// Whether what stood there was given out, and is not released.
    fn is_given(&self, offset: u64) -> bool {
        let behind = offset.wrapping_sub(self.released) % self.lane_bytes;
        behind < self.read - self.released
    }

    fn give(
        &mut self,
        lane: &Lane<'_>,
        header: &RecordHeader,
        now_ns: u64,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> bool {
        let is_whole = self.copy(lane, header.position, header, now_ns, batch);
        if is_whole {
            counts.lane_records += 1;
            counts.clamped_stamps += u64::from(header.stamp_ns > now_ns);
        }
        is_whole
    }

    pub(super) fn header_in(&self, lane: &Lane<'_>, offset: u64) -> RecordHeader {
        RecordHeader::from_words(lane.data.read_header(self.base + offset as usize))
    }

    fn is_zero(&self, lane: &Lane<'_>, offset: u64) -> bool {
        let words = lane.data.read_header(self.base + offset as usize);
        words.iter().all(|word| *word == 0)
    }

    /// Whether a record of such a header can stand there.
    pub(super) fn is_in_place(&self, header: &RecordHeader, offset: u64) -> bool {
        header.position % self.lane_bytes == offset
            && header.position < u64::MAX / 2
            && header.is_plausible(header.position, self.lane_bytes - offset)
            && (header.kind == kind::DATA || offset + header.lane_bytes() == self.lane_bytes)
    }

    /// Whether the CRC of the record there fits.
    pub(super) fn is_whole(&self, lane: &Lane<'_>, offset: u64, header: &RecordHeader) -> bool {
        let from = self.base + offset as usize + RECORD_HEADER_BYTES;
        let mut body = Vec::new();
        lane.data.append_to(from, header.bytes() as usize - RECORD_HEADER_BYTES, &mut body);
        let (meta, payload) = body.split_at(header.meta_bytes as usize);
        header.compute_crc(lane.crc, meta, payload) == header.crc
    }

    /// Zeroes the lane and begins it anew.
    pub(super) fn reset(&mut self, lane: &Lane<'_>, restart: u64) {
        lane.data.zero(self.base, self.lane_bytes as usize);
        (self.released, self.given) = (restart, restart);
        (self.read, self.tail) = (restart, restart);
        (self.state, self.is_position_known) = (State::Sound, true);
        self.journaled.clear();
        lane.control.tail(self.index).store(restart, Ordering::Release);
        lane.control.head(self.index).store(restart, Ordering::Release);
        lane.control.condemned(self.index).store(0, Ordering::Release);
    }
}
