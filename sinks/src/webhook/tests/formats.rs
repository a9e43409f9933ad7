//! What is sent, by format; and that it is what its specification wants, whatever an event holds.

use std::io::Read as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::encode::{Request, encode};
use super::*;

fn body(request: &Received) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

#[test]
fn json_is_the_event_or_an_array_of_them() {
    let server = FaultServer::start();
    let mut journal = TestJournal::new();
    journal.write_many(3);
    assert_eq!(name(&sink(config(&server)).deliver(&journal.batch(2, 1))), "accepted");
    let batches = WebhookConfig { batches: true, ..config(&server) };
    assert_eq!(name(&sink(batches.clone()).deliver(&journal.batch(1, 3))), "accepted");
    assert_eq!(name(&sink(batches).deliver(&journal.batch(3, 1))), "accepted");
    let [one, three, array_of_one] = &server.received()[..] else { panic!("three requests") };
    assert_eq!(
        (one.line.as_str(), one.header("content-type")),
        ("POST /events", Some("application/json"))
    );
    assert_eq!(one.header("user-agent"), Some(concat!("hookring/", env!("CARGO_PKG_VERSION"))));
    assert_eq!((&body(one)["seq"], &body(one)["payload"]["text"]), (&json!(2), &json!("event 2")));
    let seqs: Vec<_> =
        body(three).as_array().expect("an array").iter().map(|it| it["seq"].clone()).collect();
    assert_eq!(seqs, [1, 2, 3]);
    assert_eq!(body(array_of_one).as_array().map(Vec::len), Some(1));
}

#[test]
fn standard_webhooks_are_signed_with_both_keys_anew_at_each_attempt() {
    let server = FaultServer::start();
    let keys = vec![text(KEY), text("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")];
    let config = WebhookConfig { format: Format::StandardWebhooks, keys, ..config(&server) };
    let mut journal = TestJournal::new();
    journal.write_many(2);
    let mut sink = sink(config.clone());
    server.next([Reply::status(500)]);
    for _ in 0..2 {
        let _ = sink.deliver(&journal.batch(1, 1));
    }
    let later = || clock() + Duration::from_secs(60);
    let mut sink = WebhookSink::with_clock(config, Reloads::default(), later);
    let _ = sink.deliver(&journal.batch(1, 1));
    let requests = server.received();
    let verify = |request: &Received| {
        let header = |name| request.header(name).expect("a header");
        let seconds = header("webhook-timestamp").parse().expect("seconds");
        let signature = header("webhook-signature");
        for (part, key) in signature.split(' ').zip([KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]) {
            let key = sign::Keys::parse([key]).expect("a key");
            assert_eq!(part, key.sign(header("webhook-id"), seconds, &request.body));
        }
        (header("webhook-id").to_owned(), seconds, signature.to_owned())
    };
    let [first, second, third] = [&requests[0], &requests[1], &requests[2]].map(verify);
    assert_eq!(first, second);
    assert_eq!((&third.0, third.1), (&first.0, first.1 + 60));
    assert_ne!(third.2, first.2);
    assert_eq!(first.0, body(&requests[0])["data"]["id"]);
    let sent = body(&requests[0]);
    assert_eq!(sent["timestamp"], sent["data"]["timestamp"]);
}

#[test]
fn a_batch_has_an_id_of_its_own_that_stays() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let id = |from, events| {
        let batch = journal.batch(from, events);
        encode(Format::StandardWebhooks, &batch, false, false, Vec::new()).expect("a request").id
    };
    assert_eq!(id(1, 3), id(1, 3));
    let ids = [id(1, 1), id(1, 2), id(1, 3), id(2, 2)];
    assert!((1..4).all(|at| !ids[..at].contains(&ids[at])), "{ids:?}");
}

