//! Through drain, parse and journal: what the daemon's collector does with a batch.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hookring::metrics::{EventMetrics, Metrics};
use hookring::pipeline::{self, Intake, Noticed};
use hookring::run::Watched;
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_journal::{Journal, Options as JournalOptions};
use hookring_pipeline::Summary;
use hookring_producer::Producer;
use tempfile::TempDir;

use crate::{disk_dir, ring_dir};

/// Fits a lane of 64 MiB with room to spare.
const EVENTS_PER_ROUND: usize = 20_000;
pub(crate) struct Bench {
    // Dropped before the directory goes.
    drain: Drain,
    journal: Journal,
    producer: Producer,
    intake: Intake,
    noticed: Noticed,
    metrics: Arc<Metrics>,
    watched: Watched,
    _ring_dir: TempDir,
    _journal_dir: TempDir,
}

impl Bench {
    /// Ring on tmpfs, journal on the disk: as they are in use.
    pub(crate) fn new() -> Bench {
        let (ring_dir, journal_dir) = (ring_dir(), disk_dir());
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
        let intake = Intake::new(hookring_pipeline::Options::plain());
        let noticed = Noticed::default();
        let metrics = Arc::new(Metrics::default());
        let watched = Watched::new(Arc::clone(&metrics));
        Bench {
            drain,
            journal,
            producer,
            intake,
            noticed,
            metrics,
            watched,
            _ring_dir: ring_dir,
            _journal_dir: journal_dir,
        }
    }

    /// Nanoseconds per event: from the ring into the journal, and parsing into a `Value`.
    pub(crate) fn round(&mut self, payloads: &[&[u8]]) -> (f64, f64) {
        let drain = self.drain(payloads, true);
        let begin = Instant::now();
        for payload in payloads.iter().cycle().take(EVENTS_PER_ROUND) {
            let value: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
            std::hint::black_box(value);
        }
        (drain, per_event(begin.elapsed()))
    }

    /// Nanoseconds per event from the ring into the journal, with what is counted of each or without.
    pub(crate) fn drain(&mut self, payloads: &[&[u8]], is_counted: bool) -> f64 {
        for payload in payloads.iter().cycle().take(EVENTS_PER_ROUND) {
            self.producer.publish(*payload).expect("room in the ring");
        }
        let begin = Instant::now();
        let mut events = 0;
        while events < EVENTS_PER_ROUND {
            events += self.collect(is_counted);
        }
        let drain = begin.elapsed();
        self.journal.retain(u64::MAX, SystemTime::now()).expect("old segments go");
        per_event(drain)
    }

    /// Has 10,000 series in the metrics.
    pub(crate) fn fill_series(&mut self) {
        let mut events = EventMetrics::new(Arc::clone(&self.metrics));
        for number in 0..10_000 {
            let event_type = format!("some.event.{}", number % 200);
            let agent = format!("agent-{}", number / 200);
            let summary = Summary { event_type: &event_type, agent: &agent, ..Summary::default() };
            events.note(&summary);
        }
    }

    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// What the daemon's collector does with a batch.
    fn collect(&mut self, is_counted: bool) -> usize {
        let batch = self.drain.next_batch();
        self.watched.begin_batch(batch.boottime_ns(), batch.realtime_ns());
        for record in batch.records() {
            let (journal, noticed) = (&mut self.journal, &mut self.noticed);
            if is_counted {
                let watch = &mut self.watched;
                let seq = self.intake.stage_watched((batch, &record), journal, noticed, watch);
                self.watched.numbered(seq);
            } else {
                self.intake.stage((batch, &record), journal, noticed);
            }
        }
        let events = batch.len();
        self.journal.commit().expect("the journal");
        if is_counted {
            let now_ns = sys::boottime_ns();
            for record in batch.records() {
                self.metrics.note_journaled(now_ns.saturating_sub(record.header.stamp_ns));
            }
        }
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
