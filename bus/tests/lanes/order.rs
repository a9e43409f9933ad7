//! In which order events come out, and in how many batches.

use crate::bus::{Bus, drain_all, message, publish, put};
use hookring_bus::drain::Options;
use hookring_bus::record::RecordHeader;

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

/// A hook whose clock is ahead, and which goes to the lane behind `number`, or to the spool.
fn foreign_hook(bus: &Bus, number: u64, is_spooled: bool) {
    let text = number.to_string();
    let mut message = message(text.as_bytes());
    message.header.stamp_ns = u64::MAX / 4 + number;
    message.header.id = u128::from(number + 1).to_be_bytes();
    if is_spooled {
        bus.spool_with(message);
    } else {
        bus.hook_with(message, (number * 7) as u32).unwrap();
    }
}

#[test]
fn hooks_of_a_clock_that_is_ahead_come_out_in_its_order() {
    let bus = Bus::new(8);
    let mut drain = bus.drain();
    let expected: Vec<_> = (0..300u64).map(|number| number.to_string()).collect();
    for number in 0..300 {
        foreign_hook(&bus, number, number % 5 == 0);
    }
    assert_eq!(drain_all(&mut drain), expected);
    assert_eq!(drain.counts().clamped_stamps, 300);
    // The same while the reader reads.
    let mut found = Vec::new();
    for number in 0..300 {
        foreign_hook(&bus, number, number % 5 == 0);
        if number % 11 < 2 {
            let batch = drain.next_batch();
            found
                .extend(batch.records().map(|it| String::from_utf8_lossy(it.payload).into_owned()));
            drain.release();
        }
    }
    found.extend(drain_all(&mut drain));
    assert_eq!(found, expected);
}

#[test]
fn what_a_round_sees_late_of_a_clock_ahead_is_not_overtaken() {
    for is_spooled in [false, true] {
        let bus = Bus::new(8);
        let mut drain = bus.drain();
        foreign_hook(&bus, 2, !is_spooled);
        assert!(drain.next_batch().is_empty());
        drain.release();
        // Before the second by their clock, and seen only now; the third is behind it.
        foreign_hook(&bus, 1, is_spooled);
        foreign_hook(&bus, 3, is_spooled);
        let batch = drain.next_batch();
        let texts: Vec<_> = batch.records().map(|record| record.payload.to_vec()).collect();
        assert_eq!(texts, [b"1", b"2"]);
        assert!(batch.records().all(|record| record.stamp_ns < u64::MAX / 4));
        drain.release();
        assert_eq!(drain_all(&mut drain), ["3"]);
    }
}

#[test]
fn stamps_never_fall_within_a_lane() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    for stamp_ns in [100, 90, 110] {
        lane.put(&RecordHeader { stamp_ns, ..Default::default() }, b"", b"").unwrap();
    }
    lane.publish();
    let stamps: Vec<_> = drain.next_batch().records().map(|record| record.stamp_ns).collect();
    assert_eq!(stamps, [100, 100, 110]);
}

#[test]
fn a_batch_that_was_not_released_is_given_out_again_as_it_is() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    bus.hook(b"first").unwrap();
    assert_eq!(drain.next_batch().len(), 1);
    bus.hook(b"second").unwrap();
    assert_eq!(drain.next_batch().len(), 1);
    drain.release();
    assert_eq!(drain_all(&mut drain), ["second"]);
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

/// Whoever made it may spool what its lane does not take, and would overtake itself.
#[test]
fn what_is_spooled_comes_behind_what_stands_in_a_ring_that_is_new_to_the_reader() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain), [""; 0]);
    std::fs::remove_file(bus.ring_path()).unwrap();
    let place = bus.places().open(0).unwrap();
    hookring_bus::create::ring(&place, &bus.geometry()).unwrap();
    let mut lane = bus.lane();
    publish(&mut lane, b"first");
    bus.spool(b"second");
    publish(&mut lane, b"third");
    assert_eq!(drain_all(&mut drain), ["first", "second", "third"]);
}
