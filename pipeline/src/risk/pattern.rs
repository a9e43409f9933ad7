//! What a word is compared with: a text, a glob, a kind of place, a set of paths.

use std::collections::HashMap;

use super::glob;
use super::path_index::Sets;
use super::place::Kinds;
use super::rule::RiskError;

/// Any of these must hold.
pub(super) type Alternatives = Vec<Test>;

/// One comparison.
#[derive(Debug)]
pub(super) enum Test {
    Exact(Box<str>),
    Glob(Box<str>),
    /// A place, or a file of a set, behind what the word begins with.
    Place(Prefix, Kinds, Sets),
    /// Another command's output is in it.
    Output,
    /// A variable named like a secret is in it.
    SecretVariable,
    /// A file of another machine: `host:path`.
    Remote,
    /// An address.
    Address,
}

/// What stands in a word before a path.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Prefix {
    None,
    /// This.
    Text(Box<str>),
    /// Anything up to the last of this character.
    UpTo(char),
}

/// The names that stand in braces.
#[derive(Default)]
pub(super) struct Names {
    pub(super) programs: HashMap<String, Vec<String>>,
    pub(super) paths: HashMap<String, Sets>,
}

impl Names {
    /// Reads `a|b|{kind}`.
    pub(super) fn alternatives(
        &self,
        rule: &str,
        field: &'static str,
        text: &str,
    ) -> Result<Alternatives, RiskError> {
        let mut tests: Alternatives = Vec::new();
        for text in text.split('|') {
            match (self.test(rule, field, text)?, tests.last_mut()) {
                // Kinds and sets behind the same beginning are one test.
                (Test::Place(own, kinds, sets), Some(Test::Place(prefix, all_kinds, all_sets)))
                    if own == *prefix =>
                {
                    all_kinds.0 |= kinds.0;
                    *all_sets |= sets;
                }
                (test, _) => tests.push(test),
            }
        }
        Ok(tests)
    }

    /// The programs that a list of names and sets means.
    pub(super) fn programs(
        &self,
        rule: &str,
        field: &'static str,
        list: &[String],
    ) -> Result<Vec<Box<str>>, RiskError> {
        let mut programs = Vec::new();
        for name in list {
            match in_braces(name) {
                None => programs.push(Box::from(name.as_str())),
                Some(("", set)) if self.programs.contains_key(set) => {
                    programs.extend(self.programs[set].iter().map(|it| Box::from(it.as_str())));
                }
                Some(_) => return Err(unknown(rule, field, name)),
            }
        }
        Ok(programs)
    }

    /// The kinds and sets that a name in braces means, if it is one of places.
    pub(super) fn place(&self, name: &str) -> Option<(Kinds, Sets)> {
        let kinds = match name {
            "root" => Kinds::ROOT,
            "home" => Kinds::HOME,
            "system" => Kinds::SYSTEM,
            "cwd" => Kinds::CWD,
            "parent" => Kinds::PARENT,
            "device" => Kinds::DEVICE,
            "outside" => Kinds::OUTSIDE,
            "unseen" => Kinds::UNSEEN,
            "empty-variable" => Kinds::EMPTY_VARIABLE,
            "temporary" => Kinds::TEMPORARY,
            _ => return self.paths.get(name).map(|sets| (Kinds::default(), *sets)),
        };
        Some((kinds, 0))
    }

    fn test(&self, rule: &str, field: &'static str, text: &str) -> Result<Test, RiskError> {
        let Some((prefix, name)) = in_braces(text) else {
            let is_glob = glob::is_glob(text);
            return Ok(if is_glob { Test::Glob(text.into()) } else { Test::Exact(text.into()) });
        };
        match name {
            "output" => return Ok(Test::Output),
            "secret-variable" => return Ok(Test::SecretVariable),
            "remote" => return Ok(Test::Remote),
            "url" => return Ok(Test::Address),
            _ => {}
        }
        let (kinds, sets) = self.place(name).ok_or_else(|| unknown(rule, field, text))?;
        let mut behind_star = prefix.strip_prefix('*').unwrap_or_default().chars();
        let prefix = match (prefix, behind_star.next()) {
            ("", _) => Prefix::None,
            (_, Some(last)) if behind_star.as_str().is_empty() => Prefix::UpTo(last),
            _ => Prefix::Text(prefix.into()),
        };
        Ok(Test::Place(prefix, kinds, sets))
    }
}

impl Prefix {
    /// What stands behind it, if the word has it.
    pub(super) fn strip<'w>(&self, word: &'w str) -> Option<&'w str> {
        match self {
            Prefix::None => Some(word),
            Prefix::Text(text) => word.strip_prefix(&**text),
            Prefix::UpTo(last) => word.rsplit_once(*last).map(|(_, rest)| rest),
        }
    }
}

/// Whether a variable's name says that its value is secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
        "ACCESS_KEY",
        "CREDENTIAL",
        "PASSPHRASE",
    ];
    // `TOKENS` is one, `TOKENIZER` is none.
    let ends = |rest: &[u8]| match rest {
        [b'S' | b's', rest @ ..] | rest => rest.first().is_none_or(|it| !it.is_ascii_alphabetic()),
    };
    let has = |part: &&str| {
        name.as_bytes().windows(part.len()).enumerate().any(|(at, it)| {
            it.eq_ignore_ascii_case(part.as_bytes()) && ends(&name.as_bytes()[at + part.len()..])
        })
    };
    name.len() >= 5 && PARTS.iter().any(has)
}

/// Whether a text has a variable in it whose name says so.
pub(super) fn has_secret_variable(text: &str) -> bool {
    text.split('$').skip(1).any(|behind| {
        let behind = behind.strip_prefix('{').unwrap_or(behind);
        let end = behind.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        is_secret_name(&behind[..end.unwrap_or(behind.len())])
    })
}

/// `prefix{name}`
pub(super) fn in_braces(text: &str) -> Option<(&str, &str)> {
    text.strip_suffix('}')?.rsplit_once('{')
}

pub(super) fn unknown(rule: &str, field: &'static str, pattern: &str) -> RiskError {
    RiskError::Pattern { rule: rule.to_owned(), field, pattern: pattern.to_owned() }
}
