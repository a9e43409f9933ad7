//! A typed reader of a parsed TOML document. It records every error and goes on with the default, so
//! that all of them come at once, and it keeps what `config show` prints.
//!
//! A key is known by being read: what nobody asked for when a section is finished is refused.

use std::cell::Cell;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::expand;
use super::names::{Entry, closest, entry, join};
use super::show::{Origin, ShownKey, ShownSection, quote_literal, quote_value};
use super::units::{format_duration, format_size, parse_duration, parse_size};
use super::value::{Scalar, Value, Wrong, absolute, in_range, nearest, type_of, whole_ms};

mod directories;
mod given;
mod lists;
mod secrets;

use given::Given;
pub(super) use lists::Texts;

/// What reading a document needs and what comes of it.
pub(super) struct Reader<'d> {
    text: &'d str,
    env: &'d dyn Fn(&str) -> Option<String>,
    home: Option<&'d Path>,
    pub(super) faults: Vec<Fault>,
    pub(super) doubts: Vec<Doubt>,
    /// Where secrets stand in the text: no error may quote them.
    pub(super) hidden: Vec<Range<usize>>,
    /// The keys of each table that was finished.
    keys: Vec<(String, Vec<&'static str>)>,
    pub(super) shown: Vec<ShownSection>,
    given: Vec<Given>,
}

/// An error, with its place as a range of bytes.
#[derive(Debug)]
pub(super) struct Fault {
    /// The key's full path; empty for an error of syntax, whose key nobody knows yet.
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Something is missing, rather than wrong.
    pub(super) missing: bool,
}

/// What is likely to be wrong, and is no error; with its place as a range of bytes.
#[derive(Debug)]
pub(super) struct Doubt {
    /// The key's full path.
    pub(super) key: String,
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// A table of the document, or one that is not there and has only defaults.
pub(super) struct Section<'r, 'd> {
    reader: &'r mut Reader<'d>,
    table: Option<&'d DeTable<'d>>,
    path: String,
    /// What names it.
    span: Range<usize>,
    known: Vec<&'static str>,
    /// Keys whose value is wrong, and not in a way that shows what was meant.
    unknown: Vec<&'static str>,
}

impl<'d> Reader<'d> {
    /// A reader of a document that was parsed from `text`. `home` is what `~` stands for.
    pub(super) fn new(
        text: &'d str,
        env: &'d dyn Fn(&str) -> Option<String>,
        home: Option<&'d Path>,
    ) -> Self {
        let (faults, doubts, hidden) = (Vec::new(), Vec::new(), Vec::new());
        let (keys, shown, given) = (Vec::new(), Vec::new(), Vec::new());
        Self { text, env, home, faults, doubts, hidden, keys, shown, given }
    }

    /// The document itself, as a section.
    pub(super) fn root<'r>(&'r mut self, table: &'d DeTable<'d>) -> Section<'r, 'd> {
        Section::new(self, Some(table), String::new(), 0..0)
    }
}

impl<'r, 'd> Section<'r, 'd> {
    fn new(
        reader: &'r mut Reader<'d>,
        table: Option<&'d DeTable<'d>>,
        path: String,
        span: Range<usize>,
    ) -> Self {
        Self { reader, table, path, span, known: Vec::new(), unknown: Vec::new() }
    }

