//! What is sent once more while things change below it: daemons that end, sinks that are taken out, files that
//! are none.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::ptr;

use hookring_tests::{Bed, make_private_dir, wait_for};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use crate::delivery::{FILE, bury, done, refused, replayed, said};
use crate::{sink, wait_for_delivery};

fn follower(bed: &Bed, args: &[&str]) -> Child {
    let mut command = bed.command("hookring");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// What a command says that could not do what it was asked to.
fn failed(follower: Child) -> String {
    let output: Output = follower.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

#[test]
fn a_replay_whose_daemon_ends_goes_on_with_the_next_and_leaves_nothing_behind() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..2);
    wait_for_delivery(&bed, "file", 2);
    let seqs: Vec<_> = bed.events().iter().map(|it| it["seq"].as_u64().expect("one")).collect();
    let (first, second) = (seqs[0].to_string(), seqs[1]);
    let args = ["replay", "--sink", "file", "--from", &first];
    let slow = [&args[..], &["--speed", "0.000001"]].concat();
    let following = follower(&bed, &slow);
    let replay = || sink(&bed, "file").map(|it| it["replay"].clone()).filter(Value::is_object);
    let is_waiting = || replay().filter(|it| it["next_at"].is_string());
    wait_for("the second event", is_waiting);
    assert_eq!(daemon.stop(), 0);
    let text = failed(following);
    let expected = format!(
        "the daemon has ended, at event {second}; its next start goes on with this, or `hookring replay --sink file \
         --stop` ends it"
    );
    assert!(text.contains(&expected), "{text}");
    let daemon = bed.start();
    let goes_on = wait_for("the second event", is_waiting);
    assert_eq!((&goes_on["sent_events"], &goes_on["next"]), (&json!(1), &json!(second)));
    assert_eq!(replayed(&bed).len(), 1, "what was sent is not sent again");
    let text = refused(&bed, &args);
    assert!(text.contains(&format!("at event {second} of {first} to ")), "{text}");
    let text = done(&bed, &["replay", "--sink", "file", "--stop"]);
    assert!(text.contains(&format!("stopping: file is at event {second}")), "{text}");
    wait_for("its end", || replay().is_none().then_some(()));
    // How that ended stays for who wants to know, until another one begins; and that one is followed to its end.
    let file = bed.path().join("cursors/file.replay");
    assert!(file.exists());
    let last = bed.events().last().expect("one")["seq"].to_string();
    let text = done(&bed, &["replay", "--sink", "file", "--from", &last, "--max"]);
    assert!(text.contains("done: 1 event sent again"), "{text}");
    assert!(!file.exists());
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_whose_end_cannot_be_written_is_told_all_the_same() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..2);
    wait_for_delivery(&bed, "file", 2);
    let from = bed.events()[0]["seq"].to_string();
    let args = ["replay", "--sink", "file", "--from", &from, "--speed", "0.000001"];
    let following = follower(&bed, &args);
    let file = bed.path().join("cursors/file.replay");
    let is_waiting = || fs::read_to_string(&file).ok().filter(|text| text.contains("next_at"));
    wait_for("the second event", is_waiting);
    // In its way, as a disk that is full.
    let in_its_way = bed.path().join("cursors/file.replay.new");
    fs::create_dir(&in_its_way).expect("a folder");
    let interrupt =
        std::process::Command::new("kill").args(["-INT", &following.id().to_string()]).status();
    assert!(interrupt.expect("kill runs").success());
    let text = failed(following);
    assert!(text.contains("stopped: 1 event sent again, the next is "), "{text}");
    let is_said = |sink: &Value| {
        let error = sink["last_error"].as_str().unwrap_or_default();
        error.starts_with("cannot write ") && error.contains("file.replay")
    };
    let status = wait_for("the status", || sink(&bed, "file").filter(is_said));
    assert_eq!((&status["state"], &status["breaker"]), (&json!("running"), &json!("closed")));
    fs::remove_dir(&in_its_way).expect("room");
    wait_for("its end", || sink(&bed, "file")?["replay"].is_null().then_some(()));
    assert_eq!(replayed(&bed).len(), 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_to_a_sink_that_is_taken_out_is_told_and_can_be_ended() {
    let bed = Bed::new();
    bed.configure(FILE);
    let daemon = bed.start();
    bed.emit_numbers(0..2);
    wait_for_delivery(&bed, "file", 2);
    let from = bed.events()[0]["seq"].to_string();
    let args = ["replay", "--sink", "file", "--from", &from, "--speed", "0.000001"];
    let following = follower(&bed, &args);
    wait_for("the first event", || (replayed(&bed).len() == 1).then_some(()));
    bed.configure(OTHER);
    done(&bed, &["reload"]);
    let text = failed(following);
    assert!(text.contains("the daemon does not run file any more"), "{text}");
    assert!(text.contains("`hookring replay --sink file --stop` ends it"), "{text}");
    let text = done(&bed, &["replay", "--sink", "file", "--stop"]);
    assert!(text.starts_with("stopped: file was at event "), "{text}");
    assert!(!bed.path().join("cursors/file.replay").exists());
    done(&bed, &["sink", "forget", "file"]);
    let text = refused(&bed, &["replay", "--sink", "file", "--stop"]);
    assert!(text.contains("there is no sink file"), "{text}");
    assert_eq!(daemon.stop(), 0);
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
