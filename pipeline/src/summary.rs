//! What an event says, in the few words that figures are kept of. Nothing is copied for it.

use std::borrow::Cow;

use hookring_journal::model::{EventType, Level};

use crate::activity::Call;
use crate::agents::{Facts, Field};
use crate::classify::classify;
use crate::pipeline::Written;
use crate::received::Received;
use crate::told::Told;

/// What an event says, for whoever keeps figures of events; see [`Watch::made`](crate::Watch::made). Texts are as the
/// event has them: without secrets, and as long as an agent likes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary<'a> {
    /// What happened, if that is known.
    pub kind: Option<EventType>,
    /// The member `event_type`.
    pub event_type: &'a str,
    /// The member `namespace`.
    pub namespace: &'static str,
    /// The agent; empty: nobody knows.
    pub agent: &'a str,
    /// The member `session_id`.
    pub session: Option<&'a str>,
    /// The tool, if it is about one.
    pub tool: Option<&'a str>,
    /// How long a call took that is over, in ms.
    pub duration_ms: Option<u64>,
    /// Whether a call that is over did what it was to do.
    pub success: Option<bool>,
    /// What failed, if it tells of an error.
    pub failure: Option<Failure>,
    /// How risky it is.
    pub risk: Option<Level>,
    /// It tells again what another told.
    pub is_duplicate: bool,
    /// When it was published, by the wall clock, Unix nanoseconds.
    pub timestamp_ns: i64,
    /// From the hook process's start to publication, in µs.
    pub elapsed_us: u32,
}

/// What failed.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Failure {
    /// A tool's call.
    Tool,
    /// A turn: the agent could not finish a prompt.
    Turn,
    /// Something was not allowed.
    Permission,
    /// The agent notifies its user of an error.
    Notification,
    /// A session, a turn or a subagent ended by an error.
    End,
    /// The payload is no JSON.
    Payload,
}

impl Failure {
    /// All of them.
    pub const ALL: [Failure; 6] = [
        Failure::Tool,
        Failure::Turn,
        Failure::Permission,
        Failure::Notification,
        Failure::End,
        Failure::Payload,
    ];

    /// As metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Failure::Tool => "tool",
            Failure::Turn => "turn",
            Failure::Permission => "permission",
            Failure::Notification => "notification",
            Failure::End => "end",
            Failure::Payload => "payload",
        }
    }

    /// What an event of this kind tells of.
    fn of(kind: Option<EventType>, end: &End, is_json: bool) -> Option<Failure> {
        let is_error = end.classification == Some("error");
        match kind {
            Some(EventType::ToolPost | EventType::ToolFail) if end.success == Some(false) => {
                Some(Failure::Tool)
            }
            // One that the user stopped is none.
            Some(EventType::TurnFail) if is_error => Some(Failure::Turn),
            Some(EventType::PermissionDenied) => Some(Failure::Permission),
            Some(EventType::Notify) if is_error => Some(Failure::Notification),
            Some(_) if is_error => Some(Failure::End),
            _ => (!is_json).then_some(Failure::Payload),
        }
    }
}

/// How something ended: what both the event and its summary say.
pub(crate) struct End {
    /// Of a call that is over: whether it did what it was to do.
    pub(crate) success: Option<bool>,
    /// Of the same: how long it took, in ms, as the agent says it, or from the event that began it.
    pub(crate) duration_ms: Option<u64>,
    /// See [`classify`].
    pub(crate) classification: Option<&'static str>,
}

impl End {
    pub(crate) fn of(facts: &Facts<'_>, received: &Received<'_>, told: &Told<'_>) -> End {
        let is_over = matches!(facts.kind, Some(EventType::ToolPost | EventType::ToolFail));
        let deed = told.deed.as_ref().filter(|_| is_over);
        let passed = |began: &Call| began.passed_ms(received.timestamp_ns, received.monotonic_ns);
        let duration_ms = || facts.duration_ms().or_else(|| told.began.as_ref().and_then(passed));
        End {
            success: deed.and_then(|deed| deed.success(facts)),
            duration_ms: deed.and_then(|_| duration_ms()),
            classification: classify(facts),
        }
    }
}