    /// The table `[key]`, which need not be there. Its values are shown under its name.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'_, 'd> {
        let (table, path, span) = self.table_at(key);
        self.reader.shown.push(ShownSection::new(&path));
        Section::new(self.reader, table, path, span)
    }

    /// The table `[key]`, if it is there.
    pub(super) fn optional_section(&mut self, key: &'static str) -> Option<Section<'_, 'd>> {
        if !self.has(key) {
            self.known.push(key);
            return None;
        }
        Some(self.section(key))
    }

    /// Reads each table `[key.NAME]`, in the order of the names.
    pub(super) fn each(&mut self, key: &'static str, mut read: impl FnMut(&str, Section<'_, 'd>)) {
        let (Some(tables), parent, _) = self.table_at(key) else { return };
        for (name, value) in tables {
            let path = join(&parent, name.get_ref());
            if let Some(table) = self.reader.table(&path, value) {
                self.reader.shown.push(ShownSection::new(&path));
                read(name.get_ref(), Section::new(self.reader, Some(table), path, name.span()));
            }
        }
    }

    /// The table, its full path, and what names it.
    fn table_at(&mut self, key: &'static str) -> (Option<&'d DeTable<'d>>, String, Range<usize>) {
        self.known.push(key);
        let Some((name, value)) = self.entry(key) else {
            return (None, join(&self.path, key), 0..0);
        };
        let path = join(&self.path, name.get_ref());
        (self.reader.table(&path, value), path, name.span())
    }

    /// A whole number.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let meant = Cell::new(None);
        let value = self.read(key, Some(default), u64::to_string, |scalar| {
            let value = scalar.integer("a whole number")?;
            meant.set(Some(nearest(value, &range)));
            in_range(value, &range, |number| number.to_string())
        });
        value.unwrap_or_else(|| self.meant(key, meant.get(), default))
    }

    /// A number of bytes.
    pub(super) fn size(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let show = |bytes: &u64| quote_value(&format_size(*bytes));
        let meant = Cell::new(None);
        let value = self.read(key, Some(default), show, |scalar| {
            let bytes = match &scalar.value {
                Value::Text(text) => parse_size(text).map(i128::from).map_err(|misread| {
                    meant.set(misread.meant.map(|bytes| nearest(i128::from(bytes), &range)));
                    Wrong::new("this is not a size", Some(misread.help))
                })?,
                _ => scalar.integer("a size, such as 65536 or \"64KiB\"")?,
            };
            meant.set(Some(nearest(bytes, &range)));
            in_range(bytes, &range, format_size)
        });
        value.unwrap_or_else(|| self.meant(key, meant.get(), default))
    }

    /// What stands for a value that is wrong: what its error's suggestion makes of it, so that what
    /// then would not agree with it is said at once, too.
    fn meant(&mut self, key: &'static str, meant: Option<u64>, default: u64) -> u64 {
        if meant.is_none() {
            self.unknown.push(key);
        }
        meant.unwrap_or(default)
    }

    /// A span of time.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        self.optional_duration(key, Some(default), range).unwrap_or(default)
    }

    /// A span of time that need not be there.
    pub(super) fn optional_duration(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let show = |span: &Duration| quote_value(&format_duration(*span));
        // One without a default has no other example.
        let example =
            || Some(format!("for instance `{key} = \"1d\"`")).filter(|_| default.is_none());
        self.read(key, default, show, |scalar| {
            let text = match &scalar.value {
                Value::Integer(number) => &number.to_string(),
                _ => {
                    let text = scalar.text("a span of time, such as \"100ms\" or \"7d\"");
                    text.map_err(|wrong| wrong.or(example))?
                }
            };
            let span = parse_duration(text)
                .map_err(|misread| Wrong::new("this is not a span of time", Some(misread.help)))?;
            let range_ms = whole_ms(*range.start())..=whole_ms(*range.end());
            let show = |ms| format_duration(Duration::from_millis(ms));
            in_range(i128::from(whole_ms(span)), &range_ms, show).map(Duration::from_millis)
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let value = self.read(key, Some(default), bool::to_string, |scalar| match &scalar.value {
            Value::Boolean(value) => Ok(*value),
            Value::Text(text) if scalar.from_env => {
                text.parse().map_err(|_| Wrong::new("this is neither `true` nor `false`", None))
            }
            _ => Err(scalar.mismatch("`true` or `false`")),
        });
        value.unwrap_or(default)
    }

    /// One of several words. Without a default it must be there.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|choice| choice.0).collect();
        let list = words.join("\", \"");
        let show = |value: &T| {
            let word = choices.iter().find(|choice| choice.1 == *value);
            quote_value(word.map_or("", |choice| choice.0))
        };
        let example = default.as_ref().map_or_else(|| quote_value(words[0]), show);
        let example = || Some(format!("for instance `{key} = {example}`"));
        let value = self.read(key, default, show, |scalar| {
            let text = scalar.text(&format!("one of \"{list}\"")).map_err(|it| it.or(example))?;
            let found = choices.iter().find(|choice| choice.0 == text);
            found.map(|choice| choice.1).ok_or_else(|| {
                let help = closest(text, &words).map(|word| format!("did you mean \"{word}\"?"));
                Wrong::new(&format!("this must be one of \"{list}\""), help).or(example)
            })
        });
        if value.is_none() {
            self.unknown.push(key);
        }
        if value.is_none() && default.is_none() && !self.has(key) {
            let lines: Vec<_> = words.iter().map(|it| format!("`{key} = \"{it}\"`")).collect();
            let help = format!("add {}", lines.join(" or "));
            self.fail(key, format!("`{key}` is missing"), Some(help));
        }
        value
    }

    /// A file's absolute name. `~/` at its beginning stands for the home directory.
    pub(super) fn path(&mut self, key: &'static str, default: PathBuf) -> PathBuf {
        let home = self.reader.home;
        let show = |path: &PathBuf| quote_value(&path.to_string_lossy());
        let value = self.read(key, Some(default.clone()), show, |scalar| {
            absolute(scalar.text("a file's name")?, home)
        });
        value.unwrap_or_else(|| {
            self.unknown.push(key);
            default
        })
    }

    /// Records an error at `key` if `holds` is false, unless one of the keys that it depends on,
    /// `key` among them, has a value of which nobody knows what was meant.
    pub(super) fn require(
        &mut self,
        key: &'static str,
        others: &[&'static str],
        holds: bool,
        message: &str,
        help: String,
    ) {
        if !holds && self.is_known(key) && others.iter().all(|other| self.is_known(other)) {
            self.fail(key, message.to_owned(), Some(help));
        }
    }

    /// Whether a key's value is right, or its error shows what was meant.
    pub(super) fn is_known(&self, key: &str) -> bool {
        !self.unknown.contains(&key)
    }

    /// Records an error at a key's value or, if the key is not there, at the section's name.
    pub(super) fn fail(&mut self, key: &str, message: String, help: Option<String>) {
        let value = self.table.and_then(|table| table.get(key));
        let span = value.map_or(self.span.clone(), Spanned::span);
        let missing = value.is_none();
        self.reader.faults.push(Fault { key: join(&self.path, key), span, message, help, missing });
    }

    /// Records an error at the section's own name.
    pub(super) fn fail_name(&mut self, message: &str, help: String) {
        let (key, span) = (self.path.clone(), self.span.clone());
        let (message, help) = (message.to_owned(), Some(help));
        self.reader.faults.push(Fault { key, span, message, help, missing: false });
    }

    /// Refuses the keys that nobody asked for.
    pub(super) fn finish(self) {
        self.finish_beside(&[]);
    }

    /// The same; `elsewhere` has the keys that are known in other places, which it names.
    pub(super) fn finish_beside(self, elsewhere: &[(String, &[&str])]) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let owner = self.reader.keys.iter().find(|(_, keys)| keys.contains(&name));
                let places = elsewhere.iter().filter(|(_, keys)| keys.contains(&name));
                let places: Vec<_> = places.map(|(place, _)| place.as_str()).collect();
                let help = match (closest(name, &self.known), owner) {
                    _ if !places.is_empty() => {
                        format!("this is a key of {}", places.join(" and "))
                    }
                    (None, Some((owner, _))) if self.path.is_empty() => {
                        format!("put it below a line `[{owner}]`")
                    }
                    (Some(known), _) => format!("did you mean `{known}`?"),
                    _ => format!("the keys here are: {}", self.known.join(", ")),
                };
                self.reader.faults.push(Fault {
                    key: join(&self.path, name),
                    span: key.span(),
                    message: "unknown key".to_owned(),
                    help: Some(help),
                    missing: false,
                });
            }
        }
        self.reader.keys.push((self.path, self.known));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    fn entry(&self, key: &str) -> Option<Entry<'d>> {
        self.table.and_then(|table| entry(table, key))
    }

    /// A key's value: from the document, else the default. None if there is neither, or it is wrong.
    fn read<T>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        show: impl Fn(&T) -> String,
        parse: impl FnOnce(&Scalar) -> Result<T, Wrong>,
    ) -> Option<T> {
        self.known.push(key);
        let default_text = default.as_ref().map(&show);
        let Some((name, node)) = self.entry(key) else {
            self.shown(key, default_text, Origin::Default);
            return default;
        };
        let path = join(&self.path, name.get_ref());
        let scalar = self.reader.scalar(&path, node)?;
        match parse(&scalar) {
            Ok(value) => {
                let text = match node.get_ref().as_str() {
                    Some(text) if scalar.from_env => quote_literal(text),
                    _ => show(&value),
                };
                let line = self.reader.text[..node.span().start].matches('\n').count() + 1;
                self.shown(key, Some(text), Origin::Line(line));
                Some(value)
            }
            Err(Wrong { message, help }) => {
                let example = || default_text.map(|text| format!("for instance `{key} = {text}`"));
                let note = || Some("look at the environment variable's content".to_owned());
                let help = if scalar.from_env { note() } else { help.or_else(example) };
                let span = node.span();
                self.reader.faults.push(Fault { key: path, span, message, help, missing: false });
                None
            }
        }
    }

    fn shown(&mut self, key: &'static str, value: Option<String>, origin: Origin) {
        if let Some(section) = self.reader.shown.last_mut() {
            section.keys.push(ShownKey { key, value, origin, variable: None });
        }
    }

    /// Has it shown that a variable of the environment is asked for a key that is not there.
    pub(super) fn asks(&mut self, key: &str, variable: &'static str) {
        let keys = self.reader.shown.last_mut().into_iter().flat_map(|it| &mut it.keys);
        for shown in keys.filter(|it| it.key == key && it.origin == Origin::Default) {
            shown.variable = Some(variable);
        }
    }
}

