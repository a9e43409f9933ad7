//! The reader's side of one lane. It trusts nothing that it maps: it keeps its own position, copies
//! a record out once, and validates the copy.

mod recover;
mod salvage;

use super::Counts;
use super::batch::{Batch, LaneEnd, Origin};
use super::sigbus::Guard;
use super::turn::Turn;
use crate::atomic::Ordering;
use crate::control::Control;
use crate::crc::Crc32c;
use crate::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind};
use crate::region::Region;
use crate::sys::{self, Fd};
use std::collections::BTreeSet;

/// So much of a record that was not read yet is asked for ahead.
const MAX_PREFETCH_BYTES: u64 = 512;
/// How far ahead of the record that is copied lines are asked for, and how many at most.
const AHEAD_BYTES: u64 = 2048;
const MAX_AHEAD_BYTES: u64 = 1024;

/// What a lane is read through.
pub(super) struct Lane<'a> {
    pub(super) control: &'a Control,
    /// The data of all lanes.
    pub(super) data: &'a Region,
    /// What stands watch over the data, and the file behind it.
    pub(super) guard: &'a Guard,
    pub(super) file: &'a Fd,
    pub(super) crc: Crc32c,
}

impl Lane<'_> {
    /// Whether a body that ends at `end` was there: behind a cut the last page of the file holds zeros,
    /// which only a CRC would show, and every other page hits the guard. So a body that ends in
    /// anything else was there, and the file, which takes a system call, is not asked.
    #[inline]
    fn is_there(&self, end: usize, body: &[u8]) -> bool {
        let may_be_cut = body.last() == Some(&0) || self.guard.is_hit();
        !may_be_cut || self.is_long_enough(end)
    }

    #[cold]
    fn is_long_enough(&self, end: usize) -> bool {
        let end = self.control.geometry().data_offset() + end as u64;
        sys::fstat(self.file).is_ok_and(|stat| stat.bytes >= end)
    }
}

/// Where the reader stands in one lane.
pub(super) struct LaneReader {
    index: u32,
    /// Where the lane's bytes begin in the data region.
    base: usize,
    lane_bytes: u64,
    /// Everything before it is zeroed and may be overwritten; the head as the reader knows it.
    released: u64,
    /// Everything before it was looked at: given out, or a pad.
    read: u64,
    /// The end of the last record that was given out. Pads behind it stay until a record behind them
    /// was given out, too: no journal knows of them, so a reader that died while it released one
    /// would leave zeros where its successor begins.
    given: u64,
    /// The tail of this round, and that of the round before.
    tail: u64,
    seen: u64,
    /// The record at `read`, once it was looked at.
    next: Option<RecordHeader>,
    /// Stamps never fall within a lane.
    last_stamp_ns: u64,
    /// Whether `released` can be trusted: a head that contradicts its tail, or both what a journal knows,
    /// say nothing.
    is_position_known: bool,
    state: State,
    /// Of a lane whose positions are not known: ids of records that stand in it and are journaled.
    journaled: BTreeSet<[u8; 16]>,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    Sound,
    /// Damage was found; waits for the lane's lock.
    Condemned,
    /// Its last records were given out; will be reset to this position when they are released.
    Salvaged {
        restart: u64,
    },
}

impl LaneReader {
    /// Starts where the lane's head stands, if head and tail agree; else the lane is condemned.
    pub(super) fn new(lane: &Lane<'_>, index: u32, counts: &mut Counts) -> LaneReader {
        let geometry = lane.control.geometry();
        let head = lane.control.head(index).load(Ordering::Relaxed);
        let tail = lane.control.tail(index).load(Ordering::Acquire);
        let sane = head.is_multiple_of(RECORD_ALIGN)
            && tail.is_multiple_of(RECORD_ALIGN)
            && tail < u64::MAX / 2
            && tail.checked_sub(head).is_some_and(|used| used <= geometry.lane_bytes);
        let start = if sane { head } else { 0 };
        let mut reader = LaneReader {
            index,
            base: index as usize * geometry.lane_bytes as usize,
            lane_bytes: geometry.lane_bytes,
            released: start,
            read: start,
            given: start,
            tail: start,
            seen: start,
            next: None,
            last_stamp_ns: 0,
            is_position_known: sane,
            state: State::Sound,
            journaled: BTreeSet::new(),
        };
        if !sane || lane.control.is_condemned(index) {
            reader.condemn(lane.control, counts);
        }
        reader
    }

