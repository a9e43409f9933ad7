//! Events one by one into a sink that works, alone and with a dead one beside it: how long each takes.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hookring_journal::{Batch, Seq};
use hookring_sinks::{Outcome, Pump, PumpHandle, Sink, Start};

use crate::events::Events;

/// In a round; before those, some that are not counted.
const EVENTS: usize = 500;
const WARM_UP: usize = 50;
/// Between two events: a busy team's agents, and time enough for each event to come alone.
const PAUSE: Duration = Duration::from_micros(300);
/// Long enough for any machine; only what is broken takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the sink beside it is dead.
#[derive(Copy, Clone)]
pub(crate) enum Dead {
    /// Each try is an error at once.
    Fails,
    /// The first call does not return before the end.
    Hangs,
}

/// Says when each event came.
struct Prompt(Sender<(Seq, Instant)>);

impl Sink for Prompt {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        let now = Instant::now();
        for line in batch.lines() {
            // Whoever waited may have given up.
            let _ = self.0.send((line.seq, now));
        }
        Outcome::Accepted
    }
}

struct Failing;

impl Sink for Failing {
    fn deliver(&mut self, _: &Batch) -> Outcome {
        Outcome::failed("connection refused")
    }
}

/// Waits for somebody to hang up.
struct Hanging(Receiver<()>);

impl Sink for Hanging {
    fn deliver(&mut self, _: &Batch) -> Outcome {
        // Nothing is ever sent.
        let _ = self.0.recv();
        Outcome::failed("timed out")
    }
}

/// The 99th of a hundred events, in microseconds from before it is written to its delivery.
pub(crate) fn p99_us(dead: Option<Dead>) -> f64 {
    let mut events = Events::new();
    let (sender, came) = channel();
    let prompt = start(&events, "prompt", Box::new(Prompt(sender)));
    let (hang_up, hung) = channel();
    let dead = dead.map(|dead| match dead {
        Dead::Fails => start(&events, "dead", Box::new(Failing)),
        Dead::Hangs => start(&events, "dead", Box::new(Hanging(hung))),
    });
    let mut times = Histogram::<u64>::new(3).expect("a histogram");
    let mut written = Vec::with_capacity(WARM_UP + EVENTS);
    for _ in 0..WARM_UP + EVENTS {
        let begin = Instant::now();
        written.push((begin, events.write(1)));
        thread::sleep(PAUSE);
    }
    for (at, (begin, seq)) in written.into_iter().enumerate() {
        let (found, end) = came.recv_timeout(PATIENCE).expect("each event");
        assert_eq!(found, seq, "in order");
        if at >= WARM_UP {
            times.record((end - begin).as_nanos() as u64).expect("within a histogram");
        }
    }
    drop(hang_up);
    for handle in [Some(prompt), dead].into_iter().flatten() {
        assert!(handle.stop(Instant::now() + PATIENCE).worker_ended);
    }
    times.value_at_quantile(0.99) as f64 / 1e3
}

fn start(events: &Events, name: &str, sink: Box<dyn Sink>) -> PumpHandle {
    let pump = Pump::new(name, events.path("journal"), events.path("cursors"), Start::Oldest);
    pump.start(sink, events.tail()).expect("a worker")
}