impl<'d> Reader<'d> {
    fn table(&mut self, path: &str, node: &'d Spanned<DeValue<'d>>) -> Option<&'d DeTable<'d>> {
        if let DeValue::Table(table) = node.get_ref() {
            return Some(table);
        }
        let message = format!("expected a table, found {}", type_of(node.get_ref()));
        let help = match path {
            "sinks" => "begin each sink with a line `[sinks.NAME]`".to_owned(),
            _ => format!("begin it with a line `[{path}]`"),
        };
        let help = Some(help);
        self.faults.push(Fault {
            key: path.to_owned(),
            span: node.span(),
            message,
            help,
            missing: false,
        });
        None
    }

    /// The value with its expressions replaced; their errors are recorded.
    fn scalar(&mut self, path: &str, node: &Spanned<DeValue<'d>>) -> Option<Scalar> {
        let value = match node.get_ref() {
            DeValue::String(text) => return self.text(path, text, &node.span()),
            DeValue::Integer(it) => {
                Value::Integer(i128::from_str_radix(it.as_str(), it.radix()).unwrap_or(i128::MAX))
            }
            DeValue::Boolean(value) => Value::Boolean(*value),
            other => Value::Other(type_of(other)),
        };
        Some(Scalar { value, from_env: false })
    }

    fn text(&mut self, path: &str, text: &str, span: &Range<usize>) -> Option<Scalar> {
        match expand(text, self.env) {
            Ok(it) => {
                self.given.extend(it.given.into_iter().map(|given| Given::new(path, given)));
                Some(Scalar { value: Value::Text(it.text), from_env: it.from_env })
            }
            Err(errors) => {
                // Without escapes, the string stands in the file as it is.
                let offset = self.text.get(span.clone()).and_then(|raw| raw.find(text));
                for error in errors {
                    let at = offset.map(|offset| span.start + offset);
                    self.faults.push(Fault {
                        key: path.to_owned(),
                        span: at.map_or(span.clone(), |at| {
                            at + error.range.start..at + error.range.end
                        }),
                        message: error.message,
                        help: Some(error.help),
                        missing: false,
                    });
                }
                None
            }
        }
    }
}
