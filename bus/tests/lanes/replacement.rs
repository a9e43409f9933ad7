//! Rings that are removed, replaced and emptied.

use crate::bus::{Bus, drain_all, noise, publish, put, wait_for, wait_until_no_ring_is_retired};
use hookring_bus::atomic::Ordering;
use hookring_bus::doorbell;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

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
    wait_until_no_ring_is_retired(&mut drain);
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
fn a_ring_whose_mode_was_opened_is_closed_emptied_and_replaced() {
    let open = |bus: &Bus| {
        std::fs::set_permissions(bus.ring_path(), PermissionsExt::from_mode(0o666)).unwrap();
    };
    for while_it_is_read in [false, true] {
        let bus = Bus::new(2);
        let mut drain = Some(bus.drain()).filter(|_| while_it_is_read);
        let mut lane = bus.lane();
        publish(&mut lane, b"before");
        bus.hook(b"a hook's").unwrap();
        open(&bus);
        assert!(bus.hook(b"x").is_err());
        bus.spool(b"spooled");
        if let Some(drain) = &mut drain {
            drain.maintain();
        }
        // A reader that dies over a ring it has retired leaves it readable for the next one.
        drop(drain);
        let mut drain = bus.drain();
        put(&mut lane, b"last").unwrap();
        assert!(lane.publish(), "the producer is told to leave");
        drop(lane);
        bus.hook(b"in a fresh ring").unwrap();
        let expected = ["before", "a hook's", "spooled", "last", "in a fresh ring"];
        assert_eq!(drain_all(&mut drain), expected, "{while_it_is_read}");
        if !while_it_is_read {
            assert_eq!(drain.counts().retired_rings, 1);
            let said = drain.report()[0].ring_damage.clone().unwrap().what;
            assert!(said.contains("0666"), "{said}");
        }
        assert_eq!(bus.names("ring.bad"), Vec::<String>::new());
    }
}

#[test]
fn what_producers_dropped_stays_counted_when_their_ring_is_replaced() {
    let mut bus = Bus::new(2);
    let mut drain = bus.drain();
    let lane = bus.lane();
    lane.control().dropped().fetch_add(3, std::sync::atomic::Ordering::Relaxed);
    bus.options.lanes = 4;
    drain.set_options(bus.options);
    drain.maintain();
    assert_eq!(drain.report()[0].dropped_events, 3, "while the old ring is emptied");
    lane.control().dropped().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    drop(lane);
    wait_until_no_ring_is_retired(&mut drain);
    bus.lane().control().dropped().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    drain.maintain();
    assert_eq!(drain.report()[0].dropped_events, 5);
    // Noise in the place of the count is no count.
    bus.scribble(0, &noise(4096));
    drain.maintain();
    assert_eq!(drain.report()[0].dropped_events, 5);
}

#[test]
fn an_old_ring_is_found_in_a_place_whose_name_is_not_text_and_goes_when_it_is_empty() {
    use std::os::unix::ffi::OsStrExt;
    let mut bus = Bus::new(2);
    bus.place = Some(bus.temp.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")));
    drop(bus.drain());
    bus.hook(b"in the small ring").unwrap();
    bus.options.lanes = 4;
    drop(bus.drain());
    let mut drain = bus.drain();
    assert_eq!(drain_all(&mut drain), ["in the small ring"]);
    wait_until_no_ring_is_retired(&mut drain);
    assert_eq!(bus.names("ring.old-"), Vec::<String>::new());
}

#[test]
fn an_old_ring_under_another_rings_name_goes_when_it_is_empty() {
    let mut bus = Bus::new(2);
    drop(bus.drain());
    bus.hook(b"in the small ring").unwrap();
    let wrong = format!("ring.old-{}", "7".repeat(32));
    std::fs::rename(bus.ring_path(), bus.temp.path().join(&wrong)).unwrap();
    bus.options.lanes = 4;
    let mut drain = bus.drain();
    assert_eq!(bus.names("ring.old-"), [wrong]);
    assert_eq!(drain_all(&mut drain), ["in the small ring"]);
    wait_until_no_ring_is_retired(&mut drain);
    assert_eq!(bus.names("ring.old-"), Vec::<String>::new());
}

#[test]
fn what_has_an_old_rings_name_and_is_another_file_stays() {
    let mut bus = Bus::new(2);
    let mut drain = bus.drain();
    bus.options.lanes = 4;
    drain.set_options(bus.options);
    drain.maintain();
    let old = bus.temp.path().join(&bus.names("ring.old-")[0]);
    std::fs::remove_file(&old).unwrap();
    std::fs::write(&old, b"somebody's").unwrap();
    wait_until_no_ring_is_retired(&mut drain);
    assert_eq!(std::fs::read(&old).unwrap(), b"somebody's");
}

#[test]
fn a_ring_that_was_never_finished_goes_once_its_maker_must_be_gone() {
    use std::time::{Duration, SystemTime};
    let bus = Bus::new(2);
    let path = |digit: &str| bus.temp.path().join(format!("ring.new-{}", digit.repeat(32)));
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let age = |file: &std::fs::File| file.set_modified(an_hour_ago).unwrap();
    age(&std::fs::File::create(path("1")).unwrap());
    let file = std::fs::File::create(path("2")).unwrap();
    let mut drain = bus.drain();
    let young = path("2").file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(bus.names("ring.new-"), [young], "the maker of the other may be at work");
    age(&file);
    drain.maintain();
    assert_eq!(bus.names("ring.new-"), Vec::<String>::new());
}

#[test]
fn what_is_no_file_and_called_ring_is_put_away_whatever_was_put_away_before() {
    let bus = Bus::new(2);
    let mut drain = None;
    for file in ["first", "second", "third"] {
        let _ = std::fs::remove_file(bus.ring_path());
        std::fs::create_dir(bus.ring_path()).unwrap();
        std::fs::write(bus.ring_path().join(file), b"somebody's").unwrap();
        drain.get_or_insert_with(|| bus.drain()).maintain();
        bus.hook(file.as_bytes()).expect("there is a ring");
    }
    let kept = bus.names("ring.bad");
    let kept = kept.iter().map(|name| std::fs::read_dir(bus.temp.path().join(name)).unwrap());
    let mut kept: Vec<_> = kept.flatten().map(|entry| entry.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["first", "second", "third"]);
    std::fs::remove_file(bus.ring_path()).unwrap();
    std::os::unix::fs::symlink("ring.bad", bus.ring_path()).unwrap();
    let mut drain = drain.unwrap();
    drain.maintain();
    bus.hook(b"fourth").expect("there is a ring");
    assert_eq!(drain_all(&mut drain), ["first", "second", "third", "fourth"]);
}

/// A link and a directory cannot be opened as a ring, and a directory not be renamed over a file.
#[test]
fn whatever_else_is_called_ring_makes_room_for_one() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let (ring, other) = (bus.ring_path(), bus.temp.path().join("other"));
    std::fs::write(&other, "noise").unwrap();
    for round in 1..=6 {
        std::fs::remove_file(&ring).unwrap();
        match round % 3 {
            0 => std::fs::write(&ring, "noise").unwrap(),
            1 => std::os::unix::fs::symlink(&other, &ring).unwrap(),
            _ => std::fs::create_dir_all(ring.join("not empty")).unwrap(),
        }
        drain.maintain();
        let report = drain.report().swap_remove(0);
        assert_eq!((report.lanes, report.ring_error), (1, None), "round {round}");
        bus.hook(b"later").unwrap();
        assert_eq!(drain_all(&mut drain), ["later"]);
    }
    assert!(bus.names("ring.bad").len() > 1, "nothing of it is removed");
}

