//! Finds the secrets in one text of any kind, through the layers of escapes and encodings in it.

use std::cmp::Reverse;
use std::ops::Range;

use super::assigned::Looked;
use super::escapes::Decoded;
use super::keywords::Target;
use super::marker::{self, Hash};
use super::rules::{Rule, Search};
use super::{Engine, encoded, escapes};
use crate::document::Document;

/// Layers of escapes, encodings and JSON inside each other that are looked into.
pub(super) const MAX_LAYERS: u32 = 6;

/// What is left of a secret between the markers in it, in bytes, if it is not worth one of its own.
const MAX_REST_BYTES: usize = 7;

/// Looks that find nothing from so many keywords of one rule may cover the same stretch of a text as
/// far as the rule likes, and one more for each KiB that it likes. The others are short, or a text of
/// nothing but keywords would take forever.
const MAX_LONG_LOOKS: usize = 16;
const SHORT_LOOK_BYTES: usize = 128;

/// A part of a text that is a secret.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) range: Range<usize>,
    pub(super) rule: u16,
    pub(super) hash: Hash,
}

impl Engine {
    /// The secrets in a text, in its order, none inside another, and none in a marker.
    pub(super) fn spans(&self, text: &str, layer: u32) -> Vec<Span> {
        self.spans_of(text, None, layer)
    }

    /// The same for a text, or for what a text is when it is decoded.
    fn spans_of(&self, text: &str, decoded: Option<&Decoded>, layer: u32) -> Vec<Span> {
        let mut search = Text {
            engine: self,
            text,
            decoded,
            spans: Vec::new(),
            near: Vec::new(),
            looks: Vec::new(),
            names: Looked::default(),
        };
        search.by_keywords();
        if layer < MAX_LAYERS {
            search.in_escapes(layer);
            search.in_colours(layer);
            search.in_base64(layer);
        }
        let markers = marker::find(text, |id| self.is_id(id));
        if layer < MAX_LAYERS {
            search.beside_markers(&markers, layer);
        }
        let spans = search.spans;
        merged(spans.into_iter().flat_map(|span| outside(text, span, &markers)).collect())
    }

    /// The first secret in a text that nothing but the whole of can take the place of.
    fn first_secret(&self, text: &str, layer: u32) -> Option<Span> {
        if is_json_like(text) {
            let mut document = Document::default();
            if document.parse(text.as_bytes()).is_ok() {
                return self.first_in_document(&document, layer);
            }
        }
        self.spans(text, layer).into_iter().next()
    }
}

/// Whether a text may be a whole JSON object or array.
pub(super) fn is_json_like(text: &str) -> bool {
    let text = text.trim_ascii();
    text.starts_with('{') && text.ends_with('}') || text.starts_with('[') && text.ends_with(']')
}

struct Text<'a> {
    engine: &'a Engine,
    text: &'a str,
    /// If the text was decoded from another, which was searched before.
    decoded: Option<&'a Decoded>,
    spans: Vec<Span>,
    /// Where rules look around their keywords, by rule, each the last that is not yet searched.
    near: Vec<(u16, Range<usize>)>,
    /// What rules that match at their keywords have looked at, by rule.
    looks: Vec<(u16, Looks)>,
    /// What was looked at behind names.
    names: Looked,
}

/// What one rule has looked at.
#[derive(Default)]
struct Looks {
    /// Up to here it has had its say.
    done: usize,
    /// The reach of the first look of those that are counted together, and what they cost.
    reach: usize,
    bytes: usize,
}

impl Looks {
    /// How far to look from here, instead of `bytes`, if only so many looks may reach that far.
    fn bytes(&mut self, at: usize, bytes: usize, max_long: usize) -> usize {
        if at >= self.reach {
            (self.reach, self.bytes) = (at + bytes, 0);
        }
        let is_long = self.bytes < max_long * bytes;
        if is_long { bytes } else { bytes.min(SHORT_LOOK_BYTES) }
    }
}

