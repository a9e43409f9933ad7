//! A hook process and a library's publish, stopped after every single instruction: killed there, or
//! held there while others publish. What was published is found once and whole, nobody waits for the
//! one that stands still, and no lane is lost.
//!
//! Each run begins anew and goes further than the one before. The short form stops after some of the
//! instructions, spread over the whole; `HOOKRING_TEST_LONG=1` (tests/long.sh sets it) after each, which
//! takes hours. `HOOKRING_TEST_SEED` repeats the choice of an earlier run.
#![cfg(target_os = "linux")]

#[cfg(target_arch = "x86_64")]
mod crc;
mod cut;
mod first_store;
mod shared;
mod spooled;
mod tracee;
mod yard;

use std::io::ErrorKind;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use hookring_tests::left_out;
use tracee::Tracee;
use yard::{Yard, spooled_bytes, take_all};

/// The event of the process that is stopped.
const PAYLOAD: &str =
    r#"{"session_id":"s","hook_event_name":"PreToolUse","tool_input":{"command":"ls"}}"#;
/// The event of the others.
const OTHER: &[u8] = b"{\"other\":true}";
/// What the library's process publishes before it is stopped.
const WARM: &[u8] = b"{\"warm\":true}";
/// Runs in the short form, and those among the last instructions: a hook publishes at its very end.
const SHORT_RUNS: usize = 40;
const SHORT_LAST: usize = 24;

#[test]
fn a_hook_is_killed_after_each_instruction() {
    each_instruction(Yard::new(), Victim::Hook, What::Killed);
}

#[test]
fn a_hook_is_held_after_each_instruction() {
    each_instruction(Yard::new(), Victim::Hook, What::Held);
}

#[test]
fn a_hook_without_a_ring_is_killed_after_each_instruction() {
    each_instruction(Yard::without_a_ring(), Victim::Hook, What::Killed);
}

#[test]
fn a_library_publish_is_killed_after_each_instruction() {
    each_instruction(Yard::new(), Victim::Library, What::Killed);
}

#[test]
fn a_library_publish_is_held_after_each_instruction() {
    each_instruction(Yard::new(), Victim::Library, What::Held);
}

/// So that it wakes the reader, too.
#[test]
fn a_hook_that_finds_the_reader_asleep_is_killed_or_held_after_each_instruction() {
    each_instruction(Yard::with_a_sleeper(), Victim::Hook, What::Killed);
    each_instruction(Yard::with_a_sleeper(), Victim::Hook, What::Held);
}

#[test]
fn a_library_that_finds_the_reader_asleep_is_killed_or_held_after_each_instruction() {
    each_instruction(Yard::with_a_sleeper(), Victim::Library, What::Killed);
    each_instruction(Yard::with_a_sleeper(), Victim::Library, What::Held);
}

#[derive(Copy, Clone)]
enum Victim {
    Hook,
    Library,
    /// Whose lane is full.
    LibraryFull,
    /// From before it has anything.
    LibraryFirst,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum What {
    Killed,
    Held,
}

fn each_instruction(mut yard: Yard, victim: Victim, what: What) {
    let Some(mut whole) = yard.start(victim) else { return };
    let way = whole.explore();
    let instructions = way.instructions;
    drop(whole);
    let found = yard.take_all();
    assert_eq!(found.victims, 1, "nothing was published by {instructions} instructions");
    assert_eq!(found.spooled, usize::from(yard.spools(victim)), "where it went");
    let chosen = chosen(instructions);
    println!("{} of {instructions} instructions", chosen.len());
    let (mut visible, mut invisible) = (0, 0);
    for step in chosen {
        let mut process = yard.start(victim).expect("it started before");
        let before = yard.published_bytes();
        process.follow(&way, step);
        let is_visible = yard.published_bytes() > before;
        *(if is_visible { &mut visible } else { &mut invisible }) += 1;
        let place = format!("instruction {step} of {instructions}");
        match what {
            What::Killed => {
                process.kill();
                yard.check_others_wake(&place);
                let found = yard.take_all();
                assert_eq!(found.victims, usize::from(is_visible), "{place}");
            }
            What::Held => {
                let others = yard.publish_others();
                assert!(!yard.is_asleep(), "{place}: others do not wake the reader");
                let found = yard.take_all();
                assert_eq!(found.others, others, "{place}: others wait for it");
                assert_eq!(process.finish(), 0, "{place}");
                assert_eq!(found.victims + yard.take_all().victims, 1, "{place}");
            }
        }
    }
    assert!(visible > 0 && invisible > 0, "{visible} and {invisible}");
    yard.check();
}

/// A process before its first instruction. `None`, said by [`left_out`], where it cannot be traced.
fn start_tracee(command: &mut Command) -> Option<Tracee> {
    let tracee = Tracee::start(command);
    if let Err(error) = &tracee {
        assert_ne!(error.kind(), ErrorKind::NotFound, "{command:?}: {error}");
    }
    tracee.map_err(|error| left_out("ptrace", &error.to_string())).ok()
}

/// The instructions after which a process is stopped: all; or some spread over the whole, and the last.
fn chosen(instructions: usize) -> Vec<usize> {
    let step = match std::env::var_os("HOOKRING_TEST_LONG") {
        Some(_) => 1,
        None => (instructions / SHORT_RUNS).max(1),
    };
    let seed = std::env::var("HOOKRING_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        now.subsec_nanos() as usize
    });
    println!("HOOKRING_TEST_SEED={seed}");
    let last = instructions.saturating_sub(SHORT_LAST);
    (seed % step..last).step_by(step).chain(last..=instructions).collect()
}
