//! What is sent of batches that are accepted, or not, signal by signal.

use hookring_journal::Batch;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::json;

use super::super::answer::Signal;
use super::super::encode::{Encoding, Resources};
use super::super::signals::{Making, Signals};
use super::super::spans::Counts;
use super::*;
use crate::sink::Outcome;
use crate::testing::TestJournal;

fn making(signals: &[Signal]) -> Making {
    Making {
        signals: signals.iter().map(|it| (*it, Encoding::Protobuf)).collect(),
        has_content: false,
        resources: Resources::default(),
        span_timeout: TIMEOUT,
    }
}

/// A receiver that keeps what it takes.
#[derive(Default)]
struct Receiver {
    logs: Vec<String>,
    spans: Vec<String>,
    requests: usize,
    /// What becomes of the next requests.
    answers: std::collections::VecDeque<Outcome>,
}

impl Receiver {
    fn take(&mut self, signal: Signal, body: &[u8]) -> Outcome {
        self.requests += 1;
        match self.answers.pop_front().unwrap_or(Outcome::Accepted) {
            Outcome::Accepted => {}
            outcome => return outcome,
        }
        match signal {
            Signal::Logs => self.logs.extend(log_uids(body)),
            Signal::Traces => self.spans.extend(span_names(body)),
            Signal::Metrics => panic!("they are of no event"),
        }
        Outcome::Accepted
    }
}

fn log_uids(body: &[u8]) -> Vec<String> {
    let request = ExportLogsServiceRequest::decode(body).expect("a request");
    let scopes = request.resource_logs.into_iter().flat_map(|it| it.scope_logs);
    let records = scopes.flat_map(|it| it.log_records);
    records.map(|it| attribute(&it.attributes, names::SEQ).expect("a number")).collect()
}

fn span_names(body: &[u8]) -> Vec<String> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request");
    let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
    scopes.flat_map(|it| it.spans).map(|it| it.name).collect()
}

/// A journal with a prompt (1 to 6) that has two calls: their ends are 3 and 5.
fn journal() -> TestJournal {
    let mut journal = TestJournal::new();
    let call = |name: &str| [("tool_name", json!(name)), ("tool_use_id", json!(name))];
    let mut write = |event_type: &str, more: &[(&str, serde_json::Value)]| {
        let mut members = vec![
            ("event_type", json!(event_type)),
            ("namespace", json!("hook")),
            ("source", json!({"agent": "claude-code"})),
            ("host", json!("ada-laptop")),
            ("session_id", json!("s")),
            ("prompt_id", json!("p1")),
        ];
        members.extend_from_slice(more);
        journal.write_with(&json!({}), &members);
    };
    write("prompt.submit", &[]);
    write("tool.pre", &call("A"));
    write("tool.post", &call("A"));
    write("tool.pre", &call("B"));
    write("tool.post", &call("B"));
    write("turn.end", &[]);
    journal
}

fn deliver(signals: &mut Signals, receiver: &mut Receiver, batch: &Batch) -> Outcome {
    signals.deliver(batch, false, |signal, body, _| receiver.take(signal, body))
}

fn failed() -> Outcome {
    Outcome::failed("told to fail")
}

fn rejected() -> Outcome {
    Outcome::Rejected { status: Some(400), error: "told to reject".into() }
}

#[test]
fn each_signal_has_its_own_requests() {
    let journal = journal();
    let batch = journal.batch(1, 6);
    for (signals, logs, spans) in
        [(&Signal::OF_EVENTS[..], 6, 3), (&[Signal::Logs], 6, 0), (&[Signal::Traces], 0, 3)]
    {
        let mut receiver = Receiver::default();
        let outcome = deliver(&mut Signals::new(making(signals)), &mut receiver, &batch);
        assert!(matches!(outcome, Outcome::Accepted));
        assert_eq!((receiver.logs.len(), receiver.spans.len()), (logs, spans));
        assert_eq!(receiver.requests, signals.len());
    }
}

