//! Makes JSON of an object that is almost some: one wrong byte must not hide what an agent does.
//!
//! One pass from begin to end; what comes out is for [`super::scan`] to judge. Nothing is guessed: what
//! cannot stand in a string is replaced or escaped, what has no quotes gets some, what is open is closed.

use std::fmt;

use hookring_journal::text::{find_special, push_json_string};

use super::scan::MAX_DEPTH;

/// Levels of a mended text; fewer than may be, so that the event around it is within what most readers take (128).
const MAX_MENDED_DEPTH: u32 = 100;

const _: () = assert!(MAX_MENDED_DEPTH <= MAX_DEPTH);

/// Something that was done to a payload to make JSON of it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Mend {
    /// A byte order mark in front of it was left out.
    ByteOrderMark,
    /// Bytes that are not UTF-8 were replaced by U+FFFD.
    InvalidUtf8,
    /// Control characters in strings were escaped.
    ControlCharacters,
    /// Control characters elsewhere were left out.
    Padding,
    /// Backslashes that begin no escape were doubled.
    Backslashes,
    /// Commas with nothing behind them were left out.
    Commas,
    /// What has no quotes and is neither number, truth nor `null` became a string.
    Unquoted,
    /// Values inside too many others became strings.
    TooDeep,
    /// It ended too early, and was closed.
    CutOff,
}

const MENDS: [Mend; 9] = [
    Mend::ByteOrderMark,
    Mend::InvalidUtf8,
    Mend::ControlCharacters,
    Mend::Padding,
    Mend::Backslashes,
    Mend::Commas,
    Mend::Unquoted,
    Mend::TooDeep,
    Mend::CutOff,
];

/// What was mended, and how often: bytes of [`Mend::InvalidUtf8`], places of all others.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Mended(pub Mend, pub usize);

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.0 {
            Mend::ByteOrderMark => "a byte order mark was left out",
            Mend::InvalidUtf8 => "bytes that are not UTF-8 were replaced by U+FFFD",
            Mend::ControlCharacters => "control characters in strings were escaped",
            Mend::Padding => "control characters outside of strings were left out",
            Mend::Backslashes => "backslashes that begin no escape were doubled",
            Mend::Commas => "commas with nothing behind them were left out",
            Mend::Unquoted => "words without quotes became strings",
            Mend::TooDeep => "values beyond 100 levels became strings",
            Mend::CutOff => "its end is missing and was closed",
        };
        write!(f, "{what} ({})", self.1)
    }
}

/// Whether this begins as an object does.
pub(super) fn is_object(input: &[u8]) -> bool {
    let text = input.strip_prefix(MARK.as_bytes()).unwrap_or(input);
    text.trim_ascii_start().starts_with(b"{")
}

const MARK: &str = "\u{feff}";

/// The mended text, what was done to it, and whether something follows the object, which is left out. For what
/// [`is_object`] only.
pub(super) fn mend(input: &[u8]) -> (Vec<u8>, Vec<Mended>, bool) {
    let invalid_bytes = input.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    let text = String::from_utf8_lossy(input);
    let behind_mark = text.strip_prefix(MARK);
    let out = Vec::with_capacity(text.len() + 16);
    let text = behind_mark.unwrap_or(&text);
    let last = Last::Begin;
    let mut mender =
        Mender { text, at: 0, out, counts: [0; MENDS.len()], levels: 0, depth: 0, last, comma: 0 };
    mender.counts[Mend::ByteOrderMark as usize] = behind_mark.iter().count();
    mender.counts[Mend::InvalidUtf8 as usize] = invalid_bytes;
    let is_followed = mender.object();
    let counted = MENDS.iter().map(|mend| Mended(*mend, mender.counts[*mend as usize]));
    (mender.out, counted.filter(|mended| mended.1 > 0).collect(), is_followed)
}

struct Mender<'a> {
    text: &'a str,
    /// The byte looked at.
    at: usize,
    out: Vec<u8>,
    counts: [usize; MENDS.len()],
    /// The lowest bit: is the innermost open level an object?
    levels: u128,
    depth: u32,
    last: Last,
    /// Where the last comma is in `out`.
    comma: usize,
}

/// What was written last.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Last {
    /// An opening brace or bracket, or nothing.
    Begin,
    Comma,
    Key,
    Colon,
    Value,
}

