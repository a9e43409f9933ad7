//! What is written for every shape of record, payload and name; and that each line is what
//! [`Fields`] documents.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hookring_journal::{Event as JournalEvent, Fields};
use proptest::prelude::*;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::*;
use crate::received::{MAX_ARGUMENTS_BYTES, MAX_NAME_BYTES, MAX_PAYLOAD_BYTES};

mod payloads;
mod secrets;

/// The longest text of a payload that an event has as its own, too.
const MAX_FIELD_BYTES: usize = 4096;

fn pipeline() -> Pipeline {
    Pipeline::new(Options { host: "a \"host\"".to_owned(), ..Options::plain() })
}

/// A record with everything left out that can be.
fn received(payload: &[u8]) -> Received<'_> {
    Received {
        id: [7; 16],
        timestamp_ns: 1_794_000_000_000_000_000,
        monotonic_ns: Some(5),
        agent: None,
        event: None,
        directory: None,
        pid: 42,
        elapsed_us: 3,
        arguments: &[],
        truncated: false,
        payload,
    }
}

/// The record's line as sinks send it, and what `write` said.
fn line_and(pipeline: &mut Pipeline, received: &Received<'_>) -> (String, Written) {
    let mut members = Vec::new();
    let written = pipeline.write(received, &mut members);
    let Received { id, timestamp_ns, .. } = *received;
    let mut line = br#"{"seq":1,"from":"daemon","#.to_vec();
    JournalEvent { id, timestamp_ns, members: &members }.write_to(&mut line);
    line.push(b'}');
    assert!(!line.contains(&b'\n'), "an event is one line");
    let line = String::from_utf8(line).unwrap();
    is_as_documented(&line);
    (line, written)
}

/// It has no other members than [`Fields`], these in the same order, and with the same in them.
fn is_as_documented(line: &str) {
    let fields: Fields<'_> = serde_json::from_str(line).unwrap();
    let again = serde_json::to_string(&fields).unwrap();
    assert_eq!(members(line), members(&again));
}

/// The names of a line's members, in their order, and what they are.
fn members(line: &str) -> Vec<(String, String)> {
    let Members(members) = serde_json::from_str(line).unwrap();
    // Escapes may be written in several ways. What a reader refuses (half a surrogate pair, a number
    // that is too large, too many levels) is only there in what was taken over as it is.
    let plain = |raw: &RawValue| match serde_json::from_str::<Json>(raw.get()) {
        Ok(value) => value.to_string(),
        Err(_) => raw.get().to_owned(),
    };
    members.into_iter().map(|(name, raw)| (name, plain(raw))).collect()
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> serde::Deserialize<'a> for Members<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(Vec::new()))
    }
}

impl<'a> Visitor<'a> for Members<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Members<'a>, A::Error> {
        while let Some(member) = map.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}

/// By a pipeline that remembers nothing. To make one takes much longer than to run one.
fn fields_and(received: &Received<'_>) -> (Json, Written) {
    thread_local! {
        static PIPELINE: RefCell<Pipeline> = RefCell::new(pipeline());
    }
    let (line, written) = PIPELINE.with_borrow_mut(|pipeline| {
        pipeline.forget();
        line_and(pipeline, received)
    });
    (serde_json::from_str(&line).unwrap(), written)
}

fn fields(received: &Received<'_>) -> Json {
    fields_and(received).0
}

fn line_of(payload: &[u8]) -> Json {
    fields(&received(payload))
}

