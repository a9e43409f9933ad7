//! A ring file whose header is damaged, as it is read: whole records wherever they stand in it.
//!
//! The sizes of its lanes are unknown, so a record may begin at any piece of 64 bytes. It counts if
//! its position fits the place where it stands and its CRC fits its content. The file is read, never
//! mapped: it may have any length, and lose it.

use super::ring_reader::{ReadError, close_to_others};
use super::sigbus::Guard;
use crate::control::RingError;
use crate::crc::Crc32c;
use crate::doorbell;
use crate::layout::{
    CONTROL_BYTES, CONTROL_OFFSET, DATA_ALIGN, DOORBELL_OFFSET, Geometry, HEADER_BYTES, LANE_BYTES,
    LANE_LOCK, LANES, MAX_CONTROL_AREA, READER_LOCK, word,
};
use crate::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind};
use crate::region::Region;
use crate::sys::{self, Errno, Fd, Open};
use std::ffi::CStr;

/// No ring is longer, so nothing is looked for behind this.
const MAX_FILE_BYTES: u64 = MAX_CONTROL_AREA as u64 + *LANES.end() as u64 * *LANE_BYTES.end();
/// Every lane begins at a multiple of this, and is a multiple of it long.
const LANE_ALIGN: u64 = *LANE_BYTES.start();

/// The file. Its reader's lock lives as long as this.
pub(super) struct SalvageFile {
    file: Fd,
    bytes: u64,
    crc: Crc32c,
}

/// A record in the file.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) stamp_ns: u64,
    pub(super) position: u64,
    /// Where it stands in the file.
    pub(super) offset: u64,
    /// With its padding.
    pub(super) bytes: u64,
    pub(super) crc: u32,
    /// Its own, or one that is made of where it stands.
    pub(super) id: [u8; 16],
}

/// What stands at a piece of the file.
pub(super) enum Piece {
    Record(RecordHeader),
    Pad(RecordHeader),
    /// Neither zero nor the beginning of a record or pad.
    Noise,
}

impl SalvageFile {
    /// Takes the file over as its reader, whatever it holds, and tells producers that still have it
    /// mapped to leave.
    pub(super) fn open(place: &Fd, from: &CStr, uid: u32) -> Result<SalvageFile, ReadError> {
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
        Ok(SalvageFile { file, bytes, crc: Crc32c::fastest() })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a producer may hold a lane. As for a retired ring: a lane that is free now gets no
    /// further record.
    pub(super) fn is_in_use(&self) -> bool {
        sys::is_locked(&self.file, LANE_LOCK, u64::from(*LANES.end())) != Ok(false)
    }

    /// The word that says how much was published, of as many lanes as there may be: where there are
    /// fewer, it is something else.
    pub(super) fn tails(&self) -> Vec<u64> {
        let mut lines = vec![0; *LANES.end() as usize * CONTROL_BYTES];
        let read = self.read(&mut lines, CONTROL_OFFSET as u64);
        let tail = |line: &[u8]| line.first_chunk().map(|word| u64::from_le_bytes(*word));
        lines[..read].chunks(CONTROL_BYTES).filter_map(tail).collect()
    }

    /// Where something may stand that is not zero, from `offset` on.
    pub(super) fn next_data(&self, offset: u64) -> u64 {
        match sys::next_data(&self.file, offset) {
            Ok(Some(data)) => offset.max(data - data % RECORD_ALIGN),
            Ok(None) => self.bytes,
            Err(_) => offset,
        }
    }

    /// Reads until the buffer is full or the file ends; how many bytes.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            match sys::pread(&self.file, &mut buffer[done..], offset + done as u64) {
                Ok(bytes) if bytes > 0 => done += bytes,
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
        done
    }

