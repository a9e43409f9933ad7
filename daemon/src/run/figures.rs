//! The daemon's metrics as sinks have them that send them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use hookring_sinks::otlp::MetricSource;

use crate::metrics::Metrics;

/// One source for each sink, which remembers what that told.
pub(super) struct Figures {
    metrics: Arc<Metrics>,
    start: SystemTime,
    /// Of each name that there was since the daemon's start: one that comes back goes on.
    of_sinks: BTreeMap<String, MetricSource>,
}

impl Figures {
    /// Of a daemon that begins now.
    pub(super) fn new(metrics: Arc<Metrics>) -> Figures {
        Figures { metrics, start: SystemTime::now(), of_sinks: BTreeMap::new() }
    }

    /// The same one for each worker of a sink, whatever its settings are.
    pub(super) fn of(&mut self, sink: &str) -> MetricSource {
        let source = self.of_sinks.entry(sink.to_owned()).or_insert_with(|| {
            let metrics = Arc::clone(&self.metrics);
            MetricSource::new(move || metrics.render(), self.start)
        });
        source.clone()
    }
}
