//! The ring file's layout: header, doorbell, control lines, lanes. `docs/ring-format.md` draws it.
//!
//! ```text
//! 0          header (92 bytes used), CRC-32C at 88
//! 256        doorbell word, on a cache line of its own
//! 384        events that producers had to drop
//! 392        stores into a spool that producers announced
//! 4096       control lines: 256 bytes per lane
//!              +0    tail, records, spooled      (written by the lane's producer)
//!              +24   condemned                   (written by the reader, once if ever)
//!              +128  head                        (written by the reader)
//! data       lane 0, lane 1, …  (each `lane_bytes`, a power of two)
//! ```

use crate::crc;
use core::mem::offset_of;

/// The first eight bytes of a ring file.
pub const MAGIC: [u8; 8] = *b"hookring";
/// A reader or writer of another major version must not touch the file.
pub const MAJOR: u16 = 1;
/// Raised when something is added that older programs may ignore.
pub const MINOR: u16 = 0;

/// Where the doorbell word stands.
pub const DOORBELL_OFFSET: usize = 256;
/// Where a counter stands of the events that a producer had to drop because neither a lane nor the
/// spool took them.
pub const DROPPED_OFFSET: usize = 384;
/// Where a counter stands of stores into a spool that producers have made.
pub const ANNOUNCED_OFFSET: usize = 392;
/// Where the control lines begin.
pub const CONTROL_OFFSET: usize = 4096;
/// Control bytes per lane: the producer's line and the reader's, 128 bytes apart, so that
/// neither the cache nor its prefetcher moves them together.
pub const CONTROL_BYTES: usize = 256;
/// The lane data begins at a multiple of this, the largest page size in use.
pub const DATA_ALIGN: usize = 65_536;

/// Fewest and most lanes of a ring.
pub const LANES: core::ops::RangeInclusive<u32> = 1..=1024;
/// Smallest and largest lane, in bytes; a lane is a power of two. The model checker needs lanes of a
/// few records.
pub const LANE_BYTES: core::ops::RangeInclusive<u64> =
    if cfg!(loom) { 256 } else { 16 * 1024 }..=64 * 1024 * 1024;
/// Control area of a ring with the most lanes, rounded up to [`DATA_ALIGN`].
pub const MAX_CONTROL_AREA: usize =
    (CONTROL_OFFSET + 1024 * CONTROL_BYTES).next_multiple_of(DATA_ALIGN);

/// The lock byte of the reader; lane `n` has byte `LANE_LOCK + n`. Locks may stand on bytes
/// whatever is stored there.
pub const READER_LOCK: u64 = 0;
/// See [`READER_LOCK`].
pub const LANE_LOCK: u64 = 1;

/// A bit of [`Geometry::features`]: this machine has an instruction for CRC-32C. The ring's maker finds out, so
/// that a hook process need not: asking costs it a trap into the hypervisor.
pub const FEATURE_CRC32C: u32 = 1;
/// A bit of [`Geometry::features`]: before it sleeps, the reader makes a full fence in every producer
/// that has joined it (`sys::join_barrier`), so that those need none behind a publish.
pub const FEATURE_BARRIER: u32 = 2;

/// The words of a lane's control lines, as offsets from its first.
pub mod word {
    /// Position after the last published record, written by the producer with release.
    pub const TAIL: usize = 0;
    /// Records published into this lane so far (a statistic).
    pub const RECORDS: usize = 8;
    /// Records that its producers sent to the spool because the lane was full (a statistic).
    pub const SPOOLED: usize = 16;
    /// Not 0: the reader found damage; its producer leaves and nobody claims the lane. It stands in the
    /// producer's line, which the reader writes to only then, since each publish looks at it.
    pub const CONDEMNED: usize = 24;
    /// Position up to which the reader is done, written by it with release.
    pub const HEAD: usize = 128;
}

/// The header at the start of a ring file. It never changes while the file stands.
#[repr(C)]
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Header {
    magic: [u8; 8],
    major: u16,
    minor: u16,
    header_bytes: u32,
    lanes: u32,
    /// What the ring's maker found out about the machine, for hooks that have no time to.
    features: u32,
    lane_bytes: u64,
    control_offset: u64,
    data_offset: u64,
    file_bytes: u64,
    bus: [u8; 16],
    boot: [u8; 16],
    /// CRC-32C of everything before it.
    crc: u32,
    reserved: u32,
}

/// Bytes of [`Header`].
pub const HEADER_BYTES: usize = size_of::<Header>();

