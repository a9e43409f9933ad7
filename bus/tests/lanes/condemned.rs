//! A condemned lane: what is found in it, what is not, and what it is like afterwards.

use crate::bus::{Bus, drain_all, publish, put, record};
use hookring_bus::drain::Drain;
use hookring_bus::owned::OwnedLane;
use hookring_bus::record::RecordHeader;
use std::mem::offset_of;

const LANE_BYTES: u64 = 16 * 1024;

/// A bus with one lane, whose first record is damaged and others follow.
fn damaged(texts: &[&[u8]]) -> (Bus, Drain, OwnedLane) {
    let bus = Bus::new(1);
    let drain = bus.drain();
    let mut lane = bus.lane();
    publish(&mut lane, b"damaged");
    texts.iter().for_each(|text| publish(&mut lane, text));
    bus.scribble(bus.geometry().lane_offset(0) + 64, b"D");
    (bus, drain, lane)
}

fn lane_is_zero(bus: &Bus) -> bool {
    let bytes = std::fs::read(bus.ring_path()).unwrap();
    bytes[bus.geometry().lane_offset(0) as usize..].iter().all(|byte| *byte == 0)
}

#[test]
fn it_is_zeroed_and_goes_on_at_a_position_that_was_never_in_use() {
    let (bus, mut drain, lane) = damaged(&[b"whole"]);
    drop(lane);
    assert_eq!(drain_all(&mut drain), ["whole"]);
    assert!(lane_is_zero(&bus));
    let end = drain.ends()[0].end;
    assert!(end >= LANE_BYTES && end.is_multiple_of(LANE_BYTES), "{end}");
}

#[test]
fn what_was_given_out_in_the_same_batch_is_not_found_again() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    ["first", "second", "third"].iter().for_each(|text| publish(&mut lane, text.as_bytes()));
    drop(lane);
    bus.scribble(bus.geometry().lane_offset(0) + 128 + 64, b"S");
    assert_eq!(drain_all(&mut drain), ["first", "third"]);
    assert_eq!(drain.counts().damaged_bytes, 128);
}

#[test]
fn a_record_counts_only_where_its_position_says_and_in_the_lanes_window() {
    let places = [
        // Where it is, another place, and a place that the lane comes to much later.
        (4096, 4096, true),
        (4096, 4096 + 64, false),
        (4096, 4096 + 2 * LANE_BYTES, false),
        (4096, 1 << 63 | 4096, false),
    ];
    for (offset, position, is_found) in places {
        let (bus, mut drain, lane) = damaged(&[]);
        bus.scribble(bus.geometry().lane_offset(0) + offset, &record(position, b"planted", |_| {}));
        drop(lane);
        let expected: &[&str] = if is_found { &["planted"] } else { &[] };
        assert_eq!(drain_all(&mut drain), expected, "{position} at {offset}");
    }
}

#[test]
fn a_record_inside_another_one_is_none() {
    let mut payload = record(256 + 64, b"inner", |_| {});
    // Its own bytes begin a block behind the outer one's header.
    payload.resize(192, b'x');
    let (_bus, mut drain, lane) = damaged(&[b"before", &payload, b"behind"]);
    drop(lane);
    let whole = drain_all(&mut drain);
    assert_eq!(whole.len(), 3, "{whole:?}");
    assert!(whole[0] == "before" && whole[1].contains("inner") && whole[2] == "behind");
}

#[test]
fn without_a_crc_only_what_was_published_is_found() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.try_lane(None).unwrap();
    ["first", "second", "third"].iter().for_each(|text| publish(&mut lane, text.as_bytes()));
    put(&mut lane, b"nobody published this").unwrap();
    drop(lane);
    let kind = offset_of!(RecordHeader, kind) as u64;
    bus.scribble(bus.geometry().lane_offset(0) + 128 + kind, &[77]);
    assert_eq!(drain_all(&mut drain), ["first", "third"]);
}

#[test]
fn without_a_crc_too_a_record_counts_only_where_its_position_says() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.try_lane(None).unwrap();
    publish(&mut lane, b"damaged");
    // It says that it stands in the middle of the damaged one.
    let elsewhere = record(64, b"", |header| header.flags = 0);
    publish(&mut lane, &elsewhere);
    drop(lane);
    let kind = offset_of!(RecordHeader, kind) as u64;
    bus.scribble(bus.geometry().lane_offset(0) + kind, &[77]);
    assert_eq!(drain_all(&mut drain), [String::from_utf8_lossy(&elsewhere)]);
}

#[test]
fn a_record_that_would_wrap_round_the_lanes_end_is_damage() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.try_lane(None).unwrap();
    // 1088 bytes each: fifteen of them, then a pad, and the next begins the second lap.
    let mut publish = |letters: &[u8]| {
        letters.iter().for_each(|letter| publish(&mut lane, &[*letter; 1000]));
    };
    publish(b"abcdefg");
    assert_eq!(drain_all(&mut drain).len(), 7);
    publish(b"hijklmnop");
    let last = bus.geometry().lane_offset(0) + 14 * 1088;
    bus.scribble(last + offset_of!(RecordHeader, payload_bytes) as u64, &1600u32.to_le_bytes());
    let first_letters = |texts: Vec<String>| texts.iter().map(|it| it.as_bytes()[0]).collect();
    let taken: Vec<u8> = first_letters(drain_all(&mut drain));
    assert_eq!(taken, b"hijklmn");
    drop(lane);
    let taken: Vec<u8> = first_letters(drain_all(&mut drain));
    assert_eq!(taken, b"p");
    assert_eq!(drain.counts().damaged_bytes, 1088);
}
