//! What is written for every shape of event and payload.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::event;

/// The event's fields as JSON, and what `write_to` said.
fn fields_and(event: &Event<'_>) -> (Value, Written) {
    let mut out = b"{".to_vec();
    let written = event.write_to(&mut out);
    out.push(b'}');
    assert!(!out.contains(&b'\n'), "an event is one line");
    (serde_json::from_slice(&out).unwrap(), written)
}

fn fields(event: &Event<'_>) -> Value {
    fields_and(event).0
}

fn line_of(payload: &[u8]) -> Value {
    fields(&event(payload))
}

#[test]
fn all_fields_in_their_order() {
    let event = Event {
        id: *uuid::Uuid::parse_str("67e55044-10b1-426f-9247-bb680e5fe0c8").unwrap().as_bytes(),
        timestamp_ns: 1_700_000_000_123_456_789,
        monotonic_ns: Some(u64::MAX),
        agent: Some("claude \"code\""),
        event: Some("Stop"),
        session_id: Some("s"),
        working_directory: Some(b"/tmp/\xc3\xa4"),
        pid: 1,
        elapsed_us: 2,
        arguments: &[b"--flag", b"", b"\n"],
        truncated: true,
        payload: Payload::Raw(b" { \"a\" : 1.0 } "),
    };
    let mut out = Vec::new();
    assert_eq!(event.write_to(&mut out), Written::default());
    let expected = concat!(
        r#""version":1,"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","#,
        r#""timestamp":"2023-11-14T22:13:20.123456789Z","monotonic_ns":18446744073709551615,"#,
        r#""source":{"agent":"claude \"code\""},"process":{"pid":1,"elapsed_us":2},"#,
        r#""arguments":["--flag","","\n"],"truncated":true,"payload":{"a":1.0},"#,
        r#""event":"Stop","session_id":"s","working_directory":"/tmp/ä""#,
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut out = Vec::new();
    Event { monotonic_ns: None, ..event(b"1") }.write_to(&mut out);
    let text = String::from_utf8(out).unwrap();
    let absent = ["source", "arguments", "truncated", "event", "session_id", "working_directory"];
    let absent = absent.into_iter().chain(["monotonic_ns"]);
    for name in absent.chain(["payload_text", "payload_base64", "parse_error"]) {
        assert!(!text.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn names_are_tried_in_order_and_only_at_the_top() {
    let found = |payload: Value| {
        let line = line_of(payload.to_string().as_bytes());
        ["event", "session_id", "working_directory"].map(|name| line[name].clone())
    };
    for name in ["hook_event_name", "hookEventName", "agent_action_name", "hookName", "type"] {
        assert_eq!(found(json!({ name: "E" })), [json!("E"), Value::Null, Value::Null]);
    }
    let session = ["session_id", "sessionId", "sessionID", "conversation_id", "conversationId"];
    let others = ["trajectory_id", "taskId", "thread-id", "thread_id"];
    for name in session.into_iter().chain(others) {
        assert_eq!(found(json!({ name: "S" })), [Value::Null, json!("S"), Value::Null]);
    }
    for payload in [
        json!({ "cwd": "/d" }),
        json!({ "workspace_roots": ["/d", "/e"] }),
        json!({ "workspaceRoots": ["/d"] }),
        // One that cannot serve gives way to the next name.
        json!({ "cwd": "", "workspaceRoots": ["/d"], "workspace_roots": [] }),
        json!({ "cwd": null, "workspaceRoots": ["/e"], "workspace_roots": ["/d"] }),
        json!({ "cwd": ["/d", 7], "workspace_roots": [{"a": "/e"}] }),
    ] {
        assert_eq!(found(payload), [Value::Null, Value::Null, json!("/d")]);
    }
    let both = json!({ "type": "no", "hookName": "yes", "thread_id": "no", "session_id": "yes" });
    assert_eq!(found(both), [json!("yes"), json!("yes"), Value::Null]);
    let nested = json!({ "a": { "cwd": "/d", "type": "E", "session_id": "S" } });
    assert_eq!(found(nested), [Value::Null, Value::Null, Value::Null]);
    assert_eq!(line_of(br#"{"type":"first","type":"last \" \u00e4"}"#)["event"], "last \" ä");
}

#[test]
fn names_are_the_callers_and_the_directory_is_the_payloads() {
    let payload = br#"{"hook_event_name":"E","session_id":"S","cwd":"/d"}"#;
    let mut known = event(payload);
    (known.event, known.session_id) = (Some("e"), Some("s"));
    known.working_directory = Some(b"/known");
    let line = fields(&known);
    assert_eq!([&line["event"], &line["session_id"], &line["working_directory"]], ["e", "s", "/d"]);
    assert_eq!(line["payload"]["session_id"], "S");
    known.payload = Payload::Raw(b"{}");
    assert_eq!(fields(&known)["working_directory"], "/known");
}

#[test]
fn a_lone_surrogate_stays_in_the_payload_only() {
    for lone in [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud83d\u0041", r"\\\ud800", r"x\uDFFFx"] {
        let payload = format!(r#"{{"session_id":"{lone}","cwd":"\ud83d\ude00\\ud800"}}"#);
        let mut out = b"{".to_vec();
        assert_eq!(event(payload.as_bytes()).write_to(&mut out), Written::default());
        let text = String::from_utf8(out).unwrap() + "}";
        assert!(text.contains(&payload), "{text}");
        assert_eq!(text.matches("\"session_id\"").count(), 1, "{text}");
        assert!(text.ends_with(r#","working_directory":"\ud83d\ude00\\ud800"}"#), "{text}");
    }
}

#[test]
fn what_is_not_json_is_kept_beside_the_reason() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for (payload, reason) in [
        ("   ", "nothing but whitespace at byte 3"),
        ("hello\n\"world\" \\ \u{1}\u{7f} ä", "unexpected character at byte 0"),
        ("\0\0", "unexpected character at byte 0"),
        ("{\"a\":\"cut of", "unexpected end of input at byte 12"),
        ("{} {}", "trailing characters at byte 3"),
        (&deep, "more than 128 levels at byte 128"),
    ] {
        let (line, written) = fields_and(&event(payload.as_bytes()));
        assert_eq!(line["payload_text"], payload);
        assert_eq!(line["parse_error"], reason);
        assert_eq!(written.not_json.unwrap().to_string(), reason);
        assert_eq!((line.get("payload"), line.get("payload_base64")), (None, None));
    }
}

#[test]
fn nothing_is_no_payload() {
    let mut truncated = event(b"");
    truncated.truncated = true;
    for (event, members) in [(event(b""), 5), (truncated, 6)] {
        let (line, written) = fields_and(&event);
        assert_eq!(written, Written::default());
        // `version`, `id`, `timestamp`, `monotonic_ns`, `process`, and `truncated`.
        assert_eq!(line.as_object().unwrap().len(), members, "{line}");
    }
}

#[test]
fn text_of_gits_hooks_never_claimed_to_be_json() {
    for (payload, member, kept) in [
        (&b"refs/heads/main 1234 refs/heads/main 5678\n"[..], "payload_text", None),
        (b"refs/heads/\xe4", "payload_base64", Some(BASE64.encode(b"refs/heads/\xe4"))),
    ] {
        let mut event = event(payload);
        event.agent = Some("git");
        let (line, written) = fields_and(&event);
        let kept = kept.unwrap_or_else(|| text(payload).to_owned());
        assert_eq!((&line[member], written), (&Value::from(kept), Written::default()));
        assert_eq!((line.get("parse_error"), line.get("payload")), (None, None));
    }
    let mut json = event(b"{\"type\":\"E\"}");
    json.agent = Some("git");
    assert_eq!(fields(&json)["event"], "E", "whoever hands over JSON has it as JSON");
}

#[test]
fn what_is_not_utf8_is_kept_as_base64() {
    for payload in [&b"\xff"[..], b"{\"a\":\"\xff\"}", b"\xed\xa0\x80", b"ab\xc3", b"a\0\xfe"] {
        let line = line_of(payload);
        let bytes = BASE64.decode(line["payload_base64"].as_str().unwrap()).unwrap();
        assert_eq!(bytes, payload);
        assert!(line["parse_error"].as_str().unwrap().starts_with("invalid UTF-8 at byte "));
        assert_eq!((line.get("payload"), line.get("payload_text")), (None, None));
    }
    let mut latin1 = event(b"{}");
    latin1.working_directory = Some(b"/tmp/\xe4");
    latin1.arguments = &[b"plain", b"\xe4"];
    let line = fields(&latin1);
    assert_eq!(line["working_directory_base64"], BASE64.encode(b"/tmp/\xe4"));
    assert_eq!(line["arguments_base64"], json!([BASE64.encode("plain"), BASE64.encode(b"\xe4")]));
    assert_eq!((line.get("working_directory"), line.get("arguments")), (None, None));
}

#[test]
fn a_large_payload_is_whole() {
    let text = "ä\\n".repeat(5 << 20);
    let payload = format!("{{\"cwd\":\"/d\", \"a\":\"{text}\"}}");
    let mut out = b"{".to_vec();
    assert_eq!(event(payload.as_bytes()).write_to(&mut out), Written::default());
    let expected = payload.replace("\", \"", "\",\"");
    assert!(memchr::memmem::find(&out, expected.as_bytes()).is_some());
    assert!(out.ends_with(b",\"working_directory\":\"/d\""));
}

#[test]
fn what_is_beyond_a_limit_is_cut_and_counted() {
    // The limit falls into the middle of a character.
    let long = "x".to_owned() + &"ä".repeat(MAX_PAYLOAD_BYTES / 2);
    let (line, written) = fields_and(&event(long.as_bytes()));
    assert_eq!(written.cut_bytes, 1);
    assert_eq!(line["truncated"], true);
    assert_eq!(line["payload_text"].as_str().unwrap(), &long[..MAX_PAYLOAD_BYTES - 1]);
    drop(line);

    let name = "ä".repeat(MAX_FIELD_BYTES);
    let argument = vec![b'a'; MAX_ARGUMENTS_BYTES - 10];
    let mut wordy = event(b"{}");
    (wordy.agent, wordy.working_directory) = (Some(name.as_str()), Some(name.as_bytes()));
    let arguments = [&argument[..], b"1234", b"5"];
    wordy.arguments = &arguments;
    let (line, written) = fields_and(&wordy);
    assert_eq!(line["source"]["agent"].as_str().unwrap().len(), MAX_FIELD_BYTES);
    assert_eq!(line["working_directory"].as_str().unwrap().len(), MAX_FIELD_BYTES);
    assert_eq!(line["arguments"].as_array().unwrap().len(), 2);
    assert_eq!(line["truncated"], true);
    assert_eq!(written.cut_bytes, 2 * MAX_FIELD_BYTES as u64 + 1);

    let session = "s".repeat(MAX_FIELD_BYTES + 1);
    let line = line_of(json!({ "session_id": session }).to_string().as_bytes());
    assert_eq!(line.get("session_id"), None);
    assert_eq!(line["payload"]["session_id"], session);
}

#[test]
fn a_payload_is_not_shown_in_logs() {
    assert!(format!("{:?}", event(b"secret")).contains("Payload(6 bytes)"));
}

proptest! {
    #[test]
    fn any_bytes_become_one_event_that_gives_them_back(
        payload in prop::collection::vec(any::<u8>(), 0..100),
        agent: Option<String>, session: Option<String>, directory: Option<Vec<u8>>,
        arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4),
    ) {
        let mut event = event(&payload);
        (event.agent, event.session_id) = (agent.as_deref(), session.as_deref());
        event.working_directory = directory.as_deref();
        let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
        event.arguments = &arguments;
        let (line, written) = fields_and(&event);
        if let Some(text) = line["payload_text"].as_str() {
            prop_assert_eq!(text.as_bytes(), &payload);
        } else if let Some(text) = line["payload_base64"].as_str() {
            prop_assert_eq!(BASE64.decode(text).unwrap(), payload);
        } else if payload.is_empty() {
            prop_assert_eq!(line.get("payload"), None);
        } else {
            prop_assert_eq!(&line["payload"], &serde_json::from_slice::<Value>(&payload).unwrap());
        }
        prop_assert_eq!(written.not_json.is_some(), line.get("parse_error").is_some());
        prop_assert_eq!(line["source"]["agent"].as_str(), agent.as_deref());
        if session.is_some() {
            prop_assert_eq!(line["session_id"].as_str(), session.as_deref());
        }
    }
}

/// The payloads of the recorded session, and those that real agents wrote if that folder is beside the
/// project.
#[test]
fn real_payloads_keep_every_token() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/payloads");
    let session = concat!(env!("CARGO_MANIFEST_DIR"), "/../daemon/demo/session.jsonl");
    let mut files = vec![std::path::PathBuf::from(session)];
    if let Ok(entries) = std::fs::read_dir(beside) {
        files.extend(entries.map(|entry| entry.unwrap().path()));
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    }
    let mut count = 0;
    for file in files {
        let content = std::fs::read(&file).unwrap();
        for payload in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut out = b"{".to_vec();
            let written = event(payload).write_to(&mut out);
            out.push(b'}');
            let line: Line<'_> = serde_json::from_slice(&out).unwrap();
            match (line.payload, line.payload_text) {
                (Some(kept), None) => assert_eq!(tokens(kept.get()), tokens(text(payload))),
                (None, Some(kept)) => assert_eq!(kept.as_bytes(), payload),
                _ => panic!("{}: neither or both", file.display()),
            }
            assert_eq!(written.not_json.is_some(), line.parse_error.is_some());
            count += 1;
        }
    }
    assert!(count > 0);
    eprintln!("{count} payloads");
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    payload: Option<&'a serde_json::value::RawValue>,
    payload_text: Option<String>,
    parse_error: Option<String>,
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A JSON text without the whitespace outside of its strings.
fn tokens(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let kept = text.chars().filter(|&character| {
        let keep = inside || !" \t\r\n".contains(character);
        if character == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && character == '\\' && !escaped;
        keep
    });
    kept.collect()
}
