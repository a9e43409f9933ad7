//! Finds the secrets in a document: which of its strings have to be looked into, and what their names
//! say about them.

use super::engine::{Engine, Tally};
use super::keywords::Target;
use super::names::Strength;
use super::plausible::may_be_value;
use super::{encoded, marker};
use crate::document::{Document, Kind, NodeId, Value};

/// What is to be put in the place of keys and values, in the order of the document.
pub(super) type Planned = Vec<(NodeId, String)>;

impl Engine {
    /// The keys and strings of a payload that have to be looked into, in order, each once.
    pub(super) fn flag_payload(&self, document: &Document, flagged: &mut Vec<NodeId>) {
        self.flag(document, flagged);
        if document.original().len() > self.max_text_bytes {
            flag_long(document, self.max_text_bytes, flagged);
        }
    }

    /// Plans what to replace in a payload; its texts are brought to an end and cut.
    pub(super) fn in_payload(
        &self,
        document: &Document,
        flagged: &[NodeId],
        tally: &mut Tally,
    ) -> Planned {
        self.plan(document, flagged, tally, |text, tally| self.settle(text, tally))
    }

    /// Plans what to replace in a JSON text that was found inside another text.
    pub(super) fn in_document(
        &self,
        document: &Document,
        layer: u32,
        tally: &mut Tally,
    ) -> Planned {
        let mut flagged = Vec::new();
        self.flag(document, &mut flagged);
        self.plan(document, &flagged, tally, |text, tally| self.rewritten(text, layer, tally))
    }

    /// The first secret in a JSON text.
    pub(super) fn first_in_document(
        &self,
        document: &Document,
        layer: u32,
    ) -> Option<super::text::Span> {
        let mut tally = Tally::default();
        self.in_document(document, layer + 1, &mut tally);
        tally.first()
    }

    /// The keys and strings in which something may be found, in order, each once.
    fn flag(&self, document: &Document, flagged: &mut Vec<NodeId>) {
        flagged.clear();
        let text = document.original();
        if !self.everywhere.is_empty() {
            flagged.extend(document.values().filter(is_string).map(Value::id));
            return;
        }
        let mut flags = Flags { document, flagged, end: 0 };
        self.keywords.each_hit(text, |at, _, targets| {
            if at >= flags.end && self.may_begin(text, at, targets) {
                flags.add(at);
            }
        });
        flags.end = 0;
        for at in memchr::memchr_iter(b'%', text) {
            if text
                .get(at + 1..at + 3)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            {
                flags.add(at);
            }
        }
        flags.end = 0;
        // (Other escapes hide no keyword.)
        document.hiding_escapes().for_each(|at| flags.add(at));
        flags.end = 0;
        encoded::each_run(text, |run| flags.add(run.start));
        flagged.sort_unstable();
        flagged.dedup();
    }

    /// Whether something of what a keyword stands for can begin there.
    fn may_begin(&self, text: &[u8], at: usize, targets: &[Target]) -> bool {
        targets.iter().any(|target| match *target {
            Target::Rule(rule) => self.rules[usize::from(rule)].may_begin(text, at),
            Target::Name | Target::Environment(_) => true,
        })
    }

    fn plan(
        &self,
        document: &Document,
        flagged: &[NodeId],
        tally: &mut Tally,
        rewrite: impl Fn(&str, &mut Tally) -> Option<String>,
    ) -> Planned {
        let (planned, named) = (Vec::new(), Vec::new());
        let mut plan =
            Plan { engine: self, rewrite: &rewrite, tally, planned, walked_to: 0, named };
        for &id in flagged {
            let string = document.value(id);
            let Some(text) = string.as_str().filter(|_| !plan.is_done(id)) else { continue };
            let rewritten = rewrite(&text, plan.tally);
            let names = [Some(&*text), rewritten.as_deref()];
            match string.member() {
                Some(value) => plan.by_key(names, value),
                None => plan.by_sibling(document, string, names),
            }
            plan.planned.extend(rewritten.map(|rewritten| (id, rewritten)));
        }
        let mut planned = plan.planned;
        planned.sort_by_key(|(id, _)| *id);
        planned
    }
}

fn is_string(value: &Value<'_>) -> bool {
    matches!(value.kind(), Kind::String | Kind::EscapedString)
}

fn flag_long(document: &Document, max_bytes: usize, flagged: &mut Vec<NodeId>) {
    let is_long = |value: &Value<'_>| is_string(value) && value.original_bytes() > max_bytes;
    flagged.extend(document.values().filter(is_long).map(Value::id));
    flagged.sort_unstable();
    flagged.dedup();
}

/// Collects the strings that places of a document are in.
struct Flags<'a> {
    document: &'a Document,
    flagged: &'a mut Vec<NodeId>,
    /// Of the last string.
    end: usize,
}

impl Flags<'_> {
    #[inline]
    fn add(&mut self, at: usize) {
        if at < self.end {
            return;
        }
        if let Some(id) = self.document.string_at(at) {
            self.flagged.push(id);
            self.end = self.document.value(id).original_range().end;
        }
    }
}

/// A name as it stands in the document, and as it will, if something in it is replaced.
type NameForms<'a> = [Option<&'a str>; 2];

