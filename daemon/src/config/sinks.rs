//! `[sinks.NAME]`: what every sink can be told, and the kinds that there are. What only one kind has is in a
//! file of its own; a new kind adds that, a variant of [`SinkKind`], and a line in [`KINDS`].

mod connection;
mod exec;
mod jsonl;
mod otlp;
mod stdout;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hookring_sinks::webhook::WebhookConfig;
use hookring_sinks::{ExecConfig, FilterOptions, OtlpConfig, Secret};

use super::filter;
use super::ours::Ours;
use super::reader::Section;
use super::schema::ms;
use super::units::{HOUR_MS, KIB, MIB, TIB};

pub use jsonl::{Compress, JsonlConfig};

/// The most sinks that can be configured: each has a thread and a cursor of its own.
pub const MAX_SINKS: usize = 64;

/// The longest name of a sink, in bytes: files are named after it.
pub const MAX_SINK_NAME_BYTES: usize = 64;

/// `[sinks.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkConfig {
    /// 1 to [`MAX_SINK_NAME_BYTES`] of `a-z`, `0-9`, `_` and `-`.
    pub name: String,
    /// Whether it runs.
    pub enabled: bool,
    /// Where a sink that has no cursor yet begins.
    pub start: SinkStart,
    /// The most events in a batch. 1 to 100,000.
    pub batch_events: usize,
    /// The most bytes in a batch; a single larger event is a batch of its own. 1 KiB to 64 MiB.
    pub batch_bytes: usize,
    /// How long a batch that is not full waits for more events. 0 to 1 hour.
    pub batch_age: Duration,
    /// The most events in a second, if there is a limit. 0.001 to 1,000,000.
    pub events_per_s: Option<f64>,
    /// What may be kept of events that the sink will never take. 64 KiB to 1 TiB.
    pub dead_letter_bytes: u64,
    /// Which events it takes.
    pub filter: FilterOptions,
    /// What it is, with the settings that only this kind has.
    pub kind: SinkKind,
}

/// Where a new sink begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkStart {
    /// At the oldest event of the journal.
    Oldest,
    /// At the next event.
    Now,
}

/// The kinds of sinks.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkKind {
    /// A file of JSON lines.
    Jsonl(JsonlConfig),
    /// A program.
    Exec(ExecConfig),
    /// The daemon's standard output.
    Stdout,
    /// An address of HTTP.
    Webhook(Box<WebhookConfig>),
    /// Whatever takes OTLP.
    Otlp(Box<OtlpConfig>),
}

/// Every kind. The first one stands in for a type that is not known, if its keys do not say another.
const KINDS: [&Kind; 5] = [&jsonl::KIND, &exec::KIND, &stdout::KIND, &webhook::KIND, &otlp::KIND];

/// What the configuration knows of a kind of sink.
struct Kind {
    /// As `type` has it.
    name: &'static str,
    /// Where a new one begins by default.
    start: SinkStart,
    /// What only this kind has.
    keys: &'static [&'static str],
    /// Reads these.
    read: fn(&mut Section<'_, '_>, Context<'_>) -> SinkKind,
}

/// What defaults of a sink's keys are made of.
struct Context<'a> {
    /// The sink's name.
    name: &'a str,
    /// Where the files of sinks are by default.
    dir: &'a Path,
    /// Whether it runs.
    enabled: bool,
}

/// Reads every sink; a file is one sink's only, and none of `ours`. `dir` is where their files are by
/// default.
pub(super) fn sinks(root: &mut Section<'_, '_>, dir: &Path, ours: &Ours) -> Vec<SinkConfig> {
    let mut sinks = Vec::new();
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    let mut count = 0;
    root.each("sinks", |name, mut section| {
        count += 1;
        if count > MAX_SINKS {
            let help = "remove some, or run another daemon in a directory of its own";
            return section.fail_name("there are more than 64 sinks", help.to_owned());
        }
        if !is_sink_name(name) {
            let help = "use 1 to 64 of `a-z`, `0-9`, `_` and `-`: files are named after it";
            section.fail_name("this is not a sink's name", help.to_owned());
        }
        let kind = kind(&mut section);
        let sink = sink(kind, &mut section, Context { name, dir, enabled: true });
        // The default path is that of a sink whose type is known.
        let is_meant =
            section.is_known("path") && (section.has("path") || section.is_known("type"));
        if let Some(path) = sink.file().filter(|_| is_meant) {
            if let Some((_, other)) = files.iter().find(|(taken, _)| taken == path) {
                let help = format!("give each a file of its own; `sinks.{other}` has this one");
                section.require("path", &[], false, "another sink writes to this file", help);
            }
            let help = format!("choose another place; `{}` is for sinks", dir.display());
            let is_free = !ours.has(path);
            section.require("path", &[], is_free, "this is among hookring's own files", help);
            files.push((path.to_owned(), name.to_owned()));
        }
        let filter = filter::filter(section.section("filter"));
        let others = KINDS.iter().filter(|other| other.name != kind.name);
        let others: Vec<_> =
            others.map(|it| (format!("`type = \"{}\"`", it.name), it.keys)).collect();
        section.finish_beside(&others);
        sinks.push(SinkConfig { filter, ..sink });
    });
    sinks
}

