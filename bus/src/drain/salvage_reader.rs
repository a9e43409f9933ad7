//! Reads a ring file whose header is damaged: every whole record that still stands in it is owed.
//!
//! The sizes of its lanes are unknown, so a record may begin at any piece of 64 bytes. It counts if
//! its position fits the place where it stands and its CRC fits its content. Released bytes are zeroed
//! in a ring, so what is found was not released; what was journaled all the same, the journal knows.
//!
//! The file stays as it is until everything was released: so the records have the same numbers, in
//! their order, for a reader that comes after a crash. The file is read, never mapped: it may have
//! any length, and lose it.

use super::Counts;
use super::batch::{Batch, LaneEnd, Origin};
use super::ring_reader::{ReadError, close_to_others};
use super::sigbus::Guard;
use crate::control::RingError;
use crate::crc::Crc32c;
use crate::doorbell;
use crate::layout::{
    DATA_ALIGN, DOORBELL_OFFSET, Geometry, HEADER_BYTES, LANE_BYTES, LANE_LOCK, LANES,
    MAX_CONTROL_AREA, READER_LOCK, word,
};
use crate::place::RING_BAD;
use crate::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind};
use crate::region::Region;
use crate::sys::{self, Errno, Fd, Open};
use std::ffi::{CStr, CString};

/// No ring is longer, so nothing is looked for behind this.
const MAX_FILE_BYTES: u64 = MAX_CONTROL_AREA as u64 + *LANES.end() as u64 * *LANE_BYTES.end();
/// The file is looked through in pieces of this size.
const WINDOW_BYTES: usize = 1 << 20;
/// Every lane begins at a multiple of this, and is a multiple of it long.
const LANE_ALIGN: u64 = *LANE_BYTES.start();

/// A ring file that was set aside. Its reader's lock lives as long as this.
pub(super) struct SalvageReader {
    file: Fd,
    bytes: u64,
    name: CString,
    /// What stands for the ring's UUID, which cannot be known: that of its new name.
    bus: [u8; 16],
    crc: Crc32c,
    /// What was found, in order, once no producer held a lane any more.
    found: Option<Vec<Found>>,
    /// How many of them were given out, or need not be.
    given: usize,
    /// How many are safe elsewhere.
    released: usize,
    /// How many an earlier reader had journaled.
    journaled: u64,
    /// The clock of the round in which the next one's stamp was in the future.
    deferred_ns: Option<u64>,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    stamp_ns: u64,
    position: u64,
    /// Where it stands in the file.
    offset: u64,
    bytes: u64,
    /// The journal has it from where it was before.
    is_journaled: bool,
}

/// What the file holds.
#[derive(Default)]
struct Scan {
    found: Vec<Found>,
    pad_bytes: u64,
    /// Neither zero nor part of a record or pad.
    damaged_bytes: u64,
}

impl SalvageReader {
    /// Takes the file over as its reader, whatever it holds, and tells producers that still have it
    /// mapped to leave. It is known as `bus` from now on, and will be called `name`.
    pub(super) fn open(
        place: &Fd,
        from: &CStr,
        name: CString,
        bus: [u8; 16],
        uid: u32,
    ) -> Result<SalvageReader, ReadError> {
        let system = |errno| ReadError::Ring(RingError::System(errno));
        let file = sys::open(Some(place), from, Open::ReadWrite).map_err(system)?;
        close_to_others(&file, uid).map_err(system)?;
        let stat = sys::fstat(&file).map_err(system)?;
        if !stat.is_private_file(uid) {
            return Err(ReadError::Ring(RingError::NotPrivate(stat)));
        }
        if !sys::lock_byte(&file, READER_LOCK).map_err(system)? {
            return Err(ReadError::Busy);
        }
        let bytes = stat.bytes.min(MAX_FILE_BYTES);
        retire(&file, bytes).map_err(system)?;
        let (found, deferred_ns, crc) = (None, None, Crc32c::fastest());
        let (given, released, journaled) = (0, 0, 0);
        Ok(SalvageReader {
            file,
            bytes,
            name,
            bus,
            crc,
            found,
            given,
            released,
            journaled,
            deferred_ns,
        })
    }

    /// What stands for the ring's UUID.
    pub(super) fn bus(&self) -> [u8; 16] {
        self.bus
    }

