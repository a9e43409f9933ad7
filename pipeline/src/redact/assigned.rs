//! Values given to names that mean a secret, in a text of any kind: `NAME=value`, `"name": "value"`,
//! `--name value`, `name := "value"`, `<name>value</name>`.

use std::ops::Range;

use super::names::{Names, Strength};
use super::plausible::{
    has_brackets, has_digit, is_code, is_constant, is_joined_words, is_path, is_placeholder,
    is_plain_url, is_random, is_random_letters, is_sure_path, is_words,
};

/// Bytes on one side of a keyword that still belong to the name.
const MAX_NAME_BYTES: usize = 64;
/// Blanks between name, sign and value.
const MAX_BLANKS: usize = 16;
/// A value is judged by its first bytes, so many of them.
const MAX_VALUE_BYTES: usize = 4096;

/// So many values of full length are judged in a stretch of that length; of others, only the begin is, or
/// a text of nothing but names would take forever.
const MAX_LONG_VALUES: usize = 2;
const SHORT_VALUE_BYTES: usize = 64;

/// What was looked at in a text, so that little of it is looked at again from within.
#[derive(Default)]
pub(super) struct Looked {
    /// Names that begin before this place had their say.
    names_end: usize,
    /// Values without quotes that begin before this place are parts of one that was found.
    found_end: usize,
    /// Nothing in here ends a value without quotes.
    open: Range<usize>,
    /// The last name that was asked about, and what it says: nothing if it is none.
    last_name: (Range<usize>, Option<Strength>),
    /// A stretch's end, and how many bytes of values were judged in it.
    stretch_end: usize,
    judged_bytes: usize,
    /// All bytes that were looked at.
    #[cfg(test)]
    total_bytes: usize,
}

impl Looked {
    /// Looks at the name around a keyword, which begins at `hit`, and at the value behind it: where that
    /// is, if it may be a secret.
    pub(super) fn value_at(
        &mut self,
        text: &str,
        (hit, keyword_bytes): (usize, usize),
        names: &Names,
    ) -> Option<Range<usize>> {
        if hit < self.names_end {
            return None;
        }
        let bytes = text.as_bytes();
        let name = name_around(bytes, hit, hit + keyword_bytes);
        self.names_end = name.end.max(hit + keyword_bytes);
        let sign = Sign::after(bytes, &name)?;
        let (value, is_quoted) = self.value(bytes, &sign, hit)?;
        let value = value.start..text.floor_char_boundary(value.end);
        let value = without_scheme(text, value);
        let judged = &text[value.clone()];
        // Most values would not do whatever the name says, and names take longer.
        let may_do = may_do(judged, is_quoted, &sign);
        let strength =
            (may_do || names.has_listed()).then(|| self.strength(text, name, names))??;
        let is_secret = match strength {
            Strength::Listed => is_given(judged, is_quoted),
            _ => may_do && accepts(judged, strength, is_quoted, &sign),
        };
        if !is_secret {
            return None;
        }
        if is_quoted {
            return Some(value);
        }
        // Its begin was judged; all of it goes.
        self.found_end = self.open_end(bytes, value.end, bytes.len());
        Some(value.start..self.found_end)
    }

    /// What a name says, which is not asked twice in a row.
    fn strength(&mut self, text: &str, name: Range<usize>, names: &Names) -> Option<Strength> {
        if text[self.last_name.0.clone()] != text[name.clone()] {
            self.last_name = (name.clone(), names.strength(&text[name]));
        }
        self.last_name.1
    }