#[test]
fn cloud_events_are_structured_batched_or_binary() {
    let server = FaultServer::start();
    let mut journal = TestJournal::new();
    journal.write_many(2);
    let format = |format, batches| WebhookConfig { format, batches, ..config(&server) };
    for config in [
        format(Format::CloudEvents, false),
        format(Format::CloudEvents, true),
        format(Format::CloudEventsBinary, false),
    ] {
        let events = if config.batches { 2 } else { 1 };
        assert_eq!(name(&sink(config).deliver(&journal.batch(1, events))), "accepted");
    }
    let [one, batch, binary] = &server.received()[..] else { panic!("three requests") };
    assert_eq!(one.header("content-type"), Some("application/cloudevents+json"));
    let event = body(one);
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["id"], event["data"]["id"]);
    assert_eq!(event["time"], event["data"]["timestamp"]);
    assert!(event["source"].as_str().is_some_and(|it| it.starts_with("/hookring/")));
    assert!(event["type"].as_str().is_some_and(|it| it.starts_with("dev.hookring.")));
    assert_eq!(batch.header("content-type"), Some("application/cloudevents-batch+json"));
    assert_eq!((&body(batch)[0], body(batch).as_array().map(Vec::len)), (&event, Some(2)));
    assert_eq!(
        (body(binary), binary.header("content-type")),
        (event["data"].clone(), Some("application/json"))
    );
    for name in ["id", "source", "type", "time", "specversion"] {
        assert_eq!(binary.header(&format!("ce-{name}")), event[name].as_str(), "{name}");
    }
}