    /// Takes up what an earlier reader journaled of it.
    pub(super) fn recover(&mut self, ends: &[LaneEnd]) {
        let ours = ends.iter().filter(|end| end.bus == self.bus).map(|end| end.end);
        self.journaled = ours.fold(self.journaled, u64::max);
    }

    /// Looks through the file, once, as soon as no producer holds a lane of it. What `is_journaled`
    /// knows is not given out.
    pub(super) fn look(
        &mut self,
        is_journaled: &dyn Fn(&RecordHeader) -> bool,
        counts: &mut Counts,
    ) {
        // As for a retired ring: a lane that is free now gets no further record.
        let lanes = u64::from(*LANES.end());
        if self.found.is_some() || sys::is_locked(&self.file, LANE_LOCK, lanes) != Ok(false) {
            return;
        }
        let Scan { mut found, pad_bytes, damaged_bytes } = self.scan(is_journaled);
        let found_bytes = pad_bytes + found.iter().map(|found| found.bytes).sum::<u64>();
        let lost_bytes = self.published_bytes().saturating_sub(found_bytes);
        counts.damaged_bytes += damaged_bytes.max(lost_bytes);
        found.sort_unstable();
        self.given = usize::try_from(self.journaled).unwrap_or(usize::MAX).min(found.len());
        self.released = self.given;
        self.found = Some(found);
    }

    fn scan(&self, is_journaled: &dyn Fn(&RecordHeader) -> bool) -> Scan {
        let (mut scan, mut body) = (Scan::default(), Vec::new());
        let (mut window, mut window_at) = (Vec::new(), 0);
        let mut offset = DATA_ALIGN as u64;
        while offset < self.bytes {
            if offset >= window_at + window.len() as u64 {
                window_at = offset;
                window.resize(WINDOW_BYTES, 0);
                let read = read_full(&self.file, &mut window, offset);
                window.truncate(read);
                if window.is_empty() {
                    break;
                }
            }
            let rest = &window[(offset - window_at) as usize..];
            let piece = &rest[..rest.len().min(RECORD_HEADER_BYTES)];
            let mut step = RECORD_ALIGN;
            if piece.iter().any(|byte| *byte != 0) {
                body.clear();
                match self.record_at(offset, &mut body) {
                    Some(header) if header.kind == kind::DATA => {
                        step = header.lane_bytes();
                        let RecordHeader { stamp_ns, position, .. } = header;
                        let (bytes, is_journaled) = (step, is_journaled(&header));
                        scan.found.push(Found { stamp_ns, position, offset, bytes, is_journaled });
                    }
                    Some(pad) => scan.pad_bytes += pad.lane_bytes(),
                    None => scan.damaged_bytes += RECORD_ALIGN,
                }
            }
            offset += step;
        }
        scan
    }

    /// Bytes that were published and not released, as far as the lanes' words say: what a file that
    /// was cut off has lost, nothing else shows. 0 where the header says nothing.
    fn published_bytes(&self) -> u64 {
        let mut header = [0; HEADER_BYTES];
        let is_read = read_full(&self.file, &mut header, 0) == header.len();
        let Some(geometry) = Geometry::decode_cut(&header).ok().filter(|_| is_read) else {
            return 0;
        };
        let word = |lane: u32, at: usize| {
            let mut bytes = [0; 8];
            let offset = (Geometry::control_offset(lane) + at) as u64;
            let read = read_full(&self.file, &mut bytes, offset);
            (read == bytes.len()).then_some(u64::from_le_bytes(bytes))
        };
        let used = |lane: u32| word(lane, word::TAIL)?.checked_sub(word(lane, word::HEAD)?);
        let used = (0..geometry.lanes).filter_map(used);
        used.filter(|bytes| *bytes <= geometry.lane_bytes).sum()
    }