    /// Where the value is, without quotes, and whether it had some; no more of it than is to be judged.
    fn value(&mut self, bytes: &[u8], sign: &Sign, hit: usize) -> Option<(Range<usize>, bool)> {
        let max_bytes = self.max_bytes(hit);
        if let Some(end_byte) = sign.end_byte {
            let rest = bytes[sign.end..].iter().take(max_bytes);
            let end = rest.clone().position(|&byte| byte == end_byte);
            self.count(end.unwrap_or(rest.len()));
            return Some((sign.end..sign.end + end?, true));
        }
        let begin = skip_blanks(bytes, sign.end);
        let begin = behind_type(bytes, begin).unwrap_or(begin);
        let begin = behind_prefix(bytes, begin);
        if let Some(&quote @ (b'"' | b'\'' | b'`')) = bytes.get(begin) {
            let (value, looked_bytes) = quoted(bytes, begin + 1, quote, max_bytes);
            self.count(looked_bytes);
            return value.map(|value| (value, true));
        }
        if sign.wants_quotes || begin < self.found_end {
            return None;
        }
        let end = self.open_end(bytes, begin, begin + max_bytes);
        self.count(end - begin);
        // A type stands before a value: `key: X509Key = …`.
        let is_type = bytes[sign.end - 1] == b':' && is_assigned(bytes, end);
        (!is_type).then_some((begin..end, false))
    }

    /// How much of a value to judge that stands behind a keyword at this place.
    fn max_bytes(&mut self, hit: usize) -> usize {
        if hit >= self.stretch_end {
            (self.stretch_end, self.judged_bytes) = (hit + MAX_VALUE_BYTES, 0);
        }
        let is_long = self.judged_bytes < MAX_LONG_VALUES * MAX_VALUE_BYTES;
        if is_long { MAX_VALUE_BYTES } else { SHORT_VALUE_BYTES }
    }

    fn count(&mut self, bytes: usize) {
        self.judged_bytes += bytes;
        #[cfg(test)]
        {
            self.total_bytes += bytes;
        }
    }

    /// Where a value without quotes ends that begins here, or `max_end`; it looks at no byte again.
    fn open_end(&mut self, bytes: &[u8], begin: usize, max_end: usize) -> usize {
        let max_end = max_end.min(bytes.len());
        let is_known = self.open.start <= begin && begin <= self.open.end;
        if !is_known {
            self.open = begin..begin;
        }
        let from = self.open.end;
        if from < max_end {
            let more = bytes[from..max_end].iter().position(|byte| ENDS[usize::from(*byte)]);
            self.open.end = more.map_or(max_end, |more| from + more);
            #[cfg(test)]
            {
                self.total_bytes += self.open.end - from;
            }
        }
        self.open.end.min(max_end)
    }
}

/// The last part of a dotted name.
fn name_around(bytes: &[u8], begin: usize, keyword_end: usize) -> Range<usize> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    // (The keywords of short words have what stands behind a name, as in `pwd=`.)
    let known = bytes[begin..keyword_end].iter().rposition(is_name).map_or(0, |last| last + 1);
    let end = begin + known;
    let left = bytes[begin.saturating_sub(MAX_NAME_BYTES)..begin]
        .iter()
        .rev()
        .take_while(|byte| is_name(byte))
        .count();
    let right = bytes[end..].iter().take(MAX_NAME_BYTES).take_while(|byte| is_name(byte)).count();
    begin - left..end + right
}

/// What says that a value follows a name.
struct Sign {
    end: usize,
    /// As in a shell: without blanks around, by name in capitals or as an option.
    is_shell: bool,
    is_option: bool,
    /// It may be the next of a list as well: `"name", "value"`.
    is_list: bool,
    /// Only a quoted value counts.
    wants_quotes: bool,
    /// The value goes up to this byte, as in an element, or in `${NAME:-value}`.
    end_byte: Option<u8>,
}

