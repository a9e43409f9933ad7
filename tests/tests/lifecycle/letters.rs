//! Dead letters: listed, shown, sent again, given up; with sinks that are taken out meanwhile, disks that are full, and
//! files that are none.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Output, Stdio};
use std::ptr;

use hookring_tests::{Bed, make_private_dir, wait_for};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use crate::asking::{FILE, bury, done, failed, follower, n, refused, said};
use crate::{numbers_in, sink, wait_for_delivery};

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

/// A sink that takes the first of its letters and then no other for a quarter of an hour.
const SLOW: &str = "[sinks.file]\ntype = \"jsonl\"\nevents_per_s = 0.001\n";
const OTHER: &str = "[sinks.other]\ntype = \"jsonl\"\nstart = \"now\"\n";

#[test]
fn letters_of_a_sink_that_is_taken_out_while_they_are_sent_again_are_not_stuck() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..4);
    wait_for_delivery(&bed, "file", 4);
    bed.configure(SLOW);
    done(&bed, &["reload"]);
    let events: Vec<_> = (0..4).map(|number| bury(&bed, "file", number)).collect();
    let following = follower(&bed, &["dlq", "retry", "--all"]);
    wait_for("the second", || (sink(&bed, "file")?["retry"]["left"] == 3).then_some(()));
    let text = refused(&bed, &["dlq", "purge", "--all", "--yes"]);
    let hint = "left out: letters of file that are being sent again; `hookring dlq retry --sink file --stop`";
    assert!(text.contains(hint), "{text}");
    assert!(done(&bed, &["dlq", "list"]).contains("is being sent again; no"));

    bed.configure(OTHER);
    done(&bed, &["reload"]);
    let text = failed(following);
    assert!(text.contains("the daemon does not run file any more"), "{text}");
    assert!(text.contains("`hookring dlq retry --sink file --stop` makes them dead"), "{text}");
    let list = || done(&bed, &["dlq", "list", "--sink", "file"]);
    assert_eq!(list().matches("waits for its sink to be sent again; no").count(), 3, "{}", list());
    let text = refused(&bed, &["dlq", "retry", "--sink", "file", "--all"]);
    assert!(text.contains("there is no sink file; there are other"), "{text}");
    let seq = |at: usize| events[at]["seq"].to_string();
    assert!(done(&bed, &["dlq", "show", &seq(1)]).contains("\"retrying\": true"));
    let text = done(&bed, &["dlq", "purge", "--id", &seq(1), "--yes"]);
    assert!(text.contains("removed: 1 dead letter"), "{text}");
    let text = done(&bed, &["dlq", "retry", "--sink", "file", "--stop"]);
    assert!(text.contains("stopped: file; what was not sent is a dead letter again"), "{text}");
    let text = list();
    assert!(text.lines().count() == 3 && !text.contains("sent again"), "{text}");
    assert_eq!(daemon.stop(), 0);

    // One that a daemon which is gone was asked for.
    let daemon = {
        bed.configure(SLOW);
        bed.start()
    };
    let following = follower(&bed, &["dlq", "retry", "--all"]);
    wait_for("the second", || (sink(&bed, "file")?["retry"]["left"] == 1).then_some(()));
    assert_eq!(daemon.stop(), 0);
    let text = failed(following);
    assert!(text.contains("its next start goes on with what is left"), "{text}");
    assert!(list().contains("waits for its sink to be sent again; no"), "{}", list());
    let text = done(&bed, &["dlq", "purge", "--all", "--yes"]);
    assert!(text.contains("removed: 1 dead letter"), "{text}");
    assert!(done(&bed, &["dlq", "list"]).contains("there are no dead letters"));
}

/// What a file takes at least, on the machines that this is tested on.
const PAGE_BYTES: u64 = 4096;

/// Leaves room for so many bytes in a folder on a disk of its own.
fn fill_up(folder: &Path, left_bytes: u64) {
    let mut filler = File::create(folder.join("filler")).expect("a file");
    while filler.write_all(&[1; 512]).is_ok() {}
    let bytes = filler.metadata().expect("its size").len();
    filler.set_len(bytes - left_bytes).expect("room");
}

