//! A producer that has to move: out of a full lane, out of a ring that is replaced or removed, into a
//! forked child, and on without its descriptors.

mod bus;

use bus::{
    Bus, drain_all, in_child, lose_spool, payloads, wait_for, wait_until_no_ring_is_retired,
};
use hookring_bus::drain::Options;
use hookring_bus::record::{MAX_PAYLOAD_BYTES, flag};
use hookring_producer::{Event, OpenError, Producer, PublishError, Published};
use std::process::exit;

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("event {i}")).collect()
}

#[test]
fn a_full_lane_overflows_into_the_spool_and_order_is_kept() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    let payload = |i: usize| format!("{i} {}", "x".repeat(4000));
    let mut sent = 0;
    let mut spooled = 0;
    while spooled < 20 {
        let published = producer.publish(payload(sent).as_bytes()).unwrap();
        spooled += usize::from(published == Published::Spool);
        sent += 1;
        assert!(sent < 1000, "the lane is never full");
    }
    let events = drain_all(&mut drain);
    assert_eq!(payloads(&events), (0..sent).map(payload).collect::<Vec<_>>());
    assert_eq!(events.iter().filter(|event| event.is_spooled).count(), spooled);
    assert_eq!(producer.publish(b"again".as_slice()).unwrap(), Published::Ring);
}

#[test]
fn what_it_stores_in_a_new_spool_comes_before_what_another_producer_publishes() {
    let bus = Bus::new();
    let mut producers = [bus.producer(), bus.producer()];
    let mut drain = bus.drain();
    lose_spool(&bus, &mut drain);
    assert_eq!(producers[0].publish([b'x'; 200_000].as_slice()).unwrap(), Published::Spool);
    assert_eq!(producers[1].publish(b"what follows".as_slice()).unwrap(), Published::Ring);
    let events = drain_all(&mut drain);
    assert_eq!(events.iter().map(|event| event.is_spooled).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn what_a_producer_without_a_lane_stores_comes_before_what_another_publishes() {
    let bus = Bus::new();
    let mut drain = bus.drain_with(Options { lanes: 2, ..Options::default() });
    let mut producers = [bus.producer(), Producer::open_in(bus.path()).unwrap()];
    assert!(!producers[1].has_lane());
    lose_spool(&bus, &mut drain);
    assert_eq!(producers[1].publish(b"cause".as_slice()).unwrap(), Published::Spool);
    assert_eq!(producers[0].publish(b"effect".as_slice()).unwrap(), Published::Ring);
    assert_eq!(payloads(&drain_all(&mut drain)), ["cause", "effect"]);
}

#[test]
fn two_producers_have_a_lane_each_and_their_events_come_out_by_time() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producers = [bus.producer(), bus.producer()];
    let texts = texts(200);
    for (i, text) in texts.iter().enumerate() {
        producers[i % 2].publish(text.as_bytes()).unwrap();
    }
    let events = drain_all(&mut drain);
    assert_eq!(payloads(&events), texts);
    assert!(events.iter().all(|event| !event.is_spooled));
}

#[test]
fn a_retired_ring_is_left_for_the_new_one() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    let texts = texts(4);
    producer.publish(texts[0].as_bytes()).unwrap();
    let mut options = hookring_bus::drain::Options::default();
    options.lanes /= 2;
    drain.set_options(options);
    drain.maintain();
    // The first goes to the old ring, whose retirement the producer sees then.
    for text in &texts[1..] {
        assert_eq!(producer.publish(text.as_bytes()).unwrap(), Published::Ring);
    }
    assert_eq!(payloads(&drain_all(&mut drain)), texts);
    wait_until_no_ring_is_retired(&mut drain);
}

#[test]
fn without_a_daemon_a_removed_ring_is_noticed_within_a_second_or_so() {
    let bus = Bus::new();
    let mut producer = bus.producer();
    let mut sent = vec!["in the removed ring".to_owned()];
    producer.publish(sent[0].as_bytes()).unwrap();
    std::fs::remove_file(bus.ring()).unwrap();
    // The producer looks once a second, and makes a new ring.
    wait_for("a new ring", || {
        let text = format!("event {}", sent.len());
        producer.publish(text.as_bytes()).unwrap();
        sent.push(text);
        bus.ring().exists().then_some(())
    });
    let events = bus.events();
    assert_eq!(payloads(&events), sent);
    assert!(events[0].is_spooled);
    assert!(!events.last().unwrap().is_spooled, "the event that made the new ring is in it");
}

