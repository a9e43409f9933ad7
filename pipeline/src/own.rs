//! The events of the daemon itself. They have the members of any event, and nothing leaves in them that would not
//! leave in a payload: an error's text may hold a path or an address with a secret in it.

use hookring_journal::model::EventType;

use crate::members::Members;
use crate::pipeline::{Pipeline, write_redactions};
use crate::redact::Redacted;

/// Who says it, in `source`.
pub const OWN_AGENT: &str = "hookring";

/// One event of the daemon itself.
#[derive(Copy, Clone, Debug)]
pub struct Own<'a> {
    /// What happened.
    pub kind: EventType,
    /// When, by `CLOCK_BOOTTIME`.
    pub monotonic_ns: u64,
    /// The daemon's version.
    pub version: &'a str,
    /// The daemon's process.
    pub pid: u32,
    /// What there is to say: a JSON object.
    pub payload: &'a [u8],
}

impl Pipeline {
    /// Appends the members of an event of the daemon itself, as [`Pipeline::write`] does.
    pub fn write_own(&mut self, own: &Own<'_>, out: &mut Vec<u8>) -> Redacted {
        // What is not JSON leaves the document empty, and the event without a payload.
        let is_json = self.document.parse(own.payload).is_ok();
        debug_assert!(is_json, "the daemon says JSON");
        let redacted = self.options.redactor.redact(&mut self.document);
        let mut members = Members::new(out);
        members.number("monotonic_ns", own.monotonic_ns);
        members.text("event_type", own.kind.name());
        members.text("namespace", own.kind.namespace().name());
        let source = members.name("source");
        source.extend_from_slice(b"{\"agent\":\"");
        source.extend_from_slice(OWN_AGENT.as_bytes());
        source.push(b'"');
        Members::new(source).text("version", own.version);
        source.push(b'}');
        members.text("host", &self.options.host);
        let process = members.name("process");
        // Like any process that publishes for long.
        process.extend_from_slice(format!("{{\"pid\":{},\"elapsed_us\":0}}", own.pid).as_bytes());
        write_redactions(&mut members, &redacted);
        if let Some(root) = self.document.root() {
            root.write_to(members.name("payload"));
        }
        self.document.release();
        redacted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Options;

    fn written(payload: &str) -> (serde_json::Value, Redacted) {
        let mut pipeline = Pipeline::new(Options::plain());
        let own = Own {
            kind: EventType::SinkState,
            monotonic_ns: 7,
            version: "1.2.3",
            pid: 4,
            payload: payload.as_bytes(),
        };
        let mut members = Vec::new();
        let redacted = pipeline.write_own(&own, &mut members);
        assert_eq!(members[0], b',');
        members[0] = b'{';
        members.push(b'}');
        (serde_json::from_slice(&members).unwrap(), redacted)
    }

    #[test]
    fn it_has_the_members_of_any_event() {
        let (event, redacted) = written(r#"{"sink":"file","state":"running"}"#);
        let expected = serde_json::json!({
            "monotonic_ns": 7,
            "event_type": "sink.state",
            "namespace": "system",
            "source": {"agent": "hookring", "version": "1.2.3"},
            "host": "host",
            "process": {"pid": 4, "elapsed_us": 0},
            "payload": {"sink": "file", "state": "running"},
        });
        assert_eq!(event, expected);
        assert!(redacted.is_empty());
    }

    #[test]
    fn a_secret_in_an_errors_text_is_taken_out_and_counted() {
        let url = "cannot reach https://ada:hunter2hunter2@example.com/";
        let (event, redacted) = written(&format!(r#"{{"error":"{url}"}}"#));
        assert!(!event.to_string().contains("hunter2"), "{event}");
        assert_eq!(redacted.secrets(), 1);
        assert_eq!(event["redactions"].as_object().map(serde_json::Map::len), Some(1));
    }
}
