//! The daemon's metrics beside events: when they are sent, and what an answer changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hookring_faults::{FaultServer, Received, Reply, Step};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, ResourceMetrics};
use prost::Message as _;

use super::super::answer::Signal;
use super::super::config::OtlpConfig;
use super::super::deliver::OtlpSink;
use super::super::metrics::{MetricSource, Metrics, Temporality};
use super::attribute;
use super::deliver::{batch, endpoints, plain, said};
use crate::http::{Connection, Reloads};
use crate::secret::Secret;
use crate::sink::{Outcome, Sink};

/// The daemon began then, in nanoseconds; the sink's clock is a second later.
const START_NS: u64 = 1_700_000_000_000_000_000;

/// As long as anybody may take.
const LONG: Duration = Duration::from_secs(60);

fn at(ns: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(ns)
}

/// A counter, as the daemon tells it.
fn source() -> (Arc<AtomicU64>, MetricSource) {
    let count = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&count);
    let render = move || {
        let count = shown.load(Ordering::Relaxed);
        format!("# HELP a_total Of a.\n# TYPE a_total counter\na_total{{agent=\"x\"}} {count}\n")
    };
    (count, MetricSource::new(render, at(START_NS)))
}

/// Metrics are due whenever they are looked for.
fn config(server: &FaultServer, temporality: Temporality) -> OtlpConfig {
    let metrics_interval = Duration::ZERO;
    let endpoints = endpoints(server, &Signal::ALL);
    OtlpConfig { metrics_interval, temporality, ..OtlpConfig::new(endpoints) }
}

fn sink(config: OtlpConfig, source: MetricSource) -> OtlpSink {
    assert_eq!(config.faults(), [], "the settings agree");
    let clock = || at(START_NS + 1_000_000_000);
    let mut sink = OtlpSink::with_clock(config, Reloads::default(), clock).with_metrics(source);
    sink.open().expect("it opens");
    sink
}

fn of_request(request: &Received) -> ResourceMetrics {
    let request = ExportMetricsServiceRequest::decode(&*plain(request)).expect("a request");
    request.resource_metrics.into_iter().next().expect("a resource")
}

/// The only point of the only metric.
fn point(of: &ResourceMetrics) -> NumberDataPoint {
    let [metric] = &*of.scope_metrics[0].metrics else { panic!("one metric: {of:?}") };
    assert_eq!(metric.name, "a");
    match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points[0].clone(),
        other => panic!("no sum: {other:?}"),
    }
}

/// What each request that was taken says, and between which times.
fn taken(server: &FaultServer) -> Vec<(f64, u64, u64)> {
    let requests = server.taken().into_iter().filter(|it| it.line.ends_with("/v1/metrics"));
    let points = requests.map(|it| point(&of_request(&it)));
    let told = points.map(|it| match it.value {
        Some(Value::AsDouble(value)) => (value, it.start_time_unix_nano, it.time_unix_nano),
        other => panic!("no number: {other:?}"),
    });
    told.collect()
}

fn count(sink: &OtlpSink, name: &str) -> u64 {
    sink.counts().into_iter().find(|it| it.0 == name).expect("a count").1
}

#[test]
fn they_are_sent_behind_a_batch_and_while_there_is_none() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let (count, source) = source();
    count.store(3, Ordering::Relaxed);
    let mut sink = sink(config(&server, Temporality::Cumulative), source);
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    count.store(5, Ordering::Relaxed);
    sink.send_beside();
    let requests = server.received();
    let lines: Vec<_> = requests.iter().map(|it| &*it.line).collect();
    assert_eq!(lines, ["logs", "traces", "metrics", "metrics"].map(|it| format!("POST /v1/{it}")));
    let now = START_NS + 1_000_000_000;
    assert_eq!(taken(&server), [(3.0, START_NS, now), (5.0, START_NS, now)]);
    let resource = of_request(&requests[2]).resource.expect("a resource").attributes;
    assert_eq!(attribute(&resource, "service.name").as_deref(), Some("hookring"));
    let instance = attribute(&resource, "service.instance.id").expect("an id");
    assert!(instance.ends_with(&format!("-{START_NS}")), "{instance}");
}

