//! OpenTelemetry from outside: a daemon with an otlp sink, and what a receiver has in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hookring_faults::{FaultServer, Reply};
use hookring_tests::{Bed, wait_for};
use serde_json::Value;

fn apm(server: &FaultServer, more: &str) -> String {
    let url = server.url("");
    format!(
        "[sinks.apm]\ntype = \"otlp\"\nstart = \"oldest\"\nendpoint = \"{url}\"\nencoding = \"json\"\n\
         compression = \"none\"\nbatch_events = 7\n{more}\n"
    )
}

/// The payloads of the session that `hookring demo` plays.
fn session() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let text = fs::read_to_string(root.join("daemon/demo/session.jsonl")).expect("the session");
    text.lines().map(str::to_owned).collect()
}

/// What a receiver has of one kind, of each request that it took.
fn parts(server: &FaultServer, path: &str, lists: [&str; 3]) -> Vec<Value> {
    let taken = server.taken().into_iter().filter(|it| it.line.ends_with(path));
    let mut found = Vec::new();
    for request in taken {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let mut level = vec![body];
        for list in lists {
            let inner = level.iter().flat_map(|it| it[list].as_array().cloned().expect("a list"));
            level = inner.collect();
        }
        found.extend(level);
    }
    found
}

/// By trace and id. One that came twice is the same.
fn spans(server: &FaultServer) -> BTreeMap<(String, String), Value> {
    let mut spans: BTreeMap<(String, String), Value> = BTreeMap::new();
    for span in parts(server, "/v1/traces", ["resourceSpans", "scopeSpans", "spans"]) {
        let id = |name: &str| span[name].as_str().expect("an id").to_owned();
        let key = (id("traceId"), id("spanId"));
        let before = spans.insert(key, span.clone());
        assert!(before.is_none_or(|before| before == span), "another span has this id: {span}");
    }
    spans
}

fn logs(server: &FaultServer) -> Vec<Value> {
    parts(server, "/v1/logs", ["resourceLogs", "scopeLogs", "logRecords"])
}

fn attribute<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    let list = of["attributes"].as_array().expect("a list");
    list.iter().find(|it| it["key"] == name).map(|it| &it["value"])
}

fn wait_until_delivered(bed: &Bed) {
    wait_for("everything to be delivered", || {
        let sink = &bed.status()["sinks"][0];
        (sink["lag_events"] == 0 && sink["state"] == "running").then_some(())
    });
}

/// Each call of the session is one span below its prompt, or its subagent.
fn assert_tree(spans: &BTreeMap<(String, String), Value>, payloads: &[String]) {
    let payloads = payloads.iter().map(|it| serde_json::from_str::<Value>(it).expect("JSON"));
    let calls: BTreeSet<String> =
        payloads.filter_map(|it| Some(it["tool_use_id"].as_str()?.to_owned())).collect();
    let mut seen = BTreeSet::new();
    for ((trace, _), span) in spans {
        let number = |name: &str| -> u64 {
            span[name].as_str().and_then(|it| it.parse().ok()).expect("nanoseconds")
        };
        assert!(number("startTimeUnixNano") <= number("endTimeUnixNano"), "{span}");
        let parent = span["parentSpanId"].as_str().expect("an id");
        let has_parent = spans.contains_key(&(trace.clone(), parent.to_owned()));
        assert!(parent.is_empty() || has_parent, "its parent never came: {span}");
        assert_eq!(attribute(span, "hookring.repaired"), None, "{span}");
        if let Some(call) = attribute(span, "gen_ai.tool.call.id") {
            let call = call["stringValue"].as_str().expect("a text").to_owned();
            assert!(seen.insert(call), "a second span of the same call: {span}");
            assert!(!parent.is_empty(), "{span}");
        }
    }
    assert_eq!(seen, calls);
}

