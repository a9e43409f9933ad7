//! Every rule of the table, and a model: whatever a sink answers, each event is done with once, in order.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;

fn whole() -> Jitter {
    Box::new(|ceiling| ceiling)
}

fn delivery(batch_events: usize) -> Delivery {
    Delivery::new(batch_events, None, whole())
}

fn failed() -> Outcome {
    Outcome::failed("it is down")
}

fn rejected() -> Outcome {
    Outcome::Rejected { status: Some(400), error: "not like that".into() }
}

fn too_large() -> Outcome {
    Outcome::TooLarge { status: Some(413), error: "too much".into() }
}

fn throttled(seconds: Option<u64>) -> Outcome {
    Outcome::Throttled { wait: seconds.map(Duration::from_secs), error: "later".into() }
}

/// Answers a batch of so many events by `answer`, to which their places are told, until all are done with or
/// `rounds` are over. The dead ones, the sizes that were sent, and the time at the end.
fn deliver(
    delivery: &mut Delivery,
    events: usize,
    mut now: Instant,
    rounds: usize,
    mut answer: impl FnMut(std::ops::Range<usize>) -> Outcome,
) -> (usize, Vec<usize>, Vec<usize>, Instant) {
    let (mut done, mut dead, mut sizes) = (0, Vec::new(), Vec::new());
    delivery.begin();
    for _ in 0..rounds {
        if done == events {
            break;
        }
        match delivery.turn(events - done, now) {
            Turn::Wait(until) => {
                assert!(until > now);
                now = until;
            }
            Turn::Send(count) => {
                sizes.push(count);
                let verdict = delivery.answered(count, &answer(done..done + count), now);
                dead.extend(verdict.dead.iter().map(|at| done + at));
                done += verdict.done;
            }
        }
    }
    (done, dead, sizes, now)
}

#[test]
fn what_is_accepted_is_done_with() {
    let mut delivery = delivery(100);
    let (done, dead, sizes, _) =
        deliver(&mut delivery, 250, Instant::now(), 10, |_| Outcome::Accepted);
    assert_eq!((done, dead, sizes), (250, vec![], vec![100, 100, 50]));
}

#[test]
fn a_failure_waits_and_sends_the_same_again() {
    let (mut delivery, begin) = (delivery(100), Instant::now());
    let mut failures = 3;
    let (done, dead, sizes, end) = deliver(&mut delivery, 40, begin, 100, |_| {
        failures -= 1;
        if failures < 0 { Outcome::Accepted } else { failed() }
    });
    assert_eq!((done, dead, sizes), (40, vec![], vec![40; 4]));
    assert_eq!(end - begin, Duration::from_millis(500 + 1000 + 2000));
}

#[test]
fn a_sink_that_is_down_for_long_gets_one_event_to_try() {
    let (mut delivery, begin) = (delivery(100), Instant::now());
    let mut failures = 7;
    let (done, _, sizes, end) = deliver(&mut delivery, 40, begin, 100, |_| {
        failures -= 1;
        if failures < 0 { Outcome::Accepted } else { failed() }
    });
    assert_eq!((done, sizes), (40, vec![40, 40, 40, 40, 40, 1, 1, 1, 1, 38]));
    // Four waits in between, then the breaker's: after the fifth failure, and after two probes.
    assert_eq!(end - begin, Duration::from_millis(500 + 1000 + 2000 + 4000 + 1000 + 2000 + 4000));
    assert_eq!(delivery.breaker(), BreakerState::Closed);
}

#[test]
fn a_throttled_sink_is_left_alone_as_long_as_it_says_and_has_not_failed() {
    let (mut delivery, begin) = (delivery(100), Instant::now());
    let mut answers = (0..20).map(|_| throttled(Some(7))).chain([throttled(Some(1 << 40))]);
    let (done, _, sizes, end) =
        deliver(&mut delivery, 5, begin, 100, |_| answers.next().unwrap_or(Outcome::Accepted));
    assert_eq!((done, sizes), (5, vec![5; 22]));
    assert_eq!(end - begin, Duration::from_secs(20 * 7) + THROTTLE_CAP);
    assert_eq!(delivery.breaker(), BreakerState::Closed);
    // Without a time, it is ours to choose.
    let mut answers = (0..2).map(|_| throttled(None));
    let (_, _, _, later) =
        deliver(&mut delivery, 5, end, 100, |_| answers.next().unwrap_or(Outcome::Accepted));
    assert_eq!(later - end, Duration::from_millis(1500));
}

#[test]
fn what_is_too_large_is_halved_and_one_that_is_alone_is_dead() {
    let mut delivery = delivery(100);
    let (done, dead, sizes, _) = deliver(&mut delivery, 100, Instant::now(), 100, |events| {
        if events.len() > 30 { too_large() } else { Outcome::Accepted }
    });
    assert_eq!((done, dead, sizes), (100, vec![], vec![100, 50, 25, 25, 25, 25]));
    assert_eq!(delivery.batch_events(), 25);
    let (done, dead, _, _) = deliver(&mut delivery, 25, Instant::now(), 100, |events| {
        if events.contains(&3) { too_large() } else { Outcome::Accepted }
    });
    assert_eq!((done, dead), (25, vec![3]));
}

