//! What can go wrong when a producer is made or publishes.

use hookring_bus::record::MAX_PAYLOAD_BYTES;
use std::path::PathBuf;
use thiserror::Error;

/// Why a producer cannot be made.
#[derive(Debug, Error)]
pub enum OpenError {
    /// None of the directories in which hooks and the daemon meet can be used.
    #[error(
        "cannot open the hookring bus: none of its directories can be used ({0}); make one a directory of this user with mode 0700, or set HOOKRING_DIR"
    )]
    NoPlace(String),
    /// The process ran out of memory or descriptors.
    #[error("cannot prepare a hookring producer")]
    System(#[source] std::io::Error),
}

/// Why an event was not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The payload is larger than [`MAX_PAYLOAD_BYTES`].
    #[error(
        "cannot publish an event of {bytes} bytes: the largest is {MAX_PAYLOAD_BYTES}; split it or leave content out"
    )]
    TooLarge {
        /// The payload's length in bytes.
        bytes: usize,
    },
    /// Ring and spool are at their limits. The loss is counted where `hookring status` shows it.
    #[error(
        "cannot publish the event: ring and spool are full; start the daemon (`hookring run`) or raise bus.spool_bytes"
    )]
    Dropped,
    /// Neither ring nor spool could be written; the event is lost.
    #[error(
        "cannot write the event to the spool in {dir}, and the loss {}; free space there, or make it a directory of this user with mode 0700",
        if *.is_counted { "is counted where `hookring status` shows it" } else { "is not counted anywhere" }
    )]
    Spool {
        /// The place's directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
        /// Whether there was a ring or a spool to count the loss in.
        is_counted: bool,
    },
}

/// Why a batch was not published to its end.
#[derive(Debug, Error)]
#[error("cannot publish the whole batch, only its first {published} events")]
pub struct BatchError {
    /// How many events were published, from the first on. Those behind them were not.
    pub published: usize,
    /// Why the next one was not.
    #[source]
    pub source: PublishError,
}