#[test]
fn a_forked_child_gets_a_lane_and_ids_of_its_own() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    producer.publish(b"before".as_slice()).unwrap();
    in_child(|| {
        for text in ["child 1", "child 2"] {
            assert_eq!(producer.publish(text.as_bytes()).unwrap(), Published::Ring);
        }
    });
    // One that never publishes leaves the parent's lane alone, too.
    in_child(|| {});
    producer.publish(b"after".as_slice()).unwrap();
    let events = drain_all(&mut drain);
    assert_eq!(payloads(&events), ["before", "child 1", "child 2", "after"]);
    assert_eq!(events[0].header.pid, events[3].header.pid);
    assert_ne!(events[0].header.pid, events[1].header.pid);
    let mut ids: Vec<_> = events.iter().map(|event| event.header.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_host_that_closes_all_descriptors_does_no_harm() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    in_child(|| {
        let mut producer = bus.producer();
        // SAFETY: the child uses none of its parent's descriptors.
        if unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) } != 0 {
            exit(1);
        }
        assert_eq!(producer.publish(b"in the lane".as_slice()).unwrap(), Published::Ring);
        let large = vec![b'x'; 200_000];
        assert_eq!(producer.publish(large.as_slice()).unwrap(), Published::Spool);
        drop(producer);
    });
    let events = drain_all(&mut drain);
    assert_eq!(events[0].payload, b"in the lane");
    assert_eq!(events[1].payload, vec![b'x'; 200_000]);
}

#[test]
fn a_slot_is_published_as_filled_or_not_at_all() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer().with_crc();
    let mut slot = producer.reserve(100).unwrap();
    assert!(slot.put(b"in "));
    assert!(slot.put(b"place"));
    assert!(!slot.put(&[0; 100]));
    slot.commit();
    // Not committed, so not published.
    let mut dropped = producer.reserve(100).unwrap();
    assert!(dropped.put(b"never"));
    assert!(producer.reserve(1 << 20).is_none(), "larger than the lane takes");
    producer.publish(b"after".as_slice()).unwrap();
    let events = drain_all(&mut drain);
    assert_eq!(payloads(&events), ["in place", "after"]);
    assert!(events.iter().all(|event| event.header.flags & flag::CRC != 0));
}

#[test]
fn names_without_a_code_travel_as_text() {
    use hookring_bus::names::{AGENTS, EVENTS, code};
    use hookring_bus::record::tag;
    let bus = Bus::new();
    let mut producer = bus.producer();
    producer.publish(Event { agent: "codex", name: "Stop", payload: b"known" }).unwrap();
    producer.publish(Event { agent: "mine", name: "Odd", payload: b"unknown" }).unwrap();
    let events = bus.events();
    assert_eq!(events[0].header.agent, code(AGENTS, b"codex"));
    assert_eq!(events[0].header.event, code(EVENTS, b"Stop"));
    assert!(events[0].meta.is_empty());
    assert_eq!((events[1].header.agent, events[1].header.event), (0, 0));
    assert_eq!(events[1].meta, [(tag::AGENT, "mine".into()), (tag::EVENT, "Odd".into())]);
}

#[test]
fn what_is_too_large_is_refused_with_its_size() {
    let bus = Bus::new();
    let mut producer = bus.producer();
    let too_large = vec![0; MAX_PAYLOAD_BYTES + 1];
    let error = producer.publish(too_large.as_slice()).unwrap_err();
    assert!(matches!(error, PublishError::TooLarge { bytes } if bytes == MAX_PAYLOAD_BYTES + 1));
    assert!(error.to_string().contains(&format!("{} bytes", MAX_PAYLOAD_BYTES + 1)), "{error}");
    let largest = &too_large[..MAX_PAYLOAD_BYTES];
    assert_eq!(producer.publish(largest).unwrap(), Published::Spool);
    assert_eq!(bus.events()[0].payload.len(), MAX_PAYLOAD_BYTES);
}

#[test]
fn errors_name_the_directory_and_the_reason() {
    let bus = Bus::new();
    let dir = bus.path().join("place");
    std::fs::write(&dir, "a file").unwrap();
    let Err(error) = Producer::open_in(&dir) else { panic!("a file is no place") };
    assert!(matches!(error, OpenError::NoPlace(_)));
    let text = error.to_string();
    assert!(text.contains(dir.to_str().unwrap()) && text.contains("not a directory"), "{text}");

    std::fs::remove_file(&dir).unwrap();
    let mut producer = Producer::open_in(&dir).unwrap();
    std::fs::write(dir.join("spool"), "a file").unwrap();
    let error = producer.publish(vec![0; 200_000].as_slice()).unwrap_err();
    assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
    assert!(std::error::Error::source(&error).is_some());
    assert!(matches!(error, PublishError::Spool { is_counted: true, .. }), "in the ring");
    assert!(error.to_string().contains("hookring status"), "{error}");
}

/// Files and a directory of a host's own, under every number that was free below `limit`.
fn occupy_descriptors(limit: i32) -> Vec<std::fs::File> {
    use std::os::fd::AsRawFd;
    let mut own = Vec::new();
    loop {
        let file = tempfile::tempfile().unwrap();
        if file.as_raw_fd() >= limit {
            return own;
        }
        own.push(file);
    }
}

