//! What a worker does with a batch in hand that goes on for long: its cursor moves, and no event is in no count.

use std::sync::atomic::{AtomicBool, Ordering};

use super::tests::{OneByOne, beyond_the_limit, lost, uncached, upto};
use super::*;
use crate::testing::{Fault, Recorder, TestJournal, deadline, wait_for, wait_until};

/// All events of a batch together take longer than it is until the next look.
const EACH: Duration = Duration::from_millis(2);

/// Takes one event at a time, until its cursor has moved with a batch in hand; then it blocks.
struct UntilStored {
    taken: Recorder,
    cursors: PathBuf,
    blocks: Recorder,
}

impl Sink for UntilStored {
    fn deliver(&mut self, batch: &hookring_journal::Batch) -> crate::Outcome {
        let position = Cursor::open(&self.cursors, "s", 1).expect("the cursor").0.position();
        if position > 1 {
            return self.blocks.deliver(batch);
        }
        thread::sleep(EACH);
        self.taken.deliver(batch)
    }

    fn max_events(&self) -> usize {
        1
    }
}

#[test]
fn a_kill_with_a_batch_in_hand_repeats_what_came_since_the_last_look() {
    let mut journal = TestJournal::new();
    let last = journal.write_many(BATCH_EVENTS);
    let (taken, blocks) = (Recorder::default(), Recorder::faulty([(0, Fault::Block)]));
    let cursors = journal.path("cursors");
    let sink = UntilStored { taken: taken.clone(), cursors, blocks: blocks.clone() };
    let handle = journal.start("s", sink);
    blocks.wait_until_blocked();
    let in_hand = blocks.with(|state| state.attempts[0][0]);
    assert_eq!(taken.accepted(), upto(in_hand - 1));
    let path = journal.path("cursors/s.cursor");
    let left = std::fs::read(&path).expect("the cursor as a kill leaves it");
    let cursor = Cursor::open(&journal.path("cursors"), "s", 1).expect("the cursor").0;
    let begun = cursor.in_flight().expect("all that was read is still begun");
    assert_eq!((cursor.position(), begun.first, begun.last), (in_hand, 1, last));
    assert_eq!((handle.stats().stored_seq, handle.lowest_needed_seq()), (in_hand, in_hand));
    handle.begin_stop(Instant::now());
    blocks.release();
    assert!(handle.stop(deadline()).worker_ended);
    std::fs::write(&path, left).expect("the cursor");
    let after = Recorder::default();
    let handle = journal.start("s", OneByOne(after.clone()));
    wait_until(&handle, |stats| stats.stored_seq == last + 1);
    assert_eq!(after.accepted(), Vec::from_iter(in_hand..=last));
}

#[test]
fn while_it_is_within_a_call_and_after_it_no_event_is_in_no_count() {
    let mut journal = TestJournal::with(uncached());
    journal.write_many(10);
    let sink = Recorder::faulty([(3, Fault::Block), (6, Fault::Block)]);
    let handle = journal.start("s", OneByOne(sink.clone()));
    sink.wait_until_blocked();
    beyond_the_limit(&mut journal, 5);
    let counted = |stats: &SinkStats| stats.delivered_events + stats.lag_events + stats.lost.events;
    let stats = handle.stats();
    assert_eq!((stats.delivered_events, counted(&stats)), (3, 60), "{stats:?}");
    sink.release();
    let stats = wait_until(&handle, |stats| {
        assert_eq!(counted(stats), 60, "{stats:?}");
        stats.lag_events == 0
    });
    assert_eq!(lost(&stats), (20, vec![(11, 30)]));
}

/// Takes one event at a time, and the last of a batch when the test has seen enough.
struct Slow(Recorder, Arc<AtomicBool>);

impl Sink for Slow {
    fn deliver(&mut self, batch: &hookring_journal::Batch) -> crate::Outcome {
        thread::sleep(EACH);
        if batch.last() == BATCH_EVENTS as Seq {
            wait_for("the loss to be seen", || self.1.load(Ordering::Relaxed).then_some(()));
        }
        self.0.deliver(batch)
    }

    fn max_events(&self) -> usize {
        1
    }
}

#[test]
fn what_is_lost_shows_while_a_batch_is_in_hand() {
    let mut journal = TestJournal::with(uncached());
    journal.write_many(BATCH_EVENTS);
    let (sink, lost_seen) =
        (Recorder::faulty([(1, Fault::Block)]), Arc::new(AtomicBool::new(false)));
    let handle = journal.start("s", Slow(sink.clone(), Arc::clone(&lost_seen)));
    sink.wait_until_blocked();
    beyond_the_limit(&mut journal, 5);
    sink.release();
    let stats = wait_until(&handle, |stats| stats.lost.events == 20);
    assert!(stats.next_seq <= BATCH_EVENTS as Seq, "{stats:?}");
    lost_seen.store(true, Ordering::Relaxed);
    wait_until(&handle, |stats| stats.lag_events == 0);
}
