//! Retirement: a ring that its reader finds empty for good gets no further record.

use super::{
    Clock, Counts, RING, RingReader, UID, claim, explore, explore_deaths, hook, put, start,
};
use crate::drain::batch::Batch;
use crate::model::{self, killed_at};
use crate::oneshot::NotTaken;
use crate::owned::ClaimError;
use loom::thread;

/// A reader that replaces its ring.
struct Leaver {
    ring: RingReader,
    counts: Counts,
    taken: usize,
}

impl Leaver {
    fn open() -> Leaver {
        let mut counts = Counts::default();
        let ring = RingReader::open(&model::place(), RING, UID, &mut counts);
        Leaver { ring: ring.expect("there is one reader at a time"), counts, taken: 0 }
    }

    fn round(&mut self) {
        let mut batch = Batch::default();
        self.ring.load_tails();
        let mut full = Vec::new();
        self.ring.peek_all(1, &mut self.counts, |_, lane| full.push(lane));
        for lane in full {
            while self.ring.take_run(lane, 1, |_| true, &mut batch, &mut self.counts).is_some() {}
        }
        self.taken += batch.len();
        self.ring.release();
    }

    /// The looks at a ring that is left, as `maintain` has them, with a round between each two. `true`:
    /// it is empty for good.
    fn leave(&mut self) -> bool {
        self.ring.is_finished();
        self.round();
        self.ring.is_finished()
    }

    /// Leaves the ring while a producer is at work, and looks at it once more when that has ended.
    fn leave_beside<T>(mut self, producer: thread::JoinHandle<T>) -> (usize, T) {
        self.ring.retire();
        let is_empty = self.leave();
        let taken = self.taken;
        let ended = producer.join().expect("it ends");
        while !is_empty && !self.leave() {}
        assert!(!is_empty || taken == self.taken);
        if is_empty {
            self.round();
            assert_eq!(self.taken, taken, "a record came into a ring that was empty for good");
        }
        assert_eq!((self.counts.condemned_lanes, self.counts.damaged_bytes), (0, 0));
        (self.taken, ended)
    }
}

#[test]
fn a_hook_publishes_before_the_ring_is_empty_or_not_at_all() {
    explore_deaths(5, |step| {
        start(1, Clock::Stands);
        let hook = thread::spawn(move || killed_at(step, || hook("one")));
        let (taken, published) = Leaver::open().leave_beside(hook);
        match published {
            Some(Ok(())) => assert_eq!(taken, 1),
            Some(Err(error)) => assert_eq!((error, taken), (NotTaken::Retired, 0)),
            None => assert!(taken <= 1),
        }
        published.is_none()
    });
}

#[test]
fn a_long_lived_producer_leaves_behind_its_publish() {
    explore(|| {
        start(1, Clock::Stands);
        let producer = thread::spawn(|| {
            let mut lane = match claim() {
                Ok(lane) => lane,
                Err(error) => {
                    assert_eq!(error, ClaimError::Retired);
                    return 0;
                }
            };
            put(&mut lane, "one").expect("there is room");
            if lane.publish() {
                return 1;
            }
            put(&mut lane, "two").expect("there is room");
            lane.publish();
            2
        });
        let (taken, published) = Leaver::open().leave_beside(producer);
        assert_eq!(taken, published);
    });
}
