//! A producer and a reader in one process: what becomes of events when the daemon or the ring is
//! gone, and what a batch that fails leaves.

use hookring_bus::create;
use hookring_bus::drain::{Drain, LaneEnd, Options, Origin};
use hookring_bus::place::Places;
use hookring_bus::record::MAX_PAYLOAD_BYTES;
use hookring_bus::sys;
use hookring_producer::{BatchError, Producer, PublishError, Published};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

struct Bus {
    temp: tempfile::TempDir,
}

impl Bus {
    fn new() -> Bus {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o700)).unwrap();
        Bus { temp }
    }

    fn drain(&self) -> Drain {
        let dir = self.temp.path().as_os_str().as_bytes();
        Drain::open(&Places::new(Some(dir), sys::effective_uid()), Options::default()).unwrap()
    }

    fn producer(&self) -> Producer {
        let producer = Producer::open_in(self.temp.path()).unwrap();
        assert!(producer.has_lane());
        producer
    }

    fn ring(&self) -> PathBuf {
        self.temp.path().join("ring")
    }
}

fn publish(producer: &mut Producer, payload: &str) {
    assert_eq!(producer.publish(payload.as_bytes()).unwrap(), Published::Ring);
}

/// Everything that can be drained: the payloads, and where they came from.
fn drain_all(drain: &mut Drain) -> (Vec<String>, Vec<Origin>) {
    let (mut payloads, mut origins) = (Vec::new(), Vec::new());
    // Two empty rounds: a record stamped during one waits for the next.
    let mut empty = 0;
    while empty < 2 {
        let batch = drain.next_batch();
        empty = if batch.is_empty() { empty + 1 } else { 0 };
        for record in batch.records() {
            payloads.push(String::from_utf8_lossy(record.payload).into_owned());
            origins.push(record.origin.clone());
        }
        drain.release();
    }
    (payloads, origins)
}

fn lane_end(origin: &Origin) -> LaneEnd {
    match origin {
        Origin::Lane(end) => *end,
        Origin::Spool(name) => panic!("{name} is from the spool"),
    }
}

/// It may be in a journal already, and only the daemon that comes next can know.
#[test]
fn what_a_dead_daemon_did_not_release_stays_where_it_is() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    publish(&mut producer, "journaled, and not released");
    let journaled = lane_end(drain.next_batch().records().next().unwrap().origin);
    drop(drain);
    let mut producer = producer.with_crc();
    publish(&mut producer, "later");
    drop(producer);
    let mut drain = bus.drain();
    drain.recover(&[journaled], Vec::new());
    let (payloads, origins) = drain_all(&mut drain);
    assert_eq!(payloads, ["later"]);
    assert_eq!(lane_end(&origins[0]).lane, journaled.lane);
}

#[test]
fn what_is_in_a_ring_that_a_dead_daemon_replaced_stays_there() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    publish(&mut producer, "in the old ring");
    let old = lane_end(drain.next_batch().records().next().unwrap().origin).bus;
    drop(drain);
    let old_name = create::old_name(&old).into_string().unwrap();
    std::fs::rename(bus.ring(), bus.temp.path().join(old_name)).unwrap();
    drop(producer);
    let (payloads, origins) = drain_all(&mut bus.drain());
    assert_eq!(payloads, ["in the old ring"]);
    assert_eq!(lane_end(&origins[0]).bus, old);
}

#[test]
fn what_is_in_a_removed_ring_without_a_daemon_moves_to_the_spool() {
    let bus = Bus::new();
    drop(bus.drain());
    let mut producer = bus.producer();
    publish(&mut producer, "in the removed ring");
    std::fs::remove_file(bus.ring()).unwrap();
    drop(producer);
    let (payloads, origins) = drain_all(&mut bus.drain());
    assert_eq!(payloads, ["in the removed ring"]);
    assert!(matches!(origins[0], Origin::Spool(_)));
}

#[test]
fn a_batch_that_fails_says_how_much_of_it_is_published() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    let too_large = vec![0; MAX_PAYLOAD_BYTES + 1];
    let error = producer.publish_batch([b"a".as_slice(), b"b", &too_large, b"c"]).unwrap_err();
    let BatchError { published, source } = error;
    assert_eq!(published, 2);
    assert!(matches!(source, PublishError::TooLarge { .. }));
    assert_eq!(drain_all(&mut drain).0, ["a", "b"]);
}

#[test]
fn a_batch_that_the_lane_cannot_take_goes_on_in_the_spool_in_order() {
    let bus = Bus::new();
    let mut drain = bus.drain();
    let mut producer = bus.producer();
    // More than half a lane, so that it goes to the spool, and so does what follows it.
    let large = vec![b'x'; 200_000];
    assert_eq!(producer.publish_batch([b"a".as_slice(), b"b", &large, b"c"]).unwrap(), 2);
    publish(&mut producer, "d");
    let (payloads, origins) = drain_all(&mut drain);
    let large = String::from_utf8(large).unwrap();
    assert_eq!(payloads, ["a", "b", &large, "c", "d"]);
    let spooled = origins.iter().map(|origin| matches!(origin, Origin::Spool(_)));
    assert_eq!(spooled.collect::<Vec<_>>(), [false, false, true, true, false]);
}
