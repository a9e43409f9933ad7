//! Any bytes as what a sink's program writes: the lines are the same however the bytes are cut, what is
//! taken for a message is one, and a batch is only called accepted where each of its events is.
//!
//! Input: a byte (how many bytes come at once), a byte (how many events the batch had), and the stream.
#![no_main]

use hookring_sinks::exec::{Incoming, Lines, outcome};
use hookring_sinks::sink::{Answer, Outcome};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What may be shown of a program's words, with room for what is around them.
const MAX_SHOWN_BYTES: usize = 8192;

fuzz_target!(|input: &[u8]| {
    let [cut, events, stream @ ..] = input else { return };
    let (cut, events) = (usize::from(*cut).max(1), usize::from(*events).max(1));
    let mut lines = Lines::default();
    let mut found = Vec::new();
    for chunk in stream.chunks(cut) {
        lines.push(chunk);
        while let Some(line) = lines.next_line().expect("short enough") {
            found.push(line);
        }
    }
    let mut expected: Vec<_> = stream.split(|byte| *byte == b'\n').collect();
    let rest = expected.pop().expect("one at least");
    assert_eq!(found, expected);
    assert_eq!(lines.is_within_line(), !rest.is_empty());
    found.iter().for_each(|line| check_line(line, events));
});

fn check_line(line: &[u8], events: usize) {
    let message = match Incoming::read(line) {
        Ok(message) => message,
        Err(error) => return check_shown(&error.to_string()),
    };
    // One that is nested deeper than the other reader goes is read by ours all the same.
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return };
    assert_eq!(value["jsonrpc"], "2.0");
    match message {
        Incoming::Answer(id, result) => {
            assert_eq!(value["id"], id);
            assert_eq!(value.get("result").is_some(), result.is_ok());
            match result {
                Ok(result) => check_outcome(result, &value["result"], events),
                Err(error) => check_shown(&error.to_string()),
            }
        }
        Incoming::Complaint(error) => {
            assert!(value["id"].is_null() && value.get("result").is_none());
            check_shown(&error.to_string());
        }
        Incoming::Request(_, method) => {
            assert!(value["id"].is_null() || value["id"].is_number() || value["id"].is_string());
            assert_eq!(value["method"], *method);
        }
        Incoming::Notification(method, _) => {
            assert!(value.get("id").is_none());
            assert_eq!(value["method"], *method);
        }
    }
}

fn check_outcome(result: &str, value: &Value, events: usize) {
    let outcome = match outcome(result, events) {
        Ok(outcome) => outcome,
        Err(error) => return check_shown(&error.to_string()),
    };
    if let Some(error) = outcome.error() {
        check_shown(&error.to_string());
    }
    let list = value["outcomes"].as_array().filter(|_| value["outcome"].is_null());
    let said = |one: &Value| one.as_str().or(one["outcome"].as_str()).map(str::to_owned);
    let each = list.map(|list| list.iter().map(said).collect::<Vec<_>>());
    match (&outcome, each) {
        (Outcome::Accepted, None) => assert_eq!(value["outcome"], "accepted"),
        (Outcome::Accepted, Some(each)) => {
            assert_eq!(each.len(), events);
            assert!(each.iter().all(|it| it.as_deref() == Some("accepted")));
        }
        (Outcome::Each { answers, .. }, Some(each)) => {
            let words = answers.iter().map(|answer| match answer {
                Answer::Accepted => "accepted",
                Answer::Rejected => "rejected",
                Answer::Failed => "failed",
            });
            let each: Vec<_> = each.iter().map(|it| it.as_deref().unwrap_or_default()).collect();
            assert_eq!((words.collect::<Vec<_>>(), answers.len()), (each, events));
        }
        (_, Some(each)) => panic!("{outcome:?} for {each:?}"),
        (Outcome::Each { .. }, None) => panic!("{outcome:?} for {value}"),
        (_, None) => assert_ne!(value["outcome"], "accepted"),
    }
}

fn check_shown(text: &str) {
    assert!(text.len() <= MAX_SHOWN_BYTES, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
