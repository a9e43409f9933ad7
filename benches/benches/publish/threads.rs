//! Several producers at once, a lane each: does one pay for the others? In CPU time of their own
//! threads, which on few cores take turns.

use std::hint::black_box;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use hookring_bus::drain::Options;
use hookring_bus::spool::DEFAULT_LIMIT_BYTES;
use hookring_producer::Producer;

use crate::bus::Bus;
use crate::median;

const PRODUCERS: [usize; 4] = [1, 2, 4, 8];
/// Lanes that hold what a producer publishes in a round: long enough for the threads to meet.
const LANES: Options =
    Options { lanes: 16, lane_bytes: 1024 * 1024, spool_bytes: DEFAULT_LIMIT_BYTES };
/// Records of each producer in a round.
const RECORDS: usize = 3000;
const PAYLOAD: [u8; 256] = [b'x'; 256];

pub(crate) fn run(rounds: usize) -> Result<()> {
    println!("\nCPU ns per record of 256 B, producers at once, a lane each");
    let mut teams = PRODUCERS.into_iter().map(Team::new).collect::<Result<Vec<_>>>()?;
    // Interleaved: each pass has every number of producers once.
    for _ in 0..rounds {
        for team in &mut teams {
            team.round()?;
        }
    }
    let mut alone = None;
    for team in &mut teams {
        let ns = median(&mut team.times);
        let alone = *alone.get_or_insert(ns);
        println!("{:<34}{ns:>8.1}{:>8.2} × one producer", team.producers.len(), ns / alone);
    }
    Ok(())
}

/// Producers on a bus of their own.
struct Team {
    producers: Vec<Producer>,
    bus: Bus,
    /// CPU ns per record, of every round.
    times: Vec<f64>,
}

impl Team {
    fn new(count: usize) -> Result<Team> {
        let bus = Bus::with(LANES)?;
        let producers = (0..count).map(|_| bus.producer()).collect::<Result<_>>()?;
        Ok(Team { producers, bus, times: Vec::new() })
    }

    /// All publish, beginning at the same time; then the lanes are emptied.
    fn round(&mut self) -> Result<()> {
        let count = self.producers.len();
        let start = &Barrier::new(count);
        let times = thread::scope(|scope| {
            let threads: Vec<_> = self
                .producers
                .iter_mut()
                .map(|producer| scope.spawn(|| publish(producer, start)))
                .collect();
            let times = threads.into_iter().map(|thread| thread.join().expect("nobody panics"));
            times.collect::<Result<Vec<_>>>()
        })?;
        self.bus.empty(count * RECORDS)?;
        let total: Duration = times.iter().sum();
        self.times.push(total.as_nanos() as f64 / (count * RECORDS) as f64);
        Ok(())
    }
}

/// One producer's round; its CPU time.
fn publish(producer: &mut Producer, start: &Barrier) -> Result<Duration> {
    start.wait();
    let before = thread_time()?;
    for _ in 0..RECORDS {
        producer.publish(black_box(PAYLOAD.as_slice()))?;
    }
    Ok(thread_time()? - before)
}

/// CPU time of this thread.
fn thread_time() -> Result<Duration> {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to a live timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
    ensure!(result == 0, "could not read the thread's clock: {}", io::Error::last_os_error());
    // SAFETY: made of integers only, so the zeroes it began with were valid already.
    let time = unsafe { time.assume_init() };
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}
