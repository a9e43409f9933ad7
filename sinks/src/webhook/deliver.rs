//! The sink itself: reads its secrets, signs, posts, and reads what the server says.

use std::io::{Read, Write as _};
use std::time::{Duration, SystemTime};

use flate2::write::GzEncoder;
use hookring_journal::Batch;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::answer;
use super::client;
use super::config::{Reloads, Secrets, SetupError, WebhookConfig};
use super::encode::{self, Request};
use crate::sink::{Outcome, Sink, SinkError};

/// What of an answer's body is read before its connection is given up, in bytes.
const MAX_BODY_BYTES: u64 = 64 << 10;
/// What of it is shown, in characters.
const MAX_WORDS_CHARS: usize = 300;
/// A shorter part of a secret, or of an address, says nothing, in bytes.
const MIN_SECRET_BYTES: usize = 4;
/// A smaller body is not compressed, in bytes.
const MIN_GZIP_BYTES: usize = 1024;
/// A buffer for bodies that has grown beyond this is not kept, in bytes: those of usual batches are.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// Posts each event, or each batch, to an address.
///
/// The same events are posted under the same id, however often, and signed anew each time.
pub struct WebhookSink {
    config: WebhookConfig,
    reloads: Reloads,
    clock: fn() -> SystemTime,
    /// `None` until opened, and after it could not be made ready again.
    ready: Option<Ready>,
    /// The last body, and the same compressed: kept for their memory.
    body: Vec<u8>,
    compressed: Vec<u8>,
}

/// What requests are made with.
struct Ready {
    agent: Agent,
    secrets: Secrets,
    /// How often there were reloads before.
    reloads: u64,
}

impl WebhookSink {
    /// Touches nothing yet: [`Sink::open`] does. Secrets are read anew whenever `reloads` is raised.
    pub fn new(config: WebhookConfig, reloads: Reloads) -> WebhookSink {
        WebhookSink::with_clock(config, reloads, SystemTime::now)
    }

    /// The clock says when a request is signed, and how long a date is away.
    pub(super) fn with_clock(
        config: WebhookConfig,
        reloads: Reloads,
        clock: fn() -> SystemTime,
    ) -> WebhookSink {
        WebhookSink {
            config,
            reloads,
            clock,
            ready: None,
            body: Vec::new(),
            compressed: Vec::new(),
        }
    }

    fn send(&mut self, batch: &Batch, is_replay: bool) -> Outcome {
        let mut ready = match self.take_ready() {
            Ok(ready) => ready,
            Err(error) => return Outcome::failed(error),
        };
        let is_single = !self.config.batches;
        let body = std::mem::take(&mut self.body);
        let outcome = match encode::encode(self.config.format, batch, is_single, is_replay, body) {
            Ok(request) => {
                let outcome = self.post_with_current_secrets(&mut ready, &request);
                if request.body.capacity() <= MAX_KEPT_BYTES {
                    self.body = request.body;
                }
                outcome
            }
            // Only damage can bring that about; what is damaged is never sent.
            Err(error) => Outcome::Rejected { status: None, error },
        };
        self.ready = Some(ready);
        outcome
    }

    /// Once more where the server no longer takes the secrets and there are others by now.
    fn post_with_current_secrets(&mut self, ready: &mut Ready, request: &Request) -> Outcome {
        let (status, outcome) = self.post(ready, request);
        let is_denied = matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
        if !is_denied || ready.secrets.texts.is_empty() {
            return outcome;
        }
        match self.make_ready() {
            Ok(new) if new.secrets.texts != ready.secrets.texts => *ready = new,
            Ok(_) => return outcome,
            Err(error) => return Outcome::Refused { error: error.into() },
        }
        self.post(ready, request).1
    }

