//! One dead letter, as it stands in its file.

use std::borrow::Cow;

use hookring_journal::Seq;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::jsonl::encode::line_seq;

/// What stands first on the line of a letter that was sent again and is done with, in place of the brace.
pub(super) const DONE: u8 = b'-';

/// A line of a file of dead letters.
#[derive(Debug, Deserialize)]
pub struct Letter<'a> {
    /// The sink that did not take it.
    #[serde(borrow)]
    pub sink: Cow<'a, str>,
    /// When that was.
    pub at: Timestamp,
    /// The code of the answer, if it had one.
    pub status: Option<u16>,
    /// The answer's words.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// How often it was sent.
    pub attempts: u32,
    /// The event, as sinks get it.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

/// What of its event a letter is known by.
#[derive(Debug, Deserialize)]
pub struct LetterEvent<'a> {
    /// The event's number in the journal.
    pub seq: Seq,
    /// Its id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// What happened.
    #[serde(borrow, default)]
    pub event_type: Option<Cow<'a, str>>,
    /// In which session.
    #[serde(borrow, default)]
    pub session_id: Option<Cow<'a, str>>,
}

impl<'a> Letter<'a> {
    /// From a line without its newline; `None` if it is none, is done with, or has no event that could be sent
    /// again: one that begins with its number, and has an id.
    pub fn parse(line: &'a [u8]) -> Option<Letter<'a>> {
        let letter: Letter<'a> = serde_json::from_slice(line).ok()?;
        let is_whole = letter.event().is_some() && letter.members().is_some();
        is_whole.then_some(letter)
    }

    /// Its event.
    pub fn event(&self) -> Option<LetterEvent<'a>> {
        serde_json::from_str(self.event.get()).ok()
    }

    /// What follows the number in the event's JSON: its members, from the comma on.
    pub(super) fn members(&self) -> Option<&'a [u8]> {
        let text = self.event.get().as_bytes();
        line_seq(text)?;
        let comma = text.iter().position(|byte| *byte == b',')?;
        Some(&text[comma..])
    }
}
