//! From the ring into a file with nobody looking at the bytes: drained, checked and zeroed, and each
//! batch written as it is, with one append. So much the bus lets through, whatever parses behind it.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use hookring_bus::drain::{Drain, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_producer::Producer;
use tempfile::TempDir;

use crate::{disk_dir, ring_dir};

/// What a round writes, give or take a batch.
const ROUND_BYTES: usize = 64 << 20;
/// Twice what a batch can be: a reader that has fallen behind finds full batches.
const LANE_BYTES: u64 = 4 << 20;
const APPEND_BYTES: usize = 256 * 1024;

pub(crate) struct Bench {
    // Dropped before the directories go.
    drain: Drain,
    producer: Producer,
    /// Where both kinds of work append, in turns: so they use the same pages of memory.
    file: File,
    staged: Vec<u8>,
    append: Vec<u8>,
    _ring_dir: TempDir,
    _disk_dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let (ring_dir, disk_dir) = (ring_dir(), disk_dir());
        let places =
            Places::new(Some(ring_dir.path().as_os_str().as_bytes()), sys::effective_uid());
        let options = Options { lanes: 2, lane_bytes: LANE_BYTES, ..Options::default() };
        let drain = Drain::open(&places, options).expect("the ring");
        let producer = Producer::open_in(ring_dir.path()).expect("a producer");
        let file = File::create(disk_dir.path().join("appended")).expect("a file");
        Bench {
            drain,
            producer,
            file,
            staged: Vec::new(),
            append: vec![b'x'; APPEND_BYTES],
            _ring_dir: ring_dir,
            _disk_dir: disk_dir,
        }
    }

    /// Gigabytes of payload a second from the ring into the file, in records of so many bytes.
    pub(crate) fn drain(&mut self, payload_bytes: usize) -> f64 {
        let payload = vec![b'x'; payload_bytes];
        let records = MAX_BATCH_RECORDS.min(MAX_BATCH_BYTES / payload_bytes);
        let batches = ROUND_BYTES / (records * payload_bytes);
        self.empty();
        let mut took = Duration::ZERO;
        for _ in 0..batches {
            let events = std::iter::repeat_n(payload.as_slice(), records);
            let in_ring = self.producer.publish_batch(events).expect("room in the ring");
            assert_eq!(in_ring, records, "records went to the spool");
            let begin = Instant::now();
            let mut drained = 0;
            while drained < records {
                drained += self.collect();
            }
            took += begin.elapsed();
        }
        speed(batches * records * payload_bytes, took)
    }

    fn collect(&mut self) -> usize {
        let batch = self.drain.next_batch();
        self.staged.clear();
        for record in batch.records() {
            self.staged.extend_from_slice(record.payload);
        }
        let records = batch.len();
        self.file.write_all(&self.staged).expect("the file");
        self.drain.release();
        records
    }

    /// Gigabytes a second that plain appends bring into the file.
    pub(crate) fn append(&mut self) -> f64 {
        self.empty();
        let begin = Instant::now();
        for _ in 0..ROUND_BYTES / APPEND_BYTES {
            self.file.write_all(&self.append).expect("the file");
        }
        speed(ROUND_BYTES, begin.elapsed())
    }

    fn empty(&mut self) {
        self.file.set_len(0).expect("the file");
        self.file.rewind().expect("the file");
    }
}

fn speed(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / took.as_nanos() as f64
}
