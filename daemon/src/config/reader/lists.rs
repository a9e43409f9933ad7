//! Lists of strings, numbers with a point, texts and paths that need not be there, and lists of tables.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use super::{Doubt, Fault, Section, Value, Wrong, quote_value};
use crate::config::names::join;
use crate::config::show::{Origin, ShownSection};
use crate::config::value::{absolute, type_of};

/// The most elements of a list.
const MAX_ELEMENTS: usize = 256;

/// A list of strings, and where each stands, so that an error can point at it.
#[derive(Debug, Default)]
pub(in crate::config) struct Texts {
    pub(in crate::config) texts: Vec<String>,
    spans: Vec<Range<usize>>,
}

impl<'d> Section<'_, 'd> {
    /// A list of strings; an empty one if it is not there.
    pub(in crate::config) fn texts(&mut self, key: &'static str, example: &str) -> Texts {
        self.known.push(key);
        let Some((name, node)) = self.entry(key) else {
            self.shown(key, Some("[]".to_owned()), Origin::Default);
            return Texts::default();
        };
        let path = join(&self.path, name.get_ref());
        let help = || Some(format!("for instance `{key} = {example}`"));
        let DeValue::Array(elements) = node.get_ref() else {
            let found = type_of(node.get_ref());
            self.unknown.push(key);
            self.fail(key, format!("expected a list of strings, found {found}"), help());
            return Texts::default();
        };
        if elements.len() > MAX_ELEMENTS {
            let message = format!("this list has more than {MAX_ELEMENTS} elements");
            self.unknown.push(key);
            self.fail(
                key,
                message,
                Some("make it shorter: patterns can stand for many".to_owned()),
            );
            return Texts::default();
        }
        let mut list = Texts::default();
        let mut shown = Vec::new();
        for element in elements {
            let Some((text, from_env)) = self.element(&path, element, help()) else {
                self.unknown.push(key);
                continue;
            };
            let raw = element.get_ref().as_str().filter(|_| from_env);
            shown.push(raw.map_or_else(|| quote_value(&text), super::quote_literal));
            list.texts.push(text);
            list.spans.push(element.span());
        }
        let line = self.reader.text[..node.span().start].matches('\n').count() + 1;
        self.shown(key, Some(format!("[{}]", shown.join(", "))), Origin::Line(line));
        list
    }

    pub(super) fn element(
        &mut self,
        path: &str,
        element: &Spanned<DeValue<'d>>,
        help: Option<String>,
    ) -> Option<(String, bool)> {
        let scalar = self.reader.scalar(path, element)?;
        if let Value::Text(text) = scalar.value {
            return Some((text, scalar.from_env));
        }
        let found = type_of(element.get_ref());
        let (key, span) = (path.to_owned(), element.span());
        let message = format!("expected a string, found {found}");
        self.reader.faults.push(Fault { key, span, message, help, missing: false });
        None
    }

    /// Records an error at an element of a list.
    pub(in crate::config) fn fail_element(
        &mut self,
        key: &str,
        (list, at): (&Texts, usize),
        message: String,
        help: Option<String>,
    ) {
        let span = list.spans.get(at).cloned().unwrap_or_else(|| self.span.clone());
        let key = join(&self.path, key);
        self.reader.faults.push(Fault { key, span, message, help, missing: false });
    }

    /// Records what is likely to be wrong with an element of a list.
    pub(in crate::config) fn doubt_element(
        &mut self,
        key: &str,
        (list, at): (&Texts, usize),
        message: String,
    ) {
        let span = list.spans.get(at).cloned().unwrap_or_else(|| self.span.clone());
        let key = join(&self.path, key);
        self.reader.doubts.push(Doubt { key, span, message });
    }

    /// What `~` stands for.
    pub(in crate::config) fn home(&self) -> Option<&'d Path> {
        self.reader.home
    }

    /// A number with or without a point that need not be there.
    pub(in crate::config) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<f64>,
        example: &str,
    ) -> Option<f64> {
        self.known.push(key);
        let Some((_, node)) = self.entry(key) else {
            self.shown(key, None, Origin::Default);
            return None;
        };
        let number = match node.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            _ => None,
        };
        let Some(number) = number.filter(|number| range.contains(number)) else {
            let message =
                format!("this must be a number from {} to {}", range.start(), range.end());
            self.fail(key, message, Some(format!("for instance `{key} = {example}`")));
            return None;
        };
        let line = self.reader.text[..node.span().start].matches('\n').count() + 1;
        self.shown(key, Some(format!("{number:?}")), Origin::Line(line));
        Some(number)
    }

    /// A string that must be there.
    pub(in crate::config) fn required_text(&mut self, key: &'static str, example: &str) -> String {
        let help = || Some(format!("for instance `{key} = {example}`"));
        let text = self.read(
            key,
            None,
            |text: &String| quote_value(text),
            |scalar| {
                let text = scalar.text("a string").map_err(|wrong| wrong.or(help))?;
                Ok(text.to_owned())
            },
        );
        if text.is_none() {
            self.unknown.push(key);
        }
        if text.is_none() && !self.has(key) {
            self.fail(
                key,
                format!("`{key}` is missing"),
                help().map(|help| help.replace("for instance ", "add ")),
            );
        }
        text.unwrap_or_default()
    }

    /// An address of this machine with a port.
    pub(in crate::config) fn socket_address(
        &mut self,
        key: &'static str,
        default: SocketAddr,
    ) -> SocketAddr {
        let show = |address: &SocketAddr| quote_value(&address.to_string());
        let address = self.read(key, Some(default), show, |scalar| {
            let text = scalar.text("an address with a port")?;
            let message = "this is not an IP address with a port; a name is not looked up";
            text.parse().map_err(|_| Wrong::new(message, None))
        });
        if address.is_none() {
            self.unknown.push(key);
        }
        address.unwrap_or(default)
    }

    /// A string that need not be there.
    pub(in crate::config) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let show = |text: &String| quote_value(text);
        self.read(key, None, show, |scalar| Ok(scalar.text("a string")?.to_owned()))
    }

    /// A file's absolute name that need not be there.
    pub(in crate::config) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        let home = self.reader.home;
        let show = |path: &PathBuf| quote_value(&path.to_string_lossy());
        self.read(key, None, show, |scalar| absolute(scalar.text("a file's name")?, home))
    }

    /// Reads each of the tables `[[key]]`, in order. What they are is not shown one by one.
    pub(in crate::config) fn tables(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Section<'_, 'd>),
    ) {
        self.known.push(key);
        let Some((name, node)) = self.entry(key) else { return };
        let path = join(&self.path, name.get_ref());
        let help = || Some(format!("begin each with a line `[[{path}]]`"));
        let DeValue::Array(elements) = node.get_ref() else {
            let found = type_of(node.get_ref());
            return self.fail(key, format!("expected a list of tables, found {found}"), help());
        };
        for element in elements {
            let span = element.span();
            if let DeValue::Table(table) = element.get_ref() {
                self.reader.shown.push(ShownSection::element(&path));
                read(Section::new(self.reader, Some(table), path.clone(), span));
            } else {
                let message = format!("expected a table, found {}", type_of(element.get_ref()));
                let (key, help) = (path.clone(), help());
                self.reader.faults.push(Fault { key, span, message, help, missing: false });
            }
        }
    }
}