struct Plan<'a> {
    engine: &'a Engine,
    rewrite: &'a dyn Fn(&str, &mut Tally) -> Option<String>,
    tally: &'a mut Tally,
    planned: Planned,
    /// What a name says was applied up to this place of the document.
    walked_to: usize,
    /// The strings that the last name had its say about.
    named: Vec<NodeId>,
}

impl Plan<'_> {
    fn by_key(&mut self, name: NameForms<'_>, value: Value<'_>) {
        let Some(rule) = self.engine.member_name else { return };
        let range = value.original_range();
        if range.start < self.walked_to {
            return;
        }
        if let Some(strength) = self.strength(name) {
            self.walk(rule, value, strength);
        }
    }

    /// `{"name": "DB_PASSWORD", "value": "…"}`.
    fn by_sibling(&mut self, document: &Document, string: Value<'_>, name: NameForms<'_>) {
        const KEYS: [&str; 3] = ["value", "Value", "val"];
        let Some(rule) = self.engine.member_name else { return };
        let end = string.original_range().end;
        let is_followed = document.original()[end..].starts_with(b",\"");
        let next = is_followed.then(|| document.string_at(end + 1)).flatten();
        let Some(next) = next.map(|id| document.value(id)) else { return };
        let Some(value) = next.member().filter(|_| KEYS.iter().any(|key| next.is_text(key))) else {
            return;
        };
        let name = name.map(|name| name.filter(|name| !name.contains(char::is_whitespace)));
        if value.original_range().start >= self.walked_to
            && let Some(strength) = self.strength(name)
        {
            let is_listed = strength == Strength::Listed;
            self.walk(rule, value, if is_listed { strength } else { Strength::Some.min(strength) });
        }
    }

    fn walk(&mut self, rule: u16, value: Value<'_>, strength: Strength) {
        self.named.clear();
        self.by_name(rule, value, strength);
        self.walked_to = value.original_range().end;
    }

    /// Plans what becomes of each scalar of a value whose name means a secret.
    fn by_name(&mut self, rule: u16, value: Value<'_>, strength: Strength) {
        match value.kind() {
            Kind::String | Kind::EscapedString => {
                let text = value.as_str().unwrap_or_default();
                self.named.push(value.id());
                self.string_by_name(rule, (value.id(), &text), strength);
            }
            Kind::Number if strength >= Strength::Any => {
                let mut digits = Vec::new();
                value.write_to(&mut digits);
                self.push(rule, value.id(), &digits);
            }
            Kind::Object if !is_schema(value) => {
                value.members().for_each(|(_, member)| self.by_name(rule, member, strength));
            }
            Kind::Array => {
                value.elements().for_each(|element| self.by_name(rule, element, strength));
            }
            _ => {}
        }
    }

    /// A string is replaced if it may be a secret as it is, or as it would be left: so that it is not
    /// replaced when it comes again.
    fn string_by_name(&mut self, rule: u16, (id, text): (NodeId, &str), strength: Strength) {
        if self.is_value(text, strength) {
            return self.push(rule, id, text.as_bytes());
        }
        let Some(rewritten) = (self.rewrite)(text, self.tally) else { return };
        match self.is_value(&rewritten, strength) {
            true => self.push(rule, id, text.as_bytes()),
            false => self.planned.push((id, rewritten)),
        }
    }

    fn push(&mut self, rule: u16, id: NodeId, secret: &[u8]) {
        let hash = self.engine.hasher.hash(secret);
        let marker = self.engine.marker(rule, hash, self.tally);
        self.planned.push((id, marker));
    }

    /// Whether a name had its say about this string.
    fn is_done(&self, id: NodeId) -> bool {
        self.named.binary_search(&id).is_ok()
    }

    /// Whether it may be a secret, not counting markers: who writes one beside a secret hides nothing.
    fn is_value(&self, text: &str, strength: Strength) -> bool {
        let markers = marker::find(text, |id| self.engine.is_id(id));
        if markers.is_empty() && !marker::is_cut(text) {
            return may_be_value(text, strength);
        }
        let is_one = markers.first() == Some(&(0, text.len()));
        !is_one && may_be_value(&marker::without(text, &markers), strength)
    }

    /// What a name says when it comes again, or else now. Markers in it say nothing.
    fn strength(&self, name: NameForms<'_>) -> Option<Strength> {
        let engine = self.engine;
        let said = |name: &str| {
            let markers = marker::find(name, |id| engine.is_id(id));
            match markers.is_empty() {
                true => engine.names.strength(name),
                false => engine.names.strength(&marker::without(name, &markers)),
            }
        };
        name.into_iter().rev().flatten().find_map(said)
    }
}

/// Whether it describes a value instead of having one, in the words of JSON Schema.
fn is_schema(object: Value<'_>) -> bool {
    const WORDS: [&str; 24] = [
        "$ref",
        "anyOf",
        "description",
        "format",
        "items",
        "maxLength",
        "minLength",
        "nullable",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
        "writeOnly",
        "additionalProperties",
        "allOf",
        "deprecated",
        "enum",
        "enumDescriptions",
        "location",
        "maximum",
        "minimum",
        "readOnly",
    ];
    let is_word =
        |(key, _): (Value<'_>, Value<'_>)| key.as_str().is_some_and(|key| WORDS.contains(&&*key));
    let describes =
        object.get("type").or_else(|| object.get("$ref")).or_else(|| object.get("anyOf"));
    describes.is_some() && object.members().all(is_word)
}
