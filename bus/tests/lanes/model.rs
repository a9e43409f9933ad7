//! The bus against a plain queue: whatever producers and the reader do, and whoever dies, what was
//! published comes out once, in the order in which it was published, and nothing else does.
//!
//! All of it happens in one thread, so the order of publishing is total: per producer, and from a
//! cause to its effect. `HOOKRING_TEST_LONG=1` (tests/long.sh sets it) tries many more cases;
//! `HOOKRING_TEST_SEED` repeats those of an earlier run. What ever failed is tried first, from
//! `proptest-regressions/model.txt`.

use crate::bus::{Bus, message};
use hookring_bus::crc::Crc32c;
use hookring_bus::create;
use hookring_bus::drain::{Drain, LaneEnd, Origin};
use hookring_bus::ident::Ids;
use hookring_bus::oneshot::{NotTaken, OneShot};
use hookring_bus::owned::{OwnedLane, PutError};
use hookring_bus::record::{RecordHeader, kind};
use hookring_bus::spool::{self, Spooled};
use hookring_bus::sys;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestRunner};
use std::collections::{HashMap, HashSet, VecDeque};

const CASES: u32 = 48;
const LONG_CASES: u32 = 4_000;
const PRODUCERS: usize = 3;
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/model.txt");

#[derive(Clone, Debug)]
enum Action {
    /// A hook publishes once; what the ring does not take goes to the spool.
    Hook {
        bytes: usize,
    },
    /// A long-lived producer publishes these with one store.
    Publish {
        producer: usize,
        sizes: Vec<usize>,
    },
    /// It fills a record in place.
    Commit {
        producer: usize,
        bytes: usize,
    },
    /// It gives one up before it is committed.
    Abort {
        producer: usize,
        bytes: usize,
    },
    /// It dies with so many records written and not published.
    Kill {
        producer: usize,
        sizes: Vec<usize>,
    },
    /// The reader takes a batch, and has it safe.
    Read,
    /// The reader dies when so many records of its next batch are safe, and another takes its place.
    Crash {
        safe: usize,
    },
    /// Somebody removes the ring's file.
    RemoveRing,
    /// The daemon's settings change: the ring's sizes and the spool's limit.
    Settings {
        lanes: u32,
        spool_bytes: u64,
    },
    Maintain,
}

fn action() -> impl Strategy<Value = Action> {
    // From nothing to more than a lane takes, so that lanes are full soon.
    let bytes = || prop_oneof![6 => 0..300usize, 3 => 2000..8200usize, 1 => 8129..20_000usize];
    let producer = || 0..PRODUCERS;
    let sizes = move || vec(bytes(), 1..6);
    prop_oneof![
        6 => bytes().prop_map(|bytes| Action::Hook { bytes }),
        6 => (producer(), sizes())
            .prop_map(|(producer, sizes)| Action::Publish { producer, sizes }),
        3 => (producer(), bytes()).prop_map(|(producer, bytes)| Action::Commit { producer, bytes }),
        2 => (producer(), bytes()).prop_map(|(producer, bytes)| Action::Abort { producer, bytes }),
        2 => (producer(), sizes()).prop_map(|(producer, sizes)| Action::Kill { producer, sizes }),
        5 => Just(Action::Read),
        3 => (0..20usize).prop_map(|safe| Action::Crash { safe }),
        1 => Just(Action::RemoveRing),
        1 => (prop_oneof![Just(2u32), Just(4)], prop_oneof![Just(20_000u64), Just(1 << 20)])
            .prop_map(|(lanes, spool_bytes)| Action::Settings { lanes, spool_bytes }),
        2 => Just(Action::Maintain),
    ]
}

