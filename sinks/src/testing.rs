//! What the tests of this crate share: a real journal in a temporary folder, and sinks that record.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use hookring_journal::writer::{Journal, Options, SyncPolicy};
use hookring_journal::{Batch, Event, Origin, Reader, Seq, Tail};
use tempfile::TempDir;

use crate::backoff::Jitter;
use crate::jsonl::encode::REPLAY_START;
use crate::pump::{Pump, PumpHandle, Start};
use crate::replay::{Replay, ReplayFile};
use crate::sink::{Outcome, Sink, SinkError};
use crate::stats::SinkStats;

/// Longer than anything takes; only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A journal, the cursors of its sinks, and room for their files.
pub(crate) struct TestJournal {
    dir: TempDir,
    pub(crate) journal: Journal,
}

impl TestJournal {
    pub(crate) fn new() -> TestJournal {
        TestJournal::with_sync(SyncPolicy::EveryBatch)
    }

    pub(crate) fn with_sync(sync: SyncPolicy) -> TestJournal {
        TestJournal::with(Options { sync, ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> TestJournal {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (journal, _) =
            Journal::open(&dir.path().join("journal"), options, 0).expect("a new journal");
        TestJournal { dir, journal }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.journal.tail()
    }

    /// Writes events with these payloads; the number of the last one.
    pub(crate) fn write<P: AsRef<[u8]>>(&mut self, payloads: impl IntoIterator<Item = P>) -> Seq {
        let mut last = 0;
        for payload in payloads {
            last = self.journal.stage(Origin::Daemon, &event(payload.as_ref()));
        }
        self.journal.commit().expect("the journal takes the events");
        self.journal.sync_if_due(Instant::now()).expect("the journal syncs");
        last
    }

    /// Writes an event with other members beside its payload.
    pub(crate) fn write_with(
        &mut self,
        payload: &serde_json::Value,
        members: &[(&str, serde_json::Value)],
    ) -> Seq {
        let more: String = members.iter().map(|(name, it)| format!(",\"{name}\":{it}")).collect();
        let members = format!("{more},\"payload\":{payload}").into_bytes().leak();
        let last = self.journal.stage(Origin::Daemon, &Event { members, ..event(b"{}") });
        self.journal.commit().expect("the journal takes the event");
        self.journal.sync_if_due(Instant::now()).expect("the journal syncs");
        last
    }

    /// Writes `count` small events with distinct payloads.
    pub(crate) fn write_many(&mut self, count: usize) -> Seq {
        let first = self.tail().written() + 1;
        self.write((first..first + count as Seq).map(payload))
    }

    /// A batch straight from the files.
    pub(crate) fn batch(&self, from: Seq, events: usize) -> Batch {
        let mut reader = Reader::open(&self.path("journal"), from).expect("a reader");
        let batch = reader.next_batch(events, usize::MAX).expect("a readable journal");
        assert_eq!((batch.first(), batch.len()), (from, events), "the journal has the events");
        batch
    }

    /// A worker that never waits after a failure.
    pub(crate) fn pump(&self, name: &str) -> Pump {
        let mut pump = Pump::new(name, self.path("journal"), self.path("cursors"), Start::Oldest);
        pump.jitter = no_wait();
        pump
    }

    pub(crate) fn start(&self, name: &str, sink: impl Sink + 'static) -> PumpHandle {
        self.start_with(name, sink, |_| {})
    }

    /// A worker of a pump that differs from the usual one.
    pub(crate) fn start_with(
        &self,
        name: &str,
        sink: impl Sink + 'static,
        change: impl FnOnce(&mut Pump),
    ) -> PumpHandle {
        let mut pump = self.pump(name);
        change(&mut pump);
        pump.start(Box::new(sink), self.tail()).expect("a worker")
    }

    /// Writes so many events and has a sink take them, so many at once.
    pub(crate) fn deliver(&mut self, events: usize, at_once: usize, sink: &Recorder) -> PumpHandle {
        let last = self.write_many(events);
        let handle = self.start_with("s", sink.clone(), |pump| pump.batch_events = at_once);
        wait_until(&handle, |stats| stats.stored_seq == last + 1);
        handle
    }

    /// Where replays of the sink `s` are asked for.
    pub(crate) fn replay_file(&self) -> ReplayFile {
        ReplayFile::new(&self.path("cursors"), "s")
    }

    /// Waits for the end of the replay that was asked for.
    pub(crate) fn replay_ended(&self) -> Replay {
        let file = self.replay_file();
        wait_for("its end", || file.read().expect("readable").filter(|it| it.end.is_some()))
    }
}

/// The payload that `write_many` gives to an event.
pub(crate) fn payload(seq: Seq) -> String {
    format!("{{\"text\":\"event {seq}\"}}")
}

pub(crate) fn event(payload: &[u8]) -> Event<'static> {
    let members = match serde_json::from_slice::<&serde_json::value::RawValue>(payload) {
        Ok(json) => format!(",\"payload\":{json}"),
        Err(_) => {
            let text = serde_json::Value::from(String::from_utf8_lossy(payload));
            format!(",\"payload_text\":{text}")
        }
    };
    // An event borrows; those of tests are few.
    let members = members.into_bytes().leak();
    let id = rand_id();
    // A millisecond apart.
    let timestamp_ns = 1_700_000_000_000_000_000 + u128::from_be_bytes(id) as i64 * 1_000_000;
    Event { id, timestamp_ns, members }
}

/// Unlike any other in this process.
fn rand_id() -> [u8; 16] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
}

pub(crate) fn no_wait() -> Jitter {
    Box::new(|_| Duration::ZERO)
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// Waits until the stats are as wanted.
pub(crate) fn wait_until(handle: &PumpHandle, wanted: impl Fn(&SinkStats) -> bool) -> SinkStats {
    let deadline = deadline();
    loop {
        let stats = handle.stats();
        if wanted(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "the stats stay at {stats:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until there is what is looked for.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = deadline();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The numbers on the lines that are marked as replays.
pub(crate) fn replayed_seqs(lines: &[u8]) -> Vec<Seq> {
    let lines = lines.split(|byte| *byte == b'\n');
    let replayed = lines.filter(|line| line.starts_with(REPLAY_START));
    let event = |line| serde_json::from_slice::<serde_json::Value>(line).expect("JSON");
    replayed.map(|line| event(line)["seq"].as_u64().expect("a number")).collect()
}

/// The numbers on the other lines of a file or a stream.
pub(crate) fn seqs(lines: &[u8]) -> Vec<Seq> {
    assert!(lines.is_empty() || lines.ends_with(b"\n"), "half a line at the end");
    lines
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(REPLAY_START))
        .map(|line| crate::jsonl::encode::line_seq(line).expect("a line with a number"))
        .collect()
}

/// The same for a file; none if it is missing.
pub(crate) fn seqs_in(path: &Path) -> Vec<Seq> {
    std::fs::read(path).map(|lines| seqs(&lines)).unwrap_or_default()
}

/// What a sink is to do at one call, before it would accept.
pub(crate) enum Fault {
    Fail,
    Panic,
    /// Rejects the batch.
    Reject,
    /// The place is gone.
    Gone,
    /// Refuses it, as with a wrong key.
    Refuse,
    /// Asks for an hour.
    Throttle,
    /// Answers to no event.
    AnswerNone,
    /// Blocks until the test lets go.
    Block,
}

/// Remembers what it accepted, and fails as it is told to.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<(Mutex<Recorded>, Condvar)>);

#[derive(Default)]
pub(crate) struct Recorded {
    /// Every number of every call, whatever was answered.
    pub(crate) attempts: Vec<Vec<Seq>>,
    pub(crate) accepted: Vec<Seq>,
    pub(crate) flushes: usize,
    pub(crate) fail_flush: bool,
    pub(crate) fail_open: usize,
    /// By the index of the attempt.
    pub(crate) faults: HashMap<usize, Fault>,
    pub(crate) fail_always: bool,
    /// Events that are rejected with whatever they come.
    pub(crate) poison: Vec<Seq>,
    /// Every number that came by a replay, and was accepted.
    pub(crate) replayed: Vec<Seq>,
    blocked: bool,
    released: bool,
}

impl Recorder {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Recorded) -> T) -> T {
        look(&mut self.0.0.lock().expect("no panic under the lock"))
    }

    /// A recorder with these faults.
    pub(crate) fn faulty(faults: impl IntoIterator<Item = (usize, Fault)>) -> Recorder {
        let recorder = Recorder::default();
        recorder.with(|state| state.faults.extend(faults));
        recorder
    }

    pub(crate) fn accepted(&self) -> Vec<Seq> {
        self.with(|state| state.accepted.clone())
    }

    pub(crate) fn wait_until_blocked(&self) {
        let (state, changed) = &*self.0;
        let state = state.lock().expect("no panic under the lock");
        let (_state, waited) = changed
            .wait_timeout_while(state, PATIENCE, |state| !state.blocked)
            .expect("no panic under the lock");
        assert!(!waited.timed_out(), "the sink was never called");
    }

    pub(crate) fn release(&self) {
        self.with(|state| state.released = true);
        self.0.1.notify_all();
    }

    fn take(&self, batch: &Batch, to: impl FnOnce(&mut Recorded) -> &mut Vec<Seq>) -> Outcome {
        let seqs: Vec<Seq> = batch.lines().map(|line| line.seq).collect();
        let fault = self.with(|state| {
            let fault = state.faults.remove(&state.attempts.len());
            state.attempts.push(seqs.clone());
            let is_poisoned = seqs.iter().any(|seq| state.poison.contains(seq));
            match state.fail_always {
                true => Some(Fault::Fail),
                false => fault.or(is_poisoned.then_some(Fault::Reject)),
            }
        });
        match fault {
            Some(Fault::Fail) => return Outcome::failed("told to fail"),
            Some(Fault::Panic) => panic!("told to panic"),
            Some(Fault::Reject) => {
                return Outcome::Rejected { status: Some(422), error: "told to reject".into() };
            }
            Some(Fault::Gone) => return Outcome::Gone { error: "told to be gone".into() },
            Some(Fault::Refuse) => return Outcome::Refused { error: "told to refuse".into() },
            Some(Fault::Throttle) => {
                let wait = Some(Duration::from_hours(1));
                return Outcome::Throttled { wait, error: "told to throttle".into() };
            }
            Some(Fault::AnswerNone) => {
                return Outcome::Each { answers: Vec::new(), error: "told to say nothing".into() };
            }
            Some(Fault::Block) => self.block(),
            None => {}
        }
        self.with(|state| to(state).extend(seqs));
        Outcome::Accepted
    }

    fn block(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no panic under the lock");
        state.blocked = true;
        changed.notify_all();
        drop(changed.wait_timeout_while(state, PATIENCE, |state| !state.released));
    }
}

impl Sink for Recorder {
    fn open(&mut self) -> Result<(), SinkError> {
        self.with(|state| {
            if state.fail_open == 0 {
                return Ok(());
            }
            state.fail_open -= 1;
            Err("told not to open".into())
        })
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.take(batch, |state| &mut state.accepted)
    }

    fn replay(&mut self, batch: &Batch) -> Outcome {
        self.take(batch, |state| &mut state.replayed)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.with(|state| {
            state.flushes += 1;
            if std::mem::take(&mut state.fail_flush) {
                return Err("told to fail the flush".into());
            }
            Ok(())
        })
    }
}
