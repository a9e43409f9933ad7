//! A payload as an indexed JSON text: checked and written once, then looked into and changed without
//! being built as a tree.
//!
//! [`Document::parse`] keeps the payload's own tokens and a list of where each value is. What must not
//! stay (a secret, long content) is replaced value by value; whoever reads a value behind that gets
//! the replacement, and so does the line that is written.

use std::borrow::Cow;

use hookring_journal::text::push_json_string;

mod decode;
mod keys;
mod mend;
mod scan;
mod value;

pub use mend::{Mend, Mended};
pub use scan::{MAX_BYTES, MAX_DEPTH, MAX_VALUES, NotJson, Reason};
pub use value::{Elements, Members, Value};

/// What a value is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Members in braces.
    Object,
    /// Elements in brackets.
    Array,
    /// A string, or a member's key, without a backslash in it.
    String,
    /// A string, or a member's key, with at least one escape.
    EscapedString,
    /// A number of any length.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
}

/// Where a key or a value is. A container's node comes before those of what it contains; in an object
/// each key's node comes right before its value's.
#[derive(Copy, Clone, Debug)]
struct Node {
    kind: Kind,
    /// Of an object.
    keys: keys::SmallKeySet,
    /// Its token in the text.
    begin: u32,
    end: u32,
    /// The node behind it and all that it contains.
    next: u32,
}

// (As the limit of `MAX_VALUES` reckons.)
const _: () = assert!(size_of::<Node>() == 16);

/// Buffers of up to this many bytes are kept for the next payload.
const KEPT_BYTES: usize = 1 << 20;

/// The number of a node, which names a key or a value of one document.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeId(u32);

/// A JSON text with an index, and what replaces some of its values. Reused from payload to payload, it
/// allocates nothing once its buffers have grown.
#[derive(Default)]
pub struct Document {
    text: String,
    nodes: Vec<Node>,
    seen: scan::Seen,
    /// Sorted by node, none inside another.
    replaced: Vec<(NodeId, String)>,
    /// A key is among them.
    has_other_keys: bool,
}

impl Document {
    /// Takes a new text; what was there before is gone.
    ///
    /// # Errors
    ///
    /// If it is not JSON of at most [`MAX_DEPTH`] levels, [`MAX_BYTES`] bytes and [`MAX_VALUES`] values; the document
    /// is then empty.
    pub fn parse(&mut self, input: &[u8]) -> Result<(), NotJson> {
        self.replaced.clear();
        self.has_other_keys = false;
        match scan::scan(input, &mut self.text, &mut self.nodes) {
            Ok(seen) => {
                self.seen = seen;
                Ok(())
            }
            Err(error) => {
                self.clear();
                Err(error)
            }
        }
    }

    /// The same for a payload: an object that is almost JSON is mended, and `mends` gets what was done to it.
    ///
    /// # Errors
    ///
    /// As [`Document::parse`]. Of an object with something behind it the document has the object all the same.
    pub fn parse_or_mend(&mut self, input: &[u8], mends: &mut Vec<Mended>) -> Result<(), NotJson> {
        let Err(error) = self.parse(input) else { return Ok(()) };
        let is_hopeless = matches!(error.reason, Reason::Empty | Reason::TooLong | Reason::TooMany);
        if is_hopeless || !mend::is_object(input) {
            return Err(error);
        }
        let (text, mended, is_followed) = mend::mend(input);
        if self.parse(&text).is_err() || is_followed {
            return Err(error);
        }
        mends.extend(mended);
        Ok(())
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.text.clear();
        self.nodes.clear();
        self.replaced.clear();
        self.has_other_keys = false;
    }

    /// Empties it, and gives back the memory that a payload of unusual size took.
    pub fn release(&mut self) {
        self.clear();
        self.text.shrink_to(KEPT_BYTES);
        self.nodes.shrink_to(KEPT_BYTES / size_of::<Node>());
        self.replaced.shrink_to(KEPT_BYTES / size_of::<(NodeId, String)>());
    }

