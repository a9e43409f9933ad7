//! What `benches/instructions.sh` counts the instructions of, and what it checks the counted runs with.
//!
//! - `instructions publish DIR COUNT BATCH` makes a ring under DIR and publishes COUNT events of 256 B,
//!   in batches, or one at a time if BATCH is 1. Two runs with different counts differ in nothing but
//!   the publishes.
//! - `instructions events COUNT` makes COUNT events of the payloads of a recorded session, with all
//!   rules on; `instructions watched COUNT` does that and counts them for metrics, too.
//! - `instructions drain DIR COUNT` reads the ring under DIR, which must hold COUNT events, and makes
//!   it if there is none.
//!
//! Both fail if anything went another way than usual: then the figures would be of that way.

use std::hint::black_box;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use hookring::run::Watched;
use hookring_benches::payloads;
use hookring_bus::drain::{self, Drain};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_pipeline::{Options, Pipeline, Received, Watch};
use hookring_producer::{Producer, Published};

const BYTES: usize = 256;
/// Holds all that the script publishes at a time.
const LANE_BYTES: u64 = 16 << 20;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["publish", dir, count, batch] => {
            publish(Path::new(dir), count.parse()?, batch.parse::<usize>()?.max(1))
        }
        ["events", count] => events(count.parse()?, &mut ()),
        ["watched", count] => {
            let mut watched = Watched::new(Arc::default());
            watched.begin_batch(sys::boottime_ns(), sys::realtime_ns());
            events(count.parse()?, &mut watched)
        }
        ["drain", dir, count] => drained(Path::new(dir), count.parse()?),
        _ => bail!(
            "usage: instructions publish DIR COUNT BATCH | events COUNT | watched COUNT | drain DIR COUNT"
        ),
    }
}

fn open(dir: &Path) -> Result<Drain> {
    let places = Places::new(Some(dir.as_os_str().as_bytes()), sys::effective_uid());
    let options = drain::Options { lane_bytes: LANE_BYTES, ..drain::Options::default() };
    Drain::open(&places, options).context("could not open the ring")
}

fn publish(dir: &Path, count: usize, batch: usize) -> Result<()> {
    let _drain = open(dir)?;
    let mut producer = Producer::open_in(dir)?;
    ensure!(producer.has_lane(), "the producer has no lane");
    // Whoever cannot join makes a fence with every publish.
    let has_fences = cfg!(target_arch = "x86_64") && !sys::join_barrier();
    ensure!(
        !has_fences,
        "membarrier(2) does not work here, so a publish is not what it usually is"
    );
    let payload = [b'x'; BYTES];
    for _ in 0..count / batch {
        let is_in_ring = if batch == 1 {
            producer.publish(black_box(&payload[..]))? == Published::Ring
        } else {
            let events = std::iter::repeat_n(black_box(&payload[..]), batch);
            producer.publish_batch(events)? == batch
        };
        ensure!(is_in_ring, "an event went to the spool");
    }
    Ok(())
}

fn events(count: u64, watch: &mut impl Watch) -> Result<()> {
    let (payloads, _) = payloads::payloads();
    let mut pipeline = Pipeline::new(Options::plain());
    let mut out = Vec::new();
    for (at, payload) in (0..count).zip(payloads.iter().cycle()) {
        let received = Received {
            id: u128::from(at).to_be_bytes(),
            // Far enough apart that none is taken for another's duplicate.
            timestamp_ns: at as i64 * 10_000_000_000,
            monotonic_ns: Some(at),
            agent: None,
            event: None,
            directory: None,
            pid: 1,
            elapsed_us: 1,
            arguments: &[],
            truncated: false,
            payload,
        };
        out.clear();
        let written = pipeline.write_watched(black_box(&received), &mut out, watch);
        ensure!(
            written.not_json.is_none() && written.warnings == 0,
            "a payload was not understood"
        );
    }
    Ok(())
}

fn drained(dir: &Path, count: usize) -> Result<()> {
    let mut drain = open(dir)?;
    let mut found = 0;
    // What is stamped during a round waits for the next one.
    for _ in 0..3 {
        found += drain.next_batch().len();
        drain.release();
    }
    let spooled = drain.counts().spool_records;
    ensure!(spooled == 0, "{spooled} events went to the spool");
    ensure!(found == count, "the ring holds {found} events instead of {count}");
    Ok(())
}
