//! Times the steps in which an event is made.

use std::hint::black_box;
use std::time::Instant;

use hookring_pipeline::{Step, Watch};

use crate::rounds::low;

/// Looks at the clock after each step.
pub(crate) struct Clock {
    last: Instant,
    /// Of this round, by step.
    ns: [f64; Step::ALL.len()],
    /// Of each round, by step: ns per event.
    rounds: [Vec<f64>; Step::ALL.len()],
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { last: Instant::now(), ns: Default::default(), rounds: Default::default() }
    }
}

impl Watch for Clock {
    fn done(&mut self, step: Step) {
        let now = Instant::now();
        self.ns[step as usize] += (now - self.last).as_nanos() as f64;
        self.last = now;
    }
}

impl Clock {
    pub(crate) fn start(&mut self) {
        self.last = Instant::now();
    }

    pub(crate) fn end_round(&mut self, events: usize) {
        let look_ns = look_ns();
        for (round, ns) in self.rounds.iter_mut().zip(&mut self.ns) {
            round.push(std::mem::take(ns) / events as f64 - look_ns);
        }
    }

    /// Of each step, what it takes in a round that nothing disturbs.
    pub(crate) fn steps(&self) -> Vec<(Step, f64)> {
        Step::ALL.into_iter().zip(self.rounds.iter().map(|round| low(round))).collect()
    }
}

/// What a look at the clock takes, in ns.
fn look_ns() -> f64 {
    const LOOKS: u32 = 10_000;
    let begin = Instant::now();
    for _ in 0..LOOKS {
        black_box(Instant::now());
    }
    begin.elapsed().as_nanos() as f64 / f64::from(LOOKS)
}
