//! An event as it is known when it is journaled, and how its fields are written.
//!
//! The payload is written before the members that can be found in it (`event`, `session_id`,
//! `working_directory`): so it is compacted straight into the line, in one pass, without a copy.

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::compact::{NotJson, compact};
use crate::text::{push_decimal, push_hex, push_json_string, push_timestamp};

/// The version of the event's fields, written first in every line.
pub const EVENT_VERSION: u64 = 1;

/// A longer payload is cut to this and kept as text or base64.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// Longer values of `agent`, `event`, `session_id` and `working_directory` are cut to this; a member
/// of the payload that is longer is not taken over (it is in the payload, whole).
pub const MAX_FIELD_BYTES: usize = 64 << 10;

/// Arguments beyond this, together with three bytes for each, are left out.
pub const MAX_ARGUMENTS_BYTES: usize = 1 << 20;

/// The agent whose hooks get arguments and lines of text, never JSON: text is no error there.
const TEXT_AGENT: &str = "git";

/// One hook event.
#[derive(Copy, Clone, Debug)]
pub struct Event<'a> {
    /// The UUID that was made when the event was published.
    pub id: [u8; 16],
    /// Wall clock at publication, Unix nanoseconds.
    pub timestamp_ns: i64,
    /// `CLOCK_BOOTTIME` at publication, nanoseconds; `None` if it is of another boot or time namespace.
    pub monotonic_ns: Option<u64>,
    /// Which agent it came from, if known.
    pub agent: Option<&'a str>,
    /// The agent's own name of the event; if `None`, the payload is asked.
    pub event: Option<&'a str>,
    /// The agent's session; if `None`, the payload is asked.
    pub session_id: Option<&'a str>,
    /// Where the hook's process ran; written where the payload does not say where the agent works. A
    /// path need not be UTF-8: then it is written as `working_directory_base64`.
    pub working_directory: Option<&'a [u8]>,
    /// The publishing process.
    pub pid: u32,
    /// Microseconds from that process's start to publication.
    pub elapsed_us: u32,
    /// What the hook was given besides the payload. If one is not UTF-8, all are written as
    /// `arguments_base64`.
    pub arguments: &'a [&'a [u8]],
    /// The payload was cut off before it was published.
    pub truncated: bool,
    /// What the agent handed to the hook.
    pub payload: Payload<'a>,
}

/// What an event carries.
#[derive(Copy, Clone, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The bytes as the hook got them: JSON or anything else.
    Raw(&'a [u8]),
}

impl fmt::Debug for Payload<'_> {
    /// Says only how long it is: payloads may hold secrets and do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Payload::Raw(bytes) = self;
        write!(f, "Payload({} bytes)", bytes.len())
    }
}

/// What became of an event when it was written.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Why the payload stands as text or base64 beside a `parse_error`; `None` also for text of an
    /// agent whose hooks get no JSON.
    pub not_json: Option<NotJson>,
    /// How many bytes of payload, fields and arguments were beyond their limits and are left out.
    pub cut_bytes: u64,
}

