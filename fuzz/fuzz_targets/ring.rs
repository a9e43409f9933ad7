//! Any bytes over a small ring: the reader never panics, gives out only what stands in the ring and
//! fits its check sum, nothing twice, and afterwards the ring works again.
//!
//! Input: a list of changes to an empty ring, each a byte for its kind and what [`change`] reads.
#![no_main]

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use arbitrary::{Result, Unstructured};
use hookring_bus::create;
use hookring_bus::drain::{LaneEnd, Origin, Record};
use hookring_bus::layout::{Geometry, word};
use hookring_bus::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind};
use hookring_fuzz::{OPTIONS, drain_all, open_drain, private_dir};
use hookring_producer::{Producer, Published};
use libfuzzer_sys::fuzz_target;

const BUS: [u8; 16] = [7; 16];
/// Positions are fewer than this, but for those that a change sets outright.
const POSITIONS: u64 = 4 * OPTIONS.lane_bytes;

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    let mut ring = Ring::empty();
    let mut ends = Vec::new();
    while !input.is_empty() && change(&mut input, &mut ring, &mut ends).is_ok() {}
    let dir = private_dir();
    ring.write(dir.path());
    let mut drain = open_drain(dir.path());
    drain.recover(&ends, Vec::new());
    let mut seen = HashSet::new();
    for _ in 0..3 {
        drain_all(&mut drain, |record| ring.check(record, &mut seen));
        drain.maintain();
    }
    let mut producer = Producer::open_in(dir.path()).expect("a producer").with_crc();
    assert!(producer.has_lane(), "no lane can be claimed");
    assert_eq!(producer.publish(&b"afterwards"[..]).expect("published"), Published::Ring);
    let mut found = 0;
    drain_all(&mut drain, |record| {
        assert_eq!(record.payload, b"afterwards");
        found += 1;
    });
    assert_eq!(found, 1);
});

/// Makes one change, or notes what a journal would know of the ring.
fn change(input: &mut Unstructured<'_>, ring: &mut Ring, ends: &mut Vec<LaneEnd>) -> Result<()> {
    let kind: u8 = input.arbitrary()?;
    let lane = u32::from(input.arbitrary::<u8>()?) % OPTIONS.lanes;
    match kind % 5 {
        // Any bytes anywhere.
        0 => {
            let at = input.arbitrary::<u32>()? as usize % ring.bytes.len();
            let len = usize::from(input.arbitrary::<u8>()?).min(input.len());
            ring.put(at, input.bytes(len)?);
        }
        // A record that is whole, at any position.
        1 => {
            let position = u64::from(input.arbitrary::<u16>()?) * RECORD_ALIGN % POSITIONS;
            ring.put_record(lane, position, &header(input)?);
        }
        // A word of the lane's control lines.
        2 => {
            let words = [word::TAIL, word::HEAD, word::CONDEMNED, word::RECORDS];
            let word = words[usize::from(input.arbitrary::<u8>()?) % words.len()];
            let value: u64 = input.arbitrary()?;
            ring.put(Geometry::control_offset(lane) + word, &value.to_le_bytes());
        }
        // A record as a producer publishes it.
        3 => {
            let tail_at = Geometry::control_offset(lane) + word::TAIL;
            let tail = ring.word(tail_at);
            let header = header(input)?;
            ring.put_record(lane, tail, &header);
            let end = tail.wrapping_add(header.lane_bytes());
            ring.put(tail_at, &end.to_le_bytes());
        }
        _ => ends.push(LaneEnd { bus: BUS, lane: lane as u16, end: input.arbitrary()? }),
    }
    Ok(())
}

fn header(input: &mut Unstructured<'_>) -> Result<RecordHeader> {
    Ok(RecordHeader {
        payload_bytes: u32::from(input.arbitrary::<u16>()?) % 9000,
        meta_bytes: u32::from(input.arbitrary::<u8>()?),
        stamp_ns: input.arbitrary()?,
        flags: u16::from(input.arbitrary::<u8>()?),
        kind: if input.arbitrary::<u8>()? == 0 { kind::PAD } else { kind::DATA },
        ..RecordHeader::default()
    })
}

