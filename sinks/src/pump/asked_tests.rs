//! What a person may ask of a sink while its worker runs, and what becomes of dead letters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use hookring_journal::OLDEST;

use super::*;
use crate::delivery::{BreakerState, WaitCause};
use crate::replay::{Replay, ReplayEnd};
use crate::sink::{Outcome, SinkError};
use crate::stats::SinkState;
use crate::switch::OffBy;
use crate::testing::{Fault, PATIENCE, Recorder, TestJournal, deadline, wait_for, wait_until};

fn upto(last: Seq) -> Vec<Seq> {
    (1..=last).collect()
}

pub(super) fn switch(journal: &TestJournal) -> Switch {
    Switch::new(&journal.path("cursors"), "s")
}

pub(super) fn letters(journal: &TestJournal) -> DeadLetters {
    DeadLetters::new(&journal.path("dead_letters"), "s", DEAD_LETTERS_BYTES)
}

/// A worker that waits as long as it may after a failure.
pub(super) fn start_patient(journal: &TestJournal, sink: &Recorder) -> PumpHandle {
    journal.start_with("s", sink.clone(), |pump| pump.jitter = Box::new(|ceiling| ceiling))
}

/// Asks for a replay and waits for its end.
fn replayed(journal: &TestJournal, replay: Replay) -> Replay {
    journal.replay_file().ask(&replay).expect("asked");
    journal.replay_ended()
}

#[test]
fn a_paused_sink_gets_nothing_across_a_restart_and_then_everything() {
    let mut journal = TestJournal::new();
    journal.write_many(2);
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.stored_seq == 3);
    switch(&journal).off(OffBy::Person, "we move").expect("paused");
    let stats = wait_until(&handle, |stats| stats.state == SinkState::Off);
    assert_eq!(stats.off.expect("off").reason, "we move");
    journal.write_many(3);
    let stats = handle.stop(deadline()).stats;
    assert_eq!((stats.lag_events, stats.next_seq), (3, 3));
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.state == SinkState::Off);
    assert_eq!((stats.lag_events, handle.lowest_needed_seq()), (3, 3));
    assert_eq!(sink.accepted(), upto(2));
    assert!(switch(&journal).on().expect("on"));
    let stats = wait_until(&handle, |stats| stats.stored_seq == 6);
    assert_eq!((stats.state, stats.off), (SinkState::Running, None));
    assert_eq!(sink.accepted(), upto(5));
}

#[test]
fn an_idle_sink_that_is_switched_on_again_says_so_without_an_event() {
    let journal = TestJournal::new();
    let handle = journal.start("s", Recorder::default());
    wait_until(&handle, |stats| stats.state == SinkState::Running);
    switch(&journal).off(OffBy::Person, "").expect("paused");
    wait_until(&handle, |stats| stats.state == SinkState::Off);
    switch(&journal).on().expect("on");
    wait_until(&handle, |stats| stats.state == SinkState::Running);
}

/// Counts how often it may look after itself, and may send something that is no event, of which it then speaks.
struct Telling(Arc<[AtomicUsize; 2]>);

impl Sink for Telling {
    fn deliver(&mut self, _: &hookring_journal::Batch) -> Outcome {
        Outcome::Accepted
    }

    fn idle(&mut self) -> Result<(), SinkError> {
        self.0[0].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn send_beside(&mut self) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }

    fn take_warning(&mut self) -> Option<SinkError> {
        Some("told to warn".into())
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![("told", self.0[1].load(Ordering::Relaxed) as u64)]
    }
}

#[test]
fn what_is_sent_beside_events_is_shown_without_one_and_stops_while_the_sink_is_off() {
    let journal = TestJournal::new();
    let calls = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let count = |at: usize| calls[at].load(Ordering::Relaxed);
    let handle = journal.start("s", Telling(Arc::clone(&calls)));
    let stats = wait_until(&handle, |stats| stats.counts.first().is_some_and(|it| it.1 > 0));
    assert_eq!((stats.state, stats.counts[0].0), (SinkState::Running, "told"));
    assert_eq!(stats.last_error.expect("a warning").message, "told to warn");
    switch(&journal).off(OffBy::Person, "").expect("paused");
    wait_until(&handle, |stats| stats.state == SinkState::Off);
    let (looks, told) = (count(0), count(1));
    wait_for("looks", || (count(0) > looks + 2).then_some(()));
    assert_eq!(count(1), told);
    switch(&journal).on().expect("on");
    wait_for("more", || (count(1) > told).then_some(()));
}

