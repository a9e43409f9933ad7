//! What every sink has to hold to, run against each: a new sink adds one line to [`kinds`].

mod network;

use std::fs;
use std::io::{self, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use hookring_faults::{FaultServer, Reply};
use hookring_journal::{Batch, Seq};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use self::network::{LONG, Networked, networked};
use crate::exec::ExecSink;
use crate::exec::program::Program;
use crate::jsonl::{JsonlConfig, JsonlSink};
use crate::pump::PumpHandle;
use crate::replay::{Replay, ReplayFile};
use crate::sink::{Outcome, Sink, SinkError};
use crate::stats::SinkState;
use crate::stdout::StdoutSink;
use crate::testing::{Recorder, TestJournal, deadline, replayed_seqs, seqs, wait_until};

/// One place to deliver to, as the suite sees it.
trait Kind {
    fn name(&self) -> &'static str;
    /// A new sink on the same place: what a restart of the daemon makes.
    fn sink(&mut self) -> Box<dyn Sink>;
    /// Every number that arrived, in the order of arrival.
    fn arrived(&self) -> Vec<Seq>;
    /// Every number that arrived marked as a replay, which is then not among the others; `None`: nothing is
    /// marked.
    fn replayed(&self) -> Option<Vec<Seq>> {
        None
    }
    /// Takes the place away, and brings it back with what it held.
    fn set_reachable(&mut self, reachable: bool);
}

fn kinds(folder: &Path) -> Vec<Box<dyn Kind>> {
    let mut kinds: Vec<Box<dyn Kind>> = vec![
        Box::new(Jsonl { path: folder.join("files/events.jsonl") }),
        Box::new(Stdout { out: SharedOut::default() }),
        Box::new(Exec { program: Program::new(folder.join("program")) }),
    ];
    for kind in networked() {
        kinds.push(Box::new(Far { kind, server: FaultServer::start() }));
    }
    kinds
}

fn for_each_kind(check: impl Fn(TestJournal, &mut dyn Kind)) {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in &mut kinds(folder.path()) {
        eprintln!("sink: {}", kind.name());
        check(TestJournal::new(), &mut **kind);
    }
}

fn start(journal: &TestJournal, kind: &mut dyn Kind) -> PumpHandle {
    journal.pump(kind.name()).start(kind.sink(), journal.tail()).expect("a worker")
}

fn upto(last: Seq) -> Vec<Seq> {
    (1..=last).collect()
}

#[test]
fn everything_arrives_in_order() {
    for_each_kind(|mut journal, kind| {
        journal.write_many(2500);
        let handle = start(&journal, kind);
        for _ in 0..20 {
            journal.write_many(7);
        }
        wait_until(&handle, |stats| stats.lag_events == 0);
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(kind.arrived(), upto(2640));
    });
}

#[test]
fn restarts_lose_nothing_and_repeat_nothing_after_a_clean_stop() {
    for_each_kind(|mut journal, kind| {
        for count in [1, 50, 0, 1200, 3] {
            journal.write_many(count);
            let stopped = start(&journal, kind).stop(deadline());
            assert!(stopped.worker_ended && stopped.stats.lag_events == 0, "{stopped:?}");
        }
        assert_eq!(kind.arrived(), upto(1254));
    });
}

#[test]
fn a_cursor_that_lags_costs_no_event() {
    for_each_kind(|mut journal, kind| {
        journal.write_many(40);
        assert!(start(&journal, kind).stop(deadline()).worker_ended);
        fs::remove_file(journal.path(&format!("cursors/{}.cursor", kind.name())))
            .expect("a cursor");
        journal.write_many(2);
        assert!(start(&journal, kind).stop(deadline()).worker_ended);
        let mut arrived = kind.arrived();
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(arrived, upto(42));
    });
}

#[test]
fn an_outage_is_waited_for_with_the_same_batch_while_the_siblings_go_on() {
    for_each_kind(|mut journal, kind| {
        journal.write_many(3);
        let handle = start(&journal, kind);
        wait_until(&handle, |stats| stats.stored_seq == 4);
        kind.set_reachable(false);
        let sibling = Recorder::default();
        let sibling_handle = journal.start("sibling", sibling.clone());
        journal.write_many(5);
        let stats = wait_until(&handle, |stats| stats.retries > 2);
        assert_eq!((stats.oldest_undelivered, handle.lowest_needed_seq()), (Some(4), 4));
        assert!(stats.last_error.is_some_and(|error| error.message.contains("cannot ")));
        wait_until(&sibling_handle, |stats| stats.lag_events == 0);
        assert_eq!(sibling.accepted(), upto(8));
        kind.set_reachable(true);
        let stats = wait_until(&handle, |stats| stats.lag_events == 0);
        assert_eq!(stats.state, SinkState::Running);
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(kind.arrived(), upto(8));
    });
}

#[test]
fn a_panic_is_a_failure_of_that_sink_alone() {
    for_each_kind(|mut journal, kind| {
        journal.write_many(10);
        let mut pump = journal.pump(kind.name());
        pump.batch_events = 3;
        let sink = Panicking { inner: kind.sink(), calls: 0 };
        let handle = pump.start(Box::new(sink), journal.tail()).expect("a worker");
        let sibling = Recorder::default();
        let sibling_handle = journal.start("sibling", sibling.clone());
        let stats = wait_until(&handle, |stats| stats.lag_events == 0);
        assert!(stats.retries >= 4);
        let error = stats.last_error.expect("the panic is shown").message;
        assert_eq!(error, "the sink panicked: as a test wants it");
        wait_until(&sibling_handle, |stats| stats.lag_events == 0);
        assert!(handle.stop(deadline()).worker_ended);
        assert_eq!(kind.arrived(), upto(10));
    });
}

/// It comes behind what arrived, marked where the format can say so, and neither it nor what comes later is
/// taken for something else, whoever dies.
#[test]
fn a_replay_arrives_once_more_and_confuses_no_restart() {
    for_each_kind(|mut journal, kind| {
        journal.write_many(40);
        let handle = start(&journal, kind);
        wait_until(&handle, |stats| stats.stored_seq == 41);
        let file = ReplayFile::new(&journal.path("cursors"), kind.name());
        file.ask(&Replay { first: 11, last: 30, ..Replay::default() }).expect("asked");
        wait_until(&handle, |_| file.read().expect("readable").is_some_and(|it| it.end.is_some()));
        journal.write_many(3);
        assert!(handle.stop(deadline()).worker_ended);
        // Killed before it could say so: the cursor lags.
        fs::remove_file(journal.path(&format!("cursors/{}.cursor", kind.name())))
            .expect("a cursor");
        assert!(start(&journal, kind).stop(deadline()).worker_ended);
        journal.write_many(2);
        assert!(start(&journal, kind).stop(deadline()).worker_ended);
        let mut arrived = kind.arrived();
        arrived.sort_unstable();
        arrived.dedup();
        assert_eq!(arrived, upto(45));
        if let Some(replayed) = kind.replayed() {
            assert_eq!(replayed, Vec::from_iter(11..=30));
        }
    });
}

/// Panics before every other batch.
struct Panicking {
    inner: Box<dyn Sink>,
    calls: usize,
}

impl Sink for Panicking {
    fn open(&mut self) -> Result<(), SinkError> {
        self.inner.open()
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.calls += 1;
        assert!(self.calls.is_multiple_of(2), "as a test wants it");
        self.inner.deliver(batch)
    }

    fn idle(&mut self) -> Result<(), SinkError> {
        self.inner.idle()
    }

    fn max_events(&self) -> usize {
        self.inner.max_events()
    }

    fn fits(&self, batch: &Batch) -> usize {
        self.inner.fits(batch)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.inner.flush()
    }
}

struct Jsonl {
    path: PathBuf,
}

impl Kind for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(JsonlSink::new(JsonlConfig::new(&self.path)))
    }

    fn arrived(&self) -> Vec<Seq> {
        seqs(&fs::read(&self.path).expect("the file"))
    }

    fn replayed(&self) -> Option<Vec<Seq>> {
        Some(replayed_seqs(&fs::read(&self.path).expect("the file")))
    }

    /// A folder in the file's place keeps it from being opened.
    fn set_reachable(&mut self, reachable: bool) {
        let aside = self.path.with_extension("aside");
        if !reachable {
            fs::create_dir(&aside).expect("a folder for the way");
        }
        // In one step: a sink that finds neither would make a file of its own in between.
        renameat_with(CWD, &aside, CWD, &self.path, RenameFlags::EXCHANGE).expect("the exchange");
        if reachable {
            fs::remove_dir(&aside).expect("the folder that was in the way");
        }
    }
}

