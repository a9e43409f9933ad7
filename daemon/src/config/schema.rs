//! What can be configured: each setting's type, default and range, once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hookring_sinks::FilterOptions;
use tracing::Level;

use super::filter;
use super::ours::Ours;
use super::reader::Section;
use super::units::{DAY_MS, GIB, HOUR_MS, KIB, MIB, TIB, format_size};

/// The most sinks that can be configured: each has a thread and a cursor of its own.
pub const MAX_SINKS: usize = 64;

/// The longest name of a sink, in bytes: files are named after it.
pub const MAX_SINK_NAME_BYTES: usize = 64;

/// The most that a ring may take, in bytes: it is kept in memory.
pub const MAX_RING_BYTES: u64 = 4 * GIB;

/// `[bus]`: the ring and the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusConfig {
    /// How many producers can publish at the same moment without the spool. 1 to 1024.
    pub lanes: u32,
    /// The size of each lane, a power of two from 16 KiB to 64 MiB.
    pub lane_bytes: u64,
    /// How much the spool may hold. 1 MiB to 1 TiB.
    pub spool_bytes: u64,
}

/// `[journal]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// The size at which a segment is followed by the next. 64 KiB to 4 GiB.
    pub segment_bytes: u64,
    /// When what was written is made to survive the loss of power.
    pub sync: SyncPolicy,
    /// What of the journal is kept, at least one segment's size.
    pub retention_bytes: u64,
    /// How long events are kept. 1 hour to 3650 days.
    pub retention_age: Duration,
    /// What is kept for sinks that have not got it yet, at least `retention_bytes`.
    pub hard_limit_bytes: u64,
    /// The memory for batches that the sinks have not read yet. 64 KiB to 1 GiB.
    pub cache_bytes: u64,
}

/// When the journal is synced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// This long after a write at the latest. 1 ms to 1 hour.
    Interval(Duration),
    /// After each batch.
    EveryBatch,
    /// When the system likes to.
    Never,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important messages that are logged.
    pub level: Level,
}

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// A file of JSON lines.
    Jsonl(JsonlConfig),
    /// The daemon's standard output.
    Stdout,
}

/// The settings of `type = "jsonl"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonlConfig {
    /// The file, an absolute path that no other sink has.
    pub path: PathBuf,
    /// The size at which the file is set aside. 4 KiB to 1 TiB.
    pub rotate_bytes: u64,
    /// The age at which it is set aside, if it is to be. 1 minute to 3650 days.
    pub rotate_age: Option<Duration>,
    /// What is done with a file that was set aside.
    pub compress: Compress,
}

/// How a file that was set aside is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// Not at all.
    None,
    /// As `.gz`.
    Gzip,
    /// As `.zst`.
    Zstd,
}

pub(super) fn bus(mut section: Section<'_, '_>) -> BusConfig {
    let lanes = section.integer("lanes", 32, 1..=1024);
    let lane_bytes = section.size("lane_bytes", 256 * KIB, 16 * KIB..=64 * MIB);
    let spool_bytes = section.size("spool_bytes", 256 * MIB, MIB..=TIB);
    let nearest = format_size(lane_bytes.next_power_of_two());
    section.require(
        "lane_bytes",
        &[],
        lane_bytes.is_power_of_two(),
        "this must be a power of two",
        format!("the next one is \"{nearest}\""),
    );
    section.require(
        "lane_bytes",
        &["lanes"],
        lanes * lane_bytes <= MAX_RING_BYTES,
        "the ring would take more than 4GiB of memory",
        "make `lanes` or `lane_bytes` smaller: the ring takes the one times the other".to_owned(),
    );
    section.finish();
    BusConfig { lanes: u32::try_from(lanes).unwrap_or(u32::MAX), lane_bytes, spool_bytes }
}