/// Refuses what it gets, and speaks of something else.
struct Grumbling;

impl Sink for Grumbling {
    fn deliver(&mut self, _: &hookring_journal::Batch) -> Outcome {
        Outcome::Refused { error: "told to refuse".into() }
    }

    fn take_warning(&mut self) -> Option<SinkError> {
        Some("told to warn".into())
    }
}

#[test]
fn why_a_sink_fails_is_shown_whatever_else_it_says() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let patient = |pump: &mut Pump| pump.jitter = Box::new(|ceiling| ceiling);
    let handle = journal.start_with("s", Grumbling, patient);
    for _ in 0..2 {
        let stats = wait_until(&handle, |stats| {
            stats.waiting.is_some()
                && stats.last_error.as_ref().is_some_and(|it| it.message.contains("warn"))
        });
        let shown = stats.last_error.expect("an error").message;
        assert_eq!(shown, "told to refuse; beside that, told to warn");
        switch(&journal).ask_try_now().expect("asked");
        wait_until(&handle, |now| now.retries > stats.retries);
    }
}

#[test]
fn a_place_that_is_gone_switches_the_sink_off_until_a_person_switches_it_on() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::faulty([(0, Fault::Gone)]);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.state == SinkState::Off);
    let off = stats.off.expect("off");
    assert_eq!((off.by, &*off.reason), (OffBy::Place, "told to be gone"));
    assert!(handle.stop(deadline()).worker_ended);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.off.is_some());
    assert!(sink.accepted().is_empty());
    assert!(switch(&journal).on().expect("on"));
    wait_until(&handle, |stats| stats.stored_seq == 4);
    assert_eq!(sink.accepted(), upto(3));
}

#[test]
fn a_sink_that_waits_for_a_person_is_tried_when_told_so() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::faulty([(0, Fault::Refuse)]);
    let handle = start_patient(&journal, &sink);
    let stats = wait_until(&handle, |stats| stats.waiting.is_some());
    let waiting = stats.waiting.expect("it waits");
    assert_eq!((stats.breaker, waiting.cause), (BreakerState::Open, WaitCause::Refused));
    assert!(waiting.until > SystemTime::now());
    assert!(stats.oldest_at.is_some_and(|at| at < SystemTime::now()));
    switch(&journal).ask_try_now().expect("asked");
    let stats = wait_until(&handle, |stats| stats.stored_seq == 4);
    assert_eq!((stats.breaker, stats.waiting), (BreakerState::Closed, None));
}

#[test]
fn a_sink_that_asks_for_time_has_not_failed() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::faulty([(0, Fault::Throttle)]);
    let handle = start_patient(&journal, &sink);
    let stats = wait_until(&handle, |stats| stats.waiting.is_some());
    assert_eq!((stats.state, stats.last_error), (SinkState::Running, None));
    assert_eq!(stats.waiting.map(|waiting| waiting.cause), Some(WaitCause::Throttled));
    switch(&journal).ask_try_now().expect("asked");
    let stats = wait_until(&handle, |stats| stats.stored_seq == 4);
    assert_eq!((stats.retries, stats.waiting), (1, None));
}

#[test]
fn after_a_dead_letter_a_sink_works_though_it_has_nothing_to_send() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let sink = Recorder::default();
    sink.with(|state| state.poison = vec![1]);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.dead_letters == 1 && stats.stored_seq == 2);
    assert_eq!(stats.state, SinkState::Running);
    assert_eq!(stats.last_error.expect("kept").message, "told to reject");
    assert!(!handle.stop(deadline()).stats.ended_failing);
}

#[test]
fn a_stop_does_not_wait_for_an_open_breaker() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::faulty([(0, Fault::Refuse)]);
    let handle = start_patient(&journal, &sink);
    wait_until(&handle, |stats| stats.waiting.is_some());
    let stopped = handle.stop(deadline());
    assert!(stopped.worker_ended);
    assert_eq!((stopped.stats.lag_events, sink.accepted()), (3, vec![]));
}

