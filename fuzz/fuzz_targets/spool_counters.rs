//! Any bytes as the counters that hooks and daemon share: whatever stands there, what a hook was told
//! is stored comes out once, and after a few looks the spool takes events again.
//!
//! Input: two bytes for the length of the counters' file, its content, and a list of steps, each a
//! byte for its kind and what [`step`] reads.
#![no_main]

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use arbitrary::{Result, Unstructured};
use hookring_bus::atomic::Ordering;
use hookring_bus::crc::Crc32c;
use hookring_bus::drain::Drain;
use hookring_bus::record::{RecordHeader, kind};
use hookring_bus::spool::{self, Spooled, USAGE_BYTES, Usage};
use hookring_bus::sys::{self, Fd, Open};
use hookring_fuzz::{OPTIONS, drain_all, open_drain, private_dir};
use libfuzzer_sys::fuzz_target;

/// Used bytes, the limit, dropped events and bytes, stores begun and ended.
const WORDS: u64 = 6;
/// One look may find the counters removed, the next notes what is wrong, the third settles it.
const LOOKS: usize = 4;

fuzz_target!(|input: &[u8]| {
    let mut input = Unstructured::new(input);
    let dir = private_dir();
    let Ok(mut spool) = Spool::new(dir.path(), &mut input) else { return };
    while !input.is_empty() && step(&mut input, &mut spool).is_ok() {}
    for _ in 0..LOOKS {
        spool.maintain();
        spool.drain();
    }
    assert_eq!(spool.due, Vec::<u32>::new(), "stored and not given out");
    assert_eq!(spool.used_and_limit(), (0, OPTIONS.spool_bytes));
    assert_eq!(spool.store(), Spooled::Stored);
    // The hook counted its store, so no look at the places is needed.
    spool.drain();
    assert_eq!(spool.due, Vec::<u32>::new(), "stored, counted and not given out");
    assert_eq!(spool.used_and_limit(), (0, OPTIONS.spool_bytes));
});

fn step(input: &mut Unstructured<'_>, spool: &mut Spool) -> Result<()> {
    let kind: u8 = input.arbitrary()?;
    match kind % 7 {
        // Somebody writes over a word, or into the file, or cuts it off, or removes it.
        0 => {
            let word = u64::from(input.arbitrary::<u8>()?) % WORDS;
            spool.write_at(8 * word, &input.arbitrary::<u64>()?.to_le_bytes());
        }
        1 => {
            let at = u64::from(input.arbitrary::<u8>()?);
            let len = usize::from(input.arbitrary::<u8>()?).min(input.len());
            spool.write_at(at, input.bytes(len)?);
        }
        2 => {
            let file = OpenOptions::new().write(true).open(&spool.usage);
            let bytes = u64::from(input.arbitrary::<u16>()?) % (2 * USAGE_BYTES as u64);
            file.and_then(|file| file.set_len(bytes)).expect("cut off");
        }
        3 => {
            let _ = fs::remove_file(&spool.usage);
            spool.write_at(0, &[]);
        }
        4 => drop(spool.store()),
        5 => spool.drain(),
        _ => spool.maintain(),
    }
    Ok(())
}

/// A place with a reader, and what its hooks were told.
struct Spool {
    place: Fd,
    usage: PathBuf,
    drain: Drain,
    stored: u32,
    /// Payloads that were stored and not given out yet.
    due: Vec<u32>,
    dropped_events: u64,
}

impl Spool {
    fn new(dir: &Path, input: &mut Unstructured<'_>) -> Result<Spool> {
        let len = usize::from(input.arbitrary::<u16>()?) % (2 * USAGE_BYTES);
        let content = input.bytes(len.min(input.len()))?;
        let folder = dir.join("spool");
        fs::create_dir(&folder).expect("the spool");
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).expect("its mode");
        put(&folder.join("usage"), 0, content);
        let path = CString::new(dir.as_os_str().as_bytes()).expect("a path");
        Ok(Spool {
            place: sys::open(None, &path, Open::Dir).expect("the place"),
            usage: folder.join("usage"),
            drain: open_drain(dir),
            stored: 0,
            due: Vec::new(),
            dropped_events: 0,
        })
    }

    fn store(&mut self) -> Spooled {
        self.stored += 1;
        let payload = self.stored.to_le_bytes();
        let mut id = [0; 16];
        id[..4].copy_from_slice(&payload);
        let header = RecordHeader {
            payload_bytes: payload.len() as u32,
            stamp_ns: sys::boottime_ns(),
            id,
            kind: kind::DATA,
            ..RecordHeader::default()
        };
        let (uid, crc) = (sys::effective_uid(), Crc32c::portable());
        let spooled = spool::store(&self.place, uid, header, &[], &payload, crc).expect("no error");
        if spooled == Spooled::Stored {
            self.due.push(self.stored);
        }
        spooled
    }

    fn drain(&mut self) {
        let due = &mut self.due;
        drain_all(&mut self.drain, |record| {
            let payload = u32::from_le_bytes(record.payload.try_into().expect("four bytes"));
            let at = due.iter().position(|it| *it == payload);
            due.swap_remove(at.expect("given out twice, or never stored"));
        });
    }

    /// What was dropped by the last look at the places is not forgotten by this one.
    fn maintain(&mut self) {
        self.drain.maintain();
        let report = self.drain.report();
        let dropped = report.iter().map(|place| place.spool_dropped_events).sum();
        assert!(dropped >= self.dropped_events, "{dropped} after {}", self.dropped_events);
        self.dropped_events = dropped;
    }

    fn write_at(&self, at: u64, bytes: &[u8]) {
        put(&self.usage, at, bytes);
    }

    /// Used bytes and the limit, as a hook finds them.
    fn used_and_limit(&self) -> (u64, u64) {
        let uid = sys::effective_uid();
        let folder = spool::open(&self.place, uid).expect("the spool");
        let usage = Usage::open(&folder, uid).expect("its counters");
        let [used, limit] = [usage.used_bytes(), usage.limit_bytes()];
        (used.load(Ordering::Relaxed), limit.load(Ordering::Relaxed))
    }
}

fn put(path: &Path, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    file.and_then(|file| file.write_all_at(bytes, at)).expect("written");
}
