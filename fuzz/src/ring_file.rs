//! A ring file's content, to be made and changed by a fuzz target.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hookring_bus::create;
use hookring_bus::layout::Geometry;
use hookring_bus::record::{RECORD_HEADER_BYTES, RecordHeader, flag, kind};

use crate::OPTIONS;

/// The ring's UUID.
pub const BUS: [u8; 16] = [7; 16];

/// The ring file's content.
pub struct RingFile {
    geometry: Geometry,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl RingFile {
    /// A new ring of [`OPTIONS`].
    pub fn empty() -> RingFile {
        let geometry = create::geometry(OPTIONS.lanes, OPTIONS.lane_bytes);
        let geometry = Geometry { bus: BUS, ..geometry };
        let mut bytes = vec![0; geometry.file_bytes() as usize];
        let header = geometry.encode();
        bytes[..header.len()].copy_from_slice(&header);
        RingFile { geometry, bytes }
    }

    /// Writes it to the place in `dir`.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self, dir: &Path) {
        let path = dir.join("ring");
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(&self.bytes)).expect("a ring file");
    }

    /// As much of it as the file has room for.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let room = &mut self.bytes[at..];
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
    }

    /// A word of it.
    ///
    /// # Panics
    ///
    /// When it is outside of the file.
    pub fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    /// Where a position of a lane stands.
    pub fn offset(&self, lane: u32, position: u64) -> usize {
        (self.geometry.lane_offset(lane) + position % self.geometry.lane_bytes) as usize
    }

    /// Puts a record there with the right position and, if its flag is set, the right check sum.
    pub fn put_record(&mut self, lane: u32, position: u64, header: &RecordHeader) {
        self.put_record_at(self.offset(lane, position), &RecordHeader { position, ..*header });
    }

    /// The same, with the position that the header has, anywhere.
    pub fn put_record_at(&mut self, at: usize, header: &RecordHeader) {
        let mut header = *header;
        let body = vec![b'x'; (header.bytes() - RECORD_HEADER_BYTES as u64) as usize];
        if header.flags & flag::CRC != 0 {
            header.crc = crc32c::crc32c(&[&header.to_bytes()[..], &body].concat());
        }
        self.put(at, &[&header.to_bytes()[..], &body].concat());
    }
}

/// Whether these are a header and the content that its check sum is of.
pub fn is_whole(record: &[u8]) -> bool {
    let Some((header, body)) = record.split_first_chunk() else { return false };
    let header = RecordHeader::from_bytes(header);
    let bare = RecordHeader { crc: 0, ..header };
    (header.kind, header.flags & flag::CRC) == (kind::DATA, flag::CRC)
        && header.bytes() == record.len() as u64
        && header.crc == crc32c::crc32c(&[&bare.to_bytes()[..], body].concat())
}
