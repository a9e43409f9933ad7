//! Tables whose keys anybody may choose, and directories.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::de::DeValue;

use super::{Fault, Scalar, Section, Value, Wrong, absolute, quote_literal, quote_value};
use crate::config::names::join;
use crate::config::show::Origin;
use crate::config::value::type_of;

/// The most keys of such a table.
const MAX_KEYS: usize = 256;

impl Section<'_, '_> {
    /// A table of strings under names that the configuration does not know; an empty one if it is not there.
    /// `is_name` says which there may be, and `example` what the table could be.
    pub(in crate::config) fn named_texts(
        &mut self,
        key: &'static str,
        example: &str,
        is_name: impl Fn(&str) -> Result<(), String>,
    ) -> BTreeMap<String, String> {
        self.known.push(key);
        let mut texts = BTreeMap::new();
        let Some((name, node)) = self.entry(key) else {
            self.shown(key, Some("{}".to_owned()), Origin::Default);
            return texts;
        };
        let help = || Some(format!("for instance `{key} = {example}`"));
        let DeValue::Table(table) = node.get_ref() else {
            let found = type_of(node.get_ref());
            self.fail(key, format!("expected a table of strings, found {found}"), help());
            return texts;
        };
        if table.len() > MAX_KEYS {
            self.fail(key, format!("this table has more than {MAX_KEYS} keys"), None);
            return texts;
        }
        let path = join(&self.path, name.get_ref());
        let mut shown = Vec::new();
        let mut lines = Vec::new();
        for (name, value) in table {
            let key = join(&path, name.get_ref());
            if let Err(message) = is_name(name.get_ref()) {
                self.reader.faults.push(fault(&key, name.span(), message));
            }
            let Some(scalar) = self.reader.scalar(&key, value) else { continue };
            match without_nul(&scalar) {
                Ok(text) => {
                    let raw = value.get_ref().as_str().filter(|_| scalar.from_env);
                    let value_shown = raw.map_or_else(|| quote_value(text), quote_literal);
                    shown.push(format!("{} = {value_shown}", join("", name.get_ref())));
                    lines.push(name.span().start);
                    texts.insert(name.get_ref().to_string(), text.to_owned());
                }
                Err(wrong) => {
                    self.reader.faults.push(fault(&key, value.span(), wrong.message));
                }
            }
        }
        // The span of a table with a heading begins there, that of an empty one is its own.
        let start = lines.into_iter().min().unwrap_or(node.span().start);
        let line = self.reader.text[..start].matches('\n').count() + 1;
        let shown =
            if shown.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", shown.join(", ")) };
        self.shown(key, Some(shown), Origin::Line(line));
        texts
    }

    /// A directory's absolute name. `~/` at its beginning stands for the home directory.
    pub(in crate::config) fn directory(&mut self, key: &'static str, default: PathBuf) -> PathBuf {
        let home = self.reader.home;
        let show = |path: &PathBuf| quote_value(&path.to_string_lossy());
        let value = self.read(key, Some(default.clone()), show, |scalar| {
            match scalar.text("a directory's name")?.trim_end_matches('/') {
                "" if scalar.text("")?.starts_with('/') => Ok(PathBuf::from("/")),
                "~" => absolute("~/.", home).map(|it| it.components().collect()),
                text => absolute(text, home),
            }
        });
        value.unwrap_or(default)
    }

    /// An environment variable of the daemon.
    pub(in crate::config) fn variable(&self, name: &str) -> Option<String> {
        (self.reader.env)(name)
    }
}

fn without_nul(scalar: &Scalar) -> Result<&str, Wrong> {
    match &scalar.value {
        Value::Text(text) if text.contains('\0') => {
            Err(Wrong::new("a variable's value cannot contain a NUL character", None))
        }
        _ => scalar.text("a string"),
    }
}

fn fault(key: &str, span: std::ops::Range<usize>, message: String) -> Fault {
    Fault { key: key.to_owned(), span, message, help: None, missing: false }
}
