//! The sinks that run, and how a new configuration changes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookring_journal::{Seq, Tail};
use hookring_sinks::{
    Compression, JsonlConfig, JsonlSink, Pump, PumpHandle, Sink, SinkStats, Start, StdoutSink,
};

use super::collector::describe;
use crate::config::{Compress, SinkConfig, SinkKind, SinkStart};

/// How long sinks may take to finish when they are stopped.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The running sinks.
pub(super) struct Supervisor {
    journal_dir: PathBuf,
    cursor_dir: PathBuf,
    tail: Arc<Tail>,
    sinks: Vec<Running>,
}

struct Running {
    config: SinkConfig,
    handle: PumpHandle,
}

impl Supervisor {
    pub(super) fn new(journal_dir: PathBuf, cursor_dir: PathBuf, tail: Arc<Tail>) -> Supervisor {
        Supervisor { journal_dir, cursor_dir, tail, sinks: Vec::new() }
    }

    /// Stops the sinks that are gone or changed, and starts those that are new or changed. A sink
    /// that stays as it is does not notice. A changed sink goes on from its cursor.
    pub(super) fn apply(&mut self, wanted: &[SinkConfig]) {
        let wanted: Vec<_> = wanted.iter().filter(|sink| sink.enabled).collect();
        let (stay, go): (Vec<_>, Vec<_>) =
            self.sinks.drain(..).partition(|running| wanted.contains(&&running.config));
        let busy = stop(go);
        self.sinks = stay;
        for config in wanted {
            let runs = self.sinks.iter().any(|running| running.config.name == config.name);
            if runs {
                continue;
            }
            if busy.contains(&config.name) {
                tracing::error!(
                    "sink {} is still busy with its last batch; send SIGHUP again to start it",
                    config.name
                );
                continue;
            }
            self.start(config);
        }
    }

    fn start(&mut self, config: &SinkConfig) {
        let sink: Box<dyn Sink> = match &config.kind {
            SinkKind::Jsonl(jsonl) => Box::new(JsonlSink::new(JsonlConfig {
                path: jsonl.path.clone(),
                rotate_bytes: Some(jsonl.rotate_bytes),
                rotate_age: jsonl.rotate_age,
                compression: compression(jsonl.compress),
            })),
            SinkKind::Stdout => match StdoutSink::new() {
                Ok(sink) => Box::new(sink),
                Err(error) => return tracing::error!("sink {}: {}", config.name, describe(&error)),
            },
        };
        let start = match config.start {
            SinkStart::Oldest => Start::Oldest,
            SinkStart::Now => Start::Now,
        };
        let mut pump = Pump::new(&config.name, &self.journal_dir, &self.cursor_dir, start);
        (pump.batch_events, pump.batch_bytes) = (config.batch_events, config.batch_bytes);
        match pump.start(sink, Arc::clone(&self.tail)) {
            Ok(handle) => self.sinks.push(Running { config: config.clone(), handle }),
            Err(error) => tracing::error!("{}", describe(&error)),
        }
    }

    /// The lowest number that some sink still needs.
    pub(super) fn needed_seq(&self) -> Seq {
        self.sinks
            .iter()
            .map(|running| running.handle.lowest_needed_seq())
            .min()
            .unwrap_or(Seq::MAX)
    }

    pub(super) fn stats(&self) -> impl Iterator<Item = SinkStats> {
        self.sinks.iter().map(|running| running.handle.stats())
    }

    /// Lets every sink deliver what is written, and ends them.
    pub(super) fn stop(&mut self) {
        stop(self.sinks.drain(..).collect());
    }
}

/// Stops sinks at the same time. Names of those that were still busy when the time was over.
fn stop(sinks: Vec<Running>) -> Vec<String> {
    let deadline = Instant::now() + STOP_LIMIT;
    sinks.iter().for_each(|running| running.handle.begin_stop(deadline));
    let mut busy = Vec::new();
    for Running { config, handle } in sinks {
        let stopped = handle.stop(deadline);
        let left = stopped.stats.lag_events;
        if left > 0 {
            tracing::warn!(
                "sink {} stopped with {left} events to go; it goes on from there",
                config.name
            );
        }
        if !stopped.worker_ended {
            busy.push(config.name);
        }
    }
    busy
}

fn compression(compress: Compress) -> Compression {
    match compress {
        Compress::None => Compression::None,
        Compress::Gzip => Compression::Gzip,
        Compress::Zstd => Compression::Zstd,
    }
}
