//! What the collector's thread and the main thread share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::status::BusStatus;

/// What a reload changes for the collector.
pub(super) struct Settings {
    pub(super) bus: hookring_bus::drain::Options,
    pub(super) journal: hookring_journal::Options,
}

/// Plain process-local state; nothing here is touched per event.
#[derive(Default)]
pub(super) struct Shared {
    stopping: AtomicBool,
    /// The lowest number that some sink still needs.
    pub(super) needed_seq: AtomicU64,
    settings: Mutex<Option<Settings>>,
    bus_status: Mutex<BusStatus>,
}

impl Shared {
    /// Tells the collector to finish.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
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

    pub(super) fn set_bus_status(&self, status: BusStatus) {
        *lock(&self.bus_status) = status;
    }

    pub(super) fn bus_status(&self) -> BusStatus {
        lock(&self.bus_status).clone()
    }
}

/// A panic elsewhere leaves these values whole: each is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
