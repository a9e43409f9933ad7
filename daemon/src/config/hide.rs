//! Secrets that stand in the file where they should not: an error quotes the file's line, and is logged.

use std::borrow::Cow;
use std::ops::Range;

/// How a key for Standard Webhooks begins.
const KEY_PREFIX: &str = "whsec_";

/// The text with stars in these places, and in those of keys for webhooks. No other byte moves.
pub(super) fn hidden<'t>(text: &'t str, places: &[Range<usize>]) -> Cow<'t, str> {
    let keys = text.match_indices(KEY_PREFIX).map(|(at, prefix)| {
        let start = at + prefix.len();
        let is_of_key = |char: char| char.is_ascii_alphanumeric() || "+/=-_".contains(char);
        let end = text[start..].find(|char| !is_of_key(char)).map_or(text.len(), |it| start + it);
        start..end
    });
    let all: Vec<_> = keys.chain(places.iter().cloned()).collect();
    if all.is_empty() {
        return Cow::Borrowed(text);
    }
    let is_hidden = |at: usize| all.iter().any(|place| place.contains(&at));
    let star = |(at, char): (usize, char)| match char {
        char if char == '\n' || !is_hidden(at) => char.to_string(),
        // As many bytes as there were.
        char => "*".repeat(char.len_utf8()),
    };
    Cow::Owned(text.char_indices().map(star).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_changes() {
        assert_eq!(hidden("a = \"b\"", &[]), "a = \"b\"");
        assert_eq!(hidden("a = \"hüh\"\nb = 1", &[0..0, 5..9]), "a = \"****\"\nb = 1");
        assert_eq!(hidden("a = whsec_QUJD+/= # x", &[]), "a = whsec_******* # x");
    }
}
