//! The `stdout` sink: the lines of the `jsonl` sink, on standard output.

mod deliver;

#[cfg(test)]
mod tests;

pub use deliver::{StdoutError, StdoutSink};
