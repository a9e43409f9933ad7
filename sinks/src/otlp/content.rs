//! What people, models and tools said, found in the payloads of agents. Read only where it is switched on.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;

use super::event::Content;

/// The prompt, as `gen_ai.input.messages` has it.
pub(super) fn input_messages(content: &Content<'_>) -> Option<String> {
    let prompt = said(content, &["prompt", "user_prompt", "userPrompt", "message", "text"])?;
    Some(json!([{"role": "user", "parts": [text_part(&prompt)]}]).to_string())
}

/// The answer, as `gen_ai.output.messages` has it: there, how it ended must be told.
pub(super) fn output_messages(content: &Content<'_>, is_failed: bool) -> Option<String> {
    let names = ["last_assistant_message", "prompt_response", "response", "answer", "text"];
    let answer = said(content, &names)?;
    let reason = if is_failed { "error" } else { "stop" };
    let message =
        json!({"role": "assistant", "parts": [text_part(&answer)], "finish_reason": reason});
    Some(json!([message]).to_string())
}

/// What a tool answered: its text, or its JSON.
pub(super) fn tool_result<'a>(content: &Content<'a>) -> Option<Cow<'a, str>> {
    const NAMES: [&str; 7] = [
        "tool_response",
        "tool_output",
        "tool_result",
        "toolResult",
        "result",
        "output",
        "response",
    ];
    said(content, &NAMES)
}

fn text_part(text: &str) -> serde_json::Value {
    json!({"type": "text", "content": text})
}

/// The first of these members that a payload has: a text as it is, anything else as JSON.
fn said<'a>(content: &Content<'a>, names: &[&str]) -> Option<Cow<'a, str>> {
    let payload: &'a str = content.payload?.get();
    let mut reader = serde_json::Deserializer::from_str(payload);
    let value: &'a str = reader.deserialize_map(First { names }).ok()??.get();
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(value).ok().map(Cow::Owned),
        Some(b'n') => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

/// Finds the member whose name comes first among these.
struct First<'n> {
    names: &'n [&'n str],
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Visitor<'a> for First<'_> {
    type Value = Option<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found: Option<(usize, &'a RawValue)> = None;
        while let Some(Name(name)) = members.next_key()? {
            let rank = self.names.iter().position(|it| *it == name);
            // Of a name that comes twice, the last one counts.
            match rank.filter(|rank| found.is_none_or(|(best, _)| *rank <= best)) {
                Some(rank) => found = Some((rank, members.next_value()?)),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found.map(|(_, value)| value))
    }
}

#[cfg(test)]
mod tests {
    use hookring_journal::Line;

    use super::super::event::Event;
    use super::*;

    fn with<T>(payload: &str, look: impl FnOnce(&Content<'_>) -> T) -> T {
        let text = format!(r#"{{"id":"e","payload":{payload}}}"#);
        let line = Line { seq: 1, bytes: text.as_bytes() };
        look(&Event::read(&line, true).expect("an event").content.expect("content"))
    }

    #[test]
    fn what_was_said_is_found() {
        let input = with(r#"{"prompt":"say \"x\""}"#, input_messages);
        let expected = r#"[{"parts":[{"content":"say \"x\"","type":"text"}],"role":"user"}]"#;
        assert_eq!(input.as_deref(), Some(expected));
        for (is_failed, reason) in [(false, "stop"), (true, "error")] {
            let payload = r#"{"last_assistant_message":"done"}"#;
            let output = with(payload, |content| output_messages(content, is_failed));
            let expected = format!(
                r#"[{{"finish_reason":"{reason}","parts":[{{"content":"done","type":"text"}}],"role":"assistant"}}]"#
            );
            assert_eq!(output, Some(expected));
        }
        let result =
            with(r#"{"tool_response":{"a": [1]}}"#, |it| tool_result(it).map(Cow::into_owned));
        assert_eq!(result.as_deref(), Some(r#"{"a": [1]}"#));
        for payload in ["null", "7", "{}", r#"{"prompt":null}"#, "[]"] {
            assert_eq!(with(payload, input_messages), None, "{payload}");
        }
    }
}
