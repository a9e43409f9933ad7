//! How fast a webhook sink posts events to a server on loopback, from the journal and through all of the delivery
//! engine, beside a bare loop of the same HTTP client that posts the same bodies and does nothing else.
//!
//! Interleaved: each round sends the same requests in both ways. The server, which takes everything, runs in this
//! process in both. Run with `cargo xtask bench --bench webhook [-- --rounds N] [--json FILE]`.

mod journal;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookring_benches::figures::{self, Figures, Row, Target};
use hookring_faults::FaultServer;
use hookring_sinks::webhook::{Reloads, Target as Url};
use hookring_sinks::{Pump, Start, WebhookConfig, WebhookSink};

use journal::Events;

const DEFAULT_ROUNDS: usize = 15;
/// What the sink is to reach of what the client alone does.
const AT_LEAST: f64 = 0.8;
/// Longer than a round takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    figures::run("median", DEFAULT_ROUNDS, measure)
}

fn measure(rounds: usize) -> Figures {
    let mut figures = Figures::default();
    figures.rows.push(row("one event per request", 8000, 1, rounds));
    figures.rows.push(row("batches of 100", 40_000, 100, rounds));
    for Row { block, what, value, beside, base, unit, ratio, .. } in &figures.rows {
        println!("\n{block}\n{what} {value:.0} {unit}, {beside} {base:.0} {unit}: {ratio:.2} ×");
    }
    figures
}

/// `events` are sent in each round, so many in a request.
fn row(what: &str, events: usize, batch: usize, rounds: usize) -> Row {
    let (events, server) = (Events::new(events), FaultServer::start());
    let bodies = bodies(&events, batch);
    let bytes = bodies.iter().map(Vec::len).sum::<usize>() / bodies.len();
    server.count_only();
    // The first of each is not counted.
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let taken = [deliver(&events, &server, batch, round), post(&server, &bodies)];
        let [sink, bare] = taken.map(|time| events.count as f64 / time.as_secs_f64());
        if round > 0 {
            ours.push(sink);
            theirs.push(bare);
            ratios.push(sink / bare);
        }
    }
    Row {
        block: format!("webhook to loopback, {what}, bodies of {bytes} B: events per second"),
        what: "the sink".to_owned(),
        value: median(&mut ours),
        beside: "its client alone".to_owned(),
        base: median(&mut theirs),
        unit: "events/s".to_owned(),
        ratio: median(&mut ratios),
        target: Some(Target::AtLeast(AT_LEAST)),
    }
}

/// What the sink sends.
fn bodies(events: &Events, batch: usize) -> Vec<Vec<u8>> {
    let server = FaultServer::start();
    deliver(events, &server, batch, usize::MAX);
    server.received().into_iter().map(|request| request.body).collect()
}

/// From the journal to the server, by a worker of its own.
fn deliver(events: &Events, server: &FaultServer, batch: usize, round: usize) -> Duration {
    let url = Url::parse(&server.url("/events")).expect("a URL");
    let config = WebhookConfig { batches: batch > 1, ..WebhookConfig::new(url) };
    let sink = Box::new(WebhookSink::new(config, Reloads::default()));
    let cursors = events.dir.path().join(format!("cursors-{batch}-{round}"));
    let mut pump = Pump::new("hook", events.dir.path().join("journal"), cursors, Start::Oldest);
    if batch > 1 {
        pump.batch_events = batch;
    }
    let begin = Instant::now();
    let handle = pump.start(sink, Arc::clone(&events.tail)).expect("a worker");
    // It delivers all that is written before it ends. To ask it meanwhile how far it is would read the journal
    // at each question, on a core that the sink and the server need.
    let stopped = handle.stop(begin + PATIENCE);
    let taken = begin.elapsed();
    let stats = stopped.stats;
    assert!(stopped.worker_ended, "{stats:?}");
    assert_eq!((stats.retries, stats.delivered_events), (0, events.count as u64));
    taken
}

/// The client and nothing else. As a worker that begins, it has no connection yet.
fn post(server: &FaultServer, bodies: &[Vec<u8>]) -> Duration {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    let agent = ureq::Agent::from(config.build());
    let url = server.url("/events");
    let begin = Instant::now();
    for body in bodies {
        let request = agent.post(&url).header("content-type", "application/json");
        let mut response = request.send(body.as_slice()).expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
        response.body_mut().read_to_vec().expect("its body");
    }
    begin.elapsed()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
