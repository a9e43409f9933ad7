//! What one record costs its producer and its reader, step by step, when nothing has to come from
//! another core: the part of the way to a reader that spins which is not the machine's.
//!
//! `cargo run --release --package hookring-benches --example round`: ns, the median of many, without
//! what the clock takes.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_producer::Producer;

const BYTES: usize = 256;
const ROUNDS: usize = 200_000;
const STEPS: [&str; 5] = ["publish", "look for work", "gather the round", "give out", "release"];

fn main() -> Result<()> {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let path = dir.path().join("bus");
    let places = Places::new(Some(path.as_os_str().as_bytes()), sys::effective_uid());
    let mut drain = Drain::open(&places, Options::default()).context("could not open the ring")?;
    // As a daemon that has run for a while: it then knows that the spool is empty.
    for _ in 0..3 {
        drain.maintain();
        drain.next_batch();
        drain.release();
    }
    let mut producer = Producer::open_in(&path)?;
    let mut times = [const { Vec::new() }; STEPS.len() + 1];
    for _ in 0..ROUNDS {
        round(&mut producer, &mut drain, &mut times)?;
    }
    let [steps @ .., clock] = times.map(|mut times: Vec<u64>| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    for (step, ns) in STEPS.iter().zip(steps) {
        println!("{step:<18}{:>5} ns", ns.saturating_sub(clock));
    }
    println!("{:<18}{clock:>5} ns", "the clock");
    Ok(())
}

fn round(
    producer: &mut Producer,
    drain: &mut Drain,
    times: &mut [Vec<u64>; STEPS.len() + 1],
) -> Result<()> {
    let payload = std::hint::black_box([b'x'; BYTES]);
    let mut begin = Instant::now();
    let mut step = 0;
    let mut done = || {
        let now = Instant::now();
        times[step].push((now - begin).as_nanos() as u64);
        step += 1;
        begin = Instant::now();
    };
    producer.publish(payload.as_slice())?;
    done();
    ensure!(drain.has_work(), "what was published is not seen");
    done();
    ensure!(drain.next_batch().len() == 1, "a round found another number of records");
    done();
    let bytes: usize = drain.batch().records().map(|record| record.payload.len()).sum();
    ensure!(bytes == BYTES, "the record has another length");
    done();
    drain.release();
    done();
    done();
    Ok(())
}
