//! What is sent, decoded again.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::super::encode::{Encoding, Resources, logs, traces};
use super::super::spans::Context;
use super::*;

fn resources() -> Resources {
    Resources { service_name: None, attributes: vec![("team".to_owned(), "core".to_owned())] }
}

fn with_contexts<'a>(script: &'a Script, has_content: bool) -> Vec<(Event<'a>, Context)> {
    let mut spans = Spans::new(TIMEOUT);
    let events = script.events(has_content).into_iter();
    events
        .map(|event| {
            let context = spans.apply(&event);
            (event, context)
        })
        .collect()
}

fn log_body(script: &Script, has_content: bool, encoding: Encoding) -> Vec<u8> {
    let mut body = Vec::new();
    let events = with_contexts(script, has_content);
    let cut = logs::write(&events, false, &resources(), encoding, &mut body).expect("written");
    assert_eq!(cut, 0);
    body
}

fn log_request(script: &Script) -> ExportLogsServiceRequest {
    let body = log_body(script, false, Encoding::Protobuf);
    ExportLogsServiceRequest::decode(&*body).expect("a request")
}

fn records(script: &Script) -> Vec<LogRecord> {
    let request = log_request(script);
    let scopes = request.resource_logs.into_iter().flat_map(|it| it.scope_logs);
    scopes.flat_map(|it| it.log_records).collect()
}

fn session() -> Script {
    let mut script = Script::default();
    let call = json!({"prompt_id": "p1", "tool_name": "Bash", "tool_use_id": "t1", "operation_type": "execute"});
    script
        .add(1, "prompt.submit", json!({"prompt_id": "p1", "user_id": "ada"}))
        .add(2, "tool.pre", call.clone())
        .add(3, "tool.post", call)
        .add(4, "turn.end", json!({"prompt_id": "p1"}));
    script
}

#[test]
fn each_event_is_a_record_of_its_span() {
    let script = session();
    let (_, finished) = script.run();
    let records = records(&script);
    assert_eq!(records.len(), 4);
    let tool = &records[1];
    assert_eq!(tool.time_unix_nano, 1_700_000_002_000_000_000);
    assert_eq!(tool.observed_time_unix_nano, tool.time_unix_nano);
    assert_eq!(
        (&*tool.event_name, tool.severity_number, &*tool.severity_text),
        ("tool.pre", 9, "INFO")
    );
    assert_eq!(tool.body.as_ref().map(shown).as_deref(), Some("tool.pre Bash"));
    for (name, value) in [
        (names::RECORD_UID, "e2"),
        (names::SEQ, "2"),
        (names::SESSION, "s"),
        (names::TOOL_CALL_ID, "t1"),
        (names::OPERATION_TYPE, "execute"),
        (names::AGENT_NAME, "claude-code"),
    ] {
        assert_eq!(attribute(&tool.attributes, name).as_deref(), Some(value), "{name}");
    }
    // The span of the call ended first.
    assert_eq!(
        (&tool.trace_id, &tool.span_id),
        (&finished[0].span.trace_id, &finished[0].span.span_id)
    );
    assert_eq!(records[0].span_id, finished[1].span.span_id);
    assert_eq!(records[3].span_id, finished[1].span.span_id);
}

#[test]
fn each_agent_on_each_machine_is_a_resource() {
    let mut script = session();
    script
        .add(5, "notify", json!({"host": "other"}))
        .add(6, "notify", json!({"source": {"agent": "codex", "version": "1.2"}}))
        .add(7, "notify", json!({"source": {}}))
        .add(8, "notify", json!({}));
    let request = log_request(&script);
    let found: Vec<_> = request
        .resource_logs
        .iter()
        .map(|it| {
            let list = &it.resource.as_ref().expect("a resource").attributes;
            let of = |name| attribute(list, name).unwrap_or_default();
            assert_eq!(of("team"), "core");
            let scope = it.scope_logs[0].scope.as_ref().expect("a scope");
            assert_eq!((&*scope.name, &*scope.version), ("hookring", env!("CARGO_PKG_VERSION")));
            let count = it.scope_logs[0].log_records.len();
            (of(names::SERVICE_NAME), of(names::HOST_NAME), of(names::SERVICE_VERSION), count)
        })
        .collect();
    let expected = [
        ("claude-code", "ada-laptop", "", 5),
        ("claude-code", "other", "", 1),
        ("codex", "ada-laptop", "1.2", 1),
        ("hookring", "ada-laptop", "", 1),
    ];
    let expected: Vec<_> = expected
        .map(|(service, host, version, count)| {
            (service.to_owned(), host.to_owned(), version.to_owned(), count)
        })
        .into();
    assert_eq!(found, expected);
}

