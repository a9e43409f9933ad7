//! Names of keys: how a full path is written, and which one was probably meant.

use std::borrow::Cow;
use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::show::quote_literal;

/// A key and its value in a document.
pub(super) type Entry<'d> = (&'d Spanned<Cow<'d, str>>, &'d Spanned<DeValue<'d>>);

/// Tables and keys without which the rest cannot be read: what stands under a name that is nearly
/// one of these is read as if it was spelt right, so that its errors come at once with that of the
/// name.
const LEADING: [&str; 5] = ["bus", "journal", "log", "sinks", "type"];

/// A key of the table: by its name, or if it is one of [`LEADING`] by what is nearly its name.
pub(super) fn entry<'d>(table: &'d DeTable<'d>, key: &str) -> Option<Entry<'d>> {
    let is_meant = |name: &str| closest(name, &LEADING) == Some(key) && !LEADING.contains(&name);
    table.get_key_value(key).or_else(|| table.iter().find(|(name, _)| is_meant(name.get_ref())))
}

/// The word that was probably meant: few letters differ, `-` and `_` and case do not count.
pub(super) fn closest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    /// Nothing longer is a slip of the pen, and comparing takes room for every pair of letters.
    const MAX_BYTES: usize = 64;
    if text.len() > MAX_BYTES {
        return None;
    }
    let even = |text: &str| text.to_lowercase().replace('-', "_");
    let text = even(text);
    let distance = |word: &&&str| strsim::damerau_levenshtein(&text, &even(word));
    let nearest = words.iter().min_by_key(distance)?;
    (distance(&nearest) <= nearest.len().div_ceil(3)).then_some(*nearest)
}

/// The full path of a key, quoted where TOML would want it so.
pub(super) fn join(path: &str, key: impl Display) -> String {
    let key = key.to_string();
    let is_bare = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    let key = if !key.is_empty() && key.chars().all(is_bare) { key } else { quote_literal(&key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
