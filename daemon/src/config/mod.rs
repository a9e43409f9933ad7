//! The configuration, `hookring.toml`: read, checked and shown.
//!
//! Every error is found at once. `schema`, `content` and `sinks` say what can be configured, `reader` how a value is
//! read, `errors` how an error looks.

use std::path::{Path, PathBuf};

use hookring_pipeline::{Keep, risk};
use toml::de::DeTable;

use crate::paths::Paths;

mod changes;
mod content;
mod errors;
mod expand;
mod file;
mod filter;
mod hide;
mod http;
mod names;
mod orphans;
mod ours;
mod reader;
mod report;
mod schema;
mod show;
mod sinks;
mod syntax;
mod units;
mod value;

pub use changes::MAX_CHANGES;
pub use content::RedactConfig;
pub use errors::{ConfigErrors, MAX_PROBLEMS, Place, Problem};
pub use file::{MAX_CONFIG_BYTES, Warning};
pub use filter::doubt;
pub use http::{DEFAULT_LISTEN, HttpConfig, TlsFiles};
pub use orphans::Orphan;
pub use report::{ConfigReport, ProblemReport};
pub use schema::{BusConfig, HealthConfig, JournalConfig, LogConfig, MAX_RING_BYTES, SyncPolicy};
pub use sinks::{
    Compress, JsonlConfig, MAX_SINK_NAME_BYTES, MAX_SINKS, SinkConfig, SinkKind, SinkStart,
};
pub use units::{GIB, KIB, MIB, TIB};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A whole configuration, all of it within its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that it was read from; None if there is none and all values are defaults.
    pub file: Option<PathBuf>,
    /// The ring and the spool.
    pub bus: BusConfig,
    /// The journal.
    pub journal: JournalConfig,
    /// The daemon's own messages.
    pub log: LogConfig,
    /// What is taken out of payloads.
    pub redact: RedactConfig,
    /// Which content of payloads is kept.
    pub capture: Keep,
    /// How risky payloads are.
    pub risk: risk::Options,
    /// When the daemon says that something went silent or slow.
    pub health: HealthConfig,
    /// Where metrics are served, if they are.
    pub http: Option<HttpConfig>,
    /// The sinks in the order of their names, those that are switched off, too.
    pub sinks: Vec<SinkConfig>,
    shown: Vec<show::ShownSection>,
    /// What is likely to be wrong in it.
    doubts: Vec<Warning>,
}

impl Config {
    /// Reads the file that was `named`, or else the one that `paths` says, which need not be there.
    /// `env` looks up the variables that the file names.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is larger than [`MAX_CONFIG_BYTES`], belongs to a stranger, or
    /// something in it is wrong: then each error that could be found is listed.
    pub fn load(
        named: Option<&Path>,
        paths: &Paths,
        env: Env<'_>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let path = named.unwrap_or(&paths.config_file);
        let (bytes, mut warnings) = match file::read(path) {
            Ok(read) => read,
            Err(error) if error.missing && named.is_none() => {
                let config = Self::parse(path, b"", paths, env)?;
                return Ok((Self { file: None, ..config }, Vec::new()));
            }
            Err(error) => return Err(ConfigErrors::about_file(path, error.message, error.help)),
        };
        let config = match Self::parse(path, &bytes, paths, env) {
            Ok(config) => config,
            Err(mut errors) => {
                errors.warnings.splice(..0, warnings);
                return Err(errors);
            }
        };
        warnings.extend(config.doubts.iter().cloned());
        Ok((config, warnings))
    }

    /// The configuration that the content of the file `path` stands for.
    ///
    /// # Errors
    ///
    /// Something in it is wrong: then each error that could be found is listed.
    pub fn parse(
        path: &Path,
        content: &[u8],
        paths: &Paths,
        env: Env<'_>,
    ) -> Result<Self, ConfigErrors> {
        let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
        let text = match std::str::from_utf8(content) {
            Ok(text) => text,
            Err(error) => return Err(not_utf8(path, content, error.valid_up_to())),
        };
        let (readable, mut all) = syntax::readable(text);
        let (document, errors) = DeTable::parse_recoverable(&readable);
        let mut reader = reader::Reader::new(text, env, paths.home.as_deref());
        let ours = ours::Ours::new(paths, path);
        let mut root = reader.root(document.get_ref());
        let config = Self {
            file: Some(path.to_owned()),
            bus: schema::bus(root.section("bus")),
            journal: schema::journal(root.section("journal")),
            log: schema::log(root.section("log")),
            redact: content::redact(root.section("redact")),
            capture: content::capture(root.section("capture")),
            risk: content::risk(root.section("risk")),
            health: schema::health(root.section("health")),
            http: http::http(&mut root),
            sinks: sinks::sinks(&mut root, &paths.sinks, &ours),
            shown: Vec::new(),
            doubts: Vec::new(),
        };
        root.finish();
        reader.hide_values();
        let reader::Reader { mut faults, shown, doubts, hidden, .. } = reader;
        all.append(&mut syntax::faults(&errors));
        syntax::drop_echoes(text, &mut all);
        syntax::keep_believable(text, &all, &mut faults);
        all.append(&mut faults);
        if all.is_empty() {
            Ok(Self { shown, doubts: doubted(path, text, doubts), ..config })
        } else {
            let errors = listed(path, &hide::hidden(text, &hidden), all);
            Err(ConfigErrors { warnings: doubted(path, text, doubts), ..errors })
        }
    }