#[test]
fn what_is_worse_is_more_severe() {
    let own = |payload| json!({"namespace": "system", "session_id": null, "payload": payload});
    for (event_type, members, severity) in [
        ("tool.fail", json!({}), "ERROR"),
        ("turn.fail", json!({}), "ERROR"),
        ("tool.post", json!({"success": false}), "ERROR"),
        ("tool.post", json!({"success": true}), "INFO"),
        ("tool.pre", json!({"security_risk": "critical"}), "ERROR"),
        ("tool.pre", json!({"security_risk": "high"}), "WARN"),
        ("tool.pre", json!({"security_risk": "medium"}), "INFO"),
        ("tool.pre", json!({"duplicate_of": "e0"}), "DEBUG"),
        ("permission.denied", json!({}), "WARN"),
        ("notify", json!({"classification": "error"}), "WARN"),
        ("message.display", json!({}), "DEBUG"),
        ("daemon.gap", own(json!({"cause": "sink_lost"})), "WARN"),
        ("sink.state", own(json!({"sink": "a", "state": "retrying"})), "WARN"),
        ("sink.state", own(json!({"sink": "a", "state": "running"})), "INFO"),
        ("daemon.reload", own(json!({"result": "refused"})), "WARN"),
        ("agent.silent", own(json!({"agent": "codex", "state": "silent"})), "WARN"),
        ("agent.silent", own(json!({"agent": "codex", "state": "back"})), "INFO"),
        ("agent.silent", own(json!({"agent": "codex", "state": "cleared"})), "INFO"),
        ("session.silent", own(json!({"session_id": "3f1c"})), "WARN"),
        ("hooks.slow", own(json!({"state": "slow"})), "WARN"),
        ("hooks.slow", own(json!({"state": "fine"})), "INFO"),
        // What a payload says, its agent said: nothing of it is read.
        ("prompt.submit", json!({"payload": {"state": "silent"}}), "INFO"),
        ("of.another.year", json!({}), "INFO"),
    ] {
        let mut script = Script::default();
        script.add(1, event_type, members.clone());
        assert_eq!(records(&script)[0].severity_text, severity, "{event_type} {members}");
    }
}

#[test]
fn what_the_daemon_says_is_in_its_records() {
    let mut script = Script::default();
    let payload = json!({"sink": "files", "state": "off", "before": "running", "error": "gone"});
    script.add(
        1,
        "sink.state",
        json!({"namespace": "system", "session_id": null, "payload": payload}),
    );
    let record = &records(&script)[0];
    assert_eq!(record.body.as_ref().map(shown).as_deref(), Some("sink.state files off"));
    assert!(record.trace_id.is_empty() && record.span_id.is_empty());
    // A server's words can be ours.
    let without_words = json!({"sink": "files", "state": "off", "before": "running"});
    for (has_content, expected) in [(false, &without_words), (true, &payload)] {
        let body = log_body(&script, has_content, Encoding::Protobuf);
        let request = ExportLogsServiceRequest::decode(&*body).expect("a request");
        let record = &request.resource_logs[0].scope_logs[0].log_records[0];
        let text = attribute(&record.attributes, names::PAYLOAD).expect("a payload");
        assert_eq!(&serde_json::from_str::<Json>(&text).expect("JSON"), expected);
    }
}

#[test]
fn who_fell_silent_and_who_is_back_is_in_the_body() {
    for (event_type, payload, body) in [
        ("agent.silent", json!({"agent": "codex", "state": "silent"}), "agent.silent codex silent"),
        ("agent.silent", json!({"agent": "codex", "state": "back"}), "agent.silent codex back"),
        (
            "session.silent",
            json!({"session_id": "3f1c", "agent": "claude-code", "silent_s": 3700}),
            "session.silent claude-code 3f1c silent",
        ),
        ("hooks.slow", json!({"state": "fine", "p99_us": 4}), "hooks.slow fine"),
    ] {
        let mut script = Script::default();
        let own = json!({"namespace": "system", "session_id": null, "payload": payload});
        script.add(1, event_type, own);
        assert_eq!(records(&script)[0].body.as_ref().map(shown).as_deref(), Some(body));
    }
}

