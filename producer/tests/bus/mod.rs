//! A bus in a directory of its own, and what its reader finds there.

use hookring_bus::drain::{Drain, OpenError, Options, Origin};
use hookring_bus::place::Places;
use hookring_bus::record::{RecordHeader, meta_entries};
use hookring_bus::sys;
use hookring_producer::Producer;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a condition is looked at before its test fails, and the pause after each look: two minutes.
/// Counted and not measured, so that a test that was itself stopped for a while gives up no sooner.
const LOOKS: usize = 24_000;
const PAUSE: Duration = Duration::from_millis(5);

/// The directory; it goes with this value.
pub(crate) struct Bus {
    temp: tempfile::TempDir,
}

/// A drained record.
#[allow(dead_code, reason = "not every test looks at everything")]
pub(crate) struct Event {
    pub(crate) header: RecordHeader,
    pub(crate) meta: Vec<(u16, String)>,
    pub(crate) payload: Vec<u8>,
    pub(crate) is_spooled: bool,
}

#[allow(dead_code, reason = "not every test needs everything")]
impl Bus {
    /// Without a ring, which a reader or a producer makes.
    pub(crate) fn new() -> Bus {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o700)).unwrap();
        Bus { temp }
    }

    pub(crate) fn path(&self) -> &Path {
        self.temp.path()
    }

    pub(crate) fn ring(&self) -> PathBuf {
        self.path().join("ring")
    }

    pub(crate) fn drain(&self) -> Drain {
        self.drain_with(Options::default())
    }

    pub(crate) fn drain_with(&self, options: Options) -> Drain {
        let dir = self.path().as_os_str().as_bytes();
        let places = Places::new(Some(dir), sys::effective_uid());
        wait_for("the last reader's lock", || match Drain::open(&places, options) {
            // A process that another test is starting just now has it, until it is another program.
            Err(OpenError::Busy(_)) => None,
            opened => Some(opened.unwrap()),
        })
    }

    pub(crate) fn producer(&self) -> Producer {
        let producer = Producer::open_in(self.path()).unwrap();
        assert!(producer.has_lane());
        producer
    }

    /// Everything that a new reader finds.
    pub(crate) fn events(&self) -> Vec<Event> {
        drain_all(&mut self.drain())
    }
}

/// Waits until `check` gives something, or fails the test.
pub(crate) fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = check() {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
    panic!("gave up waiting for {what}");
}

/// Looks after the bus, in which nothing is published, until every retired ring is gone.
#[allow(dead_code, reason = "not every test replaces a ring")]
pub(crate) fn wait_until_no_ring_is_retired(drain: &mut Drain) {
    wait_for("the retired rings to go", || {
        drain.maintain();
        assert!(drain_all(drain).is_empty());
        (drain.report()[0].retired_rings == 0).then_some(())
    });
}

/// Everything that can be drained, in order.
pub(crate) fn drain_all(drain: &mut Drain) -> Vec<Event> {
    let mut all = Vec::new();
    // Two empty rounds: a record stamped during one waits for the next.
    let mut empty = 0;
    while empty < 2 {
        let batch = drain.next_batch();
        empty = if batch.is_empty() { empty + 1 } else { 0 };
        all.extend(batch.records().map(|record| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            Event {
                header: *record.header,
                meta: meta_entries(record.meta).map(|(tag, value)| (tag, text(value))).collect(),
                payload: record.payload.to_vec(),
                is_spooled: matches!(record.origin, Origin::Spool(_)),
            }
        }));
        drain.release();
    }
    all
}

/// Takes the spool's directory away under a reader that has looked after its places since it began: the
/// next store makes another one.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn lose_spool(bus: &Bus, drain: &mut Drain) {
    for _ in 0..3 {
        drain.maintain();
        drain_all(drain);
    }
    std::fs::remove_dir_all(bus.path().join("spool")).unwrap();
}

/// The payloads, as text.
#[allow(dead_code, reason = "not every test looks at everything")]
pub(crate) fn payloads(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| String::from_utf8_lossy(&event.payload).into_owned()).collect()
}

/// Runs `child` in a forked child, and waits for it to end well.
#[allow(dead_code, reason = "not every test forks")]
pub(crate) fn in_child(child: impl FnOnce()) {
    // SAFETY: the C library makes its allocator usable in the child of a process with threads; the
    // child takes no other lock of its parent's and leaves without running destructors.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        if let Err(panic) = &done {
            let text = panic.downcast_ref::<&str>().copied();
            say(text.or_else(|| panic.downcast_ref().map(String::as_str)).unwrap_or("a panic"));
        }
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(done.is_err())) };
    }
    let mut status = 0;
    // SAFETY: `status` is a live integer.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((reaped, status), (pid, 0), "the child failed");
}

/// Says why a child failed: what its panic printed stays in memory that goes with it.
fn say(text: &str) {
    let text = format!("in the child: {text}\n");
    // SAFETY: a live text and its length.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}
