//! Any payload: a document takes what serde_json takes, keeps every token, finds each value where
//! serde_json has it, and lets any of them be replaced.
#![no_main]

use hookring_fuzz::{event, line_of, outside_strings, received, with_pipeline, without_whitespace};
use hookring_pipeline::document::{Document, Kind, MAX_DEPTH, Reason, Value};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|input: &[u8]| {
    let mut document = Document::default();
    document.parse(br#"{"other":["text"]}"#).expect("JSON");
    let result = document.parse(input);
    let is_json = std::str::from_utf8(input).is_ok_and(is_json);
    match result {
        Ok(()) => {
            assert!(is_json, "taken, and serde_json does not");
            check_output(input, &document);
            check_values(input, &document);
            check_replaced(input, &mut document);
        }
        Err(error) => {
            assert!(document.root().is_none() && document.values().count() == 0);
            assert!(error.offset <= input.len());
            match error.reason {
                Reason::TooDeep => assert_eq!(depth(&input[..error.offset]), MAX_DEPTH),
                _ => assert!(!is_json, "not taken, and serde_json does: {error}"),
            }
        }
    }
    check_event(input, result.is_ok());
});

/// Says nothing about depth, and nothing about what escapes and numbers stand for: like a document.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn check_output(input: &[u8], document: &Document) {
    let out = written(document);
    assert_eq!(out, without_whitespace(input));
    assert_eq!(out, document.original());
    let mut again = Document::default();
    assert_eq!(again.parse(&out), Ok(()));
    assert_eq!(written(&again), out);
    let root = document.root().expect("it was parsed");
    assert_eq!(reassembled(root), out);
}

fn written(document: &Document) -> Vec<u8> {
    let mut out = Vec::new();
    document.root().expect("it was parsed").write_to(&mut out);
    out
}

/// All members and elements, put together again.
fn reassembled(value: Value<'_>) -> Vec<u8> {
    let pair = |(key, value)| [reassembled(key), b":".to_vec(), reassembled(value)].concat();
    let (open, parts, close) = match value.kind() {
        Kind::Object => (b"{", value.members().map(pair).collect::<Vec<_>>(), b"}"),
        Kind::Array => (b"[", value.elements().map(reassembled).collect(), b"]"),
        _ => {
            let mut out = Vec::new();
            value.write_to(&mut out);
            return out;
        }
    };
    [&open[..], &parts.join(&b","[..]), close].concat()
}

/// Each place in a string leads to it, and all values are those of serde_json, which refuses numbers
/// that are too large, and half a surrogate pair.
fn check_values(input: &[u8], document: &Document) {
    for value in document.values() {
        let is_string = matches!(value.kind(), Kind::String | Kind::EscapedString);
        assert_eq!(value.as_str().is_some(), is_string);
        let range = value.original_range();
        for offset in [range.start, range.end - 1] {
            let found = document.string_at(offset);
            assert!(!is_string || found == Some(value.id()));
        }
    }
    if let Ok(expected) = serde_json::from_slice(input) {
        check_same(document.root().expect("it was parsed"), &expected);
    }
}

fn check_same(value: Value<'_>, expected: &serde_json::Value) {
    use serde_json::Value as Json;
    match expected {
        Json::Object(members) => {
            assert_eq!(value.kind(), Kind::Object);
            assert!(value.members().count() >= members.len());
            for (key, expected) in members {
                check_same(value.get(key).expect("a member"), expected);
            }
        }
        Json::Array(elements) => {
            assert_eq!(value.elements().count(), elements.len());
            value
                .elements()
                .zip(elements)
                .for_each(|(value, expected)| check_same(value, expected));
        }
        Json::String(text) => {
            assert_eq!(value.as_str().as_deref(), Some(text.as_str()));
            assert!(value.is_text(text));
        }
        // What is not a whole number is rounded a little on one side.
        Json::Number(number) => {
            assert_eq!(value.kind(), Kind::Number);
            if let Some(number) = number.as_i64() {
                assert_eq!(value.as_i64(), Some(number));
            }
        }
        Json::Bool(truth) => assert_eq!(value.as_bool(), Some(*truth)),
        Json::Null => assert_eq!(value.kind(), Kind::Null),
    }
}

/// Puts texts in the place of two values: what is written is JSON with them, and the same as what is
/// found. Inside of what was replaced there is nothing more to replace.
fn check_replaced(input: &[u8], document: &mut Document) {
    let ids: Vec<_> = document.values().map(Value::id).collect();
    let [one, other] = [input.len() / 2, input.len()].map(|at| ids[at % ids.len()]);
    document.replace(one, "\"one\"\n".to_owned());
    assert!(document.value(one).is_replaced() && document.value(one).is_text("\"one\"\n"));
    let outer = document.value(one).original_range();
    let inner = document.value(other).original_range();
    let before = check_written(document);
    document.replace(other, "two".to_owned());
    let after = check_written(document);
    if one != other && outer.start <= inner.start && inner.end <= outer.end {
        assert_eq!(after, before);
    } else {
        assert!(document.value(other).is_text("two"));
        assert!(after.windows(5).any(|window| window == b"\"two\""));
    }
}

fn check_written(document: &Document) -> Vec<u8> {
    let out = written(document);
    assert!(!out.contains(&b'\n'));
    assert_eq!(Document::default().parse(&out), Ok(()));
    assert_eq!(reassembled(document.root().expect("it was parsed")), out);
    out
}

fn check_event(payload: &[u8], is_json_payload: bool) {
    let mut members = Vec::new();
    let written = with_pipeline(|pipeline| pipeline.write(&received(payload), &mut members));
    // (Without the other way round: what is almost JSON is mended.)
    assert!(written.not_json.is_none() || !is_json_payload && !payload.is_empty());
    line_of(&event(&members));
}

/// How many levels are open at the end.
fn depth(json: &[u8]) -> u32 {
    let mut depth = 0;
    outside_strings(json, |byte, outside| match byte {
        b'{' | b'[' if outside => depth += 1,
        b'}' | b']' if outside => depth -= 1,
        _ => {}
    });
    depth
}