/// What a summary borrows from.
pub(crate) struct Said<'e, 'a> {
    received: &'e Received<'e>,
    facts: &'e Facts<'a>,
    is_about_a_tool: bool,
    end: &'e End,
    session: Option<Cow<'a, str>>,
}

impl<'e, 'a> Said<'e, 'a> {
    pub(crate) fn by(
        received: &'e Received<'e>,
        facts: &'e Facts<'a>,
        told: &Told<'a>,
        end: &'e End,
    ) -> Said<'e, 'a> {
        let (is_about_a_tool, session) = (told.deed.is_some(), facts.text(Field::Session));
        Said { received, facts, is_about_a_tool, end, session }
    }

    pub(crate) fn summary(&self, written: &Written, is_json: bool) -> Summary<'_> {
        let Said { received, facts, is_about_a_tool, end, session } = self;
        let (event_type, namespace) = kind(facts);
        Summary {
            kind: facts.kind,
            event_type,
            namespace,
            agent: agent(facts, received),
            session: session.as_deref(),
            tool: facts.tool_name.as_deref().filter(|_| *is_about_a_tool),
            duration_ms: end.duration_ms,
            success: end.success,
            failure: Failure::of(facts.kind, end, is_json),
            risk: written.risk,
            is_duplicate: written.is_duplicate,
            timestamp_ns: received.timestamp_ns,
            elapsed_us: received.elapsed_us,
        }
    }
}

/// The agent that an event names; empty: none.
pub(crate) fn agent<'a>(facts: &Facts<'_>, received: &Received<'a>) -> &'a str {
    received.agent.unwrap_or(facts.agent.name)
}

/// An event's type and namespace, as its members have them.
pub(crate) fn kind<'a>(facts: &'a Facts<'_>) -> (&'a str, &'static str) {
    match facts.kind {
        Some(kind) => (kind.name(), kind.namespace().name()),
        None => (facts.event.as_deref().unwrap_or("unknown"), "hook"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Pipeline, Step, Watch};

    /// What is told of an event, as text that outlives it.
    #[derive(Default)]
    struct Told(Vec<String>);

    impl Watch for Told {
        fn done(&mut self, _step: Step) {}

        fn made(&mut self, it: &Summary<'_>) {
            let Summary { event_type, namespace, agent, session, tool, .. } = *it;
            let (tool, session) = (tool.unwrap_or("-"), session.unwrap_or("-"));
            let outcome = (it.success, it.duration_ms, it.failure.map(Failure::name));
            self.0.push(format!(
                "{event_type} {namespace} {agent} {session} {tool} {outcome:?} {:?} {}",
                it.risk, it.is_duplicate
            ));
        }
    }

    fn told(payloads: &[&str]) -> Vec<String> {
        let (mut pipeline, mut told) = (Pipeline::new(Options::plain()), Told::default());
        for (n, payload) in (1..).zip(payloads) {
            let received = Received {
                id: [n; 16],
                timestamp_ns: i64::from(n) * 1_000_000,
                monotonic_ns: Some(u64::from(n) * 1_000_000),
                agent: Some("claude-code"),
                event: None,
                directory: None,
                pid: 1,
                elapsed_us: 2,
                arguments: &[],
                truncated: false,
                payload: payload.as_bytes(),
            };
            pipeline.write_watched(&received, &mut Vec::new(), &mut told);
        }
        told.0
    }

    #[test]
    fn it_says_what_the_event_says() {
        let pre = r#"{"hook_event_name":"PreToolUse","session_id":"s","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"ls"}}"#;
        let fail = r#"{"hook_event_name":"PostToolUseFailure","session_id":"s","tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"ls"},"error":"Exit code 2"}"#;
        let said = told(&[pre, fail, fail, r#"{"hook_event_name":"Later"}"#, "no JSON"]);
        let expected = [
            "tool.pre hook claude-code s Bash (None, None, None) None false",
            r#"tool.fail hook claude-code s Bash (Some(false), Some(1), Some("tool")) None false"#,
            r#"tool.fail hook claude-code s Bash (Some(false), None, Some("tool")) None true"#,
            "Later hook claude-code - - (None, None, None) None false",
            r#"unknown hook claude-code - - (None, None, Some("payload")) None false"#,
        ];
        assert_eq!(said, expected);
    }
}
