//! `hookring run`: the daemon in the foreground.
//!
//! Three kinds of threads: the collector moves events from the bus into the journal, each sink has a
//! worker of its own, and the main thread waits for signals and writes the status file. Beside them one may serve
//! metrics (`crate::http`), and one reads once what was before this daemon (`health/past.rs`).

mod collector;
mod descriptors;
mod figures;
mod gaps;
mod happenings;
mod health;
pub mod holder;
mod homes;
mod memory;
mod oldest;
pub(crate) mod place_log;
mod shared;
mod sink_watch;
mod start;
pub mod status;
mod supervisor;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hookring_bus::drain;
use hookring_journal as journal;
use hookring_journal::system::{DaemonReload, Own, Reloaded};
use hookring_sinks::SinkStats;
use jiff::Timestamp;
use signal_hook::consts::SIGHUP;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::args::RunArgs;
use crate::cli::{Exit, style};
use crate::config::{Config, ConfigErrors, ConfigReport, Orphan, SyncPolicy, Warning};
use crate::http::Http;
use crate::metrics::Snapshot;
use crate::paths::{Paths, ensure_private_dir, give_back};
use crate::pipeline;
pub use collector::Watched;
use oldest::Oldest;
use shared::{Settings, Shared};
use sink_watch::SinkWatch;
use status::{SinkStatus, Status};
use supervisor::Supervisor;

/// How often the status file is brought up to date.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How long the collector may take to say where it is; it sleeps for less. Only a disk that hangs
/// keeps it for longer.
const REPORT_LIMIT: Duration = Duration::from_secs(1);

type LevelHandle = reload::Handle<LevelFilter, tracing_subscriber::Registry>;

/// Runs until SIGTERM or SIGINT.
pub fn run(args: &RunArgs) -> Exit {
    let paths = match Paths::from_process() {
        Ok(paths) => paths,
        Err(error) => return fail(&error.to_string()),
    };
    // In full: `hookring reload` reads the same file from wherever it is called.
    let full = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let named = args.config.as_ref().map(full);
    // The configuration may be in it.
    give_back(&paths.state);
    let (config, warnings) = match load(named.as_deref(), &paths) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let _ = write!(anstream::stderr(), "{errors}");
            return Exit::BadConfig;
        }
    };
    let level = start_log(config.log.level.into());
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    match Daemon::start(paths, named, &config, level) {
        Ok(daemon) => daemon.serve(),
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn fail(message: &str) -> Exit {
    let error = style::ERROR;
    let _ = writeln!(anstream::stderr(), "{error}error{error:#}: {message}");
    Exit::Failed
}

fn load(named: Option<&Path>, paths: &Paths) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    Config::load(named, paths, &|name| std::env::var(name).ok())
}