impl Event<'_> {
    /// Appends the event's fields, without braces: `"version":1,"id":…`. Never contains a newline.
    pub fn write_to(&self, out: &mut Vec<u8>) -> Written {
        let (event, cut_bytes) = self.within_limits();
        event.write_head(out);
        let (found, not_json) = event.write_payload(out, cut_bytes);
        event.write_tail(out, &found);
        Written { not_json, cut_bytes }
    }

    /// The same event with everything cut to its limit, and how many bytes that took away.
    fn within_limits(&self) -> (Self, u64) {
        let mut event = *self;
        let mut cut = 0;
        for field in [&mut event.agent, &mut event.event, &mut event.session_id] {
            *field = field.map(|text| {
                let kept = &text[..text.floor_char_boundary(MAX_FIELD_BYTES)];
                cut += text.len() - kept.len();
                kept
            });
        }
        event.working_directory = event.working_directory.map(|path| {
            let kept = &path[..path.len().min(MAX_FIELD_BYTES)];
            cut += path.len() - kept.len();
            kept
        });
        let mut total = 0;
        let kept = event.arguments.iter().take_while(|argument| {
            total += argument.len() + 3;
            total <= MAX_ARGUMENTS_BYTES
        });
        let (kept, left_out) = event.arguments.split_at(kept.count());
        event.arguments = kept;
        cut += left_out.iter().map(|argument| argument.len()).sum::<usize>();
        let Payload::Raw(payload) = event.payload;
        let kept = &payload[..payload.len().min(MAX_PAYLOAD_BYTES)];
        cut += payload.len() - kept.len();
        event.payload = Payload::Raw(kept);
        event.truncated |= cut > 0 || !left_out.is_empty();
        (event, cut as u64)
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"version\":");
        push_decimal(out, EVENT_VERSION);
        out.extend_from_slice(b",\"id\":\"");
        push_uuid(out, &self.id);
        out.extend_from_slice(b"\",\"timestamp\":\"");
        push_timestamp(out, self.timestamp_ns);
        out.push(b'"');
        if let Some(monotonic_ns) = self.monotonic_ns {
            out.extend_from_slice(b",\"monotonic_ns\":");
            push_decimal(out, monotonic_ns);
        }
        if let Some(agent) = self.agent {
            out.extend_from_slice(b",\"source\":{\"agent\":");
            push_json_string(out, agent);
            out.push(b'}');
        }
        out.extend_from_slice(b",\"process\":{\"pid\":");
        push_decimal(out, u64::from(self.pid));
        out.extend_from_slice(b",\"elapsed_us\":");
        push_decimal(out, u64::from(self.elapsed_us));
        out.push(b'}');
        if !self.arguments.is_empty() {
            write_arguments(out, self.arguments);
        }
        if self.truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
    }

    fn write_payload(&self, out: &mut Vec<u8>, cut_bytes: u64) -> (Found, Option<NotJson>) {
        let Payload::Raw(payload) = self.payload;
        // A hook that gets nothing on its stdin, as most of git's do, has nothing to say there.
        if payload.is_empty() {
            return (Found::default(), None);
        }
        let before = out.len();
        out.extend_from_slice(b",\"payload\":");
        let mut found = Found::default();
        match compact(payload, out, |key, value| found.note(key, value)) {
            Ok(()) => (found, None),
            Err(reason) => {
                out.truncate(before);
                write_text_or_base64(out, payload, cut_bytes);
                if self.agent == Some(TEXT_AGENT) {
                    return (Found::default(), None);
                }
                write_text(out, "parse_error", &reason.to_string());
                (Found::default(), Some(reason))
            }
        }
    }

    fn write_tail(&self, out: &mut Vec<u8>, found: &Found) {
        out.reserve(3 * 64);
        match self.event {
            Some(event) => write_text(out, "event", event),
            None => {
                found.write(out, "event", EVENT_KEYS);
            }
        }
        match self.session_id {
            Some(session) => write_text(out, "session_id", session),
            None => {
                found.write(out, "session_id", SESSION_KEYS);
            }
        }
        // An agent knows better than its hook's process where it works: it may have gone elsewhere.
        if found.write(out, "working_directory", DIRECTORY_KEYS) {
            return;
        }
        match self.working_directory.map(|path| (path, std::str::from_utf8(path))) {
            Some((_, Ok(path))) => write_text(out, "working_directory", path),
            Some((path, Err(_))) => {
                out.extend_from_slice(b",\"working_directory_base64\":");
                push_base64(out, path);
            }
            None => {}
        }
    }
}

