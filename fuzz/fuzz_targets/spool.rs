//! Any bytes as an entry of the spool: a whole record comes out once, anything else is set aside, and
//! a file that has no entry's name is left alone.
//!
//! Input: a byte (bit 0: put the right check sum in, bit 1: there is a second, whole entry, bit 2: the
//! name of a third one, with its length before it, comes before the bytes), eight bytes for the stamp
//! in the name, the entry's bytes.
#![no_main]

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hookring_bus::drain::Origin;
use hookring_bus::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordHeader, SPOOL_POSITION, flag,
    kind,
};
use hookring_bus::spool::{NAME_BYTES, entry_name};
use hookring_fuzz::{drain_all, open_drain, private_dir};
use libfuzzer_sys::fuzz_target;

const CRC_AT: usize = 56;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let Some((stamp_ns, content)) = input.split_first_chunk::<8>() else { return };
    let (third, content) = if mode & 4 != 0 { name_of_third(content) } else { (None, content) };
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
    let third = third.map(|given| (given, put_third(dir.path(), given))).filter(|it| it.1);
    if let Some((given, _)) = third
        && let Some(name) = entry_of(given)
    {
        // What was set aside because it could not be read is tried again by the next reader.
        drop(drain);
        drain = open_drain(dir.path());
        expected.push((name.to_owned(), whole_entry()[RECORD_HEADER_BYTES..].to_vec()));
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
    if let Some((given, _)) = third {
        let path = spool.join(OsStr::from_bytes(given));
        assert_eq!(path.exists(), entry_of(given).is_none(), "{given:?}");
    }
    if is_bad {
        assert_eq!(fs::read(spool.join(format!(".bad-{name}"))).expect("set aside"), content);
    }
});

fn name_of_third(input: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some((len, input)) = input.split_first() else { return (None, input) };
    let (name, content) = input.split_at(input.len().min(usize::from(*len)));
    (Some(name), content)
}

/// `false`: the name is taken, or cannot be a file's.
fn put_third(dir: &Path, name: &[u8]) -> bool {
    let path = dir.join("spool").join(OsStr::from_bytes(name));
    let is_taken = entry_of(name).is_some_and(|name| dir.join("spool").join(name).exists());
    let is_name = !name.is_empty() && !name.contains(&b'/') && !name.contains(&0) && !is_taken;
    let mut options = fs::OpenOptions::new();
    let file = is_name.then(|| options.write(true).create_new(true).mode(0o600).open(path));
    let Some(Ok(mut file)) = file else { return false };
    file.write_all(&whole_entry()).expect("an entry");
    true
}

/// The entry that a file of this name is, in other words than the reader's.
fn entry_of(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.strip_prefix(".unreadable-").unwrap_or(name);
    let (stamp, id) = name.split_once('-')?;
    let is_stamp = stamp.len() == 20 && stamp.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    (is_stamp && is_id && stamp.parse::<u64>().is_ok()).then_some(name)
}

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