    /// The outermost value; `None` if nothing was parsed.
    pub fn root(&self) -> Option<Value<'_>> {
        (!self.nodes.is_empty()).then_some(Value::new(self, 0))
    }

    /// The compact text as it was parsed, without replacements. What reads it must not let it out.
    pub fn original(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The places in [`Document::original`] of the backslashes that may hide a letter from who looks for it there.
    pub(crate) fn hiding_escapes(&self) -> impl Iterator<Item = usize> {
        let text = if self.seen.has_hiding_escapes { self.original() } else { &[] };
        memchr::memchr_iter(b'\\', text).filter(|at| scan::hides(text.get(at + 1)))
    }

    /// All keys and values, in the order of the text.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        (0..self.nodes.len() as u32).map(|at| Value::new(self, at))
    }

    /// The key or value with this number.
    ///
    /// # Panics
    ///
    /// If the number is of another document that was longer.
    pub fn value(&self, id: NodeId) -> Value<'_> {
        assert!((id.0 as usize) < self.nodes.len(), "the node is of another document");
        Value::new(self, id.0)
    }

    /// The key or string that holds a place of [`Document::original`], quotes included.
    pub fn string_at(&self, offset: usize) -> Option<NodeId> {
        let behind = self.nodes.partition_point(|node| node.begin as usize <= offset);
        let at = behind.checked_sub(1)?;
        let node = &self.nodes[at];
        let is_inside =
            matches!(node.kind, Kind::String | Kind::EscapedString) && offset < node.end as usize;
        is_inside.then_some(NodeId(at as u32))
    }

    /// Puts a string in the place of a key or value and of all that it contains. A later replacement of the
    /// same one, or of what contains it, takes the place of this; inside of what was replaced nothing is left to
    /// replace.
    pub fn replace(&mut self, id: NodeId, text: String) {
        let before = self.replaced.partition_point(|(other, _)| *other < id);
        let outer = before.checked_sub(1).map(|at| self.replaced[at].0);
        if outer.is_some_and(|outer| id.0 < self.nodes[outer.0 as usize].next) {
            return;
        }
        let next = NodeId(self.nodes[id.0 as usize].next);
        let end = self.replaced.partition_point(|(other, _)| *other < next);
        self.replaced.splice(before..end, [(id, text)]);
        self.has_other_keys |= self.value(id).is_key();
    }

    /// What stands in the place of a node, if something does.
    fn replacement(&self, at: u32) -> Option<&str> {
        if self.replaced.is_empty() {
            return None;
        }
        let found = self.replaced.binary_search_by_key(&NodeId(at), |(id, _)| *id).ok()?;
        Some(&self.replaced[found].1)
    }

    /// Appends the tokens of a value, with what was replaced.
    fn write(&self, at: u32, out: &mut Vec<u8>) {
        let node = self.nodes[at as usize];
        let mut copied = node.begin as usize;
        let first = self.replaced.partition_point(|(id, _)| id.0 < at);
        for (id, text) in self.replaced[first..].iter().take_while(|(id, _)| id.0 < node.next) {
            let place = self.nodes[id.0 as usize];
            out.extend_from_slice(&self.original()[copied..place.begin as usize]);
            push_json_string(out, text);
            copied = place.end as usize;
        }
        out.extend_from_slice(&self.original()[copied..node.end as usize]);
    }

    /// The characters of a string's token, decoded. Half a surrogate pair becomes U+FFFD.
    fn decoded(&self, at: u32) -> Option<Cow<'_, str>> {
        if let Some(text) = self.replacement(at) {
            return Some(Cow::Borrowed(text));
        }
        let node = self.nodes[at as usize];
        let inside = || &self.text[node.begin as usize + 1..node.end as usize - 1];
        match node.kind {
            Kind::String => Some(Cow::Borrowed(inside())),
            Kind::EscapedString => Some(Cow::Owned(decode::decode(inside()))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
