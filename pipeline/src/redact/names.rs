//! Which names mean a secret: of members, variables, options, headers. Case and what joins words
//! (`apiKey`, `api-key`, `API_KEY`) make no difference.

use std::collections::HashSet;

use serde::Deserialize;

use super::keywords::MIN_BYTES;

/// How much a name says about its value, from little to all.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Strength {
    /// A secret if it looks as if chance had made it.
    Strict,
    /// A secret unless it is made of words or is a path, a URL or a UUID.
    Some,
    /// A secret whatever it is.
    Any,
}

/// The lists of the data file. Stems are words joined by `_`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lists {
    any: Vec<String>,
    some: Vec<String>,
    strict: Vec<String>,
    /// Stems that only count as words of their own.
    some_words: HashSet<String>,
    strict_words: HashSet<String>,
    /// Whatever has one of these in it is harmless.
    harmless: Vec<String>,
    harmless_first: HashSet<String>,
    harmless_last: HashSet<String>,
    /// What comes before a stem's word in the text, for stems that are only words.
    keywords: Vec<String>,
}

/// Names longer than this, in bytes, are none.
const MAX_NAME_BYTES: usize = 96;

/// The lists, ready to be looked into.
pub(super) struct Names {
    lists: Lists,
    extra: Vec<String>,
}

impl Names {
    pub(super) fn new(mut lists: Lists, extra: &[String]) -> Names {
        let all = [&mut lists.any, &mut lists.some, &mut lists.strict, &mut lists.harmless];
        for stem in all.into_iter().flatten() {
            stem.retain(|char| char != '_');
        }
        let extra = extra.iter().map(|name| words(name).concat()).collect();
        Names { lists, extra }
    }

    /// What the name of something says about it; `None` if nothing.
    pub(super) fn strength(&self, name: &str) -> Option<Strength> {
        if name.len() > MAX_NAME_BYTES || name.contains('/') {
            return None;
        }
        let words = words(name);
        let joined = words.concat();
        if self.extra.contains(&joined) {
            return Some(Strength::Any);
        }
        let has = |stems: &[String]| stems.iter().any(|stem| joined.contains(stem.as_str()));
        let has_word = |list: &HashSet<String>| words.iter().any(|word| list.contains(word));
        let is_last = |list: &HashSet<String>| words.last().is_some_and(|word| list.contains(word));
        let is_first =
            |list: &HashSet<String>| words.first().is_some_and(|word| list.contains(word));
        let lists = &self.lists;
        if has(&lists.harmless) || is_last(&lists.harmless_last) || is_first(&lists.harmless_first)
        {
            None
        } else if has(&lists.any) {
            Some(Strength::Any)
        } else if has(&lists.strict) {
            Some(Strength::Strict)
        } else if has(&lists.some) || has_word(&lists.some_words) {
            Some(Strength::Some)
        } else {
            (words.len() > 1 && is_last(&lists.strict_words)).then_some(Strength::Strict)
        }
    }
}

/// What has to be looked for in a text to find every name that means a secret.
pub(super) fn keywords(lists: &Lists, extra: &[String]) -> Vec<String> {
    let stems = [&lists.any, &lists.some, &lists.strict].into_iter().flatten();
    let stems = stems.map(|stem| stem.split('_').map(str::to_owned).collect::<Vec<_>>());
    let extra = extra.iter().map(|name| words(name));
    let joined = stems
        .chain(extra)
        .flat_map(|words| ["", "_", "-", " ", "."].map(|joint| words.join(joint)));
    // What is too short to be looked for is looked for with what stands behind a name.
    let long = joined.flat_map(|name| match name.len() {
        MIN_BYTES.. => vec![name],
        _ => ["\"", "\\", "'", "=", ":", " "].map(|behind| name.clone() + behind).to_vec(),
    });
    let mut all: Vec<_> = long.chain(lists.keywords.iter().cloned()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The words of a name, in lower case: `APIKeyName` and `api-key_name` have three.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = name.chars().peekable();
    let mut before = ' ';
    while let Some(char) = chars.next() {
        let next_is_lower = chars.peek().is_some_and(char::is_ascii_lowercase);
        let begins = char.is_ascii_uppercase() && (!before.is_ascii_uppercase() || next_is_lower);
        if (begins || !char.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if char.is_alphanumeric() {
            word.push(char.to_ascii_lowercase());
        }
        before = char;
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(super::super::rules::built_in().unwrap().names, &["internal_pin".to_owned()])
    }

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        let cases = [
            ("password", Strength::Any),
            ("DB_PASSWORD", Strength::Any),
            ("clientSecret", Strength::Any),
            ("X-Api-Key", Strength::Any),
            ("AWSSecretAccessKey", Strength::Any),
            ("apikey", Strength::Any),
            ("privateKey", Strength::Any),
            ("InternalPIN", Strength::Any),
            ("internal-pin", Strength::Any),
            ("token", Strength::Some),
            ("GITHUB_TOKEN", Strength::Some),
            ("refreshToken", Strength::Some),
            ("authorization", Strength::Some),
            ("set-cookie", Strength::Some),
            ("credentials", Strength::Some),
            ("encryption_key", Strength::Strict),
            ("STRIPE_KEY", Strength::Strict),
            ("PGPASSWORD", Strength::Any),
        ];
        for (name, expected) in cases {
            assert_eq!(names().strength(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn harmless_names_are_left_alone() {
        let cases = [
            "token_count",
            "max_tokens",
            "input_tokens",
            "totalTokens",
            "tokens_used",
            "public_key",
            "key",
            "session_id",
            "tool_use_id",
            "secret_scanning",
            "cache_read_input_tokens",
            "tokenizer",
            "nextPageToken",
            "passwordless",
            "secretName",
            "TOKEN_FILE",
            "apiKeyId",
            "author",
            "authority",
            "keyboard",
            "monkey",
            "primary_key",
            "compass",
            "bypass",
            "cookieConsent",
            "token_type",
            "context_tokens",
            "secretary",
        ];
        for name in cases {
            assert_eq!(names().strength(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_is_split_into_words() {
        assert_eq!(words("APIKeyName"), ["api", "key", "name"]);
        assert_eq!(words("x-api_key.Name2"), ["x", "api", "key", "name2"]);
    }
}
