//! The ring's algorithms under a model checker: every order in which processes can run, and every
//! value that the memory model lets them read. The code is what ships; `crate::model` is the machine.
//!
//! `tests/loom.sh` runs them; `HOOKRING_TEST_LONG=1` for more orders, and loom's own variables
//! (`LOOM_MAX_PREEMPTIONS` for a bound of one's own, `LOOM_LOG`) work as ever.

mod claim;
mod doorbell;
mod order;
mod publish;
mod reader_death;
mod retire;
mod spool;

use super::places::PlaceSet;
use super::ring_reader::RingReader;
use super::{Batch, Counts, Drain, LaneEnd, Origin};
use crate::crc::Crc32c;
use crate::create;
use crate::ident::Ids;
use crate::layout::{FEATURE_BARRIER, Geometry};
use crate::model::{self, Clock, UID};
use crate::oneshot::{Message, NotTaken, OneShot};
use crate::owned::{ClaimError, OwnedLane, PutError};
use crate::place::RING;
use crate::record::{RecordHeader, kind};
use crate::sys::{self, Open};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How often processes are interrupted where they need not wait, at most: all orders with so few are
/// tried. What is wrong shows with one or two.
const PREEMPTIONS: usize = 3;
/// So many more in the long form.
const LONG_PREEMPTIONS: usize = 2;

/// Checks a model in every order.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_to(PREEMPTIONS, model);
}

fn explore_to(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 10_000;
    if builder.preemption_bound.is_none() {
        let is_long = std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1");
        builder.preemption_bound = Some(preemptions + if is_long { LONG_PREEMPTIONS } else { 0 });
    }
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}

/// Checks a model in which some process dies before each of its steps in turn, and once not at all.
/// The model says whether it died.
fn explore_deaths(least: usize, model: impl Fn(usize) -> bool + Copy + Send + Sync + 'static) {
    explore_deaths_to(PREEMPTIONS, least, model);
}

fn explore_deaths_to(
    preemptions: usize,
    least: usize,
    model: impl Fn(usize) -> bool + Copy + Send + Sync + 'static,
) {
    for step in 0.. {
        let has_died = Arc::new(AtomicBool::new(false));
        let seen = has_died.clone();
        explore_to(preemptions, move || {
            if model(step) {
                // Of this test, not of the ring.
                seen.store(true, Ordering::Relaxed);
            }
        });
        if !has_died.load(Ordering::Relaxed) {
            assert!(step >= least, "it has {step} steps only");
            return;
        }
    }
}

/// Lanes of four blocks: two records that have a payload, or one of them and two without.
fn start(lanes: u32, clock: Clock) {
    start_with(lanes, 0, clock);
}

fn start_with(lanes: u32, features: u32, clock: Clock) {
    let geometry =
        Geometry { lanes, lane_bytes: 256, bus: [1; 16], boot: create::boot_id(), features };
    model::start(&geometry, clock);
}

/// What the hook command does.
fn hook(payload: &str) -> Result<(), NotTaken> {
    publish(&open_hook(), payload)
}

fn open_hook() -> OneShot {
    OneShot::open(&model::place(), UID).expect("the ring is there")
}

fn publish(ring: &OneShot, payload: &str) -> Result<(), NotTaken> {
    ring.publish(&mut message(payload), 0)?;
    ring.ring();
    Ok(())
}

/// A stamped one, with an id of its own.
fn message(payload: &str) -> Message<'_> {
    let header = RecordHeader {
        payload_bytes: payload.len() as u32,
        kind: kind::DATA,
        ..RecordHeader::default()
    };
    let mut message = Message { header, meta: b"", payload: payload.as_bytes() };
    let mut seed = [0; 16];
    seed[..payload.len()].copy_from_slice(payload.as_bytes());
    message.stamp(&mut Ids::new(seed), 0);
    message
}

fn claim() -> Result<OwnedLane, ClaimError> {
    let file = sys::open(Some(&model::place()), RING, Open::ReadWrite).expect("the ring is there");
    OwnedLane::claim(file, UID, Some(Crc32c::portable()))
}

fn put(lane: &mut OwnedLane, payload: &str) -> Result<(), PutError> {
    let header = RecordHeader { stamp_ns: sys::boottime_ns(), ..RecordHeader::default() };
    lane.put(&header, b"", payload.as_bytes())
}

/// A reader of the ring, and what it has taken.
struct Reader {
    drain: Drain,
    taken: Vec<String>,
    /// As a journal knows it: the ends of what is safe.
    ends: Vec<LaneEnd>,
}

impl Reader {
    fn open() -> Reader {
        Reader::open_with(None)
    }

    /// `spool_bytes`: the limit of the spool that it reads, too.
    fn open_with(spool_bytes: Option<u64>) -> Reader {
        let mut counts = Counts::default();
        let ring = RingReader::open(&model::place(), RING, UID, &mut counts);
        let ring = ring.expect("there is one reader at a time");
        let places = PlaceSet::of_ring(ring, spool_bytes);
        let drain = Drain {
            places,
            counts,
            batch: Batch::default(),
            heap: BinaryHeap::new(),
            round_ns: 0,
            horizon_ns: u64::MAX,
            is_round_open: false,
            is_listing_due: true,
            listed_ns: 0,
        };
        Reader { drain, taken: Vec::new(), ends: Vec::new() }
    }

    /// Takes what there is, and has it safe before it says so to the ring.
    fn round(&mut self) {
        let batch = self.drain.next_batch();
        for record in batch.records() {
            self.taken.push(String::from_utf8(record.payload.to_vec()).expect("it is whole"));
            if let Origin::Lane(end) = record.origin {
                self.ends.push(*end);
            }
        }
        self.drain.release();
    }

    /// Every reader finds all of it sound, whatever died.
    fn assert_sound(&self) {
        let counts = self.drain.counts();
        assert_eq!((counts.condemned_lanes, counts.damaged_bytes), (0, 0));
    }

    /// Takes the rest, when nobody writes any more.
    fn finish(mut self) -> Vec<String> {
        // What is stamped during one round waits for the next.
        self.round();
        self.round();
        self.assert_sound();
        self.taken
    }
}