impl Text<'_> {
    fn by_keywords(&mut self) {
        let engine = self.engine;
        let text = self.text;
        engine.keywords.each_hit(text.as_bytes(), |at, bytes, targets| {
            for &target in targets {
                match target {
                    Target::Rule(rule) => self.by_rule(rule, at),
                    Target::Environment(form) => self.by_environment(form, at),
                    Target::Name => self.by_name(at, bytes),
                }
            }
        });
        for (rule, range) in std::mem::take(&mut self.near) {
            self.all_matches(rule, range);
        }
        for &rule in &engine.everywhere {
            self.all_matches(rule, 0..text.len());
        }
    }

    fn by_name(&mut self, at: usize, bytes: usize) {
        let engine = self.engine;
        let Some(rule) = engine.assignment else { return };
        if let Some(range) = self.names.value_at(self.text, (at, bytes), &engine.names) {
            self.push(rule, range);
        }
    }

    fn by_environment(&mut self, form: u16, at: usize) {
        let form = &self.engine.forms[usize::from(form)];
        let end = at + form.text.len();
        if self.text.as_bytes()[at..].starts_with(&form.text) {
            self.spans.push(Span { range: at..end, rule: form.rule, hash: form.hash });
        }
    }

    fn by_rule(&mut self, index: u16, at: usize) {
        let rule = &self.engine.rules[usize::from(index)];
        match rule.search {
            Search::At { bytes } => self.by_rule_at(index, rule, at, bytes),
            Search::Near { before_bytes, after_bytes } => {
                let end = self.text.len().min(at + after_bytes);
                self.look_near(index, at.saturating_sub(before_bytes)..end);
            }
            Search::Whole => self.look_near(index, 0..self.text.len()),
        }
    }

    fn by_rule_at(&mut self, index: u16, rule: &Rule, at: usize, max_bytes: usize) {
        let bytes = self.text.as_bytes();
        let known = self.looks.iter().position(|(other, _)| *other == index);
        if known.is_some_and(|slot| at < self.looks[slot].1.done) || !rule.may_begin(bytes, at) {
            return;
        }
        let slot = known.unwrap_or(self.looks.len());
        if known.is_none() {
            self.looks.push((index, Looks::default()));
        }
        let looks = &mut self.looks[slot].1;
        let look_bytes = looks.bytes(at, max_bytes, MAX_LONG_LOOKS + max_bytes / 1024);
        let part = &bytes[at..bytes.len().min(at + look_bytes)];
        let Some((range, whole)) = first_match(rule, part) else {
            // (How far it looked is not known.)
            looks.bytes += part.len();
            return;
        };
        // What was looked at as a whole is not looked at again from within, or time would add up.
        looks.done = at + whole.end;
        if rule.accepts(&part[range.clone()], &part[whole]) {
            self.push(index, at + range.start..at + range.end);
        }
    }

    /// Keeps a part to be searched, together with what it overlaps.
    fn look_near(&mut self, rule: u16, range: Range<usize>) {
        let pending =
            self.near.iter_mut().find(|(other, last)| *other == rule && last.end >= range.start);
        match pending {
            Some((_, last)) => last.end = last.end.max(range.end),
            None => {
                let old = self.near.iter().position(|(other, _)| *other == rule);
                let done = old.map(|at| self.near.swap_remove(at));
                self.near.push((rule, range));
                if let Some((rule, range)) = done {
                    self.all_matches(rule, range);
                }
            }
        }
    }

    fn all_matches(&mut self, index: u16, part: Range<usize>) {
        let rule = &self.engine.rules[usize::from(index)];
        let bytes = &self.text.as_bytes()[part.clone()];
        for captures in rule.regex().captures_iter(bytes) {
            let (range, whole) = secret(&captures);
            if rule.accepts(&bytes[range.clone()], &bytes[whole]) {
                self.push(index, part.start + range.start..part.start + range.end);
            }
        }
    }

    fn push(&mut self, rule: u16, range: Range<usize>) {
        // Patterns look at bytes, and may end inside a character.
        let range =
            self.text.floor_char_boundary(range.start)..self.text.ceil_char_boundary(range.end);
        let hash = self.engine.hasher.hash(self.text[range.clone()].as_bytes());
        self.spans.push(Span { range, rule, hash });
    }

    fn in_escapes(&mut self, layer: u32) {
        let Some(decoded) = escapes::decode(self.text) else { return };
        for span in self.engine.spans_of(&decoded.text, Some(&decoded), layer + 1) {
            let range = decoded.encoded_range(span.range);
            self.spans.push(Span { range, ..span });
        }
    }

    /// Between the codes that colour a text on a terminal.
    fn in_colours(&mut self, layer: u32) {
        let Some(plain) = escapes::without(self.text, &escapes::colours(self.text)) else { return };
        for span in self.engine.spans_of(&plain.text, Some(&plain), layer + 1) {
            let range = plain.encoded_range(span.range);
            self.spans.push(Span { range, ..span });
        }
    }

    /// Whoever writes a marker into a secret, or beside it, does not hide it.
    fn beside_markers(&mut self, markers: &[(usize, usize)], layer: u32) {
        let glued = marker::glued(self.text, markers);
        let Some(without) = escapes::without(self.text, &glued) else { return };
        for span in self.engine.spans_of(&without.text, Some(&without), layer + 1) {
            if without.touches(&span.range) {
                let range = without.encoded_range(span.range.clone());
                let parts = parts_outside(range, markers).into_iter();
                let parts = parts.filter(|part| has_letters(&self.text[part.clone()], 1));
                self.spans.extend(parts.map(|range| Span { range, ..span.clone() }));
            }
        }
    }

    fn in_base64(&mut self, layer: u32) {
        // What no escape is in was looked into before it was decoded.
        let is_new = |range: &Range<usize>| self.decoded.is_none_or(|it| it.changed(range));
        encoded::each_text(self.text, is_new, |range, inner| {
            let secret = self.engine.first_secret(&inner, layer + 1);
            self.spans.extend(secret.map(|secret| Span { range, ..secret }));
        });
    }
}

