//! Producers that publish agent payloads as fast as the ring takes them, or faster.

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use hookring_producer::{Event, Producer, PublishError, Published as Where};

/// Threads that publish, each through a lane of its own.
pub(crate) const PRODUCERS: usize = 4;

const SESSION: &str = include_str!("../../../daemon/demo/session.jsonl");
/// The payloads that are used: near 1.5 KB, as agents send them.
const PAYLOAD_BYTES: std::ops::RangeInclusive<usize> = 1200..=1800;
/// How long a producer waits for room: the daemon empties a lane in a few milliseconds.
const ROOM_EVERY: Duration = Duration::from_micros(200);

/// What producers do when their lane is full.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// They wait for room: the daemon is as busy as it can be.
    RingFull,
    /// They go on, so that events go to the spool, and are dropped where that is full.
    Flood,
}

/// Where events went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Published {
    pub(crate) ring: u64,
    pub(crate) spool: u64,
    pub(crate) dropped: u64,
}

/// Running producers.
pub(crate) struct Load {
    threads: Vec<JoinHandle<Result<Published>>>,
}

impl Load {
    /// Starts the producers, which stop by themselves after `time`.
    ///
    /// # Errors
    ///
    /// When one of them gets no lane.
    pub(crate) fn start(dir: &Path, pace: Pace, time: Duration) -> Result<Self> {
        let mut producers = Vec::new();
        for _ in 0..PRODUCERS {
            let producer = Producer::open_in(dir)?.with_crc();
            ensure!(producer.has_lane(), "a producer got no lane");
            producers.push(producer);
        }
        let end = Instant::now() + time;
        let start = |producer| thread::spawn(move || publish(producer, pace, end));
        Ok(Self { threads: producers.into_iter().map(start).collect() })
    }

    /// Whether all producers have stopped.
    pub(crate) fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// What they published, all together.
    pub(crate) fn finish(self) -> Result<Published> {
        let mut total = Published::default();
        for thread in self.threads {
            let published = thread.join().map_err(|_| anyhow!("a producer panicked"))??;
            total.ring += published.ring;
            total.spool += published.spool;
            total.dropped += published.dropped;
        }
        Ok(total)
    }
}

fn publish(mut producer: Producer, pace: Pace, end: Instant) -> Result<Published> {
    let mut published = Published::default();
    let is_agents = |line: &&str| PAYLOAD_BYTES.contains(&line.len());
    for payload in SESSION.lines().filter(is_agents).cycle() {
        while pace == Pace::RingFull && producer.reserve(payload.len()).is_none() {
            if Instant::now() >= end {
                return Ok(published);
            }
            thread::sleep(ROOM_EVERY);
        }
        if Instant::now() >= end {
            break;
        }
        match producer.publish(Event::from(payload.as_bytes())) {
            Ok(Where::Ring) => published.ring += 1,
            Ok(Where::Spool) => published.spool += 1,
            Err(PublishError::Dropped) => published.dropped += 1,
            Err(error) => return Err(error).context("could not publish"),
        }
    }
    Ok(published)
}
