//! Spans of events, and what is sent of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hookring_journal::{Line, Seq};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use super::event::Event;
use super::names;
use super::spans::{Finished, Spans};

mod deliver;
mod encode;
mod faults;
mod given;
mod metrics;
mod signals;
mod spans;
mod spans_properties;
mod spans_turns;

/// So long a session may be silent in tests.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// Lines of a journal, as the pipeline writes them.
#[derive(Default, Debug)]
struct Script(Vec<String>);

impl Script {
    /// An event of Claude Code in the session `s`, so many seconds after the first.
    fn add(&mut self, at_s: u64, event_type: &str, members: serde_json::Value) -> &mut Script {
        let seq = self.0.len() as Seq + 1;
        let mut event = json!({
            "seq": seq,
            "from": "daemon",
            "version": 2,
            "id": format!("e{seq}"),
            "timestamp": jiff::Timestamp::from_second(1_700_000_000 + at_s as i64)
                .expect("a time")
                .to_string(),
            "event_type": event_type,
            "namespace": "hook",
            "source": {"agent": "claude-code"},
            "host": "ada-laptop",
            "session_id": "s",
        });
        let object = event.as_object_mut().expect("an object");
        for (name, value) in members.as_object().expect("an object") {
            match value {
                serde_json::Value::Null => drop(object.remove(name)),
                value => drop(object.insert(name.clone(), value.clone())),
            }
        }
        // The payload is last, as in the journal.
        let payload = object.remove("payload");
        object.extend(payload.map(|it| ("payload".to_owned(), it)));
        self.0.push(event.to_string());
        self
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.0
            .iter()
            .enumerate()
            .map(|(at, text)| Line { seq: at as Seq + 1, bytes: text.as_bytes() })
    }

    fn events(&self, has_content: bool) -> Vec<Event<'_>> {
        self.lines().map(|line| Event::read(&line, has_content).expect("an event")).collect()
    }

    fn run(&self) -> (Spans, Vec<Finished>) {
        run(&self.events(false))
    }

    fn tree(&self) -> String {
        tree(&self.run().1)
    }
}

fn run(events: &[Event<'_>]) -> (Spans, Vec<Finished>) {
    let mut spans = Spans::new(TIMEOUT);
    for event in events {
        spans.apply(event);
    }
    let finished = spans.finished(0, Seq::MAX).to_vec();
    (spans, finished)
}

/// The spans by their parents, each with its seconds and what is special about it.
fn tree(finished: &[Finished]) -> String {
    let mut children: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
    for it in finished {
        children.entry(&it.span.parent_span_id).or_default().push(&it.span);
    }
    for spans in children.values_mut() {
        spans.sort_by_key(|span| (span.start_time_unix_nano, span.name.clone()));
    }
    let mut text = String::new();
    branch(&mut text, &children, &[], 0);
    text
}

fn branch(text: &mut String, children: &BTreeMap<&[u8], Vec<&Span>>, parent: &[u8], depth: usize) {
    for span in children.get(parent).into_iter().flatten() {
        let second = |ns: u64| ns / 1_000_000_000 - 1_700_000_000;
        let (start, end) = (second(span.start_time_unix_nano), second(span.end_time_unix_nano));
        let _ = write!(text, "{}{} {start}-{end}", "  ".repeat(depth), span.name);
        for (name, short) in [
            (names::UNFINISHED, "unfinished"),
            (names::REPAIRED, "repaired"),
            (names::ERROR_TYPE, "error"),
        ] {
            if let Some(value) = attribute(&span.attributes, name) {
                let _ = write!(text, " {short}={value}");
            }
        }
        for event in &span.events {
            let _ = write!(text, " +{}@{}", event.name, second(event.time_unix_nano));
        }
        text.push('\n');
        branch(text, children, &span.span_id, depth + 1);
    }
}

fn attribute(list: &[KeyValue], name: &str) -> Option<String> {
    list.iter().find(|it| it.key == name).and_then(|it| it.value.as_ref()).map(shown)
}

fn shown(value: &AnyValue) -> String {
    match value.value.as_ref().expect("a value") {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        Value::ArrayValue(list) => list.values.iter().map(shown).collect::<Vec<_>>().join(","),
        other => panic!("no such attribute is made: {other:?}"),
    }
}
