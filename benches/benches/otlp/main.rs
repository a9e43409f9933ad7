//! What it costs to make requests of OTLP of journaled events (read them, join them to spans, write logs and traces),
//! beside what serde_json takes to parse the same lines into a `Value`.
//!
//! Interleaved: each round does both with the same batches. What counts is the lowest tenth. Run with
//! `cargo xtask bench --bench otlp [-- --rounds N] [--json FILE]`.

#[path = "../webhook/journal.rs"]
mod journal;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookring_benches::figures::{self, Figures, Row, Target};
use hookring_journal::{Batch, Feed};
use hookring_sinks::otlp::{Encoding, Preview, Signal};

use journal::Events;

const DEFAULT_ROUNDS: usize = 200;
const EVENTS: usize = 2000;
const BATCH_EVENTS: usize = 500;

fn main() -> ExitCode {
    figures::run("lowest tenth", DEFAULT_ROUNDS, measure)
}

fn measure(rounds: usize) -> Figures {
    let events = Events::of(payloads(), EVENTS);
    let batches = batches(&events);
    let mut figures = Figures::default();
    for (what, encoding, has_content, target) in [
        ("protobuf", Encoding::Protobuf, false, Some(Target::AtMost(1.0))),
        ("protobuf, with content", Encoding::Protobuf, true, Some(Target::AtMost(1.0))),
        ("JSON", Encoding::Json, false, None),
    ] {
        figures.rows.push(row(what, encoding, has_content, target, &batches, rounds));
    }
    for Row { block, what, value, beside, base, unit, ratio, .. } in &figures.rows {
        println!("\n{block}\n{what} {value:.2} {unit}, {beside} {base:.2} {unit}: {ratio:.2} ×");
    }
    figures
}

/// A recorded session's payloads near 1.5 KB as the beginnings and ends of calls, 24 to a prompt.
fn payloads() -> impl Iterator<Item = Vec<u8>> {
    let (recorded, _) = hookring_benches::payloads::payloads();
    (0..EVENTS).map(move |at| {
        let mut payload: serde_json::Value =
            serde_json::from_slice(recorded[at % recorded.len()]).expect("JSON");
        let event = match at % 50 {
            0 => "UserPromptSubmit",
            49 => "Stop",
            it if it % 2 == 1 => "PreToolUse",
            _ => "PostToolUse",
        };
        payload["hook_event_name"] = event.into();
        payload["prompt_id"] = format!("prompt-{}", at / 50).into();
        payload["tool_name"] = "Bash".into();
        payload["tool_use_id"] = format!("toolu_{}", at.div_ceil(2)).into();
        serde_json::to_vec(&payload).expect("JSON")
    })
}

fn batches(events: &Events) -> Vec<Batch> {
    let journal = events.dir.path().join("journal");
    let mut feed = Feed::new(journal, Arc::clone(&events.tail), 1);
    let mut batches = Vec::new();
    let mut read = || feed.next(BATCH_EVENTS, usize::MAX, Duration::ZERO).expect("the journal");
    while let Some(batch) = read() {
        batches.push(batch);
    }
    assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), events.count);
    batches
}

fn row(
    what: &str,
    encoding: Encoding,
    has_content: bool,
    target: Option<Target>,
    batches: &[Batch],
    rounds: usize,
) -> Row {
    let mut preview = Preview::new(encoding, has_content);
    let events = batches.iter().map(Batch::len).sum::<usize>() as f64;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut sent_bytes = [0; Signal::OF_EVENTS.len()];
    // The first round warms the caches.
    for round in 0..=rounds {
        sent_bytes = [0; Signal::OF_EVENTS.len()];
        let begin = Instant::now();
        for batch in batches {
            preview
                .make(batch, |signal, body| sent_bytes[signal as usize] += black_box(body).len());
        }
        let ours_ns = begin.elapsed().as_nanos() as f64 / events;
        let begin = Instant::now();
        for line in batches.iter().flat_map(Batch::lines) {
            let value: serde_json::Value = serde_json::from_slice(line.bytes).expect("JSON");
            black_box(value);
        }
        let theirs_ns = begin.elapsed().as_nanos() as f64 / events;
        if round > 0 {
            ours.push(ours_ns);
            theirs.push(theirs_ns);
        }
    }
    assert!(sent_bytes[Signal::Traces as usize] > 0, "there are spans");
    let bytes = batches.iter().map(|batch| batch.bytes().len()).sum::<usize>() as f64 / events;
    let [logs, traces] = sent_bytes.map(|bytes| bytes as f64 / events);
    let (value, base) = (lowest_tenth(&mut ours), lowest_tenth(&mut theirs));
    Row {
        block: format!(
            "event to OTLP in {what}, a session's, lines of {bytes:.0} B to {logs:.0} B of logs and {traces:.0} B \
             of traces: µs per event"
        ),
        what: "hookring".to_owned(),
        value: value / 1e3,
        beside: "serde_json to Value".to_owned(),
        base: base / 1e3,
        unit: "µs".to_owned(),
        ratio: value / base,
        target,
    }
}

/// A tenth of the rounds took less.
fn lowest_tenth(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}
