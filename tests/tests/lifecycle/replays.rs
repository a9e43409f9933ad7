//! Events that a sink gets once more since somebody asked for it, while daemons end, disks are full and sinks go.

use std::fs;
use std::process::{Child, Command};

use hookring_tests::{Bed, Daemon, wait_for};
use serde_json::{Value, json};

use crate::asking::{FILE, done, failed, follower, n, refused, replayed, said};
use crate::{sink, wait_for_delivery};

/// A replay of two events that somebody follows, and that never ends by itself: the second has to wait.
struct Slow {
    bed: Bed,
    daemon: Daemon,
    /// The numbers of the events.
    seqs: [u64; 2],
    /// What the follower was called with.
    args: Vec<String>,
    following: Child,
}

impl Slow {
    fn begin() -> Slow {
        let bed = Bed::new();
        bed.configure(FILE);
        let daemon = bed.start();
        bed.emit_numbers(0..2);
        wait_for_delivery(&bed, "file", 2);
        let events = bed.events();
        let seqs = [0, 1].map(|at| events[at]["seq"].as_u64().expect("a number"));
        let from = seqs[0].to_string();
        let args = ["replay", "--sink", "file", "--from", &from, "--speed", "0.000001"];
        let args = args.map(str::to_owned).to_vec();
        let following = follower(&bed, &args);
        Slow { bed, daemon, seqs, args, following }
    }
}

/// How far the sink's replay is, if there is one.
fn replay(bed: &Bed) -> Option<Value> {
    sink(bed, "file").map(|it| it["replay"].clone()).filter(Value::is_object)
}

/// What a person does who has seen enough.
fn interrupt(following: &Child) {
    let kill = Command::new("kill").args(["-INT", &following.id().to_string()]).status();
    assert!(kill.expect("kill runs").success());
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
    let text = done(&bed, &["replay", "--sink", "file", "--from", &from, "--max"]);
    assert!(text.contains("done: 4 events sent again"), "{text}");
    let again = replayed(&bed);
    assert_eq!(again.iter().map(n).collect::<Vec<_>>(), [2, 3, 4, 5]);
    for (event, before) in again.iter().zip(&events[2..]) {
        assert_eq!((&event["id"], &event["seq"]), (&before["id"], &before["seq"]));
    }
    let args = ["replay", "--sink", "file", "--session", "odd-session", "--since", "1h", "--max"];
    let output = bed.hookring(&[&args[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let last = String::from_utf8(output.stdout).expect("text");
    let last: Value = serde_json::from_str(last.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["end"], &last["sent_events"]), (&json!("done"), &json!(3)));
    assert_eq!(replayed(&bed)[4..].iter().map(n).collect::<Vec<_>>(), [1, 3, 5]);
    assert!(
        refused(&bed, &["replay", "--sink", "file", "--from", "9999"]).contains("there is nothing")
    );
    for range in
        [&["--until", "2020-01-02"][..], &["--since", "2020-01-01", "--until", "2020-01-02"]]
    {
        let text = refused(&bed, &[&["replay", "--sink", "file"], range].concat());
        assert!(text.contains("there is nothing to send again: none of events 1 to "), "{text}");
    }
    let of_another = ["--session", "odd-session", "--from", &events[5]["seq"].to_string(), "--max"];
    let text = done(&bed, &[&["replay", "--sink", "file"], &of_another[..]].concat());
    assert!(text.contains("done: 1 event sent again"), "{text}");
    // What cannot be is refused.
    let all = bed.hookring(&["replay", "--sink", "file", "--max"]);
    assert_eq!(all.status.code(), Some(2));
    assert!(said(&all).contains("`--from 1` is all that the journal has"), "{}", said(&all));
    let empty = bed.hookring(&["replay", "--sink", "file", "--since", "10m", "--until", "20m"]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(said(&empty).contains("the range is empty"), "{}", said(&empty));
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
    let Slow { bed, daemon, seqs: [_, second], args, following } = Slow::begin();
    wait_for("the first event", || (replayed(&bed).len() == 1).then_some(()));
    assert!(refused(&bed, &args).contains("is under way already"));
    interrupt(&following);
    let text = failed(following);
    let next = format!("`hookring replay --sink file --from {second} --speed 0.000001` goes on");
    assert!(text.contains(&next), "{text}");
    // A millionth of the speed makes days of seconds.
    assert!(text.contains(", about ") && text.contains(" to go\n"), "{text}");
    // Nobody follows this one.
    let mut following = follower(&bed, &args);
    wait_for("the replay", || replay(&bed).filter(|it| it["sent_events"] == 1));
    following.kill().expect("killed");
    following.wait().expect("it ends");
    assert_eq!(daemon.stop(), 0);
    let daemon = bed.start();
    let goes_on = wait_for("the replay", || replay(&bed));
    assert_eq!((&goes_on["sent_events"], &goes_on["next"]), (&json!(1), &json!(second)));
    bed.emit_numbers(2..3);
    wait_for_delivery(&bed, "file", 1);
    assert!(done(&bed, &["replay", "--sink", "file", "--stop"]).contains("is at event"));
    wait_for("its end", || replay(&bed).is_none().then_some(()));
    assert!(done(&bed, &["replay", "--sink", "file", "--stop"]).contains("no replay"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_whose_daemon_ends_goes_on_with_the_next_and_leaves_nothing_behind() {
    let Slow { bed, daemon, seqs: [first, second], following, .. } = Slow::begin();
    let is_waiting = || replay(&bed).filter(|it| it["next_at"].is_string());
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
    let text = refused(&bed, &["replay", "--sink", "file", "--from", &first.to_string()]);
    assert!(text.contains(&format!("at event {second} of {first} to ")), "{text}");
    let text = done(&bed, &["replay", "--sink", "file", "--stop"]);
    assert!(text.contains(&format!("stopping: file is at event {second}")), "{text}");
    wait_for("its end", || replay(&bed).is_none().then_some(()));
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
    let Slow { bed, daemon, following, .. } = Slow::begin();
    let file = bed.path().join("cursors/file.replay");
    let is_waiting = || fs::read_to_string(&file).ok().filter(|text| text.contains("next_at"));
    wait_for("the second event", is_waiting);
    // In its way, as a disk that is full.
    let in_its_way = bed.path().join("cursors/file.replay.new");
    // Between two writes of how far it is.
    wait_for("a folder", || fs::create_dir(&in_its_way).ok());
    interrupt(&following);
    let text = failed(following);
    assert!(text.contains("stopped: 1 event sent again, the next is "), "{text}");
    let is_said = |sink: &Value| {
        let error = sink["last_error"].as_str().unwrap_or_default();
        error.starts_with("cannot write ") && error.contains("file.replay")
    };
    let status = wait_for("the status", || sink(&bed, "file").filter(is_said));
    assert_eq!((&status["state"], &status["breaker"]), (&json!("running"), &json!("closed")));
    fs::remove_dir(&in_its_way).expect("room");
    wait_for("its end", || replay(&bed).is_none().then_some(()));
    assert_eq!(replayed(&bed).len(), 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_to_a_sink_that_is_taken_out_is_told_and_can_be_ended() {
    let Slow { bed, daemon, following, .. } = Slow::begin();
    wait_for("the first event", || (replayed(&bed).len() == 1).then_some(()));
    bed.configure("[sinks.other]\ntype = \"jsonl\"\nstart = \"now\"\n");
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