#[test]
fn the_bus_is_a_queue() {
    let named = std::env::var("HOOKRING_TEST_SEED").ok();
    let named = named.map(|seed| seed.parse().expect("HOOKRING_TEST_SEED is a number"));
    let seed =
        named.unwrap_or_else(|| u64::from_le_bytes(*create::random_seed().first_chunk().unwrap()));
    println!("HOOKRING_TEST_SEED={seed}");
    let is_long = std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1");
    let config = ProptestConfig {
        cases: if is_long { LONG_CASES } else { CASES },
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let checked = TestRunner::new(config).run(&vec(action(), 1..120), |actions| {
        let mut run = Run::new();
        for action in &actions {
            run.act(action);
        }
        run.finish();
        Ok(())
    });
    if let Err(error) = checked {
        panic!("with HOOKRING_TEST_SEED={seed}: {error}");
    }
}

/// The bus and the queue that it is compared with.
struct Run {
    bus: Bus,
    drain: Option<Drain>,
    producers: [Option<OwnedLane>; PRODUCERS],
    queue: VecDeque<Vec<u8>>,
    journal: Journal,
    ids: Ids,
    published: u32,
    dropped: u64,
    last_ns: u64,
    /// The ring's file is gone, with what is in it: no reader but this one will find that.
    is_ring_lost: bool,
}

/// What a journal knows.
#[derive(Default)]
struct Journal {
    ends: HashMap<([u8; 16], u16), LaneEnd>,
    ids: HashSet<[u8; 16]>,
}

impl Run {
    fn new() -> Run {
        let bus = Bus::new(4);
        let drain = Some(bus.drain());
        Run {
            bus,
            drain,
            producers: [const { None }; PRODUCERS],
            queue: VecDeque::new(),
            journal: Journal::default(),
            ids: Ids::new(create::random_seed()),
            published: 0,
            dropped: 0,
            last_ns: 0,
            is_ring_lost: false,
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Hook { bytes } => self.hook(*bytes),
            Action::Publish { producer, sizes } => self.publish(*producer, sizes),
            Action::Commit { producer, bytes } => self.fill(*producer, *bytes, true),
            Action::Abort { producer, bytes } => self.fill(*producer, *bytes, false),
            Action::Kill { producer, sizes } => self.kill(*producer, sizes),
            Action::Read => self.read(),
            Action::Crash { safe } => self.crash(*safe),
            Action::RemoveRing => {
                self.is_ring_lost |= std::fs::remove_file(self.bus.ring_path()).is_ok();
            }
            Action::Settings { lanes, spool_bytes } => {
                self.bus.options.lanes = *lanes;
                self.bus.options.spool_bytes = *spool_bytes;
                let options = self.bus.options;
                self.drain().set_options(options);
            }
            Action::Maintain => self.drain().maintain(),
        }
    }

    fn drain(&mut self) -> &mut Drain {
        self.drain.as_mut().expect("there is always a reader")
    }

    /// A payload unlike any other, and a header with a stamp behind every earlier one.
    fn event(&mut self, bytes: usize) -> (RecordHeader, Vec<u8>) {
        self.published += 1;
        let mut payload = format!("{}:", self.published).into_bytes();
        payload.resize(payload.len().max(bytes), b'.');
        let mut message = message(&payload);
        while message.header.stamp_ns <= self.last_ns {
            message.stamp(&mut self.ids, 0);
        }
        self.last_ns = message.header.stamp_ns;
        (message.header, payload)
    }

    fn hook(&mut self, bytes: usize) {
        let (header, payload) = self.event(bytes);
        let place = self.bus.places().open(0).unwrap();
        let mut message = message(&payload);
        message.header = header;
        let opened = OneShot::open(&place, sys::effective_uid()).map_err(NotTaken::Ring);
        let taken = opened.and_then(|ring| {
            ring.publish(&mut message, self.published)?;
            ring.ring();
            Ok(())
        });
        match taken {
            Ok(()) => self.queue.push_back(payload),
            Err(NotTaken::System(errno)) => panic!("the system refused: {errno:?}"),
            Err(_) => self.spool(header, payload),
        }
    }

    /// As a producer does with what its lane does not take.
    fn spool(&mut self, header: RecordHeader, payload: Vec<u8>) {
        let used: u64 = self.spool_entries().sum();
        let fits = used + header.bytes() <= self.bus.options.spool_bytes;
        let place = self.bus.places().open(0).unwrap();
        let uid = sys::effective_uid();
        let spooled = spool::store(&place, uid, header, b"", &payload, Crc32c::fastest()).unwrap();
        assert_eq!(spooled == Spooled::Stored, fits, "{used} bytes are in the spool");
        if fits {
            self.queue.push_back(payload);
        } else {
            self.dropped += 1;
        }
    }

    fn spool_entries(&self) -> impl Iterator<Item = u64> {
        let entries = std::fs::read_dir(self.bus.temp.path().join("spool"));
        let entries = entries.into_iter().flatten().map(Result::unwrap);
        let is_entry = |entry: &std::fs::DirEntry| entry.file_name() != "usage";
        entries.filter(is_entry).map(|entry| entry.metadata().unwrap().len())
    }

    /// A producer's lane; it claims one where it has none, if it can.
    fn lane(&mut self, producer: usize) -> Option<OwnedLane> {
        let lane = self.producers[producer].take();
        let has_ring = || self.bus.ring_path().exists();
        // Every second one without a CRC.
        let crc = Some(Crc32c::fastest()).filter(|_| producer.is_multiple_of(2));
        lane.or_else(|| has_ring().then(|| self.bus.try_lane(crc).ok())?)
    }

    /// Publishes what was put, and keeps the lane unless it is to be left.
    fn show(&mut self, producer: usize, mut lane: OwnedLane, put: &mut Vec<Vec<u8>>) {
        if !lane.publish() {
            self.producers[producer] = Some(lane);
        }
        self.queue.extend(put.drain(..));
    }

    fn publish(&mut self, producer: usize, sizes: &[usize]) {
        let mut put = Vec::new();
        for bytes in sizes {
            let (header, payload) = self.event(*bytes);
            let lane = self.lane(producer);
            let has_put = lane.map(|mut lane| {
                let has_put = lane.put(&header, b"", &payload);
                (lane, has_put)
            });
            match has_put {
                Some((lane, Ok(()))) => {
                    self.producers[producer] = Some(lane);
                    put.push(payload);
                }
                Some((_, Err(PutError::Condemned))) => panic!("nothing is damaged"),
                // The order stays: what was put is published before anything is spooled.
                Some((lane, Err(PutError::TooLarge | PutError::Full))) => {
                    self.show(producer, lane, &mut put);
                    self.spool(header, payload);
                }
                None => self.spool(header, payload),
            }
        }
        if let Some(lane) = self.producers[producer].take() {
            self.show(producer, lane, &mut put);
        }
    }

    fn fill(&mut self, producer: usize, bytes: usize, is_committed: bool) {
        let Some(mut lane) = self.lane(producer) else { return };
        let (header, payload) = self.event(bytes);
        let mut put = Vec::new();
        if let Ok(mut reserved) = lane.reserve(payload.len() + 100) {
            let (first, second) = payload.split_at(payload.len() / 2);
            assert!(lane.fill(&mut reserved, first) && lane.fill(&mut reserved, second));
            if is_committed {
                lane.commit(reserved, &header);
                put.push(payload);
            }
        }
        self.show(producer, lane, &mut put);
    }

    fn kill(&mut self, producer: usize, sizes: &[usize]) {
        let Some(mut lane) = self.lane(producer) else { return };
        for bytes in sizes {
            let (header, payload) = self.event(*bytes);
            let _ = lane.put(&RecordHeader { kind: kind::DATA, ..header }, b"", &payload);
        }
        drop(lane);
    }

    /// Takes a batch. It has all that there is: what was published before it is stamped before it.
    /// So many of its records are safe then.
    fn take(&mut self, safe: usize) {
        let drain = self.drain.as_mut().expect("there is always a reader");
        let batch = drain.next_batch();
        let taken: Vec<_> = batch.records().map(|record| name(record.payload)).collect();
        let expected: Vec<_> = self.queue.iter().map(|payload| name(payload)).collect();
        assert_eq!(taken, expected);
        for (record, payload) in batch.records().zip(&self.queue) {
            assert!(record.payload == payload, "the payload of {}", name(payload));
        }
        for record in batch.records().take(safe) {
            match record.origin {
                Origin::Lane(end) => drop(self.journal.ends.insert((end.bus, end.lane), *end)),
                Origin::Spool(_) => {}
            }
            self.journal.ids.insert(record.header.id);
        }
        let counts = drain.counts();
        assert_eq!((counts.condemned_lanes, counts.damaged_bytes), (0, 0));
        assert_eq!((counts.clamped_stamps, counts.bad_spool_entries), (0, 0));
        self.queue.drain(..safe.min(taken.len()));
    }

    fn read(&mut self) {
        self.take(usize::MAX);
        self.drain().release();
    }

    fn crash(&mut self, safe: usize) {
        if self.is_ring_lost {
            // What is in it comes out first.
            self.settle();
        }
        self.take(safe);
        self.drain = None;
        let mut drain = self.bus.drain();
        let ends: Vec<_> = self.journal.ends.values().copied().collect();
        drain.recover(&ends, self.journal.ids.iter().copied().collect());
        self.drain = Some(drain);
    }

    /// Until no retired ring is left: its producers are told to leave behind their next publish.
    fn settle(&mut self) {
        self.read();
        self.drain().maintain();
        for producer in 0..PRODUCERS {
            if self.producers[producer].is_some() {
                self.publish(producer, &[0]);
            }
        }
        let mut rounds = 0;
        while self.drain().report()[0].retired_rings > 0 {
            self.read();
            self.drain().maintain();
            rounds += 1;
            assert!(rounds < 10, "a retired ring that no producer holds is never empty");
        }
        self.is_ring_lost = false;
    }

    fn finish(mut self) {
        self.settle();
        self.read();
        assert_eq!(self.spool_entries().count(), 0);
        let report = &self.drain().report()[0];
        let (used_bytes, spool_bytes, dropped) =
            (report.used_bytes, report.spool_bytes, report.spool_dropped_events);
        assert_eq!((used_bytes, spool_bytes), (0, 0));
        assert_eq!(dropped, self.dropped);
    }
}

/// The number at the beginning of a payload.
fn name(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload.split(|byte| *byte == b':').next().unwrap_or(b"?")).into_owned()
}
