//! Looking into a place without reading it.

use crate::bus::{Bus, drain_all, noise};
use hookring_bus::drain::{PlaceReport, look};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

fn look_at(bus: &Bus) -> PlaceReport {
    let mut places = look(&bus.places());
    assert_eq!(places.len(), 1);
    places.remove(0)
}

#[test]
fn what_waits_is_seen_and_left_as_it_is() {
    let mut bus = Bus::new(2);
    drop(bus.drain());
    bus.hook(b"in the old ring").unwrap();
    bus.options.lanes = 4;
    drop(bus.drain());
    bus.hook(b"in the ring").unwrap();
    let lane = bus.lane();
    lane.control().dropped().fetch_add(3, Ordering::Relaxed);
    (0..3).for_each(|_| bus.spool(b"spooled"));
    let spool = bus.temp.path().join("spool");
    std::fs::write(spool.join(".unreadable-x"), b"x").unwrap();
    let seen = look_at(&bus);
    assert_eq!((seen.lanes, seen.locked_lanes, seen.retired_rings), (4, 1, 1));
    assert_eq!((seen.used_bytes, seen.dropped_events), (2 * 128, 3));
    assert_eq!((seen.spool_entries, seen.spool_bytes), (3, 3 * 71));
    assert_eq!(seen.unreadable_spool_entries, 1);
    assert_eq!((seen.refused, seen.ring_error, seen.spool_error), (None, None, None));
    drop(lane);
    // A reader beside it changes nothing, nor does it disturb the reader.
    let mut drain = bus.drain();
    assert_eq!(look_at(&bus).used_bytes, 2 * 128);
    assert_eq!(drain_all(&mut drain).len(), 5);
    assert_eq!((look_at(&bus).used_bytes, look_at(&bus).spool_entries), (0, 0));
}

#[test]
fn nothing_is_created_and_each_refusal_is_told() {
    let mut bus = Bus::new(1);
    let seen = look_at(&bus);
    assert_eq!((seen.refused, seen.ring_error, seen.spool_error), (None, None, None));
    assert_eq!(bus.names(""), Vec::<String>::new());
    drop(bus.drain());
    bus.scribble(0, &noise(64));
    std::fs::set_permissions(bus.temp.path().join("spool"), PermissionsExt::from_mode(0o755))
        .unwrap();
    let seen = look_at(&bus);
    assert!(seen.ring_error.unwrap().contains("`hookring`"));
    assert!(seen.spool_error.unwrap().contains("0755"));
    bus.cut(10);
    assert!(look_at(&bus).ring_error.is_some());
    let place = bus.temp.path().to_owned();
    bus.place = Some(place.join("ring"));
    assert!(look_at(&bus).refused.unwrap().contains("not a directory"));
    bus.place = Some(place.join("none"));
    assert_eq!(look_at(&bus).refused.unwrap(), "missing");
    assert!(!place.join("none").exists());
    std::fs::set_permissions(&place, PermissionsExt::from_mode(0o750)).unwrap();
    bus.place = None;
    assert!(look_at(&bus).refused.unwrap().contains("0750"));
}
