//! What is measured, a file for each kind of figure.

pub(crate) mod contention;
pub(crate) mod flatness;
pub(crate) mod latency;
pub(crate) mod programs;
pub(crate) mod publish;
pub(crate) mod sinks;
pub(crate) mod throughput;
