//! What people do with a webhook that rejects, refuses or is gone: dead letters, replays, resuming.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use hookring_faults::{FaultServer, Received, Reply};
use hookring_tests::{Bed, wait_for};
use serde_json::{Value, json};

use super::{hook, sink, taken};

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    texts.concat()
}

fn done(bed: &Bed, args: &[&str]) -> String {
    let output = bed.hookring(args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

fn numbers(server: &FaultServer) -> Vec<u64> {
    taken(server).into_iter().map(|(number, _)| number).collect()
}

/// Whether one of these events is in a request.
fn has(request: &Received, wanted: &[u64]) -> bool {
    let body = String::from_utf8_lossy(&request.body);
    wanted.iter().any(|number| body.contains(&format!("\"n\":{number}}}")))
}

#[test]
fn a_poison_event_in_a_batch_of_a_hundred_costs_one_dead_letter_which_is_sent_again_when_it_is_mended()
 {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&hook(&server, "batches = true\nbatch_events = 100"));
    let rejects = |wanted: &'static [u64]| {
        move |request: &Received| match has(request, wanted) {
            true => Reply::with(422, &[], "{\"error\":\"no \\u001b[2J such tool\"}"),
            false => Reply::ok(),
        }
    };
    server.set_rule(rejects(&[42]));
    bed.emit_numbers(0..100);
    let daemon = bed.start();
    wait_for("all but one", || (numbers(&server).len() == 99).then_some(()));
    let status =
        wait_for("the status", || Some(sink(&bed)).filter(|it| it["kept_dead_letters"] == 1));
    assert_eq!((&status["dead_letters"], &status["state"]), (&json!(1), &json!("running")));
    let line = done(&bed, &["dlq", "list", "--json"]);
    let letter: Value = serde_json::from_str(&line).expect("one letter");
    assert_eq!((&letter["sink"], &letter["status"]), (&json!("hook"), &json!(422)));
    assert!(letter["reason"].as_str().is_some_and(|it| it.contains("such tool")), "{letter}");
    assert_eq!(letter["event"]["payload"]["n"], 42);
    assert_eq!(bed.hookring(&["status", "--check"]).status.code(), Some(1));
    // Not mended yet: it stays, and its attempts are counted on.
    let output = bed.hookring(&["dlq", "retry", "--sink", "hook", "--all"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("done: hook: 1 letter: 0 taken, 1 refused, 0 not sent"), "{text}");
    assert!(text.contains("`hookring dlq list` says why it was refused"), "{text}");
    let again: Value = serde_json::from_str(&done(&bed, &["dlq", "list", "--json"])).expect("one");
    assert_eq!(again["attempts"], letter["attempts"].as_u64().expect("a number") + 1);
    server.set_rule(rejects(&[]));
    let text = done(&bed, &["dlq", "retry", "--id", &letter["event"]["seq"].to_string()]);
    assert!(text.contains("done: hook: 1 letter: 1 taken, 0 refused, 0 not sent"), "{text}");
    let (last, id) = taken(&server).pop().expect("an event");
    assert_eq!((last, json!(id)), (42, letter["event"]["id"].clone()));
    wait_for("the status", || (sink(&bed)["kept_dead_letters"] == 0).then_some(()));
    assert_eq!(bed.hookring(&["status", "--check"]).status.code(), Some(0));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_comes_under_the_same_ids_marked_behind_what_is_new_and_within_the_breaker() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&hook(&server, ""));
    let daemon = bed.start();
    bed.emit_numbers(0..5);
    wait_for("the events", || (numbers(&server).len() == 5).then_some(()));
    let before = taken(&server);
    server.next([Reply::status(503), Reply::close()]);
    let nobodys = ["replay", "--sink", "hook", "--session", "none-such-at-all", "--max"];
    assert_eq!(bed.hookring(&nobodys).status.code(), Some(1));
    let text = done(&bed, &["replay", "--sink", "hook", "--since", "1h", "--max"]);
    assert!(text.contains("done: 5 events sent again"), "{text}");
    assert_eq!(taken(&server)[5..], before);
    let marks: Vec<_> =
        server.taken().iter().map(|it| it.header("hookring-replay").map(str::to_owned)).collect();
    assert_eq!(marks[..5], [const { None }; 5]);
    assert!(marks[5..].iter().all(|mark| mark.as_deref() == Some("true")), "{marks:?}");
    wait_for("the status", || (sink(&bed)["retries"].as_u64()? >= 2).then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_refused_sink_asks_for_a_person_and_goes_on_at_a_word() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&hook(&server, ""));
    server.set(Reply::status(401));
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    let status = wait_for("the refusal", || Some(sink(&bed)).filter(|it| it["breaker"] == "open"));
    assert_eq!(status["waits_because"], "refused");
    let text = said(&bed.hookring(&["status", "--check"]));
    let help = "only you can help: set it right, then `hookring sink resume hook` tries at once";
    assert!(text.contains(help), "{text}");
    server.set(Reply::ok());
    // The wait that is drawn may be over already; then nobody had to be told.
    done(&bed, &["sink", "resume", "hook"]);
    wait_for("the events", || (numbers(&server) == [0, 1, 2]).then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_place_that_is_gone_gets_nothing_across_restarts_until_it_is_resumed() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&hook(&server, ""));
    server.set(Reply::with(410, &[], "it moved"));
    let daemon = bed.start();
    bed.emit_numbers(0..2);
    let off = |bed: &Bed| {
        wait_for("the sink to be off", || Some(sink(bed)).filter(|it| it["state"] == "off"))
    };
    assert!(off(&bed)["off_reason"].as_str().is_some_and(|it| it.contains("410")));
    assert_eq!(daemon.stop(), 0);
    let daemon = bed.start();
    off(&bed);
    assert_eq!(server.requests(), 1);
    server.set(Reply::ok());
    assert!(done(&bed, &["sink", "resume", "hook"]).contains("resumed"));
    wait_for("the events", || (numbers(&server) == [0, 1]).then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_server_that_rejects_everything_costs_ten_dead_letters_whatever_is_reloaded_and_restarted() {
    let server = FaultServer::start();
    server.set_rule(|_| Reply::with(422, &[], "no"));
    let bed = Bed::new();
    bed.configure(&hook(&server, ""));
    bed.emit_numbers(0..60);
    let mut daemon = bed.start();
    // Of this daemon alone. The wait that is drawn may be over before anybody looks: at least so many.
    let wait_for_rejected = |least: u64| {
        wait_for("the refusal", || {
            let sink = sink(&bed);
            let calls = sink["attempts"]["rejected"].as_u64()?;
            (sink["waits_because"] == "refused" && calls >= least).then_some(calls)
        })
    };
    let mut calls = wait_for_rejected(11);
    for events in [7, 8] {
        bed.configure(&hook(&server, &format!("batch_events = {events}")));
        assert!(done(&bed, &["reload"]).contains("sink hook changed"));
        calls = wait_for_rejected(calls + 1);
    }
    assert_eq!(daemon.stop(), 0);
    daemon = bed.start_again();
    wait_for_rejected(1);
    // Its status is written by now.
    daemon.kill();
    bed.configure(&hook(&server, "enabled = false"));
    assert_eq!(bed.start_again().stop(), 0);
    bed.configure(&hook(&server, ""));
    daemon = bed.start_again();
    wait_for_rejected(1);
    assert_eq!(done(&bed, &["dlq", "list", "--json"]).lines().count(), 10);
    // One that is taken is enough, and the count begins anew.
    server.set_rule(|_| Reply::ok());
    done(&bed, &["sink", "resume", "hook"]);
    wait_for("the rest", || (numbers(&server).len() == 50).then_some(()));
    wait_for("the status", || {
        (bed.status()["known_sinks"]["hook"]["rejected_in_row"] == 0).then_some(())
    });
    assert_eq!(daemon.stop(), 0);
}

fn follower(bed: &Bed, args: &[&str]) -> Child {
    let mut command = bed.command("hookring");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

fn signal(child: &Child, name: &str) {
    let killed = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(killed.expect("kill runs").success());
}

/// Waits until it says on standard error what holds the sink up; returns the rest of that.
fn wait_until_held_up(child: &mut Child) -> BufReader<std::process::ChildStderr> {
    let mut said = BufReader::new(child.stderr.take().expect("its errors"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    assert!(line.starts_with("held up: hook is refused, ") && line.contains(" more: "), "{line}");
    assert!(
        line.ends_with("; set it right, then `hookring sink resume` tries at once\n"),
        "{line}"
    );
    said
}

#[test]
fn what_holds_up_what_is_sent_again_is_said_and_only_ctrl_c_stops_it() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&hook(&server, ""));
    server.set_rule(|request| if has(request, &[1]) { Reply::status(422) } else { Reply::ok() });
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for("a letter", || (sink(&bed)["kept_dead_letters"] == 1).then_some(()));
    wait_for("the others", || (numbers(&server) == [0, 2]).then_some(()));
    server.set_rule(|_| Reply::status(403));
    let retry = ["dlq", "retry", "--all"];
    // Who only ends the command leaves it to the daemon.
    let mut following = follower(&bed, &retry);
    let rest = wait_until_held_up(&mut following);
    signal(&following, "TERM");
    assert_eq!(following.wait().expect("it ends").code(), None);
    drop(rest);
    assert_eq!(sink(&bed)["retry"], json!({"left": 1, "taken": 0, "refused": 0}));
    assert!(done(&bed, &["dlq", "retry", "--stop"]).contains("stopping: hook"));
    wait_for("its end", || sink(&bed)["retry"].is_null().then_some(()));

    let mut following = follower(&bed, &retry);
    let mut rest = wait_until_held_up(&mut following);
    signal(&following, "INT");
    let output = following.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let mut text = said(&output);
    rest.read_to_string(&mut text).expect("text");
    assert!(text.contains("stopping: what was not sent stays a dead letter"), "{text}");
    assert!(text.contains("stopped: hook: 1 letter: 0 taken, 0 refused, 1 not sent"), "{text}");
    assert!(!text.contains("says why"), "{text}");
    assert_eq!(done(&bed, &["dlq", "list"]).lines().count(), 2);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_to_a_refused_sink_says_so_to_people_and_programs() {
    let server = FaultServer::start();
    let bed = Bed::new();
    bed.configure(&hook(&server, ""));
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for("the events", || (numbers(&server).len() == 3).then_some(()));
    server.set_rule(|_| Reply::status(403));
    let replay = ["replay", "--sink", "hook", "--since", "1h", "--max"];
    let mut following = follower(&bed, &replay);
    drop(wait_until_held_up(&mut following));
    signal(&following, "INT");
    assert_eq!(following.wait().expect("it ends").code(), Some(1));

    let mut following = follower(&bed, &[&replay[..], &["--json"]].concat());
    let lines = BufReader::new(following.stdout.take().expect("its output")).lines();
    let mut looks =
        lines.map(|line| -> Value { serde_json::from_str(&line.expect("a line")).expect("JSON") });
    let first = looks.next().expect("a look");
    let held = |look: &Value| look["held_up"] == "refused" && look["reason"].is_string();
    let look = if held(&first) { first.clone() } else { looks.find(held).expect("held up") };
    let range = |look: &Value| (look["first"].clone(), look["last"].clone());
    assert_eq!((&look["next"], range(&look)), (&look["first"], range(&first)));
    signal(&following, "INT");
    let end = looks.last().expect("a last look");
    assert_eq!((&end["end"], range(&end)), (&json!("stopped"), range(&first)));
    assert_eq!((&end["next"], &end["sent_events"]), (&end["first"], &json!(0)));
    assert_eq!(following.wait().expect("it ends").code(), Some(1));
    assert_eq!(daemon.stop(), 0);
}
