//! What is timed: so many records as a lane takes, published or copied, on one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use hookring_bus::record::{RECORD_ALIGN, RECORD_HEADER_BYTES};
use hookring_bus::sys;
use hookring_producer::Producer;

use crate::bus::Bus;

/// Half of a default lane, so that none is ever full.
const RUN_BYTES: usize = 128 * 1024;
/// As large as a lane: the copies walk through as much memory as the publishes.
const LANE_BYTES: usize = 256 * 1024;
/// Where payloads are taken from: not always the same bytes, not always hot ones.
const SOURCE_BYTES: usize = 64 * 1024;
/// Records of a batch, which share a stamp and one release store.
const BATCH: usize = 32;

#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Copy,
    CopyAndClock,
    Publish,
    Batch,
    InPlace,
    PublishWithCrc,
}

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [
        Kind::Copy,
        Kind::CopyAndClock,
        Kind::Publish,
        Kind::Batch,
        Kind::InPlace,
        Kind::PublishWithCrc,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Copy => "memcpy",
            Kind::CopyAndClock => "memcpy + clock",
            Kind::Publish => "publish",
            Kind::Batch => "publish_batch of 32",
            Kind::InPlace => "reserve, fill in place, commit",
            Kind::PublishWithCrc => "publish, with CRC",
        }
    }

    /// What it is compared with.
    pub(crate) fn baseline(self) -> Kind {
        match self {
            Kind::Copy | Kind::CopyAndClock | Kind::Batch => Kind::Copy,
            Kind::Publish | Kind::InPlace | Kind::PublishWithCrc => Kind::CopyAndClock,
        }
    }
}

pub(crate) struct Workload {
    // Producers go before the bus that they are on.
    plain: Producer,
    with_crc: Producer,
    bus: Bus,
    source: Vec<u8>,
    target: Vec<u8>,
    /// Where in `target` the next copy goes.
    at: usize,
    /// Where in `source` each payload begins, and its length.
    payloads: Vec<(usize, usize)>,
}

impl Workload {
    /// Payloads of `bytes`, or between half and one and a half times as many.
    pub(crate) fn new(bytes: usize, is_varied: bool) -> Result<Workload> {
        let bus = Bus::new()?;
        let count = RUN_BYTES / stride(bytes) / BATCH * BATCH;
        let length = |i: usize| if is_varied { bytes / 2 + i * 7919 % bytes } else { bytes };
        let payloads = (0..count).map(|i| (i * bytes % (SOURCE_BYTES / 2), length(i)));
        Ok(Workload {
            plain: bus.producer()?,
            with_crc: bus.producer()?.with_crc(),
            bus,
            source: (0..SOURCE_BYTES).map(|i| i as u8).collect(),
            target: vec![0; LANE_BYTES],
            at: 0,
            payloads: payloads.collect(),
        })
    }

    /// How many records a run has.
    pub(crate) fn records(&self) -> usize {
        self.payloads.len()
    }

    /// Runs it once. What it published is taken out of the ring after the time was taken.
    pub(crate) fn run(&mut self, kind: Kind) -> Result<Duration> {
        let start = Instant::now();
        match kind {
            Kind::Copy => self.copy(|| 0),
            Kind::CopyAndClock => self.copy(sys::boottime_ns),
            Kind::Publish => publish(&mut self.plain, &self.source, &self.payloads)?,
            Kind::PublishWithCrc => publish(&mut self.with_crc, &self.source, &self.payloads)?,
            Kind::Batch => {
                for batch in self.payloads.chunks(BATCH) {
                    self.plain.publish_batch(
                        batch.iter().map(|(from, bytes)| payload(&self.source, *from, *bytes)),
                    )?;
                }
            }
            Kind::InPlace => {
                for (from, bytes) in &self.payloads {
                    if let Some(mut slot) = self.plain.reserve(*bytes) {
                        let _ = slot.put(payload(&self.source, *from, *bytes));
                        slot.commit();
                    }
                }
            }
        }
        let took = start.elapsed();
        if !matches!(kind, Kind::Copy | Kind::CopyAndClock) {
            self.bus.empty(self.payloads.len())?;
        }
        Ok(took)
    }

    /// Copies the payloads to where records would put them.
    fn copy(&mut self, clock: impl Fn() -> u64) {
        for (from, bytes) in &self.payloads {
            if self.at + stride(*bytes) > self.target.len() {
                self.at = 0;
            }
            let target = &mut self.target[self.at + RECORD_HEADER_BYTES..][..*bytes];
            target.copy_from_slice(payload(&self.source, *from, *bytes));
            black_box(target);
            black_box(clock());
            self.at += stride(*bytes);
        }
    }
}

fn publish(producer: &mut Producer, source: &[u8], payloads: &[(usize, usize)]) -> Result<()> {
    for (from, bytes) in payloads {
        producer.publish(payload(source, *from, *bytes))?;
    }
    Ok(())
}

fn payload(source: &[u8], from: usize, bytes: usize) -> &[u8] {
    black_box(&source[from..from + bytes])
}

/// What a record of this payload takes in a lane.
fn stride(bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + bytes).next_multiple_of(RECORD_ALIGN as usize)
}