#[test]
fn a_recorded_session_is_one_tree_of_spans_whoever_dies() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&apm(&server, ""));
    let payloads = session();
    let mut emitted = 0;
    for (at, part) in payloads.chunks(5).enumerate() {
        let daemon = bed.start();
        if at % 2 == 1 {
            // It has one of both, or none, when the daemon dies.
            server.next([Reply::ok(), Reply::status(503), Reply::close()]);
        }
        let requests = server.requests();
        for payload in part {
            bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
        }
        emitted += part.len();
        bed.wait_for_events(emitted);
        server.wait_for_requests(requests + 1);
        daemon.kill();
    }
    let daemon = bed.start();
    wait_until_delivered(&bed);
    let spans = spans(&server);
    assert_tree(&spans, &payloads);
    let records = logs(&server);
    let uid = |it: &Value| attribute(it, "log.record.uid").expect("an id")["stringValue"].clone();
    let uids: BTreeSet<String> =
        records.iter().map(|it| uid(it).as_str().expect("a text").to_owned()).collect();
    assert_eq!(uids.len(), payloads.len());
    for record in &records {
        let ids = ["traceId", "spanId"].map(|it| record[it].as_str().expect("an id").to_owned());
        let [trace, span] = ids;
        assert!(span.is_empty() || spans.contains_key(&(trace, span)), "no such span: {record}");
    }
    // None of what was said.
    let is_content = |span: &Value| {
        let attributes = span["attributes"].as_array().expect("a list");
        let names = attributes.iter().filter_map(|it| it["key"].as_str());
        names.into_iter().any(|it| it.contains("arguments") || it == "hookring.command")
    };
    assert!(!spans.values().any(is_content) && !records.iter().any(is_content));
    // Everything once more: there still is one set of spans.
    let before = records.len();
    assert!(bed.hookring(&["sink", "reset", "apm", "--to", "oldest"]).status.success());
    wait_for("everything once more", || {
        (logs(&server).len() >= before + payloads.len()).then_some(())
    });
    wait_until_delivered(&bed);
    let again = self::spans(&server);
    assert_eq!(again.keys().collect::<Vec<_>>(), spans.keys().collect::<Vec<_>>());
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_a_receiver_rejects_for_good_is_shown() {
    let server = FaultServer::start();
    let body = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    server.next([Reply::with(200, &[("Content-Type", "application/json")], body)]);
    let bed = Bed::new();
    bed.configure(&apm(&server, "signals = [\"logs\"]"));
    let daemon = bed.start();
    bed.emit_with(&["--agent", "claude-code"], session()[0].as_bytes());
    let sink = wait_for("the count", || {
        let sink = bed.status()["sinks"][0].clone();
        (sink["counts"]["rejected_log_records"] == 1).then_some(sink)
    });
    assert!(sink["last_error"].as_str().is_some_and(|it| it.contains("too old")), "{sink}");
    let shown = String::from_utf8(bed.hookring(&["status"]).stdout).expect("text");
    assert!(shown.contains("rejected log records 1"), "{shown}");
    assert_eq!(server.requests(), 1, "nothing of it is sent again");
    let where_to = format!("sink apm sends logs to {} as JSON, not compressed", server.url(""));
    assert!(bed.log().contains(&where_to), "{}", bed.log());
    // Another worker of the same sink counts on.
    bed.configure(&apm(&server, "signals = [\"logs\"]\ntimeout = \"7s\""));
    assert!(bed.hookring(&["reload"]).status.success());
    bed.emit_with(&["--agent", "claude-code"], session()[0].as_bytes());
    let sink = wait_for("the next event", || {
        let sink = bed.status()["sinks"][0].clone();
        (sink["delivered_events"] == 2).then_some(sink)
    });
    assert_eq!(sink["counts"]["rejected_log_records"], 1, "{sink}");
    assert_eq!(daemon.stop(), 0);
}

/// What each request that was taken says of the counter of events: when it began, and how many there are of a kind.
fn event_counts(server: &FaultServer, event_type: &str, temporality: u64) -> Vec<(String, f64)> {
    let metrics = parts(server, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
    let sums = metrics.iter().filter(|it| it["name"] == "hookring_events").map(|it| &it["sum"]);
    let mut found = Vec::new();
    for sum in sums {
        assert_eq!(sum["isMonotonic"], true, "{sum}");
        assert_eq!(sum["aggregationTemporality"], temporality, "{sum}");
        for point in sum["dataPoints"].as_array().expect("a list") {
            if attribute(point, "event_type").is_some_and(|it| it["stringValue"] == event_type) {
                let start = point["startTimeUnixNano"].as_str().expect("nanoseconds").to_owned();
                found.push((start, point["asDouble"].as_f64().expect("a number")));
            }
        }
    }
    found
}

fn emit_prompts(bed: &Bed, count: usize) {
    for _ in 0..count {
        bed.emit_with(&["--agent", "claude-code"], session_prompt().as_bytes());
    }
}

fn session_prompt() -> String {
    let is_prompt = |it: &String| it.contains("\"UserPromptSubmit\"");
    session().into_iter().find(is_prompt).expect("a prompt")
}

const CUMULATIVE: u64 = 2;
const DELTA: u64 = 1;

#[test]
fn metrics_arrive_without_an_event_and_count_from_the_daemons_start() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&apm(&server, "metrics_interval = \"1s\""));
    let daemon = bed.start();
    emit_prompts(&bed, 3);
    let counts = || event_counts(&server, "prompt.submit", CUMULATIVE);
    wait_for("three prompts", || counts().last().is_some_and(|it| it.1 == 3.0).then_some(()));
    emit_prompts(&bed, 4);
    wait_for("seven prompts", || counts().last().is_some_and(|it| it.1 == 7.0).then_some(()));
    let counts = counts();
    assert!(counts.iter().all(|it| it.0 == counts[0].0), "one start: {counts:?}");
    let resource = parts(&server, "/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"]);
    let kinds = |kind: &str| resource.iter().any(|it| !it[kind].is_null());
    assert!(kinds("sum") && kinds("gauge") && kinds("histogram"));
    assert_eq!(daemon.stop(), 0);
}

