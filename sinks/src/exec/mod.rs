//! The `exec` sink: a program of anybody's, in any language, that takes events over its stdin and answers
//! on its stdout. What is said is in `docs/sinks/exec.md`.

mod answer;
mod child;
mod config;
mod deliver;
mod encode;
mod lines;
mod problem;
mod session;
mod voice;

#[cfg(test)]
pub(crate) mod program;
#[cfg(test)]
mod tests;

pub use answer::{BadAnswer, Incoming, Malformed, RpcError, outcome};
pub use config::{DEFAULT_TIMEOUT, ExecConfig, PASSED_VARIABLES};
pub use deliver::{ExecError, ExecSink};
pub use lines::{Lines, MAX_LINE_BYTES, TooLong};
pub use problem::Problem;
