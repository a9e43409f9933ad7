//! The parts of a record that are no JSON: what the hook's command line said, its directory, and a payload that
//! cannot be parsed. Without their secrets.

use hookring_journal::event::MAX_MEMBERS_BYTES;

use crate::agents;
use crate::document::{NotJson, Value};
use crate::keep::marker;
use crate::members::Members;
use crate::pipeline::{Options, Written};
use crate::received::Received;
use crate::redact::{Redacted, Redactor};

/// The agent whose hooks get arguments and lines of text, never JSON: text is no error there.
pub(crate) const TEXT_AGENT: &str = "git";

/// See the module.
pub(crate) struct Texts {
    pub(crate) directory: Option<Vec<u8>>,
    /// Names that the command line gave, where they held a secret.
    agent: Option<String>,
    event: Option<String>,
    arguments: Vec<Vec<u8>>,
    /// The payload, if it is not JSON.
    payload: Option<Vec<u8>>,
    /// Why it is not, where that is an error.
    not_json: Option<NotJson>,
}

impl Texts {
    /// `clean_directory` is the last directory in which nothing was found: most events come from that of the
    /// event before.
    pub(crate) fn of(
        received: &Received<'_>,
        (parsed, is_cut): (Result<(), NotJson>, bool),
        options: &Options,
        clean_directory: &mut Vec<u8>,
        redacted: &mut Redacted,
    ) -> Texts {
        let mut name = |name: Option<&str>| {
            let unknown = name.filter(|name| !agents::is_a_name(name))?;
            options.redactor.redact_text(unknown, redacted)
        };
        let (agent, event) = (name(received.agent), name(received.event));
        let mut clean = |bytes: &[u8]| {
            let bytes = if is_cut { whole_characters(bytes) } else { bytes };
            without_secrets(&options.redactor, bytes, redacted)
        };
        let directory = received.directory.map(|directory| {
            if *directory != **clean_directory || is_cut {
                let cleaned = clean(directory);
                if cleaned != directory {
                    return cleaned;
                }
                clean_directory.clone_from(&cleaned);
            }
            directory.to_vec()
        });
        let arguments = received.arguments.iter().map(|argument| {
            if options.keep.keeps_argument(argument) {
                clean(argument)
            } else {
                marker(argument.len()).into_bytes()
            }
        });
        let arguments = arguments.collect();
        let is_text = received.agent == Some(TEXT_AGENT);
        let payload = parsed.is_err().then(|| match received.payload {
            // Nobody knows what it is.
            payload if !options.keep.is_all() => marker(payload.len()).into_bytes(),
            payload => clean(payload),
        });
        let not_json = parsed.err().filter(|_| !is_text);
        Texts { directory, agent, event, arguments, payload, not_json }
    }

    /// The record with the names that may be shown.
    pub(crate) fn named<'a>(&'a self, received: &Received<'a>) -> Received<'a> {
        Received {
            agent: self.agent.as_deref().or(received.agent),
            event: self.event.as_deref().or(received.event),
            ..*received
        }
    }

    /// Writes arguments and payload: `payload` if it is JSON, else `payload_text` or `payload_base64`. `begin` is
    /// where the event's members begin.
    pub(crate) fn write(
        &self,
        root: Option<Value<'_>>,
        begin: usize,
        members: &mut Members<'_>,
        written: &mut Written,
    ) {
        self.write_arguments(members);
        let before = members.bytes();
        // (Of what is only an object at its begin, all is there as it was.)
        if let Some(root) = root.filter(|_| self.payload.is_none()) {
            root.write_to(members.name("payload"));
        }
        match self.payload.as_deref().map(|payload| (payload, std::str::from_utf8(payload))) {
            Some((_, Ok(text))) => members.text("payload_text", text),
            Some((payload, Err(_))) => members.base64("payload_base64", payload),
            None => {}
        }
        if members.bytes() - begin > MAX_MEMBERS_BYTES {
            let bytes = members.bytes() - before;
            members.cut_back(before);
            members.text("payload_text", &marker(bytes));
            written.cut_bytes += bytes as u64;
        }
        if let Some(reason) = self.not_json {
            members.text("parse_error", &reason.to_string());
            written.not_json = Some(reason);
        }
    }

    fn write_arguments(&self, members: &mut Members<'_>) {
        if self.arguments.is_empty() {
            return;
        }
        let texts = self.arguments.iter().map(|argument| std::str::from_utf8(argument));
        match texts.collect::<Result<Vec<_>, _>>() {
            Ok(texts) => members.texts("arguments", texts),
            Err(_) => members.base64s("arguments_base64", &self.arguments),
        }
    }
}

/// A limit may have cut the last character in two.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

fn without_secrets(redactor: &Redactor, bytes: &[u8], redacted: &mut Redacted) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            redactor.redact_text(text, redacted).map_or_else(|| bytes.to_vec(), String::into_bytes)
        }
        Err(_) => redactor.redact_bytes(bytes, redacted).unwrap_or_else(|| bytes.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_last_character_that_was_cut_in_two_is_left_out() {
        for (bytes, kept) in [
            (&b"ab\xc3"[..], &b"ab"[..]),
            ("aä".as_bytes(), "aä".as_bytes()),
            (b"a\xff\xc3", b"a\xff\xc3"),
            (b"a\xf0\x9f\x98", b"a"),
            (b"", b""),
        ] {
            assert_eq!(whole_characters(bytes), kept);
        }
    }
}
