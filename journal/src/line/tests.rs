//! The fixed places of a line, and what a check lets through.

use proptest::prelude::*;

use super::*;
use crate::testing::{BUS, lane_end};

fn written(seq: Seq, origin: &Origin<'_>, fields: &str, seed: u32) -> Vec<u8> {
    let mut out = b"before".to_vec();
    begin(&mut out, seq, origin);
    out.extend_from_slice(fields.as_bytes());
    finish(&mut out, b"before".len(), seed);
    out.drain(..b"before".len());
    out
}

#[test]
fn a_line_in_full() {
    let line = written(17, &Origin::Daemon, ",\"version\":1", 0);
    let checked = "\"seq\":                  17,\"from\":\"daemon\",\"version\":1}";
    let expected = format!("{{\"crc\":\"{:08x}\",{checked}\n", crc32c::crc32c(checked.as_bytes()));
    assert_eq!(String::from_utf8(line.clone()).unwrap(), expected);
    assert_eq!(line[FROM_AT..].get(..6), Some(&b"daemon"[..]));
    assert_eq!(line[CHECKED_AT..].get(..5), Some(&b"\"seq\""[..]));
    assert_eq!(
        written(u64::MAX, &Origin::Daemon, "", 0)[SEQ_AT..SEQ_AT + 20],
        *b"18446744073709551615"
    );
}

#[test]
fn origins_go_both_ways() {
    let end = LaneEnd { bus: BUS, lane: 0xfffe, end: u64::MAX - 1 };
    let text = format!("\"from\":\"ring/{}/fffe/fffffffffffffffe\"", "b5".repeat(16));
    let line = written(1, &Origin::Ring(end), "", 0);
    assert!(String::from_utf8(line).unwrap().contains(&text));
    for origin in [
        Origin::Ring(end),
        Origin::Ring(lane_end(0, 0)),
        Origin::Daemon,
        Origin::Spool("0123-ab.event"),
    ] {
        let bytes = written(1, &origin, "", 0);
        let line = Line { seq: 1, bytes: &bytes[..bytes.len() - 1] };
        assert_eq!(line.origin(), Some(origin));
    }
    for unknown in ["", "segment", "ring/1/2/3", "ring", "ring/x/y/z/w", "elsewhere"] {
        assert_eq!(parse_origin(unknown), None, "{unknown}");
    }
}

#[test]
fn an_id_is_found_only_where_this_version_writes_it() {
    let id = "01a1fce3-7195-77d8-96aa-628a945cc873";
    let of = |origin: &Origin<'_>, fields: &str| {
        let bytes = written(1, origin, fields, 0);
        Line { seq: 1, bytes: &bytes[..bytes.len() - 1] }.id()
    };
    let expected = Some(0x01a1_fce3_7195_77d8_96aa_628a_945c_c873_u128.to_be_bytes());
    let hostile = Origin::Spool("\",\"version\":1,\"id\":\"");
    for origin in [Origin::Ring(lane_end(3, 4)), Origin::Daemon, hostile] {
        for version in [1, 23] {
            let fields = format!(",\"version\":{version},\"id\":\"{id}\"");
            assert_eq!(of(&origin, &fields), expected);
            assert_eq!(of(&origin, &format!("{fields},\"x\":1")), expected);
            assert_eq!(of(&origin, &format!(",\"a\":{{\"b\":1{fields}}}")), None);
        }
        let longer = format!(",\"version\":1,\"id\":\"{id}0\"");
        for other in ["", &longer, ",\"version\":1", ",\"version\":1,\"id\":\"01a1", ",\"id\":7"] {
            assert_eq!(of(&origin, other), None, "{other}");
        }
    }
}

#[test]
fn a_time_is_found_only_where_this_version_writes_it() {
    let head = ",\"version\":1,\"id\":\"01a1fce3-7195-77d8-96aa-628a945cc873\"";
    let of = |fields: &str| {
        let bytes = written(1, &Origin::Daemon, &format!("{head}{fields}"), 0);
        Line { seq: 1, bytes: &bytes[..bytes.len() - 1] }.timestamp()
    };
    let time = "2026-11-21T06:55:26.613242181Z";
    assert_eq!(of(&format!(",\"timestamp\":\"{time}\"")), Some(time.parse().unwrap()));
    for other in ["", ",\"timestamp\":", ",\"timestamp\":\"soon\"", ",\"a\":1,\"timestamp\":\"x\""]
    {
        assert_eq!(of(other), None, "{other}");
    }
}

#[test]
fn a_hostile_spool_name_cannot_break_the_line() {
    let name = "\"},\n\\";
    let bytes = written(1, &Origin::Spool(name), "", 0);
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["from"], format!("spool/{name}"));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let line = written(17, &Origin::Daemon, ",\"version\":1", 99);
    let line = line.strip_suffix(b"\n").unwrap();
    assert_eq!(check(line, 99), Ok(17));
    assert_eq!(check(line, 98), Err(BadLine::Checksum));
    for bit in 0..line.len() * 8 {
        let mut damaged = line.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&damaged, 99).is_err(), "bit {bit}");
    }
    for len in 0..line.len() {
        assert!(check(&line[..len], 99).is_err(), "cut to {len}");
    }
}

#[test]
fn a_number_behind_which_none_can_follow_is_no_number() {
    let checked = |seq| {
        let mut line = written(seq, &Origin::Daemon, "", 99);
        line.pop();
        check(&line, 99)
    };
    assert_eq!(checked(MAX_SEQ), Ok(MAX_SEQ));
    for seq in [MAX_SEQ + 1, u64::MAX] {
        assert_eq!(checked(seq), Err(BadLine::Form), "{seq}");
    }
}

#[test]
fn a_line_moves_to_another_segment() {
    let mut lines =
        [written(1, &Origin::Daemon, "", 1), written(2, &Origin::Daemon, "", 1)].concat();
    restamp(&mut lines, 2);
    let expected =
        [written(1, &Origin::Daemon, "", 2), written(2, &Origin::Daemon, "", 2)].concat();
    assert_eq!(lines, expected);
}

#[test]
fn a_number_is_found_in_lines_with_gaps() {
    let lines = [3, 5, 9].map(|seq| written(seq, &Origin::Daemon, "", 0));
    let ends = [0, lines[0].len(), lines[0].len() * 2, lines[0].len() * 3];
    for (seq, place) in [(0, 0), (3, 0), (4, 1), (5, 1), (6, 2), (9, 2), (10, 3)] {
        assert_eq!(find_seq(&lines.concat(), seq), ends[place], "{seq}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), seed: u32) {
        prop_assert!(check(&bytes, seed).is_err());
        let _ = Line { seq: 0, bytes: &bytes }.origin();
    }

    #[test]
    fn any_prefix_with_a_damaged_number_is_no_panic(seq in 0..=MAX_SEQ, at in 0usize..20, byte: u8) {
        let mut line = written(seq, &Origin::Daemon, "", 5);
        line.pop();
        prop_assert_eq!(check(&line, 5), Ok(seq));
        line[SEQ_AT + at] = byte;
        let _ = parse_prefix(&line);
    }
}
