//! Compares the marked tables of `docs/ring-format.md` with the code, so that a producer written from the
//! document fits this reader.

use hookring_bus::layout::{
    ANNOUNCED_OFFSET, CONTROL_BYTES, CONTROL_OFFSET, DOORBELL_OFFSET, DROPPED_OFFSET, Geometry,
    HEADER_BYTES, LANE_LOCK, READER_LOCK, word,
};
use hookring_bus::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, RECORD_ALIGN, RecordHeader, flag, kind, tag,
};
use hookring_bus::{doorbell, names, spool, sys};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::Ordering;

/// The cells of the table behind `<!-- table: NAME -->`, without its two heading lines.
fn table(name: &str) -> Vec<Vec<String>> {
    let text = document();
    let (_, rest) = text.split_once(&format!("<!-- table: {name} -->\n")).expect("the table");
    let lines = rest.lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| line.trim_matches('|').split('|').map(|c| c.trim().into()).collect();
    lines.map(cells).collect()
}

/// The `NUMBER NAME` entries in the line behind `<!-- codes: NAME -->`.
fn codes(name: &str) -> Vec<String> {
    let text = document();
    let (_, rest) = text.split_once(&format!("<!-- codes: {name} -->\n")).expect("the list");
    let line = rest.lines().next().expect("a line");
    line.split(", ").map(|entry| entry.trim_matches('`').to_owned()).collect()
}

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ring-format.md");
    std::fs::read_to_string(path).expect("docs/ring-format.md")
}

/// Number and name of each row.
fn numbered(name: &str, name_column: usize) -> Vec<(usize, String)> {
    let row = |row: Vec<String>| (row[0].parse().expect("a number"), row[name_column].clone());
    table(name).into_iter().map(row).collect()
}

fn named(entries: &[(usize, &str)]) -> Vec<(usize, String)> {
    entries.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
}

#[test]
fn the_header_stands_as_its_table_says() {
    let geometry =
        Geometry { lanes: 3, lane_bytes: 1 << 15, bus: [7; 16], boot: [9; 16], features: 1 };
    let bytes = geometry.encode();
    let crc = hookring_bus::crc::Crc32c::portable().update(&bytes[..88]).value();
    let data_offset = (4096 + 256 * 3u64).next_multiple_of(65_536);
    let mut expected = 0;
    for row in table("header") {
        let offset: usize = row[0].parse().expect("an offset");
        let length: usize = row[1].parse().expect("a length");
        let value: &[u8] = match row[2].as_str() {
            "magic" => b"hookring",
            "major" => &1u16.to_le_bytes(),
            "minor" => &0u16.to_le_bytes(),
            "header_bytes" => &96u32.to_le_bytes(),
            "lanes" => &3u32.to_le_bytes(),
            "features" => &1u32.to_le_bytes(),
            "lane_bytes" => &(1u64 << 15).to_le_bytes(),
            "control_offset" => &4096u64.to_le_bytes(),
            "data_offset" => &data_offset.to_le_bytes(),
            "file_bytes" => &(data_offset + 3 * (1 << 15)).to_le_bytes(),
            "bus" => &[7; 16],
            "boot" => &[9; 16],
            "crc" => &crc.to_le_bytes(),
            "reserved" => &[0; 4],
            unknown => panic!("the header has no field {unknown}"),
        };
        assert_eq!(offset, expected, "{}", row[2]);
        assert_eq!(&bytes[offset..offset + length], value, "{}", row[2]);
        expected += length;
    }
    assert_eq!(expected, HEADER_BYTES);
    assert_eq!(geometry.lane_offset(2), data_offset + 2 * (1 << 15));
}

#[test]
fn doorbell_and_control_lines_stand_as_their_tables_say() {
    let bits = [(doorbell::SLEEPING as usize, "sleeping"), (doorbell::RETIRED as usize, "retired")];
    assert_eq!(numbered("doorbell", 1), named(&bits));
    let words = [
        (word::TAIL, "tail"),
        (word::RECORDS, "records"),
        (word::SPOOLED, "spooled"),
        (word::CONDEMNED, "condemned"),
        (word::HEAD, "head"),
    ];
    assert_eq!(numbered("control", 1), named(&words));
    assert_eq!((READER_LOCK, LANE_LOCK), (0, 1));
    let locks: Vec<_> = table("locks").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(locks, [READER_LOCK.to_string(), LANE_LOCK.to_string()]);
    // What the text around the tables says.
    assert_eq!((DOORBELL_OFFSET, DROPPED_OFFSET, ANNOUNCED_OFFSET), (256, 384, 392));
    assert_eq!((CONTROL_OFFSET, CONTROL_BYTES), (4096, 256));
}

