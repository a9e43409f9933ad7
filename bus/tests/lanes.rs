//! Lanes, spool and reader together, in one process: order, oracle, damage, replacement.

use hookring_bus::crc::Crc32c;
use hookring_bus::create;
use hookring_bus::drain::{Drain, LaneEnd, MAX_BATCH_BYTES, OpenError, Options, Origin};
use hookring_bus::ident::Ids;
use hookring_bus::layout::{Geometry, word};
use hookring_bus::oneshot::{Message, NotTaken, OneShot};
use hookring_bus::owned::{OwnedLane, PutError};
use hookring_bus::place::{Places, RING};
use hookring_bus::record::{RecordHeader, kind};
use hookring_bus::spool;
use hookring_bus::sys::{self, Open};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

struct Bus {
    temp: tempfile::TempDir,
    options: Options,
}

impl Bus {
    fn new(lanes: u32) -> Bus {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let options = Options { lanes, lane_bytes: 16 * 1024, spool_bytes: 1 << 20 };
        Bus { temp, options }
    }

    fn places(&self) -> Places<'_> {
        Places::new(Some(self.temp.path().as_os_str().as_bytes()), sys::effective_uid())
    }

    fn drain(&self) -> Drain {
        Drain::open(&self.places(), self.options).unwrap()
    }

    fn lane(&self) -> OwnedLane {
        self.try_lane(Some(Crc32c::fastest())).unwrap()
    }

    fn try_lane(&self, crc: Option<Crc32c>) -> Result<OwnedLane, hookring_bus::owned::ClaimError> {
        let place = self.places().open(0).unwrap();
        let file = sys::open(Some(&place), RING, Open::ReadWrite).unwrap();
        OwnedLane::claim(file, sys::effective_uid(), crc)
    }

    fn hook(&self, payload: &[u8]) -> Result<(), NotTaken> {
        let place = self.places().open(0).unwrap();
        let ring = OneShot::open(&place, sys::effective_uid()).map_err(NotTaken::Ring)?;
        let mut message = message(payload);
        message.stamp(&mut Ids::new(create::random_seed()), 0);
        ring.publish(&mut message, 7)?;
        ring.ring();
        Ok(())
    }

    fn spool(&self, payload: &[u8]) {
        let place = self.places().open(0).unwrap();
        let mut message = message(payload);
        message.stamp(&mut Ids::new(create::random_seed()), 0);
        let uid = sys::effective_uid();
        spool::store(&place, uid, message.header, b"", payload, Crc32c::fastest()).unwrap();
    }

    fn ring_path(&self) -> PathBuf {
        self.temp.path().join("ring")
    }

    /// Overwrites a byte range of the ring file.
    fn scribble(&self, offset: u64, bytes: &[u8]) {
        let file = std::fs::OpenOptions::new().write(true).open(self.ring_path()).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    fn geometry(&self) -> Geometry {
        create::geometry(self.options.lanes, self.options.lane_bytes)
    }
}

fn message(payload: &[u8]) -> Message<'_> {
    let header = RecordHeader {
        payload_bytes: payload.len() as u32,
        kind: kind::DATA,
        ..Default::default()
    };
    Message { header, meta: b"", payload }
}

fn put(lane: &mut OwnedLane, payload: &[u8]) -> Result<(), PutError> {
    let header = RecordHeader { stamp_ns: sys::boottime_ns(), ..Default::default() };
    lane.put(&header, b"", payload)
}

fn publish(lane: &mut OwnedLane, payload: &[u8]) {
    put(lane, payload).unwrap();
    lane.publish();
}

/// Everything that can be drained, as text.
fn drain_all(drain: &mut Drain) -> Vec<String> {
    let mut all = Vec::new();
    // Two empty rounds: a record stamped during one waits for the next.
    let mut empty = 0;
    while empty < 2 {
        let batch = drain.next_batch();
        empty = if batch.is_empty() { empty + 1 } else { 0 };
        all.extend(batch.records().map(|r| String::from_utf8_lossy(r.payload).into_owned()));
        drain.release();
    }
    all
}

#[test]
fn hooks_lanes_and_spool_come_out_in_the_order_of_time() {
    let bus = Bus::new(8);
    let mut drain = bus.drain();
    let mut a = bus.lane();
    let mut b = bus.lane();
    assert_ne!(a.lane(), b.lane());
    let mut expected = Vec::new();
    for i in 0..200 {
        let text = format!("event {i}");
        match i % 4 {
            0 => publish(&mut a, text.as_bytes()),
            1 => publish(&mut b, text.as_bytes()),
            2 => bus.hook(text.as_bytes()).unwrap(),
            _ => bus.spool(text.as_bytes()),
        }
        expected.push(text);
    }
    assert_eq!(drain_all(&mut drain), expected);
    assert_eq!(drain.counts().lane_records, 150);
    assert_eq!(drain.counts().spool_records, 50);
}

