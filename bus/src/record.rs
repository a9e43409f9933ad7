//! A record: a fixed 64-byte header, an optional metadata block, the payload.
//!
//! ```text
//!  0 payload bytes u32 │ metadata bytes u32 │ position u64                       16
//! 16 stamp, CLOCK_BOOTTIME ns u64           │ event id, a UUID …                 32
//! 32 … event id                             │ pid u32 │ elapsed µs u32           48
//! 48 agent u16 │ event u16 │ flags u16 │ kind u8 │ 0 │ CRC-32C u32 │ 0 u32       64
//! ```
//!
//! In a lane a record is padded to 64 bytes and never wraps; in the spool it fills its file.

use crate::crc::Crc32c;
use core::mem::offset_of;

/// Records begin at multiples of this, in bytes.
pub const RECORD_ALIGN: u64 = 64;
/// Bytes of [`RecordHeader`].
pub const RECORD_HEADER_BYTES: usize = 64;
/// [`RecordHeader::position`] of a record in the spool.
pub const SPOOL_POSITION: u64 = u64::MAX;
/// The largest payload that is taken, in bytes; more is cut off and flagged.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;
/// The largest metadata block, in bytes; more is left out and flagged.
pub const MAX_META_BYTES: usize = 16 * 1024;

/// Bits of [`RecordHeader::flags`].
pub mod flag {
    /// The CRC field holds the CRC-32C of header, metadata and payload.
    pub const CRC: u16 = 1;
    /// The payload was cut: its writer gave up waiting for the rest, or it is too large.
    pub const TRUNCATED: u16 = 2;
    /// Metadata was left out because it did not fit.
    pub const META_CUT: u16 = 4;
}

/// What a record is.
pub mod kind {
    /// An event.
    pub const DATA: u8 = 1;
    /// Nothing; fills the end of a lane.
    pub const PAD: u8 = 2;
}

/// The header of every record. All integers are little-endian.
#[repr(C)]
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordHeader {
    /// Payload length in bytes, without padding.
    pub payload_bytes: u32,
    /// Metadata length in bytes.
    pub meta_bytes: u32,
    /// Where the record begins, counted in bytes since the lane was made; stale bytes cannot have it.
    pub position: u64,
    /// `CLOCK_BOOTTIME` in ns when it was published.
    pub stamp_ns: u64,
    /// A UUID that stays with the event for good.
    pub id: [u8; 16],
    /// The publishing process, in its own pid namespace.
    pub pid: u32,
    /// From the start of the hook to the publish, in µs; 0 from a long-lived producer.
    pub elapsed_us: u32,
    /// Index into `names::AGENTS`.
    pub agent: u16,
    /// Index into `names::EVENTS`.
    pub event: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// One of [`kind`].
    pub kind: u8,
    /// 0.
    pub reserved: u8,
    /// See [`flag::CRC`]; computed with this field as 0.
    pub crc: u32,
    /// 0.
    pub reserved2: u32,
}

const _: () = {
    assert!(size_of::<RecordHeader>() == RECORD_HEADER_BYTES);
    assert!(align_of::<RecordHeader>() == 8);
    assert!(RECORD_ALIGN as usize == RECORD_HEADER_BYTES);
    assert!(offset_of!(RecordHeader, position) == 8);
    assert!(offset_of!(RecordHeader, stamp_ns) == 16);
    assert!(offset_of!(RecordHeader, id) == 24);
    assert!(offset_of!(RecordHeader, pid) == 40);
    assert!(offset_of!(RecordHeader, elapsed_us) == 44);
    assert!(offset_of!(RecordHeader, agent) == 48);
    assert!(offset_of!(RecordHeader, event) == 50);
    assert!(offset_of!(RecordHeader, flags) == 52);
    assert!(offset_of!(RecordHeader, kind) == 54);
    assert!(offset_of!(RecordHeader, crc) == 56);
};

