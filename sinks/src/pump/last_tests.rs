//! What a sink may tell at last: when it is asked, and when it is not. And what it counts.

use std::sync::Mutex;

use hookring_journal::Batch;

use super::asked_tests::switch;
use super::tests::upto;
use super::*;
use crate::sink::{Outcome, SinkError};
use crate::stats::SinkState;
use crate::switch::OffBy;
use crate::testing::{Fault, PATIENCE, Recorder, TestJournal, deadline, wait_until};

/// A last word: how long it may take, and what had been flushed before.
type Word = (Duration, usize);

/// Has a last word.
#[derive(Clone, Default)]
struct Speaker {
    recorder: Recorder,
    words: Arc<Mutex<Vec<Word>>>,
    panics: bool,
}

impl Speaker {
    fn with(recorder: Recorder) -> Speaker {
        Speaker { recorder, ..Speaker::default() }
    }

    /// A worker that waits after a failure as long as it may.
    fn start(&self, journal: &TestJournal) -> PumpHandle {
        let mut pump = journal.pump("s");
        pump.jitter = Box::new(|ceiling| ceiling);
        pump.start(Box::new(self.clone()), journal.tail()).expect("a worker")
    }

    fn words(&self) -> Vec<Word> {
        self.words.lock().expect("no panic under the lock").clone()
    }
}

impl Sink for Speaker {
    fn open(&mut self) -> Result<(), SinkError> {
        self.recorder.open()
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.recorder.deliver(batch)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.recorder.flush()
    }

    fn send_last(&mut self, limit: Duration) {
        let flushes = self.recorder.with(|state| state.flushes);
        self.words.lock().expect("no panic under the lock").push((limit, flushes));
        assert!(!self.panics, "told to panic");
    }

    fn take_warning(&mut self) -> Option<SinkError> {
        (!self.words().is_empty()).then(|| "told to warn".into())
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![("words", self.words().len() as u64)]
    }
}

#[test]
fn a_sink_has_one_last_word_behind_all_events_and_it_is_shown() {
    let mut journal = TestJournal::new();
    let speaker = Speaker::default();
    let handle = speaker.start(&journal);
    wait_until(&handle, |stats| stats.state == SinkState::Running);
    journal.write_many(3);
    let stopped = handle.stop(deadline());
    assert!(stopped.worker_ended);
    assert_eq!(speaker.recorder.accepted(), upto(3));
    let flushes = speaker.recorder.with(|state| state.flushes);
    let [(limit, flushed)] = speaker.words()[..] else { panic!("one: {:?}", speaker.words()) };
    assert!(!limit.is_zero() && limit <= PATIENCE / 2, "{limit:?}");
    assert!(flushed > 0 && flushed == flushes, "nothing comes behind it");
    assert_eq!(stopped.stats.stored_seq, 4);
    assert_eq!(stopped.stats.counts, [("words", 1)]);
    assert_eq!(stopped.stats.last_error.expect("a warning").message, "told to warn");
}

/// A metric that begins above 0 has not risen.
#[test]
fn what_a_sink_counts_is_shown_before_it_was_sent_anything() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let speaker = Speaker::with(Recorder::faulty([(0, Fault::Block)]));
    let handle = speaker.start(&journal);
    speaker.recorder.wait_until_blocked();
    assert_eq!(handle.stats().counts, [("words", 0)]);
    speaker.recorder.release();
    assert!(handle.stop(deadline()).worker_ended);
}

#[test]
fn without_time_there_is_no_last_word() {
    let journal = TestJournal::new();
    let speaker = Speaker::default();
    let handle = speaker.start(&journal);
    wait_until(&handle, |stats| stats.state == SinkState::Running);
    handle.begin_stop(Instant::now());
    wait_until(&handle, |stats| stats.state == SinkState::Stopped);
    assert_eq!(speaker.words(), []);
}

#[test]
fn who_is_off_fails_or_wants_to_be_left_alone_has_no_last_word() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let unopened = Recorder::default();
    unopened.with(|state| state.fail_open = usize::MAX);
    let failing = Recorder::default();
    failing.with(|state| state.fail_always = true);
    for (name, recorder) in [
        ("cannot be opened", unopened),
        ("fails", failing),
        ("throttles", Recorder::faulty([(0, Fault::Throttle)])),
        ("refuses", Recorder::faulty([(0, Fault::Refuse)])),
        ("is gone", Recorder::faulty([(0, Fault::Gone)])),
    ] {
        let speaker = Speaker::with(recorder);
        let handle = speaker.start(&journal);
        wait_until(&handle, |stats| stats.waiting.is_some() || stats.off.is_some());
        assert!(handle.stop(deadline()).worker_ended, "{name}");
        assert_eq!(speaker.words(), [], "{name}");
        switch(&journal).on().expect("on");
    }
    let speaker = Speaker::default();
    let handle = speaker.start(&journal);
    wait_until(&handle, |stats| stats.delivered_events == 1);
    switch(&journal).off(OffBy::Person, "").expect("paused");
    wait_until(&handle, |stats| stats.state == SinkState::Off);
    assert!(handle.stop(deadline()).worker_ended);
    assert_eq!(speaker.words(), [], "is paused");
}

#[test]
fn a_last_word_that_panics_costs_nothing() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let speaker = Speaker { panics: true, ..Speaker::default() };
    let handle = speaker.start(&journal);
    let stopped = handle.stop(deadline());
    assert!(stopped.worker_ended);
    assert_eq!((stopped.stats.stored_seq, stopped.stats.lag_events), (2, 0));
    assert!(stopped.stats.last_error.is_some_and(|it| it.message.contains("told to panic")));
}
