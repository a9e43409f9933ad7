//! Damage to a ring while nobody reads it: what it still holds comes out.

use crate::bus::{Bus, drain_all, noise, publish, put, record, wait_for};
use hookring_bus::drain::{Batch, Drain, OpenError};
use hookring_bus::record::{RecordHeader, kind};
use proptest::prelude::*;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What a hook's record with a short payload takes of its lane.
const RECORD_BYTES: u64 = 128;

#[test]
fn noise_and_another_version_are_set_aside_while_hooks_spool() {
    let noise: Vec<u8> =
        (0..98_304u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    type Damage<'a> = Box<dyn Fn(&Bus) + 'a>;
    let damages: [(&str, Damage<'_>); 4] = [
        ("noise", Box::new(|bus| bus.scribble(0, &noise))),
        ("another version", Box::new(|bus| bus.scribble(8, &[9, 0]))),
        ("a header bit", Box::new(|bus| bus.scribble(13, &[0xff]))),
        ("an empty file", Box::new(|bus| std::fs::write(bus.ring_path(), "").unwrap())),
    ];
    for (what, damage) in damages {
        let bus = Bus::new(2);
        drop(bus.drain());
        damage(&bus);
        assert!(bus.hook(b"x").is_err(), "{what}");
        bus.spool(b"spooled");
        let mut drain = bus.drain();
        assert_eq!(drain_all(&mut drain), ["spooled"], "{what}");
        bus.hook(b"in a fresh ring").unwrap();
        assert_eq!(drain_all(&mut drain), ["in a fresh ring"], "{what}");
        assert_eq!(drain.counts().retired_rings, 1, "{what}");
    }
}

type Harm = fn(&Bus);

/// Harm to a ring's header, which leaves its lanes alone.
const HEADER_HARMS: [(&str, Harm); 5] = [
    ("noise", |bus| bus.scribble(0, &noise(65_536))),
    ("zeros", |bus| bus.scribble(0, &[0; 65_536])),
    ("a bit", |bus| bus.scribble(13, &[0xff])),
    ("a page too short", |bus| bus.cut(bus.geometry().file_bytes() - 4096)),
    ("a page too long", |bus| bus.cut(bus.geometry().file_bytes() + 4096)),
];

#[test]
fn what_a_ring_with_a_damaged_header_holds_comes_out_once_and_in_order() {
    for (what, harm) in HEADER_HARMS {
        let bus = Bus::new(4);
        drop(bus.drain());
        let mut expected = Vec::new();
        for i in 0..20 {
            let text = format!("event {i}");
            if i % 5 == 0 {
                bus.spool(text.as_bytes());
            } else {
                bus.hook(text.as_bytes()).unwrap();
            }
            expected.push(text);
        }
        harm(&bus);
        let mut drain = bus.drain();
        assert_eq!(drain.report()[0].retired_rings, 1, "{what}");
        assert!(drain.report()[0].ring_damage.is_some(), "{what}");
        assert_eq!(drain_all(&mut drain), expected, "{what}");
        assert_eq!(drain.counts().damaged_bytes, 0, "{what}");
        assert_eq!((drain.counts().lane_records, drain.counts().retired_rings), (16, 1), "{what}");
        drain.maintain();
        assert_eq!(drain.report()[0].retired_rings, 0, "{what}");
        assert_eq!(bus.names("ring.bad"), ["ring.bad"], "{what}");
        let kept = std::fs::read(bus.temp.path().join("ring.bad")).unwrap();
        assert!(!kept.windows(6).any(|window| window == b"event "), "payloads linger: {what}");
        drop(drain);
        assert_eq!(drain_all(&mut bus.drain()), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn a_reader_that_dies_over_a_ring_set_aside_neither_loses_nor_doubles() {
    let bus = Bus::new(4);
    drop(bus.drain());
    for i in 0..6 {
        bus.hook(format!("event {i}").as_bytes()).unwrap();
    }
    bus.scribble(0, &[0; 96]);
    let mut drain = bus.drain();
    let ids = ids(drain.next_batch());
    assert_eq!(ids.len(), 6);
    drop(drain);
    let mut recovered = bus.drain();
    recovered.recover(&[], ids[..4].to_vec());
    // A segment that is begun before anything was looked at knows what the last one knew.
    assert!(ids[..4].iter().all(|id| recovered.stuck_ids().contains(id)));
    assert_eq!(texts(recovered.next_batch()), ["event 4", "event 5"]);
    drop(recovered);
    let mut last = bus.drain();
    last.recover(&[], ids);
    assert_eq!(drain_all(&mut last), Vec::<String>::new());
    assert_eq!(last.stuck_ids(), Vec::<[u8; 16]>::new());
    last.maintain();
    assert_eq!(bus.names("ring.bad"), ["ring.bad"]);
}

fn ids(batch: &Batch) -> Vec<[u8; 16]> {
    batch.records().map(|record| record.header.id).collect()
}

fn texts(batch: &Batch) -> Vec<String> {
    batch.records().map(|r| String::from_utf8_lossy(r.payload).into_owned()).collect()
}

#[test]
fn readers_that_die_while_a_producer_idles_in_a_ring_set_aside_neither_lose_nor_double() {
    let bus = Bus::new(4);
    drop(bus.drain());
    // Its records have no ids of their own.
    let (mut first, mut second) = (bus.lane(), bus.lane());
    publish(&mut first, b"of the first");
    publish(&mut second, b"of the second");
    bus.scribble(0, &[0; 96]);
    let mut drain = bus.drain();
    assert_eq!(texts(drain.next_batch()), ["of the first", "of the second"]);
    let journaled = ids(drain.batch());
    assert_ne!(journaled[0], journaled[1]);
    drain.release();
    drop(drain);
    // By what stands in the last segment, and then by what its first line says.
    let mut drain = bus.drain();
    drain.recover(&[], journaled.clone());
    assert_eq!(drain_all(&mut drain), Vec::<String>::new());
    assert_eq!(drain.stuck_ids(), journaled);
    publish(&mut second, b"last of the second");
    drop(second);
    assert_eq!(texts(drain.next_batch()), ["last of the second"]);
    let mut journaled = journaled;
    journaled.extend(ids(drain.batch()));
    drain.release();
    assert_eq!(drain.stuck_ids(), journaled);
    drop(drain);
    drop(first);
    let mut drain = bus.drain();
    drain.recover(&[], journaled);
    assert_eq!(drain_all(&mut drain), Vec::<String>::new());
    assert_eq!(drain.counts().damaged_bytes, 0);
    assert_eq!(drain.stuck_ids(), Vec::<[u8; 16]>::new());
    drain.maintain();
    assert_eq!(bus.names("ring.bad"), ["ring.bad"]);
}

#[test]
fn a_record_in_the_place_of_one_that_nobody_published_comes_out_too() {
    for dies in [false, true] {
        let bus = Bus::new(4);
        drop(bus.drain());
        let mut dead = bus.lane();
        put(&mut dead, b"written, not published").unwrap();
        drop(dead);
        let mut lane = bus.lane();
        bus.scribble(0, &[0; 96]);
        let mut drain = bus.drain();
        assert_eq!(texts(drain.next_batch()), ["written, not published"]);
        let journaled = ids(drain.batch());
        drain.release();
        if dies {
            drop(drain);
            drain = bus.drain();
            drain.recover(&[], journaled);
        }
        assert_eq!(drain_all(&mut drain), Vec::<String>::new());
        publish(&mut lane, b"in its place");
        drop(lane);
        assert_eq!(drain_all(&mut drain), ["in its place"], "{dies}");
        drain.maintain();
        assert_eq!(bus.names("ring.bad"), ["ring.bad"]);
        let kept = std::fs::read(bus.temp.path().join("ring.bad")).unwrap();
        assert!(!kept.windows(8).any(|window| window == b"in its p"), "payloads linger");
    }
}

#[test]
fn a_long_hole_in_a_ring_set_aside_is_passed_over() {
    let bus = Bus::new(4);
    drop(bus.drain());
    bus.hook(b"before the hole").unwrap();
    bus.cut(1 << 40);
    let mut drain = bus.drain();
    // In one round, which looks at no more than a few MiB.
    assert_eq!(texts(drain.next_batch()), ["before the hole"]);
    drain.release();
    drain.maintain();
    assert_eq!(bus.names("ring.bad"), ["ring.bad"]);
}

#[test]
fn other_rings_go_on_while_a_long_one_is_looked_through() {
    let bus = Bus::new(4);
    drop(bus.drain());
    bus.hook(b"in the long ring").unwrap();
    bus.scribble(1 << 20, &vec![0; 64 << 20]);
    let mut drain = bus.drain();
    bus.hook(b"in the new ring").unwrap();
    assert_eq!(texts(drain.next_batch()), ["in the new ring"]);
    drain.release();
    assert!(drain.has_work(), "the reader does not sleep before it has seen all");
    let mut rounds = 0;
    wait_for("the event in the long ring", || {
        rounds += 1;
        if drain.next_batch().is_empty() {
            drain.release();
            return None;
        }
        Some(())
    });
    assert!(rounds > 1);
    assert_eq!(texts(drain.batch()), ["in the long ring"]);
    drain.release();
    drain.maintain();
    assert_eq!(bus.names("ring.bad"), ["ring.bad"]);
}

#[test]
fn what_cannot_be_proven_in_a_ring_set_aside_is_counted() {
    let bus = Bus::new(2);
    drop(bus.drain());
    let mut bare = bus.try_lane(None).unwrap();
    publish(&mut bare, b"without a check sum");
    let number = bare.lane();
    drop(bare);
    bus.hook(b"whole").unwrap();
    bus.hook(b"broken").unwrap();
    let upper = bus.geometry().lane_offset(1 - number);
    bus.scribble(upper + 128 + 64, b"B");
    // Whole, and not where it says that it stands.
    bus.scribble(upper + 4096, &record(4096 + 64, b"elsewhere", |_| {}));
    // Of a producer that says that it has no check sum.
    bus.scribble(upper + 8192, &record(8192, b"by chance", |header| header.flags = 0));
    // A pad that does not end with the lane is none, and hides nothing.
    let pad = |header: &mut RecordHeader| (header.kind, header.payload_bytes) = (kind::PAD, 512);
    bus.scribble(upper + 12_288, &record(12_288, b"", pad));
    bus.scribble(upper + 12_416, &record(12_416, b"behind a false pad", |_| {}));
    bus.scribble(0, &[0; 96]);
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain), ["whole", "behind a false pad"]);
    assert_eq!(drain.counts().damaged_bytes, 4 * 128 + 64);
}

#[test]
fn a_pad_hides_no_record_whatever_its_length_says() {
    let bus = Bus::new(4);
    drop(bus.drain());
    let geometry = bus.geometry();
    // The rest of its own lane, and two more.
    let pad_bytes = 3 * geometry.lane_bytes - 8192;
    let pad = |header: &mut RecordHeader| {
        (header.kind, header.payload_bytes) = (kind::PAD, (pad_bytes - 64) as u32);
    };
    bus.scribble(geometry.lane_offset(0) + 8192, &record(8192, b"", pad));
    // A dead writer's, who did not publish it. Nothing is lost with that.
    bus.scribble(geometry.lane_offset(0) + 8192 + 256, b"begun");
    bus.scribble(geometry.lane_offset(1) + 64, &record(64, b"in the next lane", |_| {}));
    bus.scribble(geometry.lane_offset(2) + 128, b"noise");
    bus.scribble(0, &[0; 96]);
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain), ["in the next lane"]);
    assert_eq!(drain.counts().damaged_bytes, 64, "of the noise");
}

#[test]
fn what_a_ring_lost_while_no_reader_ran_is_counted() {
    let bus = Bus::new(2);
    drop(bus.drain());
    for i in 0..40 {
        bus.hook(format!("event {i}").as_bytes()).unwrap();
    }
    // Hooks begin in the upper lane, and 32 of these stand in a page.
    bus.cut(bus.geometry().lane_offset(1) + 4096);
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain).len(), 32);
    assert_eq!(drain.counts().damaged_bytes, 8 * 128);
}

