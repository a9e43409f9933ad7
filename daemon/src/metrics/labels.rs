//! Values of labels that come from outside: cleaned, and no more of them than a named limit.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::series::Counter;
use super::text::push_label;

/// A longer value of a label is cut to this, in bytes.
pub const MAX_LABEL_BYTES: usize = 128;

/// The value that stands for all that come when the limit is reached.
const OTHER: &str = "other";
/// The value that stands for nothing: an empty label is no label.
const UNKNOWN: &str = "unknown";

/// The labels whose values come from outside, and how many different ones of each are told apart.
pub const LIMITS: [(&str, usize); 3] = [("agent", 64), ("event_type", 256), ("tool", 256)];

/// The different values of one label.
pub(super) struct Values {
    limit: usize,
    known: HashMap<Box<str>, u16, RandomState>,
    /// By number. The first is [`OTHER`], which is no part of the limit.
    texts: Vec<Box<str>>,
    /// What was asked for last: it often comes again.
    last: ValueId,
}

/// A value's number.
pub(super) type ValueId = u16;

impl Values {
    /// No value is known yet. `label` is one of [`LIMITS`].
    pub(super) fn new(label: &str) -> Values {
        let limit = LIMITS.iter().find(|(name, _)| *name == label).map_or(0, |(_, limit)| *limit);
        debug_assert!((1..usize::from(u16::MAX)).contains(&limit), "{label}");
        let (known, texts) = (HashMap::default(), vec![OTHER.into()]);
        let mut values = Values { limit, known, texts, last: 0 };
        values.known.insert(OTHER.into(), 0);
        values
    }

    /// The number of a value; past the limit that of [`OTHER`], which `limited` counts.
    pub(super) fn id(&mut self, value: &str, limited: &Counter) -> ValueId {
        if *self.texts[usize::from(self.last)] != *value {
            self.last = self.find(value, limited);
        }
        self.last
    }

    fn find(&mut self, value: &str, limited: &Counter) -> ValueId {
        if let Some(id) = self.known.get(value) {
            return *id;
        }
        let clean = clean(value);
        if let Some(id) = self.known.get(clean.as_str()) {
            return *id;
        }
        if self.texts.len() > self.limit {
            limited.add(1);
            return 0;
        }
        let id = self.texts.len() as ValueId;
        self.texts.push(clean.as_str().into());
        self.known.insert(clean.into(), id);
        id
    }

    pub(super) fn text(&self, id: ValueId) -> &str {
        &self.texts[usize::from(id)]
    }
}

/// A value as it is shown: without control characters, not longer than the limit, not empty.
pub(super) fn clean(value: &str) -> String {
    if value.is_empty() {
        return UNKNOWN.to_owned();
    }
    let kept = &value[..value.floor_char_boundary(MAX_LABEL_BYTES)];
    let shown = |char: char| if char.is_control() { '\u{fffd}' } else { char };
    let mut clean: String = kept.chars().map(shown).collect();
    if kept.len() < value.len() {
        clean.push('…');
    }
    clean
}

/// Labels as they stand between braces.
pub(super) fn labels<const N: usize>(names: &[&str], values: [&str; N]) -> String {
    debug_assert_eq!(names.len(), N);
    let mut labels = String::new();
    for (name, value) in names.iter().zip(values) {
        push_label(&mut labels, name, value);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_the_limit_values_are_other_and_are_counted() {
        let (mut values, limited) = (Values::new("agent"), Counter::default());
        let limit = LIMITS[0].1;
        let ids: Vec<_> = (0..limit + 3).map(|n| values.id(&n.to_string(), &limited)).collect();
        assert!(ids[..limit].iter().all(|id| *id > 0) && ids[limit..] == [0, 0, 0]);
        assert_eq!((values.text(0), values.text(1), limited.value()), (OTHER, "0", 3));
        assert_eq!(values.id("0", &limited), 1);
        // One that is called so is no other than those.
        assert_eq!((values.id(OTHER, &limited), limited.value()), (0, 3));
    }

    #[test]
    fn values_are_cleaned_and_what_looks_the_same_is_one() {
        let (mut values, limited) = (Values::new("tool"), Counter::default());
        let long = "ä".repeat(MAX_LABEL_BYTES);
        for (value, shown) in [
            ("", UNKNOWN),
            ("a\nb\u{1b}[31m", "a\u{fffd}b\u{fffd}[31m"),
            ("say \"a\\\\b\"", "say \"a\\\\b\""),
            (&long, &format!("{}…", "ä".repeat(MAX_LABEL_BYTES / 2))),
        ] {
            let id = values.id(value, &limited);
            assert_eq!(values.text(id), shown);
            assert_eq!(values.id(value, &limited), id);
            assert_eq!(values.id(shown, &limited), id);
        }
        let many = (0..10_000).map(|n| format!("{long}{n}"));
        for value in many {
            let id = values.id(&value, &limited);
            assert!(values.text(id).ends_with('…'));
        }
        assert_eq!((values.texts.len(), limited.value()), (5, 0));
    }
}
