//! What every sink has to hold to whose place is across a network: it is run against a server that answers,
//! delays, breaks off, floods and lies. A new one adds a line to [`networked`].

use std::fs;
use std::io::Read as _;
use std::time::Duration;

use flate2::read::GzDecoder;
use hookring_faults::{FaultServer, Received, Reply};
use hookring_journal::Seq;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use super::upto;
use crate::delivery::BreakerState;
use crate::http::Setting;
use crate::otlp::{Endpoint, OtlpConfig, OtlpSink, Own, Signal};
use crate::pump::PumpHandle;
use crate::sink::Sink;
use crate::stats::SinkState;
use crate::testing::{TestJournal, deadline, wait_until};
use crate::webhook::{Connection, Reloads, Target, WebhookConfig, WebhookSink};

/// How long a sink waits for a server that says nothing, where that is all that it does.
const SHORT: Duration = Duration::from_millis(500);
/// The same where it answers.
pub(super) const LONG: Duration = crate::testing::PATIENCE;

/// One kind of sink, as the suite sees it.
pub(super) struct Networked {
    pub(super) name: &'static str,
    /// A new sink that sends to a server, and waits so long for it.
    pub(super) sink: fn(&FaultServer, Duration) -> Box<dyn Sink>,
    /// The numbers of the events in a request.
    pub(super) seqs: fn(&Received) -> Vec<Seq>,
    /// It sends several events at once.
    has_batches: bool,
}

pub(super) fn networked() -> Vec<Networked> {
    vec![
        Networked {
            name: "webhook",
            sink: |server, timeout| webhook(server, timeout, false),
            seqs: webhook_seqs,
            has_batches: false,
        },
        Networked {
            name: "webhook-batches",
            sink: |server, timeout| webhook(server, timeout, true),
            seqs: webhook_seqs,
            has_batches: true,
        },
        Networked { name: "otlp", sink: otlp, seqs: otlp_seqs, has_batches: true },
    ]
}

fn webhook(server: &FaultServer, timeout: Duration, batches: bool) -> Box<dyn Sink> {
    let url = Target::parse(&server.url("/events")).expect("a URL");
    let connection = Connection { timeout, ..Connection::default() };
    let config = WebhookConfig { batches, connection, ..WebhookConfig::new(url) };
    Box::new(WebhookSink::new(config, Reloads::default()))
}

/// Logs alone have one record for each event.
fn otlp(server: &FaultServer, timeout: Duration) -> Box<dyn Sink> {
    let url = Target::parse(&server.url("/v1/logs")).expect("a URL");
    let (signal, setting, own) = (Signal::Logs, Setting::Url, Own::default());
    let endpoint = Endpoint { signal, url, setting, own };
    let connection = Connection { timeout, ..Connection::default() };
    let config = OtlpConfig { connection, ..OtlpConfig::new(vec![endpoint]) };
    Box::new(OtlpSink::new(config, Reloads::default()))
}

fn otlp_seqs(request: &Received) -> Vec<Seq> {
    let mut body = Vec::new();
    match request.header("content-encoding") {
        Some(_) => drop(GzDecoder::new(&*request.body).read_to_end(&mut body).expect("gzip")),
        None => body.extend_from_slice(&request.body),
    }
    let request = ExportLogsServiceRequest::decode(&*body).expect("a request");
    let scopes = request.resource_logs.into_iter().flat_map(|it| it.scope_logs);
    let seq = |record: LogRecord| {
        let found = record.attributes.into_iter().find(|it| it.key == "hookring.seq");
        match found.and_then(|it| it.value).and_then(|it| it.value) {
            Some(Value::IntValue(seq)) => seq as Seq,
            other => panic!("no number: {other:?}"),
        }
    };
    scopes.flat_map(|it| it.log_records).map(seq).collect()
}

fn webhook_seqs(request: &Received) -> Vec<Seq> {
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    let seq = |event: &serde_json::Value| event["seq"].as_u64().expect("a number");
    body.as_array().map_or_else(|| vec![seq(&body)], |events| events.iter().map(seq).collect())
}

/// A server, and a sink of a kind with its worker.
struct Bed<'a> {
    kind: &'a Networked,
    server: FaultServer,
    journal: TestJournal,
}

impl Bed<'_> {
    fn start(&self) -> PumpHandle {
        self.start_with(LONG)
    }

    fn start_with(&self, timeout: Duration) -> PumpHandle {
        let pump = self.journal.pump(self.kind.name);
        let sink = (self.kind.sink)(&self.server, timeout);
        pump.start(sink, self.journal.tail()).expect("a worker")
    }

    fn taken(&self) -> Vec<Seq> {
        self.server.taken().iter().flat_map(self.kind.seqs).collect()
    }
}

