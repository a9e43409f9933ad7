//! A producer whose ring has lost its name while a daemon still reads it, or who cannot ask whether one
//! does: nothing is lost and nothing comes out of order, whichever of the two dies.

mod bus;

use bus::{Bus, drain_all, in_child, payloads, wait_for, wait_until_no_ring_is_retired};
use hookring_producer::{Producer, PublishError, Published};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A forked child has every descriptor of this process, so that a reader which another test drops
/// meanwhile would live on in it.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes numbered events, `count` of them with one store.
fn publish(producer: &mut Producer, sent: &mut Vec<String>, count: usize) -> usize {
    let texts: Vec<_> = (0..count).map(|i| format!("event {}", sent.len() + i)).collect();
    let in_ring = producer.publish_batch(texts.iter().map(String::as_bytes)).unwrap();
    sent.extend(texts);
    in_ring
}

#[test]
fn what_a_daemon_retires_without_a_name_and_does_not_live_to_take_is_moved() {
    let _alone = alone();
    for count in [1, 32] {
        let bus = Bus::new();
        let mut drain = bus.drain();
        let mut producer = bus.producer();
        let mut sent = Vec::new();
        std::fs::remove_file(bus.ring()).unwrap();
        drain.maintain();
        // Sees that the ring is retired, and that a daemon reads it.
        assert_eq!(publish(&mut producer, &mut sent, count), count);
        assert_eq!(publish(&mut producer, &mut sent, count), count);
        drop(drain);
        drop(producer);
        let events = bus.events();
        assert_eq!(payloads(&events), sent);
        assert!(events.iter().all(|event| event.is_spooled));
    }
}

#[test]
fn a_producer_that_lives_on_moves_it_by_itself_and_keeps_the_order() {
    let _alone = alone();
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    let mut sent = Vec::new();
    std::fs::remove_file(bus.ring()).unwrap();
    drain.maintain();
    publish(&mut producer, &mut sent, 1);
    drop(drain);
    let mut drain = bus.drain();
    let mut found = wait_for("the events to be moved", || {
        publish(&mut producer, &mut sent, 1);
        Some(payloads(&drain_all(&mut drain))).filter(|found| !found.is_empty())
    });
    publish(&mut producer, &mut sent, 3);
    found.extend(payloads(&drain_all(&mut drain)));
    assert_eq!(found, sent);
}

#[test]
fn once_the_daemon_has_taken_everything_the_producer_goes_to_the_new_ring() {
    let _alone = alone();
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    let mut sent = Vec::new();
    std::fs::remove_file(bus.ring()).unwrap();
    drain.maintain();
    publish(&mut producer, &mut sent, 2);
    publish(&mut producer, &mut sent, 2);
    assert_eq!(drain.report()[0].locked_lanes, 0, "it keeps to the old ring");
    let mut found = payloads(&drain_all(&mut drain));
    publish(&mut producer, &mut sent, 1);
    assert_eq!(drain.report()[0].locked_lanes, 1, "in the new ring");
    // An event that is filled in place finds its way as well.
    std::fs::remove_file(bus.ring()).unwrap();
    found.extend(payloads(&drain_all(&mut drain)));
    drain.maintain();
    publish(&mut producer, &mut sent, 1);
    found.extend(payloads(&drain_all(&mut drain)));
    let mut slot = producer.reserve(100).unwrap();
    assert!(slot.put(b"in place"));
    assert_eq!(slot.commit(), Some(Published::Ring));
    sent.push("in place".to_owned());
    assert_eq!(drain.report()[0].locked_lanes, 1, "in the newest ring");
    found.extend(payloads(&drain_all(&mut drain)));
    assert_eq!(found, sent);
    wait_until_no_ring_is_retired(&mut drain);
}

#[test]
fn what_overflows_from_a_removed_ring_comes_behind_what_is_in_it() {
    let _alone = alone();
    // Too large for a lane: goes to the spool whatever room there is. And one after another until the
    // lane is full.
    for bytes in [200_000, 4_000] {
        let bus = Bus::new();
        drop(bus.drain());
        let mut producer = bus.producer();
        let mut sent = Vec::new();
        publish(&mut producer, &mut sent, 10);
        std::fs::remove_file(bus.ring()).unwrap();
        let mut drain = bus.drain();
        loop {
            let text = format!("{} {}", sent.len(), "x".repeat(bytes));
            let published = producer.publish(text.as_bytes()).unwrap();
            sent.push(text);
            if published == Published::Spool {
                break;
            }
            assert!(sent.len() < 1000, "the lane is never full");
        }
        assert!(payloads(&drain_all(&mut drain)) == sent, "all of them, in their order");
    }
}

