//! What a JSONL sink can be told.

use std::path::PathBuf;
use std::time::Duration;

/// Default size at which the file is rotated.
pub const DEFAULT_ROTATE_BYTES: u64 = 128 << 20;

/// Where the lines go and when the file is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonlConfig {
    /// The file that is appended to, for example `/var/log/hookring/events.jsonl`. Missing parent
    /// folders are created with mode 0700.
    pub path: PathBuf,
    /// Rotate before the file grows beyond this many bytes; `None` never. A single larger event
    /// makes a larger file.
    pub rotate_bytes: Option<u64>,
    /// Rotate, when the next event arrives, once the file is this old; `None` never.
    pub rotate_age: Option<Duration>,
    /// How rotated files are compressed.
    pub compression: Compression,
}

impl JsonlConfig {
    /// Appends to `path`, rotating at [`DEFAULT_ROTATE_BYTES`], without compression.
    pub fn new(path: impl Into<PathBuf>) -> JsonlConfig {
        JsonlConfig {
            path: path.into(),
            rotate_bytes: Some(DEFAULT_ROTATE_BYTES),
            rotate_age: None,
            compression: Compression::None,
        }
    }
}

/// How rotated files are stored.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// RFC 1952, `.gz`.
    Gzip,
    /// RFC 8878, `.zst`.
    Zstd,
}

impl Compression {
    /// What is added to the name of a compressed file.
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }
}
