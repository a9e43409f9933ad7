//! Directories, and what the environment has.

use std::path::PathBuf;

use super::{Section, absolute, quote_value};

impl Section<'_, '_> {
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
