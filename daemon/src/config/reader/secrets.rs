//! Secrets, and where they are: `{ env = … }`, `{ file = … }` or `{ command = […] }`. That they can be read is
//! checked, but for commands, which are not run: only that there is such a program. None is shown.

use std::error::Error;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use hookring_sinks::{Secret, SecretError};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Doubt, Fault, Scalar, Section, Value, Wrong, quote_literal, quote_value};
use crate::config::names::join;
use crate::config::show::Origin;
use crate::config::value::{absolute, type_of};

/// The ways to say where a secret is.
const HELP: &str = "say where it is: `{ env = \"NAME\" }`, `{ file = \"/a/file\" }` or \
                    `{ command = [\"program\", \"argument\"] }`";

/// Whether a text may stand in the configuration itself.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Text {
    Allowed,
    /// If it has no credentials in it, as an address may, or comes from the environment.
    Address,
    /// If it comes from the environment.
    Refused,
}

impl<'d> Section<'_, 'd> {
    /// A secret that need not be there.
    pub(in crate::config) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.secret_or(key, Text::Refused)
    }

    /// An address that may have credentials in it, which must not stand in the configuration then.
    pub(in crate::config) fn secret_address(&mut self, key: &'static str) -> Option<Secret> {
        self.secret_or(key, Text::Address)
    }

    fn secret_or(&mut self, key: &'static str, text: Text) -> Option<Secret> {
        self.known.push(key);
        let Some((name, node)) = self.entry(key) else {
            self.shown(key, None, Origin::Default);
            return None;
        };
        let path = join(&self.path, name.get_ref());
        let (secret, shown) = self.secret_at(&path, node, text)?;
        self.show_at(key, node, shown);
        Some(secret)
    }

    /// A table of names with a secret each; `may_be_text` says of a name whether its value may stand in the
    /// configuration.
    pub(in crate::config) fn secrets(
        &mut self,
        key: &'static str,
        may_be_text: impl Fn(&str) -> bool,
    ) -> Vec<(String, Secret)> {
        self.known.push(key);
        let Some((name, node)) = self.entry(key) else {
            self.shown(key, Some("{}".to_owned()), Origin::Default);
            return Vec::new();
        };
        let path = join(&self.path, name.get_ref());
        let DeValue::Table(table) = node.get_ref() else {
            let message = format!("expected a table, found {}", type_of(node.get_ref()));
            let help = format!("for instance `{key} = {{ Authorization = {{ env = \"NAME\" }} }}`");
            self.fail(key, message, Some(help));
            return Vec::new();
        };
        let (mut secrets, mut shown) = (Vec::new(), Vec::new());
        for (name, node) in table {
            let name = name.get_ref();
            let text = if may_be_text(name) { Text::Allowed } else { Text::Refused };
            if let Some((secret, text)) = self.secret_at(&join(&path, name), node, text) {
                shown.push(format!("{} = {text}", join("", name)));
                secrets.push((name.to_string(), secret));
            }
        }
        let shown =
            if shown.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", shown.join(", ")) };
        self.show_at(key, node, shown);
        secrets
    }

    /// Holds what a secret is now against a check, as far as it can be read without running anything.
    pub(in crate::config) fn try_secret<T>(
        &self,
        secret: &Secret,
        check: impl FnOnce(&str) -> T,
    ) -> Option<T> {
        match secret {
            Secret::Text(text) => Some(check(text)),
            Secret::Env(name) => (self.reader.env)(name).map(|text| check(&text)),
            Secret::File(_) => secret.read().ok().map(|text| check(&text)),
            Secret::Command(_) => None,
        }
    }

    /// A variable of the environment.
    pub(in crate::config) fn env(&self, name: &str) -> Option<String> {
        (self.reader.env)(name)
    }

    /// Has no error quote a key's value.
    pub(in crate::config) fn hide_value(&mut self, key: &str) {
        if let Some(value) = self.table.and_then(|table| table.get(key)) {
            self.hide(value.span());
        }
    }

    fn hide(&mut self, span: Range<usize>) {
        // Not the quotes.
        self.reader.hidden.push(span.start + 1..span.end.saturating_sub(1));
    }

    /// Records what is likely to be wrong with a key's value.
    pub(in crate::config) fn doubt(&mut self, key: &str, message: &str) {
        let value = self.table.and_then(|table| table.get(key));
        let span = value.map_or(self.span.clone(), Spanned::span);
        let (key, message) = (join(&self.path, key), message.to_owned());
        self.reader.doubts.push(Doubt { key, span, message });
    }

    fn show_at(&mut self, key: &'static str, node: &Spanned<DeValue<'d>>, shown: String) {
        let line = self.reader.text[..node.span().start].matches('\n').count() + 1;
        self.shown(key, Some(shown), Origin::Line(line));
    }

    /// A secret, and how it is shown. What is wrong with it is recorded.
    fn secret_at(
        &mut self,
        path: &str,
        node: &Spanned<DeValue<'d>>,
        text: Text,
    ) -> Option<(Secret, String)> {
        let found = match node.get_ref() {
            DeValue::String(_) => self.text(path, node, text),
            DeValue::Table(table) => self.place(path, table),
            other => wrong(format!("expected a secret, found {}", type_of(other)), HELP),
        };
        match found {
            Ok(found) => Some(found),
            Err(said) => {
                if let Some(Wrong { message, help }) = said {
                    let (key, span) = (path.to_owned(), node.span());
                    self.reader.faults.push(Fault { key, span, message, help, missing: false });
                }
                None
            }
        }
    }

    fn text(&mut self, path: &str, node: &Spanned<DeValue<'d>>, text: Text) -> Found {
        let has_credentials = node.get_ref().as_str().is_some_and(|it| it.contains('@'));
        let is_secret = text == Text::Refused || (text == Text::Address && has_credentials);
        if is_secret {
            self.hide(node.span());
        }
        let (value, from_env, shown) = self.plain(path, node)?;
        if is_secret && !from_env {
            return wrong("a secret may not stand in the configuration itself", HELP);
        }
        Ok((Secret::Text(value.into()), shown))
    }

    /// A string, whether it comes from the environment, and how it is shown.
    fn plain(
        &mut self,
        path: &str,
        node: &Spanned<DeValue<'d>>,
    ) -> Result<(String, bool, String), Option<Wrong>> {
        let raw = node.get_ref().as_str().unwrap_or_default();
        match self.reader.scalar(path, node).ok_or(None)? {
            Scalar { value: Value::Text(text), from_env } => {
                let shown = if from_env { quote_literal(raw) } else { quote_value(&text) };
                Ok((text, from_env, shown))
            }
            _ => Err(None),
        }
    }

    /// Where a table says that it is.
    fn place(&mut self, path: &str, table: &DeTable<'d>) -> Found {
        let mut entries = table.iter();
        let (Some((name, node)), None) = (entries.next(), entries.next()) else {
            return wrong("this must say one place where the secret is", HELP);
        };
        let name = name.get_ref().as_ref();
        let path = join(path, name);
        match (name, node.get_ref()) {
            ("env", DeValue::String(_)) => {
                let (variable, _, shown) = self.plain(&path, node)?;
                let is_there = (self.reader.env)(&variable).is_some_and(|value| !value.is_empty());
                if !is_there {
                    let message = format!("the environment variable `{variable}` is not set");
                    return wrong(message, "set it where the daemon runs");
                }
                Ok((Secret::Env(variable), format!("{{ env = {shown} }}")))
            }
            ("file", DeValue::String(_)) => {
                let (file, _, shown) = self.plain(&path, node)?;
                let secret = Secret::File(absolute(&file, self.reader.home)?);
                if let Err(error) = secret.read() {
                    return wrong(in_words(&error), help_for_file(&error));
                }
                if let Secret::File(file) = &secret {
                    self.doubt_if_open(&path, node.span(), file);
                }
                Ok((secret, format!("{{ file = {shown} }}")))
            }
            ("command", DeValue::Array(elements)) => {
                let (mut words, mut shown) = (Vec::new(), Vec::new());
                for element in elements {
                    let help = || Some(HELP.to_owned());
                    let (word, from_env) = self.element(&path, element, help()).ok_or(None)?;
                    let raw = element.get_ref().as_str().filter(|_| from_env);
                    shown.push(raw.map_or_else(|| quote_value(&word), quote_literal));
                    words.push(word);
                }
                if !self.is_program(words.first().map_or("", String::as_str)) {
                    let help = "give its whole path, or put it where the daemon's PATH leads";
                    return wrong("there is no such program", help);
                }
                Ok((Secret::Command(words), format!("{{ command = [{}] }}", shown.join(", "))))
            }
            ("env" | "file" | "command", other) => {
                let expected = if name == "command" { "a list of strings" } else { "a string" };
                wrong(format!("expected {expected}, found {}", type_of(other)), HELP)
            }
            _ => wrong("a secret cannot be there", HELP),
        }
    }

    /// Warns of a secret's file that everybody can read or change. Its group is left alone: it may be how a
    /// service is given what belongs to root.
    fn doubt_if_open(&mut self, key: &str, span: Range<usize>, file: &Path) {
        let Ok(found) = file.metadata() else { return };
        let mode = found.mode() & 0o7777;
        let what = match (mode & 0o004 != 0, mode & 0o002 != 0) {
            (false, false) => return,
            (true, false) => "read",
            (false, true) => "changed",
            (true, true) => "read and changed",
        };
        let is_own = found.uid() == rustix::process::geteuid().as_raw();
        let command = if is_own { "chmod 600" } else { "chmod o-rwx" };
        let file = file.display();
        let message =
            format!("{file} can be {what} by everybody (mode {mode:04o}): run `{command} {file}`");
        self.reader.doubts.push(Doubt { key: key.to_owned(), span, message });
    }

    /// Whether it can be run, as far as its file says.
    fn is_program(&self, name: &str) -> bool {
        let can_be_run = |path: &Path| {
            path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
        };
        if name.contains('/') {
            return can_be_run(Path::new(name));
        }
        let path = (self.reader.env)("PATH").unwrap_or_default();
        !name.is_empty() && std::env::split_paths(&path).any(|dir| can_be_run(&dir.join(name)))
    }
}

/// A secret and how it is shown, or what is wrong if that was not said yet.
type Found = Result<(Secret, String), Option<Wrong>>;

fn wrong(message: impl AsRef<str>, help: &str) -> Found {
    Err(Some(Wrong::new(message.as_ref(), Some(help.to_owned()))))
}

fn help_for_file(error: &SecretError) -> &'static str {
    match error {
        SecretError::Empty { .. } => "write the secret into it, on one line",
        SecretError::NoText { .. } => "the secret is all that it may have, on one line",
        _ => "the daemon must be able to read it",
    }
}

fn in_words(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}