impl Mender<'_> {
    /// Whether something follows it.
    fn object(&mut self) -> bool {
        while let Some(&byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'{' | b'[' if self.depth == MAX_MENDED_DEPTH => self.too_deep(),
                b'{' | b'[' => self.open(byte),
                b'}' | b']' => self.close(byte),
                b'"' => self.string(),
                b',' => {
                    self.comma = self.out.len();
                    self.copy(byte, Last::Comma);
                }
                b':' => self.copy(byte, Last::Colon),
                b' ' | b'\n' | b'\r' | b'\t' => self.copy(byte, self.last),
                0..0x20 => {
                    self.count(Mend::Padding);
                    self.at += 1;
                }
                _ => self.word(),
            }
            if self.depth == 0 && self.last != Last::Begin {
                return self.is_followed();
            }
        }
        self.end();
        false
    }

    /// Control characters behind the object are no text.
    fn is_followed(&mut self) -> bool {
        let rest = self.text[self.at..].bytes();
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let is_followed = !rest.clone().all(|byte| is_blank(&byte) || byte.is_ascii_control());
        if !is_followed {
            let padding = rest.filter(|byte| !is_blank(byte)).count();
            self.counts[Mend::Padding as usize] += padding;
        }
        is_followed
    }

    fn count(&mut self, mend: Mend) {
        self.counts[mend as usize] += 1;
    }

    fn copy(&mut self, byte: u8, last: Last) {
        self.out.push(byte);
        self.at += 1;
        self.last = last;
    }

    fn open(&mut self, byte: u8) {
        self.depth += 1;
        self.levels = self.levels << 1 | u128::from(byte == b'{');
        self.copy(byte, Last::Begin);
    }

    fn close(&mut self, byte: u8) {
        self.take_back_comma();
        self.depth -= 1;
        self.levels >>= 1;
        self.copy(byte, Last::Value);
    }

    fn take_back_comma(&mut self) {
        if self.last == Last::Comma {
            self.out[self.comma] = b' ';
            self.count(Mend::Commas);
        }
    }

    fn is_at_key(&self) -> bool {
        self.levels & 1 == 1 && matches!(self.last, Last::Begin | Last::Comma)
    }

    fn note_value(&mut self) {
        self.last = if self.is_at_key() { Last::Key } else { Last::Value };
    }

    fn string(&mut self) {
        let bytes = self.text.as_bytes();
        self.out.push(b'"');
        self.at += 1;
        loop {
            let end = find_special(bytes, self.at);
            self.out.extend_from_slice(&bytes[self.at..end]);
            self.at = end;
            match bytes.get(end) {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => self.escape(),
                Some(control) => {
                    self.count(Mend::ControlCharacters);
                    self.out.extend_from_slice(format!("\\u{control:04x}").as_bytes());
                    self.at += 1;
                }
                None => break,
            }
        }
        self.out.push(b'"');
        self.note_value();
    }

    fn escape(&mut self) {
        let behind = &self.text.as_bytes()[self.at + 1..];
        let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
        let bytes = match behind {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
            [b'u', digits @ ..] if digits.get(..4).is_some_and(is_hex) => 5,
            _ => {
                self.count(Mend::Backslashes);
                self.out.push(b'\\');
                0
            }
        };
        self.out.push(b'\\');
        self.out.extend_from_slice(&behind[..bytes]);
        self.at += 1 + bytes;
    }

    /// What has no quotes.
    fn word(&mut self) {
        let rest = &self.text[self.at..];
        let is_end = |letter: char| letter <= ' ' || "{}[],:\"".contains(letter);
        let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        let is_value = matches!(word, "true" | "false" | "null") || is_number(word.as_bytes());
        if is_value && !self.is_at_key() {
            self.out.extend_from_slice(word.as_bytes());
        } else {
            self.count(Mend::Unquoted);
            push_json_string(&mut self.out, word);
        }
        self.note_value();
    }

    /// Makes a string of an array or object, as it stands there.
    fn too_deep(&mut self) {
        let bytes = self.text.as_bytes();
        let (begin, mut depth, mut is_inside) = (self.at, 0_usize, false);
        while let Some(byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' if is_inside => self.at += 1,
                b'"' => is_inside = !is_inside,
                b'{' | b'[' if !is_inside => depth += 1,
                b'}' | b']' if !is_inside => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        self.at = self.at.min(bytes.len());
        self.count(Mend::TooDeep);
        push_json_string(&mut self.out, &self.text[begin..self.at]);
        self.note_value();
    }

    /// Closes what is open.
    fn end(&mut self) {
        self.count(Mend::CutOff);
        match self.last {
            Last::Comma => self.take_back_comma(),
            Last::Key => self.out.extend_from_slice(b":null"),
            Last::Colon => self.out.extend_from_slice(b"null"),
            Last::Begin | Last::Value => {}
        }
        while self.depth > 0 {
            self.out.push(if self.levels & 1 == 1 { b'}' } else { b']' });
            self.levels >>= 1;
            self.depth -= 1;
        }
    }
}

/// Whether this is a number as JSON has it.
fn is_number(word: &[u8]) -> bool {
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let (whole, rest) = word.split_at(leading_digits(word));
    let is_whole = !whole.is_empty() && (whole.len() == 1 || whole[0] != b'0');
    let (is_fraction, rest) = match rest.strip_prefix(b".") {
        Some(digits) => (leading_digits(digits) > 0, &digits[leading_digits(digits)..]),
        None => (true, rest),
    };
    let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) else {
        return is_whole && is_fraction && rest.is_empty();
    };
    let digits = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-"));
    let digits = digits.unwrap_or(exponent);
    let is_exponent = !digits.is_empty() && leading_digits(digits) == digits.len();
    is_whole && is_fraction && is_exponent
}