/// The single-lane ring is the oracle of the many-lane one: the same events, the same order.
#[test]
fn a_bus_of_many_lanes_gives_what_a_bus_of_one_gives() {
    let (one, many) = (Bus::new(1), Bus::new(16));
    let (mut one_drain, mut many_drain) = (one.drain(), many.drain());
    let mut single = one.lane();
    let mut lanes: Vec<_> = (0..8).map(|_| many.lane()).collect();
    let mut from_one = Vec::new();
    let mut from_many = Vec::new();
    for i in 0..3000usize {
        let text = format!("{i}-{}", "x".repeat(i * 7 % 700));
        publish(&mut single, text.as_bytes());
        publish(&mut lanes[i * 5 % 8], text.as_bytes());
        if i % 9 == 0 {
            from_one.extend(drain_all(&mut one_drain));
            from_many.extend(drain_all(&mut many_drain));
        }
    }
    from_one.extend(drain_all(&mut one_drain));
    from_many.extend(drain_all(&mut many_drain));
    assert_eq!(from_one.len(), 3000);
    assert_eq!(from_one, from_many);
}

#[test]
fn a_full_lane_refuses_and_takes_again_once_it_is_drained() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    let mut published = 0;
    while put(&mut lane, &[b'x'; 1000]).is_ok() {
        lane.publish();
        published += 1;
    }
    assert_eq!(published, 16 * 1024 / 1088);
    assert_eq!(put(&mut lane, &[0; 9000]), Err(PutError::TooLarge));
    assert_eq!(bus.hook(b"too late"), Err(NotTaken::Busy));
    assert_eq!(drain_all(&mut drain).len(), published);
    publish(&mut lane, b"again");
    assert_eq!(drain_all(&mut drain), ["again"]);
}

#[test]
fn consumed_bytes_are_zeroed() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    bus.hook(b"the secret").unwrap();
    let find = || {
        let bytes = std::fs::read(bus.ring_path()).unwrap();
        bytes.windows(10).any(|window| window == b"the secret")
    };
    assert!(find());
    drain_all(&mut drain);
    assert!(!find());
}

#[test]
fn what_was_not_released_is_found_again_and_what_was_journaled_is_not() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    for i in 0..3 {
        bus.hook(format!("hook {i}").as_bytes()).unwrap();
        bus.spool(format!("spool {i}").as_bytes());
    }
    let mut ends = Vec::new();
    let mut spooled = BTreeMap::new();
    let mut taken = Vec::new();
    while taken.len() < 6 {
        for record in drain.next_batch().records() {
            taken.push(String::from_utf8_lossy(record.payload).into_owned());
            match record.origin {
                Origin::Lane(end) => ends.push(*end),
                Origin::Spool(name) => drop(spooled.insert(name.to_string(), record.header.id)),
            }
        }
    }
    drop(drain);
    // Nothing was released: a reader without a journal gets everything again.
    let mut again = bus.drain();
    let count = again.next_batch().len();
    assert_eq!(count, 6);
    drop(again);
    // One that knows of the first four gets the last two.
    let mut recovered = bus.drain();
    let first_two: Vec<LaneEnd> = ends[..2].to_vec();
    let two_ids = spooled.into_values().take(2).collect();
    recovered.recover(&first_two, two_ids);
    assert_eq!(drain_all(&mut recovered), ["hook 2", "spool 2"]);
    assert_eq!(
        std::fs::read_dir(bus.temp.path().join("spool")).unwrap().count(),
        1,
        "only `usage`"
    );
}

#[test]
fn a_second_reader_is_refused() {
    let bus = Bus::new(1);
    let _drain = bus.drain();
    let second = Drain::open(&bus.places(), bus.options);
    assert!(matches!(second, Err(OpenError::Busy(_))));
}

#[test]
fn two_producers_never_share_a_lane_and_hooks_find_the_upper_half() {
    let bus = Bus::new(4);
    let _drain = bus.drain();
    let lanes = [bus.lane(), bus.lane()];
    assert_eq!(lanes.each_ref().map(OwnedLane::lane), [0, 1]);
    assert!(bus.try_lane(None).is_err());
    bus.hook(b"still goes").unwrap();
    drop(lanes);
    assert_eq!(bus.lane().lane(), 0);
}

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
    let lies = [0, 63, 64 * 1024 * 1024, u64::MAX, u64::MAX / 2 - 63];
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
            publish(&mut bus.lane(), b"later");
            assert_eq!(drain_all(&mut drain), ["later"], "{what}");
        }
    }
}

