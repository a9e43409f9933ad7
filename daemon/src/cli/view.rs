//! An event as people read it: one line with time, agent, event, and what it is about.

use std::borrow::Cow;

use anstyle::Style;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::style::{ERROR, FAINT, GOOD, HEADING, WARNING, printable};

/// The longest summary that is shown, in characters.
const SUMMARY_CHARS: usize = 90;
/// The longest name of an event or an agent that is shown, in characters; known ones are shorter.
const NAME_CHARS: usize = 40;

/// The members of a journal line that are shown. Strings that a reader of JSON refuses (lone
/// surrogates) make the line unreadable here; the journal still has it.
#[derive(Deserialize)]
struct Line<'a> {
    timestamp: Cow<'a, str>,
    event: Option<Cow<'a, str>>,
    session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Source<'a>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    parse_error: Option<Cow<'a, str>>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    agent: Option<Cow<'a, str>>,
}

/// One line for a person, with colours, without a newline; control characters are escaped.
pub fn event_line(line: &[u8]) -> String {
    let Ok(event) = serde_json::from_slice::<Line<'_>>(line) else {
        return format!(
            "{WARNING}an event that cannot be shown here; it is in the journal{WARNING:#}"
        );
    };
    let time = event.timestamp.get(11..23).unwrap_or(&event.timestamp);
    let name = event.event.as_deref().unwrap_or("-");
    let session = event.session_id.as_deref().unwrap_or("-");
    let session: String = session.chars().take(8).collect();
    let agent = event.source.as_ref().and_then(|source| source.agent.as_deref());
    let summary = match &event.parse_error {
        Some(error) => format!("not JSON: {error}"),
        None => event.payload.map(|payload| summary(payload.get())).unwrap_or_default(),
    };
    let cut = if event.truncated { " (cut)" } else { "" };
    let colour = colour(name);
    let [name, agent] = [name, agent.unwrap_or("")].map(|name| shortened(name, NAME_CHARS));
    let [name, agent, session, summary] = [&*name, &*agent, &session, &summary].map(printable);
    format!(
        "{FAINT}{time}{FAINT:#}  {FAINT}{session:<8}{FAINT:#}  {agent:<11} {colour}{name:<20}{colour:#}  {summary}{cut}"
    )
}

fn colour(event: &str) -> Style {
    let event = event.to_ascii_lowercase();
    let has = |part: &str| event.contains(part);
    match () {
        () if has("fail") || has("error") || has("denied") => ERROR,
        () if has("permission") || has("notification") => WARNING,
        () if has("session") || has("stop") => HEADING,
        () if has("prompt") || has("agent") => GOOD,
        () => Style::new(),
    }
}

/// What an event is about, from the members that agents use for it.
fn summary(payload: &str) -> String {
    let Ok(payload) = serde_json::from_str::<Value>(payload) else { return String::new() };
    let text = |value: &Value, name: &str| value.get(name)?.as_str().map(str::to_owned);
    let mut parts = Vec::new();
    parts.extend(["tool_name", "toolName"].iter().find_map(|name| text(&payload, name)));
    let input = ["tool_input", "toolArgs", "tool_info"].iter().find_map(|name| payload.get(name));
    let about = ["command", "command_line", "file_path", "pattern", "url", "query", "description"];
    parts.extend(input.and_then(|input| about.iter().find_map(|name| text(input, name))));
    if parts.is_empty() {
        let said = [
            "prompt",
            "message",
            "task_subject",
            "error",
            "agent_type",
            "file_path",
            "trigger",
            "source",
            "reason",
        ];
        parts.extend(said.iter().find_map(|name| text(&payload, name)));
    } else {
        parts.extend(text(&payload, "error"));
    }
    let line = parts.join("  ").split_whitespace().collect::<Vec<_>>().join(" ");
    shortened(&line, SUMMARY_CHARS).into_owned()
}

/// The beginning of a text that is too long, marked as such.
fn shortened(text: &str, chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> String {
        anstream::adapter::strip_str(&event_line(line.as_bytes())).to_string()
    }

    #[test]
    fn an_event_is_one_harmless_line() {
        let line = r#"{"timestamp":"2026-11-21T05:10:11.123456789Z","source":{"agent":"claude-code"},"session_id":"0123456789","event":"PreToolUse","payload":{"tool_name":"Bash","tool_input":{"command":"printf '\u001b[31m'\nls"}}}"#;
        assert_eq!(
            plain(line),
            r"05:10:11.123  01234567  claude-code PreToolUse            Bash printf '\u{1b}[31m' ls"
        );
    }

    #[test]
    fn no_name_fills_the_terminal() {
        let long = "n".repeat(5000);
        let line = format!(
            r#"{{"timestamp":"2026-11-21T05:10:11.123456789Z","source":{{"agent":"{long}"}},"event":"{long}","payload":{{"prompt":"{long}"}}}}"#
        );
        assert!(plain(&line).chars().count() < 250);
    }

    #[test]
    fn what_is_not_json_says_so() {
        let line = r#"{"timestamp":"2026-11-21T05:10:11.123456789Z","payload_text":"x","parse_error":"expected a value at byte 0"}"#;
        assert!(plain(line).ends_with("not JSON: expected a value at byte 0"));
    }

    #[test]
    fn a_line_that_serde_refuses_is_said_to_be_there() {
        assert!(plain(r#"{"timestamp":"\udc9d"}"#).contains("cannot be shown"));
    }
}