    /// A whole record, or a pad, that stands at `offset`; its body is appended to `body`.
    fn record_at(&self, offset: u64, body: &mut Vec<u8>) -> Option<RecordHeader> {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        if read_full(&self.file, &mut bytes, offset) < bytes.len() {
            return None;
        }
        let header = RecordHeader::from_bytes(&bytes);
        let available = self.bytes.next_multiple_of(RECORD_ALIGN).checked_sub(offset)?;
        let is_here = header.position < u64::MAX / 2
            && header.position % LANE_ALIGN == offset % LANE_ALIGN
            && header.is_plausible(header.position, available.min(*LANE_BYTES.end()));
        if !is_here {
            return None;
        }
        if header.kind == kind::PAD {
            let end = header.position + header.lane_bytes();
            return (end.is_multiple_of(LANE_ALIGN) && header.meta_bytes == 0).then_some(header);
        }
        let start = body.len();
        body.resize(start + (header.bytes() as usize - RECORD_HEADER_BYTES), 0);
        let into = &mut body[start..];
        let is_read =
            read_full(&self.file, into, offset + RECORD_HEADER_BYTES as u64) == into.len();
        let (meta, payload) = into.split_at(header.meta_bytes as usize);
        let is_whole = is_read
            && header.flags & flag::CRC != 0
            && header.compute_crc(self.crc, meta, payload) == header.crc;
        if !is_whole {
            body.truncate(start);
        }
        is_whole.then_some(header)
    }

    /// The stamp of the next record, if it may be given out in this round.
    pub(super) fn peek(&mut self, now_ns: u64, counts: &mut Counts) -> Option<u64> {
        let found = self.found.as_mut()?;
        self.given += found.get(self.given..)?.iter().take_while(|next| next.is_journaled).count();
        let next = found.get_mut(self.given)?;
        if next.stamp_ns > now_ns {
            // Seen before this round's clock was read, and still in the future: it cannot be.
            let deferred_ns = *self.deferred_ns.get_or_insert(now_ns);
            if deferred_ns == now_ns {
                return None;
            }
            counts.clamped_stamps += 1;
            next.stamp_ns = now_ns;
        }
        Some(next.stamp_ns)
    }

    /// Gives out the record that [`Self::peek`] found, if it is still whole.
    pub(super) fn take(&mut self, batch: &mut Batch, counts: &mut Counts) {
        let next = self.found.as_ref().and_then(|found| found.get(self.given));
        let Some(next) = next.copied() else { return };
        self.given += 1;
        let start = batch.buffer().len();
        match self.record_at(next.offset, batch.buffer()).filter(|now| now.kind == kind::DATA) {
            Some(header) => {
                let end = LaneEnd { bus: self.bus, lane: 0, end: self.given as u64 };
                batch.push(header, next.stamp_ns, start, Origin::Lane(end));
                counts.lane_records += 1;
            }
            None => counts.damaged_bytes += next.bytes,
        }
    }

    /// Everything given out is safe elsewhere.
    pub(super) fn release(&mut self) {
        self.released = self.given;
    }

    /// Up to where it is journaled, if anything of it is.
    pub(super) fn end(&self) -> Option<LaneEnd> {
        let end = self.journaled.max(self.released as u64);
        (end > 0).then_some(LaneEnd { bus: self.bus, lane: 0, end })
    }

    /// Whether it has something that was not given out.
    pub(super) fn has_work(&self) -> bool {
        self.found.as_ref().is_some_and(|found| self.given < found.len())
    }

    /// Whether everything in it was released.
    pub(super) fn is_finished(&self) -> bool {
        self.found.as_ref().is_some_and(|found| self.released == found.len())
    }

    /// Zeroes what was released, so that no payload lingers, and leaves the rest for people to look at.
    pub(super) fn finish(self, place: &Fd) {
        let zeros = [0; 4096];
        for record in self.found.iter().flatten() {
            for at in (0..record.bytes).step_by(zeros.len()) {
                let bytes = (record.bytes - at).min(zeros.len() as u64) as usize;
                // The file is given up, and its records are safe, whether this works or not.
                let _ = sys::pwrite(&self.file, &zeros[..bytes], record.offset + at);
            }
        }
        let _ = sys::rename(place, &self.name, RING_BAD);
    }
}

/// Sets the `retired` bit, in the file's first page, if it has that.
fn retire(file: &Fd, bytes: u64) -> Result<(), Errno> {
    const FIRST_BYTES: usize = DOORBELL_OFFSET + 8;
    if bytes >= FIRST_BYTES as u64 {
        let region = Region::map(file, 0, FIRST_BYTES)?;
        let _guard = Guard::new(&region);
        doorbell::retire(region.word32(DOORBELL_OFFSET));
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; how many bytes.
fn read_full(file: &Fd, buffer: &mut [u8], offset: u64) -> usize {
    let mut done = 0;
    while done < buffer.len() {
        match sys::pread(file, &mut buffer[done..], offset + done as u64) {
            Ok(bytes) if bytes > 0 => done += bytes,
            Err(Errno::INTR) => {}
            _ => break,
        }
    }
    done
}
