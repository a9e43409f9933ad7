//! What people do with sinks: pause, resume and move them, replay, look after dead letters, rename them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Output, Stdio};

use hookring_tests::{Bed, make_private_dir, wait_for};
use serde_json::{Value, json};

use crate::{numbers_in, sink, wait_for_delivery};

pub(crate) const FILE: &str = "[sinks.file]\ntype = \"jsonl\"\n";

pub(crate) fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    texts.concat()
}

/// A command that must do what it was asked to.
pub(crate) fn done(bed: &Bed, args: &[&str]) -> String {
    let output = bed.hookring(args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

/// One that must not.
pub(crate) fn refused(bed: &Bed, args: &[&str]) -> String {
    let output = bed.hookring(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
    said(&output)
}

fn state(bed: &Bed, name: &str) -> String {
    sink(bed, name).map(|it| it["state"].as_str().expect("a state").to_owned()).unwrap_or_default()
}

/// The lines of a sink's file that are marked as replays.
pub(crate) fn replayed(bed: &Bed) -> Vec<Value> {
    let text = fs::read_to_string(bed.path().join("sinks/file.jsonl")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("{\"replay\":true,\"seq\":"));
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn n(event: &Value) -> u64 {
    event["payload"]["n"].as_u64().expect("a number")
}

/// Puts an event that the sink had among the dead letters of a sink.
pub(crate) fn bury(bed: &Bed, sink: &str, number: u64) -> Value {
    let text = fs::read_to_string(bed.path().join("sinks/file.jsonl")).expect("the file");
    let line = text.lines().find(|line| line.contains(&format!("\"n\":{number}}}"))).expect("it");
    let dir = bed.path().join("dead_letters");
    make_private_dir(&dir);
    let mut options = OpenOptions::new();
    let file =
        options.append(true).create(true).mode(0o600).open(dir.join(format!("{sink}.jsonl")));
    let letter = format!(
        "{{\"sink\":\"{sink}\",\"at\":\"2026-01-02T03:04:05Z\",\"status\":422,\"reason\":\"no \\u001b[2J thanks\",\
         \"attempts\":7,\"event\":{line}}}\n"
    );
    file.expect("the letters").write_all(letter.as_bytes()).expect("written");
    serde_json::from_str(line).expect("JSON")
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
    done(&bed, &["sink", "resume", "file"]);
    wait_for_delivery(&bed, "file", 2);
    assert!(done(&bed, &["sink", "resume", "file"]).contains("was not paused"));
    // That it goes on again is told, too, unless that is over between two looks.
    let is_told = |event: &Value| {
        let change = &event["payload"];
        event["event_type"] == "sink.state"
            && change["state"] == "paused"
            && change["error"] == "a new\u{1b}disk"
    };
    wait_for("the event", || bed.own_events().iter().any(is_told).then_some(()));
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
fn a_name_that_no_sink_has_is_refused_with_those_that_there_are() {
    let bed = Bed::new();
    for args in [&["sink", "pause", "x"][..], &["sink", "resume", "x"], &["replay", "--sink", "x"]]
    {
        assert!(refused(&bed, args).contains("there is no sink x; none is configured"), "{args:?}");
    }
    bed.configure("[sinks.a]\ntype = \"jsonl\"\n[sinks.b]\ntype = \"jsonl\"\nenabled = false\n");
    for args in [
        &["sink", "pause", "x"][..],
        &["sink", "reset", "x", "--to", "now"],
        &["replay", "--sink", "x"],
    ] {
        assert!(refused(&bed, args).contains("there is no sink x; there are a, b"), "{args:?}");
    }
    assert!(refused(&bed, &["replay", "--sink", "a"]).contains("no daemon runs"));
    bed.configure("[sinks.a]\ntype = \"none\"\n");
    let text = refused(&bed, &["sink", "pause", "a"]);
    assert!(text.starts_with("error: sinks.a.type: "), "{text}");
    bed.configure("[sinks.a]\ntype = \"jsonl\"\n[sinks.b]\ntype = \"jsonl\"\nenabled = false\n");
    assert!(refused(&bed, &["top"]).contains("`hookring status --json` is for programs"));
    let daemon = bed.start();
    assert!(refused(&bed, &["replay", "--sink", "b"]).contains("b does not run"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_sends_what_was_asked_for_marked_and_under_the_same_ids() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    for number in 0..6_u64 {
        let session = if number % 2 == 0 { "even-session" } else { "odd-session" };
        bed.emit(format!("{{\"session_id\":\"{session}\",\"n\":{number}}}").as_bytes());
    }
    wait_for_delivery(&bed, "file", 6);
    let events = bed.events();
    let from = events[2]["seq"].to_string();
    let said = done(&bed, &["replay", "--sink", "file", "--from", &from, "--max"]);
    assert!(said.contains("done: 4 events sent again"), "{said}");
    let again = replayed(&bed);
    assert_eq!(again.iter().map(n).collect::<Vec<_>>(), [2, 3, 4, 5]);
    for (event, before) in again.iter().zip(&events[2..]) {
        assert_eq!((&event["id"], &event["seq"]), (&before["id"], &before["seq"]));
    }
    let args = ["replay", "--sink", "file", "--session", "odd-session", "--since", "1h", "--max"];
    let output = bed.hookring(&[&args[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", self::said(&output));
    let last = String::from_utf8(output.stdout).expect("text");
    let last: Value = serde_json::from_str(last.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["end"], &last["sent_events"]), (&json!("done"), &json!(3)));
    assert_eq!(replayed(&bed)[4..].iter().map(n).collect::<Vec<_>>(), [1, 3, 5]);
    assert!(
        refused(&bed, &["replay", "--sink", "file", "--from", "9999"]).contains("there is nothing")
    );
    // What cannot be is refused.
    let empty = bed.hookring(&["replay", "--sink", "file", "--since", "10m", "--until", "20m"]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(self::said(&empty).contains("the range is empty"), "{}", self::said(&empty));
    let nobody = refused(&bed, &["replay", "--sink", "file", "--session", "nosuch"]);
    assert!(nobody.contains("no event of a session `nosuch` is in the journal"), "{nobody}");
    // The same beginning of an id is shown and left out.
    let shown = |args: &[&str]| done(&bed, &[&["tail", "--json"], args].concat());
    assert_eq!(shown(&["--session", "odd-sess"]).lines().count(), 3);
    let others = shown(&["--exclude", "session=odd-sess"]);
    assert!(!others.contains("odd-session") && others.contains("even-session"), "{others}");
    // What comes later is as ever.
    bed.emit_numbers(6..7);
    wait_for_delivery(&bed, "file", 7);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_that_is_interrupted_says_how_to_go_on_and_one_that_is_not_survives_a_restart() {
    let bed = Bed::new();
    bed.configure(FILE);
    let mut daemon = bed.start();
    bed.emit_numbers(0..2);
    wait_for_delivery(&bed, "file", 2);
    let seq = |at: usize| bed.events()[at]["seq"].as_u64().expect("a number");
    let is_replaying = || sink(&bed, "file").filter(|it| it["replay"].is_object());
    // So slow that it never ends by itself.
    let args = ["replay", "--sink", "file", "--from", &seq(0).to_string(), "--speed", "0.000001"];
    let mut command = bed.command("hookring");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let follower = command.spawn().expect("it starts");
    let first_is_sent = || is_replaying().filter(|it| it["replay"]["sent_events"] == 1);
    wait_for("the first event", || (replayed(&bed).len() == 1).then_some(()));
    assert!(refused(&bed, &args).contains("is under way already"));
    let kill =
        std::process::Command::new("kill").args(["-INT", &follower.id().to_string()]).status();
    assert!(kill.expect("kill runs").success());
    let output = follower.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let next = format!("`hookring replay --sink file --from {} --speed 0.000001` goes on", seq(1));
    assert!(said(&output).contains(&next), "{}", said(&output));
    // Nobody follows this one.
    let mut follower = command.spawn().expect("it starts");
    wait_for("the replay", first_is_sent);
    follower.kill().expect("killed");
    follower.wait().expect("it ends");
    assert_eq!(daemon.stop(), 0);
    daemon = bed.start();
    let replay = wait_for("the replay", is_replaying);
    assert_eq!(
        (&replay["replay"]["sent_events"], &replay["replay"]["next"]),
        (&json!(1), &json!(seq(1)))
    );
    bed.emit_numbers(2..3);
    wait_for_delivery(&bed, "file", 1);
    assert!(done(&bed, &["replay", "--sink", "file", "--stop"]).contains("is at event"));
    wait_for("its end", || is_replaying().is_none().then_some(()));
    assert!(done(&bed, &["replay", "--sink", "file", "--stop"]).contains("no replay"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn dead_letters_are_listed_shown_sent_again_and_given_up() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..4);
    wait_for_delivery(&bed, "file", 4);
    for args in [&["dlq", "list"][..], &["dlq", "list", "--sink", "file"]] {
        assert!(done(&bed, args).contains("there are no dead letters"), "{args:?}");
    }
    let events: Vec<_> = (1..4).map(|number| bury(&bed, "file", number)).collect();
    bury(&bed, "old", 0);
    let seq = |at: usize| events[at]["seq"].to_string();
    wait_for("the count", || (sink(&bed, "file")?["kept_dead_letters"] == 3).then_some(()));
    let output = bed.hookring(&["status", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output)
            .contains("sink file would not take 3 events: `hookring dlq list --sink file`")
    );
    let list = done(&bed, &["dlq", "list"]);
    assert_eq!(list.lines().count(), 5, "{list}");
    assert!(list.contains("422") && list.contains("no \\u{1b}[2J thanks"), "{list}");
    let lines = done(&bed, &["dlq", "list", "--sink", "file", "--json"]);
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().map(|it| n(&it["event"])).collect::<Vec<_>>(), [1, 2, 3]);
    for args in
        [&["dlq", "list", "--sink", "nosuch"][..], &["dlq", "list", "--sink", "nosuch", "--json"]]
    {
        let text = refused(&bed, args);
        assert!(text.contains("there is no sink nosuch; there are file"), "{text}");
    }
    let by_id = done(&bed, &["dlq", "show", events[0]["id"].as_str().expect("an id")]);
    assert_eq!(by_id, done(&bed, &["dlq", "show", &seq(0)]));
    assert!(by_id.contains("\"attempts\": 7"), "{by_id}");
    assert!(
        refused(&bed, &["dlq", "show", "nonsense"]).contains("there is no dead letter of event")
    );

    done(&bed, &["sink", "pause", "file"]);
    let text = refused(&bed, &["dlq", "retry", "--all"]);
    assert!(text.contains("file is paused: left out until it is resumed"), "{text}");
    done(&bed, &["sink", "resume", "file"]);
    let text = done(&bed, &["dlq", "retry", "--id", &seq(1)]);
    assert!(text.contains("done: file: 1 letter: 1 taken, 0 refused, 0 not sent"), "{text}");
    let text = done(&bed, &["dlq", "retry", "--all"]);
    assert!(text.contains("done: file: 2 letters: 2 taken, 0 refused, 0 not sent"), "{text}");
    assert!(text.contains("left out: old"), "{text}");
    let file = bed.path().join("sinks/file.jsonl");
    assert_eq!(numbers_in(&file), [0, 1, 2, 3, 2, 1, 3]);
    let text = done(&bed, &["dlq", "retry", "--sink", "file", "--all"]);
    assert_eq!(text, "there are no dead letters\n");
    let text = refused(&bed, &["dlq", "retry", "--sink", "file", "--id", "1"]);
    assert!(text.contains("there are some of old"), "{text}");
    let text = done(&bed, &["dlq", "retry", "--stop"]);
    assert_eq!(text, "no dead letters are being sent again\n");

    let text = refused(&bed, &["dlq", "purge", "--all"]);
    assert!(text.contains("1 dead letter would be gone for good; say so with --yes"), "{text}");
    assert!(done(&bed, &["dlq", "purge", "--all", "--yes"]).contains("removed: 1 dead letter"));
    assert!(done(&bed, &["dlq", "list"]).contains("there are no dead letters"));
    assert_eq!(daemon.stop(), 0);
    assert!(refused(&bed, &["dlq", "retry", "--all"]).contains("no daemon runs"));
}

#[test]
fn a_renamed_sink_is_told_with_how_to_go_on_or_forget() {
    let bed = Bed::new();
    bed.configure("[sinks.before]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "before", 3);
    bed.configure("[sinks.after]\ntype = \"jsonl\"\nstart = \"now\"\n");
    let position = wait_for("the cursor", || {
        let said = said(&bed.hookring(&["config", "check"]));
        let rest = said.split_once("`hookring sink reset NAME --to ")?.1.to_owned();
        rest.split_once('`').map(|(number, _)| number.to_owned())
    });
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
    wait_for("the status", || {
        bed.status()["orphaned_cursors"].as_array()?.is_empty().then_some(())
    });
    let output = bed.hookring(&["config", "check"]);
    assert!(!said(&output).contains("warning"), "{}", said(&output));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_damaged_cursor_is_told_in_the_status() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "file", 3);
    assert_eq!(daemon.stop(), 0);
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
    bed.configure(sinks);
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "file", 3);
    assert_eq!(daemon.stop(), 0);
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
    bed.configure(sinks);
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "file", 3);
    assert_eq!(daemon.stop(), 0);
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
    fs::remove_dir(&path).expect("the directory");
    assert!(done(&bed, &["sink", "resume", "file"]).contains("is tried now"));
    wait_for_delivery(&bed, "file", 1);
    assert_eq!(numbers_in(&path), [0]);
    fs::remove_file(&path).expect("the file");
    make_private_dir(&path);
    bed.emit_numbers(1..2);
    wait_for("the breaker", open);
    assert_eq!(daemon.stop(), 0);
}