const _: () = {
    assert!(HEADER_BYTES == 96);
    assert!(offset_of!(Header, major) == 8);
    assert!(offset_of!(Header, lanes) == 16);
    assert!(offset_of!(Header, lane_bytes) == 24);
    assert!(offset_of!(Header, file_bytes) == 48);
    assert!(offset_of!(Header, bus) == 56);
    assert!(offset_of!(Header, boot) == 72);
    assert!(offset_of!(Header, crc) == 88);
    assert!(HEADER_BYTES <= DOORBELL_OFFSET);
    assert!(DOORBELL_OFFSET.is_multiple_of(128));
    assert!(DOORBELL_OFFSET + 128 <= DROPPED_OFFSET);
    assert!(ANNOUNCED_OFFSET + 8 <= CONTROL_OFFSET);
    assert!(word::HEAD - word::TAIL == 128);
    assert!(word::CONDEMNED + 8 <= word::HEAD);
    assert!(word::HEAD + 8 <= CONTROL_BYTES);
};

/// Why a ring file cannot be used. Each carries what was found, and what would have been right.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum LayoutError {
    /// Not a ring file, or its first bytes are damaged.
    Magic,
    /// Written by another major version of hookring.
    Version {
        /// The version that the file has.
        found: u16,
    },
    /// The header's check sum does not fit its content.
    Crc {
        /// The check sum in the file.
        found: u32,
        /// The check sum of the content.
        expected: u32,
    },
    /// The header contradicts itself or names sizes out of range.
    Geometry,
    /// The file is not as long as its header says.
    Length {
        /// The length of the file, in bytes.
        found: u64,
        /// The length that the header states, in bytes.
        expected: u64,
    },
}

impl core::fmt::Display for LayoutError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Magic => f.write_str("it does not begin with the bytes `hookring`"),
            Self::Version { found } => {
                write!(f, "its layout has version {found}, this program knows {MAJOR}")
            }
            Self::Crc { found, expected } => {
                write!(f, "its header's CRC is {found:08x} instead of {expected:08x}")
            }
            Self::Geometry => f.write_str("its header states impossible sizes"),
            Self::Length { found, expected } => {
                write!(f, "it has {found} bytes, its header says {expected}")
            }
        }
    }
}

impl core::error::Error for LayoutError {}

/// The shape of a ring: everything that follows from its header.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Number of lanes, in [`LANES`].
    pub lanes: u32,
    /// Bytes of each lane, a power of two in [`LANE_BYTES`].
    pub lane_bytes: u64,
    /// The bus's UUID.
    pub bus: [u8; 16],
    /// The machine's boot id when the ring was made.
    pub boot: [u8; 16],
    /// [`FEATURE_CRC32C`] and [`FEATURE_BARRIER`].
    pub features: u32,
}

impl Geometry {
    /// Whether the sizes are allowed.
    pub fn is_valid(&self) -> bool {
        LANES.contains(&self.lanes)
            && LANE_BYTES.contains(&self.lane_bytes)
            && self.lane_bytes.is_power_of_two()
    }

    /// Where lane data begins, in bytes from the start of the file.
    pub fn data_offset(&self) -> u64 {
        let control = CONTROL_OFFSET + self.lanes as usize * CONTROL_BYTES;
        control.next_multiple_of(DATA_ALIGN) as u64
    }

    /// Where a lane's data begins, in bytes from the start of the file.
    pub fn lane_offset(&self, lane: u32) -> u64 {
        self.data_offset() + u64::from(lane) * self.lane_bytes
    }

    /// Where a lane's control lines begin, in bytes from the start of the file.
    pub fn control_offset(lane: u32) -> usize {
        CONTROL_OFFSET + lane as usize * CONTROL_BYTES
    }

