//! `hookring run`: the daemon in the foreground.
//!
//! Three kinds of threads: the collector moves events from the bus into the journal, each sink has a
//! worker of its own, and the main thread waits for signals and writes the status file.

mod collector;
mod descriptors;
mod gaps;
mod happenings;
mod health;
mod homes;
mod memory;
mod oldest;
pub(crate) mod place_log;
mod shared;
mod sink_watch;
pub mod status;
mod supervisor;

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hookring_bus::drain::{self, Drain};
use hookring_bus::{place::Places, sys};
use hookring_journal::system::{DaemonReload, Own, Reloaded};
use hookring_journal::{self as journal, Journal};
use hookring_sinks::SinkStats;
use jiff::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::args::RunArgs;
use crate::cli::{Exit, style};
use crate::config::{Config, ConfigErrors, ConfigReport, SyncPolicy, Warning};
use crate::http::Http;
use crate::metrics::Snapshot;
use crate::paths::{Paths, ensure_private_dir, give_back};
use crate::pipeline::{self, Intake};
use collector::Collector;
pub use collector::Watched;
use gaps::Gaps;
use oldest::Oldest;
use shared::{Settings, Shared};
use sink_watch::SinkWatch;
use status::{OrphanStatus, SinkStatus, Status};
use supervisor::Supervisor;

/// How often the status file is brought up to date.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How long the journal's lock is waited for: a process that the daemon before was about to start when it was
/// killed has it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

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
    /// The collector's thread was not told to end yet.
    collects: bool,
    written: Status,
    /// Why the status file cannot be written now.
    status_error: Option<String>,
}

impl Daemon {
    fn start(
        paths: Paths,
        named: Option<PathBuf>,
        config: &Config,
        level: LevelHandle,
    ) -> Result<Self> {
        // A limit for the size of files is an error of the write, as a full disk is.
        let _ = sys::ignore_sigxfsz();
        let sinks = config.sinks.iter().filter(|sink| sink.enabled).count();
        descriptors::prepare(sinks, config.http.is_some())?;
        // Signals first: one that comes during a long recovery must not be lost.
        let signals = watch_signals()?;
        for dir in [&paths.state, &paths.journal, &paths.cursors] {
            ensure_private_dir(dir)?;
        }
        let (journal, mut recovery) = open_journal(&paths, config)?;
        let tail = journal.tail();
        let hookring_dir = paths.override_dir.as_ref().map(|dir| dir.as_os_str().as_bytes());
        let places = Places::new(hookring_dir, sys::effective_uid());
        homes::warning(&paths, &places).iter().for_each(|warning| tracing::warn!("{warning}"));
        let mut drain = Drain::open(&places, bus_options(config)).context("cannot read the bus")?;
        let ends: Vec<_> = recovery.ends.iter().map(pipeline::bus_end).collect();
        drain.recover(&ends, std::mem::take(&mut recovery.ids));
        let mut supervisor =
            Supervisor::new(paths.journal.clone(), paths.cursors.clone(), Arc::clone(&tail));
        supervisor.apply(&config.sinks);
        let shared = Arc::new(Shared::default());
        shared.needed_seq.store(supervisor.needed_seq(), Ordering::Relaxed);
        let (key, is_new_key) = pipeline::key::load_or_make(&paths.redaction_key)?;
        pipeline::key::openness(&paths.redaction_key)
            .iter()
            .for_each(|warning| tracing::warn!("{warning}"));
        // Without earlier events nothing could be joined by its hashes.
        if is_new_key && recovery.has_events() {
            let path = paths.redaction_key.display();
            tracing::warn!(
                "{path} was not there, and a new key is made: from here on a secret has another hash than before"
            );
            shared.has_changed_key.store(true, Ordering::Relaxed);
        }
        shared.set_health(config.health);
        let intake = Intake::new(pipeline::options(config, &paths, key)?);
        let mut status = first_status(&paths, config);
        status.orphaned_cursors = orphans(config, &paths);
        let gaps = Gaps::after(&status.places);
        let collector =
            Collector::new(drain, (journal, recovery), intake, Arc::clone(&shared), gaps)?;
        // Before anything is collected: the sinks' figures are of the same moment.
        status.set_bus(&shared.bus_status());
        status.set_sinks(supervisor.stats());
        let collector =
            std::thread::Builder::new().name("collector".to_owned()).spawn(|| collector.run())?;
        tracing::info!(
            "hookring {} is ready, journal in {}",
            status.version,
            paths.journal.display()
        );
        let mut http = Http::new(Arc::clone(&shared.metrics));
        http.apply(config.http.as_ref());
        let written = Status::default();
        Ok(Daemon {
            paths,
            named_config: named,
            key,
            config: config.clone(),
            level,
            shared,
            collector,
            tail,
            supervisor,
            sink_watch: SinkWatch::default(),
            http,
            oldest: Oldest::default(),
            signals,
            status,
            collects: true,
            written,
            status_error: None,
        })
    }

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
        self.status.config_read = Timestamp::now();
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
                self.say_refused(&text);
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
        self.supervisor.apply(&config.sinks);
        self.status.config = config.file.as_ref().map(|file| file.display().to_string());
        self.status.config_error = None;
        self.status.orphaned_cursors = orphans(&config, &self.paths);
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
        let error = first.map(|line| line.strip_prefix("error: ").unwrap_or(line).to_owned());
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
        self.status.set_bus(&bus);
        let journal = &mut self.status.journal;
        journal.oldest_at = self.oldest.at(&self.paths.journal, journal.oldest_seq);
        self.status.set_sinks(sinks.into_iter());
        if !self.status.orphaned_cursors.is_empty() {
            // Somebody may have removed them.
            let left = self.config.orphaned_cursors(&self.paths).unwrap_or_default();
            let is_left = |it: &OrphanStatus| left.iter().any(|(sink, _)| *sink == it.sink);
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

/// The journal, also if its lock is held for a moment.
fn open_journal(paths: &Paths, config: &Config) -> Result<(Journal, journal::Recovery)> {
    let end = Instant::now() + LOCK_PATIENCE;
    loop {
        let floor = journal::highest_cursor(&paths.cursors)?;
        match Journal::open(&paths.journal, journal_options(config), floor) {
            Err(journal::OpenError::Locked { .. }) if Instant::now() < end => {
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return Ok(opened?),
        }
    }
}

/// Hands signals to the main thread's queue.
fn watch_signals() -> Result<Receiver<i32>> {
    let mut signals =
        Signals::new([SIGTERM, SIGINT, SIGHUP]).context("cannot watch for signals")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

fn first_status(paths: &Paths, config: &Config) -> Status {
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: Timestamp::now(),
        config_read: Timestamp::now(),
        config: config.file.as_ref().map(|file| file.display().to_string()),
        ..Status::default()
    };
    status.journal.path = paths.journal.display().to_string();
    // Of what was dropped, damaged or lost before, only the last daemon knows when. One that cannot be read
    // says nothing, and is replaced.
    if let Ok(Some(last)) = Status::read(&paths.status_file) {
        status.places = last.places;
        status.losses = last.losses.left_at(status.started);
    }
    status
}

/// Cursors of sinks that are not configured, which the log has, too.
fn orphans(config: &Config, paths: &Paths) -> Vec<OrphanStatus> {
    match config.orphaned_cursors(paths) {
        Ok(orphans) => {
            config.orphan_warnings(paths).iter().for_each(|warning| tracing::warn!("{warning}"));
            let orphan = |(sink, next_seq)| OrphanStatus { sink, next_seq };
            orphans.into_iter().map(orphan).collect()
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
