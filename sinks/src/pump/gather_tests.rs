//! A batch that waits for more events holds up nothing else, and what is gathered is neither lost nor sent twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookring_journal::OLDEST;
use hookring_journal::writer::{Options, SyncPolicy};

use super::*;
use crate::replay::Replay;
use crate::sink::{Outcome, SinkError};
use crate::stats::SinkState;
use crate::switch::OffBy;
use crate::testing::{PATIENCE, Recorder, TestJournal, deadline, wait_for, wait_until};

/// Events that are sent without waiting.
const FULL: usize = 3;

fn upto(last: Seq) -> Vec<Seq> {
    (1..=last).collect()
}

fn switch(journal: &TestJournal) -> Switch {
    Switch::new(&journal.path("cursors"), "s")
}

/// Full with [`FULL`] events; one that is not waits for longer than any test does.
fn pump(journal: &TestJournal) -> Pump {
    let mut pump = journal.pump("s");
    (pump.batch_events, pump.batch_age) = (FULL, PATIENCE * 10);
    pump
}

/// A worker that has delivered three events and has gathered the next two.
fn gathering(journal: &mut TestJournal, sink: impl Sink + 'static) -> PumpHandle {
    journal.write_many(FULL);
    let handle = pump(journal).start(Box::new(sink), journal.tail()).expect("a worker");
    wait_until(&handle, |stats| stats.next_seq == 4);
    journal.write_many(2);
    wait_until_read(&handle, 6);
    handle
}

/// Until the next event to read is this one.
fn wait_until_read(handle: &PumpHandle, seq: Seq) {
    wait_for("the events to be read", || (handle.shared.reach().read == seq).then_some(()));
}

#[test]
fn a_batch_waits_until_it_is_full_and_comes_whole() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let mut pump = pump(&journal);
    pump.batch_events = 10;
    let handle = pump.start(Box::new(sink.clone()), journal.tail()).expect("a worker");
    for _ in 0..25 {
        journal.write_many(1);
    }
    wait_until(&handle, |stats| stats.stored_seq == 21);
    // Until now, so that the next ones are not read yet.
    assert_eq!(handle.stats().lag_events, 5);
    assert!(handle.stop(deadline()).worker_ended);
    let attempts = sink.with(|state| state.attempts.clone());
    assert_eq!(attempts, [upto(10), Vec::from_iter(11..=20), Vec::from_iter(21..=25)]);
}

#[test]
fn a_batch_that_gathers_keeps_its_limit_of_bytes() {
    let mut journal = TestJournal::new();
    let line = journal.write_many(1) as usize;
    let line_bytes = journal.batch(1, line).bytes().len();
    let sink = Recorder::default();
    let mut pump = pump(&journal);
    // A digit more or less is no other number of events.
    (pump.batch_events, pump.batch_bytes) = (100, 4 * line_bytes + line_bytes / 2);
    let handle = pump.start(Box::new(sink.clone()), journal.tail()).expect("a worker");
    for _ in 0..9 {
        journal.write_many(1);
    }
    wait_until(&handle, |stats| stats.delivered_events == 8);
    // One that is a batch of its own.
    let last = journal.write([format!("\"{}\"", "x".repeat(6 * line_bytes))]);
    wait_until(&handle, |stats| stats.delivered_events == 11);
    let attempts = sink.with(|state| state.attempts.clone());
    assert_eq!(attempts, [upto(4), vec![5, 6, 7, 8], vec![9, 10], vec![last]]);
}

#[test]
fn a_batch_that_is_old_enough_goes_with_what_came_meanwhile() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let mut pump = pump(&journal);
    pump.batch_age = Duration::from_millis(300);
    let handle = pump.start(Box::new(sink.clone()), journal.tail()).expect("a worker");
    journal.write_many(1);
    wait_until(&handle, |stats| stats.delivered_events == 1);
    journal.write_many(2);
    wait_until(&handle, |stats| stats.stored_seq == 4);
    assert_eq!(sink.accepted(), upto(3));
}

#[test]
fn a_reset_goes_back_and_forth_with_a_batch_that_gathers() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let handle = gathering(&mut journal, sink.clone());
    switch(&journal).ask_reset(OLDEST).expect("asked");
    wait_until(&handle, |stats| stats.delivered_events == 6);
    wait_until_read(&handle, 6);
    // Past the first of the two.
    switch(&journal).ask_reset(5).expect("asked");
    wait_until(&handle, |stats| stats.next_seq == 5);
    journal.write_many(2);
    wait_until(&handle, |stats| stats.stored_seq == 8);
    assert_eq!(sink.accepted(), [1, 2, 3, 1, 2, 3, 5, 6, 7]);
    assert_eq!(handle.stats().lost.events, 0);
}

