//! Publishing and draining at the same time, in a lane of two records, with the producer's death
//! before each of its steps.

use super::{Clock, PutError, Reader, claim, explore, explore_deaths, hook, put, start};
use crate::model::killed_at;
use crate::oneshot::NotTaken;
use crate::record::RecordHeader;
use loom::thread;

#[test]
fn a_hooks_record_is_seen_whole_or_not_at_all() {
    explore_deaths(5, |step| {
        start(1, Clock::Stands);
        let first = thread::spawn(move || killed_at(step, || hook("first")));
        let mut reader = Reader::open();
        reader.round();
        let first = first.join().expect("it ends");
        // The lane of whoever died is free, and what it left there does not matter.
        assert_eq!(hook("second"), Ok(()));
        let taken = reader.finish();
        match first {
            Some(published) => {
                assert_eq!(published, Ok(()));
                assert_eq!(taken, ["first", "second"]);
            }
            None => assert!(taken == ["first", "second"] || taken == ["second"], "{taken:?}"),
        }
        first.is_none()
    });
}

#[test]
fn a_long_lived_producers_records_are_a_beginning_of_what_it_published() {
    explore_deaths(10, |step| {
        start(1, Clock::Stands);
        let producer = thread::spawn(move || {
            killed_at(step, || {
                let mut lane = claim().expect("a lane is free");
                put(&mut lane, "one").expect("there is room");
                lane.publish();
                // Given up before it was committed.
                let mut reserved = lane.reserve(3).expect("there is room");
                assert!(lane.fill(&mut reserved, b"bad"));
                let mut reserved = lane.reserve(3).expect("there is room");
                assert!(lane.fill(&mut reserved, b"two"));
                lane.commit(reserved, &RecordHeader::default());
                lane.publish();
            })
        });
        let mut reader = Reader::open();
        reader.round();
        let ended = producer.join().expect("it ends");
        let taken = reader.finish();
        let whole = ["one", "two"];
        assert!(whole.starts_with(&taken.iter().map(String::as_str).collect::<Vec<_>>()));
        assert!(ended.is_none() || taken == whole);
        ended.is_none()
    });
}

/// The lane is full until the reader has zeroed and released: only then is it written over.
#[test]
fn a_full_lane_is_written_over_only_behind_the_head() {
    explore(|| {
        start(1, Clock::Stands);
        let mut lane = claim().expect("a lane is free");
        for payload in ["one", "two"] {
            put(&mut lane, payload).expect("there is room for two");
            lane.publish();
        }
        let producer = thread::spawn(move || {
            let put = put(&mut lane, "three");
            if put.is_ok() {
                lane.publish();
            }
            put
        });
        let mut reader = Reader::open();
        reader.round();
        let put = producer.join().expect("it ends");
        let taken = reader.finish();
        match put {
            Ok(()) => assert_eq!(taken, ["one", "two", "three"]),
            Err(error) => {
                assert_eq!(error, PutError::Full);
                assert_eq!(taken, ["one", "two"]);
            }
        }
    });
}

/// As above, by a hook that finds the lane as another left it.
#[test]
fn a_full_lane_is_taken_over_only_behind_the_head() {
    explore(|| {
        start(1, Clock::Stands);
        for payload in ["one", "two"] {
            assert_eq!(hook(payload), Ok(()));
        }
        let third = thread::spawn(|| hook("three"));
        let mut reader = Reader::open();
        reader.round();
        let third = third.join().expect("it ends");
        let taken = reader.finish();
        match third {
            Ok(()) => assert_eq!(taken, ["one", "two", "three"]),
            Err(error) => {
                assert_eq!(error, NotTaken::Busy);
                assert_eq!(taken, ["one", "two"]);
            }
        }
    });
}
