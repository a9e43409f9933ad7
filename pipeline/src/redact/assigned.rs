//! Values given to names that mean a secret, in a text of any kind: `NAME=value`, `"name": "value"`,
//! `--name value`, `name := "value"`, `<name>value</name>`.

use std::ops::Range;

use super::names::{Names, Strength};
use super::plausible::{
    has_digit, is_code, is_path, is_placeholder, is_plain_url, is_random, is_words,
};

/// Bytes on one side of a keyword that still belong to the name.
const MAX_NAME_BYTES: usize = 64;
/// Blanks between name, sign and value.
const MAX_BLANKS: usize = 16;
/// The longest value, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 4096;

/// What was looked at around a keyword.
pub(super) struct Looked {
    pub(super) name_end: usize,
    /// Of the value.
    pub(super) bytes: usize,
    /// The value, if it may be a secret.
    pub(super) secret: Option<Range<usize>>,
}

/// Looks at the name around a keyword, which begins at `hit`, and at the value behind it, of which no
/// more than `max_bytes` count.
pub(super) fn value_at(
    text: &str,
    (hit, keyword_bytes): (usize, usize),
    names: &Names,
    max_bytes: usize,
) -> Looked {
    let bytes = text.as_bytes();
    let name = name_around(bytes, hit, hit + keyword_bytes);
    let name_end = name.end.max(hit + keyword_bytes);
    let value =
        Sign::after(bytes, &name).and_then(|sign| Some((value(bytes, &sign, max_bytes)?, sign)));
    let Some(((value, is_quoted), sign)) = value else {
        return Looked { name_end, bytes: 0, secret: None };
    };
    let looked_bytes = value.len();
    let value = without_scheme(text, value);
    let accepted = |strength| accepts(&text[value.clone()], strength, is_quoted, &sign);
    // Most values would not do whatever the name says, and names take longer.
    let is_secret = accepted(Strength::Any) && names.strength(&text[name]).is_some_and(accepted);
    Looked { name_end, bytes: looked_bytes, secret: is_secret.then_some(value) }
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
    /// Only a quoted value counts.
    wants_quotes: bool,
    is_element: bool,
}

impl Sign {
    fn after(bytes: &[u8], name: &Range<usize>) -> Option<Sign> {
        let is_option = bytes[name.clone()].starts_with(b"-");
        let before = name.start.checked_sub(1).map(|at| bytes[at]);
        let mut at = name.end;
        let closed = at;
        at += usize::from(matches!(bytes.get(at), Some(b'"' | b'\'' | b'`')));
        let was_quoted = at > closed;
        at += usize::from(bytes.get(at) == Some(&b']'));
        let blanks_begin = at;
        at = skip_blanks(bytes, at);
        let has_blanks = at > blanks_begin;
        let rest = &bytes[at..];
        let sign_bytes = match rest {
            [b':', b'=', ..] | [b'=', b'>', ..] => 2,
            [b'=', b'=', ..] | [b':', b':', ..] => return None,
            [b'=' | b':', ..] => 1,
            [b',', ..] if was_quoted => 1,
            [b'>', ..] if before == Some(b'<') => 1,
            _ if is_option && has_blanks => 0,
            _ => return None,
        };
        let is_capital = bytes[name.clone()].iter().all(|byte| !byte.is_ascii_lowercase());
        let is_equals =
            rest.first() == Some(&b'=') && !has_blanks && !matches!(rest.get(1), Some(b' ' | b'>'));
        Some(Sign {
            end: at + sign_bytes,
            is_shell: is_option || is_equals && is_capital,
            wants_quotes: rest.first() == Some(&b','),
            is_element: rest.first() == Some(&b'>'),
        })
    }
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take(MAX_BLANKS).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Where the value is, without quotes, and whether it had some.
fn value(bytes: &[u8], sign: &Sign, max_bytes: usize) -> Option<(Range<usize>, bool)> {
    if sign.is_element {
        let length = bytes[sign.end..].iter().take(max_bytes).position(|&byte| byte == b'<')?;
        return Some((sign.end..sign.end + length, true));
    }
    let mut begin = skip_blanks(bytes, sign.end);
    if let Some(typed) = behind_type(bytes, begin) {
        begin = typed;
    }
    if let Some(&quote @ (b'"' | b'\'' | b'`')) = bytes.get(begin) {
        return Some((quoted(bytes, begin + 1, quote, max_bytes)?, true));
    }
    if sign.wants_quotes {
        return None;
    }
    let ends = |byte: &u8| ENDS[usize::from(*byte)];
    let length =
        bytes[begin..].iter().take(max_bytes).position(ends).unwrap_or(bytes.len() - begin);
    let length = length.min(max_bytes);
    Some((begin..begin + length, false))
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

/// Up to the closing quote; without one on the line, up to the first blank.
fn quoted(bytes: &[u8], begin: usize, quote: u8, max_bytes: usize) -> Option<Range<usize>> {
    let line = &bytes[begin..bytes.len().min(begin + max_bytes)];
    let mut escaped = false;
    let end = line.iter().position(|&byte| {
        let is_end = !escaped && byte == quote || byte == b'\n';
        escaped = !escaped && byte == b'\\';
        is_end
    });
    let blank = || line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let length = end.filter(|&end| line[end] == quote).unwrap_or_else(blank);
    (length > 0).then_some(begin..begin + length)
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

fn accepts(value: &str, strength: Strength, is_quoted: bool, sign: &Sign) -> bool {
    const MIN_BYTES: usize = 6;
    // (Unquoted, it is another word for what is not there, or where a shell reads from.)
    if value.len() < MIN_BYTES
        || !is_quoted && value.starts_with('<')
        || value.contains(char::is_whitespace)
    {
        return false;
    }
    let is_mixed = || has_digit(value) && value.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_odd = || value.bytes().any(|byte| b"!@#$%^&*+~?".contains(&byte));
    let is_likely = match (strength, is_quoted, sign.is_shell) {
        (Strength::Strict, true, _) | (Strength::Strict, _, true) => is_random(value, 16),
        (Strength::Strict, ..) => is_random(value, 20) && !is_code(value),
        (Strength::Any, _, true) => !is_words(value) || value.len() >= 8,
        (Strength::Some, _, true) => !is_words(value) && !is_code(value),
        (Strength::Any, true, _) => is_mixed() || is_odd() && !is_words(value),
        (Strength::Some, true, _) => is_mixed() && value.len() >= 8 && !is_code(value),
        (Strength::Any, false, _) => is_mixed() && value.len() >= 8 && !is_code(value),
        (Strength::Some, false, _) => is_random(value, 12) && !is_code(value),
    };
    is_likely && !is_placeholder(value) && !is_path(value) && !is_plain_url(value)
}
