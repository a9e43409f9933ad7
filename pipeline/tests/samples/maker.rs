//! A pipeline with a clock and a counter of its own, so that what it makes is the same each time.

use hookring_journal::{Event, Fields};
use hookring_pipeline::{Options, Pipeline, Written};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::sample::Record;

/// 2026-11-26T10:00:00Z.
const BEGIN_NS: i64 = 1_795_687_200_000_000_000;

pub(crate) struct Maker {
    pipeline: Pipeline,
    count: u64,
    now_ns: i64,
}

/// An event, as its line.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) line: String,
    pub(crate) event: Value,
    pub(crate) written: Written,
}

impl Maker {
    pub(crate) fn new() -> Maker {
        Maker { pipeline: Pipeline::new(Options::plain()), count: 0, now_ns: BEGIN_NS }
    }

    /// Begins anew, which is much faster than to make another.
    pub(crate) fn restart(&mut self) {
        self.pipeline.forget();
        (self.count, self.now_ns) = (0, BEGIN_NS);
    }

    /// How many events were made.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn make(&mut self, record: &Record) -> Made {
        self.count += 1;
        self.now_ns += record.after_ms as i64 * 1_000_000;
        let mut members = Vec::new();
        let written = record
            .at(self.count, self.now_ns, |received| self.pipeline.write(received, &mut members));
        let mut line = br#"{"seq":1,"from":"daemon","#.to_vec();
        let id = u128::from(self.count).to_be_bytes();
        Event { id, timestamp_ns: self.now_ns, members: &members }.write_to(&mut line);
        line.push(b'}');
        let line = String::from_utf8(line).expect("UTF-8");
        assert!(!line.contains('\n'), "an event is one line");
        // The type that the documents are made from reads it.
        let fields: Fields<'_> =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!((fields.version, &*fields.host), (2, "host"));
        // Not each number and surrogate that a payload may have is one to `serde_json`.
        let event = serde_json::from_str(&line).unwrap_or_else(|_| without_payload(&line));
        let warnings = event["normalise_warnings"].as_array().map_or(0, Vec::len);
        assert_eq!(written.warnings as usize, warnings, "{line}");
        Made { line, event, written }
    }
}

fn without_payload(line: &str) -> Value {
    let (before, _) = line.rsplit_once(",\"payload\":").expect("a payload");
    serde_json::from_str(&format!("{before}}}")).expect("JSON")
}

impl Made {
    /// The members in their order, each as it stands in the line.
    pub(crate) fn members(&self) -> Vec<(&str, &str)> {
        let mut rest = self.line.strip_prefix('{').expect("an object");
        let mut members = Vec::new();
        loop {
            let mut name = serde_json::Deserializer::from_str(rest).into_iter::<&str>();
            let key = name.next().expect("a name").expect("a string");
            rest = rest[name.byte_offset()..].strip_prefix(':').expect("a colon");
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
            let value = values.next().expect("a value").expect("JSON").get();
            rest = &rest[values.byte_offset()..];
            members.push((key, value));
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return members,
            }
        }
    }

    /// What was not as it should be.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        let warnings = self.event["normalise_warnings"].as_array();
        warnings.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}