#[test]
fn a_stamp_from_the_future_waits_one_round_and_is_clamped() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    let header = RecordHeader { stamp_ns: u64::MAX / 2, ..Default::default() };
    lane.put(&header, b"", b"from the future").unwrap();
    lane.publish();
    assert!(drain.next_batch().is_empty());
    drain.release();
    bus.hook(b"other").unwrap();
    assert_eq!(drain_all(&mut drain).len(), 2);
    assert_eq!(drain.counts().clamped_stamps, 1);
    assert_eq!(drain.counts().condemned_lanes, 0);
}

#[test]
fn a_removed_ring_is_drained_and_replaced() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    publish(&mut lane, b"before");
    std::fs::remove_file(bus.ring_path()).unwrap();
    publish(&mut lane, b"in the removed ring");
    drain.maintain();
    put(&mut lane, b"last in the old ring").unwrap();
    assert!(lane.publish(), "the producer is told to leave");
    drop(lane);
    bus.hook(b"in the new ring").unwrap();
    let expected = ["before", "in the removed ring", "last in the old ring", "in the new ring"];
    assert_eq!(drain_all(&mut drain), expected);
    while drain.report()[0].retired_rings > 0 {
        drain.maintain();
        drain_all(&mut drain);
    }
    assert_eq!(drain.counts().retired_rings, 1);
}

#[test]
fn a_ring_of_another_size_is_emptied_into_the_new_one_even_across_a_restart() {
    let mut bus = Bus::new(2);
    drop(bus.drain());
    bus.hook(b"in the small ring").unwrap();
    bus.options.lanes = 4;
    // This reader retires the old ring and dies before it has drained it.
    drop(bus.drain());
    bus.hook(b"in the large ring").unwrap();
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain), ["in the small ring", "in the large ring"]);
    for _ in 0..3 {
        drain.maintain();
        drain_all(&mut drain);
    }
    let names: Vec<_> =
        std::fs::read_dir(bus.temp.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "ring and spool are left: {names:?}");
}

