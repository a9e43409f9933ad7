//! The sink against a server that fails as it is told to.

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use hookring_faults::{Authority, FaultServer, Presented, Received, Reply, Step};
use hookring_journal::Batch;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::json;
use zeroize::Zeroizing;

use super::super::answer::Signal;
use super::super::config::{Endpoint, NamedFile, OtlpConfig, Own};
use super::super::deliver::OtlpSink;
use super::super::encode::Encoding;
use super::super::preset::Scheme;
use crate::http::{Connection, Reloads, Setting, Target};
use crate::secret::Secret;
use crate::sink::{Outcome, Sink};
use crate::testing::TestJournal;

pub(super) fn endpoints(server: &FaultServer, signals: &[Signal]) -> Vec<Endpoint> {
    let endpoint = |signal: &Signal| Endpoint {
        signal: *signal,
        url: Target::parse(&server.url(&format!("/v1/{}", signal.name()))).expect("a URL"),
        setting: Setting::Url,
        own: Own::default(),
    };
    signals.iter().map(endpoint).collect()
}

fn config(server: &FaultServer) -> OtlpConfig {
    OtlpConfig::new(endpoints(server, &Signal::OF_EVENTS))
}

fn sink(config: OtlpConfig) -> OtlpSink {
    assert_eq!(config.faults(), [], "the settings agree");
    let mut sink = OtlpSink::with_clock(config, Reloads::default(), || SystemTime::UNIX_EPOCH);
    sink.open().expect("it opens");
    sink
}

fn text(text: &str) -> Secret {
    Secret::Text(Zeroizing::new(text.to_owned()))
}

fn with_headers(headers: Vec<(String, Secret)>) -> Connection {
    Connection { headers, ..Connection::default() }
}

/// A prompt with its end: two records and a span.
pub(super) fn batch() -> (TestJournal, Batch) {
    let mut journal = TestJournal::new();
    for event_type in ["prompt.submit", "turn.end"] {
        let members = [("event_type", json!(event_type)), ("session_id", json!("s"))];
        journal.write_with(&json!({"filler": "x".repeat(2000)}), &members);
    }
    let batch = journal.batch(1, 2);
    (journal, batch)
}

pub(super) fn plain(request: &Received) -> Vec<u8> {
    if request.header("content-encoding") != Some("gzip") {
        return request.body.clone();
    }
    let mut body = Vec::new();
    GzDecoder::new(&*request.body).read_to_end(&mut body).expect("gzip");
    body
}

pub(super) fn said(outcome: &Outcome) -> String {
    outcome.error().map(crate::stats::in_words).unwrap_or_default()
}

#[test]
fn each_signal_is_posted_to_its_address() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let mut sink = sink(OtlpConfig { has_content: true, ..config(&server) });
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    let requests = server.received();
    let lines: Vec<_> = requests.iter().map(|it| &*it.line).collect();
    assert_eq!(lines, ["POST /v1/logs", "POST /v1/traces"]);
    assert_eq!(requests[0].header("content-type"), Some("application/x-protobuf"));
    assert_eq!(requests[0].header("content-encoding"), Some("gzip"));
    let logs = ExportLogsServiceRequest::decode(&*plain(&requests[0])).expect("a request");
    assert_eq!(logs.resource_logs[0].scope_logs[0].log_records.len(), 2);
}

/// A port that is for gRPC does so, and people have both in mind.
#[test]
fn what_is_no_http_may_be_grpc() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let mut sink = sink(config(&server));
    let hint = "; if this port speaks TLS, its address begins with `https://`; if it is for gRPC, OTLP over HTTP \
                usually has port 4318";
    for (reply, reason) in [
        (Reply::not_http(), "what came back is not HTTP"),
        (Reply::close().early(), "the connection was closed"),
    ] {
        server.set(reply);
        let said = said(&sink.deliver(&batch));
        assert!(said.ends_with(&format!("{reason}{hint}")), "{said}");
    }
}