#[test]
fn one_poison_event_in_a_hundred_is_one_dead_letter_wherever_it_stands() {
    for poison in 0..100 {
        let mut delivery = delivery(100);
        let (done, dead, sizes, _) = deliver(&mut delivery, 100, Instant::now(), 100, |events| {
            if events.contains(&poison) { rejected() } else { Outcome::Accepted }
        });
        assert_eq!((done, dead), (100, vec![poison]));
        assert!(sizes.len() <= 15, "{sizes:?}");
        assert_eq!(delivery.breaker(), BreakerState::Closed);
    }
}

#[test]
fn a_sink_that_rejects_everything_keeps_what_it_has_not_got() {
    let (mut delivery, begin) = (delivery(100), Instant::now());
    let (done, dead, _, end) = deliver(&mut delivery, 100, begin, 200, |_| rejected());
    assert_eq!((done, dead), (REJECTED_IN_ROW as usize, (0..REJECTED_IN_ROW as usize).collect()));
    assert_eq!(delivery.breaker(), BreakerState::Open);
    assert!(end - begin > Duration::from_secs(3600));
    // It was mended.
    let (done, dead, _, _) = deliver(&mut delivery, 90, end, 100, |_| Outcome::Accepted);
    assert_eq!((done, dead), (90, vec![]));
}

#[test]
fn a_refusal_waits_for_long_and_gone_is_for_good() {
    let (mut delivery, now) = (delivery(100), Instant::now());
    let refused = Outcome::Refused { error: "401".into() };
    assert!(delivery.answered(5, &refused, now).is_failure);
    assert_eq!(delivery.turn(5, now), Turn::Wait(now + Duration::from_secs(60)));
    let gone = Outcome::Gone { error: "410".into() };
    let verdict = delivery.answered(1, &gone, now + Duration::from_secs(60));
    assert!(verdict.is_gone && verdict.is_failure && verdict.done == 0);
}

#[test]
fn answers_to_each_event_count_up_to_the_first_that_failed() {
    use Answer::{Accepted, Failed, Rejected};
    let each = |answers: Vec<Answer>| Outcome::Each { answers, error: "some".into() };
    let (mut delivery, now) = (delivery(100), Instant::now());
    let answers = vec![Accepted, Rejected, Accepted, Failed, Accepted];
    let verdict = delivery.answered(5, &each(answers), now);
    assert_eq!((verdict.done, verdict.dead, verdict.is_failure), (3, vec![1], true));
    assert_eq!(delivery.turn(2, now), Turn::Wait(now + Duration::from_millis(500)));
    let verdict = delivery.answered(2, &each(vec![Accepted; 2]), now);
    assert_eq!(verdict, Verdict { done: 2, ..Verdict::default() });
    let verdict = delivery.answered(20, &each(vec![Rejected; 20]), now);
    assert_eq!((verdict.done, verdict.dead.len()), (10, 10));
    assert_eq!(delivery.breaker(), BreakerState::Open);
}

#[test]
fn an_event_without_an_answer_is_sent_again_after_a_wait() {
    let each = |answers| Outcome::Each { answers, error: "too few".into() };
    let (mut delivery, now) = (delivery(100), Instant::now());
    let verdict = delivery.answered(3, &each(vec![]), now);
    assert_eq!((verdict.done, verdict.is_failure), (0, true));
    assert_eq!(delivery.turn(3, now), Turn::Wait(now + Duration::from_millis(500)));
    let verdict = delivery.answered(3, &each(vec![Answer::Accepted; 2]), now);
    assert_eq!((verdict.done, verdict.is_failure), (2, true));
    // More than were asked for say nothing.
    let verdict = delivery.answered(1, &each(vec![Answer::Accepted, Answer::Failed]), now);
    assert_eq!(verdict, Verdict { done: 1, ..Verdict::default() });
}

#[test]
fn dead_letters_that_cannot_be_kept_are_tried_again_and_are_not_the_sinks_fault() {
    let (mut delivery, mut now) = (delivery(100), Instant::now());
    for attempt in 0..40 {
        let verdict = delivery.answered(1, &rejected(), now);
        assert_eq!((verdict.done, verdict.dead.len()), (1, 1), "{attempt}");
        delivery.not_buried(&verdict, now);
        let Turn::Wait(until) = delivery.turn(5, now) else { panic!("no wait") };
        assert!(until > now && until <= now + RETRY.cap);
        now = until;
        assert_eq!(delivery.turn(5, now), Turn::Send(1));
    }
    assert_eq!(delivery.breaker(), BreakerState::Closed);
    assert_eq!(delivery.answered(1, &rejected(), now).done, 1);
}

#[test]
fn what_is_asked_for_once_more_may_all_be_rejected() {
    let (mut delivery, now) = (delivery(100), Instant::now());
    for _ in 0..REJECTED_IN_ROW * 3 {
        let verdict = delivery.answered_again(1, &rejected(), now);
        assert_eq!((verdict.done, verdict.dead), (1, vec![0]));
    }
    assert_eq!((delivery.breaker(), delivery.waits(now)), (BreakerState::Closed, None));
}

