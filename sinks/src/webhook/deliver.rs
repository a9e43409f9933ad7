//! The sink itself: reads its secrets, signs, posts, and reads what the server says.

use std::io::Read;
use std::time::{Duration, SystemTime};

use hookring_journal::Batch;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::config::{Secrets, SetupError, WebhookConfig};
use super::encode::{self, Request};
use crate::http::{self, Reloads, answer, client, compress, words};
use crate::sink::{Outcome, Sink, SinkError};

/// What of an answer's body is read before its connection is given up, in bytes.
const MAX_BODY_BYTES: u64 = 64 << 10;
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
        let is_compressed = self.config.gzip && compress(&request.body, &mut self.compressed);
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
        let agent = client::agent(&self.config.connection(), secrets.proxy.take());
        let agent = agent.map_err(http::SetupError::from)?;
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