#[test]
fn json_is_sent_if_that_is_wanted() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let mut sink = sink(OtlpConfig { encoding: Encoding::Json, gzip: false, ..config(&server) });
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    let requests = server.received();
    assert_eq!(requests[1].header("content-type"), Some("application/json"));
    assert_eq!(requests[1].header("content-encoding"), None);
    let traces: serde_json::Value = serde_json::from_slice(&requests[1].body).expect("JSON");
    assert_eq!(traces["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"], "invoke_agent");
}

#[test]
fn a_part_that_was_rejected_is_counted_and_not_sent_again() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let said = ExportLogsPartialSuccess {
        rejected_log_records: 1,
        error_message: "hunter2 is old".into(),
    };
    let answer = ExportLogsServiceResponse { partial_success: Some(said) }.encode_to_vec();
    let answer = String::from_utf8(answer).expect("as it happens");
    let is_protobuf = [("Content-Type", "application/x-protobuf")];
    server.next([Reply::with(200, &is_protobuf, &answer)]);
    let headers = vec![("x-token".to_owned(), text("hunter2"))];
    let mut sink = sink(OtlpConfig { connection: with_headers(headers), ..config(&server) });
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    assert_eq!(server.requests(), 2);
    assert!(sink.counts().contains(&("rejected_log_records", 1)));
    let warning = sink.take_warning().expect("a warning").to_string();
    assert!(
        warning.ends_with("took the logs, but for 1 that it rejects for good: *** is old"),
        "{warning}"
    );
    assert!(sink.take_warning().is_none());
    let body = r#"{"partialSuccess":{"errorMessage":"soon gone"}}"#;
    server.next([Reply::with(200, &[("Content-Type", "application/json")], body)]);
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    let warning = sink.take_warning().expect("a warning").to_string();
    assert!(warning.ends_with("took the logs with a warning: soon gone"), "{warning}");
}

#[test]
fn an_answer_that_is_none_of_otlp_is_refused() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    for (reply, word) in [
        (Reply::with(200, &[("Content-Type", "text/html")], "<html>Log in</html>"), "HTML"),
        (Reply::with(200, &[], "<!doctype html>"), "HTML"),
        (Reply::with(200, &[], "welcome"), "none of OTLP"),
        (Reply::endless_body(200), "longer than"),
    ] {
        server.next([reply]);
        let outcome = sink(config(&server)).deliver(&batch);
        assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
        let said = said(&outcome);
        assert!(said.starts_with("logs: cannot send to http://127.0.0.1"), "{said}");
        assert_eq!(said.matches(word).count(), 1, "{said}");
    }
    for reply in [Reply::bad_chunks(200), Reply::wrong_length(200, 1000, "x")] {
        server.next([reply]);
        let outcome = sink(config(&server)).deliver(&batch);
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    }
}

#[test]
fn an_error_names_its_signal_and_the_receivers_words_stay_readable() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let words = "path /v1/traces: no pipeline for traces";
    server.next([Reply::ok(), Reply::with(404, &[], words)]);
    let said = said(&sink(config(&server)).deliver(&batch));
    let url = server.url("");
    assert_eq!(
        said,
        format!("traces: {} answered 404 Not Found: {words}", url.trim_end_matches('/'))
    );
}

/// Wherever what is shown ends.
#[test]
fn words_are_cut_after_secrets_are_taken_out() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let secret = "4f9c1e77aa02b36d58e1c0ffee99d0ab";
    let headers = vec![("x-token".to_owned(), text(secret))];
    let mut sink = sink(OtlpConfig { connection: with_headers(headers), ..config(&server) });
    let is_json = [("Content-Type", "application/json")];
    for before in 260..305 {
        let words = format!("{}{secret}", "x ".repeat(before / 2));
        let body = json!({"partialSuccess": {"errorMessage": words}}).to_string();
        server.next([Reply::with(200, &is_json, &body), Reply::ok()]);
        assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
        let warning = crate::stats::in_words(&*sink.take_warning().expect("a warning"));
        assert!(!warning.contains("4f9c"), "{before}: {warning}");
    }
}

