//! Any bytes over a small ring: the reader never panics, gives out only what stands in the ring and
//! fits its check sum, nothing twice, and afterwards the ring works again.
//!
//! Input: a list of changes to an empty ring, each a byte for its kind and what [`change`] reads.
#![no_main]

use std::collections::HashSet;

use arbitrary::{Result, Unstructured};
use hookring_bus::drain::{LaneEnd, Origin, Record};
use hookring_bus::layout::{Geometry, word};
use hookring_bus::record::{RECORD_ALIGN, RecordHeader, flag, kind};
use hookring_fuzz::ring_file::{BUS, RingFile, is_whole};
use hookring_fuzz::{OPTIONS, drain_all, open_drain, private_dir};
use hookring_producer::{Producer, Published};
use libfuzzer_sys::fuzz_target;

/// Positions are fewer than this, but for those that a change sets outright.
const POSITIONS: u64 = 4 * OPTIONS.lane_bytes;

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    let mut ring = RingFile::empty();
    let mut ends = Vec::new();
    while !input.is_empty() && change(&mut input, &mut ring, &mut ends).is_ok() {}
    let dir = private_dir();
    ring.write(dir.path());
    let mut drain = open_drain(dir.path());
    drain.recover(&ends, Vec::new());
    let mut seen = HashSet::new();
    for _ in 0..3 {
        drain_all(&mut drain, |record| check(&ring, record, &mut seen));
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
fn change(
    input: &mut Unstructured<'_>,
    ring: &mut RingFile,
    ends: &mut Vec<LaneEnd>,
) -> Result<()> {
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

/// A record that was given out is one that stood in this file.
fn check(ring: &RingFile, record: &Record<'_>, seen: &mut HashSet<(u16, u64)>) {
    let Origin::Lane(end) = record.origin else { panic!("not from a lane") };
    if end.bus != BUS {
        assert!(seen.insert((end.lane, end.end)), "given out twice");
        return check_salvaged(ring, record);
    }
    let position = record.header.position;
    assert_eq!(position + record.header.lane_bytes(), end.end);
    assert!(seen.insert((end.lane, position)), "given out twice");
    let at = ring.offset(u32::from(end.lane), position);
    let (header, body) = ring.bytes[at..].split_first_chunk().expect("a header");
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

/// As [`check`], for a ring whose header does not say where its lanes are.
fn check_salvaged(ring: &RingFile, record: &Record<'_>) {
    // One without an id of its own was given one.
    let stands = |id| {
        let header = RecordHeader { id, ..*record.header };
        let whole = [&header.to_bytes()[..], record.meta, record.payload].concat();
        let mut pieces = (0..ring.bytes.len()).step_by(RECORD_ALIGN as usize);
        pieces.any(|at| ring.bytes[at..].starts_with(&whole)) && is_whole(&whole)
    };
    assert!(stands(record.header.id) || stands([0; 16]), "given out and not in the file");
}
