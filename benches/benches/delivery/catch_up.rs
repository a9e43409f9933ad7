//! A journal that a sink has nothing of yet, delivered by its worker; and its lines, parsed.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use hookring_journal::{Batch, Seq};
use hookring_sinks::{Outcome, Pump, Sink, Start};

use crate::events::Events;

/// Some segments' worth, several times what the cache holds.
const EVENTS: usize = 30_000;
/// In one write to the journal.
const WRITTEN_AT_ONCE: usize = 500;
/// Long enough for any machine; only what is broken takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Bench {
    events: Events,
    last: Seq,
}

/// Takes everything, and says when it has the last event.
struct Null {
    last: Seq,
    done: Sender<Instant>,
}

impl Sink for Null {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        black_box(batch.bytes());
        if batch.last() >= self.last {
            // Whoever waited may have given up.
            let _ = self.done.send(Instant::now());
        }
        Outcome::Accepted
    }
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let mut events = Events::new();
        let mut last = 0;
        for _ in 0..EVENTS / WRITTEN_AT_ONCE {
            last = events.write(WRITTEN_AT_ONCE);
        }
        assert!(events.segments().len() > 2, "several segments");
        Bench { events, last }
    }

    pub(crate) fn mean_bytes(&self) -> usize {
        let bytes = |path| std::fs::metadata(path).map_or(0, |it| it.len());
        self.events.segments().iter().map(bytes).sum::<u64>() as usize / EVENTS
    }

    /// Microseconds per event, from the start of a worker without a cursor to the last event. No two rounds
    /// may have the same number.
    pub(crate) fn deliver(&self, round: usize) -> f64 {
        let cursors = self.events.path(&format!("{round}/cursors"));
        let (done, is_done) = channel();
        let sink = Null { last: self.last, done };
        let begin = Instant::now();
        let pump = Pump::new("null", self.events.path("journal"), cursors, Start::Oldest);
        let handle = pump.start(Box::new(sink), self.events.tail()).expect("a worker");
        let end = is_done.recv_timeout(PATIENCE).expect("the last event");
        assert!(handle.stop(Instant::now() + PATIENCE).worker_ended);
        micros_per_event(end - begin)
    }

    /// The same for reading the same files line by line, each parsed.
    pub(crate) fn parse(&self) -> f64 {
        let begin = Instant::now();
        let (mut events, mut line) = (0, Vec::new());
        for path in self.events.segments() {
            let mut file = BufReader::new(File::open(path).expect("a segment"));
            while file.read_until(b'\n', &mut line).expect("the segment") > 0 {
                let value: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
                events += usize::from(value.get("id").is_some());
                black_box(value);
                line.clear();
            }
        }
        let took = begin.elapsed();
        assert!(events >= EVENTS, "only {events} of the lines are events");
        micros_per_event(took)
    }
}

fn micros_per_event(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3 / EVENTS as f64
}
