//! The pump with sinks that fail on command.

use std::time::{Duration, Instant};

use hookring_journal::writer::{Options, SyncPolicy};

use super::asked_tests::start_patient;
use super::*;
use crate::stats::SinkState;
use crate::testing::{Fault, Recorder, TestJournal, deadline, wait_until};

pub(super) fn upto(last: Seq) -> Vec<Seq> {
    (1..=last).collect()
}

#[test]
fn what_is_there_and_what_comes_is_delivered_in_order() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.delivered_events == 3);
    journal.write_many(2);
    let stats = wait_until(&handle, |stats| stats.stored_seq == 6);
    assert_eq!(sink.accepted(), upto(5));
    assert_eq!(stats.state, SinkState::Running);
    assert_eq!((stats.lag_events, stats.oldest_undelivered, stats.retries), (0, None, 0));
    assert_eq!((stats.last_error, stats.skipped_events), (None, 0));
    assert_eq!(handle.lowest_needed_seq(), 6);
}

#[test]
fn a_new_sink_may_begin_with_the_next_event() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::default();
    let handle = journal.start_with("s", sink.clone(), |pump| pump.start = Start::Now);
    journal.write_many(1);
    wait_until(&handle, |stats| stats.delivered_events == 1);
    assert_eq!(sink.accepted(), [4]);
}

#[test]
fn batches_keep_their_limits() {
    let mut journal = TestJournal::new();
    journal.write_many(10);
    let sink = Recorder::default();
    let handle = journal.start_with("s", sink.clone(), |pump| pump.batch_events = 4);
    wait_until(&handle, |stats| stats.delivered_events == 10);
    let sizes: Vec<usize> = sink.with(|state| state.attempts.iter().map(Vec::len).collect());
    assert_eq!(sizes, [4, 4, 2]);

    let sink = Recorder::default();
    let handle = journal.start_with("t", sink.clone(), |pump| pump.batch_bytes = 1);
    wait_until(&handle, |stats| stats.delivered_events == 10);
    assert!(sink.with(|state| state.attempts.iter().all(|batch| batch.len() == 1)));
}

#[test]
fn a_failure_brings_the_same_batch_again_and_is_shown() {
    let mut journal = TestJournal::new();
    journal.write_many(4);
    let sink = Recorder::faulty([(0, Fault::Fail), (1, Fault::Panic), (2, Fault::Fail)]);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.stored_seq == 5);
    sink.with(|state| assert_eq!(state.attempts, vec![upto(4); 4]));
    assert_eq!((stats.retries, stats.delivered_events), (3, 4));
    assert_eq!(stats.attempts, [("accepted", 1), ("failed", 3)].into());
    assert_eq!(stats.sent_events, 4 * upto(4).len() as u64);
    assert!(stats.batch_events > 0);
    assert_eq!(stats.last_error.expect("an error").message, "told to fail");
    assert_eq!(stats.state, SinkState::Running);
}

#[test]
fn a_sink_that_is_not_ready_gets_nothing_until_it_is() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let sink = Recorder::default();
    sink.with(|state| state.fail_open = 5);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.delivered_events == 1);
    assert_eq!(stats.retries, 5);
    assert_eq!(stats.last_error.expect("an error").message, "told not to open");
}

/// Numbers go on above every cursor: what a sink may have, no other event gets after a loss of power.
#[test]
fn a_batch_is_remembered_before_it_is_delivered() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::default();
    sink.with(|state| state.fail_always = true);
    let handle = journal.start("s", sink);
    wait_until(&handle, |stats| stats.retries > 0);
    assert_eq!(hookring_journal::highest_cursor(&journal.pump("s").cursor_dir).ok(), Some(3));
}

/// Takes one event at a time.
pub(super) struct OneByOne(pub(super) Recorder);

impl Sink for OneByOne {
    fn deliver(&mut self, batch: &hookring_journal::Batch) -> crate::Outcome {
        self.0.deliver(batch)
    }

