//! The sink itself: sends what events become, and the daemon's metrics beside it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hookring_journal::Batch;

use super::answer::Signal;
use super::config::{Carried, OtlpConfig};
use super::metrics::{MetricSource, Metrics, Standing};
use super::post::{Post, Request};
use super::signals::Signals;
use crate::http::{Ready, Reloads};
use crate::sink::{Outcome, Sink, SinkError};

/// Events that are read again at the start, so that what was open is known. One takes about 3 µs, with lines
/// of 2 KB.
pub const RECALLED_EVENTS: u64 = 100_000;
/// Those before a replay, and before each dead letter that is sent again.
const RECALLED_FOR_REPLAY: u64 = 20_000;

/// Sends events as logs and traces of OTLP, and the daemon's metrics beside them.
pub struct OtlpSink {
    post: Post,
    ready: Ready<Carried>,
    signals: Signals,
    /// `None`: they are not wanted, or there are none.
    metrics: Option<Metrics>,
    /// What became of events, which says whether metrics are worth a request.
    standing: Standing,
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
        let post = Post::new(Arc::new(config), clock);
        let ready = Ready::new(reloads);
        OtlpSink { post, ready, signals, metrics: None, standing: Standing::default() }
    }

    /// Sends metrics, too, if the settings say where to.
    pub fn with_metrics(mut self, source: MetricSource) -> OtlpSink {
        self.metrics = Metrics::new(&self.post.config, source, Instant::now());
        self
    }

    fn send(&mut self, batch: &Batch, is_replay: bool) -> Outcome {
        let (ready, post) = (&mut self.ready, &mut self.post);
        let mut is_asked = false;
        let outcome = self.signals.deliver(batch, is_replay, |signal, body, items| {
            is_asked = true;
            sent(ready, post, Request { signal, body, items })
        });
        if is_asked {
            self.standing.note(&outcome);
        }
        outcome
    }

    /// Sends metrics if their interval is over. What becomes of them is shown and counted, and changes nothing else.
    fn send_metrics(&mut self) {
        if !self.standing.has_metrics() {
            return;
        }
        let Some(metrics) = self.metrics.as_mut().filter(|it| it.is_due(Instant::now())) else {
            return;
        };
        let outcome = match metrics.make((self.post.clock)()) {
            Ok((body, items)) => {
                let request = Request { signal: Signal::Metrics, body, items };
                sent(&mut self.ready, &mut self.post, request)
            }
            Err(error) => Outcome::Failed { error },
        };
        // From when it ended: what waits in between is for events.
        if let Some(error) = metrics.answered(outcome, Instant::now()) {
            self.post.warning = Some(error);
        }
    }

    /// Sends metrics a last time, with what was read before: to read secrets anew may take long.
    fn send_last_metrics(&mut self, limit: Duration) {
        if !self.standing.has_metrics() {
            return;
        }
        let may = |it: &&mut Metrics| it.may_be_last(Instant::now());
        let Some(metrics) = self.metrics.as_mut().filter(may) else { return };
        let post = &mut self.post;
        let outcome = match metrics.make((post.clock)()) {
            Ok((body, items)) => self.ready.send_once(|carried, secrets| {
                let request = Request { signal: Signal::Metrics, body, items };
                post.post(carried, secrets, request, Some(limit))
            }),
            Err(error) => Some(Outcome::Failed { error }),
        };
        let Some(outcome) = outcome else { return };
        if let Some(error) = metrics.answered(outcome, Instant::now()) {
            self.post.warning = Some(error);
        }
    }
}

fn sent(ready: &mut Ready<Carried>, post: &mut Post, request: Request<'_>) -> Outcome {
    let config = Arc::clone(&post.config);
    ready.send(
        || Carried::make(&config),
        |carried, secrets| post.post(carried, secrets, request, None),
    )
}

impl Sink for OtlpSink {
    fn open(&mut self) -> Result<(), SinkError> {
        let config = &self.post.config;
        Ok(self.ready.renew(|| Carried::make(config))?)
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

    fn send_last(&mut self, limit: Duration) {
        self.send_last_metrics(limit);
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