#[test]
fn a_producer_in_a_ring_set_aside_is_told_to_leave_and_loses_nothing() {
    let bus = Bus::new(2);
    drop(bus.drain());
    let mut lane = bus.lane();
    publish(&mut lane, b"before");
    bus.scribble(0, &[0; 96]);
    let mut drain = bus.drain();
    // It may idle for hours.
    assert_eq!(drain_all(&mut drain), ["before"]);
    put(&mut lane, b"last in the old ring").unwrap();
    assert!(lane.publish(), "the producer is told to leave");
    assert_eq!(drain_all(&mut drain), ["last in the old ring"]);
    drain.maintain();
    assert_eq!(drain.report()[0].retired_rings, 1);
    drop(lane);
    assert_eq!(drain_all(&mut drain), Vec::<String>::new());
    drain.maintain();
    assert_eq!(drain.report()[0].retired_rings, 0);
    assert_eq!(drain.counts().damaged_bytes, 0);
}

#[test]
fn a_damaged_ring_that_a_dead_reader_was_emptying_is_read_by_the_next() {
    let mut bus = Bus::new(2);
    drop(bus.drain());
    bus.hook(b"in the small ring").unwrap();
    bus.options.lanes = 4;
    drop(bus.drain());
    let old = bus.names("ring.old-").remove(0);
    let file = std::fs::OpenOptions::new().write(true).open(bus.temp.path().join(old)).unwrap();
    file.write_all_at(&[0; 96], 0).unwrap();
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain), ["in the small ring"]);
    drain.maintain();
    assert_eq!(bus.names("ring.old-"), Vec::<String>::new());
}

