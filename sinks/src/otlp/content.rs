//! What people, models and tools said, found in the payloads of agents. Read only where it is switched on.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::json;
use serde_json::value::RawValue;

use super::event::Content;

/// The prompt, as `gen_ai.input.messages` has it.
pub(super) fn input_messages(content: &Content<'_>) -> Option<String> {
    let prompt = said(content, &["prompt", "user_prompt", "userPrompt", "message", "text"])?;
    Some(messages("user", &prompt))
}

/// The answer, as `gen_ai.output.messages` has it.
pub(super) fn output_messages(content: &Content<'_>) -> Option<String> {
    let names = ["last_assistant_message", "prompt_response", "response", "answer", "text"];
    Some(messages("assistant", &said(content, &names)?))
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

fn messages(role: &str, text: &str) -> String {
    json!([{"role": role, "parts": [{"type": "text", "content": text}]}]).to_string()
}

/// The first of these members that a payload has: a text as it is, anything else as JSON.
fn said<'a>(content: &Content<'a>, names: &[&str]) -> Option<Cow<'a, str>> {
    let payload: &'a str = content.payload?.get();
    let members: HashMap<Cow<'a, str>, &'a RawValue> = serde_json::from_str(payload).ok()?;
    let value: &'a str = names.iter().find_map(|name| members.get(*name))?.get();
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(value).ok().map(Cow::Owned),
        Some(b'n') => None,
        _ => Some(Cow::Borrowed(value)),
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
        let output = with(r#"{"last_assistant_message":"done"}"#, output_messages);
        assert!(output.is_some_and(|it| it.contains("done") && it.contains("assistant")));
        let result =
            with(r#"{"tool_response":{"a": [1]}}"#, |it| tool_result(it).map(Cow::into_owned));
        assert_eq!(result.as_deref(), Some(r#"{"a": [1]}"#));
        for payload in ["null", "7", "{}", r#"{"prompt":null}"#, "[]"] {
            assert_eq!(with(payload, input_messages), None, "{payload}");
        }
    }
}
