//! What is sent: the body, its type, and the headers that go with it, by format.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use hookring_journal::text::push_json_string;
use hookring_journal::{Batch, Line};
use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};

use super::config::Format;
use super::message;
use crate::jsonl::encode::encode_line;
use crate::sink::SinkError;

/// One request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// The same whenever the same events are sent; empty if it is not to be signed.
    pub(super) id: String,
    /// Whether it is to be signed.
    pub(super) is_signed: bool,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// A longer text is no attribute of a CloudEvent, in bytes: it may have to fit into a header.
const MAX_ATTRIBUTE_BYTES: usize = 512;
/// Says that a person asked for these events once more.
const REPLAY: &str = "hookring-replay";
/// What CloudEvents' types begin with.
const TYPE_PREFIX: &str = "dev.hookring.";

/// Makes a request of a batch. `is_single`: the receiver always gets one event, not an array of one.
/// `is_replay`: a person asked for it once more. `body`: its memory is used again.
///
/// # Errors
///
/// If an event cannot be read, which only damage can bring about.
pub(super) fn encode(
    format: Format,
    batch: &Batch,
    is_single: bool,
    is_replay: bool,
    mut body: Vec<u8>,
) -> Result<Request, SinkError> {
    body.clear();
    body.reserve(batch.bytes().len());
    let mut request = Request {
        id: String::new(),
        is_signed: format == Format::StandardWebhooks,
        content_type: "application/json",
        headers: Vec::new(),
        body,
    };
    if is_replay {
        request.headers.push((REPLAY, "true".to_owned()));
    }
    let body = &mut request.body;
    match format {
        Format::Json => push_all(body, batch, is_single, push_event),
        Format::StandardWebhooks => request.id = push_standard(body, batch, is_single)?,
        Format::CloudEvents => {
            request.content_type = if is_single {
                "application/cloudevents+json"
            } else {
                "application/cloudevents-batch+json"
            };
            let mut read = Ok(());
            push_all(body, batch, is_single, |body, line| match Head::read(line.bytes) {
                Ok(head) => push_cloud_event(body, &head, line, is_replay),
                Err(error) => read = Err(error),
            });
            read?;
        }
        Format::CloudEventsBinary => {
            push_all(body, batch, true, push_event);
            if let Some(line) = batch.lines().next() {
                request.headers.extend(attributes(&Head::read(line.bytes)?, is_replay));
            }
        }
        Format::Slack => {
            body.push(b'{');
            push_member(body, "text", &message::text(batch)?);
            body.push(b'}');
        }
    }
    Ok(request)
}

/// The event as it is: a line without its end.
fn push_event(out: &mut Vec<u8>, line: &Line<'_>) {
    encode_line(line, out);
    out.pop();
}

/// All events, each by `push`, in an array unless there is always one.
fn push_all(
    out: &mut Vec<u8>,
    batch: &Batch,
    is_single: bool,
    mut push: impl FnMut(&mut Vec<u8>, &Line<'_>),
) {
    if !is_single {
        out.push(b'[');
    }
    for (at, line) in batch.lines().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push(out, &line);
    }
    if !is_single {
        out.push(b']');
    }
}

fn push_member(out: &mut Vec<u8>, name: &str, value: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    push_json_string(out, name);
    out.push(b':');
    push_json_string(out, value);
}

/// The message of Standard Webhooks. Returns its id: one event's own; of several, what only these events in this
/// order have.
fn push_standard(out: &mut Vec<u8>, batch: &Batch, is_single: bool) -> Result<String, SinkError> {
    let (mut hash, mut last) = (Sha256::new(), Head::default());
    for line in batch.lines() {
        last = Head::read(line.bytes)?;
        hash.update(last.id.as_bytes());
    }
    out.push(b'{');
    push_member(out, "type", if is_single { &last.event_type } else { "batch" });
    push_member(out, "timestamp", &last.timestamp);
    out.extend_from_slice(b",\"data\":");
    push_all(out, batch, is_single, push_event);
    out.push(b'}');
    if batch.len() == 1 {
        return Ok(last.id.into_owned());
    }
    let mut id = "batch_".to_owned();
    for byte in &hash.finalize()[..16] {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    Ok(id)
}

/// What a request says of an event beside the event itself. Lines that an earlier hookring wrote may have less.
#[derive(Debug)]
struct Head<'a> {
    id: Cow<'a, str>,
    timestamp: Cow<'a, str>,
    event_type: Cow<'a, str>,
    host: Cow<'a, str>,
    session_id: Option<Cow<'a, str>>,
    /// All of it was read, though not all of the line.
    is_whole: bool,
}