    fn max_events(&self) -> usize {
        1
    }
}

#[test]
fn what_goes_one_by_one_is_remembered_before_it_is_delivered_and_all_that_was_read_at_once() {
    let mut journal = TestJournal::new();
    journal.write_many(10);
    let sink = Recorder::faulty([(3, Fault::Block)]);
    let handle = journal.start("s", OneByOne(sink.clone()));
    sink.wait_until_blocked();
    let cursors = journal.path("cursors");
    let cursor = Cursor::open(&cursors, "s", 1).expect("the cursor").0;
    let begun = cursor.in_flight().expect("a batch in flight");
    assert_eq!((cursor.position(), begun.first, begun.last), (1, 1, 10));
    sink.release();
    wait_until(&handle, |stats| stats.stored_seq == 11);
    assert_eq!(hookring_journal::highest_cursor(&cursors).ok(), Some(10));
    // It is not covered by what was begun before.
    sink.with(|state| state.fail_always = true);
    journal.write_many(1);
    wait_until(&handle, |stats| stats.retries > 0);
    assert_eq!(hookring_journal::highest_cursor(&cursors).ok(), Some(11));
    sink.with(|state| assert!(state.attempts.iter().all(|batch| batch.len() == 1)));
    assert_eq!(sink.accepted(), upto(10));
}

#[test]
fn while_it_fails_the_stats_say_what_waits() {
    let mut journal = TestJournal::new();
    journal.write_many(7);
    let sink = Recorder::default();
    sink.with(|state| state.fail_always = true);
    let handle = journal.start("s", sink.clone());
    let stats =
        wait_until(&handle, |stats| stats.retries > 2 && stats.state == SinkState::Retrying);
    assert_eq!((stats.lag_events, stats.oldest_undelivered), (7, Some(1)));
    assert_eq!((stats.delivered_events, handle.lowest_needed_seq()), (0, 1));
    sink.with(|state| state.fail_always = false);
    wait_until(&handle, |stats| stats.lag_events == 0);
}

#[test]
fn the_cursor_never_passes_what_the_journal_has_synced() {
    let mut journal = TestJournal::with_sync(SyncPolicy::Interval(Duration::from_hours(1)));
    journal.write_many(5);
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.delivered_events == 5);
    let synced = journal.tail().synced();
    assert!(synced < 5, "the interval is not over");
    let stopped = handle.stop(deadline());
    assert!(stopped.worker_ended);
    assert_eq!((stopped.stats.next_seq, stopped.stats.stored_seq.max(1)), (6, synced + 1));

    let again = Recorder::default();
    let handle = journal.start("s", again.clone());
    wait_until(&handle, |stats| stats.delivered_events == 5 - synced);
    journal.journal.sync().expect("a sync");
    wait_until(&handle, |stats| stats.stored_seq == 6);
    assert!(again.with(|state| state.flushes) > 0, "a flush comes before the cursor moves");
}

#[test]
fn after_a_failed_flush_everything_since_the_cursor_is_sent_again() {
    let mut journal = TestJournal::with_sync(SyncPolicy::Interval(Duration::from_hours(1)));
    journal.write_many(2);
    let sink = Recorder::default();
    sink.with(|state| state.fail_flush = true);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.delivered_events == 2);
    journal.journal.sync().expect("a sync");
    let stats = wait_until(&handle, |stats| stats.stored_seq == 3);
    assert_eq!(sink.accepted(), [1, 2, 1, 2]);
    assert_eq!(stats.last_error.expect("an error").message, "told to fail the flush");
}

