//! Does hookring's publish stay what it is with other sizes, and with other lanes in use?

use std::time::Instant;

use anyhow::{Result, ensure};
use hookring_benches::figures::{Row, Target};
use hookring_bus::create::{DEFAULT_LANE_BYTES, DEFAULT_LANES};
use hookring_bus::drain::{Drain, Options};
use hookring_bus::spool::DEFAULT_LIMIT_BYTES;
use hookring_producer::Producer;

use crate::payloads::{Payloads, Tally, set_len};
use crate::peers::hookring::{open, take};
use crate::peers::{Mode, Peer, Shape};
use crate::run::Run;
use crate::stats::{median, ratios};

const BYTES: usize = 256;
const ROUNDS: usize = 1500;
const KIB: u64 = 1024;
/// Lanes, bytes of a lane, other lanes that are in use. Long-lived producers have half of the lanes.
const SHAPES: [(u32, u64, usize); 7] = [
    (DEFAULT_LANES, DEFAULT_LANE_BYTES, 0),
    (4, DEFAULT_LANE_BYTES, 0),
    (256, DEFAULT_LANE_BYTES, 0),
    (DEFAULT_LANES, 64 * KIB, 0),
    (DEFAULT_LANES, 4096 * KIB, 0),
    (64, DEFAULT_LANE_BYTES, 0),
    (64, DEFAULT_LANE_BYTES, 31),
];

struct Bus {
    producer: Producer,
    others: Vec<Producer>,
    drain: Drain,
    times: Vec<f64>,
}

pub(crate) fn measure(run: &mut Run) -> Result<()> {
    let mut buses = Vec::new();
    for (lanes, lane_bytes, others) in SHAPES {
        let shape = Shape { max_bytes: BYTES, records: 0, producers: 1, mode: Mode::Burst };
        let place = run.place(shape)?;
        let options = Options { lanes, lane_bytes, spool_bytes: DEFAULT_LIMIT_BYTES };
        let drain = open(&place.dir, options)?;
        let producer = Producer::open_in(&place.dir)?;
        let others = (0..others).map(|_| Producer::open_in(&place.dir));
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let all_have = producer.has_lane() && others.iter().all(Producer::has_lane);
        ensure!(all_have, "no lane is free");
        buses.push(Bus { producer, others, drain, times: Vec::new() });
    }
    let payloads: Vec<Payloads> = (0..32).map(|i| Payloads::new(BYTES, false, i)).collect();
    for round in 0..run.rounds(ROUNDS) {
        for turn in 0..buses.len() {
            let at = (turn + round) % buses.len();
            run.turn(Peer::Hookring, || buses[at].round(&payloads))?;
        }
        if round % 150 == 0 {
            run.look_at_cores();
        }
    }
    for (index, (bus, shape)) in buses.iter().zip(SHAPES).enumerate().skip(1) {
        // The last differs from the one before it in one thing only.
        let base = if index == SHAPES.len() - 1 { index - 1 } else { 0 };
        run.figures.rows.push(Row {
            block: format!("hookring's publish in rings of other shapes, {BYTES} B: ns per record"),
            what: describe(shape),
            value: median(&bus.times),
            beside: describe(SHAPES[base]),
            base: median(&buses[base].times),
            unit: "ns".to_owned(),
            ratio: median(&ratios(&bus.times, &buses[base].times)),
            target: Some(Target::AtMost(1.1)),
        });
    }
    Ok(())
}

fn describe((lanes, lane_bytes, others): (u32, u64, usize)) -> String {
    let others = if others == 0 { String::new() } else { format!(", {others} others in use") };
    format!("{lanes} lanes of {} KiB{others}", lane_bytes / KIB)
}

impl Bus {
    /// A pass through the set, which is less than the smallest lane holds; the others send theirs
    /// beforehand.
    fn round(&mut self, payloads: &[Payloads]) -> Result<()> {
        let mut sum = payloads[0].sum();
        for (other, payloads) in self.others.iter_mut().zip(&payloads[1..]) {
            other.publish_batch(payloads.run(1))?;
            sum = sum.wrapping_add(payloads.sum());
        }
        let set = payloads[0].run(1);
        let start = Instant::now();
        for payload in &set {
            self.producer.publish(*payload)?;
        }
        let took = start.elapsed();
        self.times.push(took.as_nanos() as f64 / set.len() as f64);
        let (producers, records) =
            (1 + self.others.len(), (1 + self.others.len()) * set_len(BYTES));
        let mut tally = Tally::new(BYTES, producers, false);
        while tally.records < records {
            take(&mut self.drain, &mut tally);
        }
        let spooled = self.drain.counts().spool_records;
        ensure!(spooled == 0, "{spooled} records went to the spool");
        tally.check(records, sum)
    }
}