    /// The lane's number.
    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// Condemns the lane if somebody wrote over the words that only the reader writes: producers pass it
    /// over, or take records for free space, whether it holds something or not. Nothing may be given
    /// out that is not released.
    pub(super) fn check_words(&mut self, control: &Control, counts: &mut Counts) {
        let is_head_ours = control.head(self.index).load(Ordering::Relaxed) == self.released;
        if self.state == State::Sound && (!is_head_ours || control.is_condemned(self.index)) {
            self.condemn(control, counts);
        }
    }

    /// Everything before it was released.
    pub(super) fn end(&self, bus: [u8; 16]) -> LaneEnd {
        LaneEnd { bus, lane: self.index as u16, end: self.released }
    }

    /// Whether something was given out that is not released.
    pub(super) fn is_pending(&self) -> bool {
        self.given != self.released || matches!(self.state, State::Salvaged { .. })
    }

    /// Whether the producer published something since the last round.
    #[inline]
    pub(super) fn has_work(&self, control: &Control, data: &Region) -> bool {
        let tail = control.tail(self.index).load(Ordering::Relaxed);
        let has_work = self.state == State::Sound && tail != self.read;
        if has_work {
            self.prefetch(data, tail);
        }
        has_work
    }

    /// What will be read next comes from its producer's core: that takes as long as what the reader does
    /// until then. Not what is not published: its producer would have to fetch it back.
    #[inline]
    fn prefetch(&self, data: &Region, tail: u64) {
        let bytes = tail.wrapping_sub(self.read).min(MAX_PREFETCH_BYTES) as usize;
        data.prefetch(self.base + self.offset(self.read), bytes);
    }

    /// Whether the lane waits for its lock to be salvaged.
    pub(super) fn is_condemned(&self) -> bool {
        self.state == State::Condemned
    }

    /// Reads the tail, once per round.
    #[inline]
    pub(super) fn load_tail(&mut self, control: &Control) {
        self.seen = self.tail;
        // Acquire: pairs with the producer's release of the tail.
        self.tail = control.tail(self.index).load(Ordering::Acquire);
    }