/// A receiver that lies does not have the figures lie.
#[test]
fn no_more_is_counted_as_rejected_than_was_sent() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let is_json = [("Content-Type", "application/json")];
    let mut sink = sink(config(&server));
    for times in 1..=4 {
        let logs = r#"{"partialSuccess":{"rejectedLogRecords":"9223372036854775807"}}"#;
        let spans = r#"{"partialSuccess":{"rejectedSpans":"1000000000000000"}}"#;
        server.next([logs, spans].map(|body| Reply::with(200, &is_json, body)));
        assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
        let counts = sink.counts();
        assert!(counts.contains(&("rejected_log_records", 2 * times)), "{counts:?}");
        assert!(counts.contains(&("rejected_spans", times)), "{counts:?}");
    }
}

#[test]
fn statuses_are_those_of_the_table() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    for (status, outcome) in [
        (429, "Throttled"),
        (502, "Failed"),
        (503, "Failed"),
        (504, "Failed"),
        (408, "Failed"),
        (413, "TooLarge"),
        (400, "Rejected"),
        (401, "Refused"),
        (403, "Refused"),
        (404, "Refused"),
        (307, "Refused"),
        (410, "Gone"),
    ] {
        server.next([Reply::status(status)]);
        let found = sink(config(&server)).deliver(&batch);
        assert!(format!("{found:?}").starts_with(outcome), "{status}: {found:?}");
    }
}

#[test]
fn keys_and_headers_go_along_and_are_never_shown() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let mut endpoints = endpoints(&server, &Signal::OF_EVENTS);
    endpoints[1].own.headers =
        vec![("X-Own".to_owned(), text("hunter4")), ("X-All".to_owned(), text("hunter5"))];
    let config = OtlpConfig {
        endpoints,
        api_key: Some((Scheme::Basic, text("ada:hunter2"))),
        connection: with_headers(vec![("X-All".to_owned(), text("hunter3"))]),
        ..config(&server)
    };
    assert!(!format!("{config:?}").contains("hunter"));
    let mut sink = sink(config);
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    let [logs, traces] = &server.received()[..] else { panic!("two requests") };
    assert_eq!(logs.header("authorization"), Some("Basic YWRhOmh1bnRlcjI="));
    assert_eq!((logs.header("x-all"), logs.header("x-own")), (Some("hunter3"), None));
    assert_eq!(
        (traces.header("x-all"), traces.header("x-own")),
        (Some("hunter5"), Some("hunter4"))
    );
    server.next([Reply::with(401, &[], "Basic YWRhOmh1bnRlcjI= and hunter3 are wrong")]);
    let said = said(&sink.deliver(&batch));
    assert!(said.contains("***") && !said.contains("hunter") && !said.contains("YWRh"), "{said}");
}

#[test]
fn a_key_that_changed_is_read_when_the_place_no_longer_takes_the_old_one() {
    let (journal, batch) = batch();
    let file = journal.path("key");
    std::fs::write(&file, "old").expect("a file");
    let server = FaultServer::start();
    server.set_rule(|request| match request.header("api-key") {
        Some("new") => Reply::ok(),
        _ => Reply::status(403),
    });
    let api_key = Some((Scheme::Header("api-key"), Secret::File(file.clone())));
    let mut sink = sink(OtlpConfig { api_key, ..config(&server) });
    assert!(matches!(sink.deliver(&batch), Outcome::Refused { .. }));
    std::fs::write(&file, "new").expect("a file");
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
}

