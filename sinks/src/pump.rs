//! One worker thread per sink, and the handle by which the daemon sees and stops it.
//!
//! The worker reads the journal through a cursor of its own; the cursor is all that it remembers.

mod again;
mod attempts;
mod complaints;
mod facts;
mod gather;
mod last;
mod losses;
mod orders;
mod recall;
mod resend;
mod shared;
mod worker;

#[cfg(test)]
mod asked_tests;
#[cfg(test)]
mod begin_tests;
#[cfg(test)]
mod gather_tests;
#[cfg(test)]
mod in_hand_tests;
#[cfg(test)]
mod last_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble_tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hookring_journal::{Cursor, CursorError, CursorState, Feed, OLDEST, Seq, Tail};

use crate::backoff::{Jitter, full_jitter};
use crate::dead_letters::{DEAD_LETTERS_BYTES, DeadLetters, LetterCount};
use crate::delivery::Delivery;
use crate::filter::Filter;
use crate::replay::ReplayFile;
use crate::sink::Sink;
use crate::stats::SinkStats;
use crate::switch::Switch;
use again::Held;
use attempts::Attempts;
use facts::Facts;
use gather::Gathering;
use shared::Shared;
use worker::Worker;

/// Events in one batch at most.
pub const BATCH_EVENTS: usize = 1000;
/// Bytes of journal lines in one batch at most; a single larger event is a batch of its own.
pub const BATCH_BYTES: usize = 1 << 20;

/// Where a sink without a cursor begins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that the journal still has.
    Oldest,
    /// With the next event to be written.
    Now,
}