    /// Whether the round that loaded the tail has something to look at here.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        self.tail != self.read
    }

    #[inline(always)]
    fn prefetch_ahead(&self, data: &Region, bytes: u64) {
        let ahead = self.read + AHEAD_BYTES;
        if ahead + bytes <= self.tail {
            let bytes = bytes.min(MAX_AHEAD_BYTES) as usize;
            data.prefetch(self.base + self.offset(ahead), bytes);
        }
    }

    fn is_tail_sane(&self) -> bool {
        self.tail >= self.read
            && self.tail - self.released <= self.lane_bytes
            && self.tail.is_multiple_of(RECORD_ALIGN)
    }

    /// When the lane's next record comes out, if it has one.
    pub(super) fn peek(
        &mut self,
        lane: &Lane<'_>,
        now_ns: u64,
        counts: &mut Counts,
    ) -> Option<Turn> {
        if self.next.is_none() {
            self.next = self.look(lane, counts);
        }
        self.next.map(|header| self.turn(&header, now_ns))
    }

    #[inline(always)]
    fn turn(&self, header: &RecordHeader, now_ns: u64) -> Turn {
        let is_seen = self.read < self.seen;
        Turn::new(header.stamp_ns, now_ns, is_seen).not_before(self.last_stamp_ns)
    }

    /// Finds the next data record before the tail. A lane in which anything else stands is condemned.
    #[inline(always)]
    fn look(&mut self, lane: &Lane<'_>, counts: &mut Counts) -> Option<RecordHeader> {
        if self.state != State::Sound || self.tail == self.read {
            return None;
        }
        if !self.is_tail_sane() {
            self.condemn(lane.control, counts);
            return None;
        }
        while self.read < self.tail {
            let Some(header) = self.header_at(lane, self.read, self.tail) else {
                self.condemn(lane.control, counts);
                return None;
            };
            if header.kind == kind::DATA {
                return Some(header);
            }
            self.read += header.lane_bytes();
        }
        None
    }

    /// A plausible header at `position`, whose record ends at or before `end` and does not wrap.
    fn header_at(&self, lane: &Lane<'_>, position: u64, end: u64) -> Option<RecordHeader> {
        let offset = self.offset(position);
        let header = RecordHeader::from_words(lane.data.read_header(self.base + offset));
        let available = (end - position).min(self.lane_bytes - offset as u64);
        header.is_plausible(position, available).then_some(header)
    }

    fn offset(&self, position: u64) -> usize {
        (position & (self.lane_bytes - 1)) as usize
    }

    /// Gives out the record that [`Self::peek`] found and those behind it, for as long as `goes_on` says
    /// so of their turns and the batch has room. The turn of the one behind them all.
    // What it calls is always inlined, and the header is no field of this: so it need not go through
    // memory from one record to the next.
    pub(super) fn take_run(
        &mut self,
        lane: &Lane<'_>,
        now_ns: u64,
        goes_on: impl Fn(&Turn) -> bool,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> Option<Turn> {
        let mut header = self.next.take()?;
        loop {
            self.prefetch_ahead(lane.data, header.lane_bytes());
            if !self.copy(lane, self.read, &header, now_ns, batch) {
                self.condemn(lane.control, counts);
                return None;
            }
            self.read += header.lane_bytes();
            self.given = self.read;
            counts.lane_records += 1;
            counts.clamped_stamps += u64::from(header.stamp_ns > now_ns);
            header = self.look(lane, counts)?;
            let turn = self.turn(&header, now_ns);
            if batch.is_full() || !goes_on(&turn) {
                self.next = Some(header);
                return Some(turn);
            }
        }
    }

    /// Copies a record into the batch; `false`: its CRC does not fit, or it was cut off.
    #[inline(always)]
    fn copy(
        &mut self,
        lane: &Lane<'_>,
        at: u64,
        header: &RecordHeader,
        now_ns: u64,
        batch: &mut Batch,
    ) -> bool {
        let buffer = batch.buffer();
        let start = buffer.len();
        let body = (header.meta_bytes + header.payload_bytes) as usize;
        let from = self.base + self.offset(at) + RECORD_HEADER_BYTES;
        lane.data.append_to(from, body, buffer);
        let is_whole = if header.flags & flag::CRC != 0 {
            let (meta, payload) = buffer[start..].split_at(header.meta_bytes as usize);
            header.compute_crc(lane.crc, meta, payload) == header.crc
        } else {
            lane.is_there(from + body, &buffer[start..])
        };
        if !is_whole {
            buffer.truncate(start);
            return false;
        }
        self.last_stamp_ns = self.last_stamp_ns.max(header.stamp_ns.min(now_ns));
        let bus = lane.control.geometry().bus;
        let end = at + header.lane_bytes();
        let origin = Origin::Lane(LaneEnd { bus, lane: self.index as u16, end });
        batch.push(*header, self.last_stamp_ns, start, origin);
        true
    }

    /// Everything given out is safe elsewhere: zeroes it and moves the head.
    pub(super) fn release(&mut self, lane: &Lane<'_>) {
        if let State::Salvaged { restart } = self.state {
            return self.reset(lane, restart);
        }
        if self.given == self.released {
            return;
        }
        let (from, bytes) = (self.offset(self.released), (self.given - self.released) as usize);
        let to_end = (self.lane_bytes as usize - from).min(bytes);
        lane.data.zero(self.base + from, to_end);
        lane.data.zero(self.base, bytes - to_end);
        self.released = self.given;
        // Release: pairs with the producer's acquire of the head; the zeroing comes first.
        lane.control.head(self.index).store(self.released, Ordering::Release);
    }

    /// Marks the lane: its owner leaves at its next publish, nobody claims it.
    pub(super) fn condemn(&mut self, control: &Control, counts: &mut Counts) {
        self.next = None;
        self.state = State::Condemned;
        control.condemned(self.index).store(1, Ordering::Release);
        counts.condemned_lanes += 1;
    }

    /// Whether a reset is due with the next release, after which the lane's lock is given back.
    pub(super) fn is_salvaged(&self) -> bool {
        matches!(self.state, State::Salvaged { .. })
    }
}