#[test]
fn what_cannot_be_used_is_told() {
    let server = FaultServer::start();
    let far = |text| Target::parse(text).expect("a URL");
    let with = |url| {
        let mut endpoints = endpoints(&server, &Signal::OF_EVENTS);
        endpoints.iter_mut().for_each(|it| it.url = far(url));
        OtlpConfig { api_key: Some((Scheme::ApiKey, text("k"))), ..OtlpConfig::new(endpoints) }
    };
    let faults = with("http://collector.example.com/").faults();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].message.contains("for everybody to read"), "{faults:?}");
    assert_eq!(with("https://collector.example.com/").faults(), []);
    let pair = |name: &str| (name.to_owned(), String::new());
    let many = vec![pair("a"); super::super::MAX_RESOURCE_ATTRIBUTES + 1];
    for (resource, message) in [(many, "more than 32"), (vec![pair("")], "no name")] {
        let faults = OtlpConfig { resource, ..config(&server) }.faults();
        assert!(faults[0].setting == Setting::Resource && faults[0].message.contains(message));
        assert_eq!(faults.len(), 1, "{faults:?}");
    }
    let api_key = Some((Scheme::Basic, text("hunter2")));
    let pair = OtlpConfig { api_key, ..config(&server) };
    let error = OtlpSink::new(pair, Reloads::default()).open().expect_err("no pair").to_string();
    assert!(error.contains("a colon between them") && !error.contains("hunter2"), "{error}");
}

#[test]
fn each_signal_is_written_as_its_receiver_wants_it() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    let mut endpoints = endpoints(&server, &Signal::OF_EVENTS);
    endpoints[0].own.encoding = Some(Encoding::Json);
    endpoints[1].own.gzip = Some(false);
    // An answer that says nothing of its kind is of the request's.
    server.next([Reply::with(200, &[], r#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#)]);
    let mut sink = sink(OtlpConfig::new(endpoints));
    assert!(matches!(sink.deliver(&batch), Outcome::Accepted));
    assert!(sink.counts().contains(&("rejected_log_records", 1)));
    let [logs, traces] = &server.received()[..] else { panic!("two requests") };
    assert_eq!(logs.header("content-type"), Some("application/json"));
    assert_eq!(logs.header("content-encoding"), Some("gzip"));
    serde_json::from_slice::<serde_json::Value>(&plain(logs)).expect("JSON");
    assert_eq!(traces.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(traces.header("content-encoding"), None);
    ExportTraceServiceRequest::decode(&*traces.body).expect("protobuf");
    assert_eq!(server.connections(), 1, "they connect in the same way");
}

#[test]
fn each_signal_has_certificates_of_its_own() {
    let (journal, batch) = batch();
    let put = |name: &str, pem: &str| {
        let path = journal.path(name);
        std::fs::write(&path, pem).expect("a file");
        Some(NamedFile { path, variable: String::new() })
    };
    let [first, second] = [Authority::new(), Authority::new()];
    let servers = [
        FaultServer::start_tls(&first, Presented::Good),
        FaultServer::start_tls(&second, Presented::GoodAndAsking),
    ];
    let [mut logs, mut traces] =
        [0, 1].map(|at| endpoints(&servers[at], &[Signal::OF_EVENTS[at]]).remove(0));
    logs.own.ca_file = put("first", &first.pem());
    traces.own.ca_file = put("second", &second.pem());
    let without = vec![logs.clone(), traces.clone()];
    assert!(matches!(sink(OtlpConfig::new(without)).deliver(&batch), Outcome::Refused { .. }));
    assert_eq!(servers.each_ref().map(FaultServer::requests), [1, 0]);
    let (cert, key) = second.client_pem();
    (traces.own.client_cert, traces.own.client_key) = (put("cert", &cert), put("key", &key));
    let with = vec![logs.clone(), traces.clone()];
    assert!(matches!(sink(OtlpConfig::new(with)).deliver(&batch), Outcome::Accepted));
    assert_eq!(servers.each_ref().map(FaultServer::requests), [2, 1]);
}

#[test]
fn each_signal_waits_as_long_as_it_says() {
    let (_journal, batch) = batch();
    let server = FaultServer::start();
    server.set_rule(|_| {
        Reply::steps([Step::Pause(Duration::from_millis(500)), Step::Send(OK.to_vec())])
    });
    let mut endpoints = endpoints(&server, &Signal::OF_EVENTS);
    endpoints[1].own.timeout = Some(Duration::from_millis(100));
    let outcome = sink(OtlpConfig::new(endpoints)).deliver(&batch);
    assert!(said(&outcome).ends_with("it did not answer in time"), "{outcome:?}");
    assert_eq!(server.requests(), 2, "the first one was taken");
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
