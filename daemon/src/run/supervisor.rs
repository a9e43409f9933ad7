//! The sinks that run, and how a new configuration changes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hookring_journal::{OLDEST, Seq, Tail};
use hookring_sinks::webhook::Reloads;
use hookring_sinks::{
    BreakerState, Compression, ExecSink, Filter, JsonlConfig, JsonlSink, LastError, OtlpSink, Pump,
    PumpHandle, Sink, SinkState, SinkStats, Start, StdoutSink, Switch, WaitCause, WebhookSink,
};

use super::collector::describe;
use super::figures::Figures;
use super::status::KnownSink;
use crate::config::{Compress, SinkConfig, SinkKind, SinkStart};

/// How long sinks may take to finish when they are stopped.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The configured sinks.
pub(super) struct Supervisor {
    journal_dir: PathBuf,
    cursor_dir: PathBuf,
    tail: Arc<Tail>,
    sinks: Vec<Entry>,
    /// Stopped workers within a call to their sink, by name. Until it ends, no other may begin.
    ending: Vec<(String, PumpHandle)>,
    /// Configured sinks that have had a cursor, of earlier daemons, and disabled ones, too.
    known: BTreeMap<String, KnownSink>,
    /// Has the sinks read their secrets anew.
    reloads: Reloads,
    /// What sinks send beside events.
    figures: Figures,
}

struct Entry {
    config: SinkConfig,
    worker: Worker,
    /// What workers before this one counted, with other settings.
    earlier: Option<Box<SinkStats>>,
}

enum Worker {
    Running(PumpHandle),
    /// It could not be started yet; the next look tries again.
    Waiting(Option<LastError>),
}

impl Supervisor {
    /// `known`: the sinks of which an earlier daemon had a cursor.
    pub(super) fn new(
        (journal_dir, cursor_dir): (PathBuf, PathBuf),
        tail: Arc<Tail>,
        known: BTreeMap<String, KnownSink>,
        figures: Figures,
    ) -> Supervisor {
        let (sinks, ending, reloads) = (Vec::new(), Vec::new(), Reloads::default());
        Supervisor { journal_dir, cursor_dir, tail, sinks, ending, known, reloads, figures }
    }

    /// Stops the sinks that are gone or changed, and starts those that are new or changed. A sink
    /// that stays as it is does not notice, but for its secrets, and that it is tried at once if it was refused. A
    /// changed sink goes on from its cursor, and counts on.
    pub(super) fn apply(&mut self, wanted: &[SinkConfig]) {
        self.reloads.raise();
        // Who comes back later is new: its cursor may have been removed as one of nobody.
        self.known.retain(|name, _| wanted.iter().any(|sink| sink.name == *name));
        let wanted: Vec<_> = wanted.iter().filter(|sink| sink.enabled).collect();
        let (stay, go): (Vec<_>, Vec<_>) =
            self.sinks.drain(..).partition(|entry| wanted.contains(&&entry.config));
        go.iter().for_each(|entry| tracing::debug!("stopping sink {}", entry.config.name));
        let goes_on = |name: &str| wanted.iter().any(|sink| sink.name == name);
        stop(&go, goes_on);
        let counted: Vec<_> = go.iter().map(|entry| self.stats_of(entry)).collect();
        self.known = self.known_by(&counted);
        self.ending.extend(go.into_iter().filter_map(Entry::into_busy));
        stay.iter().for_each(|entry| self.try_refused(entry));
        self.sinks = stay;
        for config in wanted {
            if !self.sinks.iter().any(|entry| entry.config.name == config.name) {
                let earlier = counted.iter().find(|stats| stats.name == config.name);
                let earlier = earlier.cloned().map(Box::new);
                let worker = Worker::Waiting(None);
                self.sinks.push(Entry { config: config.clone(), worker, earlier });
            }
        }
        self.start_waiting();
    }

    /// Whoever reloads may have set right what only a person can: a secret, a certificate.
    fn try_refused(&self, entry: &Entry) {
        let waiting = entry.handle().and_then(|handle| handle.stats().waiting);
        if waiting.is_none_or(|waiting| waiting.cause != WaitCause::Refused) {
            return;
        }
        let name = &entry.config.name;
        match Switch::new(&self.cursor_dir, name).ask_try_now() {
            Ok(()) => tracing::info!("sink {name} was refused, and is tried now"),
            Err(error) => tracing::error!("sink {name}: {}", describe(&error)),
        }
    }

