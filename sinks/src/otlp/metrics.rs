//! The daemon's own metrics, sent beside events: when, from when on, and what becomes of an answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::answer::Signal;
use super::config::OtlpConfig;
use super::encode::{Encoding, Resources, metrics};
use super::exposition::{Family, read};
use crate::delivery::THROTTLE_CAP;
use crate::sink::{Outcome, SinkError};

pub use super::encode::metrics::Temporality;

/// A body that is kept for its memory may have this many bytes.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// Where one sink has the daemon's metrics from, and what of them it told. Whoever takes the place of a sink, with other
/// settings, gets a clone of the same one: what was told is not told again.
#[derive(Clone)]
pub struct MetricSource {
    render: Arc<dyn Fn() -> String + Send + Sync>,
    /// From when on it counts.
    start: SystemTime,
    told: Arc<Mutex<Option<Told>>>,
}

/// What was taken last, and of when it was.
#[derive(Debug)]
struct Told {
    families: Vec<Family>,
    at_ns: u64,
}

impl MetricSource {
    /// `render` makes the text of all metrics in Prometheus's text format, which count from `start` on. It is called by
    /// the sink's thread.
    pub fn new(
        render: impl Fn() -> String + Send + Sync + 'static,
        start: SystemTime,
    ) -> MetricSource {
        MetricSource { render: Arc::new(render), start, told: Arc::default() }
    }
}

impl std::fmt::Debug for MetricSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricSource").field("start", &self.start).finish_non_exhaustive()
    }
}

/// Why metrics did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("the daemon's metrics were not taken, and the next ones of this daemon make up for it")]
struct NotTaken {
    source: SinkError,
}

/// How a sink stands with its events. Where they are refused, and before any was taken if they fail, metrics would
/// be one more request that cannot help.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Standing {
    has_worked: bool,
    holds_metrics: bool,
}

impl Standing {
    /// Notes what became of a request with events.
    pub(super) fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted => *self = Standing { has_worked: true, holds_metrics: false },
            Outcome::Refused { .. } | Outcome::Gone { .. } => self.holds_metrics = true,
            // Of one that is held up for a while it is good to know how it fares.
            _ => self.holds_metrics |= !self.has_worked,
        }
    }

    /// Whether metrics may be sent: also if nothing was tried yet, since a daemon without events is worth a word.
    pub(super) fn has_metrics(self) -> bool {
        !self.holds_metrics
    }
}

/// The requests with metrics that a sink makes.
pub(super) struct Metrics {
    source: MetricSource,
    interval: Duration,
    temporality: Temporality,
    encoding: Encoding,
    resources: Resources,
    /// Nothing is sent before.
    due: Instant,
    /// The receiver wants none before, not even the last.
    not_before: Option<Instant>,
    /// What is in the last body.
    pending: Option<Told>,
    body: Vec<u8>,
    failed: u64,
}

impl Metrics {
    /// The first request is an interval after `now`. `None`: they are not wanted.
    pub(super) fn new(config: &OtlpConfig, source: MetricSource, now: Instant) -> Option<Metrics> {
        let (_, endpoint) = config.endpoint(Signal::Metrics)?;
        Some(Metrics {
            source,
            interval: config.metrics_interval,
            temporality: config.temporality,
            encoding: config.encoding_of(endpoint),
            resources: config.resources(),
            due: now + config.metrics_interval,
            not_before: None,
            pending: None,
            body: Vec::new(),
            failed: 0,
        })
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// Whether a request may be the last one, due or not.
    pub(super) fn may_be_last(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|it| now >= it)
    }

    /// So many requests failed.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Makes the body of a request with what there is `now`, and says how many points it has.
    ///
    /// # Errors
    ///
    /// If the text cannot be read, which is a bug.
    pub(super) fn make(&mut self, now: SystemTime) -> Result<(&[u8], u64), SinkError> {
        self.pending = None;
        let start_ns = unix_ns(self.source.start);
        let mut span = metrics::Span { start_ns, now_ns: unix_ns(now).max(start_ns) };
        let families = read(&(self.source.render)())?;
        let resource = self.resources.of_daemon(start_ns);
        let told = self.source.told.lock().unwrap_or_else(PoisonError::into_inner);
        let left = match (self.temporality, &*told) {
            (Temporality::Delta, Some(told)) => {
                // A clock that was set back does not end a span before it begins.
                span.now_ns = span.now_ns.max(told.at_ns);
                span.start_ns = told.at_ns;
                Some(metrics::since(&told.families, &families))
            }
            _ => None,
        };
        drop(told);
        let shown = left.as_deref().unwrap_or(&families);
        let request = metrics::request(shown, resource, self.temporality, span);
        self.encoding.write(&request, &mut self.body)?;
        self.pending = Some(Told { families, at_ns: span.now_ns });
        Ok((&self.body, metrics::points(&request)))
    }

    /// Notes what became of a request at `now`: the next one is an interval later at least, whatever it was. `Some`:
    /// why it did not arrive.
    pub(super) fn answered(&mut self, outcome: Outcome, now: Instant) -> Option<SinkError> {
        let pending = self.pending.take();
        let mut wait = self.interval;
        if self.body.capacity() > MAX_KEPT_BYTES {
            self.body = Vec::new();
        }
        let source = match outcome {
            Outcome::Accepted => {
                *self.source.told.lock().unwrap_or_else(PoisonError::into_inner) = pending;
                self.due = now + wait;
                return None;
            }
            Outcome::Throttled { wait: wanted, error } => {
                let wanted = wanted.map(|it| it.min(THROTTLE_CAP));
                self.not_before = wanted.map(|it| now + it);
                wait = wait.max(wanted.unwrap_or_default());
                error
            }
            Outcome::Failed { error }
            | Outcome::TooLarge { error, .. }
            | Outcome::Rejected { error, .. }
            | Outcome::Refused { error }
            | Outcome::Gone { error }
            | Outcome::Each { error, .. } => error,
        };
        self.due = now + wait;
        self.failed += 1;
        Some(NotTaken { source }.into())
    }
}

/// What is before 1970 is then, and what is after 2554, too late to be told.
fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
