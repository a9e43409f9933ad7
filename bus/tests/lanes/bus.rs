//! A bus in a temporary directory, its hooks and its producers, all in one process.

use hookring_bus::crc::Crc32c;
use hookring_bus::create;
use hookring_bus::drain::{Drain, OpenError, Options};
use hookring_bus::ident::Ids;
use hookring_bus::layout::Geometry;
use hookring_bus::oneshot::{self, Message, NotTaken, OneShot};
use hookring_bus::owned::{OwnedLane, PutError};
use hookring_bus::place::{Places, RING};
use hookring_bus::record::{RecordHeader, flag, kind};
use hookring_bus::spool;
use hookring_bus::sys::{self, Open};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a condition is looked at before its test fails, and the pause after each look: two minutes.
/// Counted and not measured, so that a test that was itself stopped for a while gives up no sooner.
const LOOKS: usize = 120_000;
const PAUSE: Duration = Duration::from_millis(1);

/// A bus in a directory of its own.
pub(crate) struct Bus {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) options: Options,
    /// Where it is, if not in that directory itself.
    pub(crate) place: Option<PathBuf>,
}

impl Bus {
    pub(crate) fn new(lanes: u32) -> Bus {
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let options = Options { lanes, lane_bytes: 16 * 1024, spool_bytes: 1 << 20 };
        Bus { temp, options, place: None }
    }

    pub(crate) fn places(&self) -> Places<'_> {
        Places::new(Some(self.path().as_os_str().as_bytes()), sys::effective_uid())
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.as_deref().unwrap_or(self.temp.path())
    }

    /// A reader. The lock of one before it may for a moment be held by another test's child, too, until
    /// that runs its program.
    pub(crate) fn drain(&self) -> Drain {
        wait_for("the last reader's lock", || match Drain::open(&self.places(), self.options) {
            Err(OpenError::Busy(_)) => None,
            opened => Some(opened.unwrap()),
        })
    }

    pub(crate) fn lane(&self) -> OwnedLane {
        self.try_lane(Some(Crc32c::fastest())).unwrap()
    }

    pub(crate) fn try_lane(
        &self,
        crc: Option<Crc32c>,
    ) -> Result<OwnedLane, hookring_bus::owned::ClaimError> {
        let place = self.places().open(0).unwrap();
        let file = sys::open(Some(&place), RING, Open::ReadWrite).unwrap();
        OwnedLane::claim(file, sys::effective_uid(), crc)
    }

    pub(crate) fn hook(&self, payload: &[u8]) -> Result<(), NotTaken> {
        let mut message = message(payload);
        message.stamp(&mut Ids::new(create::random_seed()), 0);
        self.hook_with(message, 7)
    }

    /// As [`Self::hook`], with a stamp and a number that says where the search for a lane begins.
    pub(crate) fn hook_with(&self, mut message: Message<'_>, seed: u32) -> Result<(), NotTaken> {
        let place = self.places().open(0).unwrap();
        let ring = OneShot::open(&place, sys::effective_uid()).map_err(NotTaken::Ring)?;
        ring.publish(&mut message, seed)?;
        ring.ring();
        Ok(())
    }

    pub(crate) fn spool(&self, payload: &[u8]) {
        self.spool_at(sys::boottime_ns(), payload);
    }

    pub(crate) fn spool_at(&self, stamp_ns: u64, payload: &[u8]) {
        let mut message = message(payload);
        message.stamp(&mut Ids::new(create::random_seed()), 0);
        message.header.stamp_ns = stamp_ns;
        self.spool_with(message);
    }

    pub(crate) fn spool_with(&self, message: Message<'_>) {
        self.store(message);
        oneshot::announce_stored(&self.places(), None);
    }

    /// By a hook that has yet to tell anybody.
    pub(crate) fn spool_unannounced(&self, payload: &[u8]) {
        let mut message = message(payload);
        message.stamp(&mut Ids::new(create::random_seed()), 0);
        self.store(message);
    }

    fn store(&self, message: Message<'_>) {
        let place = self.places().open(0).unwrap();
        let payload = message.payload;
        let uid = sys::effective_uid();
        spool::store(&place, uid, message.header, b"", payload, Crc32c::fastest()).unwrap();
    }

    /// The ring, as a hook has it open.
    pub(crate) fn open_ring(&self) -> OneShot {
        let place = self.places().open(0).unwrap();
        OneShot::open(&place, sys::effective_uid()).unwrap()
    }

    pub(crate) fn ring_path(&self) -> PathBuf {
        self.path().join("ring")
    }

    /// Overwrites a byte range of the ring file.
    pub(crate) fn scribble(&self, offset: u64, bytes: &[u8]) {
        let file = std::fs::OpenOptions::new().write(true).open(self.ring_path()).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    pub(crate) fn geometry(&self) -> Geometry {
        create::geometry(self.options.lanes, self.options.lane_bytes)
    }

    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    pub(crate) fn cut(&self, bytes: u64) {
        let file = std::fs::OpenOptions::new().write(true).open(self.ring_path()).unwrap();
        file.set_len(bytes).unwrap();
    }
}

pub(crate) fn message(payload: &[u8]) -> Message<'_> {
    let header = RecordHeader {
        payload_bytes: payload.len() as u32,
        kind: kind::DATA,
        ..Default::default()
    };
    Message { header, meta: b"", payload }
}

/// A record as it stands in a lane or a spool, changed by `change`, then with a CRC that fits.
pub(crate) fn record(
    position: u64,
    payload: &[u8],
    change: impl FnOnce(&mut RecordHeader),
) -> Vec<u8> {
    let mut header = RecordHeader { position, flags: flag::CRC, ..message(payload).header };
    (header.stamp_ns, header.id) = (sys::boottime_ns(), create::random_uuid());
    change(&mut header);
    header.crc = header.compute_crc(Crc32c::fastest(), b"", payload);
    [&header.to_bytes(), payload].concat()
}

pub(crate) fn put(lane: &mut OwnedLane, payload: &[u8]) -> Result<(), PutError> {
    let header = RecordHeader { stamp_ns: sys::boottime_ns(), ..Default::default() };
    lane.put(&header, b"", payload)
}

pub(crate) fn publish(lane: &mut OwnedLane, payload: &[u8]) {
    put(lane, payload).unwrap();
    lane.publish();
}

pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
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

/// Drains and looks after the bus until every retired ring is gone.
pub(crate) fn wait_until_no_ring_is_retired(drain: &mut Drain) {
    wait_for("the retired rings to go", || {
        drain.maintain();
        drain_all(drain);
        (drain.report()[0].retired_rings == 0).then_some(())
    });
}

/// Everything that can be drained, as text.
pub(crate) fn drain_all(drain: &mut Drain) -> Vec<String> {
    let mut all = Vec::new();
    // Two empty rounds: a record stamped during one waits for the next.
    let mut empty = 0;
    while empty < 2 {
        let batch = drain.next_batch();
        empty = if batch.is_empty() { empty + 1 } else { 0 };
        all.extend(batch.records().map(|r| String::from_utf8_lossy(r.payload).into_owned()));
        drain.release();
    }
    all
}
