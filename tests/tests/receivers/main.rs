//! What webhooks send is read by the reference libraries: signatures are verified with those of Standard
//! Webhooks (Rust, Python, JavaScript), CloudEvents are parsed by their SDKs (Python, JavaScript), and the receiver of
//! `docs/sinks/webhook.md` works. `tests/real.sh` installs what they need.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hookring_faults::{FaultServer, Received};
use hookring_tests::{Bed, wait_for};
use serde_json::{Value, json};

const NEW_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_KEY: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const OTHER_KEY: &str = "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=";

/// Texts that a header, a URI or a line of JSON could stumble over.
const SESSIONS: [&str; 5] = ["3f1c", "with blanks", "näh \u{1f980} \"q\" 100% /?#", "a\u{1}b", ""];

/// A program with reference libraries, that reads requests.
struct Reference {
    name: &'static str,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `tests/real.sh` installed the libraries.
fn installed() -> PathBuf {
    let dir = std::env::var_os("HOOKRING_TEST_REAL_DIR");
    PathBuf::from(dir.expect("tests/real.sh installs the libraries and says where they are"))
}

fn references() -> [Reference; 2] {
    let dir = installed();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receivers");
    let start = |name, program: &Path, script: &str, folder: &Path| {
        let mut command = Command::new(program);
        command.arg(scripts.join(script)).current_dir(folder);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdin = child.stdin.take().expect("its stdin");
        let stdout = BufReader::new(child.stdout.take().expect("its stdout"));
        Reference { name, child, stdin, stdout }
    };
    [
        start("Python", &dir.join("python/bin/python3"), "reference.py", &dir),
        start("JavaScript", Path::new("node"), "reference.mjs", &dir.join("javascript")),
    ]
}

impl Reference {
    /// What it makes of a request: `read` or `refused`.
    fn answer(&mut self, kind: &str, secret: &str, request: &Received) -> Value {
        let headers: serde_json::Map<_, _> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = BASE64_STANDARD.encode(&request.body);
        let line = json!({ "kind": kind, "secret": secret, "headers": headers, "body": body });
        writeln!(self.stdin, "{line}").expect("it reads");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("it answers");
        serde_json::from_str(&answer)
            .unwrap_or_else(|_| panic!("{} broke off at {line}", self.name))
    }
}

/// Has a daemon send an event of each session to a sink with these settings. The requests, and the events as
/// they are journaled.
fn sent(settings: &str, batches: bool) -> (Vec<Received>, Vec<Value>) {
    let server = FaultServer::start();
    let bed = Bed::new();
    for (name, key) in [("new", NEW_KEY), ("old", OLD_KEY)] {
        fs::write(bed.path().join(name), key).expect("a key");
    }
    let dir = bed.path().display().to_string();
    bed.configure(&format!(
        "[sinks.hook]\ntype = \"webhook\"\nstart = \"oldest\"\nbatches = {batches}\nurl = \"{}\"\n{}\n",
        server.url("/events"),
        settings.replace("DIR", &dir)
    ));
    for session in SESSIONS {
        let payload = json!({ "session_id": session, "hook_event_name": "PreToolUse", "tool_name": "Bash",
            "tool_input": { "command": "rm -rf / # näh \"\\" } });
        bed.emit_with(&["--agent", "claude-code"], payload.to_string().as_bytes());
    }
    let daemon = bed.start();
    wait_for("the requests", || {
        let status = bed.status();
        let sink = &status["sinks"][0];
        (sink["delivered_events"] == SESSIONS.len() && sink["lag_events"] == 0).then_some(())
    });
    assert_eq!(daemon.stop(), 0);
    let mut events = bed.events();
    for event in &mut events {
        let members = event.as_object_mut().expect("an object");
        members.remove("crc");
        members.remove("from");
    }
    (server.received(), events)
}

/// The events that a message of Standard Webhooks has.
fn data(message: &Value) -> Vec<Value> {
    match &message["data"] {
        Value::Array(events) => events.clone(),
        event => vec![event.clone()],
    }
}

#[test]
fn signatures_verify_with_the_reference_libraries() {
    let keys = "format = \"standard-webhooks\"\nsecret = { file = \"DIR/new\" }\n\
                old_secret = { command = [\"cat\", \"DIR/old\"] }";
    for batches in [false, true] {
        let (requests, events) = sent(keys, batches);
        for mut reference in references() {
            for key in [NEW_KEY, OLD_KEY] {
                let read = requests.iter().map(|it| reference.answer("standard-webhooks", key, it));
                let found: Vec<_> = read.flat_map(|answer| data(&answer["read"])).collect();
                assert_eq!(found, events, "{}", reference.name);
            }
            for bad in forged(&requests[0]) {
                let answer = reference.answer("standard-webhooks", NEW_KEY, &bad);
                assert!(answer["refused"].is_string(), "{}: {answer}", reference.name);
            }
            let answer = reference.answer("standard-webhooks", OTHER_KEY, &requests[0]);
            assert!(answer["refused"].is_string(), "{}: {answer}", reference.name);
        }
        verify_in_rust(&requests);
    }
}

/// The same request with another body, id and time.
fn forged(request: &Received) -> [Received; 3] {
    let mut body = request.clone();
    body.body.push(b' ');
    let with = |name: &str, value: &str| {
        let mut forged = request.clone();
        let header = forged.headers.iter_mut().find(|(its, _)| its == name).expect("the header");
        header.1 = value.to_owned();
        forged
    };
    [body, with("webhook-id", "another"), with("webhook-timestamp", "1")]
}

fn verify_in_rust(requests: &[Received]) {
    let verify = |key: &str, request: &Received| {
        let headers = request.headers.iter().map(|(name, value)| {
            let name = name.parse::<http::HeaderName>().expect("a name");
            (name, value.parse::<http::HeaderValue>().expect("a value"))
        });
        let webhook = standardwebhooks::Webhook::new(key).expect("a key");
        webhook.verify(&request.body, &headers.collect())
    };
    for request in requests {
        for key in [NEW_KEY, OLD_KEY] {
            verify(key, request).expect("it is signed with this key");
        }
        verify(OTHER_KEY, request).expect_err("it is not signed with this key");
        for bad in forged(request) {
            verify(NEW_KEY, &bad).expect_err("it was changed");
        }
    }
}

#[test]
fn cloud_events_are_parsed_by_the_official_sdks() {
    for (format, batches) in
        [("cloudevents", false), ("cloudevents", true), ("cloudevents-binary", false)]
    {
        let (requests, events) = sent(&format!("format = \"{format}\""), batches);
        for mut reference in references() {
            let read = requests.iter().map(|it| reference.answer(format, "", it)["read"].clone());
            let found: Vec<_> =
                read.flat_map(|events| events.as_array().cloned().unwrap_or_default()).collect();
            assert_eq!(found.len(), SESSIONS.len(), "{}: {found:?}", reference.name);
            let pairs = found.iter().zip(&events).zip(SESSIONS);
            for ((cloud_event, event), session) in pairs {
                assert_is(cloud_event, event, session, reference.name);
            }
        }
    }
}

fn assert_is(cloud_event: &Value, event: &Value, session: &str, name: &str) {
    assert_eq!(&cloud_event["data"], event, "{name}");
    assert_eq!(cloud_event["id"], event["id"], "{name}");
    let kind = format!("dev.hookring.{}", event["event_type"].as_str().expect("a type"));
    assert_eq!(cloud_event["type"], kind, "{name}");
    let source = cloud_event["source"].as_str().expect("a source");
    assert!(source.starts_with("/hookring/"), "{name}: {source}");
    // The SDK for JavaScript leaves headers as they are.
    let subject = cloud_event["subject"].as_str().map(percent_decoded);
    let expected = Some(session).filter(|it| !it.is_empty() && !it.contains('\u{1}'));
    assert_eq!(subject.as_deref(), expected, "{name}");
    assert!(cloud_event["time"].as_f64().is_some_and(|seconds| seconds > 1.7e9), "{name}");
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        let byte = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
        (bytes, rest) = match byte.filter(|_| *first == b'%') {
            Some(byte) => ([bytes, vec![byte]].concat(), &others[2..]),
            None => ([bytes, vec![*first]].concat(), others),
        };
    }
    String::from_utf8(bytes).expect("text")
}

