//! When the collector does what: without its thread, and without waiting.

use super::*;
use hookring_bus::drain::Options;
use hookring_bus::place::Places;
use hookring_journal::SyncPolicy;
use hookring_journal::storage::{FileId, RealStorage, SegmentFile, Storage};
use hookring_producer::{Producer, Published};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::AtomicBool;

const HOUR: Duration = Duration::from_secs(3600);

/// A collector in a directory of its own, which has looked after its places just now, as it would say.
struct Bed {
    dir: tempfile::TempDir,
    collector: Collector,
}

impl Bed {
    fn new(options: hookring_journal::Options) -> Bed {
        Bed::on(options, |dir| Box::new(RealStorage::new(dir)))
    }

    /// `storage`: through which the journal changes its directory.
    fn on(
        options: hookring_journal::Options,
        storage: impl FnOnce(&Path) -> Box<dyn Storage>,
    ) -> Bed {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let places = Places::new(Some(dir.path().as_os_str().as_bytes()), sys::effective_uid());
        let drain = Drain::open(&places, Options::default()).unwrap();
        let journal_dir = dir.path().join("journal");
        std::fs::create_dir(&journal_dir).unwrap();
        std::fs::set_permissions(&journal_dir, PermissionsExt::from_mode(0o700)).unwrap();
        let storage = storage(&journal_dir);
        let journal = Journal::open_with(storage, &journal_dir, options, 0).unwrap();
        let intake = Intake::new(hookring_pipeline::Options::plain());
        let mut collector =
            Collector::new(drain, journal, intake, Arc::default(), Gaps::default()).unwrap();
        collector.next_housekeeping = Instant::now() + HOUR;
        Bed { dir, collector }
    }

    fn publish(&self, payload: &[u8]) -> Published {
        Producer::open_in(self.dir.path()).unwrap().publish(payload).unwrap()
    }

    /// A stamp of this very moment waits one round.
    fn collect_one(&mut self) {
        assert!((0..1_000_000).any(|_| self.collector.collect()));
    }

    fn segments(&self) -> usize {
        let files = std::fs::read_dir(self.dir.path().join("journal")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".jsonl")).count()
    }
}

#[test]
fn a_sync_that_is_due_does_not_wait_for_the_housekeeping() {
    let sync = SyncPolicy::EveryBatch;
    let mut bed = Bed::new(hookring_journal::Options { sync, ..Default::default() });
    assert_eq!(bed.publish(b"{}"), Published::Ring);
    bed.collect_one();
    assert_eq!(bed.collector.journal.tail().synced(), 0);
    bed.collector.do_what_is_due();
    assert_eq!(bed.collector.journal.tail().synced(), 1);
}

/// A restart knows the ids of the last segment only: an entry whose removal is not on the disk must not
/// be in an earlier one.
#[test]
fn what_was_taken_from_a_spool_is_synced_where_a_segment_begins() {
    let mut bed = Bed::new(hookring_journal::Options { segment_bytes: 4096, ..Default::default() });
    let before = bed.segments();
    // More than half a lane.
    assert_eq!(bed.publish(&[b'x'; 200_000]), Published::Spool);
    bed.collect_one();
    assert_eq!(bed.segments(), before + 1);
    assert!(!bed.collector.drain.has_unsynced_release());
    // Only then: a sync for each batch would cost too much.
    let mut bed = Bed::new(hookring_journal::Options::default());
    bed.collector.drain.sync_released().unwrap();
    bed.publish(&[b'x'; 200_000]);
    bed.collect_one();
    assert!(bed.collector.drain.has_unsynced_release());
}

/// Whatever a loss of power leaves of a segment that is being begun.
#[test]
fn what_was_taken_from_a_spool_is_synced_before_a_segment_begins() {
    let options = hookring_journal::Options { segment_bytes: 4096, ..Default::default() };
    let is_cut = Arc::new(AtomicBool::new(false));
    let mut bed = Bed::on(options, |dir| {
        Box::new(CutOff { real: RealStorage::new(dir), is_cut: is_cut.clone() })
    });
    assert_eq!(bed.publish(&[b'x'; 200_000]), Published::Spool);
    is_cut.store(true, Ordering::Relaxed);
    let cut = catch_unwind(AssertUnwindSafe(|| bed.collect_one())).unwrap_err();
    assert_eq!(cut.downcast_ref::<&str>(), Some(&CUT), "no segment was begun");
    assert!(!bed.collector.drain.has_unsynced_release());
}

const CUT: &str = "the power fails where a segment begins";

/// A disk whose power fails before a file is created on it.
struct CutOff {
    real: RealStorage,
    is_cut: Arc<AtomicBool>,
}

impl Storage for CutOff {
    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        if self.is_cut.load(Ordering::Relaxed) {
            resume_unwind(Box::new(CUT));
        }
        self.real.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        self.real.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.real.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.real.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.real.sync()
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.real.id(name)
    }
}

#[test]
fn a_sleep_ends_when_something_is_due_and_at_its_limit() {
    let now = Instant::now();
    let (short, later) = (SLEEP_LIMIT / 2, now + HOUR);
    assert_eq!(sleep_limit(now, later, None), SLEEP_LIMIT);
    assert_eq!(sleep_limit(now, later, Some(later)), SLEEP_LIMIT);
    assert_eq!(sleep_limit(now, later, Some(now + short)), short);
    assert_eq!(sleep_limit(now, now + short, Some(later)), short);
    assert_eq!(sleep_limit(now + HOUR, now, None), Duration::ZERO);
}

#[test]
fn the_times_are_those_that_are_promised() {
    let promises = include_str!("../../../../docs/guarantees.md");
    let promises = promises.split_whitespace().collect::<Vec<_>>().join(" ");
    let SyncPolicy::Interval(interval) = hookring_journal::Options::default().sync else {
        panic!("another policy is the usual one");
    };
    for promise in [
        format!("the daemon's sleep, which lasts {} ms at most", SLEEP_LIMIT.as_millis()),
        format!("is synced {} ms after it was written at the latest", interval.as_millis()),
    ] {
        assert!(promises.contains(&promise), "not promised: {promise}");
    }
    // An event that was spooled uncounted may take so long.
    assert!(promises.contains("spooled uncounted may take a second"));
    assert_eq!(HOUSEKEEPING, Duration::from_secs(1));
}
