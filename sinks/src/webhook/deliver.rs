//! The sink itself: reads its secrets, signs, posts, and reads what the server says.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hookring_journal::Batch;
use ureq::Body;
use ureq::http::{Response, StatusCode, header};
use zeroize::Zeroizing;

use super::config::{Carried, WebhookConfig};
use super::encode::{self, Request};
use crate::http::{Ready, Reloads, answer, compress, words};
use crate::sink::{Outcome, Sink, SinkError};

/// What of an answer's body is read before its connection is given up, in bytes.
const MAX_BODY_BYTES: u64 = 64 << 10;
/// A buffer for bodies that has grown beyond this is not kept, in bytes: those of usual batches are.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// Posts each event, or each batch, to an address.
///
/// The same events are posted under the same id, however often, and signed anew each time.
pub struct WebhookSink {
    post: Post,
    ready: Ready<Carried>,
    /// The last body: kept for its memory.
    body: Vec<u8>,
}

/// Makes requests of what is ready.
struct Post {
    config: Arc<WebhookConfig>,
    clock: fn() -> SystemTime,
    /// The last body, compressed: kept for its memory.
    compressed: Vec<u8>,
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
        let post = Post { config: Arc::new(config), clock, compressed: Vec::new() };
        WebhookSink { post, ready: Ready::new(reloads), body: Vec::new() }
    }

    fn send(&mut self, batch: &Batch, is_replay: bool) -> Outcome {
        let config = Arc::clone(&self.post.config);
        let body = std::mem::take(&mut self.body);
        let request = encode::encode(config.format, batch, !config.batches, is_replay, body);
        let request = match request {
            Ok(request) => request,
            // Only damage can bring that about; what is damaged is never sent.
            Err(error) => return Outcome::Rejected { status: None, error },
        };
        let outcome = self.ready.send(
            || Carried::make(&config),
            |carried, secrets| self.post.post(carried, secrets, &request),
        );
        if request.body.capacity() <= MAX_KEPT_BYTES {
            self.body = request.body;
        }
        outcome
    }
}

impl Post {
    fn post(
        &mut self,
        carried: &Carried,
        secrets: &[Zeroizing<String>],
        request: &Request,
    ) -> (Option<StatusCode>, Outcome) {
        let is_compressed = self.config.gzip && compress(&request.body, &mut self.compressed);
        let mut post = carried.agent.post(self.config.url.uri().clone());
        post = post.header(header::CONTENT_TYPE, request.content_type);
        if is_compressed {
            post = post.header(header::CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        if request.is_signed {
            let seconds = self.seconds();
            let signature = carried.keys.sign(&request.id, seconds, &request.body);
            post = post.header("webhook-id", &request.id);
            post = post.header("webhook-timestamp", seconds.to_string());
            post = post.header("webhook-signature", signature);
        }
        for (name, value) in &carried.headers {
            post = post.header(name, value);
        }
        let body = if is_compressed { &self.compressed } else { &request.body };
        let sent = post.send(body.as_slice());
        if self.compressed.capacity() > MAX_KEPT_BYTES {
            self.compressed = Vec::new();
        }
        match sent {
            Ok(response) => self.answered(response, secrets),
            Err(error) => (None, answer::failed(&self.config.url, &error, "")),
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
}

impl Sink for WebhookSink {
    fn open(&mut self) -> Result<(), SinkError> {
        let config = &self.post.config;
        Ok(self.ready.renew(|| Carried::make(config))?)
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.send(batch, false)
    }

    fn replay(&mut self, batch: &Batch) -> Outcome {
        self.send(batch, true)
    }

    fn max_events(&self) -> usize {
        if self.post.config.batches { usize::MAX } else { 1 }
    }
}
