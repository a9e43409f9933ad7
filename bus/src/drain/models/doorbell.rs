//! Sleeping and waking. The reader sleeps without a time limit, so a wake that is lost is a deadlock.

use super::{
    Clock, FEATURE_BARRIER, Reader, claim, explore, explore_deaths, explore_to, hook, put, start,
    start_with,
};
use crate::model::{is_time_up, killed_at, pass_time};
use loom::thread;
use std::time::Duration;

impl Reader {
    /// Sleeps and takes until it has so many, or its time limit has passed.
    fn wait_for(&mut self, records: usize) {
        while self.taken.len() < records && !is_time_up() {
            self.drain.wait(Duration::MAX);
            self.round();
        }
    }
}

#[test]
fn a_hook_wakes_the_reader() {
    explore(|| {
        start(1, Clock::Stands);
        let hook = thread::spawn(|| hook("one"));
        let mut reader = Reader::open();
        reader.wait_for(1);
        assert_eq!(hook.join().expect("it ends"), Ok(()));
        assert_eq!(reader.finish(), ["one"]);
    });
}

/// A producer that publishes twice, as one that makes its own fence or leaves it to the reader.
fn a_producer_wakes_the_reader(features: u32) {
    explore(move || {
        start_with(1, features, Clock::Stands);
        let mut lane = claim().expect("a lane is free");
        let producer = thread::spawn(move || {
            for payload in ["one", "two"] {
                put(&mut lane, payload).expect("there is room");
                lane.publish();
            }
        });
        let mut reader = Reader::open();
        reader.wait_for(2);
        producer.join().expect("it ends");
        assert_eq!(reader.finish(), ["one", "two"]);
    });
}

#[test]
fn a_producer_with_its_own_fence_wakes_the_reader() {
    a_producer_wakes_the_reader(0);
}

#[test]
fn a_producer_that_joined_the_barrier_wakes_the_reader() {
    a_producer_wakes_the_reader(FEATURE_BARRIER);
}

/// One of them clears the bit and wakes for both.
#[test]
fn two_producers_wake_the_reader() {
    // Three processes at once have many more orders than two.
    explore_to(2, || {
        start(2, Clock::Stands);
        let hooks = ["one", "two"].map(|payload| thread::spawn(move || hook(payload)));
        let mut reader = Reader::open();
        reader.wait_for(2);
        for hook in hooks {
            assert_eq!(hook.join().expect("it ends"), Ok(()));
        }
        let mut taken = reader.finish();
        taken.sort();
        assert_eq!(taken, ["one", "two"]);
    });
}

/// It may have died between its publish and its wake: then the time limit finds the record.
#[test]
fn a_dead_producer_delays_a_record_by_the_time_limit_at_most() {
    explore_deaths(5, |step| {
        start(1, Clock::Stands);
        let hook = thread::spawn(move || {
            let ended = killed_at(step, || hook("one"));
            if ended.is_none() {
                pass_time();
            }
            ended
        });
        let mut reader = Reader::open();
        reader.wait_for(1);
        let is_published = reader.drain.places.has_lane_work();
        let ended = hook.join().expect("it ends");
        let taken = reader.finish();
        assert!(taken.len() == 1 || ended.is_none() && taken.is_empty() && !is_published);
        ended.is_none()
    });
}