#[test]
fn a_replay_and_a_retry_go_in_between() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    sink.with(|state| state.poison = vec![2]);
    let handle = gathering(&mut journal, sink.clone());
    sink.with(|state| state.poison = Vec::new());
    let letters = DeadLetters::new(&journal.path("dead_letters"), "s", DEAD_LETTERS_BYTES);
    assert_eq!(letters.ask_retry(|_| true).expect("asked"), 1);
    wait_for("the retry", || (!letters.is_retrying()).then_some(()));
    let file = journal.replay_file();
    file.ask(&Replay { first: 1, last: 1000, ..Replay::default() }).expect("asked");
    let ended = journal.replay_ended();
    assert_eq!((ended.sent_events, ended.last), (3, 3), "the rest comes by itself");
    assert_eq!(sink.accepted(), [1, 3]);
    assert_eq!(sink.with(|state| state.replayed.clone()), [2, 1, 2, 3]);
    journal.write_many(1);
    wait_until(&handle, |stats| stats.stored_seq == 7);
    assert_eq!(sink.accepted(), [1, 3, 4, 5, 6]);
}

#[test]
fn a_pause_holds_what_is_gathered_and_a_resume_goes_on() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let handle = gathering(&mut journal, sink.clone());
    switch(&journal).off(OffBy::Person, "").expect("paused");
    let stats = wait_until(&handle, |stats| stats.state == SinkState::Off);
    assert_eq!(stats.lag_events, 2);
    journal.write_many(1);
    switch(&journal).on().expect("on");
    wait_until(&handle, |stats| stats.stored_seq == 7);
    assert_eq!(sink.accepted(), upto(6));
}

#[test]
fn the_cursor_follows_the_syncs_while_a_batch_gathers() {
    let mut journal = TestJournal::with(Options {
        sync: SyncPolicy::Interval(Duration::from_hours(1)),
        ..Options::default()
    });
    journal.journal.rotate(&[], &[]).expect("a segment");
    let sink = Recorder::default();
    let handle = gathering(&mut journal, sink.clone());
    assert_eq!(handle.stats().stored_seq, 1);
    journal.journal.sync().expect("a sync");
    let stats = wait_until(&handle, |stats| stats.stored_seq == 4);
    assert_eq!((sink.accepted(), stats.lag_events), (upto(3), 2));
}

/// Counts how often it may look after itself, and fails at one of those calls.
struct Looking(Recorder, Arc<AtomicUsize>);

impl Sink for Looking {
    fn deliver(&mut self, batch: &hookring_journal::Batch) -> Outcome {
        self.0.deliver(batch)
    }

    fn idle(&mut self) -> Result<(), SinkError> {
        match self.1.fetch_add(1, Ordering::Relaxed) % 5 {
            4 => Err("told to fail".into()),
            _ => Ok(()),
        }
    }
}

#[test]
fn the_sink_looks_after_itself_while_a_batch_gathers() {
    let mut journal = TestJournal::new();
    let (sink, looks) = (Recorder::default(), Arc::new(AtomicUsize::new(0)));
    let handle = gathering(&mut journal, Looking(sink.clone(), Arc::clone(&looks)));
    let before = looks.load(Ordering::Relaxed);
    wait_for("looks", || (looks.load(Ordering::Relaxed) > before + 6).then_some(()));
    assert_eq!(handle.stats().last_error.expect("an error").message, "told to fail");
    assert_eq!(sink.accepted(), upto(3));
    journal.write_many(1);
    wait_until(&handle, |stats| stats.delivered_events == 6);
    assert_eq!(sink.accepted(), upto(6));
}

#[test]
fn what_is_gathered_is_not_lost_where_the_journal_gives_it_up() {
    let options = || Options { cache_bytes: 0, sync: SyncPolicy::EveryBatch, ..Options::default() };
    let mut journal = TestJournal::with(options());
    let sink = Recorder::default();
    let handle = gathering(&mut journal, sink.clone());
    let limit = Some(1);
    journal.journal.rotate(&[], &[]).expect("a segment");
    journal.journal.set_options(Options { hard_limit_bytes: limit, ..options() });
    journal.journal.retain(1, std::time::SystemTime::now()).expect("a deletion");
    assert!(journal.tail().oldest() > 5, "the file is gone");
    journal.write_many(1);
    wait_until(&handle, |stats| stats.delivered_events == 6);
    assert_eq!((sink.accepted(), handle.stats().lost.events), (upto(6), 0));
}