fn first_match(rule: &Rule, bytes: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    // Most of what has a keyword does not match, and this says so sooner.
    if !rule.regex().is_match(bytes) {
        return None;
    }
    rule.regex().captures(bytes).map(|captures| secret(&captures))
}

/// Where a match's secret is, and the whole match: the secret is the group of that name, or the first
/// group, or all.
fn secret(captures: &regex::bytes::Captures<'_>) -> (Range<usize>, Range<usize>) {
    let whole = captures.get(0).map_or(0..0, |whole| whole.range());
    let group = captures.name("secret").or_else(|| captures.get(1));
    (group.map_or(whole.clone(), |group| group.range()), whole)
}

/// The parts of a span outside of markers that are worth one of their own.
fn outside(text: &str, span: Span, markers: &[(usize, usize)]) -> Vec<Span> {
    let mut parts = parts_outside(span.range.clone(), markers);
    if parts.len() > 1 {
        parts.retain(|part| has_letters(&text[part.clone()], MAX_REST_BYTES + 1));
    }
    parts.into_iter().map(|range| Span { range, ..span.clone() }).collect()
}

/// What of a range is outside of markers: one part more than there are markers in it.
fn parts_outside(range: Range<usize>, markers: &[(usize, usize)]) -> Vec<Range<usize>> {
    let first = markers.partition_point(|(_, end)| *end <= range.start);
    let inside = markers[first..].iter().take_while(|(begin, _)| *begin < range.end);
    let mut parts = Vec::new();
    let mut at = range.start;
    for &(begin, end) in inside {
        parts.push(at..begin.max(at));
        at = end;
    }
    parts.push(at..range.end.max(at));
    parts
}

fn has_letters(text: &str, min: usize) -> bool {
    text.chars().filter(|char| char.is_alphanumeric()).take(min).count() == min
}

/// Joins what overlaps. Of two rules the earlier in the file is the more certain one.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.range.is_empty());
    spans.sort_by_key(|span| (span.range.start, Reverse(span.range.end), span.rule));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
                if span.rule < last.rule {
                    (last.rule, last.hash) = (span.rule, span.hash);
                }
            }
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that looks of up to so many bytes take, if they all miss, every so many bytes of a text.
    fn looked_bytes(max_bytes: usize, step: usize, text_bytes: usize) -> usize {
        let mut looks = Looks::default();
        let mut look = |at| {
            let bytes = looks.bytes(at, max_bytes, 16);
            looks.bytes += bytes;
            bytes
        };
        (0..text_bytes).step_by(step).map(&mut look).sum()
    }

    #[test]
    fn looks_from_many_keywords_are_bounded() {
        const TEXT_BYTES: usize = 1 << 20;
        for max_bytes in [64, 128, 1024, 4096, 32768] {
            for step in [4, 5, 33, 127] {
                let looked = looked_bytes(max_bytes, step, TEXT_BYTES);
                let short = TEXT_BYTES / step * SHORT_LOOK_BYTES;
                assert!(looked <= 17 * TEXT_BYTES + short, "{max_bytes} {step} {looked}");
            }
            let seldom = max_bytes / 16;
            let all_long = TEXT_BYTES / seldom * max_bytes;
            assert_eq!(looked_bytes(max_bytes, seldom, TEXT_BYTES), all_long, "{max_bytes}");
        }
    }
}
