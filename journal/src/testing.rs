//! What the tests of several modules share: sample events, a disk with faults, damage.

pub(crate) mod power;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::line::{LaneEnd, Origin};
use crate::storage::{FileId, RealStorage, SegmentFile, Storage};
use crate::writer::{Journal, Options, SyncPolicy};
use crate::{Event, Reader, Recovery, Seq, segment};

pub(crate) const BUS: [u8; 16] = [0xb5; 16];

/// An event with everything left out that can be: a payload, and the session that it names.
pub(crate) fn event(payload: &[u8]) -> Event<'static> {
    let members = match serde_json::from_slice::<serde_json::Value>(payload) {
        Ok(json) => {
            let session = json.get("session_id").map(|id| format!(",\"session_id\":{id}"));
            let payload = String::from_utf8_lossy(payload);
            format!(",\"payload\":{payload}{}", session.unwrap_or_default()).into_bytes()
        }
        Err(_) => {
            let mut members = b",\"payload_text\":".to_vec();
            crate::text::push_json_string(&mut members, &String::from_utf8_lossy(payload));
            members
        }
    };
    // An event borrows; those of tests are few.
    Event { id: [7; 16], timestamp_ns: 1_794_000_000_000_000_000, members: members.leak() }
}

pub(crate) fn lane_end(lane: u16, end: u64) -> LaneEnd {
    LaneEnd { bus: BUS, lane, end }
}

/// A payload from which the event can be told again.
pub(crate) fn payload(n: u64) -> Vec<u8> {
    format!("{{\"n\":{n},\"filler\":\"{}\"}}", "x".repeat((n * 37 % 300) as usize)).into_bytes()
}

/// Options without a clock in them: nothing is due unless the test says so.
pub(crate) fn calm() -> Options {
    Options { sync: SyncPolicy::Interval(std::time::Duration::MAX), ..Options::default() }
}

pub(crate) fn open(dir: &Path) -> (Journal, Recovery) {
    Journal::open(dir, calm(), 0).unwrap()
}

/// Stages event `n`, whose origin tells the same.
pub(crate) fn stage(journal: &mut Journal, n: u64) -> Seq {
    journal.stage(Origin::Ring(lane_end(0, n)), &event(&payload(n)))
}

/// A journal with events 1 to `count`, in one segment, all synced, closed.
pub(crate) fn written(dir: &Path, count: u64) -> PathBuf {
    let (mut journal, _) = open(dir);
    for n in 1..=count {
        stage(&mut journal, n);
    }
    journal.commit().unwrap();
    journal.close().unwrap();
    dir.join(segment::file_name(1))
}

/// Everything that a reader finds from `from` on: number and `n` of the payload.
pub(crate) fn read_from(dir: &Path, from: Seq) -> Vec<(Seq, u64)> {
    drain(&mut Reader::open(dir, from).unwrap())
}

pub(crate) fn drain(reader: &mut Reader) -> Vec<(Seq, u64)> {
    let mut all = Vec::new();
    loop {
        let batch = reader.next_batch(7, 4096).unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.lines().map(|line| (line.seq, n_of(line.bytes))));
    }
}

pub(crate) fn n_of(line: &[u8]) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(line).unwrap();
    value["payload"]["n"].as_u64().unwrap()
}

/// The first numbers of all segments.
pub(crate) fn names(dir: &Path) -> Vec<Seq> {
    segment::list(dir).unwrap().iter().map(|segment| segment.first).collect()
}

/// Numbers paired with themselves: what [`read_from`] gives if event `n` has number `n`.
pub(crate) fn pairs(numbers: impl IntoIterator<Item = u64>) -> Vec<(Seq, u64)> {
    numbers.into_iter().map(|n| (n, n)).collect()
}

/// Where line `at` of a segment begins and ends (its newline excluded); line 0 is the header.
pub(crate) fn line_range(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let mut begin = 0;
    for _ in 0..at {
        begin += memchr::memchr(b'\n', &bytes[begin..]).unwrap() + 1;
    }
    begin..begin + memchr::memchr(b'\n', &bytes[begin..]).unwrap()
}

/// Flips a bit in the middle of line `at`.
pub(crate) fn damage_line(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let range = line_range(&bytes, at);
    bytes[(range.start + range.end) / 2] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// What goes wrong next, and what was done.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Bytes that can still be written; `None`: any number.
    pub(crate) free_bytes: Option<usize>,
    /// No write takes more.
    pub(crate) write_max: Option<usize>,
    pub(crate) failing_syncs: usize,
    pub(crate) failing_directory_syncs: usize,
    pub(crate) failing_cuts: usize,
    pub(crate) reservation_fails: bool,
    pub(crate) syncs: usize,
    pub(crate) writes: usize,
    files: usize,
    failed_files: Vec<usize>,
}

/// The real disk, with faults on demand.
#[derive(Clone)]
pub(crate) struct FaultyStorage {
    real: Arc<RealStorage>,
    disk: Arc<Mutex<Disk>>,
}

impl FaultyStorage {
    pub(crate) fn new(dir: &Path) -> FaultyStorage {
        FaultyStorage { real: Arc::new(RealStorage::new(dir)), disk: Arc::default() }
    }

    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    pub(crate) fn open_journal(&self, dir: &Path, options: Options) -> (Journal, Recovery) {
        Journal::open_with(Box::new(self.clone()), dir, options, 0).unwrap()
    }

    fn wrap(&self, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        let mut disk = self.disk();
        disk.files += 1;
        Box::new(FaultyFile { file, number: disk.files, disk: Arc::clone(&self.disk) })
    }
}

impl Storage for FaultyStorage {
    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        Ok(self.wrap(self.real.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        Ok(self.wrap(self.real.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.real.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.real.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        fail(&mut self.disk().failing_directory_syncs)?;
        self.real.sync()
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.real.id(name)
    }
}

struct FaultyFile {
    file: Box<dyn SegmentFile>,
    number: usize,
    disk: Arc<Mutex<Disk>>,
}

impl SegmentFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.disk.lock().unwrap();
        assert!(!disk.failed_files.contains(&self.number), "a file was written after it failed");
        let len = bytes.len().min(disk.write_max.unwrap_or(usize::MAX));
        let len = len.min(disk.free_bytes.unwrap_or(usize::MAX));
        if len == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.free_bytes = disk.free_bytes.map(|free| free - len);
        disk.writes += 1;
        self.file.write_at(&bytes[..len], offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        fail(&mut self.disk.lock().unwrap().failing_cuts)?;
        self.file.set_len(len)
    }

    fn reserve(&mut self, len: u64) -> io::Result<()> {
        if self.disk.lock().unwrap().reservation_fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.reserve(len)
    }

    fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        assert!(!disk.failed_files.contains(&self.number), "a file was synced after it failed");
        disk.syncs += 1;
        let result = fail(&mut disk.failing_syncs);
        if result.is_err() {
            disk.failed_files.push(self.number);
        }
        result?;
        self.file.sync()
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.file.is_linked()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}

fn fail(times: &mut usize) -> io::Result<()> {
    if *times == 0 {
        return Ok(());
    }
    *times -= 1;
    Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()))
}