#[test]
fn a_ring_that_is_read_is_not_set_aside_by_a_second_reader() {
    let bus = Bus::new(2);
    let _drain = bus.drain();
    bus.scribble(0, &[0; 96]);
    let second = Drain::open(&bus.places(), bus.options);
    assert!(matches!(second, Err(OpenError::Busy(_))));
    assert_eq!(bus.names("ring.bad"), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is written over a ring that nobody reads: what comes out was published, comes out once
    /// and in order, every record that was spared is among it, and the next ring works.
    #[test]
    fn damage_anywhere_while_no_reader_runs_costs_only_what_it_hits(
        // Anywhere, or where the records and their lane's words are.
        harms in prop::collection::vec(
            (prop_oneof![0usize..131_072, 114_000usize..123_000, 4096usize..6000], 1usize..3000),
            0..4,
        ),
        cut in prop::option::of(60_000u64..131_072),
    ) {
        let bus = Bus::new(4);
        drop(bus.drain());
        let published: Vec<_> = (0..60).map(|i| format!("event {i:02}")).collect();
        published.iter().for_each(|text| bus.hook(text.as_bytes()).unwrap());
        // Hooks begin in the upper lane, and no other was taken.
        let records = bus.geometry().lane_offset(3);
        for (at, bytes) in &harms {
            bus.scribble(*at as u64, &noise(*bytes));
        }
        if let Some(bytes) = cut {
            bus.cut(bytes);
        }
        let mut drain = bus.drain();
        let found = drain_all(&mut drain);
        prop_assert!(found.is_sorted_by(|a, b| a < b));
        prop_assert!(found.iter().all(|text| published.contains(text)));
        let harms = harms.iter().map(|(at, bytes)| *at as u64..(at + bytes) as u64);
        let harms: Vec<_> = harms.chain(cut.map(|from| from..u64::MAX)).collect();
        for (place, text) in (records..).step_by(RECORD_BYTES as usize).zip(&published) {
            let end = place + RECORD_BYTES;
            let is_spared = |harm: &Range<u64>| harm.end <= place || end <= harm.start;
            if harms.iter().all(is_spared) {
                prop_assert!(found.contains(text), "{} was spared", text);
            }
        }
        drain.maintain();
        bus.hook(b"afterwards").unwrap();
        prop_assert_eq!(drain_all(&mut drain), ["afterwards"]);
    }
}
