//! One daemon at a time; it ends when told to, with everything journaled and delivered.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::thread;

use hookring_tests::{Bed, is_own, numbers_of, wait_for};

#[test]
fn a_second_daemon_says_so_and_ends_and_the_first_goes_on() {
    let bed = Bed::new();
    let mut daemon = bed.start();
    bed.emit_numbers(0..10);
    let (code, said) = bed.start_refused();
    assert_eq!(code, 1);
    let named = format!("a daemon runs already, as process {}, ", daemon.id());
    assert!(said.contains(&named), "{said}");
    assert!(said.contains(&bed.path().display().to_string()), "it names the place: {said}");
    assert!(daemon.is_alive());
    let status = bed.status();
    assert_eq!(status["pid"], daemon.id());
    bed.emit_numbers(10..20);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..20));
}

/// A number in the status file alone says nothing: it may be another process by now.
#[test]
fn a_second_daemon_names_nobody_who_does_not_have_the_journal() {
    let bed = Bed::new();
    let daemon = bed.start();
    daemon.signal("STOP");
    let status = format!("{{\"pid\":{}}}", std::process::id());
    fs::write(bed.path().join("status.json"), status).expect("the status file");
    let (code, said) = bed.start_refused();
    assert_eq!(code, 1);
    assert!(said.contains("is in use; stop the other daemon"), "{said}");
    daemon.signal("CONT");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn sigterm_and_sigint_finish_what_was_published() {
    for signal in ["TERM", "INT"] {
        let bed = Bed::new();
        bed.configure("[sinks.file]\ntype = \"jsonl\"\n[health]\nhook_p99 = \"0ms\"\n");
        let mut daemon = bed.start();
        bed.emit_numbers(0..200);
        daemon.signal(signal);
        assert_eq!(daemon.wait(), 0, "SIG{signal}");
        assert_eq!(bed.numbers(), Vec::from_iter(0..200));
        let status = bed.status();
        assert_eq!(
            (&status["running"], &status["journal"]["synced_seq"]),
            (&false.into(), &202.into()),
            "the last of them is `daemon.stop`"
        );
        let delivered =
            fs::read_to_string(bed.path().join("sinks/file.jsonl")).expect("the sink's file");
        assert_eq!(numbers_of(&delivered), Vec::from_iter(0..200));
    }
}

#[test]
fn its_first_event_is_before_and_its_last_behind_all_that_it_journals() {
    let bed = Bed::new();
    bed.configure("[health]\nhook_p99 = \"0ms\"\n");
    bed.emit_numbers(0..20);
    for _ in 0..3 {
        let before = bed.all_lines().len();
        let mut daemon = bed.start();
        bed.while_hooks_run(2, |next| {
            wait_for("some hooks", || (next.load(Ordering::Relaxed) > 50).then_some(()));
            daemon.signal("TERM");
            assert_eq!(daemon.wait(), 0);
        });
        let lines = &bed.all_lines()[before..];
        let own = lines.iter().map(|line| is_own(line)).collect::<Vec<_>>();
        assert_eq!(own.iter().filter(|is_own| **is_own).count(), 2, "{own:?}");
        assert!(own.len() > 2 && own[0] && own[own.len() - 1], "{own:?}");
    }
    let kinds = bed.own_events().into_iter().map(|event| event["event_type"].clone());
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(kinds, [["daemon.start", "daemon.stop"]; 3].concat());
}

#[test]
fn told_twice_it_still_ends_well() {
    let bed = Bed::new();
    let mut daemon = bed.start();
    bed.emit_numbers(0..100);
    ["TERM", "INT", "HUP", "TERM"].into_iter().for_each(|name| daemon.signal_if_alive(name));
    assert_eq!(daemon.wait(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..100));
}

#[test]
fn a_sink_that_takes_nothing_slows_nobody() {
    let bed = Bed::new();
    bed.configure(
        "[sinks.screen]\ntype = \"stdout\"\nstart = \"oldest\"\n[sinks.file]\ntype = \"jsonl\"\n",
    );
    let mut command = bed.command("hookring");
    let command =
        command.arg("run").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut daemon = bed.adopt(command.spawn().expect("the daemon starts"));
    let mut stdout = daemon.take_stdout();
    // Far more than a pipe holds.
    let events = 1000;
    let padding = "x".repeat(1000);
    (0..events).for_each(|n| bed.emit(format!("{{\"n\":{n},\"pad\":\"{padding}\"}}").as_bytes()));
    wait_for("the other sink", || {
        let sinks = &bed.status()["sinks"];
        let delivered = |name: &str| {
            let sink = sinks.as_array()?.iter().find(|sink| sink["name"] == name)?;
            sink["delivered_events"].as_u64()
        };
        (delivered("file") == Some(events) && delivered("screen") < Some(events)).then_some(())
    });
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).expect("text");
        text
    });
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), 0);
    let text = reader.join().expect("the reader");
    assert_eq!(numbers_of(&text), Vec::from_iter(0..events));
    assert_eq!(bed.numbers(), Vec::from_iter(0..events));
}