impl Sign {
    fn after(bytes: &[u8], name: &Range<usize>) -> Option<Sign> {
        let is_option = bytes[name.clone()].starts_with(b"-");
        let before = name.start.checked_sub(1).map(|at| bytes[at]);
        let mut at = name.end;
        let closed = at;
        at += usize::from(matches!(bytes.get(at), Some(b'"' | b'\'' | b'`')));
        let was_quoted = at > closed;
        let is_expanded = bytes[..name.start].ends_with(b"${");
        at += usize::from(bytes.get(at) == Some(&b']'));
        let blanks_begin = at;
        at = skip_blanks(bytes, at);
        let has_blanks = at > blanks_begin;
        let rest = &bytes[at..];
        let (sign_bytes, wants_quotes) = match rest {
            [b':', b'-' | b'=', ..] if is_expanded => (2, false),
            [b':', b'=', ..] | [b'=', b'>', ..] => (2, false),
            [b'=', b'=', ..] | [b':', b':', ..] => return None,
            [b':', ..] if before == Some(b':') && is_arn(&bytes[..name.start]) => return None,
            [b'=' | b':', ..] => (1, false),
            [b',', ..] if was_quoted => (1, true),
            // (Not of a pattern's group, `(?P<name>…)`.)
            [b'>', ..] if before == Some(b'<') && !is_group(&bytes[..name.start]) => (1, false),
            _ if is_option && has_blanks => (0, false),
            [b'|', b'|', ..] | [b'?', b'?', ..] => (2, true),
            [b'o', b'r', b' ', ..] if has_blanks => (2, true),
            [b'(', b'"' | b'\'' | b'`', ..] => (1, true),
            _ => return None,
        };
        let is_capital = bytes[name.clone()].iter().all(|byte| !byte.is_ascii_lowercase());
        let is_equals =
            rest.first() == Some(&b'=') && !has_blanks && !matches!(rest.get(1), Some(b' ' | b'>'));
        Some(Sign {
            end: at + sign_bytes,
            is_shell: is_option || is_expanded || is_equals && is_capital,
            is_option,
            is_list: rest.first() == Some(&b','),
            wants_quotes,
            end_byte: match rest.first().filter(|_| sign_bytes > 0) {
                Some(b'>') => Some(b'<'),
                Some(b':') if is_expanded => Some(b'}'),
                _ => None,
            },
        })
    }
}

/// Whether a text ends within the name of something at Amazon: `arn:aws:secretsmanager:eu-west-1:1234:`.
fn is_arn(before: &[u8]) -> bool {
    const MAX_BYTES: usize = 96;
    let near = &before[before.len().saturating_sub(MAX_BYTES)..];
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b":-".contains(byte);
    let begin = near.iter().rposition(|byte| !is_part(byte)).map_or(0, |at| at + 1);
    near[begin..].starts_with(b"arn:")
}

/// Whether a text ends with what begins the name of a pattern's group.
fn is_group(before: &[u8]) -> bool {
    before.ends_with(b"?<") || before.ends_with(b"?P<")
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take(MAX_BLANKS).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// What an unquoted value ends before.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let all = b"\"'`;|,&)\\ \t\n\r\x0c";
    let mut at = 0;
    while at < all.len() {
        ends[all[at] as usize] = true;
        at += 1;
    }
    ends
};

/// Up to the closing quote; without one on the line, up to the first blank. And how far it looked.
fn quoted(
    bytes: &[u8],
    begin: usize,
    quote: u8,
    max_bytes: usize,
) -> (Option<Range<usize>>, usize) {
    let line = &bytes[begin..bytes.len().min(begin + max_bytes)];
    let mut escaped = false;
    let end = line.iter().position(|&byte| {
        let is_end = !escaped && byte == quote || byte == b'\n';
        escaped = !escaped && byte == b'\\';
        is_end
    });
    let blank = || line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let length = end.filter(|&end| line[end] == quote).unwrap_or_else(blank);
    ((length > 0).then_some(begin..begin + length), end.unwrap_or(line.len()))
}

/// Behind a type, as in `token: &str = "…"`: where the value begins.
fn behind_type(bytes: &[u8], begin: usize) -> Option<usize> {
    const MAX_TYPE_BYTES: usize = 40;
    let is_type = |byte: &u8| byte.is_ascii_alphanumeric() || b"&_<>':[]?|. ".contains(byte);
    let length =
        bytes[begin..].iter().take(MAX_TYPE_BYTES).take_while(|byte| is_type(byte)).count();
    let equals = begin + length;
    let is_assignment = length > 0 && bytes.get(equals) == Some(&b'=');
    let value = is_assignment.then(|| skip_blanks(bytes, equals + 1))?;
    matches!(bytes.get(value), Some(b'"' | b'\'' | b'`')).then_some(value)
}

