//! What producers may take and put, and what is left of it.

use crate::bus::{Bus, drain_all, message, publish, put};
use hookring_bus::oneshot::NotTaken;
use hookring_bus::owned::{OwnedLane, PutError};
use hookring_bus::record::RecordHeader;
use hookring_bus::sys;

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
fn a_hook_that_found_every_lane_full_keeps_none() {
    let bus = Bus::new(4);
    let mut drain = bus.drain();
    while bus.hook(&[7; 4000]).is_ok() {}
    let stopped = bus.open_ring();
    let mut event = message(&[7; 4000]);
    assert_eq!(stopped.publish(&mut event, 0), Err(NotTaken::Busy));
    drain_all(&mut drain);
    assert_eq!(drain.report()[0].locked_lanes, 0);
    assert_eq!(bus.hook(b"another's"), Ok(()));
    drain_all(&mut drain);
    drop(stopped);
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
fn consumed_bytes_are_zeroed_round_the_lanes_end_too() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    // 1088 bytes each, of 16 KiB: what the second time releases goes over the end.
    for count in [7, 9] {
        (0..count).for_each(|_| publish(&mut lane, &[b'x'; 1000]));
        assert_eq!(drain_all(&mut drain).len(), count);
        let bytes = std::fs::read(bus.ring_path()).unwrap();
        let data = &bytes[bus.geometry().lane_offset(0) as usize..];
        assert!(data.iter().all(|byte| *byte == 0));
    }
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
