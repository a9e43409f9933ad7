//! Bad input: each payload becomes exactly one event, whatever it is.

use std::collections::BTreeMap;

use hookring_tests::{Bed, assert_holds, members};
use serde_json::value::RawValue;

const MIB: usize = 1 << 20;
/// What a payload is cut to.
const MAX_PAYLOAD_BYTES: usize = 64 * MIB;

type Members = BTreeMap<String, Box<RawValue>>;

/// Journals the payload between two ordinary ones, and gives back the members of its line. The bed's
/// hook and daemon check that both end as they should.
fn land(payload: &[u8]) -> Members {
    members(&land_line(payload))
}

fn land_line(payload: &[u8]) -> Vec<u8> {
    let (before, after) = (br#"{"session_id":"before"}"#, br#"{"session_id":"after"}"#);
    let bed = Bed::new();
    // Long texts are kept, too.
    bed.configure("[redact]\nmax_text = \"64MiB\"\n");
    let daemon = bed.start();
    bed.emit(before);
    bed.emit(payload);
    bed.emit(after);
    assert_eq!(daemon.stop(), 0);
    let mut lines = bed.lines();
    assert_eq!(lines.len(), 3);
    assert_holds(&lines[0], before);
    assert_holds(&lines[2], after);
    assert!(!lines[1].contains(&b'\n'));
    lines.swap_remove(1)
}

fn text(members: &Members, name: &str) -> String {
    let raw = members.get(name).unwrap_or_else(|| panic!("no member `{name}`"));
    serde_json::from_str(raw.get()).expect("a string")
}

/// The payload was journaled as JSON, token for token.
fn assert_json(payload: &[u8]) -> Members {
    let line = land_line(payload);
    let members = members(&line);
    assert!(members.contains_key("payload") && !members.contains_key("parse_error"));
    assert_holds(&line, payload);
    members
}

/// The payload was journaled as this JSON, and the event says what was done to it.
fn assert_mended(payload: &[u8], expected: &str, what: &str) -> Members {
    let members = land(payload);
    assert_eq!(members["payload"].get(), expected);
    let warnings = members["normalise_warnings"].get();
    assert!(warnings.contains(&format!("the payload was mended: {what}")), "{warnings}");
    assert!(!members.contains_key("parse_error"));
    members
}

/// The payload was journaled as text, with this reason.
fn assert_text(payload: &str, reason: &str) {
    let members = land(payload.as_bytes());
    assert_eq!(text(&members, "payload_text"), payload);
    assert_eq!(text(&members, "parse_error"), reason);
    assert!(!members.contains_key("payload") && !members.contains_key("payload_base64"));
}

/// The payload was journaled as base64, with this reason.
fn assert_base64(payload: &[u8], reason: &str) {
    let line = land_line(payload);
    let members = members(&line);
    assert_eq!(text(&members, "parse_error"), reason);
    assert!(members.contains_key("payload_base64"));
    assert!(!members.contains_key("payload") && !members.contains_key("payload_text"));
    assert_holds(&line, payload);
}

#[test]
fn nothing_on_stdin() {
    let members = land(b"");
    let is_about_the_payload = |name: &&String| name.starts_with("pa") || *name == "event";
    assert_eq!(members.keys().filter(is_about_the_payload).count(), 0, "{:?}", members.keys());
    assert_text(" \r\n\t", "nothing but whitespace at byte 4");
}

/// git gives its hooks arguments, some of them lines on stdin, and most of them nothing there.
#[test]
fn gits_hooks() {
    let bed = Bed::new();
    let daemon = bed.start();
    let hook = |event: &str, arguments: &[&str], stdin: &[u8]| {
        let options = ["--agent", "git", "--event", event, "--"];
        bed.emit_with(&[&options[..], arguments].concat(), stdin);
    };
    let pushed =
        b"refs/heads/main 1f2e refs/heads/main 0000\nrefs/tags/v1 3d4c refs/tags/v1 0000\n";
    hook("post-commit", &[], b"");
    hook("post-checkout", &["1f2e", "3d4c", "1"], b"");
    hook("pre-push", &["origin", "git@example.org:a.git"], pushed);
    hook("post-rewrite", &["rebase"], b"caf\xe9\n");
    bed.wait_for_events(4);
    let lines = bed.lines();
    for (line, payload) in lines.iter().zip([&b""[..], b"", pushed, b"caf\xe9\n"]) {
        assert_holds(line, payload);
    }
    let said = |args: &[&str]| String::from_utf8(bed.hookring(args).stdout).expect("text");
    assert_eq!(bed.status()["counts"]["not_json_events"], 0);
    let tail = said(&["tail"]);
    for part in ["1f2e 3d4c 1", "origin git@example.org:a.git  refs/heads/main 1f2e"] {
        assert!(tail.contains(part), "no `{part}` in:\n{tail}");
    }
    assert!(!tail.contains("not JSON"), "{tail}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn text_that_is_not_json() {
    assert_text("commit 1234\nof {\"a\":1}", "unexpected character at byte 0");
    assert_text(r#"{"a":1} {"b":2}"#, "trailing characters at byte 8");
    assert_text("\u{feff}[]", "unexpected character at byte 0");
    assert_mended("\u{feff}{}".as_bytes(), "{}", "a byte order mark was left out");
}

#[test]
fn invalid_utf8() {
    assert_base64(b"[\"ab\",\"\xff\xfe\"]", "invalid UTF-8 at byte 7");
    // Half a surrogate pair, as some programs write it: not UTF-8, either.
    let (half, replaced) = (b"{\"a\":\"\xed\xa0\xbd\"}", "{\"a\":\"\u{fffd}\u{fffd}\u{fffd}\"}");
    assert_mended(half, replaced, "bytes that are not UTF-8 were replaced by U+FFFD (3)");
}

#[test]
fn lone_surrogates_stay_as_they_are_and_spoil_no_other_member() {
    let payload =
        br#"{"session_id":"\ud83d","hook_event_name":"Stop","cwd":"/\udc00","p":"\ude00\ud83d"}"#;
    let members = assert_json(payload);
    assert_eq!(text(&members, "event"), "Stop");
    // Most parsers would refuse them outside of the payload, too.
    assert_eq!(text(&members, "session_id"), "\u{fffd}");
    assert_eq!(text(&members, "working_directory"), "/\u{fffd}");
}

#[test]
fn nul_bytes() {
    assert_mended(
        b"{\"a\":\"\0\"}",
        r#"{"a":"\u0000"}"#,
        "control characters in strings were escaped",
    );
    assert_text("\0\0\0", "unexpected character at byte 0");
    assert_json(br#"{"a":"\u0000","session_id":"\u0000"}"#);
}

#[test]
fn twenty_megabytes_in_one_payload() {
    let mut payload = br#"{"session_id":"big","tool_response":""#.to_vec();
    payload.resize(20 * MIB, b'x');
    payload.extend_from_slice(br#"","hook_event_name":"PostToolUse"}"#);
    let members = assert_json(&payload);
    assert_eq!(text(&members, "session_id"), "big");
    assert_eq!(text(&members, "event"), "PostToolUse");
    assert!(!members.contains_key("truncated"));
}

#[test]
fn more_than_an_event_may_hold_is_cut_and_flagged() {
    let payload = vec![b'1'; MAX_PAYLOAD_BYTES + MIB];
    let members = land(&payload);
    assert_eq!(members["truncated"].get(), "true");
    // Digits, however many, are still JSON.
    assert!(members["payload"].get().as_bytes() == &payload[..MAX_PAYLOAD_BYTES]);
}

#[test]
fn a_payload_cut_in_the_middle() {
    let end = "its end is missing and was closed";
    let whole = r#"{"session_id":"s","tool_input":{"command":"ls"}}"#;
    let members = assert_mended(whole.trim_end_matches(['"', '}']).as_bytes(), whole, end);
    assert_eq!(text(&members, "session_id"), "s");
    assert_mended(br#"{"session_id":"s","#, r#"{"session_id":"s"}"#, end);
    // In the middle of a character.
    assert_mended(b"{\"a\":\"\xe2\x82", "{\"a\":\"\u{fffd}\"}", end);
    assert_text(r#"["session_id","s"#, "unexpected end of input at byte 16");
}

#[test]
fn json_nested_ten_thousand_deep() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert_json(nested(128).as_bytes());
        if open == "[" {
            assert_text(&nested(10_000), "more than 128 levels at byte 128");
            continue;
        }
        let text = serde_json::Value::from(nested(9_900)).to_string();
        let expected = nested(100).replacen('1', &text, 1);
        assert_mended(
            nested(10_000).as_bytes(),
            &expected,
            "values beyond 100 levels became strings",
        );
    }
}

#[test]
fn numbers_beyond_any_machine_type() {
    let long = "1234567890".repeat(100);
    assert_json(
        format!(
            r#"{{"a":1e999,"b":-1E-9999,"c":{long}.{long},"d":18446744073709551616,"e":-0.0}}"#
        )
        .as_bytes(),
    );
}

#[test]
fn duplicate_keys_are_both_kept_and_the_last_counts() {
    let members = assert_json(br#"{"session_id":"one","a":1,"a":2,"session_id":"two"}"#);
    assert_eq!(text(&members, "session_id"), "two");
}