#[test]
fn a_replay_says_that_it_is_one() {
    let server = FaultServer::start();
    let mut journal = TestJournal::new();
    journal.write_many(1);
    for format in [Format::Json, Format::CloudEvents, Format::CloudEventsBinary] {
        let mut sink = sink(WebhookConfig { format, ..config(&server) });
        assert_eq!(name(&sink.deliver(&journal.batch(1, 1))), "accepted");
        assert_eq!(name(&sink.replay(&journal.batch(1, 1))), "accepted");
    }
    for pair in server.received().chunks(2) {
        assert_eq!(pair.each_marked(), [None, Some("true".to_owned())]);
    }
    let requests = server.received();
    assert_eq!(
        (&body(&requests[2])["replay"], &body(&requests[3])["replay"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(
        (requests[4].header("ce-replay"), requests[5].header("ce-replay")),
        (None, Some("true"))
    );
}

trait Marked {
    fn each_marked(&self) -> Vec<Option<String>>;
}

impl Marked for [Received] {
    fn each_marked(&self) -> Vec<Option<String>> {
        self.iter().map(|it| it.header("hookring-replay").map(str::to_owned)).collect()
    }
}

#[test]
fn slack_gets_lines_that_mean_nothing_else_and_are_not_too_many() {
    let line = |members: &str| format!("{{\"text\":{members}}}");
    let mut journal = TestJournal::new();
    journal.write([line("\"<!channel> & `x`\"")]);
    let message = |journal: &TestJournal, events| {
        let batch = journal.batch(1, events);
        let request = encode(Format::Slack, &batch, false, false, Vec::new()).expect("a request");
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        body["text"].as_str().expect("a text").to_owned()
    };
    let one = message(&journal, 1);
    assert!(one.starts_with('*') && !one.contains(['<', '>', '\n']), "{one}");
    journal.write_many(9999);
    let many = message(&journal, 10_000);
    let lines = many.lines().count();
    assert!(many.len() <= 31_000 && lines > 100, "{} bytes", many.len());
    assert_eq!(many.lines().last(), Some(format!("and {} more events", 10_001 - lines).as_str()));
}

#[test]
fn slack_is_told_of_whom_the_daemon_speaks_and_how_that_is_now() {
    let silent =
        |state: &str| json!({"agent": "codex", "state": state, "events": 120, "silent_s": 266_400});
    let session =
        json!({"session_id": "3f1c", "agent": "claude-code", "events": 9, "silent_s": 3725});
    let slow = json!({"state": "slow", "p99_us": 61_234, "limit_us": 50_000, "hooks": 200});
    let sink =
        json!({"sink": "archive", "state": "off", "before": "running", "error": "410 <Gone>"});
    let mut journal = TestJournal::new();
    for (kind, payload) in [
        ("agent.silent", silent("silent")),
        ("agent.silent", silent("back")),
        ("session.silent", session),
        ("hooks.slow", slow),
        ("sink.state", sink),
        ("daemon.gap", json!({"cause": "hooks_dropped", "count": 3})),
        ("daemon.start", json!("no object")),
    ] {
        let (source, kind) = (json!({"agent": "hookring"}), json!(kind));
        let members = [("event_type", kind), ("namespace", json!("system")), ("source", source)];
        journal.write_with(&payload, &members);
    }
    let batch = journal.batch(1, 7);
    let request = encode(Format::Slack, &batch, false, false, Vec::new()).expect("a request");
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let lines: Vec<_> = body["text"].as_str().expect("a text").lines().collect();
    assert_eq!(
        lines,
        [
            "*hookring* agent.silent `codex` *silent*: sent nothing for 3d 2h",
            "*hookring* agent.silent `codex` *back*: sent nothing for 3d 2h",
            "*hookring* session.silent `claude-code` session `3f1c` *silent*: sent nothing for 1h 2m",
            "*hookring* hooks.slow *slow*: 99 of 100 took up to 61.2 ms, the limit is 50.0 ms",
            "*hookring* sink.state `archive` *off*: 410 &lt;Gone&gt;",
            "*hookring* daemon.gap *hooks_dropped* 3",
            "*hookring* daemon.start",
        ]
    );
}

#[test]
fn bodies_are_compressed_if_they_are_worth_it() {
    let server = FaultServer::start();
    let keys = vec![text(KEY)];
    let standard =
        WebhookConfig { format: Format::StandardWebhooks, keys, gzip: true, ..config(&server) };
    let mut journal = TestJournal::new();
    journal.write([format!("{{\"text\":\"{}\"}}", "long ".repeat(1000)), "{}".to_owned()]);
    let mut sink = sink(standard);
    for seq in [1, 2] {
        assert_eq!(name(&sink.deliver(&journal.batch(seq, 1))), "accepted");
    }
    let [long, short] = &server.received()[..] else { panic!("two requests") };
    assert_eq!(
        (long.header("content-encoding"), short.header("content-encoding")),
        (Some("gzip"), None)
    );
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&long.body[..]).read_to_end(&mut plain).expect("gzip");
    assert!(plain.len() > 5000 && long.body.len() < 2000);
    // What is signed is the body before it was compressed.
    let key = sign::Keys::parse([KEY]).expect("a key");
    let signature = key.sign(long.header("webhook-id").expect("an id"), 1_700_000_000, &plain);
    assert_eq!(long.header("webhook-signature"), Some(signature.as_str()));
}

/// What a header can have, by RFC 9110: visible characters, and blanks within.
fn assert_legal(request: &Request) {
    for (name, value) in &request.headers {
        let is_legal = value.bytes().all(|it| it.is_ascii_graphic()) && !value.is_empty();
        assert!(is_legal && value.len() <= 2000, "{name}: {value:?}");
    }
    assert!(request.id.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Members that an event may have, with any text in them.
    #[test]
    fn whatever_an_event_holds_its_request_is_well_formed(
        texts in prop::collection::vec(any::<String>(), 5),
        long in 0..2000_usize,
    ) {
        let [session, tool, error, path, text] = &texts[..] else { unreachable!("five texts") };
        let session = format!("{session}{}", "é".repeat(long));
        let mut journal = TestJournal::new();
        let payload = json!({ "text": text });
        let members = [("session_id", &session), ("tool_name", tool), ("error_message", error), ("file_path", path)];
        journal.write_with(&payload, &members.map(|(name, text)| (name, json!(text))));
        journal.write_many(1);
        for (format, is_single) in [
            (Format::Json, true),
            (Format::Json, false),
            (Format::StandardWebhooks, true),
            (Format::StandardWebhooks, false),
            (Format::CloudEvents, true),
            (Format::CloudEvents, false),
            (Format::CloudEventsBinary, true),
            (Format::Slack, true),
            (Format::Slack, false),
        ] {
            let batch = journal.batch(1, if is_single { 1 } else { 2 });
            let request = encode(format, &batch, is_single, true, Vec::new()).expect("a request");
            assert_legal(&request);
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let event = match (format, is_single) {
                (Format::Json | Format::CloudEventsBinary, true) => body,
                (Format::Json, false) => body[0].clone(),
                (Format::StandardWebhooks | Format::CloudEvents, true) => body["data"].clone(),
                (Format::StandardWebhooks, false) => body["data"][0].clone(),
                (Format::CloudEvents, false) => body[0]["data"].clone(),
                _ => continue,
            };
            prop_assert_eq!(&event["payload"], &payload);
            prop_assert_eq!(&event["tool_name"], tool.as_str());
        }
    }
}