#[test]
fn a_retry_on_a_full_disk_leaves_nothing_half_written_and_can_be_stopped() {
    let Some(bed) = Bed::with_tmpfs("dead_letters", "size=64k,mode=0700") else { return };
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "file", 3);
    let events: Vec<_> = (0..3).map(|number| bury(&bed, "file", number)).collect();
    wait_for("the count", || (sink(&bed, "file")?["kept_dead_letters"] == 3).then_some(()));
    let folder = bed.path().join("dead_letters");
    let args = ["dlq", "retry", "--id", &events[1]["seq"].to_string()];
    fill_up(&folder, 0);
    let text = refused(&bed, &args);
    assert!(text.contains("free some space") && text.contains("No space left"), "{text}");
    let names = || {
        let names = fs::read_dir(&folder).expect("a folder").map(|it| it.expect("one").file_name());
        names.map(|name| name.into_string().expect("text")).collect::<BTreeSet<_>>()
    };
    let whole = BTreeSet::from(["file.jsonl", "file.lock", "filler"].map(str::to_owned));
    assert_eq!(names(), whole);
    // Room for what is asked for, and none to take it out of the others.
    fill_up(&folder, PAGE_BYTES);
    let following = follower(&bed, &args);
    let is_said = |sink: &Value| {
        let error = sink["last_error"].as_str().unwrap_or_default();
        error.starts_with("cannot begin with ") && error.contains("No space left")
    };
    let status = wait_for("the status", || sink(&bed, "file").filter(is_said));
    assert_eq!((&status["state"], &status["breaker"]), (&json!("running"), &json!("closed")));
    assert_eq!(status["kept_dead_letters"], 3, "the one that was asked for is no other one");
    assert!(!names().contains("file.jsonl.new"));
    bed.emit_numbers(3..4);
    wait_for_delivery(&bed, "file", 4);
    done(&bed, &["dlq", "retry", "--sink", "file", "--stop"]);
    let text = failed(following);
    assert!(text.contains("stopped: file: 1 letter: 0 taken, 0 refused, 1 not sent"), "{text}");
    assert_eq!(names(), whole);
    fs::remove_file(folder.join("filler")).expect("removed");
    let text = done(&bed, &["dlq", "retry", "--all"]);
    assert!(text.contains("done: file: 3 letters: 3 taken, 0 refused, 0 not sent"), "{text}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_is_no_file_among_the_dead_letters_freezes_neither_status_nor_stop() {
    let bed = Bed::new();
    bed.configure(FILE);
    let dir = bed.path().join("dead_letters");
    make_private_dir(&dir);
    for name in ["file.jsonl", "file.older.jsonl", "file.retry.jsonl"] {
        mkfifoat(CWD, dir.join(name), Mode::RUSR | Mode::WUSR).expect("a pipe");
    }
    let daemon = bed.start();
    bed.emit_numbers(0..1);
    wait_for_delivery(&bed, "file", 1);
    let is_said = |sink: &Value| {
        let error = sink["last_error"].as_str().unwrap_or_default();
        error.ends_with("move it away: it is no regular file")
    };
    wait_for("the status", || sink(&bed, "file").filter(is_said));
    for args in [&["dlq", "list"][..], &["dlq", "purge", "--all", "--yes"], &["dlq", "show", "1"]] {
        let text = refused(&bed, args);
        assert!(text.contains("move it away: it is no regular file"), "{text}");
    }
    assert_eq!(daemon.stop(), 0);
}

/// Both ends of a new terminal: that of who types, and that of a program.
fn terminal() -> (File, File) {
    let (mut typist, mut program) = (-1, -1);
    let (no_name, no_modes, no_size) = (ptr::null_mut(), ptr::null(), ptr::null());
    // SAFETY: room for two descriptors; what is null is not wanted.
    let made = unsafe { libc::openpty(&mut typist, &mut program, no_name, no_modes, no_size) };
    assert_eq!(made, 0, "no terminal: {}", std::io::Error::last_os_error());
    // SAFETY: a descriptor that is open, and nobody else's.
    let own = |fd| File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    (own(typist), own(program))
}

/// What a person who gives this answer to a question is told.
fn answered(bed: &Bed, args: &[&str], answer: &str) -> (Option<i32>, String) {
    let (mut typist, program) = terminal();
    let mut command = bed.command("hookring");
    command.args(args).stdout(Stdio::piped());
    command.stdin(program.try_clone().expect("a descriptor")).stderr(program);
    let child = command.spawn().expect("it starts");
    // It has its own by now; once it is gone nobody else keeps the terminal open.
    drop(command);
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with("[y/N] ") {
        typist.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} behind {text:?}"));
        text.push(char::from(byte[0]));
    }
    typist.write_all(answer.as_bytes()).expect("typed");
    let output = child.wait_with_output().expect("it ends");
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    (output.status.code(), text)
}

#[test]
fn on_a_terminal_purge_asks_and_only_a_yes_is_one() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..2);
    wait_for_delivery(&bed, "file", 2);
    assert_eq!(daemon.stop(), 0);
    (0..2).for_each(|number| drop(bury(&bed, "file", number)));
    let purge = ["dlq", "purge", "--sink", "file", "--all"];
    let is_there = |path: &Path| path.metadata().is_ok_and(|it| it.len() > 0);
    let letters = bed.path().join("dead_letters/file.jsonl");
    for no in ["\n", "n\n", "maybe\n"] {
        let (code, text) = answered(&bed, &purge, no);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("Remove 2 dead letters for good? [y/N] "), "{text}");
        assert!(is_there(&letters));
    }
    let (code, text) = answered(&bed, &purge, "y\n");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("removed: 2 dead letters"), "{text}");
    assert!(!is_there(&letters));
}

/// What a command prints for programs: lines of JSON and nothing else.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[test]
fn a_program_is_told_in_json_what_becomes_of_letters_that_are_sent_again() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for_delivery(&bed, "file", 3);
    let retry = ["dlq", "retry", "--all", "--json"];
    let output = bed.hookring(&retry);
    assert_eq!((output.status.code(), lines(&output)), (Some(0), vec![]));
    (0..3).for_each(|number| drop(bury(&bed, "file", number)));
    bury(&bed, "old", 0);
    let output = bed.hookring(&retry);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let look = |taken: u64, not_sent: u64| {
        json!({
            "sink": "file", "letters": 3, "taken": taken, "refused": 0, "not_sent": not_sent,
            "held_up": null, "reason": null, "ended": true
        })
    };
    assert_eq!(lines(&output).last(), Some(&look(3, 0)));
    assert!(String::from_utf8_lossy(&output.stderr).contains("left out: old"));
    // One that is stopped on its way.
    bed.configure(SLOW);
    done(&bed, &["reload"]);
    (0..3).for_each(|number| drop(bury(&bed, "file", number)));
    let following = follower(&bed, &retry);
    wait_for("the second", || (sink(&bed, "file")?["retry"]["left"] == 2).then_some(()));
    done(&bed, &["dlq", "retry", "--stop"]);
    let output = following.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let looks = lines(&output);
    let (last, before) = looks.split_last().expect("its end");
    assert_eq!(last, &look(1, 2));
    assert!(before.iter().all(|it| it["ended"] == false && it["letters"] == 3), "{before:?}");
    assert_eq!(daemon.stop(), 0);
}
