//! Any bytes as an entry of the spool: a whole record comes out once, anything else is set aside.
//!
//! Input: a byte (bit 0: put the right check sum in, bit 1: there is a second, whole entry), eight
//! bytes for the stamp in the name, the entry's bytes.
#![no_main]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hookring_bus::drain::Origin;
use hookring_bus::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordHeader, SPOOL_POSITION, flag, kind,
};
use hookring_bus::spool::{NAME_BYTES, entry_name};
use hookring_fuzz::{drain_all, open_drain, private_dir};
use libfuzzer_sys::fuzz_target;

const CRC_AT: usize = 56;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let Some((stamp_ns, content)) = input.split_first_chunk::<8>() else { return };
    let mut content = content.to_vec();
    if mode & 1 != 0 {
        seal(&mut content);
    }
    let dir = private_dir();
    let mut drain = open_drain(dir.path());
    let name = put(dir.path(), u64::from_le_bytes(*stamp_ns), 1, &content);
    let mut expected = Vec::new();
    if is_whole(&content) {
        expected.push((name.clone(), content[RECORD_HEADER_BYTES..].to_vec()));
    }
    if mode & 2 != 0 {
        let other = whole_entry();
        let name = put(dir.path(), 1, 2, &other);
        expected.push((name, other[RECORD_HEADER_BYTES..].to_vec()));
    }
    let mut found = Vec::new();
    drain_all(&mut drain, |record| {
        let Origin::Spool(name) = record.origin else { panic!("not from the spool") };
        found.push((name.to_string(), [record.meta, record.payload].concat()));
    });
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let is_bad = !is_whole(&content);
    assert_eq!(drain.counts().bad_spool_entries, u64::from(is_bad));
    let spool = dir.path().join("spool");
    assert!(!spool.join(&name).exists(), "the entry is still there");
    if is_bad {
        assert_eq!(fs::read(spool.join(format!(".bad-{name}"))).expect("set aside"), content);
    }
});

/// What a whole record is, in other words than the reader's.
fn is_whole(content: &[u8]) -> bool {
    let Some((header, body)) = content.split_first_chunk::<RECORD_HEADER_BYTES>() else {
        return false;
    };
    let header = RecordHeader::from_bytes(header);
    let (meta, payload) = (header.meta_bytes as usize, header.payload_bytes as usize);
    header.kind == kind::DATA
        && header.position == SPOOL_POSITION
        && (meta <= MAX_META_BYTES && payload <= MAX_PAYLOAD_BYTES)
        && meta + payload == body.len()
        && header.crc == crc_of(content)
}

fn crc_of(content: &[u8]) -> u32 {
    let mut bytes = content.to_vec();
    bytes[CRC_AT..CRC_AT + 4].fill(0);
    crc32c::crc32c(&bytes)
}

fn seal(content: &mut [u8]) {
    if content.len() >= RECORD_HEADER_BYTES {
        let crc = crc_of(content);
        content[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    }
}

fn whole_entry() -> Vec<u8> {
    let header = RecordHeader {
        payload_bytes: 5,
        position: SPOOL_POSITION,
        kind: kind::DATA,
        flags: flag::CRC,
        ..RecordHeader::default()
    };
    let mut content = [&header.to_bytes()[..], b"whole"].concat();
    seal(&mut content);
    content
}

/// Puts an entry into the spool; its name.
fn put(dir: &Path, stamp_ns: u64, id: u8, content: &[u8]) -> String {
    let name = entry_name(stamp_ns, &[id; 16]);
    let name = String::from_utf8(name[..NAME_BYTES].to_vec()).expect("digits");
    let path = dir.join("spool").join(&name);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).expect("an entry");
    name
}
