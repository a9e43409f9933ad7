//! Lines of the journal, of a sink's file or of a command's output: whose they are, and what they hold.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use serde_json::value::RawValue;

/// Whether a line of the journal, of a sink's file or of a command's output is an event of the daemon itself.
pub fn is_own(line: &[u8]) -> bool {
    line.windows(15).take(60).any(|part| part == b"\"from\":\"daemon\"")
}

/// The numbers in the payloads `{"n":NUMBER}` of lines, without the events of the daemon itself.
pub fn numbers_of(lines: &str) -> Vec<u64> {
    let lines = lines.lines().map(str::as_bytes).filter(|line| !is_own(line));
    lines.map(number).collect()
}

/// The number in the payload `{"n":NUMBER}` of a journal line, or of any line with that payload.
pub fn number(line: &[u8]) -> u64 {
    let event: Value = serde_json::from_slice(line).expect("a line is JSON");
    event["payload"]["n"].as_u64().expect("a number in its payload")
}

/// The members of a journal line by their names, each byte for byte as it stands in the line.
pub fn members(line: &[u8]) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_slice(line).expect("a line is a JSON object")
}

/// Checks that a journal line holds this payload: token for token where that is JSON, and else byte
/// for byte.
///
/// # Panics
/// If it does not.
pub fn assert_holds(line: &[u8], payload: &[u8]) {
    let members = members(line);
    let text = |name: &str| -> Option<String> {
        members.get(name).map(|raw| serde_json::from_str(raw.get()).expect("a string"))
    };
    if let Some(journaled) = members.get("payload") {
        let is_same = journaled.get().as_bytes() == without_whitespace(payload);
        let says_so = members.contains_key("redactions") || members.contains_key("cut_bytes");
        if !is_same && is_mended(&members) {
            return;
        }
        let is_same = is_same || says_so && is_same_but_marked(journaled.get(), payload);
        assert!(is_same, "{}\nis not\n{}", journaled.get(), payload.escape_ascii());
        return;
    }
    if payload.is_empty() {
        let is_none = |name: &&str| !members.contains_key(*name);
        assert!(["payload_text", "payload_base64", "parse_error"].iter().all(is_none));
        return;
    }
    let is_gits = agent_of(&members) == Some("git".to_owned());
    assert_ne!(members.contains_key("parse_error"), is_gits, "a reason why it is not JSON");
    let kept = match (text("payload_text"), text("payload_base64")) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => BASE64_STANDARD.decode(text).expect("base64"),
        found => panic!("neither text nor base64: {found:?}"),
    };
    assert!(kept == payload, "{}\nis not\n{}", kept.escape_ascii(), payload.escape_ascii());
}

/// Whether the payload was no JSON until something was done to it.
fn is_mended(members: &BTreeMap<String, Box<RawValue>>) -> bool {
    let warnings = members.get("normalise_warnings");
    warnings.is_some_and(|all| all.get().contains("\"the payload was mended: "))
}

/// Whether a payload is what it was, but for texts that say what is missing in them.
fn is_same_but_marked(kept: &str, payload: &[u8]) -> bool {
    let parsed = (serde_json::from_str(kept), serde_json::from_slice(payload));
    matches!(&parsed, (Ok(kept), Ok(payload)) if is_like(kept, payload))
}

fn is_like(kept: &Value, was: &Value) -> bool {
    let is_marked = |text: &str| text.contains("[redacted:") || text.contains("[cut: ");
    match (kept, was) {
        (Value::Object(kept), Value::Object(was)) => {
            let is_there = |(key, was): (&String, &Value)| match kept.get(key) {
                Some(kept) => is_like(kept, was),
                // A key that held a secret.
                None => kept.keys().any(|key| is_marked(key)),
            };
            kept.len() == was.len() && was.iter().all(is_there)
        }
        (Value::Array(kept), Value::Array(was)) => {
            kept.len() == was.len() && kept.iter().zip(was).all(|(kept, was)| is_like(kept, was))
        }
        (Value::String(kept), was) if is_marked(kept) => was != kept,
        (kept, was) => kept == was,
    }
}

/// The agent that a line names.
fn agent_of(members: &BTreeMap<String, Box<RawValue>>) -> Option<String> {
    let source: Value = serde_json::from_str(members.get("source")?.get()).expect("JSON");
    source["agent"].as_str().map(str::to_owned)
}

/// Removes the whitespace between the tokens of a JSON text, and nothing else: what the journal does.
/// Written apart from the journal's own, to check it.
pub fn without_whitespace(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        if in_string {
            (in_string, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
        } else if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        } else {
            in_string = *byte == b'"';
        }
        out.push(*byte);
    }
    out
}
