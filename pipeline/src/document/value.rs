//! One key or value of a document, and the ways into it.

use std::borrow::Cow;

use super::keys::KeyKind;
use super::{Document, Kind, NodeId};

/// What an escape takes for one byte that it means, at most: `\u0041`.
const MAX_ESCAPE_BYTES: usize = 6;

/// A key or value. Text that was replaced is what stands there now.
#[derive(Copy, Clone)]
pub struct Value<'a> {
    document: &'a Document,
    at: u32,
}

impl<'a> Value<'a> {
    pub(super) fn new(document: &'a Document, at: u32) -> Value<'a> {
        Value { document, at }
    }

    /// Its number in the document.
    pub fn id(self) -> NodeId {
        NodeId(self.at)
    }

    /// What it is now: [`Kind::String`] for whatever was replaced.
    pub fn kind(self) -> Kind {
        match self.document.replacement(self.at) {
            Some(_) => Kind::String,
            None => self.document.nodes[self.at as usize].kind,
        }
    }

    /// Whether something else stands in its place.
    pub fn is_replaced(self) -> bool {
        self.document.replacement(self.at).is_some()
    }

    /// The value of the member with this key; if there are several, the last one, as in most parsers.
    #[inline]
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        // (Of a key that is in the program, all but two looks are made when that is built.)
        let kind = KeyKind::of(key.as_bytes());
        let Document { nodes, seen, has_other_keys, .. } = self.document;
        let may_have = nodes[self.at as usize].keys.may_have(kind)
            && (self.at > 0 || seen.top_keys.may_have(kind));
        if may_have || *has_other_keys { self.find(key) } else { None }
    }

    fn find(self, key: &str) -> Option<Value<'a>> {
        let Document { text, nodes, has_other_keys, .. } = self.document;
        if *has_other_keys {
            let members = self.members().filter(|(name, _)| name.is_text(key));
            return members.last().map(|(_, value)| value);
        }
        let Elements { mut at, end, .. } = self.inside(Kind::Object);
        let mut found = None;
        while at < end {
            let name = &nodes[at as usize];
            // Most are of another length, which is known without a look at the text.
            let is_it = if name.kind == Kind::EscapedString {
                Value::new(self.document, at).is_text(key)
            } else {
                (name.end - name.begin) as usize == key.len() + 2
                    && text.as_bytes()[name.begin as usize + 1..name.end as usize - 1]
                        == *key.as_bytes()
            };
            if is_it {
                found = Some(Value::new(self.document, at + 1));
            }
            at = nodes[at as usize + 1].next;
        }
        found
    }

    /// The value behind several keys.
    pub fn path(self, keys: &[&str]) -> Option<Value<'a>> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// Keys and values of an object, in order; nothing for anything else.
    pub fn members(self) -> Members<'a> {
        Members { elements: self.inside(Kind::Object) }
    }

    /// If this is a member's key: its value.
    pub fn member(self) -> Option<Value<'a>> {
        self.is_key().then(|| Value::new(self.document, self.at + 1))
    }

    /// Whether this is a member's key.
    pub(super) fn is_key(self) -> bool {
        // A string has a colon behind it in a compact text if, and only if, it is a key.
        let colon = self.original_range().end;
        self.token().starts_with(b"\"") && self.document.original().get(colon) == Some(&b':')
    }

    /// The elements of an array, in order; nothing for anything else.
    pub fn elements(self) -> Elements<'a> {
        self.inside(Kind::Array)
    }

    /// The characters of a key or string, decoded; half a surrogate pair is U+FFFD.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        self.document.decoded(self.at)
    }

    /// The truth value that it is.
    pub fn as_bool(self) -> Option<bool> {
        match self.token() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The whole number that it is, if it is one that fits.
    pub fn as_i64(self) -> Option<i64> {
        self.as_number()?.parse().ok()
    }

    /// The number that it is, rounded to the nearest that fits.
    pub fn as_f64(self) -> Option<f64> {
        self.as_number()?.parse().ok()
    }

    /// The digits of the number that it is, as they were written.
    pub fn as_number(self) -> Option<&'a str> {
        let is_number = self.kind() == Kind::Number;
        std::str::from_utf8(self.token()).ok().filter(|_| is_number)
    }

    /// Whether it may be a string whose first character, blanks aside, is this one: a look at how it is written, for
    /// what would have to be decoded otherwise.
    pub fn may_begin_with(self, character: u8) -> bool {
        let first = self.token().get(1).copied().unwrap_or_default();
        self.is_replaced()
            || first == character
            || first == b'\\'
            || first.is_ascii_whitespace()
            || !first.is_ascii()
    }

    /// Whether it is the string `text`.
    #[inline]
    pub fn is_text(self, text: &str) -> bool {
        let node = &self.document.nodes[self.at as usize];
        if !self.document.replaced.is_empty() {
            return self.is_text_now(text);
        }
        match node.kind {
            Kind::String => {}
            // (An escape takes six times what it means, at most.)
            Kind::EscapedString if self.original_bytes() > MAX_ESCAPE_BYTES * text.len() + 2 => {
                return false;
            }
            _ => return self.is_text_now(text),
        }
        // Most are of another length, which is known without a look at the text.
        let begin = node.begin as usize + 1;
        (node.end - node.begin) as usize == text.len() + 2
            && self.document.original()[begin..begin + text.len()] == *text.as_bytes()
    }

    /// The same for what has escapes or was replaced, if it is a string at all.
    fn is_text_now(self, text: &str) -> bool {
        self.as_str().is_some_and(|own| own == text)
    }

    /// How many bytes its text takes up as it was parsed.
    pub fn original_bytes(self) -> usize {
        self.token().len()
    }

    /// Its place in [`Document::original`].
    pub fn original_range(self) -> std::ops::Range<usize> {
        let node = &self.document.nodes[self.at as usize];
        node.begin as usize..node.end as usize
    }

    /// Appends it as JSON, with what was replaced.
    pub fn write_to(self, out: &mut Vec<u8>) {
        self.document.write(self.at, out);
    }

    /// As it was parsed.
    fn token(self) -> &'a [u8] {
        &self.document.original()[self.original_range()]
    }

    #[inline]
    fn inside(self, kind: Kind) -> Elements<'a> {
        let end = self.document.nodes[self.at as usize].next;
        let at = if self.kind() == kind { self.at + 1 } else { end };
        Elements { document: self.document, at, end }
    }
}

/// See [`Value::elements`].
#[derive(Clone)]
pub struct Elements<'a> {
    document: &'a Document,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        if self.at >= self.end {
            return None;
        }
        let value = Value::new(self.document, self.at);
        self.at = self.document.nodes[self.at as usize].next;
        Some(value)
    }
}

/// See [`Value::members`].
#[derive(Clone)]
pub struct Members<'a> {
    elements: Elements<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Value<'a>, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        Some((self.elements.next()?, self.elements.next()?))
    }
}
