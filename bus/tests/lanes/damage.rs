//! Damage to a ring that is read.

use crate::bus::{Bus, drain_all, publish, put};
use hookring_bus::crc::Crc32c;
use hookring_bus::layout::{Geometry, word};
use hookring_bus::owned::PutError;

#[test]
fn a_damaged_record_costs_itself_and_the_lane_is_used_again() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    for text in ["first", "second", "third"] {
        publish(&mut lane, text.as_bytes());
    }
    let number = lane.lane();
    // The payload of the second record.
    bus.scribble(bus.geometry().lane_offset(number) + 128 + 64, b"S");
    assert_eq!(drain_all(&mut drain), ["first"]);
    assert_eq!(drain.counts().condemned_lanes, 1);
    assert_eq!(put(&mut lane, b"x"), Err(PutError::Condemned));
    drop(lane);
    assert_eq!(drain_all(&mut drain), ["third"]);
    assert_eq!(drain.counts().damaged_bytes, 128);
    let mut next = bus.lane();
    assert_eq!(next.lane(), number);
    publish(&mut next, b"fourth");
    assert_eq!(drain_all(&mut drain), ["fourth"]);
}

#[test]
fn a_lying_tail_or_head_costs_nothing_that_has_a_crc() {
    let lies = [0, 63, 384 + 63, 64 * 1024 * 1024, u64::MAX, u64::MAX / 2 - 63];
    for (at, lie) in [word::TAIL, word::HEAD].into_iter().flat_map(|at| lies.map(|lie| (at, lie))) {
        for restart in [false, true] {
            let bus = Bus::new(2);
            let mut drain = bus.drain();
            let mut lane = bus.lane();
            publish(&mut lane, b"zeroth");
            assert_eq!(drain_all(&mut drain), ["zeroth"]);
            publish(&mut lane, b"first");
            publish(&mut lane, b"second");
            let number = lane.lane();
            drop(lane);
            let control = Geometry::control_offset(number) as u64;
            bus.scribble(control + at as u64, &lie.to_le_bytes());
            if restart {
                drop(drain);
                drain = bus.drain();
            }
            let what = format!("word {at} set to {lie}, restart {restart}");
            assert_eq!(drain_all(&mut drain), ["first", "second"], "{what}");
            // A next reader cannot know that what stood behind a head that went back was released.
            let damaged_bytes = if at == word::HEAD && lie == 0 && restart { 128 } else { 0 };
            assert_eq!(drain.counts().damaged_bytes, damaged_bytes, "{what}");
            publish(&mut bus.lane(), b"later");
            assert_eq!(drain_all(&mut drain), ["later"], "{what}");
        }
    }
}

#[test]
fn a_head_and_a_tail_that_lie_together_cost_nothing_that_has_a_crc() {
    const LANE_BYTES: u64 = 16 * 1024;
    let pairs = [
        (LANE_BYTES - 1, LANE_BYTES + 64),
        (LANE_BYTES, LANE_BYTES + 63),
        (u64::MAX - 127, u64::MAX - 63),
        (0, 2 * LANE_BYTES),
        (u64::MAX - 63, 64),
    ];
    for (head, tail) in pairs {
        let bus = Bus::new(1);
        assert_eq!(bus.geometry().lane_bytes, LANE_BYTES);
        drop(bus.drain());
        let mut lane = bus.lane();
        publish(&mut lane, b"first");
        publish(&mut lane, b"second");
        drop(lane);
        let control = Geometry::control_offset(0) as u64;
        for (at, lie) in [(word::HEAD, head), (word::TAIL, tail)] {
            bus.scribble(control + at as u64, &lie.to_le_bytes());
        }
        let what = format!("head {head}, tail {tail}");
        // Nobody writes by such words, unless they could be.
        if head.is_multiple_of(64) {
            assert!(bus.try_lane(None).is_err() && bus.hook(b"in between").is_err(), "{what}");
        }
        let mut drain = bus.drain();
        assert_eq!(drain_all(&mut drain), ["first", "second"], "{what}");
        assert_eq!(drain.counts().damaged_bytes, 0, "{what}");
        publish(&mut bus.lane(), b"later");
        assert_eq!(drain_all(&mut drain), ["later"], "{what}");
    }
}

#[test]
fn a_lane_that_a_producer_passed_over_is_mended_while_that_lives() {
    let bus = Bus::new(4);
    let mut drain = bus.drain();
    let control = Geometry::control_offset(0) as u64;
    bus.scribble(control + word::TAIL as u64, &u64::MAX.to_le_bytes());
    let lane = bus.lane();
    assert_eq!(lane.lane(), 1);
    drain_all(&mut drain);
    assert_eq!(bus.lane().lane(), 0);
    drop(lane);
}

