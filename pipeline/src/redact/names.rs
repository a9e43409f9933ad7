//! Which names mean a secret: of members, variables, options, headers. Case and what joins words
//! (`apiKey`, `api-key`, `API_KEY`) make no difference.

use foldhash::HashSet;

use serde::Deserialize;

use super::keywords::{Keywords, MIN_BYTES};

/// How much a name says about its value, from little to all.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Strength {
    /// A secret if it looks as if chance had made it.
    Strict,
    /// A secret unless it is made of words or is a path, a URL or a UUID.
    Some,
    /// A secret whatever it is.
    Any,
    /// The same, and what is given to the name in a text is one, too: who lists a name wants it gone.
    Listed,
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
    /// Last words of names that have several.
    some_last: HashSet<String>,
    /// Whole names.
    some_alone: HashSet<String>,
    strict_last: HashSet<String>,
    /// Words behind the last that say which of several it is.
    suffixes: HashSet<String>,
    /// Last words, alone or not.
    strict_alone: HashSet<String>,
    /// Whatever has one of these in it is harmless.
    harmless: Vec<String>,
    harmless_first: HashSet<String>,
    harmless_last: HashSet<String>,
    /// What comes before a stem's word in the text, for stems that are only words.
    keywords: Vec<String>,
    /// The same for what is in too many other words: it only counts where a name ends with it.
    short_keywords: Vec<String>,
}

/// Names longer than this, in bytes, are none.
const MAX_NAME_BYTES: usize = 96;

/// The lists, ready to be looked into.
pub(super) struct Names {
    lists: Lists,
    /// All stems, without what joins their words.
    stems: Keywords<Stem>,
    extra: Vec<String>,
}

/// What a stem in a name says.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Stem {
    Harmless,
    Secret(Strength),
}

impl Names {
    pub(super) fn new(lists: Lists, extra: &[String]) -> Names {
        let kinds = [
            (&lists.harmless, Stem::Harmless),
            (&lists.any, Stem::Secret(Strength::Any)),
            (&lists.strict, Stem::Secret(Strength::Strict)),
            (&lists.some, Stem::Secret(Strength::Some)),
        ];
        let stems = kinds.into_iter().flat_map(|(list, kind)| {
            list.iter().map(move |stem| (stem.replace('_', "").into_bytes(), kind))
        });
        let stems = Keywords::new(stems.collect());
        let extra = extra.iter().map(|name| words(name).concat()).collect();
        Names { lists, stems, extra }
    }

    /// Whether it is one of the user's, maybe behind a file's name and a line's number as `grep -C` writes them:
    /// `app.env-12-pin`.
    fn is_listed(&self, name: &str, joined: &String) -> bool {
        let is_number =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        self.has_listed()
            && (self.extra.contains(joined)
                || name
                    .match_indices('-')
                    .filter(|(at, _)| {
                        name[..*at].rsplit_once('-').is_some_and(|(_, it)| is_number(it))
                    })
                    .any(|(at, _)| self.extra.contains(&Words::of(&name[at + 1..]).joined)))
    }

    /// Whether a user has listed some.
    pub(super) fn has_listed(&self) -> bool {
        !self.extra.is_empty()
    }

