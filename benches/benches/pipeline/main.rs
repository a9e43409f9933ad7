//! What an event costs between ring and journal, with all rules on: index, redact, normalise, judge,
//! write; beside what serde_json takes to parse the same bytes into a `Value`. Says where the time
//! goes, and how it grows with the payload.
//!
//! Interleaved: each round does each thing with the same payloads.
//! Run with `cargo xtask bench --bench pipeline [-- --rounds N] [--json FILE]`.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use hookring_benches::args::Args;
use hookring_benches::figures::{Figures, Row, Target};
use hookring_benches::machine::Machine;
use hookring_benches::payloads;
use hookring_pipeline::document::Document;
use hookring_pipeline::{Options, Pipeline, Received};

const DEFAULT_ROUNDS: usize = 30;
const EVENTS_PER_ROUND: usize = 2000;
/// Bytes of one round over large payloads.
const BYTES_PER_ROUND: usize = 20 << 20;

fn main() -> ExitCode {
    let args = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let rounds = args.rounds.unwrap_or(DEFAULT_ROUNDS);
    println!("{} | median of {rounds} rounds", Machine::look());
    let mut figures = Figures::default();
    figures.rows.push(usual(rounds));
    figures.rows.extend(growth(rounds.min(10)));
    for Row { block, what, value, beside, base, unit, ratio, .. } in &figures.rows {
        println!("\n{block}\n{what} {value:.2} {unit}, {beside} {base:.2} {unit}: {ratio:.2} ×");
    }
    if let Some(path) = &args.json {
        figures.write(path).expect("the figures can be written");
    }
    ExitCode::SUCCESS
}

/// All that is needed for the steps, alone and together.
struct Bench {
    document: Document,
    options: Options,
    pipeline: Pipeline,
    out: Vec<u8>,
    events: u64,
}

/// What each step costs per event, in ns.
#[derive(Default)]
struct Steps {
    index: Vec<f64>,
    redacted: Vec<f64>,
    whole: Vec<f64>,
    value: Vec<f64>,
}

impl Bench {
    fn new() -> Bench {
        let (options, pipeline) = (Options::plain(), Pipeline::new(Options::plain()));
        Bench { document: Document::default(), options, pipeline, out: Vec::new(), events: 0 }
    }

    fn round(&mut self, payloads: &[Vec<u8>], events: usize, steps: &mut Steps) {
        let chosen = || payloads.iter().cycle().take(events);
        let per_event = |begin: Instant| begin.elapsed().as_nanos() as f64 / events as f64;
        let begin = Instant::now();
        for payload in chosen() {
            self.document.parse(payload).expect("JSON");
            black_box(self.document.root());
        }
        steps.index.push(per_event(begin));
        let begin = Instant::now();
        for payload in chosen() {
            self.document.parse(payload).expect("JSON");
            black_box(self.options.redactor.redact(&mut self.document));
        }
        steps.redacted.push(per_event(begin));
        let begin = Instant::now();
        for payload in chosen() {
            self.write(payload);
        }
        steps.whole.push(per_event(begin));
        let begin = Instant::now();
        for payload in chosen() {
            let value: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
            black_box(value);
        }
        steps.value.push(per_event(begin));
    }

    fn write(&mut self, payload: &[u8]) {
        self.events += 1;
        let received = Received {
            id: u128::from(self.events).to_be_bytes(),
            // Far enough apart that none is taken for another's duplicate.
            timestamp_ns: self.events as i64 * 10_000_000_000,
            monotonic_ns: Some(self.events),
            agent: None,
            event: None,
            directory: None,
            pid: 1,
            elapsed_us: 1,
            arguments: &[],
            truncated: false,
            payload,
        };
        self.out.clear();
        black_box(self.pipeline.write(&received, &mut self.out));
    }
}

fn usual(rounds: usize) -> Row {
    let (payloads, mean) = payloads::payloads();
    let payloads: Vec<_> = payloads.iter().map(|payload| payload.to_vec()).collect();
    let mut bench = Bench::new();
    let mut steps = Steps::default();
    bench.round(&payloads, EVENTS_PER_ROUND, &mut steps);
    steps = Steps::default();
    for _ in 0..rounds {
        bench.round(&payloads, EVENTS_PER_ROUND, &mut steps);
    }
    let ratio = median(steps.whole.iter().zip(&steps.value).map(|(whole, value)| whole / value));
    let [index, redacted, whole, value] =
        [steps.index, steps.redacted, steps.whole, steps.value].map(|ns| median(ns.into_iter()));
    println!("\nns per event, agents' payloads of {mean} B on average");
    for (step, ns) in [
        ("index", index),
        ("take secrets out", redacted - index),
        ("normalise, judge, write", whole - redacted),
        ("together", whole),
        ("serde_json to Value", value),
    ] {
        println!("{step:<25}{ns:>8.0}  {:>5.2} ×", ns / value);
    }
    Row {
        ratio,
        ..row(
            "payload to event, all rules on: µs per event".to_owned(),
            whole,
            value,
            Some(Target::AtMost(3.0)),
        )
    }
}

/// From one size to the next, the cost per byte should stay.
fn growth(rounds: usize) -> Vec<Row> {
    let sizes = [16 << 10, 256 << 10, 5 << 20];
    let mut bench = Bench::new();
    sizes
        .into_iter()
        .map(|bytes| {
            let payload = vec![payloads::large(bytes)];
            let events = (BYTES_PER_ROUND / bytes).max(2);
            let mut steps = Steps::default();
            for _ in 0..rounds {
                bench.round(&payload, events, &mut steps);
            }
            let [whole, value] = [steps.whole, steps.value].map(|ns| median(ns.into_iter()));
            let per_byte = whole / payload[0].len() as f64;
            println!("{:>9} B: {per_byte:.2} ns per byte", payload[0].len());
            row(format!("payload to event, {bytes} B: µs per event"), whole, value, None)
        })
        .collect()
}

fn row(block: String, whole_ns: f64, value_ns: f64, target: Option<Target>) -> Row {
    Row {
        block,
        what: "index, redact, normalise, judge, write".to_owned(),
        value: whole_ns / 1e3,
        beside: "serde_json to Value".to_owned(),
        base: value_ns / 1e3,
        unit: "µs".to_owned(),
        ratio: whole_ns / value_ns,
        target,
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
