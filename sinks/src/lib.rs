//! Delivery: everything between the journal and the places that events go to.
//!
//! Each sink has one worker thread ([`Pump`]) that reads the journal through a cursor of its own, so
//! a sink that is slow, down or wrong holds up no other sink and no producer. What a place needs to
//! know about is in its folder ([`jsonl`], [`exec`], [`stdout`], [`webhook`]) behind one trait ([`Sink`]) whose answers are
//! a type ([`Outcome`]). Which events it gets is for its [`filter`] to say.

pub mod backoff;
pub mod dead_letters;
pub mod delivery;
pub mod exec;
mod files;
pub mod filter;
mod groups;
mod http;
pub mod jsonl;
pub mod otlp;
pub mod pump;
pub mod replay;
pub mod retry_after;
pub mod secret;
pub mod sink;
pub mod stats;
pub mod stdout;
pub mod switch;
pub mod webhook;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod testing;

pub use dead_letters::retry::RetryError;
pub use dead_letters::{
    DeadLetterError, DeadLetters, Letter, LetterCount, LetterEvent, sinks_with_letters,
};
pub use delivery::{BreakerState, WaitCause};
pub use exec::{ExecConfig, ExecSink};
pub use filter::{Filter, FilterError, FilterOptions, LeftOut, Match, in_home};
pub use groups::kill_all;
pub use jsonl::{Compression, JsonlConfig, JsonlSink};
pub use otlp::{OtlpConfig, OtlpSink};
pub use pump::{Pump, PumpHandle, Start, StartError, Stopped};
pub use replay::{Replay, ReplayEnd, ReplayError, ReplayFile};
pub use secret::{Secret, SecretError};
pub use sink::{Answer, Outcome, Sink, SinkError};
pub use stats::{Began, LastError, LastRetry, RetryProgress, SinkState, SinkStats, Waiting};
pub use stdout::StdoutSink;
pub use switch::{Off, OffBy, Switch, SwitchError};
pub use webhook::{WebhookConfig, WebhookSink};