    /// What the name of something says about it; `None` if nothing.
    pub(super) fn strength(&self, name: &str) -> Option<Strength> {
        if name.len() > MAX_NAME_BYTES || name.contains('/') {
            return None;
        }
        let words = Words::of(name);
        if self.is_listed(name, &words.joined) {
            return Some(Strength::Listed);
        }
        let lists = &self.lists;
        let is_suffix = |word: &&str| {
            lists.suffixes.contains(*word) || word.bytes().all(|it| it.is_ascii_digit())
        };
        let count = words.count() - words.iter().rev().take_while(is_suffix).count();
        let last = count.checked_sub(1).and_then(|last| words.iter().nth(last));
        let is_last = |list: &HashSet<String>| last.is_some_and(|word| list.contains(word));
        let is_harmless =
            words.iter().next_back().is_some_and(|it| lists.harmless_last.contains(it))
                || words.iter().next().is_some_and(|first| lists.harmless_first.contains(first));
        if is_harmless {
            return None;
        }
        let (mut is_harmless, mut any, mut strict, mut some) = (false, false, false, false);
        self.stems.each_hit(words.joined.as_bytes(), |at, _, stems| {
            for stem in stems {
                match stem {
                    // An `admin_token` is none of the `min_token`s.
                    Stem::Harmless => is_harmless |= words.bounds.contains(&at),
                    Stem::Secret(Strength::Any | Strength::Listed) => any = true,
                    Stem::Secret(Strength::Strict) => strict = true,
                    Stem::Secret(Strength::Some) => some = true,
                }
            }
        });
        if is_harmless {
            None
        } else if any {
            Some(Strength::Any)
        } else if strict {
            Some(Strength::Strict)
        } else if some
            || words.iter().any(|word| lists.some_words.contains(word))
            || (count > 1 && is_last(&lists.some_last))
            || (count == 1 && is_last(&lists.some_alone))
        {
            Some(Strength::Some)
        } else {
            let is_strict = count > 1 && is_last(&lists.strict_last);
            (is_strict || is_last(&lists.strict_alone)).then_some(Strength::Strict)
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
        _ => with_sign(&name).to_vec(),
    });
    let short = lists.short_keywords.iter().flat_map(|word| with_sign(word));
    let mut all: Vec<_> = long.chain(lists.keywords.iter().cloned()).chain(short).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A name with each of what may stand right behind one.
fn with_sign(name: &str) -> [String; 8] {
    ["\"", "\\", "'", "`", "=", ":", " ", ">"].map(|behind| format!("{name}{behind}"))
}

/// The words of a name, in lower case: `APIKeyName` and `api-key_name` have three.
pub(super) fn words(name: &str) -> Vec<String> {
    Words::of(name).iter().map(str::to_owned).collect()
}

/// See [`words`].
struct Words {
    /// All of them, with nothing between them.
    joined: String,
    /// Where each begins, and the end of the last.
    bounds: Vec<usize>,
}

impl Words {
    fn of(name: &str) -> Words {
        let mut words = Words { joined: String::with_capacity(name.len()), bounds: vec![0] };
        let mut before = ' ';
        for (at, char) in name.char_indices() {
            let next = name.as_bytes().get(at + char.len_utf8());
            let next_is_lower = next.is_some_and(u8::is_ascii_lowercase);
            let begins =
                char.is_ascii_uppercase() && (!before.is_ascii_uppercase() || next_is_lower);
            if begins || !char.is_alphanumeric() {
                words.end_word();
            }
            if char.is_alphanumeric() {
                words.joined.push(char.to_ascii_lowercase());
            }
            before = char;
        }
        words.end_word();
        words
    }

    fn end_word(&mut self) {
        if self.bounds.last().is_some_and(|begin| *begin < self.joined.len()) {
            self.bounds.push(self.joined.len());
        }
    }

    fn count(&self) -> usize {
        self.bounds.len() - 1
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.bounds.windows(2).map(|bounds| &self.joined[bounds[0]..bounds[1]])
    }
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
            ("InternalPIN", Strength::Listed),
            ("internal-pin", Strength::Listed),
            ("env-12-internal_pin", Strength::Listed),
            ("token", Strength::Some),
            ("GITHUB_TOKEN", Strength::Some),
            ("admin_token", Strength::Some),
            ("refreshToken", Strength::Some),
            ("authorization", Strength::Some),
            ("set-cookie", Strength::Some),
            ("credentials", Strength::Some),
            ("encryption_key", Strength::Strict),
            ("STRIPE_KEY", Strength::Strict),
            ("PGPASSWORD", Strength::Any),
            ("DB_PW", Strength::Some),
            ("CREDS", Strength::Some),
            ("dbpass", Strength::Some),
            ("wifi_psk", Strength::Some),
            ("STRIPE_KEY_PROD", Strength::Strict),
            ("DB_PASS_2", Strength::Some),
            ("pass", Strength::Some),
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
            "render_pass_state",
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
