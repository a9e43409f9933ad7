//! Takes secrets out of a payload before anything else sees it: by the names of members, by the shape
//! of values, by the values of the daemon's own variables, and by the user's patterns; inside strings
//! that hold JSON, shell, escapes or base64, too.
//!
//! One pass for keywords decides which strings are looked into at all, and which rules with them. A
//! secret is replaced by `[redacted:RULE:HASH]`, in which the hash is keyed, so that equal secrets can
//! be joined. What was redacted is not redacted again.

use std::sync::Arc;

use crate::document::{Document, NodeId};
use crate::steps::{Step, Watch};

mod assigned;
mod encoded;
mod engine;
mod environment;
mod escapes;
mod keywords;
mod marker;
mod members;
mod names;
mod plausible;
mod rules;
mod text;

use engine::{Engine, Tally};

/// The least that [`Options::max_text_bytes`] may be.
pub const MIN_TEXT_BYTES: usize = 64;

/// What a [`Redactor`] is made of.
pub struct Options {
    /// For the short hash of each secret. Whoever has it can try guesses.
    pub key: [u8; 32],
    /// The daemon's own variables. Values of those that are named like secrets are redacted.
    pub environment: Vec<(String, String)>,
    /// Names of members whose values are secrets, beside the built-in ones.
    pub extra_keys: Vec<String>,
    /// The user's patterns.
    pub patterns: Vec<UserPattern>,
    /// The ids of rules that are switched off.
    pub disabled: Vec<String>,
    /// Longer texts are cut, in bytes; at least [`MIN_TEXT_BYTES`].
    pub max_text_bytes: usize,
}

/// A pattern for secrets that a user has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserPattern {
    /// The rule's id: lower-case letters, digits and `-`.
    pub name: String,
    /// In the syntax of the crate `regex`. The secret is the group `secret`, or the first group, or all.
    pub pattern: String,
    /// It is only looked for in texts that have one of these (in any case); without any, in all texts.
    pub keywords: Vec<String>,
}

/// Why no [`Redactor`] can be made.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// A user's pattern has a fault.
    #[error(
        "the pattern `{name}` for secrets is wrong at byte {offset}: {reason}; correct it or leave it out"
    )]
    BadPattern {
        /// The pattern's name.
        name: String,
        /// Where in the pattern the fault is, in bytes.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A user's pattern takes too much memory.
    #[error(
        "the pattern `{name}` for secrets takes more than {limit_bytes} bytes when compiled; repeat less in it"
    )]
    LargePattern {
        /// The pattern's name.
        name: String,
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// A user's pattern has a name that is no id.
    #[error(
        "a pattern for secrets cannot be called `{name}`; use up to {max_bytes} of a-z, 0-9 and `-`"
    )]
    BadName {
        /// The name.
        name: String,
        /// The longest name, in bytes.
        max_bytes: usize,
    },
    /// Two rules would have one id.
    #[error("there is a rule for secrets called `{name}` already; give the pattern another name")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A keyword that is too short to be worth looking for.
    #[error(
        "the keyword `{keyword}` of the pattern `{name}` for secrets has fewer than {min_bytes} bytes; take a longer one"
    )]
    ShortKeyword {
        /// The pattern's name.
        name: String,
        /// The keyword.
        keyword: String,
        /// The least, in bytes.
        min_bytes: usize,
    },
    /// An extra key without letters.
    #[error(
        "the key `{key}` for secrets has fewer than {min_bytes} letters or digits; take a longer one"
    )]
    ShortKey {
        /// The key.
        key: String,
        /// The least, in letters and digits.
        min_bytes: usize,
    },
    /// A rule that is to be off does not exist.
    #[error(
        "there is no rule for secrets called `{id}` to switch off; the rules' ids are in docs/redaction.md"
    )]
    UnknownRule {
        /// The id.
        id: String,
    },
    /// More patterns than can be numbered.
    #[error("there are more than {max} patterns for secrets; leave some out")]
    TooManyPatterns {
        /// The most.
        max: usize,
    },
    /// Texts would be cut too short.
    #[error("texts cannot be cut to {max_text_bytes} bytes; allow at least {min_bytes}")]
    ShortText {
        /// What was asked for.
        max_text_bytes: usize,
        /// The least.
        min_bytes: usize,
    },
    /// The built-in rules cannot be read.
    #[error("the built-in rules for secrets cannot be read; this build is broken")]
    Rules(#[source] toml::de::Error),
}