#[test]
fn all_members_in_their_order() {
    let mut pipeline = pipeline();
    let before = br#"{"session_id":"s","agent_id":"a","hook_event_name":"PreToolUse","tool_name":"Write","tool_use_id":"t","tool_input":{"file_path":"/f"}}"#;
    let before = Received { monotonic_ns: Some(u64::MAX - 1_500_000_000), ..received(before) };
    line_and(&mut pipeline, &before);
    let payload = br#" { "session_id":"s", "agent_id":"a", "agent_type":"general", "prompt_id":"p", "cwd":"/tmp/\u00e4",
        "permission_mode":"plan", "model":"m", "hook_event_name":"PostToolUse", "tool_name":"Write", "tool_use_id":"t",
        "tool_input":{"file_path":"/f","n":1.0}, "tool_response":{"error":"no room","code":1} } "#;
    let after = Received {
        id: [8; 16],
        timestamp_ns: 1_794_000_001_500_000_000,
        monotonic_ns: Some(u64::MAX),
        agent: Some("claude-code"),
        event: Some("PostToolUse"),
        directory: Some(b"/elsewhere"),
        pid: 1,
        elapsed_us: 2,
        arguments: &[b"--flag", b"", b"\n"],
        truncated: true,
        payload,
    };
    let (line, written) = line_and(&mut pipeline, &after);
    assert_eq!(written, Written { risk: Some(Level::Medium), ..Written::default() });
    let expected = concat!(
        r#"{"seq":1,"from":"daemon","version":2,"id":"08080808-0808-0808-0808-080808080808","#,
        r#""timestamp":"2026-11-06T21:20:01.500000000Z","monotonic_ns":18446744073709551615,"#,
        r#""event_type":"tool.post","namespace":"hook","event":"PostToolUse","#,
        r#""source":{"agent":"claude-code","model":"m"},"host":"a \"host\"","#,
        r#""process":{"pid":1,"elapsed_us":2},"truncated":true,"session_id":"s","prompt_id":"p","#,
        r#""agent_id":"a","correlation_id":"t","working_directory":"/tmp/ä","#,
        r#""permission_mode":"plan","tool_name":"Write","tool_use_id":"t","#,
        r#""operation_type":"write","file_path":"/f","#,
        r#""tool_parameters":{"file_path":"/f","n":1.0},"duration_ms":1500,"exit_code":1,"#,
        r#""success":false,"output_size":28,"error_message":"no room","agent_type":"general","#,
        r#""security_risk":"medium","risk":[{"rule":"write.system","level":"medium","evidence":"/f"}],"#,
        r#""arguments":["--flag","","\n"],"payload":{"session_id":"s","agent_id":"a","#,
        r#""agent_type":"general","prompt_id":"p","cwd":"/tmp/\u00e4","permission_mode":"plan","#,
        r#""model":"m","hook_event_name":"PostToolUse","tool_name":"Write","tool_use_id":"t","#,
        r#""tool_input":{"file_path":"/f","n":1.0},"#,
        r#""tool_response":{"error":"no room","code":1}}}"#,
    );
    assert_eq!(line, expected);
}