#[test]
fn noise_another_version_and_open_modes_are_set_aside_while_hooks_spool() {
    let noise: Vec<u8> =
        (0..98_304u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    type Damage<'a> = Box<dyn Fn(&Bus) + 'a>;
    let damages: [(&str, Damage<'_>); 5] = [
        ("noise", Box::new(|bus| bus.scribble(0, &noise))),
        ("another version", Box::new(|bus| bus.scribble(8, &[9, 0]))),
        ("a header bit", Box::new(|bus| bus.scribble(60, &[0xff]))),
        (
            "an open mode",
            Box::new(|bus| {
                std::fs::set_permissions(bus.ring_path(), PermissionsExt::from_mode(0o644))
                    .unwrap();
            }),
        ),
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
fn damaged_spool_entries_are_set_aside_and_counted() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let spool = bus.temp.path().join("spool");
    bus.spool(b"good one");
    let good = std::fs::read_dir(&spool).unwrap().map(|e| e.unwrap().path());
    let good = good.filter(|p| p.file_name().unwrap() != "usage").last().unwrap();
    let bytes = std::fs::read(&good).unwrap();
    let write = |number: u64, bytes: &[u8]| {
        let path = spool.join(format!("{number:020}-{}", "0".repeat(32)));
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    };
    write(1, b"");
    write(2, &bytes[..bytes.len() - 1]);
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    write(3, &flipped);
    std::os::unix::fs::symlink("/etc/passwd", spool.join(format!("{:020}-{}", 4, "0".repeat(32))))
        .unwrap();
    std::fs::write(spool.join("not an entry"), b"x").unwrap();
    assert_eq!(drain_all(&mut drain), ["good one"]);
    assert_eq!(drain.counts().bad_spool_entries, 4);
}

#[test]
fn a_batch_is_bounded_and_a_round_goes_on_in_the_next() {
    let bus = Bus {
        options: Options { lane_bytes: 4 << 20, lanes: 4, ..Bus::new(1).options },
        ..Bus::new(1)
    };
    let mut drain = bus.drain();
    let mut lanes = [bus.lane(), bus.lane()];
    for i in 0..5000 {
        put(&mut lanes[i % 2], format!("{i}").as_bytes()).unwrap();
    }
    for lane in &mut lanes {
        lane.publish();
    }
    let first: Vec<_> = drain
        .next_batch()
        .records()
        .map(|r| String::from_utf8_lossy(r.payload).into_owned())
        .collect();
    assert_eq!(first.len(), hookring_bus::drain::MAX_BATCH_RECORDS);
    drain.release();
    let all: Vec<_> = first.into_iter().chain(drain_all(&mut drain)).collect();
    assert_eq!(all, (0..5000).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_slot_filled_in_place_shows_what_was_put_and_nothing_if_dropped() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    let mut slot = lane.reserve(100).unwrap();
    assert!(lane.fill(&mut slot, b"in "));
    assert!(lane.fill(&mut slot, b"place"));
    assert!(!lane.fill(&mut slot, &[0; 100]));
    let header = RecordHeader { stamp_ns: sys::boottime_ns(), ..Default::default() };
    lane.commit(slot, &header);
    lane.publish();
    let mut aborted = lane.reserve(100).unwrap();
    assert!(lane.fill(&mut aborted, b"never"));
    publish(&mut lane, b"after");
    assert_eq!(drain_all(&mut drain), ["in place", "after"]);
}

/// A journal knows of records, not of pads: a reader that zeroed a pad and died before it moved the
/// head would leave zeros for its successor, which would take them for damage.
#[test]
fn a_pad_is_released_together_with_the_record_behind_it() {
    let mut bus = Bus::new(2);
    bus.options.spool_bytes = 4 << 20;
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    let payload = [b'x'; 6000];
    publish(&mut lane, &payload);
    drain_all(&mut drain);
    bus.spool(&vec![b'y'; MAX_BATCH_BYTES - 1]);
    publish(&mut lane, &payload);
    // Does not fit before the end of the lane's 16 KiB: a pad comes first.
    publish(&mut lane, &payload);
    for taken in [2, 1] {
        let batch = drain.next_batch();
        assert_eq!(batch.len(), taken);
        let last = batch.records().last().map(|record| record.origin.clone());
        drain.release();
        let end = drain.ends().into_iter().find(|end| end.lane == lane.lane() as u16);
        assert_eq!(last, end.map(Origin::Lane));
    }
    assert_eq!(drain.counts().lane_records, 3);
}

#[test]
fn a_spool_that_is_removed_cut_off_or_loses_its_counters_goes_on() {
    type Harm = fn(&std::path::Path);
    let harms: [(&str, Harm); 3] = [
        ("removed", |spool| std::fs::remove_dir_all(spool).unwrap()),
        ("counters removed", |spool| std::fs::remove_file(spool.join("usage")).unwrap()),
        ("counters cut off", |spool| {
            let usage = std::fs::OpenOptions::new().write(true).open(spool.join("usage")).unwrap();
            usage.set_len(0).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        bus.spool(b"before");
        assert_eq!(drain_all(&mut drain), ["before"], "{what}");
        harm(&bus.temp.path().join("spool"));
        bus.spool(b"after");
        drain.report();
        drain.maintain();
        assert_eq!(drain_all(&mut drain), ["after"], "{what}");
        assert_eq!(drain.report()[0].spool_bytes, 0, "{what}");
    }
}

#[test]
fn a_name_with_a_stamp_that_cannot_be_is_no_entry() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let name = format!("{}-{}", "9".repeat(20), "0".repeat(32));
    std::fs::write(bus.temp.path().join("spool").join(name), b"x").unwrap();
    assert_eq!(drain_all(&mut drain), Vec::<String>::new());
    // It would return at once, for ever, if it took the name for work.
    let begin = std::time::Instant::now();
    drain.wait(std::time::Duration::from_millis(100));
    assert!(begin.elapsed() >= std::time::Duration::from_millis(90));
}

#[test]
fn a_ring_opened_late_is_recovered_as_one_opened_at_the_start() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    bus.hook(b"journaled").unwrap();
    let batch = drain.next_batch();
    let Origin::Lane(end) = batch.records().next().unwrap().origin.clone() else {
        panic!("from a lane")
    };
    drop(drain);
    bus.hook(b"owed").unwrap();
    // Out of sight at the start, as it is for a daemon without descriptors.
    let away = bus.temp.path().join("away");
    std::fs::rename(bus.ring_path(), &away).unwrap();
    std::fs::create_dir(bus.ring_path()).unwrap();
    let mut drain = bus.drain();
    drain.recover(&[end], Vec::new());
    assert!(drain.report()[0].ring_error.is_some());
    std::fs::remove_dir(bus.ring_path()).unwrap();
    std::fs::rename(&away, bus.ring_path()).unwrap();
    drain.maintain();
    assert_eq!(drain_all(&mut drain), ["owed"]);
}
