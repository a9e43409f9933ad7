//! A producer in a ring that nobody reads any more: removed, or set aside for damage.

mod bus;

use bus::{Bus, drain_all, payloads};
use std::sync::{Mutex, MutexGuard, PoisonError};

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("event {i}")).collect()
}

/// A forked child has every descriptor of this process, so that a reader which another test drops
/// meanwhile would live on in it: a test that forks, or drops a reader and counts on that, has this.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps every descriptor of this process open in a forked child, which does nothing, until this is
/// dropped.
struct IdleChild {
    pid: i32,
}

impl IdleChild {
    fn fork() -> IdleChild {
        // SAFETY: the child makes system calls only.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            loop {
                // SAFETY: only waits.
                unsafe { libc::pause() };
            }
        }
        IdleChild { pid }
    }
}

impl Drop for IdleChild {
    fn drop(&mut self) {
        // SAFETY: a child that was not waited for yet.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        let mut status = 0;
        // SAFETY: `status` is a live integer.
        unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
    }
}

#[test]
fn what_a_dead_daemon_journaled_and_did_not_release_is_not_given_out_again_after_the_move() {
    let _alone = alone();
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    producer.publish(b"journaled".as_slice()).unwrap();
    let journaled = drain.next_batch().records().map(|record| record.header.id).collect();
    producer.publish(b"not journaled".as_slice()).unwrap();
    drop(drain);
    std::fs::remove_file(bus.ring()).unwrap();
    // It cannot know what the daemon did, and moves both to the spool.
    drop(producer);
    let mut drain = bus.drain();
    drain.recover(&[], journaled);
    assert_eq!(payloads(&drain_all(&mut drain)), ["not journaled"]);
    assert_eq!(drain.counts().journaled_spool_entries, 1);
}

#[test]
fn producers_that_leave_a_removed_ring_at_once_all_take_along_what_is_theirs() {
    const PRODUCERS: usize = 8;
    let bus = Bus::new();
    let mut expected = Vec::new();
    let mut producers: Vec<_> = (0..PRODUCERS).map(|_| bus.producer()).collect();
    for (i, producer) in producers.iter_mut().enumerate() {
        for text in texts(100) {
            let text = format!("{i}: {text}");
            producer.publish(text.as_bytes()).unwrap();
            expected.push(text);
        }
    }
    std::fs::remove_file(bus.ring()).unwrap();
    let barrier = std::sync::Barrier::new(PRODUCERS);
    std::thread::scope(|scope| {
        for producer in producers {
            scope.spawn(|| {
                barrier.wait();
                drop(producer);
            });
        }
    });
    let mut found = payloads(&bus.events());
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_child_that_idles_keeps_nobody_in_a_removed_ring() {
    let _alone = alone();
    let bus = Bus::new();
    let mut first = bus.producer();
    let mut second = bus.producer();
    first.publish(b"the first's".as_slice()).unwrap();
    second.publish(b"the second's".as_slice()).unwrap();
    // It has the first's descriptors, and may have them for hours.
    let child = IdleChild::fork();
    std::fs::remove_file(bus.ring()).unwrap();
    drop(first);
    drop(second);
    assert_eq!(payloads(&bus.events()), ["the first's", "the second's"]);
    drop(child);
}

/// Elsewhere a lock lives in the descriptors, which a child has, too.
#[cfg(all(target_os = "linux", not(hookring_portable)))]
#[test]
fn a_child_that_idles_keeps_no_lane_locked() {
    let _alone = alone();
    let bus = Bus::new();
    let drain = bus.drain();
    let producer = bus.producer();
    let locked_lanes = || drain.report()[0].locked_lanes;
    assert_eq!(locked_lanes(), 1);
    let child = IdleChild::fork();
    drop(producer);
    assert_eq!(locked_lanes(), 0);
    drop(child);
}

/// Zeros over the header of the ring, whose sizes nobody knows then.
fn damage_header(bus: &Bus) {
    let file = std::fs::OpenOptions::new().write(true).open(bus.ring()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 96], 0).unwrap();
}

#[test]
fn what_is_in_a_ring_that_was_set_aside_comes_once_whoever_dies_first() {
    let _alone = alone();
    let bus = Bus::new();
    drop(bus.drain());
    let mut producer = bus.producer().with_crc();
    producer.publish(b"in the damaged ring".as_slice()).unwrap();
    damage_header(&bus);
    // Sets it aside and dies.
    drop(bus.drain());
    producer.publish(b"when no daemon ran".as_slice()).unwrap();
    producer.publish(b"in the new ring".as_slice()).unwrap();
    drop(producer);
    let events = bus.events();
    let expected = ["in the damaged ring", "when no daemon ran", "in the new ring"];
    assert_eq!(payloads(&events), expected);
    assert!(events.iter().all(|event| !event.is_spooled));
}

#[test]
fn what_a_dead_daemon_journaled_of_a_ring_set_aside_is_not_given_out_again_after_the_move() {
    let _alone = alone();
    let bus = Bus::new();
    drop(bus.drain());
    let mut producer = bus.producer().with_crc();
    producer.publish(b"journaled".as_slice()).unwrap();
    damage_header(&bus);
    let mut drain = bus.drain();
    let journaled: Vec<_> = drain.next_batch().records().map(|record| record.header.id).collect();
    assert_eq!(journaled.len(), 1);
    drain.release();
    // A segment that is begun now holds nothing of it but this.
    assert_eq!(drain.stuck_ids(), journaled);
    drop(drain);
    for entry in std::fs::read_dir(bus.path()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("ring") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    producer.publish(b"not journaled".as_slice()).unwrap();
    drop(producer);
    let mut drain = bus.drain();
    drain.recover(&[], journaled);
    assert_eq!(payloads(&drain_all(&mut drain)), ["not journaled"]);
    assert_eq!(drain.counts().journaled_spool_entries, 1);
}

#[test]
fn what_overflows_from_a_removed_ring_comes_behind_what_is_unread_there() {
    let bus = Bus::new();
    let mut producer = bus.producer();
    let mut expected = texts(3);
    for text in &expected {
        producer.publish(text.as_bytes()).unwrap();
    }
    std::fs::remove_file(bus.ring()).unwrap();
    // Too large for any lane, and found by a reader before the producer looks around by itself.
    let large = "x".repeat(1 << 20);
    producer.publish(large.as_bytes()).unwrap();
    let found = payloads(&bus.events());
    expected.push(large);
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "another order");
    assert!(producer.has_lane());
}