fn leading_digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    /// The text that comes of it, if it is JSON then, and what was done.
    fn mended(input: &[u8]) -> (Option<String>, Vec<Mended>, bool) {
        assert!(is_object(input));
        let (text, mends, is_followed) = mend(input);
        let mut document = Document::default();
        let is_json = document.parse(&text).is_ok();
        let text = String::from_utf8(document.original().to_vec()).expect("UTF-8");
        (is_json.then_some(text), mends, is_followed)
    }

    #[test]
    fn what_is_almost_json_is_mended() {
        use Mend::*;
        for (input, expected, mends) in [
            (&b"\xef\xbb\xbf{\"a\":1}"[..], r#"{"a":1}"#, &[(ByteOrderMark, 1)][..]),
            (b"{\"a\":\"x\xff\xfey\"}", "{\"a\":\"x\u{fffd}\u{fffd}y\"}", &[(InvalidUtf8, 2)]),
            (b"{\"a\":\"\n\x01\"}", r#"{"a":"\u000a\u0001"}"#, &[(ControlCharacters, 2)]),
            (b"{\0\"a\":1}\0\x7f\n", r#"{"a":1}"#, &[(Padding, 3)]),
            (br#"{"a":"\x\"\u12\\\u00e4"}"#, r#"{"a":"\\x\"\\u12\\\u00e4"}"#, &[(Backslashes, 2)]),
            (br#"{"a":[1,2, ], "b":{"c":1,},}"#, r#"{"a":[1,2],"b":{"c":1}}"#, &[(Commas, 3)]),
            (
                br#"{a:NaN,"b":[01,-1.5e+3,null]}"#,
                "{\"a\":\"NaN\",\"b\":[\"01\",-1.5e+3,null]}",
                &[(Unquoted, 3)],
            ),
            (br#"{1:2}"#, r#"{"1":2}"#, &[(Unquoted, 1)]),
            (br#"{"a":"cut of"#, r#"{"a":"cut of"}"#, &[(CutOff, 1)]),
            (br#"{"a":[{"b":1,"#, r#"{"a":[{"b":1}]}"#, &[(Commas, 1), (CutOff, 1)]),
            (br#"{"a":1,"ke"#, r#"{"a":1,"ke":null}"#, &[(CutOff, 1)]),
            (br#"{"a":"#, r#"{"a":null}"#, &[(CutOff, 1)]),
            (b"{", "{}", &[(CutOff, 1)]),
            (b"{\"a\":\"\\", r#"{"a":"\\"}"#, &[(Backslashes, 1), (CutOff, 1)]),
        ] {
            let expected_mends = mends.iter().map(|(mend, count)| Mended(*mend, *count)).collect();
            let expected = (Some(expected.to_owned()), expected_mends, false);
            assert_eq!(mended(input), expected, "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn what_is_too_deep_becomes_a_string_that_has_all_of_it() {
        let deep = r#"[{"x":["]\"ä"]}]"#;
        for end in ["", "}"] {
            let levels = MAX_MENDED_DEPTH as usize - 1;
            let arrays = ["[".repeat(levels), "]".repeat(levels)];
            let input = format!(r#"{{"a":{}{deep}{},"b":1{end}"#, arrays[0], arrays[1]);
            let (text, mends, _) = mended(input.as_bytes());
            let mut string = Vec::new();
            push_json_string(&mut string, deep);
            let string = String::from_utf8(string).expect("UTF-8");
            let expected = format!(r#"{{"a":{}{string}{},"b":1}}"#, arrays[0], arrays[1]);
            assert_eq!(text, Some(expected));
            assert_eq!(mends[0], Mended(Mend::TooDeep, 1));
        }
    }

    #[test]
    fn what_follows_is_told_and_what_makes_no_sense_stays_no_json() {
        assert!(mended(b"{} {}").2 && mended(b"{}}").2 && !mended(b"{} \0\r\n").2);
        for input in [&b"{]"[..], b"{\"a\" \"b\"}", b"{ foo bar }", b"{\"a\":1,,}", b"{{}}"] {
            assert_eq!(mended(input).0, None, "{}", String::from_utf8_lossy(input));
        }
        for (input, expected) in [(&b"{"[..], true), (b" \n{", true), (b"[{", false), (b"", false)]
        {
            assert_eq!(is_object(input), expected);
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for (word, expected) in [
            ("0", true),
            ("-12.50E-7", true),
            ("1e400", true),
            ("00", false),
            ("-", false),
            ("1.", false),
            (".5", false),
            ("1e", false),
            ("1x", false),
            ("0x1F", false),
            ("", false),
        ] {
            assert_eq!(is_number(word.as_bytes()), expected, "{word}");
        }
    }
}