#[test]
fn a_cursor_goes_where_it_is_told_whether_the_sink_works_or_not() {
    let mut journal = TestJournal::new();
    journal.write_many(5);
    let sink = Recorder::default();
    let handle = start_patient(&journal, &sink);
    wait_until(&handle, |stats| stats.stored_seq == 6);
    switch(&journal).ask_reset(4).expect("asked");
    wait_for("the repeat", || (sink.accepted() == [1, 2, 3, 4, 5, 4, 5]).then_some(()));
    switch(&journal).ask_reset(OLDEST).expect("asked");
    wait_for("the repeat", || (sink.accepted().len() == 12).then_some(()));
    // Past events that it does not take; a number beyond the end is the end.
    sink.with(|state| state.fail_always = true);
    journal.write_many(3);
    wait_until(&handle, |stats| stats.waiting.is_some());
    switch(&journal).ask_reset(1000).expect("asked");
    let stats = wait_until(&handle, |stats| stats.stored_seq == 9);
    assert_eq!((stats.lag_events, stats.lost.events), (0, 0));
    sink.with(|state| state.fail_always = false);
    assert!(handle.stop(deadline()).worker_ended);
    journal.write_many(1);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.stored_seq == 10);
    assert_eq!(sink.accepted().last(), Some(&9));
}

#[test]
fn a_reset_that_nobody_saw_is_done_by_the_next_worker() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::default();
    assert!(journal.start("s", sink.clone()).stop(deadline()).worker_ended);
    switch(&journal).ask_reset(2).expect("asked");
    let handle = journal.start("s", sink.clone());
    wait_for("the repeat", || (sink.accepted() == [1, 2, 3, 2, 3]).then_some(()));
    assert_eq!(switch(&journal).wants_reset().expect("readable"), None);
    assert!(handle.stop(deadline()).worker_ended);
}

#[test]
fn answers_to_no_event_are_a_failure_with_a_wait() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let sink = Recorder::faulty([(0, Fault::AnswerNone)]);
    let handle = start_patient(&journal, &sink);
    let stats = wait_until(&handle, |stats| stats.state == SinkState::Retrying);
    assert_eq!(stats.last_error.expect("an error").message, "told to say nothing");
    wait_until(&handle, |stats| stats.delivered_events == 3);
    assert_eq!(sink.with(|state| state.attempts.len()), 2);
}

#[test]
fn dead_letters_that_cannot_be_kept_hold_the_cursor_and_nothing_is_lost() {
    let mut journal = TestJournal::new();
    journal.write_many(5);
    // A file where the folder should be.
    std::fs::write(journal.path("dead_letters"), "").expect("a file");
    let sink = Recorder::default();
    sink.with(|state| state.poison = vec![3]);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.retries > 20);
    assert_eq!((stats.next_seq, stats.dead_letters), (3, 0));
    let error = stats.last_error.expect("an error").message;
    assert!(error.starts_with("cannot keep dead letters in "), "{error}");
    std::fs::remove_file(journal.path("dead_letters")).expect("room");
    let stats = wait_until(&handle, |stats| stats.lag_events == 0);
    assert_eq!((stats.dead_letters, stats.kept_dead_letters), (1, 1));
    assert_eq!(sink.accepted(), [1, 2, 4, 5]);
}

#[test]
fn a_cursor_that_cannot_be_stored_is_tried_again_with_waits_and_loses_nothing() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let handle = start_patient(&journal, &sink);
    wait_until(&handle, |stats| stats.state == SinkState::Running);
    let (cursors, aside) = (journal.path("cursors"), journal.path("aside"));
    // Its file loses its name, and there is no folder for another.
    std::fs::rename(&cursors, &aside).expect("renamed");
    std::fs::remove_file(aside.join("s.cursor")).expect("removed");
    std::fs::write(&cursors, "").expect("a file in the way");
    journal.write_many(2);
    let stats = wait_until(&handle, |stats| stats.waiting.is_some());
    assert_eq!(stats.state, SinkState::Retrying);
    std::fs::remove_file(&cursors).expect("room");
    std::fs::rename(&aside, &cursors).expect("renamed");
    wait_until(&handle, |stats| stats.stored_seq == 3);
    assert!(sink.accepted().ends_with(&[1, 2]));
}

