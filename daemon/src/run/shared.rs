//! What the collector's thread and the main thread share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use hookring_journal::system::Own;

use super::happenings::{Happening, Happenings};
use super::health::Past;
use super::status::BusStatus;
use crate::config::HealthConfig;
use crate::metrics::Metrics;

/// What a reload changes for the collector.
pub(super) struct Settings {
    pub(super) bus: hookring_bus::drain::Options,
    pub(super) journal: hookring_journal::Options,
    pub(super) pipeline: hookring_pipeline::Options,
}

/// Plain process-local state; nothing here is touched per event.
#[derive(Default)]
pub(super) struct Shared {
    stopping: AtomicBool,
    /// Why.
    stop_reason: Mutex<String>,
    /// Something waits in `happenings`.
    has_happened: AtomicBool,
    happenings: Mutex<Happenings>,
    /// What is counted as it happens, and the last status.
    pub(super) metrics: Arc<Metrics>,
    /// The lowest number that some sink still needs.
    pub(super) needed_seq: AtomicU64,
    /// The key for the hashes of secrets is another one than earlier events were made with.
    pub(super) has_changed_key: AtomicBool,
    settings: Mutex<Option<Settings>>,
    health: Mutex<HealthConfig>,
    /// What the journal tells of the time before this daemon, once that is read.
    past: Mutex<Option<Past>>,
    /// The main thread waits for a report that is made from now on.
    report_wanted: AtomicBool,
    report: Mutex<Report>,
    reported: Condvar,
}

/// The collector's figures, and how many reports were made because one was wanted.
#[derive(Default)]
struct Report {
    bus: BusStatus,
    answers: u64,
}

impl Shared {
    /// Tells the collector to finish, and why.
    pub(super) fn stop(&self, reason: &str) {
        reason.clone_into(&mut lock(&self.stop_reason));
        self.stopping.store(true, Ordering::Release);
    }

    /// Why it is to finish; empty: nobody said so.
    pub(super) fn stop_reason(&self) -> String {
        lock(&self.stop_reason).clone()
    }

    /// Has the collector journal this with its next round.
    pub(super) fn happened(&self, own: Own) {
        lock(&self.happenings).add(own);
        self.has_happened.store(true, Ordering::Release);
    }

    /// What happened since this was last asked.
    pub(super) fn take_happenings(&self) -> Vec<Happening> {
        if !self.has_happened.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.has_happened.store(false, Ordering::Relaxed);
        lock(&self.happenings).take()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn set_settings(&self, settings: Settings) {
        *lock(&self.settings) = Some(settings);
    }

    pub(super) fn take_settings(&self) -> Option<Settings> {
        lock(&self.settings).take()
    }

    pub(super) fn set_health(&self, config: HealthConfig) {
        *lock(&self.health) = config;
    }

    pub(super) fn health(&self) -> HealthConfig {
        *lock(&self.health)
    }

    pub(super) fn set_past(&self, past: Past) {
        *lock(&self.past) = Some(past);
    }

    pub(super) fn take_past(&self) -> Option<Past> {
        lock(&self.past).take()
    }

    /// Whether a report is waited for. Settings that were set before somebody wanted it are there to be taken.
    pub(super) fn wants_report(&self) -> bool {
        // SYNC POINT: with the release in `fresh_bus_status`.
        self.report_wanted.load(Ordering::Acquire)
    }

    /// Hands over figures that are collected from now on.
    pub(super) fn set_bus_status(&self, collect: impl FnOnce() -> BusStatus) {
        let wanted = self.report_wanted.swap(false, Ordering::AcqRel);
        let bus = collect();
        let mut report = lock(&self.report);
        report.bus = bus;
        report.answers += u64::from(wanted);
        self.reported.notify_all();
    }

    pub(super) fn bus_status(&self) -> BusStatus {
        lock(&self.report).bus.clone()
    }

    /// Figures of a moment after this call, if the collector gives them within `limit`, else its last; and whether
    /// it did.
    pub(super) fn fresh_bus_status(&self, limit: Duration) -> (BusStatus, bool) {
        let report = lock(&self.report);
        let before = report.answers;
        // SYNC POINT: with the acquire in `wants_report`.
        self.report_wanted.store(true, Ordering::Release);
        let waited =
            self.reported.wait_timeout_while(report, limit, |report| report.answers == before);
        let report = waited.unwrap_or_else(PoisonError::into_inner).0;
        (report.bus.clone(), report.answers != before)
    }
}

/// A panic elsewhere leaves these values whole: no code that holds a lock can leave one half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