impl SinkConfig {
    /// The file that it alone may write, if it writes one.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.kind {
            SinkKind::Jsonl(jsonl) => Some(&jsonl.path),
            SinkKind::Exec(_) | SinkKind::Stdout | SinkKind::Webhook(_) | SinkKind::Otlp(_) => None,
        }
    }

    /// As `type` has it.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.kind {
            SinkKind::Jsonl(_) => jsonl::KIND.name,
            SinkKind::Exec(_) => exec::KIND.name,
            SinkKind::Stdout => stdout::KIND.name,
            SinkKind::Webhook(_) => webhook::KIND.name,
            SinkKind::Otlp(_) => otlp::KIND.name,
        }
    }

    /// Whether a reload has it read secrets again, though its settings are the same.
    pub(crate) fn rereads_secrets(&self) -> bool {
        let is_elsewhere = |secret: &Secret| !matches!(secret, Secret::Text(_));
        match &self.kind {
            SinkKind::Webhook(webhook) => {
                webhook.keys.iter().chain(webhook.connection.secrets()).any(is_elsewhere)
            }
            SinkKind::Otlp(otlp) => otlp.secrets().any(is_elsewhere),
            SinkKind::Jsonl(_) | SinkKind::Exec(_) | SinkKind::Stdout => false,
        }
    }
}

/// The kind that a sink's type says. If that is not known, its keys are read as those of the kind that has
/// most of them, so that what is wrong with them is said at once.
fn kind(section: &mut Section<'_, '_>) -> &'static Kind {
    let mut types = [("", 0); KINDS.len()];
    for (at, kind) in KINDS.iter().enumerate() {
        types[at] = (kind.name, at);
    }
    let at = section.choice("type", None, &types).unwrap_or_else(|| {
        let fitting = |at: &usize| KINDS[*at].keys.iter().filter(|key| section.has(key)).count();
        // The first of those that fit as well.
        (0..KINDS.len()).rev().max_by_key(fitting).unwrap_or(0)
    });
    KINDS[at]
}

fn sink(kind: &Kind, section: &mut Section<'_, '_>, context: Context<'_>) -> SinkConfig {
    let enabled = section.boolean("enabled", true);
    let starts = [("oldest", SinkStart::Oldest), ("now", SinkStart::Now)];
    let start = section.choice("start", Some(kind.start), &starts).unwrap_or(kind.start);
    let batch_events = section.integer("batch_events", 1000, 1..=100_000);
    let batch_bytes = section.size("batch_bytes", MIB, KIB..=64 * MIB);
    let batch_age = section.duration("batch_age", Duration::ZERO, ms(0)..=ms(HOUR_MS));
    let events_per_s = section.number("events_per_s", 0.001..=1_000_000.0, "10");
    let dead_letter_bytes = section.size("dead_letter_bytes", 64 * MIB, 64 * KIB..=TIB);
    SinkConfig {
        name: context.name.to_owned(),
        enabled,
        start,
        batch_events: usize::try_from(batch_events).unwrap_or(usize::MAX),
        batch_bytes: usize::try_from(batch_bytes).unwrap_or(usize::MAX),
        batch_age,
        events_per_s,
        dead_letter_bytes,
        filter: FilterOptions::default(),
        kind: (kind.read)(section, Context { enabled, ..context }),
    }
}

fn is_sink_name(name: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=MAX_SINK_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}
