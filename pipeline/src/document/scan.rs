//! Checks that bytes are one JSON text, writes the same tokens without the whitespace between them,
//! and notes where each value went, in one pass over the grammar of RFC 8259
//! (<https://www.rfc-editor.org/rfc/rfc8259>).
//!
//! Tokens are kept byte for byte: numbers beyond any machine type, lone surrogate escapes and
//! duplicate keys are grammatical and stay as they are.

use std::fmt;

use super::keys::{KeyKind, KeySet, SmallKeySet};
use super::{Kind, Node};
use hookring_journal::text::find_special;

/// Arrays and objects inside each other; anything deeper counts as not JSON.
pub const MAX_DEPTH: u32 = 128;

/// The longest text, in bytes; places in it are kept in 32 bits.
pub const MAX_BYTES: usize = 1 << 30;

/// The most keys and values in a text, together: each takes 16 bytes of memory.
pub const MAX_VALUES: usize = 1 << 22;

// One bit of a u128 says for each open level whether it is an object.
const _: () = assert!(MAX_DEPTH <= u128::BITS);

/// Why some bytes are not a JSON text (of at most [`MAX_DEPTH`] levels), and where.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NotJson {
    /// The byte at which it was noticed; the length of the input if that ended too early.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// See [`NotJson`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// There is nothing but whitespace.
    Empty,
    /// The input is not UTF-8. Checked before everything else.
    InvalidUtf8,
    /// The input ends inside a value.
    UnexpectedEnd,
    /// A byte that cannot stand there.
    UnexpectedByte,
    /// A control character inside a string.
    ControlCharacter,
    /// A backslash followed by something that is no escape.
    InvalidEscape,
    /// A number that is not written as JSON wants it.
    InvalidNumber,
    /// More than [`MAX_DEPTH`] levels.
    TooDeep,
    /// Something follows the value.
    TrailingCharacters,
    /// More than [`MAX_BYTES`].
    TooLong,
    /// More than [`MAX_VALUES`].
    TooMany,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Reason::Empty => "nothing but whitespace",
            Reason::InvalidUtf8 => "invalid UTF-8",
            Reason::UnexpectedEnd => "unexpected end of input",
            Reason::UnexpectedByte => "unexpected character",
            Reason::ControlCharacter => "control character in a string",
            Reason::InvalidEscape => "invalid escape",
            Reason::InvalidNumber => "invalid number",
            Reason::TooDeep => "more than 128 levels",
            Reason::TrailingCharacters => "trailing characters",
            Reason::TooLong => "more than 1 GiB",
            Reason::TooMany => "more than 4,194,304 keys and values",
        };
        write!(f, "{what} at byte {}", self.offset)
    }
}

impl std::error::Error for NotJson {}

/// Writes `input`'s tokens to `out` without the whitespace between them, and a node for each key and
/// each value to `nodes`, in their order: a container before what it contains.
///
/// # Errors
///
/// If `input` is not JSON; `out` and `nodes` are of no use then.
pub(super) fn scan(input: &[u8], out: &mut String, nodes: &mut Vec<Node>) -> Result<Seen, NotJson> {
    let input = std::str::from_utf8(input)
        .map_err(|error| NotJson { offset: error.valid_up_to(), reason: Reason::InvalidUtf8 })?;
    if input.len() > MAX_BYTES {
        return Err(NotJson { offset: MAX_BYTES, reason: Reason::TooLong });
    }
    out.clear();
    out.reserve(input.len());
    nodes.clear();
    let open = [0; MAX_DEPTH as usize];
    let (text, input, seen) = (input, input.as_bytes(), Seen::default());
    let (at, copied, levels, depth) = (0, 0, 0, 0);
    let mut scanner = Scanner { text, input, at, copied, out, nodes, open, levels, depth, seen };
    scanner.text()?;
    Ok(scanner.seen)
}

/// What is known of a text without another look at it.
#[derive(Copy, Clone, Default)]
pub(super) struct Seen {
    /// The outermost object's keys.
    pub(super) top_keys: KeySet,
    /// An escape in it may stand for a letter, here or where the string is read once more.
    pub(super) has_hiding_escapes: bool,
}

/// Whether what stands behind a backslash may, with it, stand for a letter: `\u0041`, `\x41`, `\101`; or for the
/// slash in an address.
#[inline]
pub(super) fn hides(behind: Option<&u8>) -> bool {
    matches!(behind, Some(b'u' | b'/' | b'x' | b'0' | b'1'))
}

