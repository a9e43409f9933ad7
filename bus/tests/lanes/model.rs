//! The bus against a plain queue: whatever producers and the reader do, and whoever dies, what was
//! published comes out once, in the order in which it was published, and nothing else does. And whatever
//! is removed or moved under them, which words of a lane lie, and who stands still in the middle of a
//! store: as far as `docs/guarantees.md` says.
//!
//! All of it happens in one thread, so the order of publishing is total: per producer, and from a
//! cause to its effect. `HOOKRING_TEST_LONG=1` (tests/long.sh sets it) tries many more cases;
//! `HOOKRING_TEST_SEED` repeats those of an earlier run. What ever failed is tried first, from
//! `proptest-regressions`: one file for each of the tests, since a case is kept as the seed of its
//! strategy. So an action that comes to a strategy goes to `harm`, or the kept cases are others.

mod harm;
mod held;
mod queue;
mod reader;
mod run;

use harm::{How, Lie, What};
use held::Step;
use hookring_bus::create;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, RngSeed, TestRunner};
use run::{PRODUCERS, Run};

const CASES: u32 = 48;
const LONG_CASES: u32 = 4_000;

#[derive(Clone, Debug)]
enum Action {
    /// A hook publishes once; what the ring does not take goes to the spool.
    Hook {
        bytes: usize,
    },
    /// A long-lived producer publishes these with one store.
    Publish {
        producer: usize,
        sizes: Vec<usize>,
    },
    /// It fills a record in place.
    Commit {
        producer: usize,
        bytes: usize,
    },
    /// It gives one up before it is committed.
    Abort {
        producer: usize,
        bytes: usize,
    },
    /// It dies with so many records written and not published.
    Kill {
        producer: usize,
        sizes: Vec<usize>,
    },
    /// The reader takes a batch, and has it safe.
    Read,
    /// The reader dies when so many records of its next batch are safe, and another takes its place.
    Crash {
        safe: usize,
    },
    /// Somebody removes the ring's file.
    RemoveRing,
    /// The daemon's settings change: the ring's sizes and the spool's limit.
    Settings {
        lanes: u32,
        spool_bytes: u64,
    },
    Maintain,
    /// Somebody removes or moves a part of the bus under everybody.
    Harm {
        what: What,
        how: How,
    },
    /// Somebody writes over a word of a lane.
    Lie {
        lane: u32,
        lie: Lie,
    },
    /// A hook comes to the middle of a store in the spool, and stands still.
    Hold {
        bytes: usize,
    },
    GoOn {
        which: usize,
        step: Step,
    },
    /// A second reader comes.
    SecondReader,
}

fn action() -> impl Strategy<Value = Action> {
    // From nothing to more than a lane takes, so that lanes are full soon.
    let bytes = || prop_oneof![6 => 0..300usize, 3 => 2000..8200usize, 1 => 8129..20_000usize];
    let producer = || 0..PRODUCERS;
    let sizes = move || vec(bytes(), 1..6);
    prop_oneof![
        6 => bytes().prop_map(|bytes| Action::Hook { bytes }),
        6 => (producer(), sizes())
            .prop_map(|(producer, sizes)| Action::Publish { producer, sizes }),
        3 => (producer(), bytes()).prop_map(|(producer, bytes)| Action::Commit { producer, bytes }),
        2 => (producer(), bytes()).prop_map(|(producer, bytes)| Action::Abort { producer, bytes }),
        2 => (producer(), sizes()).prop_map(|(producer, sizes)| Action::Kill { producer, sizes }),
        5 => Just(Action::Read),
        3 => (0..20usize).prop_map(|safe| Action::Crash { safe }),
        1 => Just(Action::RemoveRing),
        1 => (prop_oneof![Just(2u32), Just(4)], prop_oneof![Just(20_000u64), Just(1 << 20)])
            .prop_map(|(lanes, spool_bytes)| Action::Settings { lanes, spool_bytes }),
        2 => Just(Action::Maintain),
    ]
}

/// What others do.
fn harm() -> impl Strategy<Value = Action> {
    let what =
        prop_oneof![2 => Just(What::Spool), 2 => Just(What::Counters), 1 => Just(What::Place)];
    let how = prop_oneof![Just(How::Removed), Just(How::Moved), Just(How::Replaced)];
    let lie = prop_oneof![
        Just(Lie::TailUneven),
        Just(Lie::TailHuge),
        Just(Lie::TailBeyond),
        Just(Lie::HeadUneven),
        Just(Lie::HeadHuge),
        Just(Lie::Condemned),
    ];
    let step = prop_oneof![3 => Just(Step::Next), 1 => Just(Step::Dies)];
    prop_oneof![
        3 => (what, how).prop_map(|(what, how)| Action::Harm { what, how }),
        3 => (0..4u32, lie).prop_map(|(lane, lie)| Action::Lie { lane, lie }),
        5 => (0..3000usize).prop_map(|bytes| Action::Hold { bytes }),
        8 => (0..4usize, step).prop_map(|(which, step)| Action::GoOn { which, step }),
        1 => Just(Action::SecondReader),
    ]
}

#[test]
fn the_bus_is_a_queue() {
    check("model.txt", vec(action(), 1..120));
}

#[test]
fn the_bus_is_a_queue_whatever_is_removed_damaged_or_held() {
    check("model_harm.txt", vec(prop_oneof![3 => action().boxed(), 1 => harm().boxed()], 1..120));
}

/// Tries the cases that are kept in `regressions`, and new ones.
fn check(regressions: &str, actions: impl Strategy<Value = Vec<Action>>) {
    let named = std::env::var("HOOKRING_TEST_SEED").ok();
    let named = named.map(|seed| seed.parse().expect("HOOKRING_TEST_SEED is a number"));
    let seed =
        named.unwrap_or_else(|| u64::from_le_bytes(*create::random_seed().first_chunk().unwrap()));
    println!("HOOKRING_TEST_SEED={seed}");
    let is_long = std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1");
    let kept = format!("{}/proptest-regressions/{regressions}", env!("CARGO_MANIFEST_DIR"));
    let config = ProptestConfig {
        cases: if is_long { LONG_CASES } else { CASES },
        rng_seed: RngSeed::Fixed(seed),
        // It wants a path that lives as long as the program: one for each test.
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept.leak()))),
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let checked = TestRunner::new(config).run(&actions, |actions| {
        let mut run = Run::new();
        for action in &actions {
            run.act(action);
        }
        run.finish();
        Ok(())
    });
    if let Err(error) = checked {
        panic!("with HOOKRING_TEST_SEED={seed}: {error}");
    }
}
