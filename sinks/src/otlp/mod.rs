//! The `otlp` sink: events as logs and traces of OpenTelemetry, and the daemon's metrics, by OTLP over HTTP.

mod answer;
mod attributes;
mod config;
mod content;
mod deliver;
mod encode;
mod environment;
mod event;
mod exposition;
mod failures;
mod given;
mod ids;
mod metrics;
mod names;
mod origin;
mod post;
mod preset;
mod signals;
mod spans;

pub use answer::{AnswerError, MAX_ANSWER_BYTES, Signal, Taken, read as read_answer};
pub use config::{
    DEFAULT_METRICS_INTERVAL, Endpoint, MAX_RESOURCE_ATTRIBUTES, METRICS_LEAST_TIMEOUT,
    METRICS_SHARE, NamedFile, OtlpConfig, Own,
};
pub use deliver::{OtlpSink, RECALLED_EVENTS};
pub use encode::Encoding;
pub use environment::Env;
pub use given::{DEFAULT_ENDPOINT, Given};
pub use metrics::{MetricSource, Temporality};
pub use preset::{Preset, Scheme};
pub use signals::{DEFAULT_SPAN_TIMEOUT, Preview};

#[cfg(test)]
mod tests;