#[test]
fn a_replay_sends_again_what_it_names_and_what_comes_goes_first() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let handle = journal.deliver(50, 7, &sink);
    let ended = replayed(&journal, Replay { first: 11, last: 1000, ..Replay::default() });
    assert_eq!((ended.end, ended.last, ended.sent_events), (Some(ReplayEnd::Done), 50, 40));
    assert_eq!(sink.with(|state| state.replayed.clone()), Vec::from_iter(11..=50));
    let stats = handle.stats();
    assert_eq!((stats.delivered_events, stats.replay, stats.stored_seq), (50, None, 51));
    journal.write_many(1);
    wait_until(&handle, |stats| stats.stored_seq == 52);
    assert_eq!(sink.accepted(), upto(51));
}

#[test]
fn a_replay_takes_only_what_its_filter_and_the_sinks_take() {
    let mut journal = TestJournal::new();
    journal.write(["{\"text\":\"a\"}", "{\"text\":\"b\"}"]);
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.stored_seq == 3);
    let replay = Replay { last: 9, session: Some("other".to_owned()), ..Replay::default() };
    let ended = replayed(&journal, replay);
    assert_eq!((ended.end, ended.sent_events, ended.next), (Some(ReplayEnd::Done), 0, 3));
    assert!(handle.stop(deadline()).worker_ended);
}

#[test]
fn a_replay_survives_a_restart_and_a_failing_sink_and_ends_when_told() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let handle = journal.deliver(20, 5, &sink);
    sink.with(|state| state.fail_always = true);
    let file = journal.replay_file();
    file.ask(&Replay { first: 1, last: 20, ..Replay::default() }).expect("asked");
    wait_until(&handle, |stats| stats.replay.is_some() && stats.retries > 5);
    assert!(handle.stop(deadline()).worker_ended);
    assert_eq!(file.read().expect("readable").expect("it goes on").end, None);
    sink.with(|state| state.fail_always = false);
    let handle = journal.start("s", sink.clone());
    let ended = journal.replay_ended();
    assert_eq!((ended.end, ended.sent_events), (Some(ReplayEnd::Done), 20));
    assert_eq!(sink.with(|state| state.replayed.clone()), upto(20));
    // At a pace that never ends.
    file.ask(&Replay { first: 1, last: 20, speed: Some(1e-9), ..Replay::default() })
        .expect("asked");
    wait_until(&handle, |stats| stats.replay.is_some());
    switch(&journal).ask_stop().expect("asked");
    let ended = journal.replay_ended();
    assert_eq!(ended.end, Some(ReplayEnd::Stopped));
    wait_for("the order to be seen", || (!switch(&journal).wants_stop()).then_some(()));
}

#[test]
fn a_poison_event_in_a_replay_is_one_dead_letter_and_too_many_end_it() {
    let mut journal = TestJournal::new();
    journal.write_many(100);
    let sink = Recorder::default();
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.stored_seq == 101);
    sink.with(|state| state.poison = vec![42]);
    let ended = replayed(&journal, Replay { first: 1, last: 100, ..Replay::default() });
    assert_eq!((ended.sent_events, ended.dead_letters), (99, 1));
    assert_eq!(sink.with(|state| state.replayed.len()), 99);
    sink.with(|state| state.poison = (1..=100).collect());
    let ended = replayed(&journal, Replay { first: 1, last: 100, ..Replay::default() });
    assert_eq!((ended.end, ended.sent_events), (Some(ReplayEnd::Rejected), 0));
    assert_eq!(ended.error.as_deref(), Some("told to reject"));
    assert!((10..20).contains(&ended.dead_letters), "{ended:?}");
    // The sink is not to blame.
    journal.write_many(1);
    let stats = wait_until(&handle, |stats| stats.stored_seq == 102);
    assert_eq!(stats.breaker, BreakerState::Closed);
}