pub(super) fn journal(mut section: Section<'_, '_>) -> JournalConfig {
    let segment_bytes = section.size("segment_bytes", 64 * MIB, 64 * KIB..=4 * GIB);
    let words = [("interval", 0), ("every_batch", 1), ("never", 2)];
    let sync = section.choice("sync", Some(0), &words);
    let interval = section.duration("sync_interval", ms(100), ms(1)..=ms(HOUR_MS));
    // Half a million events of usual size, which is months of one person's work and little beside
    // what else is in a home directory.
    let retention_bytes = section.size("retention_bytes", GIB, 64 * KIB..=64 * TIB);
    let retention_age =
        section.duration("retention_age", ms(30 * DAY_MS), ms(HOUR_MS)..=ms(MAX_AGE_MS));
    // Four times retention: a sink may be down for weeks before it loses anything, and a sink that
    // nobody repairs cannot fill the disk.
    let hard_limit = retention_bytes.saturating_mul(4);
    let hard_limit_bytes = section.size("hard_limit_bytes", hard_limit, 64 * KIB..=256 * TIB);
    let cache_bytes = section.size("cache_bytes", 8 * MIB, 64 * KIB..=GIB);
    section.require(
        "retention_bytes",
        &["segment_bytes"],
        retention_bytes >= segment_bytes,
        "this is less than one segment, the least that can be deleted",
        "make it at least `segment_bytes`, or make that smaller".to_owned(),
    );
    // Retention is at least one segment, whatever it was meant to be.
    let (kept, others): (_, &[_]) = if section.is_known("retention_bytes") {
        (retention_bytes, &["retention_bytes"])
    } else {
        (segment_bytes, &["segment_bytes"])
    };
    section.require(
        "hard_limit_bytes",
        others,
        hard_limit_bytes >= kept,
        "this is less than what is kept anyway",
        "make it at least `retention_bytes`, or leave it out for four times that".to_owned(),
    );
    section.finish();
    let sync = match sync {
        Some(1) => SyncPolicy::EveryBatch,
        Some(2) => SyncPolicy::Never,
        _ => SyncPolicy::Interval(interval),
    };
    JournalConfig {
        segment_bytes,
        sync,
        retention_bytes,
        retention_age,
        hard_limit_bytes,
        cache_bytes,
    }
}

pub(super) fn log(mut section: Section<'_, '_>) -> LogConfig {
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let level = section.choice("level", Some(Level::INFO), &levels).unwrap_or(Level::INFO);
    section.finish();
    LogConfig { level }
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
        let sink = sink(name, &mut section, dir);
        // The default path is that of a sink whose type is known.
        let is_meant =
            section.is_known("path") && (section.has("path") || section.is_known("type"));
        if let Some(path) = jsonl_path(&sink).filter(|_| is_meant) {
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
        match sink.kind {
            SinkKind::Jsonl(_) => section.finish(),
            SinkKind::Stdout => section.finish_beside("`type = \"jsonl\"`", &JSONL_KEYS),
        }
        sinks.push(SinkConfig { filter, ..sink });
    });
    sinks
}

/// One sink. If its type is not known, its keys are read as those of a `jsonl` sink, which has all
/// that there are, so that what is wrong with them is said at once.
fn sink(name: &str, section: &mut Section<'_, '_>, dir: &Path) -> SinkConfig {
    let is_jsonl = section.choice("type", None, &[("jsonl", true), ("stdout", false)]);
    let is_jsonl = is_jsonl.unwrap_or(true);
    let enabled = section.boolean("enabled", true);
    // A file is to have everything that there is; a terminal what happens from now on.
    let start = if is_jsonl { SinkStart::Oldest } else { SinkStart::Now };
    let starts = [("oldest", SinkStart::Oldest), ("now", SinkStart::Now)];
    let start = section.choice("start", Some(start), &starts).unwrap_or(start);
    let batch_events = section.integer("batch_events", 1000, 1..=100_000);
    let batch_bytes = section.size("batch_bytes", MIB, KIB..=64 * MIB);
    let kind = if is_jsonl { SinkKind::Jsonl(jsonl(name, section, dir)) } else { SinkKind::Stdout };
    SinkConfig {
        name: name.to_owned(),
        enabled,
        start,
        batch_events: usize::try_from(batch_events).unwrap_or(usize::MAX),
        batch_bytes: usize::try_from(batch_bytes).unwrap_or(usize::MAX),
        filter: FilterOptions::default(),
        kind,
    }
}

/// What only a `jsonl` sink has.
const JSONL_KEYS: [&str; 4] = ["path", "rotate_bytes", "rotate_age", "compress"];

fn jsonl(name: &str, section: &mut Section<'_, '_>, dir: &Path) -> JsonlConfig {
    let compressions =
        [("none", Compress::None), ("gzip", Compress::Gzip), ("zstd", Compress::Zstd)];
    JsonlConfig {
        path: section.path("path", dir.join(format!("{name}.jsonl"))),
        rotate_bytes: section.size("rotate_bytes", 64 * MIB, 4 * KIB..=TIB),
        rotate_age: section.optional_duration("rotate_age", None, ms(60_000)..=ms(MAX_AGE_MS)),
        compress: section
            .choice("compress", Some(Compress::None), &compressions)
            .unwrap_or(Compress::None),
    }
}

fn jsonl_path(sink: &SinkConfig) -> Option<&Path> {
    match &sink.kind {
        SinkKind::Jsonl(jsonl) => Some(&jsonl.path),
        SinkKind::Stdout => None,
    }
}

fn is_sink_name(name: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=MAX_SINK_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits)
}

/// Ten years, the longest that anything can be kept.
const MAX_AGE_MS: u64 = 3650 * DAY_MS;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
