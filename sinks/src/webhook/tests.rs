//! The sink against a server that fails as it is told to.

use std::time::{Duration, SystemTime};

use hookring_faults::{FaultServer, Received, Reply};
use zeroize::Zeroizing;

use super::*;
use crate::secret::Secret;
use crate::sink::{Outcome, Sink};
use crate::testing::TestJournal;

mod answers;
mod connect;
mod formats;
mod secrets;

/// The example of Standard Webhooks' libraries.
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// So long a test waits for a server that says nothing.
const SHORT: Duration = Duration::from_millis(300);

fn text(text: &str) -> Secret {
    Secret::Text(Zeroizing::new(text.to_owned()))
}

fn config(server: &FaultServer) -> WebhookConfig {
    WebhookConfig::new(Target::parse(&server.url("/events")).expect("a URL"))
}

fn by(connection: Connection, server: &FaultServer) -> WebhookConfig {
    WebhookConfig { connection, ..config(server) }
}

fn with_headers(headers: Vec<(String, Secret)>, server: &FaultServer) -> WebhookConfig {
    by(Connection { headers, ..Connection::default() }, server)
}

/// A minute after the epoch of signatures in tests.
fn clock() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn sink(config: WebhookConfig) -> WebhookSink {
    assert_eq!(config.faults(), [], "the settings agree");
    let mut sink = WebhookSink::with_clock(config, Reloads::default(), clock);
    sink.open().expect("it opens");
    sink
}

/// Sends one event; what came of it.
fn send_one(sink: &mut WebhookSink) -> Outcome {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    sink.deliver(&journal.batch(1, 1))
}

fn send_to(server: &FaultServer, config: WebhookConfig) -> Received {
    let outcome = send_one(&mut sink(config));
    assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
    server.received().pop().expect("a request")
}

/// The variant alone.
fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Throttled { .. } => "throttled",
        Outcome::Failed { .. } => "failed",
        Outcome::TooLarge { .. } => "too large",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Refused { .. } => "refused",
        Outcome::Gone { .. } => "gone",
        Outcome::Each { .. } => "each",
    }
}

fn words(outcome: &Outcome) -> String {
    outcome.error().map(crate::stats::in_words).unwrap_or_default()
}
