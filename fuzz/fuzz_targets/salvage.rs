//! Any bytes as a ring file whose header cannot be read: every whole record in it comes out, whatever
//! stands around it, and again after a reader's death; then nothing whole is left in the file.
//!
//! Input: a byte (bit 0: a producer holds a lane until the first reader is done, bit 1: the first
//! reader dies before it releases anything, bit 2: some are journaled already), and a list of changes
//! to an empty ring, each a byte for its kind and what [`change`] reads.
#![no_main]

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use arbitrary::{Result, Unstructured};
use hookring_bus::drain::{Drain, Origin, Record};
use hookring_bus::lane;
use hookring_bus::layout::{DATA_ALIGN, DOORBELL_OFFSET, LANE_BYTES};
use hookring_bus::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind,
};
use hookring_bus::sys::{self, Open};
use hookring_fuzz::ring_file::{RingFile, is_whole};
use hookring_fuzz::{drain_all, open_drain, private_dir};
use libfuzzer_sys::fuzz_target;

/// Lanes of any size begin at a multiple of this.
const LANE_ALIGN: u64 = *LANE_BYTES.start();
const PIECE: usize = RECORD_ALIGN as usize;

/// Records by where they end in the file.
type Records = BTreeMap<usize, Vec<u8>>;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let file = file(input);
    let (expected, mut noise_bytes) = look(&file.bytes);
    let dir = private_dir();
    file.write(dir.path());
    let holder = (mode & 1 != 0).then(|| {
        let path = CString::new(dir.path().join("ring").as_os_str().as_bytes()).expect("a path");
        let holder = sys::open(None, &path, Open::ReadWrite).expect("the ring file");
        assert_eq!(lane::try_lock(&holder, 1), Ok(true));
        holder
    });
    let mut drain = open_drain(dir.path());
    let journaled: Vec<_> = ids(&expected).step_by(2).filter(|_| mode & 4 != 0).collect();
    drain.recover(&[], journaled.clone());
    let mut owed = expected;
    owed.retain(|_, record| !journaled.contains(&header_of(record).id));
    if mode & 2 != 0 {
        let batch = drain.next_batch();
        let mut found = Records::new();
        batch.records().for_each(|record| add(&mut found, &record));
        assert!(found.iter().all(|(end, record)| owed.get(end) == Some(record)));
        drop(drain);
        // It zeroed what is journaled, which may have been in the middle of a pad.
        let now = fs::read(aside(dir.path()).expect("it is not done with")).expect("its content");
        noise_bytes = look(&now).1;
        drain = open_drain(dir.path());
        drain.recover(&[], journaled);
    }
    let mut found = take_all(&mut drain);
    if let Some(holder) = holder {
        let now = fs::read(aside(dir.path()).expect("it is held")).expect("its content");
        let is_same = |bytes: Range<usize>| now.get(bytes.clone()) == file.bytes.get(bytes);
        assert!(is_same(0..DOORBELL_OFFSET) && now.len() == file.bytes.len());
        assert!(is_same(DOORBELL_OFFSET + 8..file.bytes.len()), "changed while it is in use");
        drop(holder);
        drain.maintain();
        for (end, record) in take_all(&mut drain) {
            assert!(found.insert(end, record).is_none(), "given out twice");
        }
    }
    assert_eq!(found, owed);
    assert_eq!(drain.counts().damaged_bytes, noise_bytes);
    drain.maintain();
    assert_eq!(aside(dir.path()), None, "it is not done with the file");
    let rest = fs::read(dir.path().join("ring.bad")).expect("what is left of it");
    assert_eq!(look(&rest).0, Records::new());
});

/// Everything that comes out, each once.
fn take_all(drain: &mut Drain) -> Records {
    let mut found = Records::new();
    let mut ids = HashSet::new();
    for _ in 0..2 {
        drain_all(drain, |record| {
            add(&mut found, record);
            assert!(record.header.id != [0; 16]);
            ids.insert(record.header.id);
        });
        drain.maintain();
    }
    found
}

/// Adds one as it stands in the file.
fn add(found: &mut Records, record: &Record<'_>) {
    let Origin::Lane(end) = record.origin else { panic!("not from a lane") };
    let whole = |id| {
        let header = RecordHeader { id, ..*record.header };
        [&header.to_bytes()[..], record.meta, record.payload].concat()
    };
    // One without an id of its own was given one.
    let [as_given, without_id] = [record.header.id, [0; 16]].map(whole);
    let as_it_stands = if is_whole(&as_given) { as_given } else { without_id };
    assert!(found.insert(end.end as usize, as_it_stands).is_none(), "given out twice");
}

/// The file under the name that it has until it is done with.
fn aside(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).expect("the place").map(|entry| entry.expect("its name"));
    let entry = entries.find(|entry| entry.file_name().as_bytes().starts_with(b"ring.bad-"));
    entry.map(|entry| entry.path())
}

fn ids(records: &Records) -> impl Iterator<Item = [u8; 16]> {
    records.values().map(|record| header_of(record).id).filter(|id| *id != [0; 16])
}