fn write_text(out: &mut Vec<u8>, name: &str, text: &str) {
    write_name(out, name);
    push_json_string(out, text);
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn write_arguments(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    let plain = arguments.iter().all(|argument| std::str::from_utf8(argument).is_ok());
    write_name(out, if plain { "arguments" } else { "arguments_base64" });
    let mut separator = b'[';
    for argument in arguments {
        out.push(separator);
        separator = b',';
        match std::str::from_utf8(argument) {
            Ok(text) if plain => push_json_string(out, text),
            _ => push_base64(out, argument),
        }
    }
    out.push(b']');
}

/// What is not JSON is kept as text where it is UTF-8, else as base64.
fn write_text_or_base64(out: &mut Vec<u8>, payload: &[u8], cut_bytes: u64) {
    let text = match std::str::from_utf8(payload) {
        Ok(text) => Some(text),
        // The limit may have cut a character in two.
        Err(error) if cut_bytes > 0 && error.error_len().is_none() => {
            std::str::from_utf8(&payload[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    if let Some(text) = text {
        write_text(out, "payload_text", text);
    } else {
        write_name(out, "payload_base64");
        push_base64(out, payload);
    }
}

fn push_uuid(out: &mut Vec<u8>, id: &[u8; 16]) {
    for (part, separator) in [(0..4, "-"), (4..6, "-"), (6..8, "-"), (8..10, "-"), (10..16, "")] {
        push_hex(out, &id[part]);
        out.extend_from_slice(separator.as_bytes());
    }
}

fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let begin = out.len();
    out.resize(begin + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(bytes, &mut out[begin..]);
    debug_assert_eq!(written, Ok(out.len() - begin));
    out.push(b'"');
}

/// The names under which agents give these in their payloads, in the order in which they are tried.
const KEYS: [&[u8]; 17] = [
    b"hook_event_name",
    b"hookEventName",
    b"agent_action_name",
    b"hookName",
    b"type",
    b"session_id",
    b"sessionId",
    b"sessionID",
    b"conversation_id",
    b"conversationId",
    b"trajectory_id",
    b"taskId",
    b"thread-id",
    b"thread_id",
    b"cwd",
    b"workspace_roots",
    b"workspaceRoots",
];
const EVENT_KEYS: Range<usize> = 0..5;
const SESSION_KEYS: Range<usize> = 5..14;
const DIRECTORY_KEYS: Range<usize> = 14..17;

/// Where in the line the values of [`KEYS`] are; an empty range where the payload has none.
#[derive(Default)]
struct Found {
    values: [Range<usize>; KEYS.len()],
}

impl Found {
    /// If a key comes twice, the last one counts, as in most parsers.
    #[inline]
    fn note(&mut self, key: &[u8], value: Range<usize>) {
        if let Some(at) = KEYS.iter().position(|known| *known == key) {
            self.values[at] = value;
        }
    }

    /// Repeats the first value that can serve; `false`: there is none.
    fn write(&self, out: &mut Vec<u8>, name: &str, keys: Range<usize>) -> bool {
        let usable = |range: &Range<usize>| string_token(out, range.clone());
        let token = self.values[keys].iter().find_map(usable);
        if let Some(token) = token.clone() {
            write_name(out, name);
            out.extend_from_within(token);
        }
        token.is_some()
    }
}

/// The string that the value is, or the first element of the array that it is; not if it is empty,
/// too long, or holds a lone surrogate (most parsers would refuse the whole line for that).
fn string_token(line: &[u8], value: Range<usize>) -> Option<Range<usize>> {
    let begin = value.start + usize::from(line[value.clone()].first() == Some(&b'['));
    if line[begin..value.end].first() != Some(&b'"') {
        return None;
    }
    let inside = &line[begin + 1..value.end];
    let mut end = 0;
    while inside[end] != b'"' {
        end += if inside[end] == b'\\' { 2 } else { 1 };
    }
    let usable = end > 0 && end <= MAX_FIELD_BYTES && !has_lone_surrogate(&inside[..end]);
    usable.then_some(begin..begin + end + 2)
}

/// Whether the characters of a JSON string contain half a surrogate pair, as an escape.
fn has_lone_surrogate(mut characters: &[u8]) -> bool {
    while let Some(backslash) = memchr::memchr(b'\\', characters) {
        characters = &characters[backslash..];
        match escaped_unit(characters) {
            Some(0xdc00..=0xdfff) => return true,
            Some(0xd800..=0xdbff) => match escaped_unit(&characters[6..]) {
                Some(0xdc00..=0xdfff) => characters = &characters[12..],
                _ => return true,
            },
            _ => characters = &characters[2..],
        }
    }
    false
}

/// The UTF-16 unit of the escape at the beginning, `\u` and four hex digits.
fn escaped_unit(characters: &[u8]) -> Option<u16> {
    let digits = characters.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