    /// What is in the way of the sinks now. A daemon need not ask: its sinks say so when they start.
    pub fn sink_warnings(&self) -> impl Iterator<Item = Warning> {
        self.sinks.iter().filter_map(file::directory_in_the_way)
    }

    /// The configuration that takes `self`'s place, read as [`Self::load`] does. Where there was a file,
    /// there must be one.
    ///
    /// # Errors
    ///
    /// As [`Self::load`]; or the file is gone.
    pub fn reload(
        &self,
        named: Option<&Path>,
        paths: &Paths,
        env: Env<'_>,
    ) -> Result<(Self, Vec<Warning>), ConfigErrors> {
        let loaded = Self::load(named, paths, env)?;
        match (&self.file, &loaded.0.file) {
            (Some(file), None) => {
                let help = "put it back; an empty file stands for the defaults";
                Err(ConfigErrors::about_file(file, "the file is gone".to_owned(), help.to_owned()))
            }
            _ => Ok(loaded),
        }
    }

    /// What is different from an `earlier` configuration, in words; a sink each, then the other
    /// settings, then the tables of lists, each by its name. At most [`MAX_CHANGES`], and then how many more.
    pub fn changes_from(&self, earlier: &Config) -> Vec<String> {
        let sinks = changes::sinks(&earlier.sinks, &self.sinks);
        let keys = changes::keys(&earlier.shown, &self.shown);
        let tables = changes::tables(&earlier.shown, &self.shown);
        changes::bounded(sinks.into_iter().chain(keys).chain(tables).collect())
    }

    /// The configuration as TOML with its defaults filled in. Where a value comes from is said in a
    /// comment; what came from the environment is the expression that the file has, not its content.
    pub fn to_toml(&self) -> String {
        show::render(&self.shown)
    }

    /// The same settings as JSON, section by section, each value as it would stand in the file; one
    /// that is not set is `null`.
    pub fn to_json(&self) -> serde_json::Value {
        show::json(&self.shown)
    }
}

fn not_utf8(path: &Path, content: &[u8], valid: usize) -> ConfigErrors {
    let text = String::from_utf8_lossy(content);
    let help = "save the file as UTF-8".to_owned();
    let mut errors =
        ConfigErrors::about_file(path, "the file is not UTF-8 from here on".into(), help);
    errors.problems[0].place = Some(Place::new(&text, valid..valid + 1));
    errors
}

/// At most [`MAX_PROBLEMS`], and then how many more.
fn doubted(path: &Path, text: &str, mut doubts: Vec<reader::Doubt>) -> Vec<Warning> {
    doubts.sort_by_key(|doubt| doubt.span.start);
    let left_out = doubts.len().saturating_sub(MAX_PROBLEMS);
    doubts.truncate(MAX_PROBLEMS);
    let is_last = |at: usize| left_out > 0 && at + 1 == MAX_PROBLEMS;
    let warning = |(at, doubt): (usize, reader::Doubt)| {
        let Place { line, column, .. } = Place::new(text, doubt.span);
        let more = if is_last(at) { format!("; and {left_out} more") } else { String::new() };
        let message = format!("{}{more}", doubt.message);
        Warning::UnknownName { file: path.to_owned(), line, column, key: doubt.key, message }
    };
    doubts.into_iter().enumerate().map(warning).collect()
}

fn listed(path: &Path, text: &str, mut faults: Vec<reader::Fault>) -> ConfigErrors {
    faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
    let left_out = faults.len().saturating_sub(MAX_PROBLEMS);
    faults.truncate(MAX_PROBLEMS);
    let problem = |fault: reader::Fault| {
        let is_syntax = fault.key.is_empty();
        let key = if is_syntax { syntax::key_at(text, fault.span.start) } else { fault.key };
        Problem {
            key: Some(key).filter(|key| !key.is_empty()),
            message: fault.message,
            help: fault.help,
            place: Some(Place::new(text, fault.span)),
        }
    };
    let problems = faults.into_iter().map(problem).collect();
    ConfigErrors { file: path.to_owned(), problems, left_out, warnings: Vec::new() }
}

#[cfg(test)]
mod tests;