#[test]
fn a_person_can_have_it_tried_at_once_whatever_it_waits_for() {
    let (mut delivery, now) = (delivery(100), Instant::now());
    let minute = now + Duration::from_secs(60);
    let refused = Outcome::Refused { error: "401".into() };
    assert!(delivery.answered(5, &refused, now).is_failure);
    assert_eq!(delivery.waits(now), Some((minute, WaitCause::Refused)));
    delivery.try_now();
    assert_eq!((delivery.waits(now), delivery.turn(5, now)), (None, Turn::Send(1)));
    let verdict = delivery.answered(1, &throttled(Some(60)), now);
    assert_eq!(verdict, Verdict { is_throttled: true, ..Verdict::default() });
    assert_eq!(delivery.waits(now), Some((minute, WaitCause::Throttled)));
    delivery.try_now();
    assert_eq!(delivery.turn(5, now), Turn::Send(1));
    assert!(delivery.answered(1, &failed(), now).is_failure);
    assert_eq!(delivery.waits(now).map(|it| it.1), Some(WaitCause::Failed));
}

#[test]
fn a_rate_limit_makes_batches_smaller_and_later() {
    let begin = Instant::now();
    let mut delivery = Delivery::new(100, Some(10.0), whole());
    let (done, _, sizes, end) = deliver(&mut delivery, 35, begin, 100, |_| Outcome::Accepted);
    assert_eq!((done, sizes), (35, vec![10, 10, 10, 5]));
    assert!(end - begin >= Duration::from_secs_f64(2.5));
}

proptest! {
    /// Whatever else it answers: what it rejects is dead, the rest has arrived, each once and in order.
    #[test]
    fn each_event_is_done_with_once_and_in_order(
        events in 1usize..200,
        batch_events in 1usize..120,
        poison in btree_set(0usize..200, 0..8),
        too_large in btree_set(0usize..200, 0..3),
        most in 1usize..150,
        moods in vec(0u8..6, 0..40),
    ) {
        let bad: BTreeSet<_> = poison.union(&too_large).copied().filter(|at| *at < events).collect();
        let mut delivery = delivery(batch_events);
        let mut moods = moods.into_iter();
        let mut arrived = Vec::new();
        let (done, dead, _, _) = deliver(&mut delivery, events, Instant::now(), 10_000, |sent| {
            match moods.next() {
                Some(0) => return failed(),
                Some(1) => return throttled(Some(3)),
                Some(2) => return Outcome::Refused { error: "403".into() },
                _ => {}
            }
            if sent.len() > most || sent.clone().any(|at| too_large.contains(&at)) {
                return super::tests::too_large();
            }
            if sent.clone().any(|at| poison.contains(&at)) {
                return rejected();
            }
            arrived.extend(sent);
            Outcome::Accepted
        });
        prop_assert_eq!(done, events);
        prop_assert_eq!(dead, bad.iter().copied().collect::<Vec<_>>());
        let wanted: Vec<_> = (0..events).filter(|at| !bad.contains(at)).collect();
        prop_assert_eq!(arrived, wanted);
    }
}

#[test]
fn a_sink_that_takes_one_event_at_once_gets_a_batch_one_by_one() {
    let mut delivery = delivery(1000).with_max_events(1);
    let (done, dead, sizes, _) = deliver(&mut delivery, 5, Instant::now(), 20, |part| {
        if part.contains(&2) { rejected() } else { Outcome::Accepted }
    });
    assert_eq!((done, dead, sizes), (5, vec![2], vec![1; 5]));
    assert_eq!(delivery.batch_events(), 1000, "it is read as before");
}

#[test]
fn a_sink_that_asks_for_no_time_is_not_asked_again_at_once() {
    let now = Instant::now();
    let mut delivery = Delivery::new(10, None, whole());
    for _ in 0..20 {
        delivery.answered(1, &throttled(Some(0)), now);
        let Turn::Wait(until) = delivery.turn(1, now) else { panic!("asked again at once") };
        assert!(until - now >= THROTTLE_FLOOR);
    }
    delivery.answered(1, &throttled(Some(7)), now);
    assert_eq!(delivery.turn(1, now), Turn::Wait(now + Duration::from_secs(7)));
    assert_eq!(delivery.breaker(), BreakerState::Closed);
}

#[test]
fn files_of_ours_that_fail_are_left_alone_for_longer_and_longer_and_the_sink_is_not() {
    let whole: Jitter = Box::new(|ceiling| ceiling);
    let (mut delivery, now) = (Delivery::new(9, None, whole), Instant::now());
    let mut wait_ms = || (delivery.file_failed(now) - now).as_millis();
    let waits: Vec<_> = (0..9).map(|_| wait_ms()).collect();
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
    assert_eq!((delivery.breaker(), delivery.turn(9, now)), (BreakerState::Closed, Turn::Send(9)));
    delivery.file_works();
    assert_eq!((delivery.file_failed(now) - now).as_millis(), 500);
}
