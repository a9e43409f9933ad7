//! The `jsonl` sink: a file of JSON lines that rotates.

mod compress;
mod config;
mod deliver;
pub(crate) mod encode;
mod file;
mod resume;
mod rotate;

#[cfg(test)]
mod tests;

pub use config::{Compression, DEFAULT_ROTATE_BYTES, JsonlConfig};
pub use deliver::JsonlSink;
pub use file::FileError;
pub use resume::RESUME_BYTES;