#[test]
fn a_restart_goes_on_at_the_cursor() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    for round in 0..5 {
        let last = journal.write_many(round);
        let handle = journal.start("s", sink.clone());
        let stopped = handle.stop(deadline());
        assert!(stopped.worker_ended);
        assert_eq!((stopped.stats.lag_events, stopped.stats.state), (0, SinkState::Stopped));
        assert_eq!(
            sink.accepted().last().copied().unwrap_or(0),
            last.max(stopped.stats.next_seq.max(1) - 1)
        );
    }
    assert_eq!(sink.accepted(), upto(10));
}

#[test]
fn a_stop_gives_a_failing_sink_up_and_keeps_its_events() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::default();
    sink.with(|state| state.fail_always = true);
    let handle = journal.start("s", sink.clone());
    let stopped = handle.stop(deadline());
    assert!(stopped.worker_ended);
    assert_eq!((stopped.stats.lag_events, stopped.stats.ended_failing), (3, true));
    let fine = Recorder::default();
    let handle = journal.start("s", fine.clone());
    wait_until(&handle, |stats| stats.lag_events == 0);
    assert_eq!(fine.accepted(), upto(3));
}

#[test]
fn a_sink_that_hangs_is_left_behind_at_the_deadline() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let sink = Recorder::faulty([(0, Fault::Block)]);
    let handle = journal.start("s", sink.clone());
    sink.wait_until_blocked();
    let stopped = handle.stop(Instant::now());
    assert!(!stopped.worker_ended);
    assert_eq!(stopped.stats.lag_events, 1);
    sink.release();
}

#[test]
fn a_backoff_ends_when_the_stop_comes() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let sink = Recorder::faulty([(0, Fault::Fail)]);
    // Far beyond the patience of this test: only the stop can end it.
    let handle = start_patient(&journal, &sink);
    wait_until(&handle, |stats| stats.state == SinkState::Retrying);
    let stopped = handle.stop(deadline());
    assert!(stopped.worker_ended);
    assert_eq!(sink.accepted(), [1], "one last attempt is made");
}

#[test]
fn a_closed_journal_is_read_to_its_end() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    journal.tail().close();
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.stored_seq == 4);
    assert!(handle.stop(deadline()).worker_ended);
    assert_eq!(sink.accepted(), upto(3));
}

/// A journal of five events, all of them to be read from the files, with this one damaged.
fn damaged_at(seq: Seq) -> TestJournal {
    let mut journal = TestJournal::with(Options {
        cache_bytes: 0,
        sync: SyncPolicy::EveryBatch,
        ..Options::default()
    });
    journal.write_many(5);
    let segment = journal.path("journal/00000000000000000001.jsonl");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let text = format!("\"event {seq}\"");
    let at = bytes.windows(text.len()).position(|at| at == text.as_bytes()).expect("the event");
    bytes[at + 1] = b'E';
    std::fs::write(&segment, bytes).expect("a segment");
    journal
}

#[test]
fn damaged_journal_lines_are_counted_and_the_rest_is_delivered() {
    let journal = damaged_at(3);
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.stored_seq == 6);
    assert_eq!(sink.accepted(), [1, 2, 4, 5]);
    assert_eq!(stats.skipped_events, 1);
    assert_eq!(lost(&stats), (1, vec![(3, 3)]));
    assert!(handle.stop(deadline()).worker_ended);
    let handle = journal.start("s", sink);
    assert_eq!(lost(&handle.stats()), (1, vec![(3, 3)]), "it is known after a restart, too");
}

#[test]
fn a_damaged_last_line_does_not_hold_up_the_stop() {
    let mut journal = damaged_at(5);
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.delivered_events == 4);
    assert!(handle.stop(deadline()).worker_ended, "it does not wait for the deadline");
    journal.write_many(1);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.stored_seq == 7);
    assert_eq!((sink.accepted(), stats.skipped_events), (vec![1, 2, 3, 4, 6], 1));
}

