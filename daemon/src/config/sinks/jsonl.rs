//! `type = "jsonl"`: a file of JSON lines.

use std::path::PathBuf;
use std::time::Duration;

use super::{Context, Kind, SinkKind, SinkStart};
use crate::config::reader::Section;
use crate::config::schema::{MAX_AGE_MS, ms};
use crate::config::units::{KIB, MIB, TIB};

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

/// A file is to have everything that there is.
pub(super) const KIND: Kind = Kind {
    name: "jsonl",
    start: SinkStart::Oldest,
    keys: &["path", "rotate_bytes", "rotate_age", "compress"],
    read,
};

fn read(section: &mut Section<'_, '_>, context: Context<'_>) -> SinkKind {
    let compressions =
        [("none", Compress::None), ("gzip", Compress::Gzip), ("zstd", Compress::Zstd)];
    SinkKind::Jsonl(JsonlConfig {
        path: section.path("path", context.dir.join(format!("{}.jsonl", context.name))),
        rotate_bytes: section.size("rotate_bytes", 64 * MIB, 4 * KIB..=TIB),
        rotate_age: section.optional_duration("rotate_age", None, ms(60_000)..=ms(MAX_AGE_MS)),
        compress: section
            .choice("compress", Some(Compress::None), &compressions)
            .unwrap_or(Compress::None),
    })
}