impl Default for Head<'_> {
    fn default() -> Self {
        Head {
            id: Cow::default(),
            timestamp: Cow::default(),
            event_type: "unknown".into(),
            host: "unknown".into(),
            session_id: None,
            is_whole: false,
        }
    }
}

/// The members of a line, of which those that can be long come last.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Id,
    Timestamp,
    EventType,
    Host,
    SessionId,
    Command,
    ToolParameters,
    Payload,
    PayloadText,
    PayloadBase64,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Head<'a> {
    /// Reads a line up to what can be long.
    fn read(line: &'a [u8]) -> Result<Head<'a>, SinkError> {
        let mut head = Head::default();
        let read =
            serde_json::Deserializer::from_slice(line).deserialize_map(HeadReader(&mut head));
        match read {
            Err(error) if !head.is_whole => Err(error.into()),
            _ => Ok(head),
        }
    }
}

struct HeadReader<'h, 'a>(&'h mut Head<'a>);

impl<'a> Visitor<'a> for HeadReader<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<(), A::Error> {
        let head = self.0;
        while let Some(name) = members.next_key()? {
            match name {
                Name::Id => head.id = members.next_value::<Text<'a>>()?.0,
                Name::Timestamp => head.timestamp = members.next_value::<Text<'a>>()?.0,
                Name::EventType => head.event_type = members.next_value::<Text<'a>>()?.0,
                Name::Host => head.host = members.next_value::<Text<'a>>()?.0,
                Name::SessionId => {
                    let id = members.next_value::<Option<Text<'a>>>()?;
                    head.session_id = id.map(|text| text.0);
                }
                Name::Other => drop(members.next_value::<IgnoredAny>()?),
                _ => {
                    head.is_whole = !head.id.is_empty();
                    return Err(A::Error::custom("what follows is not looked at"));
                }
            }
        }
        if head.id.is_empty() { Err(A::Error::missing_field("id")) } else { Ok(()) }
    }
}

impl Head<'_> {
    fn source(&self) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let end = self.host.floor_char_boundary(MAX_ATTRIBUTE_BYTES);
        format!("/hookring/{}", percent_encoded(&self.host[..end], is_plain))
    }

    fn subject(&self) -> Option<&str> {
        self.session_id.as_deref().filter(|id| is_attribute(id))
    }

    fn cloud_type(&self) -> String {
        let end = self.event_type.floor_char_boundary(MAX_ATTRIBUTE_BYTES);
        let name = &self.event_type[..end];
        format!("{TYPE_PREFIX}{}", if is_attribute(name) { name } else { "unknown" })
    }
}

/// An event in the JSON format of CloudEvents. `replay` is an extension, which may be a boolean.
fn push_cloud_event(out: &mut Vec<u8>, head: &Head<'_>, line: &Line<'_>, is_replay: bool) {
    out.push(b'{');
    push_member(out, "specversion", "1.0");
    push_member(out, "id", &head.id);
    push_member(out, "source", &head.source());
    push_member(out, "type", &head.cloud_type());
    push_member(out, "time", &head.timestamp);
    if let Some(subject) = head.subject() {
        push_member(out, "subject", subject);
    }
    if is_replay {
        out.extend_from_slice(b",\"replay\":true");
    }
    push_member(out, "datacontenttype", "application/json");
    out.extend_from_slice(b",\"data\":");
    push_event(out, line);
    out.push(b'}');
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
fn attributes(head: &Head<'_>, is_replay: bool) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("ce-specversion", "1.0".to_owned()),
        ("ce-id", head.id.clone().into_owned()),
        ("ce-source", head.source()),
        ("ce-type", head.cloud_type()),
        ("ce-time", head.timestamp.clone().into_owned()),
    ];
    headers.extend(head.subject().map(|subject| ("ce-subject", subject.to_owned())));
    if is_replay {
        headers.push(("ce-replay", "true".to_owned()));
    }
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
