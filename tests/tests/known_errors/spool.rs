//! Spool entries that cannot be removed once they are journaled.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use hookring_tests::{Bed, wait_for};
use serde_json::Value;

fn entries(bed: &Bed) -> Vec<PathBuf> {
    let entries = fs::read_dir(bed.path().join("spool")).expect("the spool");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.file_name().is_some_and(|name| name != "usage")).collect()
}

/// The first line of each segment, oldest first.
fn headers(bed: &Bed) -> Vec<Value> {
    let dir = fs::read_dir(bed.path().join("journal")).expect("the journal");
    let mut paths: Vec<_> = dir.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    let first_line = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a segment");
        serde_json::from_str(text.lines().next().expect("its first line")).expect("JSON")
    };
    paths.iter().map(first_line).collect()
}

#[test]
fn an_entry_that_cannot_be_removed_is_journaled_once_through_rotations_and_restarts() {
    let bed = Bed::new();
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n");
    // Without a ring, it goes to the spool.
    bed.emit_numbers(0..1);
    let entry = entries(&bed).pop().expect("an entry");
    let content = fs::read(&entry).expect("the entry");
    let daemon = bed.start();
    bed.wait_for_events(1);
    assert_eq!(daemon.stop(), 0);
    // Its unlink did not last, and for the next daemon it fails: it would for any directory.
    fs::create_dir(&entry).expect("a directory in its place");
    let daemon = bed.start();
    wait_for("the entry to be seen", || {
        (bed.status()["places"][0]["stuck_spool_entries"] == 1).then_some(())
    });
    let padding = "x".repeat(1000);
    let last = 150;
    for number in 1..last {
        bed.emit(format!("{{\"n\":{number},\"pad\":\"{padding}\"}}").as_bytes());
    }
    bed.wait_for_events(last as usize);
    wait_for("a rotation", || (headers(&bed).len() > 2).then_some(()));
    daemon.kill();
    let (_, id) = entry.to_str().expect("text").rsplit_once('-').expect("an id");
    for (at, header) in headers(&bed).iter().enumerate() {
        let ids = &header["segment"]["ids"];
        assert!(if at == 0 { ids.is_null() } else { ids[0] == id }, "{at}: {header}");
    }
    fs::remove_dir(&entry).expect("the directory goes");
    fs::write(&entry, content).expect("the entry is back");
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o600)).expect("its mode");
    let daemon = bed.start();
    bed.emit_numbers(last..last + 1);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..=last));
    assert_eq!(entries(&bed), [] as [PathBuf; 0]);
    assert_eq!(bed.status()["counts"]["journaled_spool_entries"], 1);
    assert_eq!(bed.hookring(&["journal", "verify"]).status.code(), Some(0));
}
