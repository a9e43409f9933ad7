//! A spool that is damaged or removed.

use crate::bus::{Bus, drain_all, message, record};
use hookring_bus::atomic::Ordering;
use hookring_bus::crc::Crc32c;
use hookring_bus::create;
use hookring_bus::drain::Drain;
use hookring_bus::ident::Ids;
use hookring_bus::oneshot::{self, OneShot};
use hookring_bus::record::{RecordHeader, SPOOL_POSITION, kind};
use hookring_bus::spool::{self, Spooled, Usage};
use hookring_bus::sys;
use std::os::unix::fs::PermissionsExt;

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
fn entries_that_cannot_be_are_set_aside_whatever_their_check_sum() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let spool = bus.temp.path().join("spool");
    let entries = [
        record(SPOOL_POSITION, b"good", |_| {}),
        record(0, b"of a lane", |_| {}),
        record(SPOOL_POSITION, b"a pad", |header| header.kind = kind::PAD),
        record(SPOOL_POSITION, b"too long", |header| header.payload_bytes -= 1),
        record(SPOOL_POSITION, b"too short", |header| header.payload_bytes += 1),
    ];
    let path = |number: usize| spool.join(format!("{number:020}-{}", "0".repeat(32)));
    for (number, entry) in entries.iter().enumerate() {
        std::fs::write(path(number), entry).unwrap();
        // Others could read it, until it is read.
        std::fs::set_permissions(path(number), PermissionsExt::from_mode(0o644)).unwrap();
    }
    // More than memory holds: it is not even read.
    let huge = std::fs::File::create(path(entries.len())).unwrap();
    huge.set_len(1 << 43).unwrap();
    let batch = drain.next_batch();
    let texts: Vec<_> = batch.records().map(|record| record.payload.to_vec()).collect();
    assert_eq!(texts, [b"good"]);
    let mode = std::fs::metadata(path(0)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drain.release();
    assert_eq!(drain.counts().bad_spool_entries, entries.len() as u64);
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

/// Limits are kept only where hooks find counters that they can use.
fn is_limit_kept(bus: &Bus) -> bool {
    let payload = vec![b'x'; bus.options.spool_bytes as usize];
    let header = RecordHeader { stamp_ns: sys::boottime_ns(), ..message(&payload).header };
    let place = bus.places().open(0).unwrap();
    let uid = sys::effective_uid();
    let stored = spool::store(&place, uid, header, b"", &payload, Crc32c::fastest());
    stored == Ok(Spooled::Dropped)
}

#[test]
fn a_spool_that_was_opened_to_others_is_closed_and_used_again() {
    for is_running in [false, true] {
        let bus = Bus::new(1);
        let running = Some(bus.drain()).filter(|_| is_running);
        let spool = bus.temp.path().join("spool");
        std::fs::set_permissions(&spool, PermissionsExt::from_mode(0o755)).unwrap();
        let mut drain = running.unwrap_or_else(|| bus.drain());
        drain.maintain();
        bus.spool(b"after");
        assert_eq!(drain_all(&mut drain), ["after"]);
        assert_eq!(drain.report()[0].spool_error, None);
        assert_eq!(std::fs::metadata(&spool).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn counters_that_were_opened_to_others_are_closed_by_the_next_who_counts_and_keep_the_limit() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    let usage = bus.temp.path().join("spool/usage");
    let mode = || std::fs::metadata(&usage).unwrap().permissions().mode() & 0o777;
    std::fs::set_permissions(&usage, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(is_limit_kept(&bus));
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&usage, PermissionsExt::from_mode(0o666)).unwrap();
    drain.maintain();
    assert_eq!(mode(), 0o600);
    assert_eq!(drain.report()[0].spool_dropped_events, 1);
}

#[test]
fn what_was_dropped_is_counted_once_where_a_spool_is_away_for_a_while() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    assert!(is_limit_kept(&bus));
    let (spool, away) = (bus.temp.path().join("spool"), bus.temp.path().join("away"));
    for is_place in [true, false, true] {
        if is_place {
            std::fs::set_permissions(bus.temp.path(), PermissionsExt::from_mode(0o755)).unwrap();
        } else {
            std::fs::rename(&spool, &away).unwrap();
            std::fs::write(&spool, "in its place").unwrap();
        }
        drain.maintain();
        assert_eq!(drain.report()[0].spool_dropped_events, 1);
        std::fs::set_permissions(bus.temp.path(), PermissionsExt::from_mode(0o700)).unwrap();
        if !is_place {
            std::fs::remove_file(&spool).unwrap();
            std::fs::rename(&away, &spool).unwrap();
        }
        drain.maintain();
        assert_eq!(drain.report()[0].spool_dropped_events, 1);
    }
    assert!(is_limit_kept(&bus));
    assert_eq!(drain.report()[0].spool_dropped_events, 2);
}

#[test]
fn what_is_called_like_the_counters_and_is_no_file_of_the_users_is_put_away() {
    type Put = fn(&std::path::Path);
    let strangers: [(&str, Put); 3] = [
        ("a directory", |path| std::fs::create_dir(path).unwrap()),
        ("a link", |path| std::os::unix::fs::symlink("/nonexistent", path).unwrap()),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
    ];
    for (what, put) in strangers {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        let spool = bus.temp.path().join("spool");
        std::fs::remove_file(spool.join("usage")).unwrap();
        put(&spool.join("usage"));
        drain.maintain();
        assert!(is_limit_kept(&bus), "{what}");
        assert_eq!(drain.report()[0].spool_dropped_events, 1, "{what}");
        assert!(std::fs::symlink_metadata(spool.join("usage.bad")).is_ok(), "{what}");
        bus.spool(b"after");
        assert_eq!(drain_all(&mut drain), ["after"], "{what}");
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
fn a_cause_in_a_new_spool_comes_before_its_effect_in_the_ring() {
    type Harm = fn(&std::path::Path);
    let harms: [(&str, Harm); 4] = [
        ("spool removed", |place| std::fs::remove_dir_all(place.join("spool")).unwrap()),
        ("counters removed", |place| std::fs::remove_file(place.join("spool/usage")).unwrap()),
        ("spool moved away", |place| {
            std::fs::rename(place.join("spool"), place.join("elsewhere")).unwrap();
        }),
        ("counters replaced", |place| {
            std::fs::rename(place.join("spool/usage"), place.join("spool/elsewhere")).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        bus.spool(b"before");
        assert_eq!(drain_all(&mut drain), ["before"], "{what}");
        // The reader has looked after its places more than once since.
        for _ in 0..3 {
            drain.maintain();
            drain.next_batch();
            drain.release();
        }
        harm(bus.temp.path());
        bus.spool(b"cause");
        bus.hook(b"effect").unwrap();
        assert_eq!(drain_all(&mut drain), ["cause", "effect"], "{what}");
    }
}

#[test]
fn a_place_that_a_hook_makes_again_is_seen_by_the_next_look_at_the_places() {
    let mut bus = Bus::new(1);
    let place = bus.temp.path().join("place");
    bus.place = Some(place.clone());
    let mut drain = bus.drain();
    for _ in 0..3 {
        drain.maintain();
        drain_all(&mut drain);
    }
    std::fs::remove_dir_all(&place).unwrap();
    bus.places().create(0).unwrap();
    bus.spool(b"event");
    drain.maintain();
    assert_eq!(drain_all(&mut drain), ["event"]);
}

/// As a daemon does before it stops.
#[test]
fn a_look_into_the_spools_finds_what_nobody_announced() {
    let bus = Bus::new(1);
    let mut drain = settled(&bus);
    std::fs::remove_file(bus.ring_path()).unwrap();
    std::fs::remove_dir_all(bus.temp.path().join("spool")).unwrap();
    bus.spool_unannounced(b"event");
    drain.look_into_spools();
    assert_eq!(drain_all(&mut drain), ["event"]);
    assert!(drain.is_done_until(0));
}

#[test]
fn an_entry_that_is_stored_behind_the_rounds_clock_waits_for_the_next_whatever_was_replaced() {
    for replaced in ["spool", "ring"] {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        assert_eq!(drain_all(&mut drain), [""; 0]);
        std::fs::rename(bus.temp.path().join(replaced), bus.temp.path().join("aside")).unwrap();
        // Behind any clock that the round can have read; what caused it may be, too.
        bus.spool_at(sys::boottime_ns() + 3_600_000_000_000, b"late");
        assert!(drain.next_batch().is_empty(), "{replaced}: given out before what it may follow");
        drain.release();
        assert_eq!(drain.counts().clamped_stamps, 0, "{replaced}");
        assert_eq!(drain_all(&mut drain), ["late"], "{replaced}");
        assert_eq!(drain.counts().clamped_stamps, 1, "{replaced}");
    }
}

/// A reader that has looked after its places since it began.
fn settled(bus: &Bus) -> Drain {
    let mut drain = bus.drain();
    for _ in 0..3 {
        drain.maintain();
        drain_all(&mut drain);
    }
    drain
}

/// A hook that has this ring mapped stores in a new spool; then another hook publishes.
fn store_in_a_new_spool(bus: &Bus, ring: &OneShot) {
    std::fs::remove_dir_all(bus.temp.path().join("spool")).unwrap();
    bus.spool_unannounced(b"cause");
    oneshot::announce_stored(&bus.places(), Some(ring.control()));
    bus.hook(b"effect").unwrap();
}

#[test]
fn a_spool_that_is_replaced_under_a_hook_on_its_way_costs_no_order() {
    let bus = Bus::new(1);
    let mut drain = settled(&bus);
    let ring = bus.open_ring();
    store_in_a_new_spool(&bus, &ring);
    assert_eq!(drain_all(&mut drain), ["cause", "effect"]);
    // Whatever was announced before.
    drain.maintain();
    store_in_a_new_spool(&bus, &ring);
    assert_eq!(drain_all(&mut drain), ["cause", "effect"]);
}

#[test]
fn a_ring_that_is_replaced_under_a_hook_on_its_way_costs_no_order() {
    for rounds_since in 0..4 {
        let mut bus = Bus::new(1);
        let mut drain = settled(&bus);
        let ring = bus.open_ring();
        bus.options.lanes = 2;
        drain.set_options(bus.options);
        drain.maintain();
        for _ in 0..rounds_since {
            drain_all(&mut drain);
            drain.maintain();
        }
        store_in_a_new_spool(&bus, &ring);
        assert_eq!(drain_all(&mut drain), ["cause", "effect"], "{rounds_since}");
    }
}

/// The reader looks after its places in the middle of a round. That is no second look at who stands still.
#[test]
fn a_ring_that_is_replaced_has_no_hook_in_the_middle_of_a_store_taken_for_dead() {
    let bus = Bus::new(1);
    let mut drain = settled(&bus);
    let (place, uid) = (bus.places().open(0).unwrap(), sys::effective_uid());
    let usage = Usage::open(&spool::open(&place, uid).unwrap(), uid).unwrap();
    let link = |payload: &[u8]| {
        let mut message = message(payload);
        message.stamp(&mut Ids::new(create::random_seed()), 0);
        spool::store_uncounted(&place, uid, message.header, b"", payload).unwrap();
    };
    usage.begun_stores().fetch_add(2, Ordering::SeqCst);
    drain.maintain();
    std::fs::remove_file(bus.ring_path()).unwrap();
    link(b"one");
    assert_eq!(drain_all(&mut drain), ["one"]);
    link(b"cause");
    bus.hook(b"effect").unwrap();
    assert_eq!(drain_all(&mut drain), ["cause", "effect"]);
}
