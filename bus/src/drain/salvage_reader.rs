//! Gives out what a ring file with a damaged header still holds: every whole record in it is owed.
//!
//! The file is looked through at once, again whenever some producer that holds a lane of it has
//! published, and a last time when none does: only then is known what is damage. A look takes as many
//! rounds as its length asks for, so that other rings do not wait.
//!
//! While a producer holds a lane nothing in the file is changed, since nobody knows where that lane
//! is. A reader that comes after a crash knows what was journaled by the events' ids: those of the
//! journal's last segment, and [`SalvageReader::kept_ids`], which its first line has. Afterwards each
//! record is zeroed when it is released, as in any ring.

use super::Counts;
use super::batch::{Batch, LaneEnd, Origin};
use super::not_rings::put_away;
use super::ring_reader::ReadError;
use super::salvage_file::{FIRST_DATA, Found, Piece, SalvageFile};
use super::turn::Turn;
use crate::place::RING_BAD;
use crate::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader};
use crate::sys::Fd;
use std::collections::{HashSet, VecDeque};
use std::ffi::{CStr, CString};

/// The file is read in pieces of this size,
const WINDOW_BYTES: usize = 1 << 20;
/// and a round looks at no more than this, records counting twice: enough for a ring of the usual size.
const ROUND_BYTES: u64 = 32 << 20;
/// While a producer holds a lane no more records than this are given out; the rest waits until none
/// does.
const MAX_KEPT: usize = 65_536;

/// A ring file that was set aside.
pub(super) struct SalvageReader {
    file: SalvageFile,
    name: CString,
    /// What stands for the ring's UUID, which cannot be known: that of its new name.
    bus: [u8; 16],
    /// The look that is under way.
    look: Option<Look>,
    /// The tails when the last one began.
    tails: Option<Vec<u64>>,
    /// The first look is done.
    is_known: bool,
    /// The last look is done: no producer held a lane when it began.
    is_searched: bool,
    /// Everything found so far.
    known: HashSet<Key>,
    /// What is to be given out, by stamp.
    waiting: VecDeque<Found>,
    /// What was given out and not released.
    given: Vec<Found>,
    /// What is journaled and still stands in the file.
    kept: Vec<Found>,
    /// The clock of the round in which the stamp of the next one was first in the future, since the
    /// last look.
    deferred_ns: Option<u64>,
}

/// A look through the file.
struct Look {
    /// How far it came.
    offset: u64,
    /// How much this round may still look at.
    left: u64,
    is_last: bool,
    found: Vec<Found>,
    /// Of these the journal has them from where they were before.
    journaled: Vec<Found>,
    damaged_bytes: u64,
    /// Where the pad ends in which it is: what stands there need not be of any record.
    pad_end: u64,
}

/// What makes a record another one: where it stands, its position, its CRC. A record that nobody
/// published may be written over by the next owner of its lane.
type Key = (u64, u64, u32);

impl Found {
    fn key(&self) -> Key {
        (self.offset, self.position, self.crc)
    }
}

impl SalvageReader {
    /// Takes the file over as its reader. It is known as `bus` from now on, and will be called `name`.
    pub(super) fn open(
        place: &Fd,
        from: &CStr,
        name: CString,
        bus: [u8; 16],
        uid: u32,
    ) -> Result<SalvageReader, ReadError> {
        Ok(SalvageReader {
            file: SalvageFile::open(place, from, uid)?,
            name,
            bus,
            look: None,
            tails: None,
            is_known: false,
            is_searched: false,
            known: HashSet::new(),
            waiting: VecDeque::new(),
            given: Vec::new(),
            kept: Vec::new(),
            deferred_ns: None,
        })
    }

    /// What stands for the ring's UUID.
    pub(super) fn bus(&self) -> [u8; 16] {
        self.bus
    }

    /// Goes on looking through the file, once per round. What `is_journaled` knows is not given out.
    pub(super) fn look(&mut self, is_journaled: &dyn Fn(&[u8; 16]) -> bool, counts: &mut Counts) {
        let Some(mut look) = self.look.take().or_else(|| self.begin()) else { return };
        self.advance(&mut look, is_journaled);
        if look.offset < self.file.bytes() {
            self.look = Some(look);
        } else {
            self.end(look, counts);
        }
    }

    /// Begins another look, if it may find something.
    fn begin(&mut self) -> Option<Look> {
        if self.is_searched {
            return None;
        }
        // First the locks, then the tails, then the lanes: what is published later moves a tail.
        let is_last = !self.file.is_in_use();
        let tails = Some(self.file.tails());
        if !is_last && self.tails == tails {
            return None;
        }
        self.tails = tails;
        Some(Look {
            offset: FIRST_DATA,
            left: 0,
            is_last,
            found: Vec::new(),
            journaled: Vec::new(),
            damaged_bytes: 0,
            pad_end: 0,
        })
    }

    fn advance(&self, look: &mut Look, is_journaled: &dyn Fn(&[u8; 16]) -> bool) {
        look.left = ROUND_BYTES;
        let (mut window, mut at, mut body) = (Vec::new(), 0, Vec::new());
        while look.offset < self.file.bytes() && look.left > 0 {
            if at >= window.len() {
                look.offset = self.file.next_data(look.offset);
                window.resize(WINDOW_BYTES, 0);
                let read = self.file.read(&mut window, look.offset);
                window.truncate(read);
                at = 0;
                if window.is_empty() {
                    look.offset = self.file.bytes();
                    break;
                }
            }
            let piece = &window[at..window.len().min(at + RECORD_HEADER_BYTES)];
            let mut step = RECORD_ALIGN;
            if piece.iter().any(|byte| *byte != 0) {
                body.clear();
                step = self.examine(piece, look, &mut body, is_journaled);
            }
            look.left = look.left.saturating_sub(step);
            look.offset += step;
            at = at.saturating_add(step as usize);
        }
    }

