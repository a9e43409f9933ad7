//! How a daemon starts and ends as its user sees it: what it says, and what the status says after it.

use std::fs;
use std::process::Stdio;

use hookring_tests::{Bed, make_private_dir, wait_for};

use crate::{numbers_in, wait_for_delivery};

#[test]
fn what_waits_is_journaled_and_delivered_before_it_ends() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    daemon.signal("STOP");
    bed.emit_numbers(0..500);
    daemon.signal("TERM");
    daemon.signal("CONT");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..500));
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), Vec::from_iter(0..500));
    assert!(!bed.log().contains("to go, which"), "{}", bed.log());
}

#[test]
fn a_sink_that_is_down_keeps_no_daemon_and_goes_on_at_the_next_start() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let in_the_way = bed.path().join("sinks/file.jsonl");
    make_private_dir(&in_the_way);
    let daemon = bed.start();
    bed.emit_numbers(0..1);
    bed.wait_for_events(1);
    // Long before it has failed so often that its breaker opens.
    wait_for("the failure", || bed.log().contains("it is tried again").then_some(()));
    assert_eq!(daemon.stop(), 0);
    let log = bed.log();
    assert!(log.contains("sink file fails (") && !log.contains("gets 10 s"), "{log}");
    assert!(log.contains("it gets one more try, and no more, with the 4 events that"), "{log}");
    assert!(
        log.contains("sink file stopped with 4 events to go, which the journal keeps"),
        "{log}"
    );
    fs::remove_dir(in_the_way).expect("the removal");
    let daemon = bed.start();
    wait_for_delivery(&bed, "file", 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_that_is_stuck_is_shown_as_stopped_once_the_daemon_is_gone() {
    let bed = Bed::new();
    bed.configure("[sinks.screen]\ntype = \"stdout\"\n");
    let mut command = bed.command("hookring");
    let log = fs::File::create(bed.path().join("daemon.log")).expect("a log");
    let command = command.arg("run").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut daemon = bed.adopt(command.spawn().expect("the daemon starts"));
    // Nobody reads what is more than a pipe holds.
    let _pipe = daemon.take_stdout();
    wait_for("the daemon", || bed.path().join("status.json").exists().then_some(()));
    for _ in 0..20 {
        bed.emit(&vec![b'x'; 20_000]);
    }
    wait_for("events to wait for the pipe", || {
        let waits = |sink: &serde_json::Value| sink["lag_events"].as_u64() > Some(0);
        (bed.status()["events"] == 20 && crate::sink(&bed, "screen").is_some_and(|it| waits(&it)))
            .then_some(())
    });
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), 0);
    assert!(bed.log().contains("to go and gets 10 s for that"), "{}", bed.log());
    assert_eq!(crate::sink(&bed, "screen").expect("the sink")["state"], "stopped");
}

#[test]
fn a_file_in_the_place_of_the_folder_is_called_one() {
    let bed = Bed::new();
    let file = bed.path().join("file");
    fs::write(&file, "").expect("a file");
    for args in [&["run"][..], &["status"], &["tail"], &["config", "check"], &["journal", "verify"]]
    {
        let mut command = bed.command("hookring");
        let output = command.args(args).env("HOOKRING_DIR", &file).output().expect("hookring runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        let expected = format!("HOOKRING_DIR is `{}`, which is not a directory", file.display());
        assert!(said.contains(&expected), "{args:?}: {said}");
    }
}

#[test]
fn the_daemons_messages_have_colours_where_they_are_wanted() {
    for (variables, coloured) in [
        (&[][..], false),
        (&["CLICOLOR_FORCE"], true),
        // Which has the last word, on a terminal, too.
        (&["CLICOLOR_FORCE", "NO_COLOR"], false),
    ] {
        let bed = Bed::new();
        let mut command = bed.command("hookring");
        command.envs(variables.iter().map(|name| (name, "1")));
        assert_eq!(bed.start_with(&mut command).stop(), 0);
        assert_eq!(bed.log().contains('\u{1b}'), coloured, "{variables:?}: {}", bed.log());
    }
}
