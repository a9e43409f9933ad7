//! The collector: one thread that moves events from the bus into the journal.
//!
//! A batch is drained, staged, written, and only then released: a daemon that dies in between finds
//! it again on both sides.

mod own;
mod watched;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use hookring_bus::drain::Drain;
use hookring_bus::sys;
use hookring_journal::{CommitError, Gap, Journal, Recovery, SyncError};

use super::gaps::Gaps;
use super::memory::Memory;
use super::place_log::PlaceLog;
use super::shared::Shared;
use super::status::{BusStatus, Latency, Waited};
use crate::pipeline::{self, Intake, Noticed};
pub use watched::Watched;

/// How long the reader looks for new records before it sleeps: a session's hooks come in bursts.
const SPIN: Duration = Duration::from_micros(50);
/// The longest sleep. A hook that was killed between its publish and its wake, or that spooled
/// without a ring to ring, is seen after this at the latest; one that spooled and died before it counted, after
/// the next look at the places.
const SLEEP_LIMIT: Duration = Duration::from_millis(200);
/// How often places, retention and the figures are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long a full disk is left alone before the next try.
const RETRY: Duration = Duration::from_millis(200);

/// Everything that the thread owns.
pub(super) struct Collector {
    drain: Drain,
    journal: Journal,
    shared: Arc<Shared>,
    latency_ns: Histogram<u64>,
    /// What was published before this waited for a daemon.
    begin_ns: u64,
    next_housekeeping: Instant,
    /// All of that was collected once.
    has_caught_up: bool,
    /// Something was collected since the last spin.
    may_spin: bool,
    figures: Figures,
    memory: Memory,
    place_log: PlaceLog,
    gaps: Gaps,
    /// The daemon's own events among what is staged.
    own_staged: u64,
    recovery: Recovery,
    intake: Intake,
    watched: Watched,
}

/// What this thread counts itself.
#[derive(Default)]
struct Figures {
    events: u64,
    own_events: u64,
    noticed: Noticed,
    /// Why the journal takes nothing now.
    paused: Option<String>,
    pauses: u64,
    waited: Waited,
    /// Why no new segment can be begun now.
    rotation_error: Option<String>,
}

