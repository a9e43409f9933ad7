//! What is sent: the body, its type, and the headers that go with it, by format.

use std::fmt::Write as _;

use hookring_journal::{Batch, Fields, Line};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::jsonl::encode::encode_line;
use crate::sink::SinkError;

/// What a receiver wants to read.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// `{"type", "timestamp", "data"}`, with an id and a signature in headers: Standard Webhooks 1.0.0.
    StandardWebhooks,
    /// CloudEvents 1.0.2 in the structured mode, or its batch format.
    CloudEvents,
    /// CloudEvents 1.0.2 in the binary mode: its attributes are headers. One event per request.
    CloudEventsBinary,
    /// The event as it is; a batch is an array.
    Json,
    /// A message that people read: `{"text"}`.
    Slack,
}

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// The same whenever the same events are sent.
    pub(super) id: String,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// The most that one event takes in a message for people, in characters.
const MAX_LINE_CHARS: usize = 300;
/// What CloudEvents' types begin with.
const TYPE_PREFIX: &str = "dev.hookring.";

/// Makes a request of a batch. `is_single`: the receiver always gets one event, not an array of one.
///
/// # Errors
///
/// If an event cannot be read, which only damage can bring about.
pub(super) fn encode(format: Format, batch: &Batch, is_single: bool) -> Result<Request, SinkError> {
    let events: Vec<Event> = batch.lines().map(|line| Event::read(&line)).collect::<Result<_, _>>()?;
    let id = id(&events);
    let all = || {
        let members: Vec<_> = events.iter().map(|event| event.json.get()).collect();
        if is_single { members.concat() } else { format!("[{}]", members.join(",")) }
    };
    let mut headers = Vec::new();
    let (content_type, body) = match format {
        Format::Json => ("application/json", all().into_bytes()),
        Format::StandardWebhooks => ("application/json", standard(&events, is_single)?),
        Format::CloudEvents if is_single => {
            let events = events.iter().map(CloudEvent::of);
            let body = events.map(|event| serde_json::to_vec(&event)).collect::<Result<Vec<_>, _>>()?;
            ("application/cloudevents+json", body.concat())
        }
        Format::CloudEvents => {
            let events: Vec<_> = events.iter().map(CloudEvent::of).collect();
            ("application/cloudevents-batch+json", serde_json::to_vec(&events)?)
        }
        Format::CloudEventsBinary => {
            headers = events.first().map(attributes).unwrap_or_default();
            ("application/json", events.iter().flat_map(|it| it.json.get().bytes()).collect())
        }
        Format::Slack => ("application/json", message(&events)?),
    };
    Ok(Request { id, content_type, headers, body })
}

/// An event as it is sent, and what stands in it.
struct Event {
    json: Box<RawValue>,
    id: String,
    event_type: String,
    timestamp: String,
    host: String,
    session_id: Option<String>,
    words: String,
}

impl Event {
    fn read(line: &Line<'_>) -> Result<Event, SinkError> {
        let fields: Fields<'_> = serde_json::from_slice(line.bytes)?;
        let mut json = Vec::new();
        encode_line(line, &mut json);
        let json = String::from_utf8(json)?;
        Ok(Event {
            json: RawValue::from_string(json.trim_end().to_owned())?,
            words: words(&fields),
            id: fields.id.into_owned(),
            event_type: fields.event_type.into_owned(),
            timestamp: fields.timestamp.into_owned(),
            host: fields.host.into_owned(),
            session_id: fields.session_id.map(|id| id.into_owned()),
        })
    }

    fn source(&self) -> String {
        format!("/hookring/{}", percent_encoded(&self.host, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)))
    }
}

/// One event's own id; of several, what only these events in this order have.
fn id(events: &[Event]) -> String {
    if let [event] = events {
        return event.id.clone();
    }
    let mut hash = Sha256::new();
    events.iter().for_each(|event| hash.update(&event.id));
    let mut id = "batch_".to_owned();
    for byte in &hash.finalize()[..16] {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

fn standard(events: &[Event], is_single: bool) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Payload<'a, D> {
        r#type: &'a str,
        timestamp: &'a str,
        data: D,
    }
    let last = events.last();
    let timestamp = last.map_or("", |event| &event.timestamp);
    match events {
        [event] if is_single => {
            serde_json::to_vec(&Payload { r#type: &event.event_type, timestamp, data: &event.json })
        }
        events => {
            let data: Vec<_> = events.iter().map(|event| &event.json).collect();
            serde_json::to_vec(&Payload { r#type: "batch", timestamp, data })
        }
    }
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    datacontenttype: &'static str,
    data: &'a RawValue,
}

impl CloudEvent<'_> {
    fn of(event: &Event) -> CloudEvent<'_> {
        CloudEvent {
            specversion: "1.0",
            id: &event.id,
            source: event.source(),
            r#type: format!("{TYPE_PREFIX}{}", event.event_type),
            time: &event.timestamp,
            subject: event.session_id.as_deref().filter(|id| !id.is_empty()),
            datacontenttype: "application/json",
            data: &event.json,
        }
    }
}

/// CloudEvents' attributes as headers, by its HTTP binding (version 1.0.2, section 3.1.3).
fn attributes(event: &Event) -> Vec<(&'static str, String)> {
    let event = CloudEvent::of(event);
    let mut headers = vec![
        ("ce-specversion", event.specversion.to_owned()),
        ("ce-id", event.id.to_owned()),
        ("ce-source", event.source),
        ("ce-type", event.r#type),
        ("ce-time", event.time.to_owned()),
    ];
    headers.extend(event.subject.map(|subject| ("ce-subject", subject.to_owned())));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'%';
    headers.iter_mut().for_each(|(_, value)| *value = percent_encoded(value, is_plain));
    headers
}

fn percent_encoded(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Events in words, a line each, as Slack reads them.
fn message(events: &[Event]) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Message {
        text: String,
    }
    let lines: Vec<_> = events.iter().map(|event| event.words.as_str()).collect();
    serde_json::to_vec(&Message { text: lines.join("\n") })
}

/// Who did what, how risky it is, and where.
fn words(fields: &Fields<'_>) -> String {
    let agent = fields.source.as_ref().and_then(|source| source.agent.as_deref());
    let mut line = format!("*{}* {}", escaped(agent.unwrap_or("hookring")), escaped(&fields.event_type));
    if let Some(tool) = &fields.tool_name {
        let _ = write!(line, " `{}`", escaped(tool));
    }
    if let Some(risk) = &fields.security_risk {
        let _ = write!(line, " *{}*", risk.name());
    }
    let finding = fields.risk.as_ref().and_then(|findings| findings.first());
    let evidence = finding.and_then(|finding| finding.evidence.as_deref());
    let about = evidence.or(fields.error_message.as_deref()).or(fields.file_path.as_deref());
    if let Some(about) = about {
        let _ = write!(line, ": {}", escaped(about));
    }
    if let Some(directory) = &fields.working_directory {
        let _ = write!(line, " _in {}_", escaped(directory));
    }
    line
}

/// Without what Slack reads as more than text, on one line and not too long.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars().take(MAX_LINE_CHARS) {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '`' => out.push('\''),
            char if char.is_control() => out.push(' '),
            char => out.push(char),
        }
    }
    out
}
