//! The `otlp` sink: events as logs and traces of OpenTelemetry, by OTLP over HTTP.

// The sink that uses all of this comes with its settings.
#![allow(dead_code)]

mod answer;
mod attributes;
mod content;
mod encode;
mod event;
mod failures;
mod ids;
mod names;
mod origin;
mod signals;
mod spans;

pub use answer::{AnswerError, MAX_ANSWER_BYTES, Signal, Taken, read as read_answer};
pub use encode::Encoding;
pub use signals::{DEFAULT_SPAN_TIMEOUT, Preview};

#[cfg(test)]
mod tests;
