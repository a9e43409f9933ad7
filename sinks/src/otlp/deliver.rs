//! The sink itself: reads its secrets, posts each signal, and reads what the receiver says.

use std::io::Read;
use std::time::{Instant, SystemTime};

use hookring_journal::Batch;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::answer::{self, MAX_ANSWER_BYTES, Signal};
use super::config::{OtlpConfig, Secrets};
use super::metrics::{MetricSource, Metrics};
use super::signals::Signals;
use crate::http::answer as http_answer;
use crate::http::{self, Reloads, SetupError, Target, client, compress};
use crate::sink::{Outcome, Sink, SinkError};

/// Events that are read again at the start, so that what was open is known. One takes about 3 µs, with lines
/// of 2 KB.
pub const RECALLED_EVENTS: u64 = 100_000;
/// Those before a replay, and before each dead letter that is sent again.
const RECALLED_FOR_REPLAY: u64 = 20_000;
/// A buffer for bodies that has grown beyond this is not kept, in bytes.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// Sends events as logs and traces of OTLP, and the daemon's metrics beside them.
pub struct OtlpSink {
    post: Post,
    signals: Signals,
    /// `None`: they are not wanted, or there are none.
    metrics: Option<Metrics>,
}

/// Everything that a request needs but its body.
struct Post {
    config: OtlpConfig,
    reloads: Reloads,
    clock: fn() -> SystemTime,
    /// `None` until opened, and after it could not be made ready again.
    ready: Option<Ready>,
    /// The last body, compressed: kept for its memory.
    compressed: Vec<u8>,
    /// Records, spans and data points that were rejected in what was taken.
    rejected: [u64; Signal::ALL.len()],
    /// What a receiver said beside taking it.
    warning: Option<SinkError>,
}

/// What requests are made with.
struct Ready {
    agent: Agent,
    secrets: Secrets,
    /// How often there were reloads before.
    reloads: u64,
}