fn close_all_descriptors() {
    // SAFETY: whoever calls this uses none of the descriptors that are open now.
    assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) }, 0);
}

#[test]
fn a_host_that_opens_files_under_the_closed_numbers_keeps_them() {
    use std::io::{Read, Seek, SeekFrom, Write};
    let bus = Bus::new();
    let mut drain = bus.drain();
    in_child(|| {
        let mut producer = bus.producer();
        assert_eq!(producer.publish(b"before".as_slice()).unwrap(), Published::Ring);
        close_all_descriptors();
        let mut own = occupy_descriptors(200);
        for (i, file) in own.iter_mut().enumerate() {
            write!(file, "{i}").unwrap();
        }
        assert_eq!(producer.publish(b"after".as_slice()).unwrap(), Published::Ring);
        assert_eq!(producer.publish(vec![b'x'; 200_000].as_slice()).unwrap(), Published::Spool);
        drop(producer);
        for (i, file) in own.iter_mut().enumerate() {
            let mut text = String::new();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, i.to_string());
        }
    });
    let events = drain_all(&mut drain);
    assert_eq!(payloads(&events)[..2], ["before", "after"]);
    assert_eq!(events[2].payload, vec![b'x'; 200_000]);
}

#[test]
fn what_a_host_closed_is_opened_again_before_it_is_needed() {
    let bus = Bus::new();
    let sent = bus.path().join("sent");
    in_child(|| {
        let mut producer = bus.producer();
        close_all_descriptors();
        let mut texts = Vec::new();
        let mut publish = || {
            texts.push(format!("event {}", texts.len()));
            producer.publish(texts.last().unwrap().as_bytes()).unwrap();
        };
        wait_for("the ring to be opened again", || {
            publish();
            // SAFETY: a number only.
            (unsafe { libc::fcntl(3, libc::F_GETFD) } >= 0).then_some(())
        });
        // Without the descriptor nobody could tell whether a daemon still reads the removed ring.
        std::fs::remove_file(bus.ring()).unwrap();
        wait_for("a new ring", || {
            publish();
            bus.ring().exists().then_some(())
        });
        std::fs::write(&sent, texts.join("\n")).unwrap();
    });
    let sent = std::fs::read_to_string(&sent).unwrap();
    assert_eq!(payloads(&bus.events()), sent.lines().collect::<Vec<_>>());
}

#[test]
fn a_slot_that_was_reserved_before_a_fork_is_the_parents() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    let mut slot = producer.reserve(100);
    assert!(slot.as_mut().unwrap().put(b"the parent's"));
    in_child(|| {
        let mut slot = slot.take().unwrap();
        assert!(!slot.put(b" child"));
        assert_eq!(slot.commit(), None);
    });
    assert_eq!(slot.unwrap().commit(), Some(Published::Ring));
    assert_eq!(payloads(&drain_all(&mut drain)), ["the parent's"]);
}

#[test]
fn what_is_lost_in_moving_is_counted_in_the_spool() {
    use hookring_bus::{place::Places, spool, sys};
    use std::os::unix::ffi::OsStrExt;
    let bus = Bus::new();
    in_child(|| {
        let mut producer = bus.producer();
        // Nothing is in the spool yet but its counters.
        producer.publish(vec![b'x'; 200_000].as_slice()).unwrap();
        assert_eq!(bus.events().len(), 1);
        producer.publish(vec![b'x'; 8_000].as_slice()).unwrap();
        std::fs::remove_file(bus.ring()).unwrap();
        let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        // SAFETY: no handler, only what a write beyond the limit does.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        // SAFETY: a live limit, for this child alone.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
        drop(producer);
    });
    let uid = sys::effective_uid();
    let place = Places::new(Some(bus.path().as_os_str().as_bytes()), uid).open(0).unwrap();
    let usage = spool::Usage::open(&spool::open(&place, uid).unwrap(), uid).unwrap();
    assert_eq!(usage.dropped_events().load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(bus.events().is_empty());
}

#[test]
fn an_event_that_is_lost_where_nothing_counts_says_so() {
    let bus = Bus::new();
    let dir = bus.path().join("place");
    let mut producer = Producer::open_in(&dir).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::write(&dir, "a file").unwrap();
    // Until it has noticed that its ring is gone.
    wait_for("the producer to leave", || {
        let _ = producer.publish(b"x".as_slice());
        (!producer.has_lane()).then_some(())
    });
    let error = producer.publish(b"lost".as_slice()).unwrap_err();
    assert!(matches!(error, PublishError::Spool { is_counted: false, .. }));
    assert!(error.to_string().contains("not counted"), "{error}");
}