#[test]
fn content_is_in_records_only_if_it_is_asked_for() {
    let mut script = Script::default();
    script.add(
        1,
        "tool.fail",
        json!({
            "tool_name": "Bash",
            "command": "xyzzy",
            "file_path": "xyzzy",
            "tool_parameters": {"command": "xyzzy"},
            "error_message": "xyzzy",
            "task_description": "xyzzy",
            "risk": [{"rule": "r", "level": "low", "evidence": "xyzzy"}],
            "payload": {"prompt": "xyzzy"},
        }),
    );
    let has_secret = |body: &[u8]| body.windows(5).any(|it| it == b"xyzzy");
    assert!(!has_secret(&log_body(&script, false, Encoding::Protobuf)));
    assert!(!has_secret(&log_body(&script, false, Encoding::Json)));
    let body = log_body(&script, true, Encoding::Json);
    assert_eq!(String::from_utf8_lossy(&body).matches("xyzzy").count(), 7);
}

/// The mapping of OTLP: ids in hex, 64-bit numbers as texts, enums as numbers, names in camel case.
#[test]
fn json_is_that_of_otlp() {
    let script = session();
    let body = log_body(&script, false, Encoding::Json);
    let json: Json = serde_json::from_slice(&body).expect("JSON");
    let record = &json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1];
    assert_eq!(record["timeUnixNano"], "1700000002000000000");
    assert_eq!(record["severityNumber"], 9);
    assert_eq!(record["body"], json!({"stringValue": "tool.pre Bash"}));
    let is_hex = |it: &Json, digits| {
        it.as_str().is_some_and(|it| {
            it.len() == digits && it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    assert!(is_hex(&record["traceId"], 32) && is_hex(&record["spanId"], 16), "{record}");
    let attributes = record["attributes"].as_array().expect("a list");
    assert!(attributes.contains(&json!({"key": "hookring.seq", "value": {"intValue": "2"}})));
    let again: ExportLogsServiceRequest = serde_json::from_slice(&body).expect("a request");
    assert_eq!(again, log_request(&script));

    let (_, mut finished) = script.run();
    let before = finished.clone();
    let mut body = Vec::new();
    traces::write(&mut finished, &resources(), Encoding::Json, &mut body).expect("written");
    let json: Json = serde_json::from_slice(&body).expect("JSON");
    let span = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["kind"]), (&json!("execute_tool Bash"), &json!(1)));
    assert_eq!(span["endTimeUnixNano"], "1700000003000000000");
    assert!(is_hex(&span["parentSpanId"], 16), "{span}");
    assert_eq!(span["status"], json!({"message": "", "code": 0}));
    let mut protobuf = Vec::new();
    traces::write(&mut finished, &resources(), Encoding::Protobuf, &mut protobuf).expect("written");
    let decoded = ExportTraceServiceRequest::decode(&*protobuf).expect("a request");
    assert_eq!(decoded, serde_json::from_slice(&body).expect("a request"));
    // They were lent only.
    let spans = |it: &[Finished]| it.iter().map(|it| it.span.clone()).collect::<Vec<_>>();
    assert_eq!(spans(&finished), spans(&before));
}

#[test]
fn spans_of_several_agents_come_back_in_their_order() {
    let mut script = Script::default();
    for at in 0..9 {
        let agent = ["claude-code", "codex", "cursor"][at % 3];
        let session = format!("s{at}");
        let members = json!({"session_id": session, "source": {"agent": agent}});
        script.add(at as u64, "prompt.submit", members.clone());
        script.add(at as u64 + 1, "turn.end", members);
    }
    let (_, mut finished) = script.run();
    let before: Vec<_> = finished.iter().map(|it| it.span.clone()).collect();
    let mut body = Vec::new();
    traces::write(&mut finished, &resources(), Encoding::Protobuf, &mut body).expect("written");
    let after: Vec<_> = finished.iter().map(|it| it.span.clone()).collect();
    assert_eq!(before, after);
    let request = ExportTraceServiceRequest::decode(&*body).expect("a request");
    let counts: Vec<_> =
        request.resource_spans.iter().map(|it| it.scope_spans[0].spans.len()).collect();
    assert_eq!(counts, [3, 3, 3]);
}
