//! Directories removed under a running daemon: what comes afterwards is kept, and it is said.

use std::fs;

use hookring_tests::{Bed, wait_for};

#[test]
fn a_removed_journal_is_begun_anew_and_sinks_go_on() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..20);
    bed.wait_for_events(20);
    fs::remove_dir_all(bed.path().join("journal")).expect("the removal");
    wait_for("the daemon to notice", || {
        (bed.status()["journal"]["removed_segments"] == 1).then_some(())
    });
    bed.emit_numbers(20..40);
    wait_for("what came afterwards", || (bed.numbers().last() == Some(&39)).then_some(()));
    let (code, said) = bed.start_refused();
    assert_eq!(code, 1, "the lock is held again: {said}");
    assert_eq!(daemon.stop(), 0);
    let kept = bed.numbers();
    assert_eq!(kept[kept.len() - 20..], Vec::from_iter(20..40));
    let delivered = fs::read_to_string(bed.path().join("sinks/file.jsonl")).expect("the file");
    assert_eq!(delivered.lines().count(), 40, "a sink had them before, or has them now");
    assert!(bed.log().contains("removed"), "{}", bed.log());
    let payloads = bed.own_events().into_iter().map(|event| event["payload"].clone());
    let gaps = payloads.filter(|payload| payload["cause"] == "journal_removed");
    let told: u64 = gaps.filter_map(|gap| gap["count"].as_u64()).sum();
    assert_eq!(bed.status()["journal"]["removed_events"], told);
    assert_eq!(bed.hookring(&["journal", "verify"]).status.code(), Some(0));
}

#[test]
fn what_comes_right_after_the_removal_is_not_lost_even_if_the_daemon_dies() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_numbers(0..20);
    bed.wait_for_events(20);
    fs::remove_dir_all(bed.path().join("journal")).expect("the removal");
    // Nothing waits for the daemon to look around: these events must not go where nobody finds them.
    bed.emit_numbers(20..40);
    wait_for("the last event", || (bed.numbers().last() == Some(&39)).then_some(()));
    daemon.kill();
    assert_eq!(bed.start().stop(), 0);
    let kept = bed.numbers();
    assert_eq!(kept[kept.len() - 20..], Vec::from_iter(20..40), "{kept:?}");
}

#[test]
fn what_comes_after_the_journal_was_moved_away_is_there_even_if_the_daemon_is_stopped_at_once() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_numbers(0..20);
    bed.wait_for_events(20);
    fs::rename(bed.path().join("journal"), bed.path().join("aside")).expect("the move");
    bed.emit_numbers(20..40);
    assert_eq!(daemon.stop(), 0);
    let kept = bed.numbers();
    assert!(kept.ends_with(&Vec::from_iter(20..40)), "{kept:?}");
}

#[test]
fn removed_cursors_and_a_removed_status_file_come_back() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\nstart = \"now\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..5);
    bed.wait_for_events(5);
    fs::remove_dir_all(bed.path().join("cursors")).expect("the removal");
    fs::remove_file(bed.path().join("status.json")).expect("the removal");
    bed.emit_numbers(5..10);
    wait_for("the status", || bed.path().join("status.json").exists().then_some(()));
    assert_eq!(daemon.stop(), 0);
    // Without its cursor, a sink that begins with "now" would miss what comes meanwhile.
    bed.emit_numbers(10..15);
    assert_eq!(bed.start().stop(), 0);
    let delivered = fs::read_to_string(bed.path().join("sinks/file.jsonl")).expect("the file");
    assert_eq!(delivered.lines().count(), 15, "{delivered}");
}