/// The ring file's content.
struct Ring {
    geometry: Geometry,
    bytes: Vec<u8>,
}

impl Ring {
    fn empty() -> Ring {
        let geometry = create::geometry(OPTIONS.lanes, OPTIONS.lane_bytes);
        let geometry = Geometry { bus: BUS, ..geometry };
        let mut bytes = vec![0; geometry.file_bytes() as usize];
        let header = geometry.encode();
        bytes[..header.len()].copy_from_slice(&header);
        Ring { geometry, bytes }
    }

    fn write(&self, dir: &Path) {
        let path = dir.join("ring");
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(&self.bytes)).expect("a ring file");
    }

    /// As much of it as the file has room for.
    fn put(&mut self, at: usize, bytes: &[u8]) {
        let room = &mut self.bytes[at..];
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    fn offset(&self, lane: u32, position: u64) -> usize {
        (self.geometry.lane_offset(lane) + position % self.geometry.lane_bytes) as usize
    }

    /// Puts a record there with the right position and, if its flag is set, the right check sum.
    fn put_record(&mut self, lane: u32, position: u64, header: &RecordHeader) {
        let at = self.offset(lane, position);
        let mut header = RecordHeader { position, ..*header };
        let body = vec![b'x'; (header.bytes() - RECORD_HEADER_BYTES as u64) as usize];
        if header.flags & flag::CRC != 0 {
            header.crc = crc32c::crc32c(&[&header.to_bytes()[..], &body].concat());
        }
        self.put(at, &[&header.to_bytes()[..], &body].concat());
    }

    /// A record that was given out is one that stood in this file.
    fn check(&self, record: &Record<'_>, seen: &mut HashSet<(u16, u64)>) {
        let Origin::Lane(end) = record.origin else { panic!("not from a lane") };
        if end.bus != BUS {
            assert!(seen.insert((end.lane, end.end)), "given out twice");
            return self.check_salvaged(record);
        }
        let position = record.header.position;
        assert_eq!(position + record.header.lane_bytes(), end.end);
        assert!(seen.insert((end.lane, position)), "given out twice");
        let at = self.offset(u32::from(end.lane), position);
        let (header, body) = self.bytes[at..].split_first_chunk().expect("a header");
        let header = RecordHeader::from_bytes(header);
        assert_eq!(header.kind, kind::DATA);
        // The reader may set a stamp that cannot be, and nothing else.
        assert_eq!(RecordHeader { stamp_ns: header.stamp_ns, ..*record.header }, header);
        let given = [record.meta, record.payload].concat();
        assert_eq!(given, &body[..given.len()]);
        if header.flags & flag::CRC != 0 {
            let bare = RecordHeader { crc: 0, ..header };
            assert_eq!(crc32c::crc32c(&[&bare.to_bytes()[..], &given].concat()), header.crc);
        }
    }

    /// As [`Self::check`], for a ring whose header does not say where its lanes are.
    fn check_salvaged(&self, record: &Record<'_>) {
        let header = record.header;
        assert_eq!((header.kind, header.flags & flag::CRC), (kind::DATA, flag::CRC));
        let whole = [&header.to_bytes()[..], record.meta, record.payload].concat();
        let pieces = (0..self.bytes.len()).step_by(RECORD_ALIGN as usize);
        let stands = pieces.into_iter().any(|at| self.bytes[at..].starts_with(&whole));
        assert!(stands, "given out and not in the file");
        let bare = RecordHeader { crc: 0, ..*header };
        let sum = crc32c::crc32c(&[&bare.to_bytes()[..], record.meta, record.payload].concat());
        assert_eq!(sum, header.crc);
    }
}