    /// Judges the header that was read at `offset`; whether its record is whole is for
    /// [`Self::read_body`] to say.
    pub(super) fn piece_at(&self, bytes: &[u8; RECORD_HEADER_BYTES], offset: u64) -> Piece {
        let header = RecordHeader::from_bytes(bytes);
        let available = self.bytes.next_multiple_of(RECORD_ALIGN) - offset;
        let is_here = header.position < u64::MAX / 2
            && header.position % LANE_ALIGN == offset % LANE_ALIGN
            && header.is_plausible(header.position, available.min(*LANE_BYTES.end()));
        if !is_here {
            return Piece::Noise;
        }
        let end = header.position + header.lane_bytes();
        let is_pad = header.kind == kind::PAD;
        match is_pad {
            true if end.is_multiple_of(LANE_ALIGN) && header.meta_bytes == 0 => Piece::Pad(header),
            false if header.flags & flag::CRC != 0 => Piece::Record(header),
            _ => Piece::Noise,
        }
    }

    /// Appends a record's body to `into`; `false`: it is not whole, and nothing was appended.
    pub(super) fn read_body(&self, header: &RecordHeader, offset: u64, into: &mut Vec<u8>) -> bool {
        let start = into.len();
        into.resize(start + (header.bytes() as usize - RECORD_HEADER_BYTES), 0);
        let body = &mut into[start..];
        let is_read = self.read(body, offset + RECORD_HEADER_BYTES as u64) == body.len();
        let (meta, payload) = body.split_at(header.meta_bytes as usize);
        let is_whole = is_read && header.compute_crc(self.crc, meta, payload) == header.crc;
        if !is_whole {
            into.truncate(start);
        }
        is_whole
    }

    /// The header of a record that was found, if it still stands there.
    pub(super) fn header_of(&self, found: &Found) -> Option<RecordHeader> {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        let is_read = self.read(&mut bytes, found.offset) == bytes.len();
        match self.piece_at(&bytes, found.offset) {
            Piece::Record(header) if is_read => Some(header),
            _ => None,
        }
        .filter(|header| (header.position, header.crc) == (found.position, found.crc))
    }

    /// Zeroes a record that is safe elsewhere, if it still stands there. Only when no producer holds
    /// a lane.
    pub(super) fn zero(&self, found: &Found) {
        let zeros = [0; 4096];
        let mut done = if self.header_of(found).is_some() { 0 } else { found.bytes };
        while done < found.bytes {
            let bytes = (found.bytes - done).min(zeros.len() as u64) as usize;
            // The journal knows it, whether this works or not.
            let _ = sys::pwrite(&self.file, &zeros[..bytes], found.offset + done);
            done += bytes as u64;
        }
    }

    /// Bytes that were published and not released, by their lanes' words, and are behind the end of
    /// the file: what it has lost, nothing else shows. 0 where the header says nothing.
    pub(super) fn lost_bytes(&self) -> u64 {
        let mut header = [0; HEADER_BYTES];
        let is_read = self.read(&mut header, 0) == header.len();
        let Some(geometry) = Geometry::decode_cut(&header).ok().filter(|_| is_read) else {
            return 0;
        };
        (0..geometry.lanes).map(|lane| self.lost_of(&geometry, lane).unwrap_or(0)).sum()
    }

    fn lost_of(&self, geometry: &Geometry, lane: u32) -> Option<u64> {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            let offset = (Geometry::control_offset(lane) + at) as u64;
            let read = self.read(&mut bytes, offset);
            (read == bytes.len()).then_some(u64::from_le_bytes(bytes))
        };
        let (head, tail) = (word(word::HEAD)?, word(word::TAIL)?);
        let lane_bytes = geometry.lane_bytes;
        let used = tail.checked_sub(head).filter(|used| *used <= lane_bytes)?;
        let there = self.bytes.saturating_sub(geometry.lane_offset(lane)).min(lane_bytes);
        // The used range, cut where the lane's end is, and each half where the file's end is.
        let from = head % lane_bytes;
        let to_end = used.min(lane_bytes - from);
        let behind = |from: u64, to: u64| to.saturating_sub(from.max(there));
        Some(behind(from, from + to_end) + behind(0, used - to_end))
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

/// Where the lanes' data begin at the earliest.
pub(super) const FIRST_DATA: u64 = DATA_ALIGN as u64;
