//! A ring file that is removed, replaced or damaged while hooks run. Every event of a hook that exited
//! is journaled, except what the damage itself destroyed: what was published and not yet collected.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::Ordering;

use hookring_tests::{Bed, wait_for};

/// What became of the hooks' events.
struct Outcome {
    sent: u64,
    /// Hooks with a lower number had begun before the harm was done.
    after: u64,
    journaled: Vec<u64>,
}

/// How many hooks run at the same time.
const AGENTS: usize = 2;

/// Lets hooks run, harms the ring, and lets hooks run on until they use another.
fn harm_a_running_ring(harm: impl FnOnce(&Path)) -> Outcome {
    let bed = Bed::new();
    let mut daemon = bed.start();
    let (after, sent) = bed.while_hooks_run(AGENTS, |next| {
        bed.wait_for_events(50);
        harm(&bed.path().join("ring"));
        let after = next.load(Ordering::Relaxed);
        wait_for("the ring to be replaced", || {
            count(&bed, "retired_rings").filter(|count| *count >= 1)
        });
        let replaced = next.load(Ordering::Relaxed);
        wait_for("hooks to use the new one", || {
            (next.load(Ordering::Relaxed) > replaced + 100).then_some(())
        });
        after
    });
    assert!(daemon.is_alive());
    assert_eq!(daemon.stop(), 0, "{}", bed.log());
    let mut journaled = bed.numbers();
    journaled.sort_unstable();
    assert!(journaled.is_sorted_by(|a, b| a < b), "an event is there twice");
    let status = bed.status();
    assert_eq!(status["places"][0]["dropped_events"], 0, "{status}");
    Outcome { sent, after, journaled }
}

/// Nothing was lost.
fn assert_harmless(harm: impl FnOnce(&Path)) {
    let Outcome { sent, journaled, .. } = harm_a_running_ring(harm);
    assert_eq!(journaled, Vec::from_iter(0..sent));
}

/// Nothing was lost but what stood in the ring at that moment.
fn assert_survived(harm: impl FnOnce(&Path)) {
    let Outcome { sent, after, journaled } = harm_a_running_ring(harm);
    let missing: Vec<_> =
        (0..sent).filter(|number| journaled.binary_search(number).is_err()).collect();
    println!("{} of {sent} events were in the ring when it was destroyed", missing.len());
    assert!(missing.iter().all(|number| *number < after), "lost after {after}: {missing:?}");
}

fn overwrite(ring: &Path, from: u64, byte: impl Fn(u64) -> u8) {
    let file = OpenOptions::new().write(true).open(ring).expect("the ring");
    let len = file.metadata().expect("its length").len();
    let bytes: Vec<u8> = (from..len).map(byte).collect();
    file.write_all_at(&bytes, from).expect("the harm");
}

fn noise(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

#[test]
fn removed() {
    assert_harmless(|ring| fs::remove_file(ring).expect("the ring is removed"));
}

#[test]
fn moved_away() {
    assert_harmless(|ring| {
        fs::rename(ring, ring.with_file_name("elsewhere")).expect("the ring is moved");
    });
}

#[test]
fn replaced_by_another_file() {
    assert_harmless(|ring| {
        let other = ring.with_file_name("other");
        fs::write(&other, "not a ring").expect("a file");
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("its mode");
        fs::rename(&other, ring).expect("the ring is replaced");
    });
}

#[test]
fn replaced_by_a_copy_of_itself() {
    assert_harmless(|ring| {
        let copy = ring.with_file_name("copy");
        // Made while it was empty, as a backup would be, and put in place over the living one.
        fs::copy(ring, &copy).expect("a copy");
        overwrite(&copy, 4096, |_| 0);
        fs::rename(&copy, ring).expect("the ring is replaced");
    });
}

#[test]
fn opened_to_others() {
    assert_harmless(|ring| {
        fs::set_permissions(ring, fs::Permissions::from_mode(0o644)).expect("its mode");
    });
}

#[test]
fn truncated() {
    assert_survived(|ring| {
        let file = OpenOptions::new().write(true).open(ring).expect("the ring");
        file.set_len(0).expect("the ring is cut off");
    });
}

#[test]
fn truncated_in_the_middle() {
    assert_survived(|ring| {
        let file = OpenOptions::new().write(true).open(ring).expect("the ring");
        let len = file.metadata().expect("its length").len();
        file.set_len(len / 2).expect("the ring is cut off");
    });
}

#[test]
fn filled_with_noise() {
    assert_survived(|ring| overwrite(ring, 0, noise));
}

#[test]
fn filled_with_zeros() {
    assert_survived(|ring| overwrite(ring, 0, |_| 0));
}

/// The header is whole, so the ring stays and its lanes heal. A hook that comes between the damage and
/// the reader may find a lane that looks empty to it: what it publishes there is counted as damage.
#[test]
fn lanes_filled_with_noise_or_zeros_heal() {
    for byte in [noise, |_| 0] {
        let bed = Bed::new();
        let daemon = bed.start();
        bed.emit_numbers(0..100);
        bed.wait_for_events(100);
        overwrite(&bed.path().join("ring"), 4096, byte);
        bed.emit_numbers(100..101);
        let condemned = wait_for("the damage to be seen", || {
            count(&bed, "condemned_lanes").filter(|it| *it > 0)
        });
        bed.emit_numbers(101..300);
        assert_eq!(daemon.stop(), 0);
        let mut journaled = bed.numbers();
        journaled.sort_unstable();
        journaled.retain(|number| *number != 100);
        assert_eq!(journaled, Vec::from_iter((0..100).chain(101..300)), "{condemned} lanes");
        let is_lost = !bed.numbers().contains(&100);
        assert!(!is_lost || count(&bed, "damaged_bytes") >= Some(64));
        assert_eq!(count(&bed, "retired_rings"), Some(0));
    }
}

fn count(bed: &Bed, name: &str) -> Option<u64> {
    bed.status()["counts"][name].as_u64()
}