/// The daemon's own messages go to stderr, one line each.
fn start_log(level: LevelFilter) -> LevelHandle {
    let (filter, handle) = reload::Layer::new(level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(style::is_coloured(&std::io::stderr()))
        .with_target(false);
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    handle
}

struct Daemon {
    paths: Paths,
    named_config: Option<PathBuf>,
    /// Of the hashes that stand for secrets.
    key: [u8; 32],
    /// The one in force.
    config: Config,
    level: LevelHandle,
    shared: Arc<Shared>,
    collector: JoinHandle<Result<()>>,
    tail: Arc<journal::Tail>,
    supervisor: Supervisor,
    sink_watch: SinkWatch,
    http: Http,
    oldest: Oldest,
    signals: Receiver<i32>,
    status: Status,
    /// When a configuration was read that the collector may not have yet.
    config_read: Option<Timestamp>,
    /// The collector's thread was not told to end yet.
    collects: bool,
    written: Status,
    /// Why the status file cannot be written now.
    status_error: Option<String>,
}

impl Daemon {
    fn serve(mut self) -> Exit {
        // At once, so that whoever starts a daemon sees when it is there.
        self.save_status();
        let reason = loop {
            match self.signals.recv_timeout(STATUS_INTERVAL) {
                Ok(SIGHUP) => self.reload(),
                Ok(signal) => {
                    break signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
                }
                Err(RecvTimeoutError::Timeout) if self.collector.is_finished() => {
                    break "the collector ended";
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break "signals are not watched any more",
            }
            self.supervisor.start_waiting();
            self.shared.needed_seq.store(self.supervisor.needed_seq(), Ordering::Relaxed);
            self.write_status();
        };
        self.finish(reason)
    }

    /// Journals what is published, lets the sinks deliver it, and ends.
    fn finish(mut self, reason: &str) -> Exit {
        tracing::info!("stopping");
        // What is new of the sinks can be journaled yet.
        self.look_at_sinks(&self.supervisor.stats().collect::<Vec<_>>());
        self.shared.stop(reason);
        let collected =
            match std::mem::replace(&mut self.collector, std::thread::spawn(|| Ok(()))).join() {
                Ok(result) => result,
                Err(_) => Err(anyhow::anyhow!("the collector's thread panicked; this is a bug")),
            };
        self.collects = false;
        // Everything is synced: the sinks may store their cursors up to its end.
        self.tail.close();
        self.supervisor.stop();
        self.write_status();
        match collected {
            Ok(()) => {
                tracing::info!("stopped");
                Exit::Fine
            }
            Err(error) => fail(&format!("{error:#}")),
        }
    }

    /// Reads the configuration again. An invalid one changes nothing.
    fn reload(&mut self) {
        // Before it is read: `hookring reload` waits for a reading that began after its signal.
        self.config_read = Some(Timestamp::now());
        tracing::debug!("reading the configuration again");
        let env = |name: &str| std::env::var(name).ok();
        let read = self.config.reload(self.named_config.as_deref(), &self.paths, &env);
        let (config, warnings) = match read {
            Ok(loaded) => loaded,
            Err(errors) => {
                let text = errors.to_string().trim_end().to_owned();
                tracing::error!(
                    "the new configuration is wrong, the earlier one stays in force:\n{text}"
                );
                self.status.config_error = Some(ConfigReport::from(&errors));
                self.say_refused(&errors.as_cause());
                return;
            }
        };
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let pipeline = match pipeline::options(&config, &self.paths, self.key) {
            Ok(pipeline) => pipeline,
            Err(error) => {
                self.say_refused(&format!("{error:#}"));
                return tracing::error!("the earlier configuration stays in force: {error:#}");
            }
        };
        let _ = self.level.reload(LevelFilter::from(config.log.level));
        self.shared.set_settings(Settings {
            bus: bus_options(&config),
            journal: journal_options(&config),
            pipeline,
        });
        self.shared.set_health(config.health);
        self.http.apply(config.http.as_ref());
        // Before sinks begin: an order is gone then.
        let known = &self.status.orphaned_cursors;
        let followed = config.orphans(&self.paths, known).unwrap_or_default();
        self.supervisor.apply(&config.sinks);
        self.status.config = config.file.as_ref().map(|file| file.display().to_string());
        self.status.config_error = None;
        self.status.orphaned_cursors = orphans(&config, &self.paths, &followed);
        let changes = config.changes_from(&self.config);
        self.status.config_changes.clone_from(&changes);
        let said =
            if changes.is_empty() { "nothing changed".to_owned() } else { changes.join(", ") };
        tracing::info!("the configuration was read again: {said}");
        let reload = DaemonReload { result: Reloaded::InForce, error: None, changes, times: 1 };
        self.shared.happened(Own::Reload(reload));
        self.config = config;
    }

    /// Has the journal say that a new configuration was refused. An error's first line never quotes a value of
    /// the file.
    fn say_refused(&self, errors: &str) {
        let first = errors.lines().next();
        let error = first.map(str::to_owned);
        let (result, changes) = (Reloaded::Refused, Vec::new());
        self.shared.happened(Own::Reload(DaemonReload { result, error, changes, times: 1 }));
    }

    fn look_at_sinks(&mut self, sinks: &[SinkStats]) {
        let news = self.sink_watch.look(sinks, Instant::now());
        news.into_iter().for_each(|own| self.shared.happened(own));
    }

    fn write_status(&mut self) {
        // The sinks first: none is then ahead of the journal, which is looked at after them.
        let sinks: Vec<_> = self.supervisor.stats().collect();
        let (bus, is_collecting) = if self.collects {
            self.look_at_sinks(&sinks);
            self.shared.fresh_bus_status(REPORT_LIMIT)
        } else {
            (self.shared.bus_status(), false)
        };
        // A report comes behind the settings that were there before it.
        if let Some(read) = self.config_read.take_if(|_| is_collecting) {
            self.status.config_read = read;
        }
        self.status.set_bus(&bus);
        let journal = &mut self.status.journal;
        journal.oldest_at = self.oldest.at(&self.paths.journal, journal.oldest_seq);
        self.status.known_sinks = self.supervisor.known_by(&sinks);
        self.status.set_sinks(sinks.into_iter());
        if !self.status.orphaned_cursors.is_empty() {
            // Somebody may have removed them.
            let left = self.config.orphans(&self.paths, &[]).unwrap_or_default();
            let is_left = |it: &Orphan| left.iter().any(|left| left.sink == it.sink);
            self.status.orphaned_cursors.retain(is_left);
        }
        if !self.collects {
            // One that is still within a call to its sink ends with this process.
            self.status.sinks.iter_mut().for_each(SinkStatus::end);
        }
        self.status.name_sink_types(&self.config.sinks);
        self.status.http = self.http.status();
        let (status, taken) = (self.status.clone(), Instant::now());
        self.shared.metrics.set_snapshot(Snapshot { status, taken, is_collecting });
        self.save_status();
    }

    /// Writes the file, if there is anything new.
    fn save_status(&mut self) {
        self.status.updated = self.written.updated;
        if self.status == self.written && self.paths.status_file.exists() {
            return;
        }
        self.status.updated = Timestamp::now();
        match self.replace_status_file() {
            Ok(()) => {
                self.written = self.status.clone();
                self.status_error = None;
            }
            // A full disk, say. The next second tries again; said once.
            Err(error) => {
                let error = Some(format!("{error:#}"));
                if self.status_error != error {
                    error.iter().for_each(|error| tracing::error!("{error}"));
                    self.status_error = error;
                }
            }
        }
    }

    fn replace_status_file(&self) -> Result<()> {
        // Somebody may have removed it, with all that is in it.
        ensure_private_dir(&self.paths.state)?;
        let file = &self.paths.status_file;
        let written = self.status.write(file);
        written.with_context(|| format!("cannot write {}; it is tried again", file.display()))
    }
}

/// Cursors of sinks that are not configured, which the log has, too.
fn orphans(config: &Config, paths: &Paths, known: &[Orphan]) -> Vec<Orphan> {
    match config.orphans(paths, known) {
        Ok(orphans) => {
            if !orphans.is_empty() {
                let warning = Warning::Orphans { orphans: orphans.clone() };
                tracing::warn!("{warning}");
            }
            orphans
        }
        Err(error) => {
            tracing::warn!("{}", collector::describe(&error));
            Vec::new()
        }
    }
}

fn bus_options(config: &Config) -> drain::Options {
    let bus = &config.bus;
    drain::Options { lanes: bus.lanes, lane_bytes: bus.lane_bytes, spool_bytes: bus.spool_bytes }
}

fn journal_options(config: &Config) -> journal::Options {
    let wanted = &config.journal;
    journal::Options {
        segment_bytes: wanted.segment_bytes,
        sync: match wanted.sync {
            SyncPolicy::Interval(interval) => journal::SyncPolicy::Interval(interval),
            SyncPolicy::EveryBatch => journal::SyncPolicy::EveryBatch,
            SyncPolicy::Never => journal::SyncPolicy::Never,
        },
        retention_bytes: Some(wanted.retention_bytes),
        retention_age: Some(wanted.retention_age),
        hard_limit_bytes: Some(wanted.hard_limit_bytes),
        cache_bytes: wanted.cache_bytes as usize,
    }
}
