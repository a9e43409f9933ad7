//! What is sent: the body, its type, and the headers that go with it, by format.

use std::fmt::Write as _;

use std::borrow::Cow;

use hookring_journal::model::Level;
use hookring_journal::{Batch, Line};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::config::Format;
use crate::jsonl::encode::encode_line;
use crate::sink::SinkError;

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// The same whenever the same events are sent.
    pub(super) id: String,
    /// Whether it is to be signed.
    pub(super) is_signed: bool,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// The most that one part of an event takes in a message for people, in characters.
const MAX_PART_CHARS: usize = 300;
/// The most that a message for people has, in bytes. Slack cuts at 40,000 characters.
const MAX_MESSAGE_BYTES: usize = 30_000;
/// A longer text is no attribute of a CloudEvent, in bytes: it may have to fit into a header.
const MAX_ATTRIBUTE_BYTES: usize = 512;
/// Says that a person asked for these events once more.
const REPLAY: &str = "hookring-replay";
/// What CloudEvents' types begin with.
const TYPE_PREFIX: &str = "dev.hookring.";

/// Makes a request of a batch. `is_single`: the receiver always gets one event, not an array of one.
/// `is_replay`: a person asked for it once more.
///
/// # Errors
///
/// If an event cannot be read, which only damage can bring about.
pub(super) fn encode(
    format: Format,
    batch: &Batch,
    is_single: bool,
    is_replay: bool,
) -> Result<Request, SinkError> {
    let events = batch.lines().map(|line| Event::read(&line, is_replay));
    let events = events.collect::<Result<Vec<_>, _>>()?;
    let mut headers = Vec::new();
    if is_replay {
        headers.push((REPLAY, "true".to_owned()));
    }
    let (content_type, body) = match format {
        Format::Json => ("application/json", json(&events, is_single)),
        Format::StandardWebhooks => ("application/json", standard(&events, is_single)?),
        Format::CloudEvents => {
            let events: Vec<_> = events.iter().map(CloudEvent::of).collect();
            match &events[..] {
                [event] if is_single => {
                    ("application/cloudevents+json", serde_json::to_vec(event)?)
                }
                events => ("application/cloudevents-batch+json", serde_json::to_vec(events)?),
            }
        }
        Format::CloudEventsBinary => {
            headers.extend(events.first().map(attributes).unwrap_or_default());
            ("application/json", json(&events, true))
        }
        Format::Slack => ("application/json", message(&events)?),
    };
    let is_signed = format == Format::StandardWebhooks;
    Ok(Request { id: id(&events), is_signed, content_type, headers, body })
}

/// The events as they are.
fn json(events: &[Event], is_single: bool) -> Vec<u8> {
    let members: Vec<_> = events.iter().map(|event| event.json.get()).collect();
    if is_single { members.concat() } else { format!("[{}]", members.join(",")) }.into_bytes()
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
    is_replay: bool,
}

/// What a request says of an event beside the event itself. Lines that an earlier hookring wrote may have
/// less.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default = "unknown")]
    event_type: Cow<'a, str>,
    #[serde(borrow, default = "unknown")]
    host: Cow<'a, str>,
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<Source<'a>>,
    #[serde(borrow, default)]
    tool_name: Option<Cow<'a, str>>,
    #[serde(default)]
    security_risk: Option<Level>,
    #[serde(borrow, default)]
    risk: Option<Vec<Finding<'a>>>,
    #[serde(borrow, default)]
    error_message: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    file_path: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    working_directory: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    agent: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Finding<'a> {
    #[serde(borrow, default)]
    evidence: Option<Cow<'a, str>>,
}

fn unknown() -> Cow<'static, str> {
    "unknown".into()
}

impl Event {
    fn read(line: &Line<'_>, is_replay: bool) -> Result<Event, SinkError> {
        let fields: Members<'_> = serde_json::from_slice(line.bytes)?;
        let mut json = Vec::new();
        encode_line(line, &mut json);
        // The newline.
        json.pop();
        Ok(Event {
            json: RawValue::from_string(String::from_utf8(json)?)?,
            words: words(&fields),
            is_replay,
            id: fields.id.into_owned(),
            event_type: fields.event_type.into_owned(),
            timestamp: fields.timestamp.into_owned(),
            host: fields.host.into_owned(),
            session_id: fields.session_id.map(Cow::into_owned),
        })
    }

    fn source(&self) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let end = self.host.floor_char_boundary(MAX_ATTRIBUTE_BYTES);
        format!("/hookring/{}", percent_encoded(&self.host[..end], is_plain))
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
    /// An extension: these may be booleans.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<bool>,
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
            subject: event.session_id.as_deref().filter(|id| is_attribute(id)),
            replay: event.is_replay.then_some(true),
            datacontenttype: "application/json",
            data: &event.json,
        }
    }
}

/// Whether a text can be an attribute (CloudEvents 1.0.2, type system: no control characters and no
/// noncharacters), and is short enough for a header.
fn is_attribute(text: &str) -> bool {
    let is_bad = |it: char| {
        it.is_control()
            || u32::from(it) & 0xfffe == 0xfffe
            || ('\u{fdd0}'..='\u{fdef}').contains(&it)
    };
    !text.is_empty() && text.len() <= MAX_ATTRIBUTE_BYTES && !text.contains(is_bad)
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
    headers.extend(event.replay.map(|replay| ("ce-replay", replay.to_string())));
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
    let mut text = String::new();
    for (at, event) in events.iter().enumerate() {
        if text.len() + event.words.len() > MAX_MESSAGE_BYTES {
            let _ = write!(text, "and {} more events", events.len() - at);
            break;
        }
        text.push_str(&event.words);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    serde_json::to_vec(&Message { text })
}

/// Who did what, how risky it is, and where.
fn words(fields: &Members<'_>) -> String {
    let agent = fields.source.as_ref().and_then(|source| source.agent.as_deref());
    let mut line =
        format!("*{}* {}", escaped(agent.unwrap_or("hookring")), escaped(&fields.event_type));
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
    for char in text.chars().take(MAX_PART_CHARS) {
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
