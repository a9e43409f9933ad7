//! Who publishes rings: where a reader said that it sleeps, a hook and a `Producer` clear that word,
//! whether the event went to the ring or to the spool.
//!
//! The reader's word is set by the test, and looked at when the publish has returned: nothing waits.

mod bus;

use bus::Bus;
use hookring_bus::atomic::{AtomicU32, Ordering};
use hookring_bus::create;
use hookring_bus::doorbell::SLEEPING;
use hookring_bus::layout::FEATURE_BARRIER;
use hookring_bus::oneshot::OneShot;
use hookring_bus::place::Places;
use hookring_bus::sys::{self, Fd};
use hookring_producer::{PublishError, Published};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

/// More than half a lane: it goes to the spool.
const LARGE: &[u8] = &[b'x'; 200_000];

fn place(bus: &Bus) -> Fd {
    let places = Places::new(Some(bus.path().as_os_str().as_bytes()), sys::effective_uid());
    places.open(0).unwrap()
}

/// The ring, as another process maps it.
fn ring(bus: &Bus) -> OneShot {
    OneShot::open(&place(bus), sys::effective_uid()).unwrap()
}

/// Whether `publish` wakes a reader that sleeps now.
fn rings(doorbell: &AtomicU32, publish: impl FnOnce()) -> bool {
    doorbell.fetch_or(SLEEPING, Ordering::SeqCst);
    publish();
    doorbell.load(Ordering::SeqCst) & SLEEPING == 0
}

fn make_ring_without_the_barrier(bus: &Bus) {
    let mut geometry = create::geometry(8, 1 << 18);
    geometry.features &= !FEATURE_BARRIER;
    create::ring(&place(bus), &geometry).unwrap();
}

fn emit(bus: &Bus, payload: &[u8]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookring-emit"));
    command.env_clear().env("HOOKRING_DIR", bus.path()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(payload).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_hook_rings_behind_its_record_and_behind_its_spool_entry() {
    let bus = Bus::new();
    drop(bus.drain());
    let ring = ring(&bus);
    for (payload, is_spooled) in [(b"small".as_slice(), false), (LARGE, true)] {
        assert!(rings(ring.control().doorbell(), || emit(&bus, payload)), "{}", payload.len());
        let events = bus.events();
        assert_eq!(events.iter().map(|it| it.is_spooled).collect::<Vec<_>>(), [is_spooled]);
    }
}

/// With the fence of its own, and with the one that the reader has made for it.
#[test]
fn a_producer_rings_behind_its_record_and_behind_its_spool_entry() {
    for is_joined in [true, false] {
        let bus = Bus::new();
        if is_joined {
            drop(bus.drain());
        } else {
            make_ring_without_the_barrier(&bus);
        }
        let ring = ring(&bus);
        let features = ring.control().geometry().features;
        assert_eq!(features & FEATURE_BARRIER != 0, is_joined && sys::has_barrier());
        let mut producer = bus.producer();
        let doorbell = ring.control().doorbell();
        let mut publish = |payload: &[u8], to: Published| {
            assert!(
                rings(doorbell, || assert_eq!(producer.publish(payload).unwrap(), to)),
                "{to:?}, {is_joined}"
            );
        };
        publish(b"small", Published::Ring);
        publish(LARGE, Published::Spool);
        publish(b"small", Published::Ring);
        assert!(rings(doorbell, || {
            producer.publish_batch([b"a".as_slice(), b"b"]).unwrap();
        }));
        assert!(rings(doorbell, || {
            let mut slot = producer.reserve(8).unwrap();
            assert!(slot.put(b"c"));
            assert_eq!(slot.commit(), Some(Published::Ring));
        }));
    }
}

/// The reader takes an announcement for what stands in the spool by then.
#[test]
fn a_store_is_announced_when_it_is_made_and_not_before() {
    let bus = Bus::new();
    drop(bus.drain());
    let mut producer = bus.producer();
    let ring = ring(&bus);
    let announced = || ring.control().announced().load(Ordering::SeqCst);
    std::fs::remove_dir_all(bus.path().join("spool")).unwrap();
    std::fs::write(bus.path().join("spool"), "in its place").unwrap();
    assert!(matches!(producer.publish(LARGE), Err(PublishError::Spool { .. })));
    emit(&bus, LARGE);
    assert_eq!(announced(), 0);
    std::fs::remove_file(bus.path().join("spool")).unwrap();
    assert_eq!(producer.publish(LARGE).unwrap(), Published::Spool);
    assert_eq!(announced(), 1);
    emit(&bus, LARGE);
    assert_eq!(announced(), 2);
}
