//! A producer for the crash tests: publishes numbered events in every way that the library has until
//! it is killed, and writes down the number of each event whose publish returned.
//!
//! `crash_producer DIR ACKS STREAM LIFE SEED`. It makes pauses; `!` on its stdin ends them, `.` has it
//! make them again, and the end of stdin ends it.

mod numbered;

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hookring_producer::{Event, Producer, PublishError};
use numbered::{Number, Rng, payload};

/// Events without a pause between them, at most.
const MAX_BURST: u64 = 40;
/// Events in a batch, at most.
const MAX_BATCH: u64 = 32;
/// A pause between two bursts, at most.
const MAX_PAUSE_MS: u64 = 400;

static IS_HURRIED: AtomicBool = AtomicBool::new(false);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, acks, stream, life, seed] = args.as_slice() else {
        panic!("usage: crash_producer DIR ACKS STREAM LIFE SEED");
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    follow_stdin();
    let mut rng = Rng::new(number(seed));
    let producer = Producer::open_in(Path::new(dir)).expect("a producer");
    let producer = if rng.percent(50) { producer.with_crc() } else { producer };
    let acks = OpenOptions::new().write(true).create(true).truncate(false).open(acks);
    let next = Number { stream: number(stream) as u32, life: number(life) as u32, event: 1 };
    let mut run = Run { rng, producer, acks: acks.expect("the acknowledgements"), next };
    loop {
        run.burst();
        if !IS_HURRIED.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(run.rng.below(MAX_PAUSE_MS)));
        }
    }
}

/// With the end of stdin, nobody is left who would kill this process.
fn follow_stdin() {
    let publisher = thread::current();
    thread::spawn(move || {
        let mut command = [0];
        while matches!(std::io::stdin().read(&mut command), Ok(1)) {
            IS_HURRIED.store(command == *b"!", Ordering::Relaxed);
            publisher.unpark();
        }
        std::process::exit(0);
    });
}

struct Run {
    rng: Rng,
    producer: Producer,
    acks: File,
    next: Number,
}

impl Run {
    fn burst(&mut self) {
        let events = 1 + self.rng.below(MAX_BURST);
        let end = self.next.event + events as u32;
        while self.next.event < end {
            match self.rng.below(10) {
                0..6 => self.publish(),
                6..8 => self.publish_batch(),
                _ => self.publish_in_place(),
            }
        }
    }

    fn publish(&mut self) {
        let payload = self.payload(self.next.event);
        let names = self.rng.percent(20);
        let (agent, name) = if names { ("crash-test", "Numbered") } else { ("", "") };
        match self.producer.publish(Event { agent, name, payload: &payload }) {
            Ok(_) => self.acknowledge(1),
            Err(error) => wait_for_room(error),
        }
    }

    fn publish_batch(&mut self) {
        let events = 2 + self.rng.below(MAX_BATCH - 1) as u32;
        let payloads: Vec<_> = (0..events).map(|i| self.payload(self.next.event + i)).collect();
        match self.producer.publish_batch(payloads.iter().map(Vec::as_slice)) {
            Ok(_) => self.acknowledge(events),
            Err(error) => {
                self.acknowledge(error.published as u32);
                wait_for_room(error.source);
            }
        }
    }

    /// Sometimes begins one and gives it up first.
    fn publish_in_place(&mut self) {
        let payload = self.payload(self.next.event);
        let aborts = self.rng.percent(20);
        let Some(mut slot) = self.producer.reserve(payload.len()) else { return self.publish() };
        let (begin, end) = payload.split_at(payload.len() / 2);
        assert!(slot.put(begin));
        if aborts {
            return;
        }
        assert!(slot.put(end));
        slot.commit();
        self.acknowledge(1);
    }

    fn payload(&mut self, event: u32) -> Vec<u8> {
        payload(Number { event, ..self.next }, self.rng.fill_bytes())
    }

    /// Everything before the next number is published. The file outlives this process.
    fn acknowledge(&mut self, events: u32) {
        if events == 0 {
            return;
        }
        let last = self.next.event + events - 1;
        let at = u64::from(self.next.life) * 4;
        self.acks.write_all_at(&last.to_le_bytes(), at).expect("the acknowledgement");
        self.next.event = last + 1;
    }
}

/// What was not published for lack of room is published again, under the same number.
fn wait_for_room(error: PublishError) {
    assert!(matches!(error, PublishError::Dropped), "{error}: {error:?}");
    thread::sleep(Duration::from_millis(1));
}