    /// Looks at a piece that is not zero; how long is what stands there.
    fn examine(
        &self,
        piece: &[u8],
        look: &mut Look,
        body: &mut Vec<u8>,
        is_journaled: &dyn Fn(&[u8; 16]) -> bool,
    ) -> u64 {
        let offset = look.offset;
        let what = piece.first_chunk().map(|bytes| self.file.piece_at(bytes, offset));
        match what {
            // Nothing is to be expected in it, but no check sum says how long it is.
            Some(Piece::Pad(header)) => {
                look.pad_end = look.pad_end.max(offset + header.lane_bytes());
                return RECORD_ALIGN;
            }
            Some(Piece::Record(header)) => {
                let found = self.found(&header, offset);
                if self.known.contains(&found.key()) {
                    look.pad_end = offset + found.bytes;
                    return found.bytes;
                }
                // Whole or not: each piece of 64 bytes may say that it begins a long one.
                look.left = look.left.saturating_sub(found.bytes);
                if self.file.read_body(&header, offset, body) {
                    look.pad_end = offset + found.bytes;
                    let listed = self.known.len() + look.found.len() + look.journaled.len();
                    if is_journaled(&found.id) {
                        look.journaled.push(found);
                    } else if look.is_last || listed < MAX_KEPT {
                        look.found.push(found);
                    }
                    return found.bytes;
                }
            }
            Some(Piece::Noise) | None => {}
        }
        look.damaged_bytes += if offset < look.pad_end { 0 } else { RECORD_ALIGN };
        RECORD_ALIGN
    }

    fn found(&self, header: &RecordHeader, offset: u64) -> Found {
        let RecordHeader { stamp_ns, position, crc, mut id, .. } = *header;
        if id == [0; 16] {
            // Its own says nothing. This one is the same whenever the file is read.
            let piece = u128::from(offset / RECORD_ALIGN);
            let place = (piece << 96) | (u128::from(crc) << 64) | u128::from(position);
            id = (u128::from_be_bytes(self.bus) ^ place).to_be_bytes();
        }
        Found { stamp_ns, position, offset, bytes: header.lane_bytes(), crc, id }
    }

    fn end(&mut self, look: Look, counts: &mut Counts) {
        self.known.extend(look.found.iter().chain(&look.journaled).map(Found::key));
        self.waiting.extend(look.found);
        self.waiting.make_contiguous().sort_unstable();
        self.kept.extend(look.journaled);
        self.deferred_ns = None;
        self.is_known = true;
        if look.is_last {
            self.is_searched = true;
            counts.damaged_bytes += look.damaged_bytes + self.file.lost_bytes();
            self.zero_kept();
        }
    }

    /// Nobody writes here any more.
    fn zero_kept(&mut self) {
        std::mem::take(&mut self.kept).iter().for_each(|found| self.file.zero(found));
    }

    /// When the next record comes out.
    pub(super) fn peek(&mut self, now_ns: u64) -> Option<Turn> {
        let stamp_ns = self.waiting.front()?.stamp_ns;
        let is_future = stamp_ns > now_ns;
        let is_seen = is_future && *self.deferred_ns.get_or_insert(now_ns) != now_ns;
        Some(Turn::new(stamp_ns, now_ns, is_seen))
    }

    /// Gives out the record that [`Self::peek`] found, if it is still whole.
    pub(super) fn take(&mut self, now_ns: u64, batch: &mut Batch, counts: &mut Counts) {
        let Some(next) = self.waiting.pop_front() else { return };
        let start = batch.buffer().len();
        let header = self.file.header_of(&next);
        let whole = header.filter(|it| self.file.read_body(it, next.offset, batch.buffer()));
        let Some(header) = whole else {
            // Harmed since, which the last look counts; or never published, and written over.
            self.known.remove(&next.key());
            counts.damaged_bytes += if self.is_searched { next.bytes } else { 0 };
            return;
        };
        let header = RecordHeader { id: next.id, ..header };
        let end = LaneEnd { bus: self.bus, lane: 0, end: next.offset + next.bytes };
        batch.push(header, next.stamp_ns.min(now_ns), start, Origin::Lane(end));
        counts.lane_records += 1;
        counts.clamped_stamps += u64::from(next.stamp_ns > now_ns);
        self.given.push(next);
    }

    /// Everything given out is safe elsewhere.
    pub(super) fn release(&mut self) {
        self.kept.append(&mut self.given);
        if self.is_searched {
            self.zero_kept();
        }
    }

    /// Whether [`Self::kept_ids`] has all that an earlier reader journaled.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Ids of events that are journaled and still stand in the file.
    pub(super) fn kept_ids(&self) -> impl Iterator<Item = [u8; 16]> {
        self.kept.iter().map(|found| found.id)
    }

    /// Whether it has something that was not given out.
    pub(super) fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.look.is_some()
    }

    /// Whether everything in it was released.
    pub(super) fn is_finished(&self) -> bool {
        self.is_searched && self.waiting.is_empty() && self.given.is_empty()
    }

    /// Leaves the rest for people to look at.
    pub(super) fn finish(self, place: &Fd) {
        // The file is given up, whether this works or not.
        put_away(place, &self.name, RING_BAD);
    }
}