    /// Starts what could not be started before, as far as that is possible now.
    pub(super) fn start_waiting(&mut self) {
        self.ending.retain(|(_, handle)| !handle.has_ended());
        let mut sinks = std::mem::take(&mut self.sinks);
        for Entry { config, worker, .. } in &mut sinks {
            let Worker::Waiting(said) = worker else { continue };
            match self.start(config) {
                Ok(handle) => {
                    let next = handle.stats().next_seq;
                    tracing::debug!("sink {} begins with event {next}", config.name);
                    if let Some(where_to) = where_to(&config.kind) {
                        tracing::info!("sink {} {where_to}", config.name);
                    }
                    self.known.entry(config.name.clone()).or_default();
                    *worker = Worker::Running(handle);
                }
                // Tried each second, said once.
                Err(message) if said.as_ref().is_some_and(|said| said.message == message) => {}
                Err(message) => {
                    tracing::error!("{message}; it is tried again");
                    *said = Some(LastError { message, at: SystemTime::now() });
                }
            }
        }
        self.sinks = sinks;
    }

    fn start(&mut self, config: &SinkConfig) -> Result<PumpHandle, String> {
        let name = &config.name;
        if self.ending.iter().any(|(ending, _)| ending == name) {
            return Err(format!("sink {name} is still busy with its last batch"));
        }
        let sink = sink(name, &config.kind, &self.reloads, &mut self.figures)?;
        let start = match config.start {
            SinkStart::Oldest => Start::Oldest,
            SinkStart::Now => Start::Now,
        };
        let mut pump = Pump::new(name, &self.journal_dir, &self.cursor_dir, start);
        let known = self.known.get(name);
        pump.had_cursor = known.is_some();
        pump.rejected_in_row = known.map_or(0, |known| known.rejected_in_row);
        (pump.batch_events, pump.batch_bytes) = (config.batch_events, config.batch_bytes);
        (pump.batch_age, pump.events_per_s) = (config.batch_age, config.events_per_s);
        pump.dead_letters_bytes = config.dead_letter_bytes;
        let filter = Filter::new(&config.filter);
        pump.filter = filter.map_err(|error| format!("sink {name}: {}", describe(&error)))?;
        pump.start(sink, Arc::clone(&self.tail)).map_err(|error| describe(&error))
    }

    /// The lowest number that some sink still needs. Where a sink that has not started is, nobody
    /// knows: it may need everything.
    pub(super) fn needed_seq(&self) -> Seq {
        let needed = self.sinks.iter().map(|entry| match &entry.worker {
            Worker::Running(handle) => handle.lowest_needed_seq(),
            Worker::Waiting(_) => OLDEST,
        });
        let ending = self.ending.iter().map(|(_, handle)| handle.lowest_needed_seq());
        needed.chain(ending).min().unwrap_or(Seq::MAX)
    }

    pub(super) fn stats(&self) -> impl Iterator<Item = SinkStats> {
        self.sinks.iter().map(|entry| self.stats_of(entry))
    }

    fn stats_of(&self, entry: &Entry) -> SinkStats {
        entry.stats(&self.tail, self.known.get(&entry.config.name))
    }

    /// What a daemon after this one is to know, if this is how the sinks stand: also of those that are disabled.
    pub(super) fn known_by(&self, stats: &[SinkStats]) -> BTreeMap<String, KnownSink> {
        let mut known = self.known.clone();
        for SinkStats { name, rejected_in_row, .. } in stats {
            if let Some(known) = known.get_mut(name) {
                known.rejected_in_row = *rejected_in_row;
            }
        }
        known
    }

    /// Lets every sink deliver what is written, and ends them. Their stats stay. What programs run for sinks that
    /// do not end are killed, since this process ends now.
    pub(super) fn stop(&self) {
        stop(&self.sinks, |_| false);
        hookring_sinks::kill_all();
    }
}

impl Entry {
    fn stats(&self, tail: &Tail, known: Option<&KnownSink>) -> SinkStats {
        let mut stats = match &self.worker {
            Worker::Running(handle) => handle.stats(),
            Worker::Waiting(said) => {
                let stats = SinkStats::not_started(&self.config.name, said.clone(), tail);
                let rejected_in_row = known.map_or(0, |known| known.rejected_in_row);
                SinkStats { had_cursor: known.is_some(), rejected_in_row, ..stats }
            }
        };
        self.earlier.iter().for_each(|earlier| stats.count_on(earlier));
        stats
    }

