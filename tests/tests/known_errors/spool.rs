//! Spool entries that cannot be removed once they are journaled, or cannot be read, and counters with noise
//! in them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;

use hookring_tests::{Bed, left_out, wait_for};
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

#[test]
fn entries_of_another_user_keep_nobody_waiting_and_come_when_they_are_ours() {
    const OTHERS: u64 = 4200;
    let bed = Bed::new();
    bed.emit_numbers(0..1);
    let entry = entries(&bed).pop().expect("an entry");
    if chown(&entry, Some(1), None).is_err() {
        left_out("root", "only root can give files away");
        return;
    }
    for stamp in 0..OTHERS {
        let path = entry.with_file_name(format!("{stamp:020}-{:032x}", stamp + 1));
        fs::write(&path, "").expect("another entry");
        chown(path, Some(1), None).expect("another owner");
    }
    bed.emit_numbers(1..2);
    let daemon = bed.start();
    assert_eq!(bed.wait_for_events(1)[0]["payload"]["n"], 1);
    wait_for("the others to be reported", || {
        (bed.status()["places"][0]["unreadable_spool_entries"] == OTHERS + 1).then_some(())
    });
    let shown = bed.hookring(&["status"]).stdout;
    let shown = String::from_utf8(shown).expect("text");
    assert!(shown.contains("4201  spool entries that cannot be read"), "{shown}");
    assert_eq!(daemon.stop(), 0);
    let name = entry.file_name().expect("a name").to_str().expect("text");
    let aside = entry.with_file_name(format!(".unreadable-{name}"));
    chown(aside, Some(rustix::process::geteuid().as_raw()), None).expect("the owner");
    let daemon = bed.start();
    bed.wait_for_events(2);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), [1, 0]);
    assert_eq!(bed.status()["counts"]["bad_spool_entries"], 0);
}

#[test]
fn noise_in_the_counters_costs_no_event_that_comes_once_they_are_mended() {
    let bed = Bed::new();
    let daemon = bed.start();
    let usage = bed.path().join("spool/usage");
    let file = OpenOptions::new().read(true).write(true).open(usage).expect("the counters");
    // As docs/ring-format.md has them: used, limit, and what was dropped.
    let words = || -> Vec<u64> {
        let mut bytes = [0; 32];
        file.read_exact_at(&mut bytes, 0).expect("the counters");
        bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("a word"))).collect()
    };
    let right = [0, 256 << 20, 0, 0];
    for noise in [1_u64, u64::MAX - 63, 1 << 60] {
        let noise: Vec<u8> = [noise; 4].iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all_at(&noise, 0).expect("the noise");
        wait_for("the counters to be mended", || (words()[..2] == right[..2]).then_some(()));
    }
    wait_for("the mending to be told", || {
        (bed.status()["counts"]["mended_spool_counters"].as_u64() >= Some(6)).then_some(())
    });
    // Too large for a lane.
    let count = 3;
    for n in 0..count {
        bed.emit(format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(1 << 20)).as_bytes());
    }
    bed.wait_for_events(count);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), [0, 1, 2]);
    let dropped = &bed.status()["places"][0]["dropped_events"];
    // 1 may have been counted.
    assert!(dropped.as_u64() <= Some(1), "{dropped}");
}
