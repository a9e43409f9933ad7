//! Secrets that agents hand to real hooks are nowhere in what a real daemon leaves and says: not in any file of
//! its directory, of any sink's, compressed or not, nor in what it and the commands print; not as they are, nor
//! behind any decoding that a curious reader might try.
//!
//! What is looked at, and when: while the daemon runs and has journaled everything, the ring (whose bytes are
//! zeroed once they were read) and the spool (whose entries are unlinked), `status`, `tail`, `journal export` and the metrics; after
//! it has ended, every file and every name below its directory, its stdout and its log. Before they are journaled, ring
//! and spool hold payloads as they came: that is by design, and not looked at.
//!
//! `HOOKRING_TEST_LONG=1` plants many more; `HOOKRING_TEST_SEED` repeats what a failed run printed.

#[allow(dead_code, reason = "shared with the pipeline's tests, which use all of it")]
#[path = "../../../pipeline/tests/redaction/chance.rs"]
mod chance;
#[path = "../../../pipeline/tests/redaction/decoded.rs"]
mod decoded;
#[allow(dead_code, reason = "as above")]
#[path = "../../../pipeline/tests/redaction/hiding.rs"]
mod hiding;
#[allow(dead_code, reason = "as above")]
#[path = "../../../pipeline/tests/redaction/shapes.rs"]
mod shapes;

mod plant;
mod search;
mod stand;

use std::time::SystemTime;

use chance::Chance;
use plant::Plant;
use search::Search;
use stand::Stand;

fn is_long() -> bool {
    std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1")
}

fn seed() -> u64 {
    let named = std::env::var("HOOKRING_TEST_SEED").ok();
    let named = named.map(|seed| seed.parse().expect("HOOKRING_TEST_SEED is a number"));
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = named.unwrap_or_else(|| clock().expect("a clock after 1970").as_nanos() as u64);
    println!("HOOKRING_TEST_SEED={seed}");
    seed
}

#[test]
fn no_planted_secret_is_left_anywhere() {
    let seed = seed();
    for round in 0..if is_long() { 20 } else { 1 } {
        let mut chance = Chance(seed.wrapping_add(round));
        let plants = plant::plants(&mut chance, if is_long() { 300 } else { 150 });
        for plant in &plants {
            let search = Search::new([plant.secret.as_str()]);
            let is_there = plant.given().iter().any(|part| !search.in_bytes(part).is_empty());
            assert!(is_there, "not planted: {plant:?}");
        }
        let search = Search::new(plants.iter().map(|plant| plant.secret.as_str()));
        let stand = Stand::new(&mut chance, &plants);
        let found = stand.run(&plants, &search);
        let found: Vec<_> =
            found.iter().map(|(place, secret)| told(&plants, place, secret)).collect();
        assert!(
            found.is_empty(),
            "HOOKRING_TEST_SEED={seed}, round {round}:\n{}",
            found.join("\n")
        );
        println!("round {round}: {} secrets, {}", plants.len(), stand.looked_at());
    }
}

fn told(plants: &[Plant], place: &str, secret: &str) -> String {
    let plant = plants.iter().find(|plant| plant.secret == secret).expect("one that was planted");
    format!("{secret} is in {place}: {plant:?}")
}

/// The search sees what redaction does not take out, in every place: else the test above could not fail.
#[test]
fn what_is_no_secret_is_found_in_every_place() {
    let seed = seed();
    let mut chance = Chance(seed);
    let mut plants = plant::harmless(&mut chance);
    let filler = plant::plants(&mut chance, 100);
    plants.extend(
        filler.into_iter().map(|plant| Plant { secret: "never there at all".to_owned(), ..plant }),
    );
    let secrets: Vec<_> =
        plants.iter().map(|plant| plant.secret.clone()).take(plant::HARMLESS).collect();
    let search = Search::new(secrets.iter().map(String::as_str));
    let stand = Stand::new(&mut chance, &plants);
    let found = stand.run(&plants, &search);
    for secret in &secrets {
        for place in ["journal", "plain-", "gzip-", "zstd-", "stdout", "tail", "export"] {
            let is_there = found.iter().any(|(where_, it)| it == secret && where_.contains(place));
            assert!(is_there, "{secret} is not found in {place}: {found:?}");
        }
    }
    // Not all that stands in an event goes there.
    let is_sent = found.iter().any(|(where_, _)| where_.contains("/v1/logs"));
    assert!(is_sent, "nothing is found in what is sent by OTLP: {found:?}");
}