impl Collector {
    pub(super) fn new(
        drain: Drain,
        (mut journal, recovery): (Journal, Recovery),
        intake: Intake,
        shared: Arc<Shared>,
        gaps: Gaps,
    ) -> anyhow::Result<Self> {
        let mut latency_ns = Histogram::new(2)?;
        latency_ns.auto(true);
        let (next_housekeeping, figures) = (Instant::now(), Figures::default());
        let metrics = Arc::clone(&shared.metrics);
        journal.watch_syncs(move |took| {
            metrics.note_sync(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        });
        let watched = Watched::new(Arc::clone(&shared.metrics));
        let may_spin = false;
        let mut collector = Collector {
            drain,
            journal,
            shared,
            latency_ns,
            begin_ns: sys::boottime_ns(),
            has_caught_up: false,
            next_housekeeping,
            may_spin,
            figures,
            memory: Memory::default(),
            place_log: PlaceLog::default(),
            gaps,
            own_staged: 0,
            recovery,
            intake,
            watched,
        };
        collector.shared.metrics.set_rules(collector.intake.redaction_rules());
        collector.report();
        Ok(collector)
    }

    /// Works until it is told to stop and everything published is journaled and synced.
    ///
    /// # Errors
    /// The journal could not take or sync the last events; they stay in the ring and the spool.
    pub(super) fn run(mut self) -> anyhow::Result<()> {
        // A last segment that cannot be continued; what it holds of ring and spool is released.
        self.rotate_if_wanted();
        self.say_start();
        watched::read_past(&self.journal, &self.shared);
        let mut stopped_ns = None;
        loop {
            self.say_what_happened();
            if self.shared.is_stopping() {
                stopped_ns.get_or_insert_with(|| {
                    self.drain.look_into_spools();
                    sys::boottime_ns()
                });
            }
            let collected = self.collect();
            if self.is_refused() {
                // Told to stop while the journal takes nothing. The batch is not released, and so
                // stays where it is.
                break;
            }
            self.do_what_is_due();
            match stopped_ns {
                // Whoever goes on publishing must not keep a daemon alive that was told to stop.
                Some(stopped_ns) if self.drain.is_done_until(stopped_ns) => break,
                None if !collected => self.sleep(),
                _ => {}
            }
        }
        if !self.is_refused() {
            self.say_stop();
        }
        self.last_sync()?;
        self.report();
        match self.figures.paused.clone().filter(|_| self.is_refused()) {
            Some(reason) => {
                Err(anyhow::anyhow!("events are left in the ring and the spool: {reason}"))
            }
            None => Ok(()),
        }
    }

    /// Whether a batch waits that the journal does not take. What the daemon has to say of itself ends no
    /// loop: it is not owed to anybody.
    fn is_refused(&self) -> bool {
        self.figures.paused.is_some() && !self.drain.batch().is_empty()
    }

    /// What comes behind each batch, and behind each sleep.
    fn do_what_is_due(&mut self) {
        self.sync_if_due();
        if Instant::now() >= self.next_housekeeping {
            self.keep_house();
        }
        if self.shared.wants_report() {
            // `hookring reload` waits for the status, and what is published after it has the new settings.
            self.take_settings();
            self.report();
        }
    }

    fn last_sync(&mut self) -> Result<(), SyncError> {
        match self.journal.sync() {
            Err(SyncError::Removed { .. }) => {
                self.say_removed();
                self.rotate_if_wanted();
                self.journal.sync()
            }
            synced => synced,
        }
    }

    /// Moves one batch; `false`: there was none, or the journal does not take it, which `paused` says.
    fn collect(&mut self) -> bool {
        if self.drain.next_batch().is_empty() {
            // A damaged lane may be due for its reset all the same.
            self.drain.release();
            return false;
        }
        let batch = self.drain.batch();
        let mut noticed = self.figures.noticed.clone();
        self.watched.begin_batch(batch.boottime_ns(), batch.realtime_ns());
        for record in batch.records() {
            let (journal, watched) = (&mut self.journal, &mut self.watched);
            let seq = self.intake.stage_watched((batch, &record), journal, &mut noticed, watched);
            watched.numbered(seq);
        }
        if !self.write() {
            return false;
        }
        self.note_latency();
        self.figures.noticed = noticed;
        self.figures.events += self.drain.batch().len() as u64;
        self.may_spin = true;
        self.drain.release();
        self.rotate_if_wanted();
        true
    }

    /// Writes what is staged, however long the disk stays full; `false`: told to stop meanwhile.
    fn write(&mut self) -> bool {
        while let Err(error) = self.journal.commit() {
            if matches!(error, CommitError::Removed { .. }) {
                // The batch is still in the ring: it goes into the new segment, or waits there.
                self.say_removed();
                self.rotate_if_wanted();
                continue;
            }
            self.pause(&error);
            if self.shared.is_stopping() {
                return false;
            }
            // What is written already is kept from a loss of power, and sinks' cursors may pass it.
            self.sync_if_due();
            // Only what a deletion can mend may cost old events.
            if error.is_disk_full() {
                self.make_room();
            }
            self.keep_house_while_paused();
            self.report();
            thread::sleep(RETRY);
        }
        if self.figures.paused.take().is_some() {
            tracing::info!("the journal takes events again");
        }
        self.figures.own_events += std::mem::take(&mut self.own_staged);
        true
    }

    /// Nothing is lost meanwhile: the ring and the spool take what hooks publish, and no hook waits.
    fn pause(&mut self, error: &CommitError) {
        if self.figures.paused.is_none() {
            tracing::error!("{}; events wait in the ring and the spool", describe(error));
            self.figures.pauses += 1;
        }
        self.figures.paused = Some(describe(error));
    }

    /// Sooner than the limits say, if that is what it takes; never what a sink still needs.
    fn make_room(&mut self) {
        match self.journal.relieve(self.shared.needed_seq.load(Ordering::Relaxed)) {
            Ok(relieved) => relieved.deleted.iter().for_each(|deleted| {
                let Gap { first, last } = deleted.numbers;
                tracing::warn!(
                    "the disk is full: deleted events {first} to {last}, which every sink has"
                );
            }),
            Err(error) => tracing::error!("{}", describe(&error)),
        }
    }

    fn note_latency(&mut self) {
        let now_ns = sys::boottime_ns();
        for record in self.drain.batch().records() {
            let stamp_ns = record.header.stamp_ns;
            let took_ns = now_ns.saturating_sub(stamp_ns);
            if stamp_ns < self.begin_ns {
                self.figures.waited.add(took_ns);
            } else if stamp_ns <= now_ns {
                // A stamp from the future, of before a reboot, says nothing.
                let _ = self.latency_ns.record(took_ns);
                self.shared.metrics.note_journaled(took_ns);
            }
        }
    }

    fn sync_if_due(&mut self) {
        let synced = self.journal.sync_if_due(Instant::now());
        self.note_sync(synced);
    }

    fn note_sync(&mut self, synced: Result<(), SyncError>) {
        match synced {
            Err(SyncError::Removed { .. }) => self.say_removed(),
            // Said when it was; that it cannot be rotated, too.
            Err(SyncError::Sealed { .. }) | Ok(()) => {}
            Err(error) => tracing::error!("{}", describe(&error)),
        }
        self.rotate_if_wanted();
    }

    /// Everything written was released, so the lanes' ends are those of the journal's last line.
    fn rotate_if_wanted(&mut self) {
        if !self.journal.wants_rotation() {
            return;
        }
        if let Err((place, errno)) = self.drain.sync_released() {
            let error = std::io::Error::from(errno);
            tracing::error!(
                "cannot sync the spool in {place}: {error}; after a loss of power events may come twice"
            );
        }
        let ends: Vec<_> = self.drain.ends().iter().map(pipeline::lane_end).collect();
        match self.journal.rotate(&ends, &self.drain.stuck_ids()) {
            Ok(()) => self.figures.rotation_error = None,
            // Tried again and again, and said once. While the old segment takes lines, none waits.
            Err(error) => {
                let error = Some(describe(&error));
                if self.figures.rotation_error != error {
                    error.iter().for_each(|error| tracing::error!("{error}"));
                    self.figures.rotation_error = error;
                }
            }
        }
    }

    fn keep_house(&mut self) {
        self.next_housekeeping = Instant::now() + HOUSEKEEPING;
        self.take_settings();
        let replaced_before = self.drain.counts().retired_rings;
        self.drain.maintain();
        let replaced = self.drain.counts().retired_rings - replaced_before;
        if replaced > 0 {
            tracing::debug!("rings replaced: {replaced}");
        }
        if self.journal.find_removed() {
            self.say_removed();
        }
        self.rotate_if_wanted();
        self.retain();
        self.has_caught_up |= self.drain.is_done_until(self.begin_ns);
        self.watched.keep_house(&self.shared, self.has_caught_up);
        self.memory.give_back_when_quiet();
    }

    /// What does not wait for the batch that the journal does not take: new settings, which may be
    /// what helps, the limits, and the counters by which hooks know whether the spool is full.
    fn keep_house_while_paused(&mut self) {
        self.take_settings();
        if Instant::now() < self.next_housekeeping {
            return;
        }
        self.next_housekeeping = Instant::now() + HOUSEKEEPING;
        self.drain.look_after_counters();
        self.retain();
    }

    fn take_settings(&mut self) {
        if let Some(settings) = self.shared.take_settings() {
            tracing::debug!("new settings of bus, journal and pipeline are in force");
            self.drain.set_options(settings.bus);
            self.journal.set_options(settings.journal);
            self.intake.set_options(settings.pipeline);
            self.shared.metrics.set_rules(self.intake.redaction_rules());
            // Sinks that a reload ends wait for it, and the interval may be an hour.
            let synced = self.journal.sync();
            self.note_sync(synced);
        }
    }

    /// Which sink loses events by it, each sink says: what it has in hand is not lost.
    fn retain(&mut self) {
        let needed = self.shared.needed_seq.load(Ordering::Relaxed);
        if let Err(error) = self.journal.retain(needed, SystemTime::now()) {
            tracing::error!("{}", describe(&error));
        }
        self.journal.tail().forget_before(needed);
    }

    fn say_removed(&self) {
        tracing::error!(
            "files of the journal {} were removed or cut off while it was written; a new segment is begun",
            self.journal.dir().display()
        );
    }

    fn report(&mut self) {
        let places = self.drain.report();
        self.place_log.note(&places);
        self.look_for_gaps(&places);
        self.shared.set_bus_status(|| BusStatus {
            events: self.figures.events,
            own_events: self.figures.own_events,
            noticed: self.figures.noticed.clone(),
            journal_paused: self.figures.paused.clone(),
            rotation_error: self.figures.rotation_error.clone(),
            journal_pauses: self.figures.pauses,
            publish_to_journal: Latency::from(&self.latency_ns),
            waited: self.figures.waited,
            counts: self.drain.counts(),
            places,
            journal: self.journal.stats(),
            found_bad_lines: self.recovery.bad_lines,
            found_cut_bytes: self.recovery.cut_bytes,
            health: self.watched.health.figures(),
        });
    }

    fn sleep(&mut self) {
        let begin = Instant::now();
        while self.may_spin && begin.elapsed() < SPIN {
            if self.drain.has_work() {
                return;
            }
            std::hint::spin_loop();
        }
        self.may_spin = false;
        let limit =
            sleep_limit(Instant::now(), self.next_housekeeping, self.journal.next_sync_due());
        if !limit.is_zero() {
            self.drain.wait(limit);
        }
    }
}

/// How long the thread may sleep: until something is due, and never longer than is promised.
fn sleep_limit(now: Instant, housekeeping: Instant, sync_due: Option<Instant>) -> Duration {
    let due = sync_due.map_or(housekeeping, |due| due.min(housekeeping));
    due.saturating_duration_since(now).min(SLEEP_LIMIT)
}

/// An error with its causes, in one line.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
