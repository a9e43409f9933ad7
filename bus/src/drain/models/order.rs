//! A cause comes out before its effect, whichever lanes the two are in.
//!
//! The model's clock ticks. A producer that joined the barrier has no fence of its own behind its
//! publish; that a processor shows its stores in order all the same is beyond the model.

use super::{Clock, Reader, claim, explore, hook, put, start};
use crate::atomic::AtomicU32;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[test]
fn an_effect_is_never_taken_before_its_cause() {
    explore(|| {
        start(2, Clock::Ticks);
        let told = Arc::new(AtomicU32::new(0));
        // The lane whose tail is looked at first.
        let mut lane = claim().expect("a lane is free");
        assert_eq!(lane.lane(), 0);
        let heard = told.clone();
        let cause = thread::spawn(move || {
            put(&mut lane, "cause").expect("there is room");
            lane.publish();
            told.store(1, Ordering::Release);
        });
        let effect = thread::spawn(move || {
            let has_heard = heard.load(Ordering::Acquire) != 0;
            if has_heard {
                assert_eq!(hook("effect"), Ok(()));
            }
            has_heard
        });
        let mut reader = Reader::open();
        reader.round();
        assert_ne!(reader.taken.first().map(String::as_str), Some("effect"));
        cause.join().expect("it ends");
        let has_effect = effect.join().expect("it ends");
        let expected: &[&str] = if has_effect { &["cause", "effect"] } else { &["cause"] };
        assert_eq!(reader.finish(), expected);
    });
}
