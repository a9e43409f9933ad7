//! Delivery: what a sink's worker takes to catch up after an outage, from the journal's files into a sink that
//! does nothing, beside what serde_json takes to parse the same lines; and how long an event is on its way
//! into one sink with a dead sink beside it, and without.
//!
//! Interleaved: each round does both things, in turns. Run with
//! `cargo xtask bench --bench delivery [-- --rounds N] [--json FILE]`.

mod catch_up;
mod events;
#[path = "../pipeline/received.rs"]
mod received;
mod siblings;

use std::process::ExitCode;

use hookring_benches::figures::{self, Figures, Row, Target};

use siblings::Dead;

const DEFAULT_ROUNDS: usize = 30;
/// So many times the rounds are there for siblings: a p99 varies, and a round is short.
const SIBLINGS_TIMES: usize = 3;

fn main() -> ExitCode {
    figures::run("median", DEFAULT_ROUNDS, measure)
}

fn measure(rounds: usize) -> Figures {
    let mut figures = Figures::default();
    figures.rows.push(catch_up(rounds));
    figures.rows.extend([Dead::Fails, Dead::Hangs].map(|dead| siblings(dead, rounds)));
    for Row { block, what, value, beside, base, unit, ratio, target } in &figures.rows {
        let target = target.map(|target| format!(", {target}")).unwrap_or_default();
        println!(
            "\n{block}\n{what} {value:.2} {unit}, {beside} {base:.2} {unit}: {ratio:.2} ×{target}"
        );
    }
    figures
}

fn catch_up(rounds: usize) -> Row {
    let bench = catch_up::Bench::new();
    bench.deliver(rounds);
    let mut taken = Taken::default();
    for round in 0..rounds {
        taken.add(round, || bench.deliver(round), || bench.parse());
    }
    let mean = bench.mean_bytes();
    taken.row(
        format!("catch-up from the journal, lines of {mean} B on average: µs per event"),
        ["into a sink that does nothing", "serde_json to Value"],
        Target::AtMost(1.5),
    )
}

fn siblings(dead: Dead, rounds: usize) -> Row {
    let mut taken = Taken::default();
    siblings::p99_us(None);
    for round in 0..SIBLINGS_TIMES * rounds {
        taken.add(round, || siblings::p99_us(Some(dead)), || siblings::p99_us(None));
    }
    let how = match dead {
        Dead::Fails => "fails at each try",
        Dead::Hangs => "does not return",
    };
    taken.row(
        format!("from the journal into a sink, p99: µs; beside it a sink that {how}"),
        ["with it", "without"],
        Target::AtMost(1.1),
    )
}

/// What two kinds of work took, of every round.
#[derive(Default)]
struct Taken {
    ours: Vec<f64>,
    theirs: Vec<f64>,
    ratios: Vec<f64>,
}

impl Taken {
    /// Does both, in every other round the other way round: what comes second may find warm caches.
    fn add(&mut self, round: usize, ours: impl FnOnce() -> f64, theirs: impl FnOnce() -> f64) {
        let (ours, theirs) = if round.is_multiple_of(2) {
            let ours = ours();
            (ours, theirs())
        } else {
            let theirs = theirs();
            (ours(), theirs)
        };
        self.ours.push(ours);
        self.theirs.push(theirs);
        self.ratios.push(ours / theirs);
    }

    fn row(&mut self, block: String, [what, beside]: [&str; 2], target: Target) -> Row {
        Row {
            block,
            what: what.to_owned(),
            value: median(&mut self.ours),
            beside: beside.to_owned(),
            base: median(&mut self.theirs),
            unit: "µs".to_owned(),
            ratio: median(&mut self.ratios),
            target: Some(target),
        }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