/// Whether a single `=` stands here, with a blank before it and behind it.
fn is_assigned(bytes: &[u8], at: usize) -> bool {
    bytes[at..].starts_with(b" = ")
}

/// The last quote that opens a string of a programming language: of `b'…'`, `r#"…"#`, `"""…"""`.
fn behind_prefix(bytes: &[u8], begin: usize) -> usize {
    const MAX_PREFIX_BYTES: usize = 3;
    let prefix = bytes[begin..].iter().take(MAX_PREFIX_BYTES);
    let length = prefix.take_while(|byte| b"bBrRfFuUL@#$".contains(byte)).count();
    match bytes.get(begin + length..) {
        Some([a @ (b'"' | b'\'' | b'`'), b, c, ..]) if a == b && a == c => begin + length + 2,
        Some([b'"' | b'\'', ..]) => begin + length,
        _ => begin,
    }
}

/// What stands behind `Bearer ` and the like.
fn without_scheme(text: &str, value: Range<usize>) -> Range<usize> {
    const SCHEMES: [&str; 4] = ["bearer ", "basic ", "token ", "digest "];
    let bytes = &text.as_bytes()[value.clone()];
    let begins = |scheme: &str| {
        bytes.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme.as_bytes()))
    };
    let scheme = SCHEMES.into_iter().find(|scheme| begins(scheme));
    let skipped = scheme.map_or(0, str::len);
    value.start + skipped..value.end
}

/// Whether a value may be a secret behind any name.
fn may_do(value: &str, is_quoted: bool, sign: &Sign) -> bool {
    const MIN_BYTES: usize = 6;
    let is_odd = || value.bytes().any(|byte| ODD.contains(&byte));
    // (Unquoted, it is another word for what is not there, or where a shell reads from.)
    value.len() >= MIN_BYTES
        && (sign.is_shell || is_mixed(value) || is_quoted && (is_odd() || is_random_letters(value)))
        && (is_quoted || !value.starts_with('<') && !value.starts_with("$("))
        // (Another option, or where a build finds one: `--secret id=npm,src=.npmrc`.)
        && !(sign.is_option && (value.starts_with("--") || value.starts_with("id=")))
        && (!value.starts_with("${") || value.ends_with('}'))
        && (!value.contains(char::is_whitespace) || is_quoted && sign.is_shell && is_phrase(value))
}

/// A few words with a number in them: a pass phrase, if no sentence about one.
fn is_phrase(value: &str) -> bool {
    const MAX_WORDS: usize = 6;
    value.split(' ').count() <= MAX_WORDS
        && has_digit(value)
        && !value.contains(['\n', '\t', '$', '%', '{'])
        && !value.to_ascii_lowercase().contains("pass")
}

/// Signs that words seldom have in them.
const ODD: &[u8] = b"!@#$%^&*+~?";