#[test]
fn a_dead_letter_says_how_often_its_event_was_sent_in_whatever_parts() {
    let mut journal = TestJournal::new();
    journal.write_many(20);
    let sink = Recorder::faulty([(0, Fault::Fail), (3, Fault::Fail), (7, Fault::Fail)]);
    sink.with(|state| state.poison = vec![3, 8, 15]);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.stored_seq == 21);
    let sent =
        |seq| sink.with(|state| state.attempts.iter().filter(|it| it.contains(&seq)).count());
    let mut kept = Vec::new();
    letters(&journal)
        .each(|letter, _| kept.push((letter.event().expect("one").seq, letter.attempts as usize)))
        .expect("readable");
    assert_eq!(kept, [3, 8, 15].map(|seq| (seq, sent(seq))));
    assert!(sent(15) > 3);
}

#[test]
fn dead_letters_are_sent_again_and_those_that_are_taken_are_gone() {
    let mut journal = TestJournal::new();
    journal.write_many(20);
    let sink = Recorder::default();
    sink.with(|state| state.poison = vec![3, 8, 15]);
    let handle = journal.start("s", sink.clone());
    let stats = wait_until(&handle, |stats| stats.stored_seq == 21);
    assert_eq!((stats.dead_letters, stats.kept_dead_letters), (3, 3));
    sink.with(|state| state.poison = vec![8]);
    assert_eq!(letters(&journal).ask_retry(|_| true).expect("asked"), 3);
    wait_for("the end", || (!letters(&journal).is_retrying()).then_some(()));
    let stats = wait_until(&handle, |stats| stats.retry.is_none());
    assert_eq!((stats.dead_letters, stats.kept_dead_letters), (3, 1));
    assert_eq!((stats.breaker, stats.stored_seq), (BreakerState::Closed, 21));
    assert_eq!(
        (sink.accepted().len(), sink.with(|state| state.replayed.clone())),
        (17, vec![3, 15])
    );
    let mut left = Vec::new();
    letters(&journal)
        .each(|letter, _| left.push((letter.event().expect("one").seq, letter.attempts)))
        .expect("readable");
    // In five batches, the last of it alone, and once more.
    assert_eq!(left, [(8, 6)]);
}

#[test]
fn a_retry_of_dead_letters_waits_for_a_sink_that_is_down_and_can_be_stopped() {
    let mut journal = TestJournal::new();
    journal.write_many(2);
    let sink = Recorder::default();
    sink.with(|state| state.poison = vec![1, 2]);
    let handle = journal.start("s", sink.clone());
    wait_until(&handle, |stats| stats.kept_dead_letters == 2 && stats.stored_seq == 3);
    sink.with(|state| state.fail_always = true);
    assert_eq!(letters(&journal).ask_retry(|_| true).expect("asked"), 2);
    wait_until(&handle, |stats| stats.retry.is_some() && stats.retries > 5);
    switch(&journal).ask_stop().expect("asked");
    let stats = wait_until(&handle, |stats| stats.retry.is_none());
    assert_eq!((stats.kept_dead_letters, letters(&journal).is_retrying()), (2, false));
}

#[test]
fn the_single_last_event_of_a_quiet_hour_waits_for_no_other() {
    let mut journal = TestJournal::new();
    let sink = Recorder::default();
    let handle =
        journal.start_with("s", sink.clone(), |pump| pump.batch_age = Duration::from_millis(300));
    wait_until(&handle, |stats| stats.state == SinkState::Running);
    journal.write_many(1);
    wait_until(&handle, |stats| stats.delivered_events == 1);
    // One that may wait for longer than this test does is not held back by a stop or a pause.
    assert!(handle.stop(deadline()).worker_ended);
    let handle = journal.start_with("s", sink.clone(), |pump| pump.batch_age = PATIENCE * 10);
    wait_until(&handle, |stats| stats.state == SinkState::Running);
    journal.write_many(1);
    switch(&journal).off(OffBy::Person, "").expect("paused");
    wait_until(&handle, |stats| stats.state == SinkState::Off);
    assert_eq!(sink.accepted(), [1]);
    switch(&journal).on().expect("on");
    assert!(handle.stop(deadline()).worker_ended);
    assert_eq!(sink.accepted(), [1, 2]);
}