#[test]
fn a_ring_whose_mode_keeps_its_user_out_is_opened_to_hooks_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let ring = bus.ring_path();
    for mode in [0o000, 0o400, 0o200] {
        std::fs::set_permissions(&ring, PermissionsExt::from_mode(mode)).unwrap();
        drain.maintain();
        assert_eq!(std::fs::metadata(&ring).unwrap().permissions().mode() & 0o7777, 0o600);
        std::fs::set_permissions(&ring, PermissionsExt::from_mode(mode)).unwrap();
        drop(drain);
        drain = bus.drain();
        drain.maintain();
        assert_eq!(std::fs::metadata(&ring).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(drain.counts().retired_rings, 0);
    }
}

#[test]
fn a_producer_that_has_not_left_a_retired_ring_wakes_the_reader() {
    let mut bus = Bus::new(1);
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    bus.options.lanes = 2;
    drain.set_options(bus.options);
    drain.maintain();
    assert_eq!(drain_all(&mut drain), [""; 0]);
    assert_eq!(drain.report()[0].retired_rings, 1);
    std::thread::scope(|scope| {
        // It ends because it is woken.
        let sleeper = scope.spawn(|| drain.wait(Duration::from_secs(600)));
        wait_for("the reader to be about to sleep", || {
            let bell = lane.control().doorbell().load(Ordering::Acquire);
            (bell & doorbell::SLEEPING != 0).then_some(())
        });
        publish(&mut lane, b"late");
        wait_for("the reader to wake", || sleeper.is_finished().then_some(()));
    });
    assert_eq!(drain_all(&mut drain), ["late"]);
}

#[test]
fn a_directory_that_was_away_is_used_again_whoever_still_holds_a_lane_of_its_ring() {
    type Move = fn(&std::path::Path);
    let moves: [(&str, Move, Move); 2] = [
        (
            "opened to others",
            |place| std::fs::set_permissions(place, PermissionsExt::from_mode(0o755)).unwrap(),
            |place| std::fs::set_permissions(place, PermissionsExt::from_mode(0o700)).unwrap(),
        ),
        (
            "moved",
            |place| std::fs::rename(place, place.with_extension("away")).unwrap(),
            |place| {
                std::fs::remove_dir_all(place).unwrap();
                std::fs::rename(place.with_extension("away"), place).unwrap();
            },
        ),
    ];
    for (what, away, back) in moves {
        let mut bus = Bus::new(4);
        let place = bus.temp.path().join("place");
        bus.place = Some(place.clone());
        let mut drain = bus.drain();
        let mut lane = bus.lane();
        publish(&mut lane, b"before");
        away(&place);
        drain.maintain();
        assert_eq!(drain_all(&mut drain), ["before"], "{what}");
        back(&place);
        drain.maintain();
        bus.hook(b"hook").unwrap();
        bus.spool(b"spooled");
        assert_eq!(drain_all(&mut drain), ["hook", "spooled"], "{what}");
        publish(&mut lane, b"late");
        assert_eq!(drain_all(&mut drain), ["late"], "{what}");
        drop(lane);
        wait_until_no_ring_is_retired(&mut drain);
        assert_eq!(bus.names("ring"), ["ring"], "{what}");
    }
}
