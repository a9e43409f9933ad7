//! Events in words, for people: who did what, how risky it is, and where.

use std::borrow::Cow;
use std::fmt::Write as _;

use hookring_journal::Batch;
use hookring_journal::model::Level;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sink::SinkError;

/// The most that one part of an event takes, in characters.
const MAX_PART_CHARS: usize = 300;
/// The most that a message has, in bytes. Slack cuts at 40,000 characters.
const MAX_MESSAGE_BYTES: usize = 30_000;

/// Events in words, a line each, as Slack reads them.
///
/// # Errors
///
/// If an event cannot be read, which only damage can bring about.
pub(super) fn text(batch: &Batch) -> Result<String, SinkError> {
    let mut text = String::new();
    for (at, line) in batch.lines().enumerate() {
        let words = words(&serde_json::from_slice(line.bytes)?);
        if text.len() + words.len() > MAX_MESSAGE_BYTES {
            let more = batch.len() - at;
            let _ = write!(text, "and {more} more event{}", if more == 1 { "" } else { "s" });
            break;
        }
        text.push_str(&words);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// What a message for people is made of.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default = "unknown")]
    event_type: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
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
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

/// What an event of the daemon itself is about: the members of its `payload` that people want to read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Own {
    agent: Option<String>,
    session_id: Option<String>,
    sink: Option<String>,
    cause: Option<String>,
    count: Option<u64>,
    state: Option<String>,
    result: Option<String>,
    silent_s: Option<u64>,
    p99_us: Option<u64>,
    limit_us: Option<u64>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, default)]
    agent: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Finding<'a> {
    #[serde(borrow, default)]
    rule: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    evidence: Option<Cow<'a, str>>,
}

fn unknown() -> Cow<'static, str> {
    "unknown".into()
}

/// Who did what, how risky it is, and where.
fn words(fields: &Members<'_>) -> String {
    let agent = fields.source.as_ref().and_then(|source| source.agent.as_deref());
    let mut line =
        format!("*{}* {}", escaped(agent.unwrap_or("hookring")), escaped(&fields.event_type));
    if fields.namespace == "system" {
        let payload = fields.payload.map(RawValue::get);
        let own: Option<Own> = payload.and_then(|payload| serde_json::from_str(payload).ok());
        push_own(&mut line, &own.unwrap_or_default());
        return line;
    }
    if let Some(tool) = &fields.tool_name {
        let _ = write!(line, " `{}`", escaped(tool));
    }
    if let Some(risk) = &fields.security_risk {
        let _ = write!(line, " *{}*", risk.name());
    }
    let finding = fields.risk.as_ref().and_then(|findings| findings.first());
    if let Some(rule) = finding.and_then(|finding| finding.rule.as_deref()) {
        let _ = write!(line, " ({})", escaped(rule));
    }
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

/// What the daemon says of itself: about whom, and how that is now.
fn push_own(line: &mut String, own: &Own) {
    let Own { agent, session_id, sink, cause, state, result, .. } = own;
    for name in [agent, sink].into_iter().flatten() {
        let _ = write!(line, " `{}`", escaped(name));
    }
    if let Some(session) = session_id {
        let _ = write!(line, " session `{}`", escaped(session));
    }
    for word in [cause, state, result].into_iter().flatten() {
        let _ = write!(line, " *{}*", escaped(word));
    }
    // A session is only ever told to be silent.
    if session_id.is_some() && state.is_none() {
        line.push_str(" *silent*");
    }
    if let Some(count) = own.count {
        let _ = write!(line, " {count}");
    }
    if let Some(silent_s) = own.silent_s {
        let _ = write!(line, ": sent nothing for {}", span(silent_s));
    }
    if let (Some(p99_us), Some(limit_us)) = (own.p99_us, own.limit_us) {
        let [p99, limit] = [p99_us, limit_us].map(|us| us as f64 / 1000.0);
        let _ = write!(line, ": 99 of 100 took up to {p99:.1} ms, the limit is {limit:.1} ms");
    }
    if let Some(error) = &own.error {
        let _ = write!(line, ": {}", escaped(error));
    }
}

/// As `3d 2h`, with no more than two units.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
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
