//! Where sinks go on: cursors that are moved, left over, damaged, gone.

use std::fs;

use hookring_tests::{Bed, wait_for};
use serde_json::json;

use crate::asking::{FILE, done, refused, said};
use crate::{numbers_in, wait_for_delivery};

/// A daemon with these sinks, of which `file` gets three events, from its start to its end.
fn deliver_three(bed: &Bed, sinks: &str) {
    bed.configure(sinks);
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(bed, "file", 3);
    assert_eq!(daemon.stop(), 0);
}

/// Where another sink is advised to go on, once the sink `before` has had all events for sure.
fn place_behind_all(bed: &Bed) -> String {
    let last = bed.events().last().expect("an event")["seq"].as_u64().expect("a number");
    let advice = "there is a cursor of sink before, which is not configured: if it has another name now, run `hookring \
                  sink reset NAME --to ";
    wait_for("the cursor", || {
        let said = said(&bed.hookring(&["config", "check"]));
        let number = said.split_once(advice)?.1.split_once('`')?.0.to_owned();
        (number.parse::<u64>().expect("a number") > last).then_some(number)
    })
}

#[test]
fn a_cursor_is_moved_under_the_running_daemon_and_at_the_next_start() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..5);
    wait_for_delivery(&bed, "file", 5);
    let file = bed.path().join("sinks/file.jsonl");
    // The file has these already, and nothing doubles in it: away with it.
    fs::remove_file(&file).expect("the file");
    assert!(
        done(&bed, &["sink", "reset", "file", "--to", "oldest"])
            .starts_with("reset: file goes on with the oldest")
    );
    wait_for("all of it", || (numbers_in(&file) == [0, 1, 2, 3, 4]).then_some(()));
    done(&bed, &["sink", "pause", "file"]);
    bed.emit_numbers(5..8);
    bed.wait_for_events(8);
    done(&bed, &["sink", "reset", "file", "--to", "now"]);
    done(&bed, &["sink", "resume", "file"]);
    bed.emit_numbers(8..9);
    wait_for("the next", || (numbers_in(&file) == [0, 1, 2, 3, 4, 8]).then_some(()));
    assert_eq!(daemon.stop(), 0);
    fs::remove_file(&file).expect("the file");
    let last = bed.events().last().expect("an event")["seq"].as_u64().expect("a number");
    let said = done(&bed, &["sink", "reset", "file", "--to", &last.to_string()]);
    assert!(said.starts_with("noted: "), "{said}");
    let output = bed.hookring(&["sink", "reset", "file"]);
    assert_eq!(output.status.code(), Some(2), "nothing goes again without a word");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--to <oldest|now|SEQ>"));
    assert!(refused(&bed, &["sink", "reset", "file", "--to", "999999"]).contains("is nowhere yet"));
    let daemon = bed.start();
    wait_for("the last", || (numbers_in(&file) == [8]).then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_renamed_sink_is_told_with_how_to_go_on_or_forget() {
    let bed = Bed::new();
    bed.configure("[sinks.before]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "before", 3);
    bed.configure("[sinks.after]\ntype = \"jsonl\"\nstart = \"now\"\n");
    let position = place_behind_all(&bed);
    let text = done(&bed, &["reload"]);
    assert!(text.contains("there is a cursor of sink before, which is not configured"), "{text}");
    assert!(text.contains("sink after added") && text.contains("sink before removed"), "{text}");
    assert!(bed.log().contains("there is a cursor of sink before"), "{}", bed.log());
    let text = String::from_utf8(bed.hookring(&["status"]).stdout).expect("text");
    assert!(text.contains("`hookring sink forget before` removes the cursor"), "{text}");
    assert_eq!(bed.status()["orphaned_cursors"][0]["sink"], "before");
    // It goes on where the other one was.
    done(&bed, &["sink", "reset", "after", "--to", &position]);
    bed.emit_numbers(3..4);
    wait_for("the event", || {
        (numbers_in(&bed.path().join("sinks/after.jsonl")) == [3]).then_some(())
    });
    assert!(refused(&bed, &["sink", "forget", "after"]).contains("after is configured"));
    done(&bed, &["sink", "forget", "before"]);
    let again = refused(&bed, &["sink", "forget", "before"]);
    assert!(again.contains("there is no cursor of before, nor any other"), "{again}");
    wait_for("the status", || {
        bed.status()["orphaned_cursors"].as_array()?.is_empty().then_some(())
    });
    let output = bed.hookring(&["config", "check"]);
    assert!(!said(&output).contains("warning"), "{}", said(&output));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_renamed_sink_that_was_told_where_to_go_on_is_advised_nothing_more() {
    let bed = Bed::new();
    bed.configure("[sinks.before]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "before", 3);
    bed.configure("[sinks.after]\ntype = \"jsonl\"\nstart = \"now\"\n");
    let position = place_behind_all(&bed);
    assert!(done(&bed, &["sink", "reset", "after", "--to", &position]).starts_with("noted: after"));
    let followed = "there is a cursor of sink before, which is not configured: after goes on where it was; \
                    `hookring sink forget before` removes the cursor";
    let check = |told: &str| {
        let said = said(&bed.hookring(&["config", "check"]));
        assert!(said.contains(followed) && !said.contains("sink reset"), "{told}: {said}");
    };
    check("after the order");
    assert!(done(&bed, &["reload"]).contains(followed));
    bed.emit_numbers(3..4);
    let file = bed.path().join("sinks/after.jsonl");
    wait_for("the event", || (numbers_in(&file) == [3]).then_some(()));
    check("after the order is done");
    let shown = said(&bed.hookring(&["status"]));
    assert!(shown.contains(followed) && !shown.contains("sink reset"), "{shown}");
    assert_eq!(bed.status()["orphaned_cursors"][0]["followed_by"], "after");
    assert_eq!(daemon.stop(), 0);
    let daemon = bed.start_again();
    check("after a restart");
    let log = bed.log();
    assert!(log.contains(followed) && !log.contains("sink reset"), "{log}");
    assert!(!log.contains("is new"), "{log}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn many_cursors_without_a_sink_are_one_line() {
    let bed = Bed::new();
    bed.configure("[sinks.a]\ntype = \"jsonl\"\n[sinks.b]\ntype = \"jsonl\"\n");
    assert_eq!(bed.start().stop(), 0);
    bed.configure("");
    let said = said(&bed.hookring(&["config", "check"]));
    assert_eq!(said.lines().filter(|line| line.contains("not configured")).count(), 1, "{said}");
    assert!(
        said.contains("there are cursors of 2 sinks that are not configured: a (at "),
        "{said}"
    );
}

#[test]
fn a_damaged_cursor_is_told_in_the_status() {
    let bed = Bed::new();
    deliver_three(&bed, FILE);
    fs::write(bed.path().join("cursors/file.cursor"), [0xA5; 8192]).expect("noise");
    let daemon = bed.start();
    let text = wait_for("the status", || {
        let output = bed.hookring(&["status", "--check"]);
        (output.status.code() == Some(1)).then(|| said(&output))
    });
    assert!(
        text.contains("the cursor was damaged; all events that the journal keeps are repeated"),
        "{text}"
    );
    // The file has them already.
    wait_for_delivery(&bed, "file", 3);
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), [0, 1, 2]);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_whose_cursor_is_gone_never_begins_with_the_next_event() {
    let bed = Bed::new();
    let sinks = "[sinks.file]\ntype = \"jsonl\"\nstart = \"now\"\n";
    deliver_three(&bed, sinks);
    fs::remove_dir_all(bed.path().join("cursors")).expect("the cursors");
    fs::remove_file(bed.path().join("sinks/file.jsonl")).expect("the file");
    // One beside it is new.
    bed.configure(&format!("{sinks}[sinks.new]\ntype = \"jsonl\"\nstart = \"now\"\n"));
    let daemon = bed.start_again();
    wait_for_delivery(&bed, "file", 3);
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), [0, 1, 2]);
    let gone = "the cursor is gone; all events that the journal keeps are repeated";
    assert!(bed.log().contains(gone), "{}", bed.log());
    let output = bed.hookring(&["status", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains(gone), "{text}");
    assert!(text.contains("new: new ") && text.contains("ago, and began with event "), "{text}");
    let way = "`hookring sink reset new --to oldest` has it sent what the journal has";
    assert!(text.contains(way) && bed.log().contains("sink new is new"), "{text}{}", bed.log());
    done(&bed, &["sink", "reset", "new", "--to", "oldest"]);
    wait_for_delivery(&bed, "new", 3);
    assert_eq!(daemon.stop(), 0);
    // Nobody knows one that was forgotten.
    bed.configure("");
    done(&bed, &["sink", "forget", "file"]);
    bed.configure(sinks);
    let daemon = bed.start_again();
    bed.emit_numbers(3..4);
    wait_for_delivery(&bed, "file", 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_that_was_disabled_over_a_restart_is_known_to_have_had_a_cursor() {
    let bed = Bed::new();
    let sinks = "[sinks.file]\ntype = \"jsonl\"\nstart = \"now\"\n";
    deliver_three(&bed, sinks);
    bed.configure(&format!("{sinks}enabled = false\n"));
    for _ in 0..2 {
        assert_eq!(bed.start_again().stop(), 0);
    }
    fs::remove_dir_all(bed.path().join("cursors")).expect("the cursors");
    fs::remove_file(bed.path().join("sinks/file.jsonl")).expect("the file");
    bed.configure(sinks);
    let daemon = bed.start_again();
    wait_for_delivery(&bed, "file", 3);
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), [0, 1, 2]);
    assert_eq!(daemon.stop(), 0);
    // Nobody knows one that was forgotten, though it was disabled.
    bed.configure(&format!("{sinks}enabled = false\n"));
    assert_eq!(bed.start_again().stop(), 0);
    bed.configure("");
    done(&bed, &["sink", "forget", "file"]);
    assert_eq!(bed.status()["known_sinks"], json!({}));
}