impl RecordHeader {
    /// The header's bytes, as they stand in the ring.
    // Put together from words, so that a publish stores eight of them: written in small parts and
    // read back in large ones, the header would stall the processor.
    #[inline(always)]
    pub fn to_bytes(&self) -> [u8; RECORD_HEADER_BYTES] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let id = u128::from_le_bytes(self.id);
        let words = [
            pair(self.payload_bytes, self.meta_bytes),
            self.position,
            self.stamp_ns,
            id as u64,
            (id >> 64) as u64,
            pair(self.pid, self.elapsed_us),
            u64::from(self.agent)
                | u64::from(self.event) << 16
                | u64::from(self.flags) << 32
                | u64::from(self.kind) << 48
                | u64::from(self.reserved) << 56,
            pair(self.crc, self.reserved2),
        ];
        // SAFETY: 64 bytes of integers without padding.
        unsafe { core::mem::transmute(words.map(u64::to_le)) }
    }

    /// Reads a header; any bytes are one, which [`Self::is_plausible`] then judges.
    #[inline]
    pub fn from_bytes(bytes: &[u8; RECORD_HEADER_BYTES]) -> RecordHeader {
        // SAFETY: 64 bytes of integers without padding; every bit pattern is valid.
        unsafe { core::mem::transmute_copy(bytes) }
    }

    /// The same from the words of a lane.
    #[inline]
    pub fn from_words(words: [u64; RECORD_HEADER_BYTES / 8]) -> RecordHeader {
        // SAFETY: as for `from_bytes`.
        unsafe { core::mem::transmute(words) }
    }

    /// Bytes of header, metadata and payload.
    #[inline]
    pub fn bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + u64::from(self.meta_bytes) + u64::from(self.payload_bytes)
    }

    /// Bytes that the record takes in a lane: [`Self::bytes`] rounded up to [`RECORD_ALIGN`].
    #[inline]
    pub fn lane_bytes(&self) -> u64 {
        self.bytes().next_multiple_of(RECORD_ALIGN)
    }

    /// Whether this can be a record at `position` of which `available` bytes are at hand.
    pub fn is_plausible(&self, position: u64, available: u64) -> bool {
        let limits = self.payload_bytes as usize <= MAX_PAYLOAD_BYTES
            && self.meta_bytes as usize <= MAX_META_BYTES;
        let known = matches!(self.kind, kind::DATA | kind::PAD) && self.position == position;
        known && self.lane_bytes() <= available && (limits || self.kind == kind::PAD)
    }

    /// The CRC-32C over this header, its metadata and its payload.
    #[inline]
    pub fn compute_crc(&self, crc: Crc32c, meta: &[u8], payload: &[u8]) -> u32 {
        let bare = RecordHeader { crc: 0, ..*self };
        crc.update(&bare.to_bytes()).update(meta).update(payload).value()
    }
}

/// Tags of the metadata entries.
pub mod tag {
    /// The agent's name.
    pub const AGENT: u16 = 1;
    /// The event's name.
    pub const EVENT: u16 = 2;
    /// The working directory of the hook.
    pub const DIRECTORY: u16 = 3;
    /// A command-line argument; may stand several times.
    pub const ARGUMENT: u16 = 4;
}

/// Writes metadata entries into a caller's buffer: tag u16, length u16, bytes, unpadded.
pub struct MetaWriter<'a> {
    buffer: &'a mut [u8],
    used: usize,
    cut: bool,
}