#[test]
fn what_one_signal_has_is_not_sent_again_because_another_failed() {
    let journal = journal();
    let mut signals = Signals::new(making(&Signal::OF_EVENTS));
    let mut receiver = Receiver::default();
    receiver.answers.extend([Outcome::Accepted, failed(), failed()]);
    for size in [6, 6, 4] {
        let outcome = deliver(&mut signals, &mut receiver, &journal.batch(1, size));
        assert_eq!(matches!(outcome, Outcome::Accepted), size == 4);
    }
    assert_eq!((receiver.logs.len(), receiver.spans.len()), (6, 1));
    assert!(matches!(
        deliver(&mut signals, &mut receiver, &journal.batch(5, 2)),
        Outcome::Accepted
    ));
    assert_eq!(receiver.logs, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(receiver.spans, ["execute_tool A", "execute_tool B", "invoke_agent claude-code"]);
}

#[test]
fn while_one_signal_is_rejected_the_others_are_taken() {
    let journal = journal();
    let mut signals = Signals::new(making(&Signal::OF_EVENTS));
    let mut receiver = Receiver::default();
    receiver.answers.push_back(rejected());
    let outcome = deliver(&mut signals, &mut receiver, &journal.batch(1, 6));
    assert!(matches!(outcome, Outcome::Rejected { .. }));
    assert_eq!((receiver.logs.len(), receiver.spans.len()), (0, 3));
    // The third event is to blame, and becomes a dead letter.
    assert!(matches!(
        deliver(&mut signals, &mut receiver, &journal.batch(1, 2)),
        Outcome::Accepted
    ));
    receiver.answers.push_back(rejected());
    let outcome = deliver(&mut signals, &mut receiver, &journal.batch(3, 1));
    assert!(matches!(outcome, Outcome::Rejected { .. }));
    assert!(matches!(
        deliver(&mut signals, &mut receiver, &journal.batch(4, 3)),
        Outcome::Accepted
    ));
    assert_eq!(receiver.logs, ["1", "2", "4", "5", "6"]);
    assert_eq!(receiver.spans.len(), 3);
}

#[test]
fn a_batch_that_begins_before_what_was_done_begins_anew() {
    let journal = journal();
    let mut signals = Signals::new(making(&Signal::OF_EVENTS));
    let mut receiver = Receiver::default();
    for _ in 0..2 {
        for part in [journal.batch(1, 4), journal.batch(5, 2)] {
            assert!(matches!(deliver(&mut signals, &mut receiver, &part), Outcome::Accepted));
        }
    }
    assert_eq!((receiver.logs.len(), receiver.spans.len()), (12, 6));
    assert_eq!(receiver.spans[..3], receiver.spans[3..]);
    assert_eq!(signals.counts().0.finished, 6, "what is counted does not fall");
    // So it is when a worker goes back.
    signals.forget(false);
    signals.recall(&journal.batch(1, 4), false);
    assert!(matches!(
        deliver(&mut signals, &mut receiver, &journal.batch(5, 2)),
        Outcome::Accepted
    ));
    assert_eq!(signals.counts().0, Counts { finished: 8, ..Counts::default() });
}

#[test]
fn what_is_recalled_is_known_and_not_sent() {
    let journal = journal();
    let mut signals = Signals::new(making(&Signal::OF_EVENTS));
    let mut receiver = Receiver::default();
    signals.forget(false);
    signals.recall(&journal.batch(1, 4), false);
    assert!(matches!(
        deliver(&mut signals, &mut receiver, &journal.batch(5, 2)),
        Outcome::Accepted
    ));
    assert_eq!(receiver.logs, ["5", "6"]);
    assert_eq!(receiver.spans, ["execute_tool B", "invoke_agent claude-code"]);
    assert_eq!(signals.counts().0.repaired, 0);
}

/// What is open after that is as if it had been sent, with what was said when it began.
#[test]
fn what_is_recalled_has_what_was_said() {
    let mut journal = TestJournal::new();
    let source = json!({"agent": "claude-code"});
    for (event_type, payload) in [
        ("prompt.submit", json!({"prompt": "xyzzy"})),
        ("tool.pre", json!({})),
        ("turn.end", json!({})),
    ] {
        let members = [
            ("event_type", json!(event_type)),
            ("source", source.clone()),
            ("session_id", json!("s")),
            ("tool_parameters", json!({"command": "plugh"})),
        ];
        journal.write_with(&payload, &members);
    }
    let last_body = |is_recalled: bool| {
        let mut signals = Signals::new(Making { has_content: true, ..making(&Signal::OF_EVENTS) });
        let mut last = Vec::new();
        let mut send = |signals: &mut Signals, batch: &Batch| {
            let outcome = signals.deliver(batch, false, |_, body, _| {
                last = body.to_vec();
                Outcome::Accepted
            });
            assert!(matches!(outcome, Outcome::Accepted));
        };
        match is_recalled {
            true => signals.recall(&journal.batch(1, 2), false),
            false => send(&mut signals, &journal.batch(1, 2)),
        }
        send(&mut signals, &journal.batch(3, 1));
        last
    };
    let body = last_body(true);
    assert_eq!(body, last_body(false));
    assert!(body.windows(5).any(|it| it == b"xyzzy"));
}

#[test]
fn what_was_repaired_of_what_is_recalled_is_not_counted() {
    let journal = journal();
    let mut signals = Signals::new(making(&Signal::OF_EVENTS));
    // The end of a call whose beginning is too far back.
    signals.recall(&journal.batch(3, 2), false);
    assert_eq!(signals.counts().0, Counts::default());
    assert!(matches!(
        deliver(&mut signals, &mut Receiver::default(), &journal.batch(5, 1)),
        Outcome::Accepted
    ));
    assert_eq!(signals.counts().0, Counts { finished: 1, ..Counts::default() });
}

/// A replay has its own memory, and its records are marked.
#[test]
fn a_replay_has_the_same_spans_and_changes_nothing_else() {
    let journal = journal();
    let mut signals = Signals::new(making(&Signal::OF_EVENTS));
    let mut bodies = Vec::new();
    let mut deliver = |signals: &mut Signals, first, count, is_replay| {
        let batch = journal.batch(first, count);
        let outcome = signals.deliver(&batch, is_replay, |signal, body, _| {
            bodies.push((signal, body.to_vec()));
            Outcome::Accepted
        });
        assert!(matches!(outcome, Outcome::Accepted));
    };
    deliver(&mut signals, 1, 5, false);
    signals.forget(true);
    signals.recall(&journal.batch(1, 2), true);
    deliver(&mut signals, 3, 3, true);
    deliver(&mut signals, 6, 1, false);
    let spans: Vec<_> = bodies.iter().filter(|it| it.0 == Signal::Traces).collect();
    assert_eq!(spans[0].1, spans[1].1);
    assert_eq!(span_names(&spans[2].1), ["invoke_agent claude-code"]);
    let is_marked = |body: &[u8]| body.windows(15).any(|it| it == b"hookring.replay");
    let logs = bodies.iter().filter(|it| it.0 == Signal::Logs);
    assert_eq!(logs.map(|it| is_marked(&it.1)).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn what_is_no_event_is_rejected() {
    let batch = Batch::alone(1, b",\"event_type\":\"x\"}");
    let mut signals = Signals::new(making(&Signal::OF_EVENTS));
    let outcome = deliver(&mut signals, &mut Receiver::default(), &batch);
    assert!(matches!(outcome, Outcome::Rejected { status: None, .. }), "{outcome:?}");
}
