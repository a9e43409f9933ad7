//! The spool: what is stored there is found by the round that it belongs to, though most rounds list
//! nothing, wakes the reader, and stays within the limit. With the writer's death before each of its steps.

use super::{
    Clock, Crc32c, Reader, UID, explore, explore_deaths, explore_deaths_to, explore_to, hook,
    message, open_hook, start,
};
use crate::model::{self, PLACE, held_at, is_time_up, killed_at, pass_time};
use crate::oneshot;
use crate::place::Places;
use crate::record::RECORD_HEADER_BYTES;
use crate::spool::{self, Spooled, Usage};
use loom::sync::mpsc;
use loom::thread;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes of one of the entries here, all of which have three letters.
const ENTRY_BYTES: u64 = RECORD_HEADER_BYTES as u64 + 3;
/// Room for all that a model stores.
const ROOMY: u64 = 1 << 20;

/// What the hook command does with what the ring does not take.
fn store(payload: &str) -> Spooled {
    let ring = open_hook();
    let stored = store_untold(payload);
    let places = Places::new(Some(PLACE.to_bytes()), UID);
    oneshot::announce_stored(&places, Some(ring.control()));
    stored
}

/// The same where it has no ring to announce that in.
fn store_untold(payload: &str) -> Spooled {
    let message = message(payload);
    let (meta, payload) = (message.meta, message.payload);
    let crc = Crc32c::portable();
    let stored = spool::store(&model::place(), UID, message.header, meta, payload, crc);
    stored.expect("there is a spool, or one is made")
}

impl Reader {
    /// One that has looked at its spool often enough to go by the counters.
    fn open_settled() -> Reader {
        let mut reader = Reader::open_with(Some(ROOMY));
        reader.settle();
        reader
    }

    /// What two looks at the places do to the counters, with a round behind each.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.drain.look_after_counters();
            self.round_of_all();
        }
    }

    /// A round that lists the spool in any case.
    fn round_of_all(&mut self) {
        self.drain.look_into_spools();
        self.round();
    }

    /// Takes the rest by rounds that go by the counters, when nobody writes any more: those must have
    /// left nothing behind.
    fn finish_unforced(mut self) -> Vec<String> {
        self.round();
        self.round();
        let taken = self.taken.len();
        self.round_of_all();
        self.round_of_all();
        assert_eq!(self.taken.len(), taken, "a look was left out that had found something");
        self.assert_sound();
        self.taken
    }
}

/// What the counters say once nobody writes any more.
fn usage() -> (u64, u64) {
    let spool = spool::open(&model::place(), UID).expect("it is there");
    let usage = Usage::open(&spool, UID).expect("they are there");
    let used_bytes = usage.used_bytes().load(Ordering::Relaxed);
    (used_bytes, usage.dropped_events().load(Ordering::Relaxed))
}

#[test]
fn a_look_that_is_left_out_hides_no_entry() {
    explore_deaths(6, |step| {
        start(1, Clock::Stands);
        let mut reader = Reader::open_settled();
        let writer = thread::spawn(move || killed_at(step, || store("one")));
        reader.round();
        let ended = writer.join().expect("it ends");
        let taken = reader.finish_unforced();
        assert!(taken == ["one"] || ended.is_none() && taken.is_empty(), "{taken:?}");
        ended.is_none()
    });
}

/// The dead writer's store stays begun for ever.
#[test]
fn a_store_behind_a_dead_writers_is_not_missed() {
    explore_deaths(6, |step| {
        start(1, Clock::Stands);
        let dead = killed_at(step, || store("one"));
        let mut reader = Reader::open_settled();
        let writer = thread::spawn(|| store("two"));
        reader.round();
        assert_eq!(writer.join().expect("it ends"), Spooled::Stored);
        let taken = reader.finish_unforced();
        assert!(taken == ["one", "two"] || dead.is_none() && taken == ["two"], "{taken:?}");
        dead.is_none()
    });
}

/// Once a writer has ended, however that was, somebody publishes what follows from what it stored.
fn an_effect_follows(
    step: usize,
    store: fn(&str) -> Spooled,
    mut reader: Reader,
    act: fn(&mut Reader),
) -> bool {
    let writers = thread::spawn(move || {
        let ended = killed_at(step, || store("one"));
        // As if by another process, which that told of it or which saw it die.
        assert_eq!(hook("two"), Ok(()));
        ended
    });
    act(&mut reader);
    let ended = writers.join().expect("it ends");
    let taken = reader.finish_unforced();
    assert!(taken == ["one", "two"] || ended.is_none() && taken == ["two"], "{taken:?}");
    ended.is_none()
}

#[test]
fn an_effect_in_a_lane_is_never_taken_before_its_cause_in_the_spool() {
    explore_deaths(5, |step| {
        start(1, Clock::Ticks);
        an_effect_follows(step, store_untold, Reader::open_settled(), Reader::round)
    });
}