    fn post(&mut self, ready: &Ready, request: &Request) -> (Option<StatusCode>, Outcome) {
        let is_compressed = self.config.gzip && self.compress(&request.body);
        let mut post = ready.agent.post(self.config.url.uri().clone());
        post = post.header(header::CONTENT_TYPE, request.content_type);
        if is_compressed {
            post = post.header(header::CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        if request.is_signed {
            let seconds = self.seconds();
            let signature = ready.secrets.keys.sign(&request.id, seconds, &request.body);
            post = post.header("webhook-id", &request.id);
            post = post.header("webhook-timestamp", seconds.to_string());
            post = post.header("webhook-signature", signature);
        }
        for (name, value) in &ready.secrets.headers {
            post = post.header(name, value);
        }
        let body = if is_compressed { &self.compressed } else { &request.body };
        let sent = post.send(body.as_slice());
        if self.compressed.capacity() > MAX_KEPT_BYTES {
            self.compressed = Vec::new();
        }
        match sent {
            Ok(response) => self.answered(response, &ready.secrets.texts),
            Err(error) => (None, answer::failed(&self.config.url, &error)),
        }
    }

    fn answered(
        &self,
        response: Response<Body>,
        secrets: &[Zeroizing<String>],
    ) -> (Option<StatusCode>, Outcome) {
        let (head, mut body) = response.into_parts();
        // Read to its end so that the connection can be used again. What goes wrong with it changes no
        // answer, and ends the connection.
        let mut bytes = Vec::new();
        let _ = body.as_reader().take(MAX_BODY_BYTES).read_to_end(&mut bytes);
        let is_shown = !head.status.is_success();
        let words =
            if is_shown { words(&bytes, self.config.url.uri(), secrets) } else { String::new() };
        let now = (self.clock)();
        let outcome = answer::answered(&self.config.url, head.status, &head.headers, words, now);
        (Some(head.status), outcome)
    }

    /// Whether the body is worth it, and is in the buffer now.
    fn compress(&mut self, body: &[u8]) -> bool {
        if body.len() < MIN_GZIP_BYTES {
            return false;
        }
        let mut buffer = std::mem::take(&mut self.compressed);
        buffer.clear();
        let mut encoder = GzEncoder::new(buffer, flate2::Compression::fast());
        let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
        // Writing to memory does not fail; plain is good, too.
        compressed.map(|buffer| self.compressed = buffer).is_ok()
    }

    fn seconds(&self) -> u64 {
        let since = (self.clock)().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or(Duration::ZERO).as_secs()
    }

    /// With secrets that were read before, unless there was a reload.
    fn take_ready(&mut self) -> Result<Ready, SetupError> {
        match self.ready.take().filter(|ready| ready.reloads == self.reloads.count()) {
            Some(ready) => Ok(ready),
            None => self.make_ready(),
        }
    }

    fn make_ready(&self) -> Result<Ready, SetupError> {
        let reloads = self.reloads.count();
        let mut secrets = Secrets::read(&self.config)?;
        let agent = client::agent(&self.config, secrets.proxy.take())?;
        Ok(Ready { agent, secrets, reloads })
    }
}

impl Sink for WebhookSink {
    fn open(&mut self) -> Result<(), SinkError> {
        self.ready = Some(self.make_ready()?);
        Ok(())
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.send(batch, false)
    }

    fn replay(&mut self, batch: &Batch) -> Outcome {
        self.send(batch, true)
    }

    fn max_events(&self) -> usize {
        if self.config.batches { usize::MAX } else { 1 }
    }
}

/// The beginning of what a server says, on one line, without what is secret: some send back what they got, in
/// whole or in parts.
fn words(body: &[u8], uri: &Uri, secrets: &[Zeroizing<String>]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    let is_joint = |char: char| char.is_whitespace() || "/?&=,;\"".contains(char);
    let address = uri.path_and_query().map_or("", |it| it.as_str());
    let secrets = secrets.iter().map(|secret| secret.as_str());
    let wholes = secrets.clone().chain([address]);
    let parts = wholes.flat_map(|whole| std::iter::once(whole).chain(whole.split(is_joint)));
    let parts = parts.filter(|part| part.len() >= MIN_SECRET_BYTES);
    let mut parts: Vec<&str> = parts.chain(secrets.filter(|it| !it.is_empty())).collect();
    // The longest first, which have the others in them.
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    for part in parts {
        text = text.replace(part, "***");
    }
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(MAX_WORDS_CHARS).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
