//! All rules together, and one text brought to where nothing is found in it any more.

use std::collections::HashSet;
use std::sync::Arc;

use super::keywords::{Keywords, Target};
use super::marker::{self, Hash, Hasher};
use super::names::{self, Names, words};
use super::rules::{self, Kind, Rule, Search};
use super::text::{MAX_LAYERS, Span, is_json_like};
use super::{MIN_TEXT_BYTES, Options, RedactError, Redacted, environment};
use crate::document::Document;

/// A text is looked into again after something was replaced, this many times at most.
const MAX_ROUNDS: u32 = 8;

/// The shortest name of a member that a user may add.
const MIN_KEY_BYTES: usize = 3;

/// The rules and what they look for.
pub(super) struct Engine {
    pub(super) rules: Vec<Rule>,
    ids: HashSet<Arc<str>>,
    pub(super) names: Names,
    pub(super) keywords: Keywords<Target>,
    /// How the environment's secrets may be written.
    pub(super) forms: Vec<Form>,
    pub(super) hasher: Hasher,
    pub(super) max_text_bytes: usize,
    /// The rules by what they are, if they are on.
    pub(super) member_name: Option<u16>,
    pub(super) assignment: Option<u16>,
    unsettled: u16,
    /// Patterns without keywords.
    pub(super) everywhere: Vec<u16>,
}

/// One way to write a secret of the environment.
pub(super) struct Form {
    pub(super) text: Vec<u8>,
    pub(super) rule: u16,
    pub(super) hash: Hash,
}

/// Counts by rule.
#[derive(Default)]
pub(super) struct Tally {
    /// What was found, in order, runs of one rule together.
    counts: Vec<(u16, u64)>,
    cut_bytes: u64,
    first: Option<(u16, Hash)>,
}

impl Tally {
    pub(super) fn add(&mut self, rule: u16, hash: Hash) {
        self.first.get_or_insert((rule, hash));
        match self.counts.iter_mut().find(|(other, _)| *other == rule) {
            Some((_, times)) => *times += 1,
            None => self.counts.push((rule, 1)),
        }
    }

    /// The first that was found, without its place.
    pub(super) fn first(&self) -> Option<Span> {
        self.first.map(|(rule, hash)| Span { range: 0..0, rule, hash })
    }
}

impl Engine {
    pub(super) fn new(options: Options) -> Result<Engine, RedactError> {
        let max_text_bytes = options.max_text_bytes;
        if max_text_bytes < MIN_TEXT_BYTES {
            return Err(RedactError::ShortText { max_text_bytes, min_bytes: MIN_TEXT_BYTES });
        }
        let is_short = |key: &&String| words(key).concat().len() < MIN_KEY_BYTES;
        if let Some(key) = options.extra_keys.iter().find(is_short) {
            return Err(RedactError::ShortKey { key: key.clone(), min_bytes: MIN_KEY_BYTES });
        }
        let file = rules::built_in().map_err(RedactError::Rules)?;
        let name_keywords = names::keywords(&file.names, &options.extra_keys);
        let compiled = rules::compile(file.rules, &options.patterns, &options.disabled)?;
        let rules = compiled.rules;
        let hasher = Hasher::new(options.key);
        let of_kind = |kind| rules.iter().position(|rule| rule.kind == kind).map(|at| at as u16);
        let is_on = |rule: &u16| rules[usize::from(*rule)].is_on;
        let (member_name, assignment) = (of_kind(Kind::MemberName), of_kind(Kind::Assignment));
        let environment = of_kind(Kind::Environment).filter(is_on);
        let forms =
            environment.map_or(Vec::new(), |rule| forms(&options.environment, rule, &hasher));

        let mut keywords: Vec<_> =
            name_keywords.into_iter().map(|text| (text.into_bytes(), Target::Name)).collect();
        keywords.extend(compiled.keywords.into_iter().flat_map(|(text, rule)| {
            environment::json_forms(&String::from_utf8_lossy(&text))
                .into_iter()
                .map(move |form| (form, Target::Rule(rule)))
        }));
        keywords.extend(
            forms.iter().zip(0..).map(|(form, at)| (form.text.clone(), Target::Environment(at))),
        );
        let has_keyword =
            |rule: u16| keywords.iter().any(|(_, target)| *target == Target::Rule(rule));
        let everywhere = rules
            .iter()
            .zip(0..)
            .filter(|(rule, at)| rule.is_on && rule.search == Search::Whole && !has_keyword(*at));
        Ok(Engine {
            everywhere: everywhere.map(|(_, at)| at).collect(),
            ids: rules.iter().map(|rule| rule.id.clone()).collect(),
            names: Names::new(file.names, &options.extra_keys),
            keywords: Keywords::new(keywords),
            forms,
            hasher,
            max_text_bytes,
            member_name: member_name.filter(is_on),
            assignment: assignment.filter(is_on),
            unsettled: of_kind(Kind::Unsettled).unwrap_or_default(),
            rules,
        })
    }