#[test]
fn what_was_found_in_it_stands_before_the_payload() {
    let payload = json!({
        "hook_event_name": "PreToolUse",
        "session_id": {},
        "tool_name": "Bash",
        "tool_input": { "command": "sudo rm -rf /", "password": "Uk7-pqz3Lw9x" },
        "long": "a".repeat(100 << 10),
    });
    let payload = payload.to_string();
    let (line, written) = line_and(&mut pipeline(), &received(payload.as_bytes()));
    assert!(written.risk.is_some() && written.warnings == 1 && written.cut_bytes == 0);
    assert!(!line.contains("Uk7-pqz3Lw9x"), "{line}");
    let (before, _) = line.split_once(r#","payload":"#).unwrap();
    let names = ["security_risk", "risk", "redactions", "cut_bytes", "normalise_warnings"];
    let places = names.map(|name| before.find(&format!(",\"{name}\":")).expect(name));
    assert!(places.is_sorted(), "{before}");
}

#[test]
fn what_is_not_known_is_left_out() {
    let line = line_of(b"1");
    let names: Vec<_> = line.as_object().unwrap().keys().cloned().collect();
    let always = ["event_type", "from", "host", "id", "monotonic_ns", "namespace"];
    let of_this = ["normalise_warnings", "payload", "process", "seq", "timestamp", "version"];
    assert_eq!(names, [always, of_this].concat());
    assert_eq!([&line["event_type"], &line["namespace"]], ["unknown", "hook"]);
    let without_clock = fields(&Received { monotonic_ns: None, ..received(b"{}") });
    assert_eq!(without_clock.get("monotonic_ns"), None);
    assert_eq!(without_clock.get("normalise_warnings"), None);
}

#[test]
fn an_event_that_nobody_knows_keeps_its_name() {
    let (line, written) = fields_and(&Received { event: Some("Later"), ..received(b"{}") });
    assert_eq!(
        [&line["event_type"], &line["namespace"], &line["event"]],
        ["Later", "hook", "Later"]
    );
    assert_eq!(line["normalise_warnings"], json!(["the event is not known"]));
    assert_eq!(written.warnings, 1);
}

#[test]
fn names_are_tried_in_order_and_only_at_the_top() {
    // Of an agent that nobody knows: a known one has its own names only.
    let line_of = |payload: &[u8]| fields(&Received { agent: Some("other"), ..received(payload) });
    let found = |payload: Json| {
        let line = line_of(payload.to_string().as_bytes());
        ["event", "session_id", "working_directory"].map(|name| line[name].clone())
    };
    let names = ["hook_event_name", "hookEventName", "agent_action_name", "hookName"];
    for name in names.into_iter().chain(["event", "type"]) {
        assert_eq!(found(json!({ name: "E" })), [json!("E"), Json::Null, Json::Null]);
    }
    let session = ["session_id", "sessionId", "sessionID", "conversation_id", "conversationId"];
    let others = ["trajectory_id", "taskId", "thread-id", "thread_id"];
    for name in session.into_iter().chain(others) {
        assert_eq!(found(json!({ name: "S" })), [Json::Null, json!("S"), Json::Null]);
    }
    for payload in [
        json!({ "cwd": "/d" }),
        json!({ "workspace_roots": ["/d", "/e"] }),
        json!({ "workspaceRoots": ["/d"] }),
        // One that says nothing gives way to the next name.
        json!({ "cwd": "", "workspaceRoots": ["/d"], "workspace_roots": [] }),
        json!({ "workspaceRoots": ["/d"], "workspace_roots": [], "cwd": "" }),
        json!({ "cwd": null, "workspaceRoots": ["/e"], "workspace_roots": ["/d"] }),
        json!({ "cwd": ["/d", 7], "workspace_roots": [{"a": "/e"}] }),
    ] {
        assert_eq!(found(payload.clone()), [Json::Null, Json::Null, json!("/d")], "{payload}");
    }
    let both = json!({ "type": "no", "hookName": "yes", "thread_id": "no", "session_id": "yes" });
    assert_eq!(found(both), [json!("yes"), json!("yes"), Json::Null]);
    let nested = json!({ "a": { "cwd": "/d", "type": "E", "session_id": "S" } });
    assert_eq!(found(nested), [Json::Null, Json::Null, Json::Null]);
    assert_eq!(line_of(br#"{"type":"first","type":"last \" \u00e4"}"#)["event"], "last \" ä");
}

#[test]
fn names_are_the_callers_and_the_directory_is_the_payloads() {
    let payload = br#"{"hook_event_name":"E","session_id":"S","cwd":"/d"}"#;
    let mut known = received(payload);
    (known.agent, known.event) = (Some("a"), Some("e"));
    known.directory = Some(b"/known");
    let line = fields(&known);
    assert_eq!([&line["event"], &line["session_id"], &line["working_directory"]], ["e", "S", "/d"]);
    assert_eq!(line["source"], json!({"agent": "a"}));
    assert_eq!(line["payload"]["hook_event_name"], "E");
    known.payload = b"{}";
    assert_eq!(fields(&known)["working_directory"], "/known");
}

#[test]
fn nothing_is_no_payload() {
    let mut truncated = received(b"");
    truncated.truncated = true;
    for (record, members) in [(received(b""), 10), (truncated, 11)] {
        let (line, written) = fields_and(&record);
        assert_eq!(written, Written::default());
        // `seq`, `from`, `version`, `id`, `timestamp`, `monotonic_ns`, `event_type`, `namespace`,
        // `host`, `process`, and `truncated`.
        assert_eq!(line.as_object().unwrap().len(), members, "{line}");
    }
}

#[test]
fn what_is_beyond_a_limit_is_cut_and_counted() {
    // Digits, however many, are JSON.
    let long = "1".repeat(MAX_PAYLOAD_BYTES + 1);
    let mut members = Vec::new();
    let written = pipeline().write(&received(long.as_bytes()), &mut members);
    assert_eq!((written.cut_bytes, written.not_json), (1, None));
    let payload = [b",\"payload\":", &long.as_bytes()[..MAX_PAYLOAD_BYTES]].concat();
    assert!(members.ends_with(&payload));
    let start = String::from_utf8_lossy(&members[..members.len() - payload.len()]);
    assert!(start.contains(r#","truncated":true"#), "{start}");

    let name = "ä".repeat(MAX_NAME_BYTES);
    let argument = vec![b'a'; MAX_ARGUMENTS_BYTES - 10];
    let mut wordy = received(b"{}");
    (wordy.agent, wordy.directory) = (Some(name.as_str()), Some(name.as_bytes()));
    let arguments = [&argument[..], b"1234", b"5"];
    wordy.arguments = &arguments;
    let (line, written) = fields_and(&wordy);
    assert_eq!(line["source"]["agent"].as_str().unwrap().len(), MAX_NAME_BYTES);
    assert_eq!(line["working_directory"].as_str().unwrap().len(), MAX_NAME_BYTES);
    assert_eq!(line["arguments"].as_array().unwrap().len(), 2);
    assert_eq!(line["truncated"], true);
    assert_eq!(written.cut_bytes, 2 * MAX_NAME_BYTES as u64 + 1);

    for (bytes, is_there) in [(MAX_FIELD_BYTES, true), (MAX_FIELD_BYTES + 1, false)] {
        let session = "s".repeat(bytes);
        let line = line_of(json!({ "session_id": session }).to_string().as_bytes());
        assert_eq!(line.get("session_id").is_some(), is_there);
        assert_eq!(line["payload"]["session_id"], session);

        let path = "p".repeat(bytes);
        let call = json!({ "hook_event_name": "PreToolUse", "tool_input": { "file_path": path } });
        let line = line_of(call.to_string().as_bytes());
        assert_eq!(line["event_type"], "tool.pre");
        assert_eq!(line.get("file_path").is_some(), is_there);
        assert_eq!(line["payload"]["tool_input"]["file_path"], path);
    }
}

#[test]
fn what_was_told_before_is_told_to_be_so() {
    let mut pipeline = pipeline();
    let payload = br#"{"hook_event_name":"PreToolUse","session_id":"s","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"ls"}}"#;
    let (_, first) = line_and(&mut pipeline, &received(payload));
    assert!(!first.is_duplicate);
    let again = Received { id: [9; 16], ..received(payload) };
    let (line, second) = line_and(&mut pipeline, &again);
    assert!(
        second.is_duplicate
            && line.contains(r#","duplicate_of":"07070707-0707-0707-0707-070707070707""#)
    );
}

/// Events of one agent, 100 ms apart, and which of them is a duplicate of which.
fn duplicates(agent: &'static str, payloads: &[&str]) -> Vec<Option<usize>> {
    let mut pipeline = pipeline();
    let duplicate = |(at, payload): (usize, &&str)| {
        let (id, agent) = ([at as u8; 16], Some(agent));
        let timestamp_ns = at as i64 * 100_000_000;
        let record = received(payload.as_bytes());
        let (line, _) = line_and(&mut pipeline, &Received { id, agent, timestamp_ns, ..record });
        let event: Json = serde_json::from_str(&line).unwrap();
        let digits = event["duplicate_of"].as_str()?.get(..2)?;
        usize::from_str_radix(digits, 16).ok()
    };
    payloads.iter().enumerate().map(duplicate).collect()
}

#[test]
fn what_comes_between_tells_that_it_is_no_duplicate() {
    let kiro = |event: &str| {
        format!(
            r#"{{"hook_event_name":"{event}","cwd":"/d","tool_name":"execute_bash","tool_input":{{"command":"ls"}}}}"#
        )
    };
    let (pre, post) = (&*kiro("preToolUse"), &*kiro("postToolUse"));
    assert_eq!(duplicates("kiro", &[pre, post, pre, post]), [None; 4]);
    assert_eq!(
        duplicates("kiro", &[pre, pre, post, post, pre]),
        [None, Some(0), None, Some(2), None]
    );
    let prompt = r#"{"hook_event_name":"userPromptSubmit","cwd":"/d","prompt":"continue"}"#;
    let stop = r#"{"hook_event_name":"stop","cwd":"/d"}"#;
    assert_eq!(duplicates("kiro", &[prompt, stop, prompt, stop]), [None; 4]);
    assert_eq!(duplicates("kiro", &[prompt, prompt, stop, stop]), [None, Some(0), None, Some(2)]);
    // A call that was never told to end ended with its turn.
    assert_eq!(
        duplicates("kiro", &[prompt, pre, stop, prompt, pre, pre]),
        [None, None, None, None, None, Some(4)]
    );
}

#[test]
fn what_cursor_tells_twice_is_told_to_be_so_time_and_again() {
    let generic = |event: &str| {
        format!(
            r#"{{"conversation_id":"c","hook_event_name":"{event}","tool_name":"Shell","tool_input":{{"command":"ls"}}}}"#
        )
    };
    let specific = |event: &str| {
        format!(r#"{{"conversation_id":"c","hook_event_name":"{event}","command":"ls"}}"#)
    };
    let once = [
        generic("preToolUse"),
        specific("beforeShellExecution"),
        specific("afterShellExecution"),
        generic("postToolUse"),
    ];
    let twice: Vec<_> = [&once, &once].into_iter().flatten().map(|payload| &**payload).collect();
    let found = [None, Some(0), None, Some(2), None, Some(4), None, Some(6)];
    assert_eq!(duplicates("cursor", &twice), found);
    let specific: Vec<_> = [&once[1..3], &once[1..3]].concat();
    let specific: Vec<_> = specific.iter().map(|payload| &**payload).collect();
    assert_eq!(duplicates("cursor", &specific), [None; 4]);
}

#[test]
fn a_call_with_another_id_is_another_however_much_it_looks_the_same() {
    let call = |event: &str, id: &str| {
        format!(
            r#"{{"session_id":"s","hook_event_name":"{event}","tool_name":"Bash","tool_use_id":"{id}","tool_input":{{"command":"ls"}}}}"#
        )
    };
    let mut pipeline = pipeline();
    let mut at = |seconds: i64, payload: String| {
        let timestamp_ns = seconds * 1_000_000_000;
        let monotonic_ns = Some(timestamp_ns as u64);
        let record = received(payload.as_bytes());
        let (line, _) = line_and(&mut pipeline, &Received { timestamp_ns, monotonic_ns, ..record });
        serde_json::from_str::<Json>(&line).unwrap()["duration_ms"].as_u64()
    };
    assert_eq!(at(1, call("PreToolUse", "p1")), None);
    assert_eq!(at(4, call("PostToolUse", "nn")), None);
    assert_eq!(at(6, call("PostToolUse", "p1")), Some(5000));
}

#[test]
fn what_users_say_is_a_prompt_wherever_it_stands() {
    let keep = Keep { prompts: false, tool_output: true };
    let mut pipeline = Pipeline::new(Options { keep, ..Options::plain() });
    let call = |tool: &str, input: Json| json!({"hook_event_name": "PreToolUse", "session_id": "s", "tool_name": tool, "tool_input": input});
    for payload in [
        call("AskUserQuestion", json!({"questions": ["said"], "answers": {"said": "said"}})),
        call("SendMessage", json!({"to": "kept", "content": "said"})),
        call("SendMessage", json!({"to": "kept", "message": {"said": 1}})),
        call("TaskCreate", json!({"subject": "said", "description": "said"})),
        call("Skill", json!({"skill": "kept", "args": "said"})),
        json!({"hook_event_name": "PostToolUse", "tool_name": "AskUserQuestion", "session_id": "s",
            "tool_input": {}, "tool_response": {"answers": {"a": "said"}}}),
        json!({"hook_event_name": "ElicitationResult", "session_id": "s", "content": {"a": "said"}}),
    ] {
        let (line, _) = line_and(&mut pipeline, &received(payload.to_string().as_bytes()));
        assert!(!line.contains("said") && line.contains("[not kept: "), "{line}");
        assert_eq!(line.contains("kept\""), payload.to_string().contains("kept"), "{line}");
    }
    let write = call("Write", json!({"file_path": "/f", "content": "said", "args": "said"}));
    let (line, _) = line_and(&mut pipeline, &received(write.to_string().as_bytes()));
    assert_eq!(line.matches("said").count(), 4, "what a tool is given is kept: {line}");
}