/// What was taken out.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Redacted {
    by_rule: Vec<(Arc<str>, u64)>,
    cut_bytes: u64,
}

impl Redacted {
    /// The ids of rules that found something, and how many secrets each.
    pub fn rules(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_rule.iter().map(|(id, times)| (&**id, *times))
    }

    /// How many secrets were taken out.
    pub fn secrets(&self) -> u64 {
        self.by_rule.iter().map(|(_, times)| times).sum()
    }

    /// How many bytes of long texts were cut off.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Whether everything is as it was.
    pub fn is_empty(&self) -> bool {
        self.by_rule.is_empty() && self.cut_bytes == 0
    }

    /// Adds what was taken out elsewhere.
    pub(crate) fn add_all(&mut self, other: &Redacted) {
        other.by_rule.iter().for_each(|(id, times)| self.add(id, *times));
        self.cut_bytes += other.cut_bytes;
    }

    fn add(&mut self, id: &Arc<str>, times: u64) {
        match self.by_rule.iter_mut().find(|(other, _)| other == id) {
            Some((_, count)) => *count += times,
            None => self.by_rule.push((id.clone(), times)),
        }
    }
}

/// Takes secrets out of documents and texts.
pub struct Redactor {
    engine: Engine,
    /// The strings of a document that are looked into; kept for its memory.
    flagged: Vec<NodeId>,
}

impl Redactor {
    /// Reads the rules and puts together what all of them look for.
    ///
    /// # Errors
    ///
    /// If a pattern, a name or a limit cannot be used; see [`RedactError`].
    pub fn new(options: Options) -> Result<Redactor, RedactError> {
        Ok(Redactor { engine: Engine::new(options)?, flagged: Vec::new() })
    }

    /// Replaces the secrets in a document's keys and values, and cuts long texts.
    pub fn redact(&mut self, document: &mut Document) -> Redacted {
        self.redact_watched(document, &mut ())
    }

    pub(crate) fn redact_watched(
        &mut self,
        document: &mut Document,
        watch: &mut impl Watch,
    ) -> Redacted {
        let mut tally = Tally::default();
        self.engine.flag_payload(document, &mut self.flagged);
        watch.done(Step::Flag);
        let planned = self.engine.in_payload(document, &self.flagged, &mut tally);
        watch.done(Step::Redact);
        for (id, text) in planned {
            document.replace(id, text);
        }
        self.engine.total(&tally)
    }

    /// The text without its secrets, cut if it is long; `None` if it can stay as it is. Adds what was
    /// taken out to `redacted`.
    pub fn redact_text(&self, text: &str, redacted: &mut Redacted) -> Option<String> {
        let mut tally = Tally::default();
        let settled = self.engine.settle(text, &mut tally)?;
        redacted.add_all(&self.engine.total(&tally));
        Some(settled)
    }

    /// As [`Redactor::redact_text`] for what need not be UTF-8: the text of UTF-16 that begins with its
    /// mark, and each stretch that is UTF-8, on its own.
    pub fn redact_bytes(&self, bytes: &[u8], redacted: &mut Redacted) -> Option<Vec<u8>> {
        let utf16 = encoded::byte_order(bytes).and_then(|order| {
            let text = order.text(&bytes[encoded::UTF16_MARK_BYTES..]);
            Some(order.bytes(&self.redact_text(&text, redacted)?))
        });
        let mut out = Vec::new();
        let mut is_changed = utf16.is_some();
        let bytes = utf16.as_deref().unwrap_or(bytes);
        for chunk in bytes.utf8_chunks() {
            let settled = self.redact_text(chunk.valid(), redacted);
            is_changed |= settled.is_some();
            out.extend_from_slice(settled.as_deref().unwrap_or(chunk.valid()).as_bytes());
            out.extend_from_slice(chunk.invalid());
        }
        is_changed.then_some(out)
    }

    /// All rules, in the order in which they are preferred.
    pub fn rules(&self) -> impl Iterator<Item = RuleInfo<'_>> {
        self.engine.rules.iter().map(|rule| RuleInfo {
            id: &rule.id,
            class: &rule.class,
            description: &rule.description,
            is_on: rule.is_on,
        })
    }
}

/// A rule, for people.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RuleInfo<'a> {
    /// What stands in the marker.
    pub id: &'a str,
    /// What it belongs to; `user` for a user's pattern.
    pub class: &'a str,
    /// What it finds.
    pub description: &'a str,
    /// Whether it is not switched off.
    pub is_on: bool,
}

#[cfg(test)]
mod tests;
