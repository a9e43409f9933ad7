//! Claiming: two processes that want a lane, one of which dies before each of its steps.

use super::{Clock, Reader, explore_deaths, hook, start};
use crate::model::killed_at;
use crate::oneshot::NotTaken;
use loom::thread;

fn two_hooks_claim(lanes: u32) {
    explore_deaths(5, move |step| {
        start(lanes, Clock::Stands);
        let first = thread::spawn(move || killed_at(step, || hook("first")));
        let second = thread::spawn(|| hook("second"));
        let (first, second) = (first.join().expect("it ends"), second.join().expect("it ends"));
        let taken = Reader::open().finish();
        let count = |payload| taken.iter().filter(|taken| *taken == payload).count();
        // With one lane, whoever finds it taken goes to the spool.
        let is_allowed = |result| result == Ok(()) || (lanes == 1 && result == Err(NotTaken::Busy));
        assert!(is_allowed(second) && first.is_none_or(is_allowed), "{first:?} {second:?}");
        assert_eq!(count("second"), usize::from(second.is_ok()));
        match first {
            Some(result) => assert_eq!(count("first"), usize::from(result.is_ok())),
            None => assert!(count("first") <= 1),
        }
        assert_eq!(taken.len(), count("first") + count("second"));
        first.is_none()
    });
}

#[test]
fn one_lane_has_one_producer_at_a_time() {
    two_hooks_claim(1);
}

#[test]
fn two_lanes_have_room_for_two() {
    two_hooks_claim(2);
}