#[test]
fn nothing_is_sent_before_the_interval_is_over_whatever_the_answer() {
    let interval = Duration::from_secs(60);
    let server = FaultServer::start();
    let config = OtlpConfig { metrics_interval: interval, ..config(&server, Temporality::Delta) };
    let begin = Instant::now();
    let mut metrics = Metrics::new(&config, source().1, begin).expect("they are wanted");
    let is_due = |metrics: &Metrics, s| metrics.is_due(begin + Duration::from_secs(s));
    assert_eq!((is_due(&metrics, 59), is_due(&metrics, 60)), (false, true));
    assert!(metrics.answered(Outcome::failed("no"), begin + interval).is_some());
    assert_eq!((is_due(&metrics, 119), is_due(&metrics, 120)), (false, true));
    let wait = Some(Duration::from_secs(90));
    let throttled = Outcome::Throttled { wait, error: "no".into() };
    assert!(metrics.answered(throttled, begin + 2 * interval).is_some());
    assert_eq!((is_due(&metrics, 209), is_due(&metrics, 210)), (false, true));
    assert!(metrics.answered(Outcome::Accepted, begin + 4 * interval).is_none());
    assert_eq!((is_due(&metrics, 299), is_due(&metrics, 300)), (false, true));
    // Whoever wants to be left alone for ever is asked again an hour later, as with events.
    let throttled = Outcome::Throttled { wait: Some(Duration::MAX), error: "no".into() };
    assert!(metrics.answered(throttled, begin).is_some());
    assert_eq!((is_due(&metrics, 3599), is_due(&metrics, 3600)), (false, true));
    assert_eq!(metrics.failed(), 3);
}

#[test]
fn a_failure_is_shown_and_counted_and_holds_no_event_up() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    server.set_rule(|request| match &*request.line {
        "POST /v1/metrics" => Reply::with(410, &[], "go away"),
        _ => Reply::ok(),
    });
    let mut sink = sink(config(&server, Temporality::Cumulative), source().1);
    for failed in 1..=2 {
        assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
        assert_eq!(count(&sink, "failed_metric_requests"), failed);
        let warning = crate::stats::in_words(&*sink.take_warning().expect("a warning"));
        assert!(warning.contains("metrics were not taken"), "{warning}");
        assert!(warning.contains("go away"), "{warning}");
    }
    sink.idle().expect("it still works");
    sink.send_beside();
    assert_eq!(count(&sink, "failed_metric_requests"), 3);
}

#[test]
fn a_place_that_takes_no_events_is_sent_no_metrics() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let mut sink = sink(config(&server, Temporality::Cumulative), source().1);
    let of_metrics = || {
        let received = server.received();
        received.iter().filter(|it| it.line.ends_with("/v1/metrics")).count()
    };
    sink.send_beside();
    assert_eq!(of_metrics(), 1, "nothing was tried");
    for (statuses, are_sent) in [
        (&[503][..], false),
        (&[403], false),
        (&[429], false),
        (&[200, 200, 200], true),
        (&[503], true),
        (&[403], false),
        (&[503], false),
        (&[200, 200, 200], true),
    ] {
        server.next(statuses.iter().map(|status| Reply::status(*status)));
        let before = of_metrics();
        let is_taken = matches!(sink.deliver(&batch), Outcome::Accepted);
        assert_eq!(is_taken, statuses[0] == 200);
        sink.send_beside();
        sink.send_last(LONG);
        let sent = of_metrics() - before;
        assert_eq!(sent, if is_taken { 3 } else { 2 * usize::from(are_sent) }, "{statuses:?}");
    }
    assert_eq!(count(&sink, "failed_metric_requests"), 0);
}

/// It gives them up before it would give an event up.
#[test]
fn a_place_that_is_slow_with_metrics_holds_events_up_for_less_than_a_request_may_take() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    server.set_rule(|request| match &*request.line {
        "POST /v1/metrics" => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
            Reply::steps([Step::Pause(Duration::from_secs(3)), Step::Send(head)])
        }
        _ => Reply::ok(),
    });
    let connection = Connection { timeout: Duration::from_secs(6), ..Connection::default() };
    let config = OtlpConfig { connection, ..config(&server, Temporality::Cumulative) };
    let mut sink = sink(config, source().1);
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    assert_eq!(count(&sink, "failed_metric_requests"), 1);
    let warning = crate::stats::in_words(&*sink.take_warning().expect("a warning"));
    assert!(warning.ends_with("it did not answer in time"), "{warning}");
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
}

