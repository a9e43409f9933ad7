//! Backslash and percent escapes in a text, undone with a way back: what is found in the decoded text
//! has its place in the encoded one.

use std::ops::Range;

/// A decoded text.
pub(super) struct Decoded {
    pub(super) text: String,
    /// At these places of the decoded text, an escape ended; and how many bytes were saved up to there.
    shifts: Vec<(u32, u32)>,
}

/// Texts longer than this are not decoded, in bytes; places are kept in 32 bits.
const MAX_BYTES: usize = u32::MAX as usize;

/// Longer codes of a terminal are none, in bytes.
const MAX_COLOUR_BYTES: usize = 32;

/// Undoes one layer of escapes; `None` if there are none that could hide something.
pub(super) fn decode(text: &str) -> Option<Decoded> {
    let bytes = text.as_bytes();
    if text.len() > MAX_BYTES
        || !memchr::memchr2_iter(b'\\', b'%', bytes).any(|at| hides(&bytes[at..]))
    {
        return None;
    }
    let mut decoded = Decoded { text: String::with_capacity(text.len()), shifts: Vec::new() };
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'\\', b'%', &bytes[at..]) {
        at += found;
        let Some((char, length)) = escape(&bytes[at..]) else {
            at += 1;
            continue;
        };
        decoded.text.push_str(&text[copied..at]);
        decoded.text.push(char);
        at += length;
        copied = at;
        // The decoded character is behind the copied text, and shorter than its escape.
        decoded.shifts.push((decoded.text.len() as u32, (at - decoded.text.len()) as u32));
    }
    decoded.text.push_str(&text[copied..]);
    Some(decoded)
}

/// The codes in a text that colour it on a terminal: where each begins and ends.
pub(super) fn colours(text: &str) -> Vec<(usize, usize)> {
    const BEGIN: &str = "\u{1b}[";
    let bytes = text.as_bytes();
    let code = |at: usize| {
        let digits = bytes[at + BEGIN.len()..].iter().take(MAX_COLOUR_BYTES);
        let digits = digits.take_while(|byte| matches!(byte, b'0'..=b'?')).count();
        let end = at + BEGIN.len() + digits;
        bytes.get(end).filter(|byte| byte.is_ascii_alphabetic()).map(|_| (at, end + 1))
    };
    let begins = memchr::memchr_iter(BEGIN.as_bytes()[0], bytes);
    begins.filter(|at| bytes[*at..].starts_with(BEGIN.as_bytes())).filter_map(code).collect()
}

/// Leaves out some parts of a text, which are in order and not empty.
pub(super) fn without(text: &str, parts: &[(usize, usize)]) -> Option<Decoded> {
    if text.len() > MAX_BYTES || parts.is_empty() {
        return None;
    }
    let mut decoded = Decoded { text: String::with_capacity(text.len()), shifts: Vec::new() };
    let mut copied = 0;
    for &(begin, end) in parts {
        decoded.text.push_str(&text[copied..begin.max(copied)]);
        decoded.shifts.push((decoded.text.len() as u32, (end - decoded.text.len()) as u32));
        copied = end;
    }
    decoded.text.push_str(&text[copied..]);
    Some(decoded)
}

impl Decoded {
    /// Where a part of the decoded text is in the encoded one.
    pub(super) fn encoded_range(&self, part: Range<usize>) -> Range<usize> {
        let begin = self.encoded(part.start);
        begin..self.encoded(part.end).max(begin)
    }

    /// Whether something ended in a part of the decoded text, or at its begin or end.
    pub(super) fn touches(&self, part: &Range<usize>) -> bool {
        let first = self.shifts.partition_point(|(at, _)| (*at as usize) < part.start);
        self.shifts.get(first).is_some_and(|(at, _)| *at as usize <= part.end)
    }

    /// Whether an escape was in a part of the decoded text, or right beside it.
    pub(super) fn changed(&self, part: &Range<usize>) -> bool {
        let first = self.shifts.partition_point(|(at, _)| (*at as usize) < part.start);
        let behind = part.end + char::MAX_LEN_UTF8;
        self.shifts.get(first).is_some_and(|(at, _)| *at as usize <= behind)
    }