impl<'a> MetaWriter<'a> {
    /// Writes into `buffer`, at most [`MAX_META_BYTES`] of it.
    pub fn new(buffer: &'a mut [u8]) -> MetaWriter<'a> {
        let limit = buffer.len().min(MAX_META_BYTES);
        MetaWriter { buffer: buffer.get_mut(..limit).unwrap_or_default(), used: 0, cut: false }
    }

    /// Adds an entry; one that does not fit is left out, and [`Self::is_cut`] says so.
    pub fn add(&mut self, tag: u16, value: &[u8]) {
        self.add_with(tag, |room| {
            room.get_mut(..value.len())?.copy_from_slice(value);
            Some(value.len())
        });
    }

    /// Adds an entry whose value `fill` writes to the start of the room that it is given, and says how
    /// long it is; `None` if it does not fit.
    pub fn add_with(&mut self, tag: u16, fill: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let room = self.buffer.get_mut(self.used..).unwrap_or_default();
        let added = room.split_first_chunk_mut::<4>().and_then(|(head, room)| {
            let bytes = fill(room).filter(|bytes| *bytes <= room.len())?;
            let length = u16::try_from(bytes).ok()?;
            *head = [tag.to_le_bytes(), length.to_le_bytes()].as_flattened().try_into().ok()?;
            Some(head.len() + bytes)
        });
        match added {
            Some(bytes) => self.used += bytes,
            None => self.cut = true,
        }
    }

    /// Whether an entry was left out.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The entries written.
    pub fn finish(self) -> &'a [u8] {
        self.buffer.get(..self.used).unwrap_or_default()
    }
}

/// The entries of a metadata block, as tag and value. Damage ends the list early.
pub fn meta_entries(mut block: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let (head, rest) = block.split_first_chunk::<4>()?;
        let tag = u16::from_le_bytes([head[0], head[1]]);
        let (value, rest) =
            rest.split_at_checked(usize::from(u16::from_le_bytes([head[2], head[3]])))?;
        block = rest;
        Some((tag, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn metadata_reads_back(entries: Vec<(u16, Vec<u8>)>) {
            let mut buffer = vec![0; MAX_META_BYTES];
            let mut writer = MetaWriter::new(&mut buffer);
            for (tag, value) in &entries {
                writer.add(*tag, value);
            }
            prop_assert!(!writer.is_cut());
            let read: Vec<_> = meta_entries(writer.finish()).map(|(t, v)| (t, v.to_vec())).collect();
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn any_bytes_are_read_without_panic(block: Vec<u8>, header: [u8; 32]) {
            let total: usize = meta_entries(&block).map(|(_, value)| value.len() + 4).sum();
            prop_assert!(total <= block.len());
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(&header);
            let _ = RecordHeader::from_bytes(&bytes).is_plausible(0, 4096);
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        let mut buffer = [0; 10];
        let mut writer = MetaWriter::new(&mut buffer);
        writer.add(tag::AGENT, b"codex");
        assert!(!writer.is_cut());
        writer.add(tag::EVENT, b"x");
        assert!(writer.is_cut());
        assert_eq!(writer.finish(), b"\x01\0\x05\0codex");
    }

    #[test]
    fn a_header_reads_back() {
        let header = RecordHeader {
            payload_bytes: 3,
            position: 128,
            kind: kind::DATA,
            ..Default::default()
        };
        assert_eq!(RecordHeader::from_bytes(&header.to_bytes()), header);
        assert_eq!(header.lane_bytes(), 128);
        assert!(header.is_plausible(128, 128));
        assert!(!header.is_plausible(128, 64));
        assert!(!header.is_plausible(64, 128));
    }

    #[test]
    fn what_cannot_be_a_record_is_not_plausible() {
        let data = RecordHeader { kind: kind::DATA, ..Default::default() };
        let is_plausible = |header: RecordHeader| header.is_plausible(0, u64::MAX);
        for (payload_bytes, meta_bytes) in [(MAX_PAYLOAD_BYTES, 0), (0, MAX_META_BYTES)] {
            let (payload_bytes, meta_bytes) = (payload_bytes as u32, meta_bytes as u32);
            assert!(is_plausible(RecordHeader { payload_bytes, meta_bytes, ..data }));
            let (more_payload, more_meta) =
                (payload_bytes + payload_bytes.min(1), meta_bytes + meta_bytes.min(1));
            let larger =
                RecordHeader { payload_bytes: more_payload, meta_bytes: more_meta, ..data };
            assert!(!is_plausible(larger));
        }
        for unknown in [0, 3, 255] {
            assert!(!is_plausible(RecordHeader { kind: unknown, ..data }));
        }
    }
}
