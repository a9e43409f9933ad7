//! Rounds in which events are made of payloads, and serde_json parses the same.

use std::hint::black_box;
use std::time::Instant;

use hookring_pipeline::{Options, Pipeline, Step};

use crate::received::received;
use crate::steps::Clock;

/// Bytes of one turn, give or take an event: little, so that most turns are over before something else
/// wants the core.
const TURN_BYTES: usize = 64 << 10;

pub(crate) struct Bench {
    pipeline: Pipeline,
    out: Vec<u8>,
    events: u64,
}

/// What the rounds took per event, in ns.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) mean_bytes: usize,
    event_ns: Vec<f64>,
    value_ns: Vec<f64>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench { pipeline: Pipeline::new(Options::plain()), out: Vec::new(), events: 0 }
    }

    /// Checks that a payload is recognised as this agent's, so that the figure is of its adapter.
    pub(crate) fn is_of(&mut self, agent: &str, payload: &[u8]) {
        self.write(payload, &mut ());
        let source = format!(r#""source":{{"agent":"{agent}""#);
        let out = String::from_utf8_lossy(&self.out);
        assert!(out.contains(&source), "not taken for a payload of {agent}: {out}");
    }

    pub(crate) fn take(&mut self, payloads: &[Vec<u8>], rounds: usize) -> Taken {
        let total_bytes: usize = payloads.iter().map(Vec::len).sum();
        let mean_bytes = total_bytes / payloads.len();
        let mut taken = Taken { mean_bytes, ..Taken::default() };
        let events = events(payloads, mean_bytes);
        // Warms the caches.
        payloads.iter().for_each(|payload| self.write(payload, &mut ()));
        for _ in 0..rounds {
            let begin = Instant::now();
            for payload in payloads.iter().cycle().take(events) {
                self.write(payload, &mut ());
            }
            taken.event_ns.push(per_event(begin, events));
            let begin = Instant::now();
            for payload in payloads.iter().cycle().take(events) {
                let value: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
                black_box(value);
            }
            taken.value_ns.push(per_event(begin, events));
        }
        taken
    }

    /// What each step took per event, in ns, without what looking at the clock takes.
    pub(crate) fn steps(&mut self, payloads: &[Vec<u8>], rounds: usize) -> Vec<(Step, f64)> {
        let mean_bytes = payloads.iter().map(Vec::len).sum::<usize>() / payloads.len();
        let events = events(payloads, mean_bytes);
        let mut clock = Clock::default();
        for _ in 0..rounds {
            for payload in payloads.iter().cycle().take(events) {
                clock.start();
                self.write(payload, &mut clock);
            }
            clock.end_round(events);
        }
        clock.steps()
    }

    fn write(&mut self, payload: &[u8], clock: &mut impl hookring_pipeline::Watch) {
        self.events += 1;
        let received = received(payload, self.events);
        self.out.clear();
        black_box(self.pipeline.write_watched(&received, &mut self.out, clock));
    }
}

impl Taken {
    pub(crate) fn event_ns(&self) -> f64 {
        low(&self.event_ns)
    }

    pub(crate) fn value_ns(&self) -> f64 {
        low(&self.value_ns)
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.event_ns() / self.value_ns()
    }
}

fn events(payloads: &[Vec<u8>], mean_bytes: usize) -> usize {
    (TURN_BYTES / mean_bytes).max(1).next_multiple_of(payloads.len())
}

fn per_event(begin: Instant, events: usize) -> f64 {
    begin.elapsed().as_nanos() as f64 / events as f64
}

/// The lowest tenth's upper end: what other work adds to a turn is no part of what is measured.
pub(crate) fn low(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 10]
}
