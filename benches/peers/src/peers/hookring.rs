//! hookring: a producer's lane, and the drain that the daemon reads with.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use hookring_bus::create::{DEFAULT_LANE_BYTES, DEFAULT_LANES};
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::record::{RECORD_ALIGN, RECORD_HEADER_BYTES};
use hookring_bus::spool::DEFAULT_LIMIT_BYTES;
use hookring_bus::sys;
use hookring_producer::{Producer, Published};

use super::{Mode, Pause, Place, Receiver, Sender};
use crate::payloads::Tally;

/// As long as the daemon sleeps at a time.
const SLEEP: Duration = Duration::from_millis(500);

pub(super) struct Reader {
    drain: Drain,
    sleeps: bool,
}

impl Reader {
    pub(super) fn new(place: &Place) -> Result<Reader> {
        let shape = &place.shape;
        // The default lane, unless a burst does not fit its half.
        let burst =
            if shape.mode == Mode::Burst { shape.records * stride(shape.max_bytes) } else { 0 };
        let lane_bytes = DEFAULT_LANE_BYTES.max((burst as u64).next_power_of_two());
        let options =
            Options { lanes: DEFAULT_LANES, lane_bytes, spool_bytes: DEFAULT_LIMIT_BYTES };
        let mut drain = open(&place.dir, options)?;
        settle(&mut drain);
        Ok(Reader { drain, sleeps: shape.mode == Mode::Sleeping })
    }
}

/// The drain of a bus with a ring of this shape.
pub(crate) fn open(dir: &std::path::Path, options: Options) -> Result<Drain> {
    let places = Places::new(Some(dir.as_os_str().as_bytes()), sys::effective_uid());
    Ok(Drain::open(&places, options)?)
}

/// What a daemon has behind it after two seconds: until then it lists the spool in every round, since
/// hooks may still count in counters that were there before its own.
fn settle(drain: &mut Drain) {
    for _ in 0..2 {
        drain.maintain();
        drain.next_batch();
        drain.release();
    }
}

impl Receiver for Reader {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        if self.sleeps {
            self.drain.wait(SLEEP);
        }
        if self.drain.has_work() || self.sleeps {
            take(&mut self.drain, tally);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let spooled = self.drain.counts().spool_records;
        ensure!(spooled == 0, "{spooled} records went to the spool");
        Ok(())
    }
}

/// Takes a batch out.
pub(crate) fn take(drain: &mut Drain, tally: &mut Tally) {
    for record in drain.next_batch().records() {
        tally.take(record.payload);
    }
    drain.release();
}

pub(super) struct Writer {
    producer: Producer,
    /// A lane that is full sends records to the spool, so a paced sender asks for room first.
    asks_for_room: bool,
}

impl Writer {
    pub(super) fn new(place: &Place) -> Result<Writer> {
        let producer = Producer::open_in(&place.dir)?;
        ensure!(producer.has_lane(), "no lane is free");
        Ok(Writer { producer, asks_for_room: place.shape.mode == Mode::Paced })
    }

    /// Waits until a record of so many bytes, header included, fits. A reservation that is dropped
    /// leaves no trace; what fits in one piece fits in several.
    fn wait_for_room(&mut self, bytes: usize) {
        let mut pause = Pause::default();
        while self.producer.reserve(bytes - RECORD_HEADER_BYTES).is_none() {
            pause.wait();
        }
    }
}

impl Sender for Writer {
    fn send(&mut self, payload: &[u8]) -> Result<()> {
        if self.asks_for_room {
            self.wait_for_room(stride(payload.len()));
        }
        let published = self.producer.publish(payload)?;
        ensure!(published == Published::Ring, "a record went to the spool");
        Ok(())
    }

    fn send_batch(&mut self, payloads: &[&[u8]]) -> Result<()> {
        if self.asks_for_room {
            self.wait_for_room(payloads.iter().map(|payload| stride(payload.len())).sum());
        }
        let in_ring = self.producer.publish_batch(payloads.iter().copied())?;
        ensure!(in_ring == payloads.len(), "records went to the spool");
        Ok(())
    }
}

/// What a record of this payload takes in a lane.
pub(crate) fn stride(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(RECORD_ALIGN as usize)
}