#[test]
fn rejected_points_are_counted() {
    let server = FaultServer::start();
    let said = r#"{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too many"}}"#;
    server.next([Reply::with(200, &[("Content-Type", "application/json")], said)]);
    let mut sink = sink(config(&server, Temporality::Cumulative), source().1);
    sink.send_beside();
    assert_eq!(count(&sink, "rejected_data_points"), 1, "there was no other");
    assert_eq!(count(&sink, "failed_metric_requests"), 0);
    assert!(sink.take_warning().expect("a warning").to_string().contains("too many"));
}

/// A sink with other settings goes on where the one before was.
#[test]
fn differences_sum_up_whatever_fails_and_whoever_sends_them() {
    let server = FaultServer::start();
    let (count, source) = source();
    let mut first = sink(config(&server, Temporality::Delta), source.clone());
    for (add, reply) in [(3, 200), (4, 503), (5, 400), (0, 200), (1, 200)] {
        count.fetch_add(add, Ordering::Relaxed);
        server.next([Reply::status(reply)]);
        first.send_beside();
    }
    drop(first);
    count.fetch_add(2, Ordering::Relaxed);
    sink(config(&server, Temporality::Delta), source).send_beside();
    let now = START_NS + 1_000_000_000;
    assert_eq!(
        taken(&server),
        [(3.0, START_NS, now), (9.0, now, now), (1.0, now, now), (2.0, now, now)]
    );
}

/// Whatever the interval, and though a reload wants secrets read anew, which cannot be.
#[test]
fn the_last_ones_tell_what_was_counted_since() {
    let server = FaultServer::start();
    let (count, source) = source();
    let interval = Duration::from_secs(3600);
    let mut config =
        OtlpConfig { metrics_interval: interval, ..config(&server, Temporality::Delta) };
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), "hunter2").expect("a file");
    config.connection.headers = vec![("X-Key".to_owned(), Secret::File(key.path().to_owned()))];
    let clock = || at(START_NS + 1_000_000_000);
    let reloads = Reloads::default();
    let mut sink = OtlpSink::with_clock(config, reloads.clone(), clock).with_metrics(source);
    sink.send_last(LONG);
    assert_eq!(server.requests(), 0, "it was not opened");
    sink.open().expect("it opens");
    count.store(3, Ordering::Relaxed);
    sink.send_beside();
    assert_eq!(server.requests(), 0, "it is not time");
    sink.send_last(LONG);
    key.close().expect("gone");
    reloads.raise();
    count.store(5, Ordering::Relaxed);
    sink.send_last(LONG);
    let now = START_NS + 1_000_000_000;
    assert_eq!(taken(&server), [(3.0, START_NS, now), (2.0, now, now)]);
    assert_eq!(server.received()[1].header("x-key"), Some("hunter2"));
}

#[test]
fn the_last_ones_keep_to_their_time_and_are_not_forced_on_anybody() {
    let server = FaultServer::start();
    let mut sink = sink(config(&server, Temporality::Delta), source().1);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let late = Reply::steps([Step::Pause(Duration::from_secs(2)), Step::Send(head)]);
    server.next([late, Reply::with(429, &[("Retry-After", "3600")], "later")]);
    sink.send_last(Duration::from_millis(100));
    let warning = crate::stats::in_words(&*sink.take_warning().expect("a warning"));
    assert!(warning.ends_with("it did not answer in time"), "{warning}");
    assert_eq!(count(&sink, "failed_metric_requests"), 1);
    sink.send_last(LONG);
    assert_eq!((server.requests(), count(&sink, "failed_metric_requests")), (2, 2));
    sink.send_last(LONG);
    assert_eq!(server.requests(), 2, "it wants to be left alone");
}

#[test]
fn without_a_place_or_a_source_there_are_none() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let of_events = endpoints(&server, &Signal::OF_EVENTS);
    let no_place = OtlpConfig { endpoints: of_events, ..config(&server, Temporality::Delta) };
    let mut sink = sink(no_place, source().1);
    let outcome = sink.deliver(&batch);
    assert!(matches!(outcome, Outcome::Accepted), "{}", said(&outcome));
    sink.send_beside();
    let no_source = config(&server, Temporality::Delta);
    OtlpSink::new(no_source, Reloads::default()).send_beside();
    assert_eq!(server.requests(), 2);
}