/// A program that keeps what it gets in a file.
struct Exec {
    program: Program,
}

impl Kind for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(ExecSink::new(self.name(), self.program.config()))
    }

    fn arrived(&self) -> Vec<Seq> {
        self.program.taken()
    }

    /// It ends at once, and cannot be started.
    fn set_reachable(&mut self, reachable: bool) {
        self.program.set_working(reachable);
    }
}

struct Stdout {
    out: SharedOut,
}

impl Kind for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(StdoutSink::on(self.out.clone()))
    }

    fn arrived(&self) -> Vec<Seq> {
        seqs(&self.out.lock().lines)
    }

    fn replayed(&self) -> Option<Vec<Seq>> {
        Some(replayed_seqs(&self.out.lock().lines))
    }

    fn set_reachable(&mut self, reachable: bool) {
        self.out.lock().broken = (!reachable).then(|| {
            let (_reader, writer) = io::pipe().expect("a pipe");
            writer
        });
    }
}

/// In place of the process's own output: memory, or a pipe whose reader has gone.
#[derive(Clone, Default)]
struct SharedOut(Arc<Mutex<Out>>);

#[derive(Default)]
struct Out {
    lines: Vec<u8>,
    broken: Option<PipeWriter>,
}

impl SharedOut {
    fn lock(&self) -> MutexGuard<'_, Out> {
        self.0.lock().expect("no panic under the lock")
    }
}

impl Write for SharedOut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = self.lock();
        match &mut out.broken {
            Some(pipe) => pipe.write(bytes),
            None => out.lines.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Across a network.
struct Far {
    kind: Networked,
    server: FaultServer,
}

impl Kind for Far {
    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn sink(&mut self) -> Box<dyn Sink> {
        (self.kind.sink)(&self.server, LONG)
    }

    fn arrived(&self) -> Vec<Seq> {
        self.server.taken().iter().flat_map(self.kind.seqs).collect()
    }

    fn set_reachable(&mut self, reachable: bool) {
        self.server.set(if reachable { Reply::ok() } else { Reply::close() });
    }
}
