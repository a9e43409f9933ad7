//! Any bytes as a journal's line that is whole: read without a panic, split into earlier and later at
//! any time, and shown without anything that could steer a terminal.
//!
//! Input: a byte (bit 0: cut what is long, bit 1: put the line's outer form around the rest), eight
//! bytes for a time, the line.
#![no_main]

use hookring::cli::view::View;
use hookring_fuzz::assert_harmless;
use hookring_journal::{Filter, Line, Origin};
use hookring_pipeline::document::Document;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const FORM: &str = r#"{"crc":"00000000","seq":                   1,"from":""#;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let Some((time, content)) = input.split_first_chunk::<8>() else { return };
    let bytes = match mode & 2 {
        0 => content.to_vec(),
        _ => [FORM.as_bytes(), content].concat(),
    };
    let line = Line { seq: 1, bytes: &bytes };
    check_fields(line);
    check_filter(line, i64::from_le_bytes(*time));
    let mut view = View::new(TimeZone::UTC, mode & 1 != 0);
    for _ in 0..2 {
        let shown = view.show(&bytes);
        assert_harmless(&shown);
        assert!((1..=2).contains(&shown.lines().count()) && shown.ends_with('\n'));
    }
});

/// What stands at its place is what a reader of JSON finds.
fn check_fields(line: Line<'_>) {
    let origin = line.origin();
    let (id, timestamp) = (line.id(), line.timestamp());
    let Some(object) = object(line.bytes) else { return };
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    // A line's check lets no other beginning through, but for check sum and number.
    if !line.bytes.starts_with(FORM.as_bytes()) {
        return;
    }
    if let Some(Origin::Daemon) = origin {
        assert_eq!(text("from"), Some("daemon"));
    }
    if let Some(id) = id {
        let found = text("id").and_then(|id| u128::from_str_radix(&id.replace('-', ""), 16).ok());
        assert_eq!(found, Some(u128::from_be_bytes(id)));
    }
    if let Some(timestamp) = timestamp {
        assert_eq!(text("timestamp").and_then(|it| it.parse().ok()), Some(timestamp));
    }
}

fn check_filter(line: Line<'_>, time_ns: i64) {
    let time = Timestamp::from_nanosecond(time_ns.into()).expect("64 bits are within its range");
    let since = Filter { since: Some(time), ..Filter::default() };
    let until = Filter { until: Some(time), ..Filter::default() };
    assert!(Filter::default().passes(line).expect("nothing is asked of it"));
    let (later, earlier) = (since.passes(line), until.passes(line));
    assert_eq!(later.is_ok(), earlier.is_ok());
    if let (Ok(later), Ok(earlier)) = (later, earlier) {
        assert!(later != earlier, "neither before nor after a time, or both");
    }
    let Some(object) = object(line.bytes) else { return };
    for session in [object.get("session_id").and_then(Value::as_str).unwrap_or("none"), "s1"] {
        let of_session = Filter { session: Some(session.to_owned()), ..Filter::default() };
        if let Ok(passes) = of_session.passes(line) {
            let is = object.get("session_id").and_then(Value::as_str) == Some(session);
            assert_eq!(passes, is);
        }
    }
}

/// The line's members, if it is JSON and names none twice, as whatever a daemon writes.
fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let Value::Object(object) = serde_json::from_slice(bytes).ok()? else { return None };
    let mut document = Document::default();
    document.parse(bytes).ok()?;
    let members = document.root()?.members().count();
    (members == object.len()).then_some(object)
}