struct Scanner<'a> {
    text: &'a str,
    /// The same.
    input: &'a [u8],
    /// The byte looked at.
    at: usize,
    /// Everything before this was copied to `out` or is whitespace.
    copied: usize,
    out: &'a mut String,
    nodes: &'a mut Vec<Node>,
    /// The nodes of the open levels, by depth.
    open: [u32; MAX_DEPTH as usize],
    /// The lowest bit: is the innermost open level an object?
    levels: u128,
    depth: u32,
    seen: Seen,
}

/// What the grammar allows next.
enum Expect {
    Value,
    /// A value or the end of the array that has just begun.
    ValueOrEnd,
    Key,
    /// A key or the end of the object that has just begun.
    KeyOrEnd,
    /// A comma or the end of the innermost level.
    CommaOrEnd,
}

impl Scanner<'_> {
    fn text(&mut self) -> Result<(), NotJson> {
        let mut expect = Expect::Value;
        loop {
            self.skip_whitespace();
            let Some(&byte) = self.input.get(self.at) else {
                let nothing_yet = self.depth == 0;
                return self.fail(if nothing_yet { Reason::Empty } else { Reason::UnexpectedEnd });
            };
            expect = match (expect, byte) {
                (Expect::Value | Expect::ValueOrEnd, b'{') => self.open(Kind::Object)?,
                (Expect::Value | Expect::ValueOrEnd, b'[') => self.open(Kind::Array)?,
                (Expect::ValueOrEnd, b']') | (Expect::KeyOrEnd, b'}') => self.close(),
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    self.scalar(byte)?;
                    Expect::CommaOrEnd
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => self.key()?,
                (Expect::CommaOrEnd, b',') => self.comma(),
                (Expect::CommaOrEnd, b'}') if self.levels & 1 == 1 => self.close(),
                (Expect::CommaOrEnd, b']') if self.levels & 1 == 0 => self.close(),
                _ => return self.fail(Reason::UnexpectedByte),
            };
            // A value is complete.
            if matches!(expect, Expect::CommaOrEnd) && self.depth == 0 {
                return self.end();
            }
        }
    }

    fn end(&mut self) -> Result<(), NotJson> {
        self.skip_whitespace();
        if self.at < self.input.len() {
            return self.fail(Reason::TrailingCharacters);
        }
        self.copy();
        Ok(())
    }

    #[inline]
    fn open(&mut self, kind: Kind) -> Result<Expect, NotJson> {
        if self.depth == MAX_DEPTH {
            return self.fail(Reason::TooDeep);
        }
        self.open[self.depth as usize] = self.nodes.len() as u32;
        self.note(kind, self.written())?;
        self.depth += 1;
        let is_object = matches!(kind, Kind::Object);
        self.levels = self.levels << 1 | u128::from(is_object);
        self.at += 1;
        Ok(if is_object { Expect::KeyOrEnd } else { Expect::ValueOrEnd })
    }

    #[inline]
    fn close(&mut self) -> Expect {
        self.depth -= 1;
        self.levels >>= 1;
        self.at += 1;
        let (end, next) = (self.written() as u32, self.nodes.len() as u32);
        let node = &mut self.nodes[self.open[self.depth as usize] as usize];
        (node.end, node.next) = (end, next);
        Expect::CommaOrEnd
    }

    /// Notes a value whose token ends where the scanner stands.
    #[inline]
    fn note(&mut self, kind: Kind, begin: usize) -> Result<(), NotJson> {
        if self.nodes.len() == MAX_VALUES {
            return self.fail(Reason::TooMany);
        }
        let (end, next) = (self.written() as u32, self.nodes.len() as u32 + 1);
        let keys = SmallKeySet::default();
        self.nodes.push(Node { kind, keys, begin: begin as u32, end, next });
        Ok(())
    }

    #[inline]
    fn comma(&mut self) -> Expect {
        self.at += 1;
        if self.levels & 1 == 1 { Expect::Key } else { Expect::Value }
    }

    /// A key and its colon.
    #[inline]
    fn key(&mut self) -> Result<Expect, NotJson> {
        let begin = self.at + 1;
        self.scalar(b'"')?;
        let is_plain = self.nodes.last().is_some_and(|key| key.kind == Kind::String);
        let kind = is_plain.then(|| KeyKind::of(&self.input[begin..self.at - 1]));
        if self.depth == 1 {
            self.seen.top_keys.add(kind);
        }
        self.nodes[self.open[self.depth as usize - 1] as usize].keys.add(kind);
        self.skip_whitespace();
        if self.input.get(self.at) != Some(&b':') {
            return self.unexpected();
        }
        self.at += 1;
        Ok(Expect::Value)
    }

    #[inline]
    fn scalar(&mut self, byte: u8) -> Result<(), NotJson> {
        let begin = self.written();
        let kind = match byte {
            b'"' => self.string()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal(b"true", Kind::Bool)?,
            b'f' => self.literal(b"false", Kind::Bool)?,
            b'n' => self.literal(b"null", Kind::Null)?,
            _ => return self.fail(Reason::UnexpectedByte),
        };
        self.note(kind, begin)
    }

    fn literal(&mut self, word: &[u8], kind: Kind) -> Result<Kind, NotJson> {
        for &letter in word {
            if self.input.get(self.at) != Some(&letter) {
                return self.unexpected();
            }
            self.at += 1;
        }
        Ok(kind)
    }

    #[inline]
    fn string(&mut self) -> Result<Kind, NotJson> {
        self.at += 1;
        let mut kind = Kind::String;
        loop {
            self.at = find_special(self.input, self.at);
            match self.input.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(kind);
                }
                Some(b'\\') => {
                    kind = Kind::EscapedString;
                    self.escape()?;
                }
                Some(_) => return self.fail(Reason::ControlCharacter),
                None => return self.fail(Reason::UnexpectedEnd),
            }
        }
    }

    #[inline]
    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        match self.input.get(self.at) {
            Some(b'"' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'\\') => {
                self.at += 1;
                self.seen.has_hiding_escapes |= hides(self.input.get(self.at));
            }
            Some(b'/') => {
                self.at += 1;
                self.seen.has_hiding_escapes = true;
            }
            Some(b'u') => {
                self.at += 1;
                self.seen.has_hiding_escapes = true;
                for _ in 0..4 {
                    match self.input.get(self.at) {
                        Some(digit) if digit.is_ascii_hexdigit() => self.at += 1,
                        Some(_) => return self.fail(Reason::InvalidEscape),
                        None => return self.fail(Reason::UnexpectedEnd),
                    }
                }
            }
            Some(_) => return self.fail(Reason::InvalidEscape),
            None => return self.fail(Reason::UnexpectedEnd),
        }
        Ok(())
    }

    #[inline]
    fn number(&mut self) -> Result<Kind, NotJson> {
        if self.input[self.at] == b'-' {
            self.at += 1;
        }
        if self.input.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.input.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.input.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.input.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        // `01` and `1x` would otherwise be blamed on what may follow a value.
        match self.input.get(self.at) {
            Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-') => {
                self.fail(Reason::InvalidNumber)
            }
            _ => Ok(Kind::Number),
        }
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Result<(), NotJson> {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.input.get(self.at) {
            self.at += 1;
        }
        match self.input.get(self.at) {
            _ if self.at > begin => Ok(()),
            Some(_) => self.fail(Reason::InvalidNumber),
            None => self.fail(Reason::UnexpectedEnd),
        }
    }

    /// Leaves whitespace out of the copy.
    #[inline]
    fn skip_whitespace(&mut self) {
        if let Some(b' ' | b'\n' | b'\r' | b'\t') = self.input.get(self.at) {
            self.copy();
            while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.input.get(self.at) {
                self.at += 1;
            }
            self.copied = self.at;
        }
    }

    #[inline]
    fn copy(&mut self) {
        // (Both are beside a byte of the grammar, hence between characters.)
        self.out.push_str(&self.text[self.copied..self.at]);
        self.copied = self.at;
    }

    /// The length that `out` has, or will have once everything before `at` is copied.
    #[inline]
    fn written(&self) -> usize {
        self.out.len() + (self.at - self.copied)
    }

    fn unexpected<T>(&self) -> Result<T, NotJson> {
        let ended = self.at == self.input.len();
        self.fail(if ended { Reason::UnexpectedEnd } else { Reason::UnexpectedByte })
    }

    #[cold]
    fn fail<T>(&self, reason: Reason) -> Result<T, NotJson> {
        Err(NotJson { offset: self.at, reason })
    }
}
