//! Restarts: each event is in the journal and in a sink's file exactly once, however the daemon ended.

use std::fs;

use hookring_tests::Bed;

use crate::{numbers_in, wait_for_delivery};

#[test]
fn a_sink_goes_on_from_its_cursor_whether_the_daemon_was_stopped_or_killed() {
    let bed = Bed::new();
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n[sinks.file]\ntype = \"jsonl\"\n");
    let rounds = 8;
    for round in 0..rounds {
        let daemon = bed.start();
        bed.emit_numbers(round * 60..round * 60 + 30);
        if round % 2 == 0 {
            daemon.kill();
        } else {
            assert_eq!(daemon.stop(), 0);
        }
        bed.emit_numbers(round * 60 + 30..round * 60 + 60);
    }
    let daemon = bed.start();
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..rounds * 60));
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), Vec::from_iter(0..rounds * 60));
    assert_eq!(bed.hookring(&["journal", "verify"]).status.code(), Some(0));
}

#[test]
fn numbers_go_on_across_restarts_and_segments() {
    let bed = Bed::new();
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n[health]\nhook_p99 = \"0ms\"\n");
    for round in 0..3 {
        let daemon = bed.start();
        bed.emit_numbers(round * 300..round * 300 + 300);
        assert_eq!(daemon.stop(), 0);
    }
    let events = bed
        .all_lines()
        .into_iter()
        .map(|line| serde_json::from_slice::<serde_json::Value>(&line).expect("a line is JSON"));
    let seqs: Vec<_> = events.map(|event| event["seq"].as_u64().expect("a number")).collect();
    // Each daemon says that it began, and that it ends.
    assert_eq!(seqs, Vec::from_iter(1..=3 * 302));
    let segments = bed.status()["journal"]["segments"].as_u64().expect("a number");
    assert!(segments >= 3, "{segments} segments");
}

#[test]
fn old_segments_go_when_every_sink_has_them() {
    let bed = Bed::new();
    let limits = "[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64KiB\"\n";
    bed.configure(&format!("{limits}[sinks.file]\ntype = \"jsonl\"\n"));
    let daemon = bed.start();
    bed.emit_numbers(0..1000);
    wait_for_delivery(&bed, "file", 1000);
    hookring_tests::wait_for("the old segments to go", || {
        (journal_bytes(&bed) <= 3 * 64 * 1024).then_some(())
    });
    assert_eq!(daemon.stop(), 0);
    let kept = bed.numbers();
    // None may be left: the last event may have filled its segment.
    let first = kept.first().copied().unwrap_or(1000);
    assert!(first > 0, "nothing went");
    assert_eq!(kept, Vec::from_iter(first..1000));
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), Vec::from_iter(0..1000));
}

/// A segment may go between its listing and the look at its length.
fn journal_bytes(bed: &Bed) -> u64 {
    fs::read_dir(bed.path().join("journal"))
        .expect("the journal")
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