    fn handle(&self) -> Option<&PumpHandle> {
        match &self.worker {
            Worker::Running(handle) => Some(handle),
            Worker::Waiting(_) => None,
        }
    }

    /// A worker that did not end in time.
    fn into_busy(self) -> Option<(String, PumpHandle)> {
        match self.worker {
            Worker::Running(handle) if !handle.has_ended() => Some((self.config.name, handle)),
            _ => None,
        }
    }
}

/// Where events leave this computer to, or may: paths and queries, which can be secret, are not in it.
fn where_to(kind: &SinkKind) -> Option<String> {
    match kind {
        SinkKind::Webhook(webhook) => Some(format!("posts to {}", webhook.url)),
        SinkKind::Otlp(otlp) => Some(format!("sends {}", otlp.destinations())),
        SinkKind::Jsonl(_) | SinkKind::Exec(_) | SinkKind::Stdout => None,
    }
}

/// What delivers to the place that is configured.
fn sink(
    name: &str,
    kind: &SinkKind,
    reloads: &Reloads,
    figures: &mut Figures,
) -> Result<Box<dyn Sink>, String> {
    Ok(match kind {
        SinkKind::Jsonl(jsonl) => Box::new(JsonlSink::new(JsonlConfig {
            path: jsonl.path.clone(),
            rotate_bytes: Some(jsonl.rotate_bytes),
            rotate_age: jsonl.rotate_age,
            compression: compression(jsonl.compress),
        })),
        SinkKind::Exec(exec) => Box::new(ExecSink::new(name, exec.clone())),
        SinkKind::Stdout => {
            let sink = StdoutSink::new();
            Box::new(sink.map_err(|error| format!("sink {name}: {}", describe(&error)))?)
        }
        SinkKind::Webhook(webhook) => {
            Box::new(WebhookSink::new(webhook.as_ref().clone(), reloads.clone()))
        }
        SinkKind::Otlp(otlp) => {
            let sink = OtlpSink::new(otlp.as_ref().clone(), reloads.clone());
            Box::new(sink.with_metrics(figures.of(name)))
        }
    })
}

/// Stops sinks at the same time. `goes_on`: another worker of this name begins at once where it ends.
fn stop(sinks: &[Entry], goes_on: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + STOP_LIMIT;
    for handle in sinks.iter().filter_map(Entry::handle) {
        let before = handle.stats();
        handle.begin_stop(deadline);
        let is_waited_for =
            before.waiting.is_some_and(|waiting| waiting.cause != WaitCause::Failed);
        let SinkStats { name, lag_events, state, last_error, breaker, .. } = before;
        if lag_events == 0 {
            continue;
        }
        let (events, seconds) = (count(lag_events), STOP_LIMIT.as_secs());
        if state == SinkState::Off || breaker == BreakerState::Open || is_waited_for {
            // Nothing is sent to it now.
            continue;
        }
        match last_error.filter(|_| state == SinkState::Retrying) {
            Some(LastError { message, .. }) => tracing::info!(
                "sink {name} fails ({message}): it gets one more try, and no more, with the {events} \
                 that it has to go"
            ),
            None => tracing::info!("sink {name} has {events} to go and gets {seconds} s for that"),
        }
    }
    for handle in sinks.iter().filter_map(Entry::handle) {
        let SinkStats { name, lag_events, .. } = handle.stop(deadline).stats;
        if lag_events == 0 {
            continue;
        }
        let events = count(lag_events);
        if goes_on(&name) {
            tracing::info!(
                "sink {name} changes with {events} to go, which the journal keeps; with its new settings it goes on \
                 from there"
            );
        } else {
            tracing::warn!(
                "sink {name} stopped with {events} to go, which the journal keeps; it goes on from there once it runs \
                 again"
            );
        }
    }
}

fn count(events: u64) -> String {
    format!("{events} event{}", if events == 1 { "" } else { "s" })
}

fn compression(compress: Compress) -> Compression {
    match compress {
        Compress::None => Compression::None,
        Compress::Gzip => Compression::Gzip,
        Compress::Zstd => Compression::Zstd,
    }
}
