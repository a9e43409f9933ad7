//! What it costs to make an event of a payload, with all rules on (index, redact, normalise, judge,
//! write), beside what serde_json takes to parse the same bytes into a `Value`: for payloads of about
//! 1.5 KB step by step, for each agent, and with contents of all kinds up to 5 MB.
//!
//! Interleaved: each round does each thing with the same payloads. What counts is the lowest tenth.
//! Run with `cargo xtask bench --bench pipeline [-- --rounds N] [--json FILE]`.

mod received;
mod rounds;
mod steps;

use std::process::ExitCode;

use hookring_benches::figures::{self, Figures, Row, Target};
use hookring_benches::payloads;

use rounds::{Bench, Taken};

const DEFAULT_ROUNDS: usize = 300;
/// Rounds over large payloads, at most: their parts are many.
const LARGE_ROUNDS: usize = 10;

const USUAL_BYTES: usize = 1500;
const SIZES: [usize; 5] = [USUAL_BYTES, 15_000, 150_000, 1_500_000, LARGEST_BYTES];
const LARGEST_BYTES: usize = 5_000_000;

fn main() -> ExitCode {
    figures::run("lowest tenth", DEFAULT_ROUNDS, measure)
}

fn measure(rounds: usize) -> Figures {
    let mut figures = Figures::default();
    let mut bench = Bench::new();
    figures.rows.push(session(&mut bench, rounds));
    heading("payloads of each agent, which hold a part of a program");
    for (agent, payload) in payloads::of_agents(USUAL_BYTES) {
        bench.is_of(agent, &payload);
        line(agent, &bench.take(&[payload], rounds));
    }
    for content in payloads::CONTENTS {
        heading(content);
        for bytes in SIZES {
            let rounds = if bytes > 20_000 { rounds.min(LARGE_ROUNDS) } else { rounds };
            let taken = bench.take(&[payloads::with_content(content, bytes)], rounds);
            line("", &taken);
            figures.rows.push(row(format!("payload to event, {content}: µs per event"), &taken));
        }
    }
    heading("the same again and again");
    for unit in payloads::HOSTILE {
        let payload = payloads::hostile(unit, LARGEST_BYTES);
        line(&format!("{unit:?}"), &bench.take(&[payload], rounds.min(2)));
    }
    figures
}

fn session(bench: &mut Bench, rounds: usize) -> Row {
    let (payloads, mean) = payloads::payloads();
    let payloads: Vec<_> = payloads.iter().map(|payload| payload.to_vec()).collect();
    let taken = bench.take(&payloads, rounds);
    heading(&format!("a recorded session's payloads near 1.5 KB, {mean} B on average"));
    line("", &taken);
    println!("\nof that, by steps: ns per event, and times serde_json's");
    for (step, ns) in bench.steps(&payloads, rounds) {
        println!("{:<44}{ns:>8.0}{:>8.2}", format!("{step:?}"), ns / taken.value_ns());
    }
    let row = row("payload to event, a session's, all rules on: µs per event".to_owned(), &taken);
    Row { target: Some(Target::AtMost(3.0)), ..row }
}

fn heading(what: &str) {
    println!("\n{what}");
    println!(
        "{:<34}{:>10}{:>12}{:>12}{:>8}{:>8}",
        "", "bytes", "µs", "serde_json", "ratio", "ns/B"
    );
}

fn line(what: &str, taken: &Taken) {
    let (event_ns, value_ns) = (taken.event_ns(), taken.value_ns());
    println!(
        "{what:<34}{:>10}{:>12.1}{:>12.1}{:>8.2}{:>8.2}",
        taken.mean_bytes,
        event_ns / 1e3,
        value_ns / 1e3,
        taken.ratio(),
        event_ns / taken.mean_bytes as f64,
    );
}

fn row(block: String, taken: &Taken) -> Row {
    Row {
        block,
        what: format!("hookring, {} B", taken.mean_bytes),
        value: taken.event_ns() / 1e3,
        beside: "serde_json to Value".to_owned(),
        base: taken.value_ns() / 1e3,
        unit: "µs".to_owned(),
        ratio: taken.ratio(),
        target: None,
    }
}
