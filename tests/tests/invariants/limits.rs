//! Every queue has a limit, and what is lost there is counted where a user sees it.

use hookring_tests::Bed;
use serde_json::Value;

fn place(status: &Value) -> &Value {
    &status["places"][0]
}

#[test]
fn at_the_spools_limit_the_newest_are_dropped_and_counted() {
    let bed = Bed::new();
    bed.configure("[bus]\nlanes = 1\nlane_bytes = \"16KiB\"\nspool_bytes = \"1MiB\"\n");
    let daemon = bed.start();
    daemon.signal("STOP");
    // Each too large for the lane; ten fit into the spool.
    let padding = "x".repeat(100_000);
    let emit = |n: u64| bed.emit(format!("{{\"n\":{n},\"pad\":\"{padding}\"}}").as_bytes());
    (0..15).for_each(emit);
    daemon.signal("CONT");
    bed.wait_for_events(10);
    // There is room again.
    (15..18).for_each(emit);
    assert_eq!(daemon.stop(), 0);
    let kept = bed.numbers();
    assert_eq!(kept, Vec::from_iter((0..10).chain(15..18)));
    let status = bed.status();
    assert_eq!(place(&status)["dropped_events"], 5, "{status}");
    assert_eq!(place(&status)["spool_bytes"], 0, "{status}");
    let shown = bed.hookring(&["status"]);
    let shown = String::from_utf8(shown.stdout).expect("text");
    let row = shown.lines().find(|line| line.starts_with(&bed.path().display().to_string()));
    assert!(row.is_some_and(|row| row.trim_end().ends_with(" 5")), "{shown}");
}

#[test]
fn what_was_dropped_without_a_daemon_is_told_by_the_next_one() {
    let bed = Bed::new();
    bed.configure("[bus]\nlanes = 1\nlane_bytes = \"16KiB\"\nspool_bytes = \"1MiB\"\n");
    assert_eq!(bed.start().stop(), 0);
    let padding = "x".repeat(300_000);
    (0..10).for_each(|n| bed.emit(format!("{{\"n\":{n},\"pad\":\"{padding}\"}}").as_bytes()));
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.numbers(), [0, 1, 2]);
    let status = bed.status();
    assert_eq!(place(&status)["dropped_events"], 7, "{status}");
}
