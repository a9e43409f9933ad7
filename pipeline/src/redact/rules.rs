//! Reads the rules: the built-in ones from `rules.toml`, and the user's patterns.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

use super::names;
use super::plausible::{entropy_bits, has_digit, is_placeholder};
use super::{RedactError, UserPattern, keywords, marker};

/// A compiled pattern's limits, in bytes.
const PROGRAM_BYTES: usize = 2 << 20;
const DFA_BYTES: usize = 2 << 20;

/// All that can be told apart in a target.
const MAX_RULES: usize = u16::MAX as usize;

/// The data file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) names: names::Lists,
    #[serde(rename = "rule")]
    pub(super) rules: Vec<Entry>,
}

/// A rule as it stands in the data file, which says what each field means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) class: String,
    pub(super) description: String,
    #[serde(default)]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) keywords: Vec<String>,
    #[serde(default)]
    pattern: String,
    #[serde(default)]
    before: usize,
    after: Option<usize>,
    #[serde(default)]
    boundary: Boundary,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    digits: bool,
    #[serde(default)]
    allow: Vec<String>,
}

/// How a rule finds what it finds.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    #[default]
    Pattern,
    /// By the names of a payload's members.
    MemberName,
    /// By the names that a value is given to in a text.
    Assignment,
    /// By the values of the environment's variables.
    Environment,
    /// When it does not come to an end.
    Unsettled,
}

/// What must not stand before a match that begins with its keyword.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Boundary {
    /// A letter or digit.
    #[default]
    Word,
    /// Those, `_` and `-`.
    Wide,
    /// Anything may.
    None,
}

/// Where a rule's pattern is looked for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Search {
    /// From the keyword on, in so many bytes.
    At { bytes: usize },
    /// In so many bytes before the keyword and from it on.
    Near { before_bytes: usize, after_bytes: usize },
    /// In the whole text.
    Whole,
}

/// A rule.
pub(super) struct Rule {
    pub(super) id: std::sync::Arc<str>,
    pub(super) class: String,
    pub(super) description: String,
    pub(super) kind: Kind,
    pub(super) search: Search,
    boundary: Boundary,
    pattern: String,
    /// Built-in patterns are compiled when their keyword is first met.
    regex: OnceLock<Regex>,
    entropy: f64,
    digits: bool,
    allow: Vec<String>,
    pub(super) is_on: bool,
}

impl Rule {
    fn new(entry: Entry, is_on: bool) -> Rule {
        let after_bytes = entry.after.unwrap_or(1024);
        let search = match entry.before {
            0 => Search::At { bytes: after_bytes },
            before_bytes => Search::Near { before_bytes, after_bytes },
        };
        let pattern = expand(&entry.pattern);
        let pattern = if entry.before == 0 { format!("^(?:{pattern})") } else { pattern };
        Rule {
            id: entry.id.into(),
            class: entry.class,
            description: entry.description,
            kind: entry.kind,
            search,
            boundary: entry.boundary,
            pattern,
            regex: OnceLock::new(),
            entropy: entry.entropy,
            digits: entry.digits,
            allow: entry.allow.iter().map(|text| text.to_ascii_lowercase()).collect(),
            is_on,
        }
    }

    fn of_user(pattern: &UserPattern, regex: Regex, is_on: bool) -> Rule {
        Rule {
            id: pattern.name.as_str().into(),
            class: "user".to_owned(),
            description: "A pattern of the user's".to_owned(),
            kind: Kind::Pattern,
            search: Search::Whole,
            boundary: Boundary::None,
            pattern: pattern.pattern.clone(),
            regex: OnceLock::from(regex),
            entropy: 0.0,
            digits: false,
            allow: Vec::new(),
            is_on,
        }
    }

    /// The compiled pattern.
    ///
    /// # Panics
    ///
    /// If a built-in pattern is none, which a test excludes.
    pub(super) fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| {
            let mut builder = RegexBuilder::new(&self.pattern);
            builder.unicode(false).size_limit(PROGRAM_BYTES).dfa_size_limit(DFA_BYTES);
            builder.build().expect("the built-in patterns are tested")
        })
    }

    /// Whether a match may begin at this place.
    pub(super) fn may_begin(&self, text: &[u8], at: usize) -> bool {
        let Some(before) = at.checked_sub(1).filter(|_| matches!(self.search, Search::At { .. }))
        else {
            return true;
        };
        let byte = text[before];
        let joins = match self.boundary {
            Boundary::None => false,
            Boundary::Word => byte.is_ascii_alphanumeric(),
            Boundary::Wide => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'_' | b'-') && !is_line_number(&text[..at])
            }
        };
        // The letter of an escape (`\n`) is none.
        !joins
            || before.checked_sub(1).is_some_and(|at| text[at] == b'\\') && b"nrtbf".contains(&byte)
    }

    /// Whether what a pattern found is a secret.
    pub(super) fn accepts(&self, secret: &[u8], whole: &[u8]) -> bool {
        let lower = String::from_utf8_lossy(whole).to_ascii_lowercase();
        let is_secret = !secret.is_empty()
            && (self.entropy == 0.0 || entropy_bits(secret) >= self.entropy)
            && !self.allow.iter().any(|text| lower.contains(text.as_str()));
        if self.search == Search::Whole {
            return is_secret;
        }
        let text = String::from_utf8_lossy(secret);
        is_secret && !is_placeholder(&text) && (!self.digits || has_digit(&text))
    }
}

