//! The README's snippet for Claude Code, run the way Claude Code documents that it runs hooks.

use std::fs;
use std::path::Path;
use std::process::Command;

use hookring_tests::{Bed, programs};
use serde_json::Value;

/// The first JSON block of the README.
fn snippet(root: &Path) -> String {
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md");
    let (_, rest) = readme.split_once("```json\n").expect("a JSON block");
    rest.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn a_session_through_the_readmes_snippet_is_journaled_whole_and_unnoticed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let bed = Bed::new();
    let daemon = bed.start();
    let settings = bed.path().join("settings.json");
    fs::write(&settings, snippet(root)).expect("the settings");
    let session = root.join("daemon/demo/session.jsonl");
    let path = format!("{}:{}", programs().display(), std::env::var("PATH").expect("PATH"));
    let output = Command::new("python3")
        .arg(root.join("tests/claude_runner.py"))
        .args(["--settings".as_ref(), settings.as_os_str()])
        .args(["--session".as_ref(), session.as_os_str()])
        .env("HOOKRING_DIR", bed.path())
        .env("PATH", path)
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    let played = fs::read_to_string(&session).expect("the session");
    let played: Vec<Value> =
        played.lines().map(|line| serde_json::from_str(line).expect("a payload")).collect();
    let reported = report["events"].as_array().expect("events");
    assert_eq!(reported.len(), played.len());
    for event in reported {
        let what = &event["event"];
        assert_eq!(event["handlers"].as_array().map(Vec::len), Some(1), "{what}");
        assert_eq!(event["handlers"][0]["exit_code"], 0, "{what}");
        assert_eq!(event["blocked"], false, "{what}");
        assert_eq!(event["hook_errors"], Value::Array(vec![]), "{what}");
        assert_eq!(event["timeouts"], Value::Array(vec![]), "{what}");
        assert_eq!(event["context_injected"], Value::Array(vec![]), "{what}");
    }
    assert_eq!(daemon.stop(), 0);
    let events = bed.events();
    let payloads: Vec<_> = events.iter().map(|event| event["payload"].clone()).collect();
    assert_eq!(payloads, played);
    for event in &events {
        assert_eq!(event["source"]["agent"], "claude-code");
        assert_eq!(event["event"], event["payload"]["hook_event_name"]);
        assert_eq!(event["session_id"], event["payload"]["session_id"]);
        assert_eq!(event.get("normalise_warnings"), None, "{event}");
    }
}
