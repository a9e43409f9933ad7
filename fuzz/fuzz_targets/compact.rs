//! Any payload: `compact` takes what serde_json takes, keeps every token, and the event's line is
//! one line of JSON.
#![no_main]

use hookring_fuzz::event;
use hookring_journal::compact::{MAX_DEPTH, Reason};
use hookring_journal::{Payload, compact};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;

fuzz_target!(|input: &[u8]| {
    let mut out = b"before".to_vec();
    let mut members = Vec::new();
    let result = compact(input, &mut out, |key, value| members.push((key.to_vec(), value)));
    let is_json = std::str::from_utf8(input).is_ok_and(is_json);
    match result {
        Ok(()) => {
            assert!(is_json, "taken, and serde_json does not");
            check_output(input, &out[6..]);
            let members = members.iter().map(|(key, value)| (&key[..], &out[value.clone()]));
            check_members(&out[6..], members);
        }
        Err(error) => {
            assert_eq!(out, b"before", "something was left behind");
            assert!(error.offset <= input.len());
            match error.reason {
                Reason::TooDeep => assert_eq!(depth(&input[..error.offset]), MAX_DEPTH),
                _ => assert!(!is_json, "not taken, and serde_json does: {error}"),
            }
        }
    }
    check_event(input, result.is_ok());
});

/// Says nothing about depth, and nothing about what escapes and numbers stand for: like `compact`.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn check_output(input: &[u8], out: &[u8]) {
    assert_eq!(out, without_whitespace(input));
    let mut again = Vec::new();
    assert_eq!(compact(out, &mut again, |_, _| ()), Ok(()));
    assert_eq!(again, out);
}

/// The members of a top-level object are, put together again, that object.
fn check_members<'a>(out: &[u8], members: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    let members: Vec<_> =
        members.map(|(key, value)| [b"\"", key, b"\":", value].concat()).collect();
    if out.starts_with(b"{") {
        assert_eq!(out, [&b"{"[..], &members.join(&b","[..]), b"}"].concat());
    } else {
        assert!(members.is_empty());
    }
}

fn check_event(payload: &[u8], is_json_payload: bool) {
    let event = event(Payload::Raw(payload));
    let mut line = b"{".to_vec();
    let written = event.write_to(&mut line);
    line.push(b'}');
    assert_eq!(written.not_json.is_none(), is_json_payload || payload.is_empty());
    assert!(!line.contains(&b'\n'));
    let text = std::str::from_utf8(&line).expect("UTF-8");
    assert!(is_json(text), "{text}");
}

/// The bytes without whitespace outside of strings.
fn without_whitespace(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    outside_strings(json, |byte, outside| {
        if !(outside && b" \t\r\n".contains(&byte)) {
            out.push(byte);
        }
    });
    out
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

/// Calls `each` for every byte, and whether it stands outside of strings (their quotes do not).
fn outside_strings(json: &[u8], mut each: impl FnMut(u8, bool)) {
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        let was_in_string = in_string;
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ => {}
        }
        each(byte, !was_in_string && !in_string);
    }
}