// Elsewhere a lock goes with its descriptor, so that a host that closes it gives the lane away.
#[cfg(all(target_os = "linux", not(hookring_portable)))]
#[test]
fn a_host_that_closed_the_descriptors_before_the_ring_was_removed_loses_nothing() {
    let _alone = alone();
    for ends_at_once in [true, false] {
        let bus = Bus::new();
        let list = bus.path().join("sent");
        in_child(|| {
            let mut producer = bus.producer();
            let mut sent = Vec::new();
            publish(&mut producer, &mut sent, 10);
            // SAFETY: the child uses none of the descriptors that are open now.
            assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) }, 0);
            std::fs::remove_file(bus.ring()).unwrap();
            if !ends_at_once {
                wait_for("a new ring", || {
                    publish(&mut producer, &mut sent, 1);
                    bus.ring().exists().then_some(())
                });
            }
            drop(producer);
            std::fs::write(&list, sent.join("\n")).unwrap();
        });
        let sent = std::fs::read_to_string(&list).unwrap();
        assert_eq!(payloads(&bus.events()), sent.lines().collect::<Vec<_>>());
    }
}

// As above.
#[cfg(all(target_os = "linux", not(hookring_portable)))]
#[test]
fn what_is_dropped_is_not_called_counted_in_a_ring_that_perhaps_nobody_reads() {
    let _alone = alone();
    let bus = Bus::new();
    in_child(|| {
        let mut producer = bus.producer();
        publish(&mut producer, &mut Vec::new(), 1);
        // SAFETY: the child uses none of the descriptors that are open now.
        assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) }, 0);
        std::fs::remove_file(bus.ring()).unwrap();
        std::fs::write(bus.path().join("spool"), "a file").unwrap();
        let error = producer.publish(vec![0; 200_000].as_slice()).unwrap_err();
        assert!(producer.has_lane(), "it waits to see whether somebody reads");
        assert!(matches!(error, PublishError::Spool { is_counted: false, .. }), "{error}");
    });
}

/// Sets this process a limit for the size of its files, beyond which SIGXFSZ comes.
fn limit_file_bytes(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: a live limit, for a child alone.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
}

/// Whether this thread blocks SIGXFSZ, and whether one is pending.
fn file_signal() -> (bool, bool) {
    let mut sets = [std::mem::MaybeUninit::<libc::sigset_t>::zeroed(); 2];
    // SAFETY: room for a set; no other mask is asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), sets[0].as_mut_ptr()) };
    // SAFETY: room for a set.
    unsafe { libc::sigpending(sets[1].as_mut_ptr()) };
    let [blocked, pending] = sets.map(|set| {
        // SAFETY: a set, if only an empty one.
        unsafe { libc::sigismember(set.as_ptr(), libc::SIGXFSZ) == 1 }
    });
    (blocked, pending)
}

#[test]
fn a_limit_for_the_size_of_files_ends_no_host() {
    use hookring_bus::{place::Places, spool, sys};
    use std::os::unix::ffi::OsStrExt;
    let _alone = alone();
    for has_ring in [false, true] {
        let bus = Bus::new();
        if has_ring {
            drop(bus.drain());
        }
        in_child(|| {
            limit_file_bytes(10 * 1024);
            let mut producer = Producer::open_in(bus.path()).unwrap();
            assert_eq!(producer.has_lane(), has_ring);
            producer.publish(b"small".as_slice()).unwrap();
            assert!(producer.publish(vec![b'x'; 200_000].as_slice()).is_err());
            assert_eq!(file_signal(), (false, false));
        });
        let left = std::fs::read_dir(bus.path()).unwrap().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().contains("new-"));
        assert_eq!(left.count(), 0);
        let uid = sys::effective_uid();
        let place = Places::new(Some(bus.path().as_os_str().as_bytes()), uid).open(0).unwrap();
        let usage = spool::Usage::open(&spool::open(&place, uid).unwrap(), uid).unwrap();
        let in_spool = usage.dropped_events().load(std::sync::atomic::Ordering::Relaxed);
        let mut drain = bus.drain();
        assert_eq!(payloads(&drain_all(&mut drain)), ["small"]);
        assert_eq!(in_spool + drain.report()[0].dropped_events, 1);
    }
}

// Elsewhere the temporary file has a name, which the reader removes.
#[cfg(all(target_os = "linux", not(hookring_portable)))]
#[test]
fn whoever_dies_while_it_makes_a_ring_leaves_no_file() {
    use hookring_bus::{create, place::Places, sys};
    use std::os::unix::ffi::OsStrExt;
    let _alone = alone();
    let bus = Bus::new();
    let place = Places::new(Some(bus.path().as_os_str().as_bytes()), sys::effective_uid());
    let place = place.open(0).unwrap();
    let geometry = create::geometry(create::DEFAULT_LANES, create::DEFAULT_LANE_BYTES);
    // SAFETY: the child makes system calls only.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        limit_file_bytes(0);
        let _ = create::ring(&place, &geometry);
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFSIGNALED(status), "killed in the middle of it");
    assert_eq!(std::fs::read_dir(bus.path()).unwrap().count(), 0);
}
