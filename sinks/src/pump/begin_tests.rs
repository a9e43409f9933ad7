//! Where a sink begins that has no cursor: a new one, and one whose cursor somebody removed.

use super::*;
use crate::testing::{Recorder, TestJournal, deadline, wait_for, wait_until};

fn begun(journal: &TestJournal, start: Start, had_cursor: bool) -> (Recorder, PumpHandle) {
    let sink = Recorder::default();
    let pump = Pump { start, had_cursor, ..journal.pump("s") };
    let handle = pump.start(Box::new(sink.clone()), journal.tail()).expect("a worker");
    (sink, handle)
}

#[test]
fn a_sink_whose_cursor_is_gone_begins_with_the_oldest_event_and_says_so() {
    for start in [Start::Now, Start::Oldest] {
        let mut journal = TestJournal::new();
        journal.write_many(3);
        let (sink, handle) = begun(&journal, start, true);
        let stats = wait_until(&handle, |stats| stats.delivered_events == 3);
        assert_eq!(sink.accepted(), [1, 2, 3]);
        let said = stats.cursor_damage.expect("a note").message;
        assert_eq!(said, "the cursor is gone; all events that the journal keeps are repeated");
        assert_eq!(stats.began, None);
    }
}

#[test]
fn a_new_sink_that_passes_over_events_says_where_it_began_and_only_then() {
    for (events, start, began) in [
        (3, Start::Now, Some(4)),
        (0, Start::Now, None),
        (3, Start::Oldest, None),
        (0, Start::Oldest, None),
    ] {
        let mut journal = TestJournal::new();
        journal.write_many(events);
        let (_sink, handle) = begun(&journal, start, false);
        let stats = handle.stats();
        assert_eq!(stats.began.map(|began| began.with), began, "{events} {start:?}");
        assert_eq!((stats.cursor_damage, stats.had_cursor), (None, true));
        assert!(handle.stop(deadline()).worker_ended);
        // It is not new any more.
        assert_eq!(begun(&journal, start, true).1.stats().began, None);
    }
}

#[test]
fn a_new_sink_that_was_told_where_to_go_does_not_begin_anywhere_else() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    Switch::new(&journal.path("cursors"), "s").ask_reset(2).expect("asked");
    let (sink, handle) = begun(&journal, Start::Now, false);
    assert_eq!(handle.stats().began, None);
    wait_for("the events", || (sink.accepted() == [2, 3]).then_some(()));
    assert_eq!(handle.stats().began, None);
}

#[test]
fn the_next_worker_of_a_sink_that_rejects_everything_keeps_no_more_dead_letters() {
    let mut journal = TestJournal::new();
    let last = journal.write_many(40);
    let sink = Recorder::default();
    sink.with(|state| state.poison = (1..=last).collect());
    let mut rejected_in_row = 0;
    for dead in [10, 0, 0] {
        let pump = Pump { rejected_in_row, ..journal.pump("s") };
        let handle = pump.start(Box::new(sink.clone()), journal.tail()).expect("a worker");
        assert_eq!(handle.stats().rejected_in_row, rejected_in_row);
        wait_until(&handle, |stats| stats.attempts.get("rejected").is_some_and(|it| *it > 30));
        let stats = handle.stop(deadline()).stats;
        assert_eq!((stats.dead_letters, stats.rejected_in_row), (dead, 10));
        rejected_in_row = stats.rejected_in_row;
    }
    sink.with(|state| state.poison = vec![12]);
    let pump = Pump { rejected_in_row, ..journal.pump("s") };
    let handle = pump.start(Box::new(sink.clone()), journal.tail()).expect("a worker");
    let stats = wait_until(&handle, |stats| stats.stored_seq == last + 1);
    assert_eq!((stats.dead_letters, stats.rejected_in_row), (1, 0));
}