    /// Length of the whole file, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.lane_offset(self.lanes)
    }

    /// The largest record that a lane takes, header and padding included, in bytes.
    pub fn max_record_bytes(&self) -> u64 {
        self.lane_bytes / 2
    }

    /// The lanes that a long-lived producer may keep: the lower half, so that hooks find some.
    pub fn long_lived_lanes(&self) -> u32 {
        self.lanes.div_ceil(2)
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut header = Header {
            magic: MAGIC,
            major: MAJOR,
            minor: MINOR,
            header_bytes: HEADER_BYTES as u32,
            lanes: self.lanes,
            features: self.features,
            lane_bytes: self.lane_bytes,
            control_offset: CONTROL_OFFSET as u64,
            data_offset: self.data_offset(),
            file_bytes: self.file_bytes(),
            bus: self.bus,
            boot: self.boot,
            crc: 0,
            reserved: 0,
        };
        header.crc = header_crc(&to_bytes(&header));
        to_bytes(&header)
    }

    /// Reads and checks a header; `file_bytes` is the length of the file that it was read from.
    pub fn decode(bytes: &[u8; HEADER_BYTES], file_bytes: u64) -> Result<Geometry, LayoutError> {
        let geometry = Geometry::decode_cut(bytes)?;
        let expected = geometry.file_bytes();
        if expected != file_bytes {
            return Err(LayoutError::Length { found: file_bytes, expected });
        }
        Ok(geometry)
    }

    /// As [`Self::decode`], whatever length the file has now.
    pub fn decode_cut(bytes: &[u8; HEADER_BYTES]) -> Result<Geometry, LayoutError> {
        // SAFETY: Header is 96 bytes of integers without padding; every bit pattern is one.
        let header: Header = unsafe { core::mem::transmute_copy(bytes) };
        if header.magic != MAGIC {
            return Err(LayoutError::Magic);
        }
        if header.major != MAJOR {
            return Err(LayoutError::Version { found: header.major });
        }
        let expected = header_crc(bytes);
        if header.crc != expected {
            return Err(LayoutError::Crc { found: header.crc, expected });
        }
        let Header { lanes, lane_bytes, bus, boot, features, .. } = header;
        let geometry = Geometry { lanes, lane_bytes, bus, boot, features };
        let fits = geometry.is_valid()
            && header.control_offset == CONTROL_OFFSET as u64
            && header.data_offset == geometry.data_offset()
            && header.file_bytes == geometry.file_bytes();
        if fits { Ok(geometry) } else { Err(LayoutError::Geometry) }
    }
}

fn header_crc(bytes: &[u8; HEADER_BYTES]) -> u32 {
    crc::Crc32c::portable().update(&bytes[..offset_of!(Header, crc)]).value()
}

fn to_bytes(header: &Header) -> [u8; HEADER_BYTES] {
    // SAFETY: Header is 96 bytes of integers without padding.
    unsafe { core::mem::transmute_copy(header) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry() -> Geometry {
        Geometry {
            lanes: 32,
            lane_bytes: 256 * 1024,
            bus: [7; 16],
            boot: [9; 16],
            features: FEATURE_CRC32C,
        }
    }

    #[test]
    fn a_header_reads_back() {
        let geometry = geometry();
        let decoded = Geometry::decode(&geometry.encode(), geometry.file_bytes());
        assert_eq!(decoded, Ok(geometry));
        assert_eq!(geometry.data_offset(), 65_536);
        assert_eq!(geometry.file_bytes(), 65_536 + 32 * 262_144);
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let geometry = geometry();
        for bit in 0..(offset_of!(Header, reserved) * 8) {
            let mut bytes = geometry.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Geometry::decode(&bytes, geometry.file_bytes()).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_whatever_the_check_sum() {
        let wrong = [
            Geometry { lanes: 0, ..geometry() },
            Geometry { lanes: 1025, ..geometry() },
            Geometry { lane_bytes: 8 * 1024, ..geometry() },
            Geometry { lane_bytes: 96 * 1024, ..geometry() },
            Geometry { lane_bytes: 128 * 1024 * 1024, ..geometry() },
        ];
        for geometry in wrong {
            let decoded = Geometry::decode(&geometry.encode(), geometry.file_bytes());
            assert_eq!(decoded, Err(LayoutError::Geometry), "{geometry:?}");
        }
        let fields = [
            offset_of!(Header, control_offset),
            offset_of!(Header, data_offset),
            offset_of!(Header, file_bytes),
        ];
        for field in fields {
            let mut bytes = geometry().encode();
            bytes[field] ^= 64;
            let crc = header_crc(&bytes).to_le_bytes();
            bytes[offset_of!(Header, crc)..][..4].copy_from_slice(&crc);
            let decoded = Geometry::decode(&bytes, geometry().file_bytes());
            assert_eq!(decoded, Err(LayoutError::Geometry), "{field}");
        }
    }

    #[test]
    fn errors_carry_what_was_found() {
        let geometry = geometry();
        let mut bytes = geometry.encode();
        let length = Geometry::decode(&bytes, 5);
        assert_eq!(length, Err(LayoutError::Length { found: 5, expected: geometry.file_bytes() }));
        bytes[8] = 2;
        let version = Geometry::decode(&bytes, geometry.file_bytes());
        assert_eq!(version, Err(LayoutError::Version { found: 2 }));
        bytes[0] = 0;
        assert_eq!(Geometry::decode(&bytes, 0), Err(LayoutError::Magic));
    }

    #[test]
    fn the_largest_ring_fits_the_control_area() {
        let geometry = Geometry { lanes: *LANES.end(), ..geometry() };
        assert!(geometry.data_offset() as usize <= MAX_CONTROL_AREA);
    }
}