    pub(super) fn is_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Redacts a text until nothing more is found, and cuts it; `None` if it can stay.
    pub(super) fn settle(&self, text: &str, tally: &mut Tally) -> Option<String> {
        let mut settled: Option<String> = None;
        let mut cut_bytes = 0;
        for _ in 0..MAX_ROUNDS {
            let now = settled.as_deref().unwrap_or(text);
            let redacted = self.rewritten(now, 0, tally);
            let whole = redacted.as_deref().unwrap_or(now);
            let cut = (whole.len() > self.max_text_bytes).then(|| {
                let markers = marker::find(whole, |id| self.is_id(id));
                marker::cut(whole, self.max_text_bytes, text.len(), &markers)
            });
            cut_bytes += cut.as_ref().map_or(0, |cut| whole.len().saturating_sub(cut.len()) as u64);
            match cut.or(redacted) {
                Some(next) => settled = Some(next),
                None => {
                    tally.cut_bytes += cut_bytes;
                    return settled;
                }
            }
        }
        // Nothing is let through that would be found if it came again.
        let hash = self.hasher.hash(text.as_bytes());
        Some(self.marker(self.unsettled, hash, tally))
    }

    /// Redacts a text once.
    pub(super) fn rewritten(&self, text: &str, layer: u32, tally: &mut Tally) -> Option<String> {
        if layer < MAX_LAYERS && is_json_like(text) {
            let mut document = Document::default();
            if document.parse(text.as_bytes()).is_ok() {
                return self.rewritten_json(&mut document, layer + 1, tally);
            }
        }
        let spans = self.spans(text, layer);
        (!spans.is_empty()).then(|| self.replaced(text, &spans, tally))
    }

    /// Redacts JSON inside a string. It is written without blanks if something is replaced.
    fn rewritten_json(
        &self,
        document: &mut Document,
        layer: u32,
        tally: &mut Tally,
    ) -> Option<String> {
        let planned = self.in_document(document, layer, tally);
        if planned.is_empty() {
            return None;
        }
        for (id, text) in planned {
            document.replace(id, text);
        }
        let mut out = Vec::new();
        document.root()?.write_to(&mut out);
        String::from_utf8(out).ok()
    }

    /// The marker of a secret, which is counted.
    pub(super) fn marker(&self, rule: u16, hash: Hash, tally: &mut Tally) -> String {
        let mut marker = String::new();
        tally.add(rule, hash);
        marker::push(&mut marker, &self.rules[usize::from(rule)].id, hash);
        marker
    }

    fn replaced(&self, text: &str, spans: &[Span], tally: &mut Tally) -> String {
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for span in spans {
            out.push_str(&text[copied..span.range.start]);
            out.push_str(&self.marker(span.rule, span.hash, tally));
            copied = span.range.end;
        }
        out.push_str(&text[copied..]);
        out
    }

    /// The counts with the rules' ids.
    pub(super) fn total(&self, tally: &Tally) -> Redacted {
        let mut redacted = Redacted { by_rule: Vec::new(), cut_bytes: tally.cut_bytes };
        for (rule, times) in &tally.counts {
            redacted.add(&self.rules[usize::from(*rule)].id, *times);
        }
        redacted
    }
}

fn forms(environment: &[(String, String)], rule: u16, hasher: &Hasher) -> Vec<Form> {
    let secrets = environment::secrets(environment).into_iter();
    let forms = secrets.flat_map(|value| {
        let hash = hasher.hash(value.as_bytes());
        environment::forms(value).into_iter().map(move |text| Form { text, rule, hash })
    });
    forms.take(usize::from(u16::MAX)).collect()
}