/// Whether a text ends with the number of a line as `grep -C` writes it, `-12-`.
fn is_line_number(text: &[u8]) -> bool {
    const MAX_DIGITS: usize = 8;
    let Some((b'-', before)) = text.split_last() else { return false };
    let digits = before.iter().rev().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit());
    let digits = digits.count();
    digits > 0 && before[..before.len() - digits].ends_with(b"-")
}

/// The data file's content.
pub(super) fn built_in() -> Result<File, toml::de::Error> {
    toml::from_str(include_str!("rules.toml"))
}

/// All rules, and keywords with the rule's index.
pub(super) struct Compiled {
    pub(super) rules: Vec<Rule>,
    pub(super) keywords: Vec<(Vec<u8>, u16)>,
}

/// The built-in rules and the user's, those that are switched off among them.
pub(super) fn compile(
    entries: Vec<Entry>,
    patterns: &[UserPattern],
    disabled: &[String],
) -> Result<Compiled, RedactError> {
    let mut all = Compiled { rules: Vec::new(), keywords: Vec::new() };
    if entries.len() + patterns.len() > MAX_RULES {
        return Err(RedactError::TooManyPatterns { max: MAX_RULES - entries.len() });
    }
    for entry in entries {
        let is_on = !disabled.contains(&entry.id);
        all.add_built_in(&entry.keywords, is_on);
        all.rules.push(Rule::new(entry, is_on));
    }
    for pattern in patterns {
        check_name(pattern, &all.rules)?;
        check_keywords(pattern)?;
        let is_on = !disabled.contains(&pattern.name);
        all.add_keywords(&pattern.keywords, is_on);
        all.rules.push(Rule::of_user(pattern, compile_pattern(pattern)?, is_on));
    }
    let is_unknown = |id: &&String| !all.rules.iter().any(|rule| *rule.id == ***id);
    match disabled.iter().find(is_unknown) {
        Some(id) => Err(RedactError::UnknownRule { id: id.clone() }),
        None => Ok(all),
    }
}

impl Compiled {
    /// Of a built-in rule's keywords, what the data file says of `?` and `#` is written out.
    fn add_built_in(&mut self, keywords: &[String], is_on: bool) {
        let name = || ('a'..='z').chain('0'..='9').chain(['_', '-']);
        let hex = || ('0'..='9').chain('a'..='f');
        let mut all = keywords.to_vec();
        while let Some(at) = all.iter().position(|keyword| keyword.contains('#')) {
            let keyword = all.swap_remove(at);
            all.extend(hex().map(|digit| keyword.replacen('#', digit.encode_utf8(&mut [0; 4]), 1)));
        }
        let (open, whole): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|keyword| keyword.ends_with('?'));
        let written_out = open.iter().flat_map(|keyword| {
            let begin = keyword.trim_end_matches('?');
            name().map(move |char| format!("{begin}{char}"))
        });
        let all: Vec<_> = whole.into_iter().chain(written_out).collect();
        self.add_keywords(&all, is_on);
    }

    fn add_keywords(&mut self, keywords: &[String], is_on: bool) {
        let index = self.rules.len() as u16;
        if is_on {
            self.keywords
                .extend(keywords.iter().map(|keyword| (keyword.clone().into_bytes(), index)));
        }
    }
}

fn compile_pattern(pattern: &UserPattern) -> Result<Regex, RedactError> {
    let name = || pattern.name.clone();
    let fault =
        |offset: usize, reason: String| RedactError::BadPattern { name: name(), offset, reason };
    let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(&pattern.pattern);
    match parsed {
        Err(regex_syntax::Error::Parse(error)) => {
            return Err(fault(error.span().start.offset, error.kind().to_string()));
        }
        Err(regex_syntax::Error::Translate(error)) => {
            return Err(fault(error.span().start.offset, error.kind().to_string()));
        }
        _ => {}
    }
    let mut builder = RegexBuilder::new(&pattern.pattern);
    builder.size_limit(PROGRAM_BYTES).dfa_size_limit(DFA_BYTES);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit_bytes) => {
            RedactError::LargePattern { name: name(), limit_bytes }
        }
        other => fault(0, other.to_string()),
    })
}

fn check_name(pattern: &UserPattern, others: &[Rule]) -> Result<(), RedactError> {
    let name = &pattern.name;
    let is_id = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if name.is_empty() || name.len() > marker::MAX_ID_BYTES || !is_id {
        return Err(RedactError::BadName { name: name.clone(), max_bytes: marker::MAX_ID_BYTES });
    }
    match others.iter().any(|other| *other.id == **name) {
        true => Err(RedactError::NameTaken { name: name.clone() }),
        false => Ok(()),
    }
}

fn check_keywords(pattern: &UserPattern) -> Result<(), RedactError> {
    match pattern.keywords.iter().find(|keyword| keyword.len() < keywords::MIN_BYTES) {
        Some(keyword) => Err(RedactError::ShortKeyword {
            name: pattern.name.clone(),
            keyword: keyword.clone(),
            min_bytes: keywords::MIN_BYTES,
        }),
        None => Ok(()),
    }
}

/// Puts in what several patterns share.
fn expand(pattern: &str) -> String {
    const GIVEN: &str =
        r#"[A-Za-z0-9_.-]{0,40}["'\]]{0,2}[ \t]{0,8}(?::=|=>|[=:,])[ \t]{0,8}["'`]?"#;
    pattern.replace("{given}", GIVEN)
}