/// A writer that stands still for so long is taken for dead, and goes on all the same.
#[test]
fn an_effect_is_never_taken_before_what_a_slow_writer_stored() {
    explore_deaths(5, |step| {
        start(1, Clock::Ticks);
        let mut reader = Reader::open_settled();
        let (tell, told) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let writers = thread::spawn(move || {
            let tell_held = tell.clone();
            let pause = move || {
                tell_held.send(true).expect("the reader is there");
                may_go_on.recv().expect("the reader is there");
            };
            assert_eq!(held_at(step, pause, || store_untold("one")), Spooled::Stored);
            tell.send(false).expect("the reader is there");
            assert_eq!(hook("two"), Ok(()));
        });
        let is_held = told.recv().expect("the writer is there");
        if is_held {
            reader.settle();
            go_on.send(()).expect("the writer is there");
        }
        reader.round();
        writers.join().expect("it ends");
        // As long as the channel is there, it may be told.
        drop(told);
        assert_eq!(reader.finish_unforced(), ["one", "two"]);
        is_held
    });
}

/// The doorbell, which comes behind the announcement, has nothing to do with it.
#[test]
fn an_effect_in_a_lane_is_never_taken_before_its_cause_in_a_new_spool() {
    let store_and_announce = |payload: &str| {
        let ring = open_hook();
        let stored = store_untold(payload);
        ring.control().announce_store();
        stored
    };
    explore(move || {
        start(1, Clock::Ticks);
        let reader = Reader::open_settled();
        model::remove_spool();
        an_effect_follows(usize::MAX, store_and_announce, reader, Reader::round);
    });
}

/// A writer that dies behind its link may not have announced that: a look at the places finds it.
#[test]
fn what_a_dead_writer_left_in_a_new_spool_is_found() {
    explore_deaths_to(1, 8, |step| {
        start(1, Clock::Stands);
        let mut reader = Reader::open_settled();
        model::remove_spool();
        let writer = thread::spawn(move || killed_at(step, || store("one")));
        reader.drain.maintain();
        reader.round();
        let ended = writer.join().expect("it ends");
        if ended.is_none() {
            reader.drain.maintain();
        }
        let taken = reader.finish_unforced();
        assert!(taken == ["one"] || ended.is_none() && taken.is_empty(), "{taken:?}");
        ended.is_none()
    });
}

#[test]
fn a_stored_entry_wakes_the_reader() {
    explore_deaths(6, |step| {
        start(1, Clock::Stands);
        let mut reader = Reader::open_settled();
        let writer = thread::spawn(move || {
            let ended = killed_at(step, || store("one"));
            if ended.is_none() {
                pass_time();
            }
            ended
        });
        while reader.taken.is_empty() && !is_time_up() {
            reader.drain.wait(Duration::MAX);
            reader.round();
        }
        let ended = writer.join().expect("it ends");
        let taken = reader.finish_unforced();
        assert!(taken == ["one"] || ended.is_none() && taken.is_empty(), "{taken:?}");
        ended.is_none()
    });
}

/// Two writers at once where there is room for one.
#[test]
fn the_limit_is_kept_by_writers_that_count_at_once() {
    explore_deaths(6, |step| {
        start(1, Clock::Stands);
        drop(Reader::open_with(Some(ENTRY_BYTES)));
        let first = thread::spawn(move || killed_at(step, || store("one")));
        let second = thread::spawn(|| store("two"));
        let first = first.join().expect("it ends");
        let second = second.join().expect("it ends");
        let (used_bytes, dropped) = usage();
        let mut reader = Reader::open_with(Some(ENTRY_BYTES));
        reader.round();
        let entries = reader.taken.len() as u64;
        assert!(used_bytes <= ENTRY_BYTES && entries * ENTRY_BYTES <= used_bytes, "{used_bytes}");
        let count = |what| [first, Some(second)].iter().filter(|it| **it == Some(what)).count();
        assert!(count(Spooled::Stored) as u64 <= entries);
        assert!(count(Spooled::Dropped) as u64 <= dropped && dropped <= 1);
        assert!(first.is_none() || (entries, dropped) == (1, 1));
        first.is_none()
    });
}

/// Two writers at once, and the reader, which has let go of one entry, counts that out beside them.
#[test]
fn the_count_of_bytes_is_that_of_the_entries() {
    explore_to(2, || {
        start(1, Clock::Stands);
        let mut reader = Reader::open_with(Some(2 * ENTRY_BYTES));
        assert_eq!(store("one"), Spooled::Stored);
        let writers = ["two", "six"].map(|payload| thread::spawn(move || store(payload)));
        reader.round();
        let stored = writers.map(|writer| writer.join().expect("it ends"));
        let stored = 1 + stored.iter().filter(|it| **it == Spooled::Stored).count();
        let (used_bytes, dropped) = usage();
        let left = stored - reader.taken.len();
        assert_eq!((used_bytes, dropped), (left as u64 * ENTRY_BYTES, 3 - stored as u64));
        reader.round();
        assert_eq!(reader.taken.len(), stored);
        assert_eq!(usage().0, 0);
    });
}