#[test]
fn a_damaged_cursor_is_said_and_everything_comes_again() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::default();
    assert!(journal.start("s", sink.clone()).stop(deadline()).worker_ended);
    let cursor = journal.path("cursors/s.cursor");
    let length = std::fs::metadata(&cursor).expect("a cursor").len();
    std::fs::write(&cursor, vec![0xA5; length as usize]).expect("a cursor");
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.stored_seq == 4);
    assert_eq!(sink.accepted(), [1, 2, 3, 1, 2, 3]);
    assert!(stats.cursor_damage.expect("a note").message.starts_with("the cursor was damaged"));
}

#[test]
fn a_name_that_cannot_name_a_cursor_is_an_error_at_once() {
    let journal = TestJournal::new();
    let pump = journal.pump("../s");
    let error = pump.start(Box::new(Recorder::default()), journal.tail()).err();
    assert_eq!(error.expect("an error").to_string(), "cannot start sink `../s`");
}

#[test]
fn a_dropped_handle_ends_its_worker() {
    let journal = TestJournal::new();
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    let shared = Arc::clone(&handle.shared);
    drop(handle);
    assert!(shared.wait_for_end(deadline()));
}

/// How many events the sink lost, and which.
pub(super) fn lost(stats: &SinkStats) -> (u64, Vec<(Seq, Seq)>) {
    let gaps = stats.lost.gaps.iter().map(|lost| (lost.gap.first, lost.gap.last));
    (stats.lost.events, gaps.collect())
}

/// Writes segments of ten events, and deletes all but the last two at the hard limit.
pub(super) fn beyond_the_limit(journal: &mut TestJournal, segments: u64) {
    for _ in 0..segments {
        journal.journal.rotate(&[], &[]).expect("a segment");
        journal.write_many(10);
    }
    for _ in 0..segments - 2 {
        let limit = Some(journal.journal.stats().bytes - 1);
        journal.journal.set_options(Options { hard_limit_bytes: limit, ..uncached() });
        journal.journal.retain(1, std::time::SystemTime::now()).expect("a deletion");
    }
}

pub(super) fn uncached() -> Options {
    Options { cache_bytes: 0, sync: SyncPolicy::EveryBatch, ..Options::default() }
}

#[test]
fn what_a_sink_loses_at_the_hard_limit_is_counted_while_it_fails_and_after_a_restart() {
    let mut journal = TestJournal::with(uncached());
    let sink = Recorder::default();
    sink.with(|state| state.fail_open = usize::MAX);
    // It waits for its next attempt all the time.
    let handle = start_patient(&journal, &sink);
    beyond_the_limit(&mut journal, 5);
    let stats = wait_until(&handle, |stats| stats.lost.events == 30);
    assert_eq!((lost(&stats), stats.lag_events), ((30, vec![(1, 30)]), 20));
    assert_eq!(stats.oldest_undelivered, Some(31));
    let stats = handle.stop(deadline()).stats;
    assert_eq!((lost(&stats), stats.lag_events), ((30, vec![(1, 30)]), 20));

    let fine = Recorder::default();
    let handle = journal.start("s", fine.clone());
    let stats = wait_until(&handle, |stats| stats.lag_events == 0);
    assert_eq!((lost(&stats), stats.skipped_events), ((30, vec![(1, 30)]), 0));
    assert_eq!(fine.accepted(), Vec::from_iter(31..=50));
}

#[test]
fn what_was_lost_is_counted_once_whichever_cursor_a_kill_leaves() {
    let mut journal = TestJournal::with(uncached());
    let path = journal.path("cursors/s.cursor");
    let cursor = || std::fs::read(&path).expect("the cursor");
    let sink = Recorder::default();
    sink.with(|state| state.fail_open = usize::MAX);
    let handle = journal.start("s", sink);
    wait_until(&handle, |stats| stats.retries > 0);
    let before_the_loss = cursor();
    beyond_the_limit(&mut journal, 5);
    wait_until(&handle, |stats| stats.lost.events == 30);
    assert!(handle.stop(deadline()).worker_ended);
    let before_the_rest = cursor();
    for left in [before_the_loss, before_the_rest] {
        std::fs::write(&path, left).expect("the cursor as it was");
        let fine = Recorder::default();
        let handle = journal.start("s", fine.clone());
        let stats = wait_until(&handle, |stats| stats.delivered_events == 20);
        assert_eq!((lost(&stats), fine.accepted()), ((30, vec![(1, 30)]), Vec::from_iter(31..=50)));
        assert!(handle.stop(deadline()).worker_ended);
    }
}

