//! One request of OTLP: how it is posted, and what the receiver says.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::Body;
use ureq::http::{Response, StatusCode, header};
use zeroize::Zeroizing;

use super::answer::{self, MAX_ANSWER_BYTES, Signal};
use super::config::{Carried, Endpoint, OtlpConfig};
use crate::http::{self, Target, answer as http_answer, compress};
use crate::sink::{Outcome, SinkError};

/// A buffer for bodies that has grown beyond this is not kept, in bytes.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// What a port that is for gRPC does with HTTP/1.1 is to close, or to send what is none.
const NOT_GRPC: &str = "; if it is for gRPC, OTLP over HTTP usually has port 4318";

/// What is to be sent.
#[derive(Copy, Clone)]
pub(super) struct Request<'b> {
    pub(super) signal: Signal,
    pub(super) body: &'b [u8],
    /// Records, spans or data points in it.
    pub(super) items: u64,
}

/// Makes requests of what is ready.
pub(super) struct Post {
    pub(super) config: Arc<OtlpConfig>,
    pub(super) clock: fn() -> SystemTime,
    /// The last body, compressed: kept for its memory.
    compressed: Vec<u8>,
    /// Records, spans and data points that were rejected in what was taken.
    pub(super) rejected: [u64; Signal::ALL.len()],
    /// What a receiver said beside taking it.
    pub(super) warning: Option<SinkError>,
}

/// A 2xx that does not say that everything is well. Its texts have no secret.
#[derive(Debug, thiserror::Error)]
enum TakenError {
    #[error("{target} took the {signal}, but for {rejected} that it rejects for good{words}")]
    Rejected { target: Target, signal: &'static str, rejected: u64, words: Words },
    #[error("{target} took the {signal} with a warning{words}")]
    Warning { target: Target, signal: &'static str, words: Words },
    #[error("cannot send to {target}, which answered {status}")]
    Answer { target: Target, status: StatusCode, source: answer::AnswerError },
    #[error("cannot send to {target}: its answer broke off")]
    BrokenOff { target: Target },
}

/// An error with the signal that it is of before it.
#[derive(Debug)]
struct OfSignal(Signal, SinkError);

impl std::fmt::Display for OfSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.name(), self.1)
    }
}

impl std::error::Error for OfSignal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.source()
    }
}

/// What a receiver says, behind `: `; nothing if it says nothing.
#[derive(Debug)]
struct Words(String);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

impl Post {
    /// The clock says how long a date is away.
    pub(super) fn new(config: Arc<OtlpConfig>, clock: fn() -> SystemTime) -> Post {
        let rejected = [0; Signal::ALL.len()];
        Post { config, clock, compressed: Vec::new(), rejected, warning: None }
    }

    /// Sends one; `limit`: it may take no longer, whatever the settings say. The answer's status, if there was one, and
    /// what it means.
    pub(super) fn post(
        &mut self,
        carried: &Carried,
        secrets: &[Zeroizing<String>],
        request: Request<'_>,
        limit: Option<Duration>,
    ) -> (Option<StatusCode>, Outcome) {
        let config = Arc::clone(&self.config);
        let Request { signal, body, items } = request;
        // Only these signals are made.
        let Some((at, endpoint)) = config.endpoint(signal) else {
            return (None, Outcome::Accepted);
        };
        let (client, url) = (&carried.0[at], &endpoint.url);
        let is_compressed = config.is_gzip(endpoint) && compress(body, &mut self.compressed);
        let mut post = client.agent.post(url.uri().clone());
        post = post.header(header::CONTENT_TYPE, config.encoding_of(endpoint).content_type());
        if is_compressed {
            post = post.header(header::CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &client.headers {
            post = post.header(name, value);
        }
        if let Some(limit) = limit.map(|it| it.min(config.connection_of(endpoint).timeout)) {
            post = post.config().timeout_global(Some(limit)).build();
        }
        let sent = post.send(if is_compressed { &self.compressed } else { body });
        if self.compressed.capacity() > MAX_KEPT_BYTES {
            self.compressed = Vec::new();
        }
        let (status, outcome) = match sent {
            Ok(response) => self.answered((endpoint, items), response, secrets),
            Err(error) => (None, http_answer::failed(url, &error, NOT_GRPC)),
        };
        (status, outcome.map_error(|error| OfSignal(signal, error).into()))
    }

    fn answered(
        &mut self,
        (endpoint, items): (&Endpoint, u64),
        response: Response<Body>,
        secrets: &[Zeroizing<String>],
    ) -> (Option<StatusCode>, Outcome) {
        let Endpoint { signal, url, .. } = endpoint;
        let encoding = self.config.encoding_of(endpoint);
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let limit = MAX_ANSWER_BYTES as u64 + 1;
        let read = body.as_reader().take(limit).read_to_end(&mut bytes);
        let outcome = if head.status.is_success() {
            let content_type = head.headers.get(header::CONTENT_TYPE);
            let content_type = content_type.and_then(|it| it.to_str().ok());
            match (answer::read(*signal, content_type, encoding, &bytes), read) {
                (Ok(taken), Ok(_)) => {
                    let words = http::words(taken.words.as_bytes(), url.uri(), secrets);
                    // A receiver cannot reject more than it got.
                    self.taken(url, *signal, taken.rejected.min(items), Words(words));
                    Outcome::Accepted
                }
                (Err(source), read) if read.is_ok() || source == answer::AnswerError::TooLong => {
                    let (target, status) = (url.clone(), head.status);
                    let error = TakenError::Answer { target, status, source };
                    Outcome::Refused { error: error.into() }
                }
                _ => Outcome::failed(TakenError::BrokenOff { target: url.clone() }),
            }
        } else {
            let words = http::words(&bytes, url.uri(), secrets);
            http_answer::answered(url, head.status, &head.headers, words, (self.clock)())
        };
        (Some(head.status), outcome)
    }

    /// It took the request, and may have said something.
    fn taken(&mut self, url: &Target, signal: Signal, rejected: u64, words: Words) {
        let all = &mut self.rejected[signal as usize];
        *all = all.saturating_add(rejected);
        let (target, signal) = (url.clone(), signal.name());
        if rejected > 0 {
            self.warning = Some(TakenError::Rejected { target, signal, rejected, words }.into());
        } else if !words.0.is_empty() {
            self.warning = Some(TakenError::Warning { target, signal, words }.into());
        }
    }
}