/// A sink's worker before it is started.
pub struct Pump {
    /// The sink's name in the config; names its cursor file, too.
    pub name: String,
    /// Where the segments are.
    pub journal_dir: PathBuf,
    /// Where the cursors are; created with mode 0700 if it is missing.
    pub cursor_dir: PathBuf,
    /// Where to begin if there is no cursor yet.
    pub start: Start,
    /// There was a cursor of this sink. If there is none now, somebody removed it: the sink then begins with the
    /// oldest event, whatever `start` says.
    pub had_cursor: bool,
    /// So many events in a row an earlier worker of this sink had rejected at its end:
    /// [`SinkStats::rejected_in_row`].
    pub rejected_in_row: u32,
    /// Events in one batch at most.
    pub batch_events: usize,
    /// Bytes in one batch at most.
    pub batch_bytes: usize,
    /// How long a batch that is not full waits for more events.
    pub batch_age: Duration,
    /// How many events the sink gets in a second at most; `None`: as many as it takes.
    pub events_per_s: Option<f64>,
    /// Where events are kept that the sink will never take.
    pub dead_letters_dir: PathBuf,
    /// How many bytes they may take.
    pub dead_letters_bytes: u64,
    /// Which events it gets; `None`: all.
    pub filter: Option<Filter>,
    /// How the waits after failures are drawn.
    pub jitter: Jitter,
}

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its cursor cannot be opened.
    #[error("cannot start sink `{sink}`")]
    Cursor {
        /// The sink's name.
        sink: String,
        /// What is wrong with the cursor.
        source: CursorError,
    },
    /// The system refused a thread.
    #[error("cannot start a thread for sink `{sink}`")]
    Thread {
        /// The sink's name.
        sink: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl Pump {
    /// A worker with the default limits, [`BATCH_EVENTS`] and [`BATCH_BYTES`], full jitter, and dead letters
    /// in `dead_letters` beside `cursor_dir`.
    pub fn new(
        name: impl Into<String>,
        journal_dir: impl Into<PathBuf>,
        cursor_dir: impl Into<PathBuf>,
        start: Start,
    ) -> Pump {
        let cursor_dir = cursor_dir.into();
        Pump {
            name: name.into(),
            journal_dir: journal_dir.into(),
            dead_letters_dir: cursor_dir.with_file_name("dead_letters"),
            cursor_dir,
            start,
            had_cursor: false,
            rejected_in_row: 0,
            batch_events: BATCH_EVENTS,
            batch_bytes: BATCH_BYTES,
            batch_age: Duration::ZERO,
            events_per_s: None,
            dead_letters_bytes: DEAD_LETTERS_BYTES,
            filter: None,
            jitter: full_jitter(),
        }
    }

    /// Opens the cursor and starts the thread. A sink of the same name must not be running: its
    /// [`Stopped::worker_ended`] says so.
    ///
    /// # Errors
    /// The cursor cannot be opened, or there is no thread to be had. What the sink itself lacks is
    /// no error here: it is tried again, and shown in the stats.
    pub fn start(self, sink: Box<dyn Sink>, tail: Arc<Tail>) -> Result<PumpHandle, StartError> {
        let from = match self.start {
            Start::Now if !self.had_cursor => tail.written() + 1,
            // A number, so that what is deleted from here on counts as lost.
            Start::Now | Start::Oldest => tail.oldest(),
        };
        let failed = |source| StartError::Cursor { sink: self.name.clone(), source };
        let (mut cursor, found) =
            Cursor::open(&self.cursor_dir, &self.name, from).map_err(failed)?;
        if cursor.position() == OLDEST {
            cursor.store(tail.oldest()).map_err(failed)?;
        }
        let shared = Arc::new(Shared::new(&self.name, cursor.position()));
        shared.update(|stats| {
            stats.lost = cursor.lost().clone();
            stats.rejected_in_row = self.rejected_in_row;
        });
        let switch = Switch::new(&self.cursor_dir, &self.name);
        // A new one that was told where to go does not begin there.
        let is_new = found == CursorState::Fresh && !self.had_cursor;
        if !is_new || !switch.wants_reset().is_ok_and(|to| to.is_some()) {
            report_cursor(found, self.had_cursor, tail.oldest(), &shared);
        }
        let dead_letters =
            DeadLetters::new(&self.dead_letters_dir, &self.name, self.dead_letters_bytes);
        let delivery = Delivery::new(self.batch_events, self.events_per_s, self.jitter);
        let worker = Worker {
            name: self.name.clone(),
            replay_file: ReplayFile::new(&self.cursor_dir, &self.name),
            again: None,
            held: Held::default(),
            off: None,
            next_look: Instant::now(),
            journal_dir: self.journal_dir.clone(),
            delivery: delivery
                .with_max_events(sink.max_events())
                .with_rejected_in_row(self.rejected_in_row),
            dead_letters,
            letters: LetterCount::default(),
            next_count: Instant::now(),
            switch,
            batch_age: self.batch_age,
            is_retry: false,
            attempts: Attempts::default(),
            next: cursor.position(),
            feed: Feed::new(self.journal_dir.clone(), Arc::clone(&tail), cursor.position()),
            cursor,
            tail: Arc::clone(&tail),
            sink,
            filter: self.filter,
            opened: false,
            recalled: false,
            batch: None,
            gathering: Gathering::default(),
            drained: false,
            batch_bytes: self.batch_bytes,
            shared: Arc::clone(&shared),
        };
        thread::Builder::new()
            .name(format!("sink-{}", self.name))
            .spawn(move || worker.run())
            .map_err(|source| StartError::Thread { sink: self.name, source })?;
        let facts = Box::new(Facts::new(self.journal_dir));
        Ok(PumpHandle { shared, tail, facts })
    }
}

/// A running worker. Dropping the handle tells it to end at once, without waiting for it.
pub struct PumpHandle {
    shared: Arc<Shared>,
    tail: Arc<Tail>,
    facts: Box<Facts>,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Stopped {
    /// False if it was still within a call to its sink when the time was over. It ends when that
    /// call returns; until then, no sink of the same name may be started.
    pub worker_ended: bool,
    /// The last stats; `lag_events` is what was left undelivered.
    pub stats: SinkStats,
}

impl PumpHandle {
    /// What the worker is doing, now.
    pub fn stats(&self) -> SinkStats {
        let mut stats = self.shared.stats(&self.tail);
        self.facts.fill(&mut stats, &self.tail);
        stats
    }

    /// The oldest number that this sink would ask for after a restart: the journal must keep it.
    pub fn lowest_needed_seq(&self) -> Seq {
        self.shared.stored_seq()
    }

    /// Tells the worker to deliver what is written by now, flush, store its cursor and end; it does
    /// not begin another batch after `deadline`, and it gives up at the first failure. Does not
    /// wait, so that several workers can be stopped at the same time.
    ///
    /// The cursor is not stored beyond what the journal has synced, which it waits for, a few seconds at most: sync
    /// it first.
    pub fn begin_stop(&self, deadline: Instant) {
        self.shared.stop(deadline, self.tail.written());
    }

    /// Whether the worker has ended, by an order to stop.
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }

    /// [`begin_stop`](Self::begin_stop), then waits for the worker, until `deadline` at most.
    pub fn stop(&self, deadline: Instant) -> Stopped {
        self.begin_stop(deadline);
        let worker_ended = self.shared.wait_for_end(deadline);
        Stopped { worker_ended, stats: self.stats() }
    }
}

impl Drop for PumpHandle {
    fn drop(&mut self) {
        self.shared.stop(Instant::now(), 0);
    }
}

fn report_cursor(found: CursorState, had_cursor: bool, oldest: Seq, shared: &Shared) {
    match found {
        CursorState::Fresh if had_cursor => shared.cursor_damage(
            "the cursor is gone; all events that the journal keeps are repeated",
        ),
        CursorState::Fresh => shared.began_anew(oldest),
        CursorState::Loaded => {}
        CursorState::OlderSlot => shared.cursor_damage(
            "the cursor was damaged; its older copy is used, some events are repeated",
        ),
        CursorState::Damaged => shared.cursor_damage(
            "the cursor was damaged; all events that the journal keeps are repeated, and the file is kept \
             as .cursor.bad",
        ),
    }
}
