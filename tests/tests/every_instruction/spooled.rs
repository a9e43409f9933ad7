//! Those whose event goes to the spool, and a library that has no lane yet: killed or held after each
//! instruction.

use super::yard::Yard;
use super::{Victim, What, each_instruction};

fn is_killed_or_held(yard: impl Fn() -> Yard, victim: Victim) {
    each_instruction(yard(), victim, What::Killed);
    each_instruction(yard(), victim, What::Held);
}

#[test]
fn a_hook_without_a_ring_is_held_after_each_instruction() {
    each_instruction(Yard::without_a_ring(), Victim::Hook, What::Held);
}

#[test]
fn a_hook_that_finds_no_lane_is_killed_or_held_after_each_instruction() {
    is_killed_or_held(Yard::without_a_lane, Victim::Hook);
}

#[test]
fn a_library_without_a_ring_is_killed_or_held_after_each_instruction() {
    is_killed_or_held(Yard::without_a_ring, Victim::Library);
}

#[test]
fn a_library_whose_lane_is_full_is_killed_or_held_after_each_instruction() {
    is_killed_or_held(Yard::with_a_sleeper, Victim::LibraryFull);
}

#[test]
fn a_librarys_first_publish_is_killed_or_held_after_each_instruction() {
    is_killed_or_held(Yard::with_a_sleeper, Victim::LibraryFirst);
}