/// With failures in between, and a sink that is begun anew.
#[test]
fn differences_of_metrics_sum_up_to_what_there_was() {
    let server = FaultServer::start();
    let bed = Bed::new();
    let preference = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");
    let more = "signals = [\"metrics\"]\nmetrics_interval = \"1s\"";
    bed.configure(&apm(&server, more));
    let daemon = bed.start_with(bed.command("hookring").envs([preference]));
    let sum = || event_counts(&server, "prompt.submit", DELTA).iter().map(|it| it.1).sum::<f64>();
    emit_prompts(&bed, 3);
    wait_for("three prompts", || (sum() == 3.0).then_some(()));
    server.next([Reply::status(503), Reply::close()]);
    emit_prompts(&bed, 4);
    wait_for("seven prompts", || (sum() == 7.0).then_some(()));
    bed.configure(&apm(&server, &format!("{more}\nservice_name = \"ring\"")));
    assert!(bed.hookring(&["reload"]).status.success());
    emit_prompts(&bed, 2);
    wait_for("nine prompts", || (sum() == 9.0).then_some(()));
    let requests = server.requests();
    server.wait_for_requests(requests + 2);
    assert_eq!(sum(), 9.0, "none is told twice");
    assert_eq!(daemon.stop(), 0);
}

/// A sink that a reload takes out, and a daemon that ends, tell what was counted since the last request.
#[test]
fn differences_of_metrics_are_whole_when_a_sink_and_a_daemon_end() {
    let server = FaultServer::start();
    let bed = Bed::new();
    let preference = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");
    let with_sink = apm(&server, "signals = [\"metrics\"]\nmetrics_interval = \"1h\"");
    bed.configure(&with_sink);
    let daemon = bed.start_with(bed.command("hookring").envs([preference]));
    let sum = || event_counts(&server, "prompt.submit", DELTA).iter().map(|it| it.1).sum::<f64>();
    emit_prompts(&bed, 3);
    bed.wait_for_events(3);
    wait_until_delivered(&bed);
    bed.configure("");
    assert!(bed.hookring(&["reload"]).status.success());
    wait_for("three prompts", || (sum() == 3.0).then_some(()));
    bed.configure(&with_sink);
    assert!(bed.hookring(&["reload"]).status.success());
    emit_prompts(&bed, 2);
    bed.wait_for_events(5);
    wait_until_delivered(&bed);
    assert_eq!(daemon.stop(), 0);
    assert_eq!((sum(), server.requests()), (5.0, 2));
}

#[test]
fn a_receiver_that_takes_no_metrics_has_all_events() {
    let server = FaultServer::start();
    server.set_rule(|request| match request.line.ends_with("/v1/metrics") {
        true => Reply::with(404, &[], "there is no such thing"),
        false => Reply::ok(),
    });
    let bed = Bed::new();
    bed.configure(&apm(&server, "metrics_interval = \"1s\""));
    let daemon = bed.start();
    let failed = |bed: &Bed, least: u64| {
        wait_for("metrics to fail", || {
            let sink = bed.status()["sinks"][0].clone();
            let failed = sink["counts"]["failed_metric_requests"].as_u64()?;
            (failed >= least).then_some(sink)
        })
    };
    let sink = failed(&bed, 1);
    assert!(sink["last_error"].as_str().is_some_and(|it| it.contains("metrics")), "{sink}");
    for payload in session() {
        bed.emit_with(&["--agent", "claude-code"], payload.as_bytes());
    }
    wait_until_delivered(&bed);
    wait_for("every record", || (logs(&server).len() >= session().len()).then_some(()));
    let before = sink["counts"]["failed_metric_requests"].as_u64().expect("a count");
    let sink = failed(&bed, before + 2);
    assert_eq!((&sink["state"], &sink["retries"]), (&"running".into(), &0.into()), "{sink}");
    assert_eq!(daemon.stop(), 0);
}