fn now_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// The one that newcomers copy.
#[test]
fn the_receiver_of_the_documentation_takes_what_is_signed_and_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let document = fs::read_to_string(root.join("docs/sinks/webhook.md")).expect("the document");
    let block = document.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let bed = Bed::new();
    let [script, key] = ["receiver.py", "key"].map(|name| bed.path().join(name));
    fs::write(&script, block.expect("a receiver")).expect("the script");
    fs::write(&key, format!("{NEW_KEY}\n")).expect("the key");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    drop(listener);
    let mut python = Command::new("python3");
    let python = python.arg(&script).arg(&key).arg(port.to_string());
    let python = python.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut receiver = bed.adopt(python.expect("python3 runs"));
    let mut printed = BufReader::new(receiver.take_stdout()).lines();
    let configure = |name: &str| {
        bed.configure(&format!(
            "[sinks.hook]\ntype = \"webhook\"\nstart = \"oldest\"\nformat = \"standard-webhooks\"\n\
             url = \"http://127.0.0.1:{port}/events\"\nsecret = {{ file = \"{}\" }}\n",
            bed.path().join(name).display()
        ));
    };
    let mut next_line = || printed.next().expect("it goes on").expect("a line");
    configure("key");
    let daemon = bed.start();
    bed.emit_with(
        &["--agent", "claude-code"],
        br#"{"session_id":"3f1c","hook_event_name":"SessionStart"}"#,
    );
    let line = next_line();
    assert!(line.starts_with("session.start 20"), "{line}");
    for headers in [
        "",
        "webhook-id: a\r\nwebhook-timestamp: 1700000000\r\n",
        "webhook-id: a\r\nwebhook-timestamp: soon\r\nwebhook-signature: v1,b\r\n",
        "webhook-id: a\r\nwebhook-timestamp: 99999999999999999999\r\nwebhook-signature: v1,b\r\n",
        &format!(
            "webhook-id: a\r\nwebhook-timestamp: {}\r\nwebhook-signature: v1,\u{e9}\r\n",
            now_s()
        ),
        &format!("webhook-id: a\r\nwebhook-timestamp: {}\r\n", now_s()),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the receiver");
        write!(stream, "POST /events HTTP/1.0\r\ncontent-length: 2\r\n{headers}\r\n{{}}")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(" 401 "), "{headers:?}: {answer:?}");
    }
    fs::write(bed.path().join("other"), OTHER_KEY).expect("another key");
    configure("other");
    assert!(bed.hookring(&["reload"]).status.success());
    bed.emit(b"{}");
    let words = wait_for("the refusal", || {
        let status = bed.status();
        status["sinks"][0]["last_error"].as_str().map(str::to_owned)
    });
    assert!(words.contains("answered 401"), "{words}");
    daemon.kill();
}
