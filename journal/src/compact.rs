//! Checks that bytes are one JSON text and writes the same tokens without the whitespace between
//! them, in one pass over the grammar of RFC 8259 (<https://www.rfc-editor.org/rfc/rfc8259>).
//!
//! Tokens are kept byte for byte: numbers beyond any machine type, lone surrogate escapes and
//! duplicate keys are grammatical and stay as they are.

use std::fmt;
use std::ops::Range;

use crate::text::find_special;

/// Arrays and objects inside each other; anything deeper counts as not JSON.
pub const MAX_DEPTH: u32 = 128;

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
        };
        write!(f, "{what} at byte {}", self.offset)
    }
}

impl std::error::Error for NotJson {}

/// Appends `input`'s tokens to `out` without the whitespace between them.
///
/// `on_top` is called for each member of a top-level object, in order, with the key's characters as
/// they are written (escapes kept, no quotes) and the range of `out` that the value's tokens will
/// have.
///
/// # Errors
///
/// If `input` is not JSON; `out` is then as long as before. (`on_top` may have been called.)
pub fn compact(
    input: &[u8],
    out: &mut Vec<u8>,
    on_top: impl FnMut(&[u8], Range<usize>),
) -> Result<(), NotJson> {
    if let Err(error) = std::str::from_utf8(input) {
        return Err(NotJson { offset: error.valid_up_to(), reason: Reason::InvalidUtf8 });
    }
    let before = out.len();
    out.reserve(input.len());
    let mut scanner = Scanner { input, at: 0, copied: 0, out, levels: 0, depth: 0 };
    let result = scanner.text(on_top);
    if result.is_err() {
        out.truncate(before);
    }
    result
}

struct Scanner<'a> {
    input: &'a [u8],
    /// The byte looked at.
    at: usize,
    /// Everything before this was copied to `out` or is whitespace.
    copied: usize,
    out: &'a mut Vec<u8>,
    /// The lowest bit: is the innermost open level an object?
    levels: u128,
    depth: u32,
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
    fn text(&mut self, mut on_top: impl FnMut(&[u8], Range<usize>)) -> Result<(), NotJson> {
        let mut top_key = 0..0;
        let mut top_value = 0;
        let mut expect = Expect::Value;
        loop {
            self.skip_whitespace();
            let Some(&byte) = self.input.get(self.at) else {
                let nothing_yet = self.depth == 0;
                return self.fail(if nothing_yet { Reason::Empty } else { Reason::UnexpectedEnd });
            };
            expect = match (expect, byte) {
                (Expect::Value | Expect::ValueOrEnd, b'{') => self.open(true)?,
                (Expect::Value | Expect::ValueOrEnd, b'[') => self.open(false)?,
                (Expect::ValueOrEnd, b']') | (Expect::KeyOrEnd, b'}') => self.close(),
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    self.scalar(byte)?;
                    Expect::CommaOrEnd
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    let key = self.key()?;
                    if self.depth == 1 {
                        top_key = key;
                        top_value = self.written();
                    }
                    Expect::Value
                }
                (Expect::CommaOrEnd, b',') => self.comma(),
                (Expect::CommaOrEnd, b'}') if self.levels & 1 == 1 => self.close(),
                (Expect::CommaOrEnd, b']') if self.levels & 1 == 0 => self.close(),
                _ => return self.fail(Reason::UnexpectedByte),
            };
            if matches!(expect, Expect::CommaOrEnd) {
                // A value is complete.
                if self.depth == 0 {
                    return self.end();
                }
                if self.depth == 1 && self.levels & 1 == 1 {
                    on_top(&self.input[top_key.clone()], top_value..self.written());
                }
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
    fn open(&mut self, object: bool) -> Result<Expect, NotJson> {
        if self.depth == MAX_DEPTH {
            return self.fail(Reason::TooDeep);
        }
        self.depth += 1;
        self.levels = self.levels << 1 | u128::from(object);
        self.at += 1;
        Ok(if object { Expect::KeyOrEnd } else { Expect::ValueOrEnd })
    }

    #[inline]
    fn close(&mut self) -> Expect {
        self.depth -= 1;
        self.levels >>= 1;
        self.at += 1;
        Expect::CommaOrEnd
    }

    #[inline]
    fn comma(&mut self) -> Expect {
        self.at += 1;
        if self.levels & 1 == 1 { Expect::Key } else { Expect::Value }
    }

    /// A key and its colon; returns where its characters are.
    #[inline]
    fn key(&mut self) -> Result<Range<usize>, NotJson> {
        let begin = self.at + 1;
        self.string()?;
        let end = self.at - 1;
        self.skip_whitespace();
        if self.input.get(self.at) != Some(&b':') {
            return self.unexpected();
        }
        self.at += 1;
        // So that `written` tells where the value will begin.
        self.skip_whitespace();
        Ok(begin..end)
    }

    #[inline]
    fn scalar(&mut self, byte: u8) -> Result<(), NotJson> {
        match byte {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.fail(Reason::UnexpectedByte),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), NotJson> {
        for &letter in word {
            if self.input.get(self.at) != Some(&letter) {
                return self.unexpected();
            }
            self.at += 1;
        }
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        loop {
            self.at = find_special(self.input, self.at);
            match self.input.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fail(Reason::ControlCharacter),
                None => return self.fail(Reason::UnexpectedEnd),
            }
        }
    }

    #[inline]
    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        match self.input.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
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
    fn number(&mut self) -> Result<(), NotJson> {
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
            _ => Ok(()),
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
        self.out.extend_from_slice(&self.input[self.copied..self.at]);
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

#[cfg(test)]
mod tests;