#[test]
fn a_lane_that_a_dead_reader_condemned_is_mended_by_the_next() {
    let bus = Bus::new(1);
    drop(bus.drain());
    publish(&mut bus.lane(), b"first");
    let control = Geometry::control_offset(0) as u64;
    bus.scribble(control + word::CONDEMNED as u64, &1u64.to_le_bytes());
    assert!(bus.try_lane(None).is_err() && bus.hook(b"in between").is_err());
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain), ["first"]);
    publish(&mut bus.lane(), b"later");
    assert_eq!(drain_all(&mut drain), ["later"]);
}

#[test]
fn noise_over_a_ring_in_use_does_not_stop_the_reader() {
    let bus = Bus::new(4);
    let mut drain = bus.drain();
    publish(&mut bus.lane(), b"before");
    assert_eq!(drain_all(&mut drain), ["before"]);
    let noise: Vec<u8> =
        (0..131_072u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    bus.scribble(0, &noise);
    assert_eq!(drain_all(&mut drain), Vec::<String>::new());
    drain.maintain();
    drain_all(&mut drain);
    bus.hook(b"after").unwrap();
    assert_eq!(drain_all(&mut drain), ["after"]);
}

#[test]
fn a_truncated_ring_in_use_does_not_stop_the_reader() {
    for length in [0, 100, 4096, 5000, 65_536, 70_000] {
        let bus = Bus::new(4);
        let mut drain = bus.drain();
        bus.hook(b"before").unwrap();
        assert_eq!(drain_all(&mut drain), ["before"]);
        let file = std::fs::OpenOptions::new().write(true).open(bus.ring_path()).unwrap();
        file.set_len(length).unwrap();
        assert_eq!(drain_all(&mut drain), Vec::<String>::new());
        drain.maintain();
        drain_all(&mut drain);
        bus.hook(b"after").unwrap();
        assert_eq!(drain_all(&mut drain), ["after"], "cut to {length}");
    }
}

#[test]
fn a_cut_through_a_lane_costs_what_stood_behind_it_and_that_is_counted() {
    let crcs = [Some(Crc32c::fastest()), None];
    for (crc, rest) in crcs.into_iter().flat_map(|crc| [(crc, 0), (crc, 100)]) {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        let mut lane = bus.try_lane(crc).unwrap();
        // 1088 bytes each.
        for i in 0..12 {
            publish(&mut lane, &[b'a' + i; 1000]);
        }
        // Seven records end before it, the eighth is cut.
        bus.cut(bus.geometry().lane_offset(0) + 2 * 4096 + rest);
        let taken: Vec<_> = drain_all(&mut drain).iter().map(|text| text.as_bytes()[0]).collect();
        assert_eq!(taken, *b"abcdefg");
        drop(lane);
        assert_eq!(drain_all(&mut drain), Vec::<String>::new());
        assert_eq!(drain.counts().damaged_bytes, 5 * 1088);
        drain.maintain();
        bus.hook(b"after").unwrap();
        assert_eq!(drain_all(&mut drain), ["after"]);
    }
}

#[test]
fn zeros_at_the_end_of_a_payload_are_no_cut() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.try_lane(None).unwrap();
    publish(&mut lane, b"ends in\0");
    publish(&mut lane, &[0; 1000]);
    assert_eq!(drain_all(&mut drain), ["ends in\0".to_owned(), "\0".repeat(1000)]);
    assert_eq!(drain.counts().damaged_bytes, 0);
}

#[test]
fn a_cut_spares_other_lanes_in_front_of_it() {
    let bus = Bus::new(4);
    let mut drain = bus.drain();
    let mut lanes = [bus.lane(), bus.lane()];
    publish(&mut lanes[0], b"in front");
    publish(&mut lanes[1], b"behind");
    bus.cut(bus.geometry().lane_offset(1));
    assert_eq!(drain_all(&mut drain), ["in front"]);
    drop(lanes);
    assert_eq!(drain_all(&mut drain), Vec::<String>::new());
    assert_eq!(drain.counts().damaged_bytes, 128);
}

#[test]
fn lanes_with_nothing_in_them_whose_words_were_written_over_are_used_again() {
    for (at, lie) in [(word::HEAD, 64), (word::HEAD, u64::MAX), (word::CONDEMNED, 1)] {
        let bus = Bus::new(2);
        let mut drain = bus.drain();
        let lanes = 0..bus.options.lanes;
        for lane in lanes.clone() {
            let control = Geometry::control_offset(lane) as u64;
            bus.scribble(control + at as u64, &u64::to_le_bytes(lie));
        }
        assert!(bus.hook(b"too early").is_err());
        drain.maintain();
        assert_eq!(drain_all(&mut drain), [""; 0]);
        assert_eq!(drain.counts().condemned_lanes, lanes.len() as u64);
        bus.hook(b"later").unwrap();
        assert_eq!(drain_all(&mut drain), ["later"], "word {at} set to {lie}");
        drain.maintain();
        assert_eq!(drain.counts().condemned_lanes, lanes.len() as u64);
    }
}