fn header_of(record: &[u8]) -> RecordHeader {
    RecordHeader::from_bytes(record.first_chunk().expect("a header"))
}

/// What a salvage should find, in other words than the reader's: the whole records, none within
/// another one, and how many bytes are neither zero nor part of a record or pad.
fn look(bytes: &[u8]) -> (Records, u64) {
    let (mut records, mut noise_bytes) = (Records::new(), 0);
    let (mut at, mut pad_end) = (DATA_ALIGN, 0);
    while at < bytes.len() {
        let here = &bytes[at..];
        if let Some(record) = record_at(bytes, at) {
            at += record.len().next_multiple_of(PIECE);
            records.insert(at, record.to_vec());
            pad_end = at;
            continue;
        }
        if let Some(end) = pad_at(bytes, at) {
            pad_end = pad_end.max(end);
        } else if at >= pad_end && here.iter().take(PIECE).any(|byte| *byte != 0) {
            noise_bytes += RECORD_ALIGN;
        }
        at += PIECE;
    }
    (records, noise_bytes)
}

fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let header = header_at(bytes, at)?;
    let is_within = header.meta_bytes as usize <= MAX_META_BYTES
        && header.payload_bytes as usize <= MAX_PAYLOAD_BYTES
        && header.lane_bytes() <= *LANE_BYTES.end();
    let record = bytes[at..].get(..header.bytes() as usize)?;
    (is_within && is_whole(record)).then_some(record)
}

/// Where the pad ends that begins here.
fn pad_at(bytes: &[u8], at: usize) -> Option<usize> {
    let header = header_at(bytes, at)?;
    let end = at + header.lane_bytes() as usize;
    let fits = end <= bytes.len().next_multiple_of(PIECE)
        && (end as u64).is_multiple_of(LANE_ALIGN)
        && header.lane_bytes() <= *LANE_BYTES.end();
    (fits && header.kind == kind::PAD && header.meta_bytes == 0).then_some(end)
}

/// A header whose position may be that of this place.
fn header_at(bytes: &[u8], at: usize) -> Option<RecordHeader> {
    let header = RecordHeader::from_bytes(bytes[at..].first_chunk::<RECORD_HEADER_BYTES>()?);
    let is_here = header.position % LANE_ALIGN == at as u64 % LANE_ALIGN;
    (is_here && header.position < u64::MAX / 2).then_some(header)
}

fn file(input: &[u8]) -> RingFile {
    let mut file = RingFile::empty();
    let mut input = Unstructured::new(input);
    while !input.is_empty() && change(&mut input, &mut file).is_ok() {}
    // No ring file begins so.
    if let Some(first) = file.bytes.first_mut() {
        *first = 0;
    }
    file
}

/// Makes one change behind what a ring has before its lanes.
fn change(input: &mut Unstructured<'_>, file: &mut RingFile) -> Result<()> {
    let kind: u8 = input.arbitrary()?;
    let piece = usize::from(input.arbitrary::<u16>()?);
    let lanes_bytes = file.bytes.len().saturating_sub(DATA_ALIGN);
    if lanes_bytes == 0 {
        return Err(arbitrary::Error::EmptyChoose);
    }
    let at = DATA_ALIGN + piece * PIECE % lanes_bytes;
    match kind % 6 {
        // Any bytes there, or anywhere.
        0 => {
            let len = usize::from(input.arbitrary::<u8>()?).min(input.len());
            file.put(at, input.bytes(len)?);
        }
        1 => {
            let at = usize::from(input.arbitrary::<u16>()?) % file.bytes.len();
            let len = usize::from(input.arbitrary::<u8>()?).min(input.len());
            file.put(at, input.bytes(len)?);
        }
        // A whole record.
        2 | 3 => {
            let id = input.arbitrary::<u8>()?;
            let header = RecordHeader {
                payload_bytes: u32::from(input.arbitrary::<u16>()?) % 9000,
                meta_bytes: u32::from(input.arbitrary::<u8>()?),
                stamp_ns: input.arbitrary()?,
                flags: flag::CRC,
                kind: kind::DATA,
                position: at as u64 + LANE_ALIGN * u64::from(input.arbitrary::<u16>()?),
                id: [id; 16],
                ..RecordHeader::default()
            };
            file.put_record_at(at, &header);
        }
        // A pad up to the end of a lane.
        4 => {
            let to_end = LANE_ALIGN - at as u64 % LANE_ALIGN;
            let pad_bytes = to_end + LANE_ALIGN * u64::from(input.arbitrary::<u8>()? % 3);
            let header = RecordHeader {
                payload_bytes: (pad_bytes - RECORD_ALIGN) as u32,
                kind: kind::PAD,
                position: at as u64,
                ..RecordHeader::default()
            };
            file.put(at, &header.to_bytes());
        }
        // The file is cut off.
        _ => file.bytes.truncate(at + usize::from(input.arbitrary::<u8>()?)),
    }
    Ok(())
}
