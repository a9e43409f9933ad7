//! What people do with sinks: pause them, resume them, have them tried now.

use std::fs;

use hookring_tests::{Bed, make_private_dir, wait_for};
use serde_json::Value;

use crate::asking::{FILE, done, refused};
use crate::{numbers_in, sink, wait_for_delivery};

fn state(bed: &Bed, name: &str) -> String {
    sink(bed, name).map(|it| it["state"].as_str().expect("a state").to_owned()).unwrap_or_default()
}

#[test]
fn a_sink_is_paused_and_resumed_with_and_without_a_daemon() {
    let bed = Bed::new();
    bed.configure(FILE);
    assert!(done(&bed, &["sink", "pause", "file"]).contains("once a daemon runs"));
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    bed.wait_for_events(3);
    wait_for("the status", || (state(&bed, "file") == "paused").then_some(()));
    assert_eq!(bed.hookring(&["status", "--check"]).status.code(), Some(0), "it is meant");
    assert!(done(&bed, &["sink", "resume", "file"]).starts_with("resumed: file"));
    wait_for_delivery(&bed, "file", 3);
    let said = done(&bed, &["sink", "pause", "file", "--reason", "a new\u{1b}disk"]);
    assert!(said.starts_with("paused: file; what comes waits in the journal"), "{said}");
    bed.emit_numbers(3..5);
    bed.wait_for_events(5);
    // Across a restart, too.
    assert_eq!(daemon.stop(), 0);
    let daemon = bed.start();
    let paused = wait_for("the status", || {
        sink(&bed, "file")
            .filter(|it| it["state"] == "paused" && it["oldest_undelivered_at"].is_string())
    });
    assert_eq!(paused["off_reason"], "a new\u{1b}disk");
    assert!(paused["lag_s"].as_f64().expect("a number") > 0.0);
    assert!(paused["lag_events"].as_u64().expect("a number") >= 2, "{paused}");
    let text = String::from_utf8(bed.hookring(&["status"]).stdout).expect("text");
    assert!(text.contains("file: paused: a new\\u{1b}disk; `hookring sink resume file`"), "{text}");
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), [0, 1, 2]);
    // By the one daemon or the other; that it goes on again, too, unless that is over between two looks.
    let is_told = |event: &Value| {
        let change = &event["payload"];
        event["event_type"] == "sink.state"
            && change["state"] == "paused"
            && change["error"] == "a new\u{1b}disk"
    };
    wait_for("the event", || bed.own_events().iter().any(is_told).then_some(()));
    done(&bed, &["sink", "resume", "file"]);
    wait_for_delivery(&bed, "file", 2);
    assert!(done(&bed, &["sink", "resume", "file"]).contains("was not paused"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_place_that_wants_nothing_is_off_until_a_person_resumes_it() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    // As the worker writes it when the place says 410.
    fs::write(bed.path().join("cursors/file.off"), "gone\n410 Gone: it moved\n").expect("a file");
    wait_for("the status", || (state(&bed, "file") == "off").then_some(()));
    let output = bed.hookring(&["status", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("text");
    let problem = "sink file is off by the answer of its place: 410 Gone: it moved; set it right, then \
                   `hookring sink resume file`";
    assert!(text.contains(problem), "{text}");
    assert!(done(&bed, &["sink", "pause", "file"]).contains("is off already"));
    done(&bed, &["sink", "resume", "file"]);
    bed.emit_numbers(0..1);
    wait_for_delivery(&bed, "file", 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_name_that_no_sink_has_is_refused_with_those_that_there_are() {
    let bed = Bed::new();
    for args in [
        &["sink", "pause", "x"][..],
        &["sink", "resume", "x"],
        &["replay", "--sink", "x", "--from", "1"],
    ] {
        assert!(refused(&bed, args).contains("there is no sink x; none is configured"), "{args:?}");
    }
    bed.configure("[sinks.a]\ntype = \"jsonl\"\n[sinks.b]\ntype = \"jsonl\"\nenabled = false\n");
    for args in [
        &["sink", "pause", "x"][..],
        &["sink", "reset", "x", "--to", "now"],
        &["replay", "--sink", "x", "--from", "1"],
    ] {
        assert!(refused(&bed, args).contains("there is no sink x; there are a, b"), "{args:?}");
    }
    assert!(refused(&bed, &["replay", "--sink", "a", "--from", "1"]).contains("no daemon runs"));
    bed.configure("[sinks.a]\ntype = \"none\"\n");
    let text = refused(&bed, &["sink", "pause", "a"]);
    assert!(text.starts_with("error: sinks.a.type: "), "{text}");
    bed.configure("[sinks.a]\ntype = \"jsonl\"\n[sinks.b]\ntype = \"jsonl\"\nenabled = false\n");
    assert!(refused(&bed, &["top"]).contains("`hookring status --json` is for programs"));
    let daemon = bed.start();
    assert!(refused(&bed, &["replay", "--sink", "b", "--from", "1"]).contains("b does not run"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_that_waits_after_failures_goes_on_with_a_reload_or_a_word_and_holds_up_no_stop() {
    let bed = Bed::new();
    bed.configure(FILE);
    let path = bed.path().join("sinks/file.jsonl");
    make_private_dir(&path);
    let daemon = bed.start();
    bed.emit_numbers(0..1);
    let open =
        || sink(&bed, "file").filter(|it| it["breaker"] == "open" && it["waits_until"].is_string());
    wait_for("the breaker", open);
    let text = String::from_utf8(bed.hookring(&["status"]).stdout).expect("text");
    assert!(text.contains("NEEDS ATTENTION"), "{text}");
    // Another rule, which the file in its way does not mind.
    bed.configure("[sinks.file]\ntype = \"jsonl\"\nbatch_events = 7\n");
    assert!(done(&bed, &["reload"]).contains("sink file changed"));
    wait_for("the breaker", open);
    assert!(done(&bed, &["sink", "resume", "file"]).contains("is tried now"));
    fs::remove_dir(&path).expect("the directory");
    done(&bed, &["sink", "resume", "file"]);
    wait_for_delivery(&bed, "file", 1);
    assert_eq!(numbers_in(&path), [0]);
    fs::remove_file(&path).expect("the file");
    make_private_dir(&path);
    bed.emit_numbers(1..2);
    wait_for("the breaker", open);
    assert_eq!(daemon.stop(), 0);
}