fn for_each_kind(check: impl Fn(Bed<'_>)) {
    for kind in &networked() {
        eprintln!("sink: {}", kind.name);
        check(Bed { kind, server: FaultServer::start(), journal: TestJournal::new() });
    }
}

#[test]
fn no_fault_loses_an_event_or_its_order() {
    for_each_kind(|mut bed| {
        let handle = bed.start_with(SHORT);
        let mut last = 0;
        for (fault, reply) in Reply::faults() {
            eprintln!("the server {fault}");
            // Another at once: also for the request that begins anew.
            bed.server.next([reply.clone(), reply]);
            last = bed.journal.write_many(3);
            let stats = wait_until(&handle, |stats| stats.lag_events == 0);
            assert!(stats.last_error.is_some_and(|error| error.message.contains("cannot ")));
        }
        assert!(handle.stop(deadline()).worker_ended);
        // What the client never saw taken may have come twice.
        let mut first = Vec::new();
        for seq in bed.taken() {
            if !first.contains(&seq) {
                first.push(seq);
            }
        }
        assert_eq!(first, upto(last));
    });
}

#[test]
fn what_passes_is_waited_for() {
    for_each_kind(|mut bed| {
        let answers = [
            Reply::status(500),
            Reply::status(503),
            Reply::with(503, &[("Retry-After", "0")], ""),
            Reply::with(429, &[("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")], ""),
            Reply::status(429),
            Reply::status(408),
            Reply::endless_body(502),
            Reply::bad_chunks(500),
            Reply::status(401),
            Reply::status(404),
            Reply::with(301, &[("Location", "http://127.0.0.1:1/")], ""),
        ];
        let count = answers.len();
        bed.server.next(answers);
        bed.journal.write_many(5);
        let handle = bed.start();
        let stats = wait_until(&handle, |stats| stats.lag_events == 0);
        assert_eq!((stats.state, stats.dead_letters), (SinkState::Running, 0));
        assert!(stats.retries >= count as u64, "{stats:?}");
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(bed.taken(), upto(5));
    });
}

#[test]
fn a_poison_event_costs_one_dead_letter() {
    for_each_kind(|mut bed| {
        let seqs = bed.kind.seqs;
        bed.server.set_rule(move |request| match request.body.is_empty() {
            false if seqs(request).contains(&37) => Reply::with(422, &[], "no 37"),
            _ => Reply::ok(),
        });
        bed.journal.write_many(100);
        let handle = bed.start();
        let stats = wait_until(&handle, |stats| stats.lag_events == 0);
        assert_eq!((stats.dead_letters, stats.given_up_dead_letters), (1, 0));
        assert!(handle.stop(deadline()).worker_ended);
        let others: Vec<Seq> = upto(100).into_iter().filter(|seq| *seq != 37).collect();
        assert_eq!(bed.taken(), others);
        let name = format!("dead_letters/{}.jsonl", bed.kind.name);
        let letters = fs::read_to_string(bed.journal.path(&name)).expect("the dead letter");
        let letter: serde_json::Value = serde_json::from_str(&letters).expect("one line of JSON");
        assert_eq!((&letter["event"]["seq"], &letter["status"]), (&37.into(), &422.into()));
        assert!(letter["reason"].as_str().is_some_and(|it| it.contains("no 37")), "{letter}");
    });
}

#[test]
fn what_is_too_much_at_once_is_sent_in_parts() {
    for_each_kind(|mut bed| {
        let seqs = bed.kind.seqs;
        bed.server.set_rule(move |request| match request.body.is_empty() {
            false if seqs(request).len() > 10 => Reply::status(413),
            _ => Reply::ok(),
        });
        bed.journal.write_many(100);
        let handle = bed.start();
        let stats = wait_until(&handle, |stats| stats.lag_events == 0);
        assert_eq!((stats.dead_letters, stats.retries > 0), (0, bed.kind.has_batches));
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(bed.taken(), upto(100));
    });
}

/// A server that takes nothing at all is what is wrong, not the events.
#[test]
fn a_server_that_rejects_everything_gets_few_into_the_dead_letters() {
    for_each_kind(|mut bed| {
        bed.server.set(Reply::status(400));
        bed.journal.write_many(50);
        let handle = bed.start();
        let stats = wait_until(&handle, |stats| stats.breaker == BreakerState::Open);
        assert!(stats.dead_letters <= 10, "{stats:?}");
        bed.server.set(Reply::ok());
        let stats = wait_until(&handle, |stats| stats.lag_events == 0);
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(bed.taken().len() as u64 + stats.dead_letters, 50);
    });
}

#[test]
fn one_that_is_gone_is_switched_off_and_keeps_its_place() {
    for_each_kind(|mut bed| {
        bed.server.set(Reply::with(410, &[], "moved away"));
        bed.journal.write_many(5);
        let handle = bed.start();
        let stats = wait_until(&handle, |stats| stats.state == SinkState::Off);
        assert_eq!((stats.lag_events, stats.dead_letters), (5, 0));
        let requests = bed.server.requests();
        bed.server.set(Reply::ok());
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(bed.server.requests(), requests);
        let switch = crate::Switch::new(&bed.journal.path("cursors"), bed.kind.name);
        assert!(
            switch.is_off().expect("readable").is_some_and(|it| it.reason.contains("moved away"))
        );
        assert!(switch.on().expect("on"));
        let handle = bed.start();
        wait_until(&handle, |stats| stats.lag_events == 0);
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(bed.taken(), upto(5));
    });
}