    fn encoded(&self, place: usize) -> usize {
        let before = self.shifts.partition_point(|(at, _)| *at as usize <= place);
        let shift = before.checked_sub(1).map_or(0, |last| self.shifts[last].1);
        place + shift as usize
    }
}

/// Whether an escape begins here that can change what a rule sees. A line break alone does not.
fn hides(bytes: &[u8]) -> bool {
    match bytes {
        [b'\\', b'"' | b'\'' | b'\\' | b'/', ..] => true,
        [b'\\', b'u' | b'x' | b'0' | b'1', ..] | [b'%', ..] => escape(bytes).is_some(),
        _ => false,
    }
}

/// The character that an escape means, and its length in bytes.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = |char| Some((char, 2));
    match *bytes {
        [b'%', a, b, ..] => {
            let byte = hex(a)? << 4 | hex(b)?;
            // Other bytes are parts of characters; no rule's pattern has such.
            byte.is_ascii().then_some((char::from(byte), 3))
        }
        [b'\\', byte @ (b'"' | b'\'' | b'\\' | b'/'), ..] => simple(char::from(byte)),
        [b'\\', b'n', ..] => simple('\n'),
        [b'\\', b'r', ..] => simple('\r'),
        [b'\\', b't', ..] => simple('\t'),
        [b'\\', b'u', a, b, c, d, ..] => {
            let digits = [a, b, c, d].map(hex);
            let unit = digits
                .into_iter()
                .try_fold(0u32, |unit, digit| Some(unit << 4 | u32::from(digit?)))?;
            Some((char::from_u32(unit)?, 6))
        }
        // (As with percent signs, other bytes are parts of characters.)
        [b'\\', b'x', a, b, ..] => {
            let byte = hex(a)? << 4 | hex(b)?;
            byte.is_ascii().then_some((char::from(byte), 4))
        }
        [b'\\', a @ b'0'..=b'1', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            let digits = [a, b, c].into_iter();
            let byte = digits.fold(0, |byte, digit| byte << 3 | (digit - b'0'));
            Some((char::from(byte), 4))
        }
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_characters_are_undone() {
        let decoded = decode(r"\x67\150p\x5f \xff\400 C:\dir\18 \0").unwrap();
        assert_eq!(decoded.text, r"ghp_ \xff\400 C:\dir\18 \0");
        assert!(decode(r"\d+\.[0-9]{1,3}").is_none());
    }

    #[test]
    fn colours_are_left_out() {
        let text = "\u{1b}[38;5;231mred\u{1b}[0m \u{1b}[? \u{1b}]";
        let plain = without(text, &colours(text)).unwrap();
        assert_eq!(plain.text, "red \u{1b}[? \u{1b}]");
        assert_eq!(&text[plain.encoded_range(0..3)], "red\u{1b}[0m");
        assert!(plain.touches(&(0..1)) && plain.touches(&(3..5)) && !plain.touches(&(1..2)));
    }

    #[test]
    fn a_place_in_the_decoded_text_leads_back() {
        let text = r"a\u0062c\n%2Fd\q%zz\/";
        let decoded = decode(text).unwrap();
        assert_eq!(decoded.text, "abc\n/d\\q%zz/");
        assert_eq!(&text[decoded.encoded_range(1..2)], r"\u0062");
        assert_eq!(&text[decoded.encoded_range(2..5)], r"c\n%2F");
        assert_eq!(&text[decoded.encoded_range(5..decoded.text.len())], r"d\q%zz\/");
        assert!(decode("no\\nthing 100%").is_none());
    }

    proptest! {
        #[test]
        fn any_part_leads_back_to_what_decodes_to_it(text in r#"([a-z%é]|\\u006[0-9]|\\["\\/nrt]|%2[0-9A-F]){0,30}"#) {
            let Some(decoded) = decode(&text) else { return Ok(()) };
            let places: Vec<_> = decoded.text.char_indices().map(|(at, _)| at).chain([decoded.text.len()]).collect();
            for (index, &begin) in places.iter().enumerate() {
                for &end in &places[index..] {
                    let part = &text[decoded.encoded_range(begin..end)];
                    let again = decode(part).map_or(part.to_owned(), |part| part.text);
                    // (A line break alone is not decoded.)
                    prop_assert_eq!(again.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t"),
                        decoded.text[begin..end].replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t"));
                }
            }
        }
    }
}
