//! Why something failed, in one of few words: `error.type` must not be as long as an error's text.

use std::borrow::Cow;

use super::event::Event;

/// The class of the failure that an event tells of. `otherwise`: where nothing more is known.
pub(super) fn error_type(event: &Event<'_>, otherwise: &'static str) -> Cow<'static, str> {
    if &*event.event_type == "permission.denied" {
        return "denied".into();
    }
    if event.classification.as_deref() == Some("user") {
        return "cancelled".into();
    }
    if let Some(code @ 1..=255) = event.exit_code {
        return format!("exit_code_{code}").into();
    }
    let text = event.error_message.as_deref().unwrap_or_default();
    let text = &text[..text.floor_char_boundary(LOOKED_AT_BYTES)];
    let text = text.to_ascii_lowercase();
    let known = WORDS.iter().find(|(words, _)| words.iter().any(|word| text.contains(word)));
    known.map_or(otherwise, |(_, class)| class).into()
}

/// How much of an error's text is looked at, in bytes.
const LOOKED_AT_BYTES: usize = 512;

/// What stands in texts of errors, and what that is called. The first counts.
const WORDS: &[(&[&str], &str)] = &[
    (&["timed out", "timeout", "deadline exceeded"], "timeout"),
    (&["rate_limit", "rate limit", "too many requests", "429"], "rate_limit"),
    (&["overloaded"], "overloaded"),
    (&["billing", "quota", "credit"], "quota"),
    (&["authentication", "unauthorized", "401"], "unauthorized"),
    (&["permission denied", "denied", "not allowed", "eacces", "forbidden"], "denied"),
    (&["no such file", "not found", "enoent", "does not exist"], "not_found"),
    (&["interrupted", "cancelled", "canceled", "aborted"], "cancelled"),
    (&["exit code", "exited with", "non-zero"], "exit_code"),
];

#[cfg(test)]
mod tests {
    use hookring_journal::Line;

    use super::*;

    #[test]
    fn failures_have_few_names() {
        for (members, class) in [
            (r#""event_type":"permission.denied""#, "denied"),
            (r#""classification":"user""#, "cancelled"),
            (r#""exit_code":2,"error_message":"timeout""#, "exit_code_2"),
            (r#""exit_code":70000,"error_message":"it Timed out""#, "timeout"),
            (r#""error_message":"rate_limit""#, "rate_limit"),
            (r#""error_message":"EACCES: permission denied""#, "denied"),
            (r#""error_message":"ENOENT""#, "not_found"),
            (r#""error_message":"Exit code 2""#, "exit_code"),
            (r#""error_message":"something with /home/ada in it""#, "tool_error"),
            (r#""success":false"#, "tool_error"),
        ] {
            let text = format!(r#"{{"id":"e",{members}}}"#);
            let line = Line { seq: 1, bytes: text.as_bytes() };
            let event = Event::read(&line, false).expect("an event");
            assert_eq!(error_type(&event, "tool_error"), class, "{members}");
        }
    }
}