fn is_mixed(value: &str) -> bool {
    has_digit(value) && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether a value is one, and not code, a placeholder or nothing: behind a user's name, it goes.
fn is_given(value: &str, is_quoted: bool) -> bool {
    !is_placeholder(value) && (is_quoted || !has_brackets(value) && !value.contains("::"))
}

/// Whether a value is a secret behind a name of that strength.
fn accepts(value: &str, strength: Strength, is_quoted: bool, sign: &Sign) -> bool {
    if strength != Strength::Any && value.contains(char::is_whitespace)
        || strength == Strength::Strict && has_brackets(value)
        || !sign.is_shell && is_constant(value, is_quoted)
        || sign.is_list && is_joined_words(value)
    {
        return false;
    }
    let is_mixed = || is_mixed(value);
    let is_odd = || value.bytes().any(|byte| ODD.contains(&byte));
    let is_likely = match (strength, is_quoted, sign.is_shell) {
        (_, true, _) | (_, _, true) if is_random_letters(value) => true,
        (Strength::Strict, true, _) | (Strength::Strict, _, true) => is_random(value, 16),
        (Strength::Strict, ..) => is_random(value, 20) && !is_code(value),
        (Strength::Any, _, true) => !is_words(value) || value.len() >= 8,
        (Strength::Some, _, true) => !is_words(value) && !is_code(value),
        (Strength::Any, true, _) => is_mixed() || is_odd() && !is_words(value),
        (Strength::Some, true, _) if sign.is_list => is_random(value, 8),
        (Strength::Some, true, _) => is_mixed() && value.len() >= 8 && !is_code(value),
        (Strength::Any | Strength::Listed, ..) => is_mixed() && value.len() >= 8 && !is_code(value),
        (Strength::Some, false, _) => is_random(value, 12) && !is_code(value),
    };
    let is_file = if strength == Strength::Any { is_sure_path } else { is_path };
    is_likely && !is_placeholder(value) && !is_file(value) && !is_plain_url(value)
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    /// How many bytes are looked at as values in a text, for each of its own.
    fn looked_times(names: &Names, unit: &str) -> usize {
        const TEXT_BYTES: usize = 1 << 18;
        let text = unit.repeat(TEXT_BYTES / unit.len());
        let keyword = ["password", "token", "secret", "api_key", "_key"]
            .into_iter()
            .find(|keyword| unit.to_ascii_lowercase().contains(keyword))
            .unwrap();
        let mut looked = Looked::default();
        for (hit, _) in text.to_ascii_lowercase().match_indices(keyword) {
            looked.value_at(&text, (hit, keyword.len()), names);
        }
        looked.total_bytes / text.len()
    }

    #[test]
    fn names_in_values_of_names_are_not_looked_at_over_and_over() {
        let names = Names::new(rules::built_in().unwrap().names, &[]);
        let refused = ["password=", "token=", "secret:", "api_key=", "token=a_b.c", "N_TOKEN=1a"];
        for unit in refused {
            let max_times = MAX_LONG_VALUES + 2 + SHORT_VALUE_BYTES.div_ceil(unit.len());
            let times = looked_times(&names, unit);
            assert!(times <= max_times, "{unit}: {times} times");
        }
        for unit in ["password=a1b2c3d4", "TOKEN=", "PASSWORD=!", "x_key=a1b2c3d4e5f6g7h8"] {
            assert!(looked_times(&names, unit) <= 2, "{unit}");
        }
    }

    #[test]
    fn a_value_for_want_of_another_is_found() {
        let names = Names::new(rules::built_in().unwrap().names, &[]);
        for text in ["x ${API_KEY:-V9x7Qs2}", "x ${API_KEY:=V9x7Qs2}/a", "t = API_KEY || 'V9x7Qs2'"]
        {
            let found = Looked::default().value_at(text, (4, 7), &names);
            assert_eq!(found.map(|range| &text[range]), Some("V9x7Qs2"), "{text}");
        }
        for text in ["x ${API_KEY:-}", "x ${API_KEY:-$OTHER_KEY}", "t = API_KEY || a9b8c7d6e5"] {
            assert_eq!(Looked::default().value_at(text, (4, 7), &names), None, "{text}");
        }
    }

    #[test]
    fn a_value_of_any_length_goes_whole_and_is_cut_inside_no_character() {
        let names = Names::new(rules::built_in().unwrap().names, &[]);
        for filler in ["é", "a1", "password=a1b2"] {
            let value = format!("x{}", filler.repeat(4000));
            let text = format!("DB_PASSWORD={value} and more");
            let found = Looked::default().value_at(&text, (3, 8), &names);
            assert_eq!(found.map(|range| &text[range]), Some(value.as_str()), "{filler}");
        }
        let quoted = format!("password=\"x1{}\"", "é".repeat(4000));
        assert!(Looked::default().value_at(&quoted, (0, 8), &names).is_some());
    }
}
