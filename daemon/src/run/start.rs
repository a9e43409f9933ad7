//! How a daemon begins, in the order in which it must: signals, the journal, the bus, the sinks, and then the
//! collector, which has the first event come.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use hookring_bus::drain::Drain;
use hookring_bus::{place::Places, sys};
use hookring_journal::{self as journal, Journal, Recovery, Tail};
use jiff::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::collector::Collector;
use super::figures::Figures;
use super::gaps::Gaps;
use super::oldest::Oldest;
use super::shared::Shared;
use super::sink_watch::SinkWatch;
use super::status::Status;
use super::supervisor::Supervisor;
use super::{
    Daemon, LevelHandle, bus_options, descriptors, holder, homes, journal_options, orphans,
};
use crate::config::Config;
use crate::http::Http;
use crate::paths::{Paths, ensure_private_dir};
use crate::pipeline::{self, Intake};

/// How long the journal's lock is waited for: a process that the daemon before was about to start when it was
/// killed has it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

impl Daemon {
    pub(super) fn start(
        paths: Paths,
        named: Option<PathBuf>,
        config: &Config,
        level: LevelHandle,
    ) -> Result<Self> {
        // A limit for the size of files is an error of the write, as a full disk is.
        let _ = sys::ignore_sigxfsz();
        // Else programs of sinks, and those that say a secret, could not be waited for.
        let _ = sys::default_sigchld();
        let sinks = config.sinks.iter().filter(|sink| sink.enabled).count();
        descriptors::prepare(sinks, config.http.is_some())?;
        // Signals first: one that comes during a long recovery must not be lost.
        let signals = watch_signals()?;
        for dir in [&paths.state, &paths.journal, &paths.cursors] {
            ensure_private_dir(dir)?;
        }
        // One that cannot be read says nothing, and is replaced.
        let last = Status::read(&paths.status_file).ok().flatten();
        let (journal, mut recovery) = open_journal(&paths, config)?;
        let tail = journal.tail();
        let drain = open_bus(&paths, config, &mut recovery)?;
        let shared = Arc::new(Shared::default());
        let supervisor = start_sinks(&paths, config, &tail, last.as_ref(), &shared);
        shared.needed_seq.store(supervisor.needed_seq(), Ordering::Relaxed);
        shared.set_health(config.health);
        let key = redaction_key(&paths, &recovery, &shared)?;
        let intake = Intake::new(pipeline::options(config, &paths, key)?);
        let mut status = first_status(&paths, config, last);
        let gaps = Gaps::after(&status.places);
        let collector =
            Collector::new(drain, (journal, recovery), intake, Arc::clone(&shared), gaps)?;
        // Before anything is collected: the sinks' figures are of the same moment.
        status.set_bus(&shared.bus_status());
        let sinks: Vec<_> = supervisor.stats().collect();
        status.known_sinks = supervisor.known_by(&sinks);
        status.set_sinks(sinks.into_iter());
        let collector =
            std::thread::Builder::new().name("collector".to_owned()).spawn(|| collector.run())?;
        tracing::info!(
            "hookring {} is ready, journal in {}",
            status.version,
            paths.journal.display()
        );
        let mut http = Http::new(Arc::clone(&shared.metrics));
        http.apply(config.http.as_ref());
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
            config_read: None,
            collects: true,
            written: Status::default(),
            status_error: None,
        })
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

/// The journal, also if its lock is held for a moment.
fn open_journal(paths: &Paths, config: &Config) -> Result<(Journal, journal::Recovery)> {
    let end = Instant::now() + LOCK_PATIENCE;
    loop {
        let floor = journal::highest_cursor(&paths.cursors)?;
        match Journal::open(&paths.journal, journal_options(config), floor) {
            Err(journal::OpenError::Locked { .. }) if Instant::now() < end => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(error @ journal::OpenError::Locked { .. }) => return Err(in_use(paths, error)),
            opened => return Ok(opened?),
        }
    }
}

/// Why the journal cannot be had: by name, where a daemon has it.
fn in_use(paths: &Paths, error: journal::OpenError) -> anyhow::Error {
    let Some(pid) = holder::running_daemon(paths) else { return error.into() };
    anyhow!(
        "a daemon runs already, as process {}, and has the journal in {} in use; `hookring status` shows what it \
         does, stop it before you start another",
        pid.as_raw_nonzero(),
        paths.journal.display()
    )
}

/// Ring and spool, with what the journal has of them left out.
fn open_bus(paths: &Paths, config: &Config, recovery: &mut Recovery) -> Result<Drain> {
    let hookring_dir = paths.override_dir.as_ref().map(|dir| dir.as_os_str().as_bytes());
    let places = Places::new(hookring_dir, sys::effective_uid());
    homes::warning(paths, &places).iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut drain = Drain::open(&places, bus_options(config)).context("cannot read the bus")?;
    let ends: Vec<_> = recovery.ends.iter().map(pipeline::bus_end).collect();
    drain.recover(&ends, std::mem::take(&mut recovery.ids));
    Ok(drain)
}

fn start_sinks(
    paths: &Paths,
    config: &Config,
    tail: &Arc<Tail>,
    last: Option<&Status>,
    shared: &Shared,
) -> Supervisor {
    let known = last.map(Status::known_sinks).unwrap_or_default();
    let dirs = (paths.journal.clone(), paths.cursors.clone());
    let figures = Figures::new(Arc::clone(&shared.metrics));
    let mut supervisor = Supervisor::new(dirs, Arc::clone(tail), known, figures);
    supervisor.apply(&config.sinks);
    supervisor
}

/// The key of the hashes that stand for secrets.
fn redaction_key(paths: &Paths, recovery: &Recovery, shared: &Shared) -> Result<[u8; 32]> {
    let file = &paths.redaction_key;
    let (key, is_new) = pipeline::key::load_or_make(file)?;
    pipeline::key::openness(file).iter().for_each(|warning| tracing::warn!("{warning}"));
    // Without earlier events nothing could be joined by its hashes.
    if is_new && recovery.has_events() {
        tracing::warn!(
            "{} was not there, and a new key is made: from here on a secret has another hash than before",
            file.display()
        );
        shared.has_changed_key.store(true, Ordering::Relaxed);
    }
    Ok(key)
}

fn first_status(paths: &Paths, config: &Config, last: Option<Status>) -> Status {
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started: Timestamp::now(),
        config_read: Timestamp::now(),
        config: config.file.as_ref().map(|file| file.display().to_string()),
        ..Status::default()
    };
    status.journal.path = paths.journal.display().to_string();
    let known = last.as_ref().map(|last| &last.orphaned_cursors[..]).unwrap_or_default();
    status.orphaned_cursors = orphans(config, paths, known);
    // Of what was dropped, damaged or lost before, only the last daemon knows when.
    if let Some(last) = last {
        status.places = last.places;
        status.losses = last.losses.left_at(status.started);
    }
    status
}
