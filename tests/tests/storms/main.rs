//! Storms: everything that happens to a ring in daily life, and much that should not, all at once. Each
//! ends in a calm, in which an account is taken: every event whose publish returned is in the journal
//! exactly once and in its producer's order, and what could not be kept is counted.
//!
//! `HOOKRING_TEST_LONG=1` runs the long forms (tests/long.sh does); `HOOKRING_TEST_SEED` repeats the
//! choices of an earlier run, as far as processes that run at the same time can be repeated.

#[allow(dead_code, reason = "the crash tests need more of it")]
#[path = "../crash/account.rs"]
mod account;
mod agents;
mod clocks;
mod crowds;
mod daemons;
mod forks;
mod logouts;
mod no_room;
#[path = "../../src/bin/crash_producer/numbered.rs"]
mod numbered;
mod ring_files;
#[path = "../crash/seed.rs"]
mod seed;
mod strangers;
mod users;
#[allow(dead_code, reason = "the crash tests need more of it")]
#[path = "../crash/victims.rs"]
mod victims;

use account::Account;
use hookring_tests::{Bed, Daemon, SMALL};
use seed::Seed;
use serde_json::Value;

fn new_bed() -> Bed {
    let bed = Bed::new();
    bed.configure(SMALL);
    bed
}

/// One number in the usual form of a test, another in its long form.
fn short_or_long<T>(short: T, long: T) -> T {
    if std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1") {
        long
    } else {
        short
    }
}

/// The calm after a storm: the daemon takes what there is and ends. The account, and the last status.
fn calm(bed: &Bed, daemon: Daemon) -> (Account, Value) {
    let code = daemon.stop();
    assert_eq!(code, 0, "{}", bed.log());
    let verified = bed.hookring(&["journal", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let account = Account::of(bed);
    let status = bed.status();
    println!("{account}; {}", status["counts"]);
    (account, status)
}

/// One of the status' counts.
fn count(status: &Value, name: &str) -> u64 {
    status["counts"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {status}"))
}

/// Events that found room nowhere, in all places.
fn dropped(status: &Value) -> u64 {
    let places = status["places"].as_array().expect("places");
    places.iter().map(|place| place["dropped_events"].as_u64().expect("a count")).sum()
}