#[test]
fn a_batch_in_hand_is_not_lost() {
    let mut journal = TestJournal::with(uncached());
    journal.write_many(10);
    let sink = Recorder::default();
    sink.with(|state| state.fail_always = true);
    let handle = journal.start_with("s", sink.clone(), |pump| pump.batch_events = 4);
    wait_until(&handle, |stats| stats.retries > 0);
    beyond_the_limit(&mut journal, 5);
    // Four in hand, six in a file that is deleted and still open.
    let stats = wait_until(&handle, |stats| stats.lost.events == 20);
    assert_eq!((lost(&stats), stats.lag_events), ((20, vec![(11, 30)]), 4 + 6 + 30));
    sink.with(|state| state.fail_always = false);
    let stats = wait_until(&handle, |stats| stats.lag_events == 0);
    assert_eq!((lost(&stats), stats.skipped_events), ((20, vec![(11, 30)]), 20));
    assert_eq!(sink.accepted(), Vec::from_iter((1..=10).chain(31..=60)));
}

#[test]
fn a_new_sink_is_behind_by_what_the_journal_has_and_loses_nothing() {
    let mut journal = TestJournal::with(uncached());
    beyond_the_limit(&mut journal, 5);
    let sink = Recorder::default();
    sink.with(|state| state.fail_open = usize::MAX);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.retries > 0);
    assert_eq!((stats.lag_events, lost(&stats).0), (20, 0));
    sink.with(|state| state.fail_open = 0);
    wait_until(&handle, |stats| stats.delivered_events == 20);
}

#[test]
fn a_failing_sink_keeps_what_it_took_before_and_the_batch_its_id() {
    let mut journal = TestJournal::with_sync(SyncPolicy::Interval(Duration::from_hours(1)));
    journal.journal.rotate(&[], &[]).expect("a segment");
    journal.write_many(4);
    let sink = Recorder::faulty((1..100).map(|attempt| (attempt, Fault::Fail)));
    let handle = journal.start_with("s", sink.clone(), |pump| {
        pump.batch_events = 2;
        pump.jitter = Box::new(|ceiling| ceiling);
    });
    let stats = wait_until(&handle, |stats| stats.state == SinkState::Retrying);
    assert_eq!((stats.delivered_events, stats.stored_seq), (2, 1));
    let cursors = journal.path("cursors");
    let in_flight = || {
        let cursor = Cursor::open(&cursors, "s", 1).expect("the cursor").0;
        cursor.in_flight().expect("a batch in flight")
    };
    let before = in_flight();
    journal.journal.sync().expect("a sync");
    wait_until(&handle, |stats| stats.stored_seq == 3);
    assert_eq!((in_flight(), before.first, before.last), (before, 3, 4));
}

#[test]
fn what_only_the_memory_has_is_lost_at_the_end_of_the_daemon() {
    let mut journal = TestJournal::new();
    journal.write_many(10);
    let sink = Recorder::default();
    sink.with(|state| state.fail_always = true);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.retries > 0);
    // All of it stays in the cache.
    beyond_the_limit(&mut journal, 5);
    let stats = handle.stats();
    assert_eq!((lost(&stats).0, stats.lag_events), (0, 60));
    journal.tail().close();
    let stats = handle.stop(deadline()).stats;
    assert_eq!((lost(&stats), stats.lag_events), ((30, vec![(1, 30)]), 30));
}
