//! What an event costs on one core from the ring into the journal's file (drain, parse, format,
//! write, release), beside what serde_json takes to parse the same bytes into a `Value`.
//!
//! Interleaved: each round fills the ring, drains it, and parses the same payloads.
//! Run with `cargo xtask bench --bench drain_to_journal [-- --rounds N]`.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use hookring::pipeline;
use hookring_benches::machine::Machine;
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_journal::{Journal, Options as JournalOptions};
use hookring_producer::Producer;

const SESSION: &str = include_str!("../../../daemon/demo/session.jsonl");
const DEFAULT_ROUNDS: usize = 30;
/// Fits a lane of 64 MiB with room to spare.
const EVENTS_PER_ROUND: usize = 20_000;
/// The payloads that are used: near 1.5 KB, as agents send them.
const PAYLOAD_BYTES: std::ops::RangeInclusive<usize> = 1200..=1800;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let rounds =
        args.iter().position(|arg| arg == "--rounds").and_then(|at| args.get(at + 1)?.parse().ok());
    let payloads: Vec<&[u8]> = SESSION
        .lines()
        .map(str::as_bytes)
        .filter(|line| PAYLOAD_BYTES.contains(&line.len()))
        .collect();
    let mean = payloads.iter().map(|payload| payload.len()).sum::<usize>() / payloads.len();
    let mut bench = Bench::new();
    bench.round(&payloads);
    let mut ratios = Vec::new();
    let (mut drain_ns, mut parse_ns) = (Vec::new(), Vec::new());
    for _ in 0..rounds.unwrap_or(DEFAULT_ROUNDS) {
        let (drain, parse) = bench.round(&payloads);
        ratios.push(drain / parse);
        drain_ns.push(drain);
        parse_ns.push(parse);
    }
    println!("{}", Machine::look());
    println!("agent payloads of {mean} bytes on average, median of {} rounds\n", ratios.len());
    println!("serde_json to Value         {:>8.0} ns  1.00 ×", median(&mut parse_ns));
    println!(
        "ring to journal, one core   {:>8.0} ns  {:.2} ×  {:.0} events/s",
        median(&mut drain_ns),
        median(&mut ratios),
        1e9 / median(&mut drain_ns)
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Bench {
    // Dropped before the directory goes.
    drain: Drain,
    journal: Journal,
    producer: Producer,
    _ring_dir: tempfile::TempDir,
    _journal_dir: tempfile::TempDir,
}

impl Bench {
    /// Ring on tmpfs, journal on the disk: as they are in use.
    fn new() -> Bench {
        let shm = Path::new("/dev/shm");
        let ring_dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        let (ring_dir, journal_dir) =
            (ring_dir.expect("a directory"), tempfile::tempdir().expect("a directory"));
        for dir in [&ring_dir, &journal_dir] {
            std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700))
                .expect("its mode");
        }
        let places =
            Places::new(Some(ring_dir.path().as_os_str().as_bytes()), sys::effective_uid());
        let options = Options { lanes: 2, lane_bytes: 64 << 20, ..Options::default() };
        let drain = Drain::open(&places, options).expect("the ring");
        // Little is kept, so that the page cache reuses memory: a page that the machine never touched
        // before costs its hypervisor more than everything that is measured here.
        let kept = JournalOptions {
            segment_bytes: 16 << 20,
            retention_bytes: Some(32 << 20),
            ..JournalOptions::default()
        };
        let (journal, _) = Journal::open(journal_dir.path(), kept, 0).expect("the journal");
        // As the hook command does, every record carries its check sum.
        let producer = Producer::open_in(ring_dir.path()).expect("a producer").with_crc();
        Bench { drain, journal, producer, _ring_dir: ring_dir, _journal_dir: journal_dir }
    }

    /// Nanoseconds per event: from the ring into the journal, and parsing into a `Value`.
    fn round(&mut self, payloads: &[&[u8]]) -> (f64, f64) {
        for payload in payloads.iter().cycle().take(EVENTS_PER_ROUND) {
            self.producer.publish(*payload).expect("room in the ring");
        }
        let begin = Instant::now();
        let mut events = 0;
        while events < EVENTS_PER_ROUND {
            events += self.collect();
        }
        let drain = begin.elapsed();
        self.journal.retain(u64::MAX, SystemTime::now()).expect("old segments go");
        let begin = Instant::now();
        for payload in payloads.iter().cycle().take(EVENTS_PER_ROUND) {
            let value: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
            std::hint::black_box(value);
        }
        (per_event(drain), per_event(begin.elapsed()))
    }

    /// What the daemon's collector does with a batch.
    fn collect(&mut self) -> usize {
        let batch = self.drain.next_batch();
        for record in batch.records() {
            pipeline::process(batch, &record, |origin, event| self.journal.stage(origin, event));
        }
        let events = batch.len();
        self.journal.commit().expect("the journal");
        self.drain.release();
        self.journal.sync_if_due(Instant::now()).expect("a sync");
        if self.journal.wants_rotation() {
            let ends: Vec<_> = self.drain.ends().iter().map(pipeline::lane_end).collect();
            self.journal.rotate(&ends, &self.drain.stuck_ids()).expect("a segment");
        }
        events
    }
}

fn per_event(time: Duration) -> f64 {
    time.as_nanos() as f64 / EVENTS_PER_ROUND as f64
}