/// A 2xx that does not say that everything is well. Its texts have no secret.
#[derive(Debug, thiserror::Error)]
enum TakenError {
    #[error("{target} took the {signal}, but for {rejected} that it rejects for good{words}")]
    Rejected { target: Target, signal: &'static str, rejected: u64, words: Words },
    #[error("{target} took the {signal} with a warning{words}")]
    Warning { target: Target, signal: &'static str, words: Words },
    #[error("cannot send to {target}: it answered {status}, but {source}")]
    Answer { target: Target, status: StatusCode, source: answer::AnswerError },
    #[error("cannot send to {target}: its answer broke off")]
    BrokenOff { target: Target },
}

/// What a receiver says, behind `: `; nothing if it says nothing.
#[derive(Debug)]
struct Words(String);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

impl OtlpSink {
    /// Touches nothing yet: [`Sink::open`] does. Secrets are read anew whenever `reloads` is raised.
    pub fn new(config: OtlpConfig, reloads: Reloads) -> OtlpSink {
        OtlpSink::with_clock(config, reloads, SystemTime::now)
    }

    /// The clock says how long a date is away.
    pub(super) fn with_clock(
        config: OtlpConfig,
        reloads: Reloads,
        clock: fn() -> SystemTime,
    ) -> OtlpSink {
        let signals = Signals::new(config.making());
        let post = Post {
            config,
            reloads,
            clock,
            ready: None,
            compressed: Vec::new(),
            rejected: [0; Signal::ALL.len()],
            warning: None,
        };
        OtlpSink { post, signals, metrics: None }
    }

    /// Sends metrics, too, if the settings say where to.
    pub fn with_metrics(mut self, source: MetricSource) -> OtlpSink {
        let config = &self.post.config;
        self.metrics = config.has_metrics().then(|| Metrics::new(config, source, Instant::now()));
        self
    }

    fn send(&mut self, batch: &Batch, is_replay: bool) -> Outcome {
        let mut ready = match self.post.take_ready() {
            Ok(ready) => ready,
            Err(error) => return Outcome::failed(error),
        };
        let post = &mut self.post;
        let outcome = self.signals.deliver(batch, is_replay, |signal, body| {
            post.with_current_secrets(&mut ready, signal, body)
        });
        self.post.ready = Some(ready);
        outcome
    }
}

impl OtlpSink {
    /// Sends metrics if their interval is over. What becomes of them is shown and counted, and changes nothing else.
    fn send_metrics(&mut self) {
        let Some(metrics) = self.metrics.as_mut().filter(|it| it.is_due(Instant::now())) else {
            return;
        };
        let post = &mut self.post;
        let outcome = match (metrics.make((post.clock)()), post.take_ready()) {
            (Ok(body), Ok(mut ready)) => {
                let outcome = post.with_current_secrets(&mut ready, Signal::Metrics, body);
                post.ready = Some(ready);
                outcome
            }
            (Err(error), _) => Outcome::Failed { error },
            (_, Err(error)) => Outcome::failed(error),
        };
        // From when it ended: what waits in between is for events.
        if let Some(error) = metrics.answered(outcome, Instant::now()) {
            post.warning = Some(error);
        }
    }
}

impl Post {
    /// Once more where the server no longer takes the secrets and there are others by now.
    fn with_current_secrets(&mut self, ready: &mut Ready, signal: Signal, body: &[u8]) -> Outcome {
        let (status, outcome) = self.post(ready, signal, body);
        let is_denied = matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
        if !is_denied || ready.secrets.texts.is_empty() {
            return outcome;
        }
        match self.make_ready() {
            Ok(new) if new.secrets.texts != ready.secrets.texts => *ready = new,
            Ok(_) => return outcome,
            Err(error) => return Outcome::Refused { error: error.into() },
        }
        self.post(ready, signal, body).1
    }

    fn post(
        &mut self,
        ready: &Ready,
        signal: Signal,
        body: &[u8],
    ) -> (Option<StatusCode>, Outcome) {
        let found = self.config.endpoints.iter().position(|it| it.signal == signal);
        // Only these signals are made.
        let Some(at) = found else { return (None, Outcome::Accepted) };
        let url = self.config.endpoints[at].url.clone();
        let is_compressed = self.config.gzip && compress(body, &mut self.compressed);
        let mut post = ready.agent.post(url.uri().clone());
        post = post.header(header::CONTENT_TYPE, self.config.encoding.content_type());
        if is_compressed {
            post = post.header(header::CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &ready.secrets.headers[at] {
            post = post.header(name, value);
        }
        let sent = post.send(if is_compressed { &self.compressed } else { body });
        if self.compressed.capacity() > MAX_KEPT_BYTES {
            self.compressed = Vec::new();
        }
        match sent {
            Ok(response) => self.answered(&url, signal, response, &ready.secrets.texts),
            Err(error) => (None, http_answer::failed(&url, &error)),
        }
    }

    fn answered(
        &mut self,
        url: &Target,
        signal: Signal,
        response: Response<Body>,
        secrets: &[Zeroizing<String>],
    ) -> (Option<StatusCode>, Outcome) {
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let limit = MAX_ANSWER_BYTES as u64 + 1;
        let read = body.as_reader().take(limit).read_to_end(&mut bytes);
        let outcome = if head.status.is_success() {
            let content_type = head.headers.get(header::CONTENT_TYPE);
            let content_type = content_type.and_then(|it| it.to_str().ok());
            match (answer::read(signal, content_type, self.config.encoding, &bytes), read) {
                (Ok(taken), Ok(_)) => {
                    let words = http::words(taken.words.as_bytes(), url.uri(), secrets);
                    self.taken(url, signal, taken.rejected, Words(words));
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
        self.rejected[signal as usize] += rejected;
        let (target, signal) = (url.clone(), signal.name());
        if rejected > 0 {
            self.warning = Some(TakenError::Rejected { target, signal, rejected, words }.into());
        } else if !words.0.is_empty() {
            self.warning = Some(TakenError::Warning { target, signal, words }.into());
        }
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
        let agent = client::agent(&self.config.connection(&[]), secrets.proxy.take())?;
        Ok(Ready { agent, secrets, reloads })
    }
}

impl Sink for OtlpSink {
    fn open(&mut self) -> Result<(), SinkError> {
        self.post.ready = Some(self.post.make_ready()?);
        Ok(())
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        let outcome = self.send(batch, false);
        if matches!(outcome, Outcome::Accepted) {
            self.send_metrics();
        }
        outcome
    }

    fn send_beside(&mut self) {
        self.send_metrics();
    }

    fn replay(&mut self, batch: &Batch) -> Outcome {
        self.send(batch, true)
    }

    fn recall_events(&self, is_replay: bool) -> u64 {
        if is_replay { RECALLED_FOR_REPLAY } else { RECALLED_EVENTS }
    }

    fn recall(
        &mut self,
        read: &mut dyn FnMut() -> Result<Option<Batch>, SinkError>,
        is_replay: bool,
    ) -> Result<(), SinkError> {
        self.signals.forget(is_replay);
        while let Some(batch) = read()? {
            self.signals.recall(&batch, is_replay);
        }
        Ok(())
    }

    fn take_warning(&mut self) -> Option<SinkError> {
        self.post.warning.take()
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let (spans, cut) = self.signals.counts();
        let [logs, traces, points] = self.post.rejected;
        let failed = self.metrics.as_ref().map_or(0, Metrics::failed);
        vec![
            ("rejected_log_records", logs),
            ("rejected_spans", traces),
            ("rejected_data_points", points),
            ("failed_metric_requests", failed),
            ("unfinished_spans", spans.unfinished),
            ("repaired_spans", spans.repaired),
            ("evicted_spans", spans.evicted),
            ("late_ends", spans.late),
            ("cut_attributes", spans.cut + cut),
        ]
    }
}