#[test]
fn the_record_stands_as_its_table_says() {
    macro_rules! field {
        ($($name:ident)*) => {{
            let header = RecordHeader::default();
            vec![$((offset_of!(RecordHeader, $name), size_of_val(&header.$name), stringify!($name))),*]
        }};
    }
    let fields = field!(payload_bytes meta_bytes position stamp_ns id pid elapsed_us agent event
        flags kind reserved crc reserved2);
    let expected: Vec<_> = fields
        .iter()
        .map(|(offset, bytes, name)| vec![offset.to_string(), bytes.to_string(), (*name).into()])
        .collect();
    let rows: Vec<_> = table("record").into_iter().map(|row| row[..3].to_vec()).collect();
    assert_eq!(rows, expected);
    let flags = [(flag::CRC, "crc"), (flag::TRUNCATED, "truncated"), (flag::META_CUT, "meta_cut")];
    assert_eq!(numbered("flags", 1), named(&flags.map(|(bit, name)| (usize::from(bit), name))));
    let kinds = [(usize::from(kind::DATA), "data"), (usize::from(kind::PAD), "pad")];
    assert_eq!(numbered("kinds", 1), named(&kinds));
    let tags = [
        (tag::AGENT, "agent"),
        (tag::EVENT, "event"),
        (tag::DIRECTORY, "directory"),
        (tag::ARGUMENT, "argument"),
    ];
    assert_eq!(numbered("tags", 1), named(&tags.map(|(tag, name)| (usize::from(tag), name))));
    let limits: Vec<_> = table("limits").into_iter().map(|row| row[1].clone()).collect();
    let expected = [RECORD_ALIGN as usize, MAX_PAYLOAD_BYTES, MAX_META_BYTES];
    assert_eq!(limits, expected.map(|limit| limit.to_string()));
}

#[test]
fn the_codes_are_those_of_the_lists() {
    for (list, names) in [("agents", names::AGENTS), ("events", names::EVENTS)] {
        let expected: Vec<_> =
            names.iter().enumerate().skip(1).map(|(code, name)| format!("{code} {name}")).collect();
        assert_eq!(codes(list), expected);
    }
}

#[test]
fn the_spools_counters_stand_as_their_table_says() {
    let temp = tempfile::tempdir().expect("a directory");
    let path = hookring_bus::place::Path::new().join(temp.path().as_os_str().as_bytes());
    let dir = sys::open(None, path.expect("a path").as_c_str(), sys::Open::Dir).expect("it opens");
    let usage = spool::Usage::open(&dir, sys::effective_uid()).expect("the counters");
    usage.used_bytes().store(1, Ordering::Relaxed);
    usage.limit_bytes().store(2, Ordering::Relaxed);
    usage.dropped_events().store(3, Ordering::Relaxed);
    usage.dropped_bytes().store(4, Ordering::Relaxed);
    usage.begun_stores().store(5, Ordering::Relaxed);
    usage.ended_stores().store(6, Ordering::Relaxed);
    let bytes = std::fs::read(temp.path().join("usage")).expect("the file");
    assert_eq!(bytes.len(), spool::USAGE_BYTES);
    let counts = ["used_bytes", "limit_bytes", "dropped_events", "dropped_bytes"];
    let names = [&counts[..], &["begun_stores", "ended_stores"]].concat();
    let rows = numbered("usage", 1);
    assert_eq!(rows.len(), names.len());
    for (at, (offset, name)) in rows.into_iter().enumerate() {
        assert_eq!(name, names[at]);
        assert_eq!(bytes[offset..offset + 8], (at as u64 + 1).to_le_bytes());
    }
}

#[test]
fn the_example_of_an_entrys_name_is_one() {
    let name = "00000004218837465120-0199a3c25d0b7c4e9a0f8e2b6d1c3f50";
    assert!(document().contains(&format!("\n{name}\n")));
    let id = 0x0199_a3c2_5d0b_7c4e_9a0f_8e2b_6d1c_3f50_u128.to_be_bytes();
    assert_eq!(&spool::entry_name(4_218_837_465_120, &id)[..spool::NAME_BYTES], name.as_bytes());
}
