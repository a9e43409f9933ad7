//! `hookring status` while no daemon runs: it looks into ring and spool itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hookring_tests::Bed;

fn shown(bed: &Bed) -> String {
    let output = bed.hookring(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).expect("text")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string());
    let mut names: Vec<_> = names.map(|name| name.expect("text")).collect();
    names.sort();
    names
}

#[test]
fn what_waits_is_shown_as_it_is_now() {
    let bed = Bed::new();
    // No ring yet.
    bed.emit_numbers(0..3);
    let place = &bed.status()["places"][0];
    assert_eq!((&place["spool_entries"], &place["lanes"]), (&3.into(), &0.into()));
    let daemon = bed.start();
    bed.wait_for_events(3);
    daemon.kill();
    bed.emit_numbers(3..5);
    // Too large for a lane.
    bed.emit(format!("{{\"n\":5,\"pad\":\"{}\"}}", "x".repeat(1 << 20)).as_bytes());
    let before = (names(bed.path()), names(&bed.path().join("spool")));
    let status = bed.status();
    assert_eq!(status["running"], false);
    let place = &status["places"][0];
    assert_eq!(place["lanes"], 32);
    assert!(place["used_bytes"].as_u64() >= Some(2 * 128), "{place}");
    assert_eq!(place["spool_entries"], 1);
    assert!(place["spool_bytes"].as_u64() >= Some(1 << 20), "{place}");
    let said = shown(&bed);
    assert!(said.contains("1.0 MiB        1        0"), "{said}");
    assert_eq!((names(bed.path()), names(&bed.path().join("spool"))), before);
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..6));
    let place = &bed.status()["places"][0];
    assert_eq!((&place["used_bytes"], &place["spool_entries"]), (&0.into(), &0.into()));
}

#[test]
fn why_a_place_is_not_used_is_shown() {
    let bed = Bed::new();
    fs::write(bed.path().join("ring"), "no ring").expect("a file");
    fs::set_permissions(bed.path().join("ring"), PermissionsExt::from_mode(0o600)).expect("mode");
    fs::write(bed.path().join("spool"), "no spool").expect("a file");
    let said = shown(&bed);
    assert!(said.contains("has no ring: it does not begin with"), "{said}");
    assert!(said.contains("has no spool: not a directory"), "{said}");
    assert!(bed.status()["places"][0]["spool_error"].is_string());
    fs::set_permissions(bed.path(), PermissionsExt::from_mode(0o755)).expect("the mode");
    let said = shown(&bed);
    for part in ["not used: belongs to uid", "mode 0755, not to uid", "with 0700"] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(bed.status()["places"][0]["refused"].as_str().is_some_and(|it| it.contains("0755")));
    assert_eq!(names(bed.path()), ["ring", "spool"]);
}
