//! What `hookring status` says: figures of one moment, and what somebody should do something about.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hookring_tests::{Bed, make_private_dir, wait_for};
use serde_json::Value;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn exit(bed: &Bed, args: &[&str]) -> Option<i32> {
    bed.hookring(args).status.code()
}

fn shown(bed: &Bed) -> String {
    String::from_utf8(bed.hookring(&["status"]).stdout).expect("text")
}

#[test]
fn a_sink_is_never_ahead_of_the_journal() {
    /// Looks at the status, each of another second.
    const LOOKS: usize = 4;
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    let (statuses, _) = bed.while_hooks_run(2, |_| {
        let mut seen: Vec<Value> = Vec::new();
        while seen.len() < LOOKS {
            let last = seen.last().map(|status| status["updated"].clone());
            seen.push(wait_for("another status", || {
                Some(bed.status()).filter(|status| Some(&status["updated"]) != last.as_ref())
            }));
        }
        seen
    });
    assert_eq!(daemon.stop(), 0);
    for status in &statuses {
        let (sink, journal) = (&status["sinks"][0], &status["journal"]);
        let delivered = number(&sink["delivered_events"]) + number(&sink["filtered_events"]);
        let written = number(&journal["written_seq"]);
        assert_eq!(delivered + number(&sink["lag_events"]), written, "{status}");
        assert_eq!(number(&status["events"]) + number(&status["own_events"]), written, "{status}");
    }
    assert!(number(&statuses[LOOKS - 1]["events"]) > 0, "hooks ran");
}

#[test]
fn events_that_waited_for_a_daemon_are_not_in_the_times() {
    let bed = Bed::new();
    assert_eq!(bed.start().stop(), 0);
    bed.emit_numbers(0..7);
    let daemon = bed.start();
    bed.emit_numbers(7..10);
    bed.wait_for_events(10);
    let status = wait_for("its status", || Some(bed.status()).filter(|it| it["events"] == 10));
    assert_eq!(
        (&status["waited"]["events"], &status["publish_to_journal"]["count"]),
        (&7.into(), &3.into())
    );
    assert!(number(&status["waited"]["longest_ns"]) > 0);
    let text = shown(&bed);
    assert!(text.contains("\n7 of them had waited for a daemon, for up to "), "{text}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_needs_attention_stands_at_the_end() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..1);
    crate::wait_for_delivery(&bed, "file", 1);
    assert!(!shown(&bed).contains("NEEDS ATTENTION"), "{}", shown(&bed));
    assert!(shown(&bed).starts_with("running  hookring "), "{}", shown(&bed));
    assert_eq!(exit(&bed, &["status", "--check"]), Some(0));
    assert!(shown(&bed).contains("hookring.toml"), "the configuration in force is named");
    fs::remove_file(bed.path().join("sinks/file.jsonl")).expect("the removal");
    make_private_dir(&bed.path().join("sinks/file.jsonl/x"));
    bed.emit_numbers(1..2);
    wait_for("the sink to fail", || {
        crate::sink(&bed, "file").filter(|it| it["state"] == "retrying" && it["lag_events"] == 2)
    });
    let text = shown(&bed);
    let last = text.lines().last().expect("a line");
    assert!(text.contains("\n\nNEEDS ATTENTION\n"), "{text}");
    assert!(last.starts_with("sink file, ") && last.contains("file.jsonl"), "{text}");
    // The other one is `sink.state`.
    assert!(last.ends_with("; 2 events wait in the journal"), "{text}");
    assert!(text.starts_with("running, but 1 thing needs attention  "), "{text}");
    assert_eq!(exit(&bed, &["status"]), Some(0), "the daemon runs");
    assert_eq!(exit(&bed, &["status", "--check"]), Some(1));
    assert_eq!(bed.status()["needs_attention"].as_array().map(Vec::len), Some(1));
    bed.configure("[bus]\nlnes = 3\n");
    daemon.signal("HUP");
    wait_for("the refusal", || bed.status()["config_error"].is_object().then_some(()));
    assert!(shown(&bed).contains("/hookring.toml:2: bus.lnes: "), "{}", shown(&bed));
    assert_eq!(daemon.stop(), 0);
}

/// A journal that keeps little, for a sink that cannot be opened.
const SMALL: &str = "[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64KiB\"\n\
    hard_limit_bytes = \"256KiB\"\ncache_bytes = \"64KiB\"\n[sinks.s]\ntype = \"jsonl\"\n";

#[test]
fn what_a_sink_lost_at_the_hard_limit_is_said_to_the_number_and_stays_known() {
    let bed = Bed::new();
    bed.configure(SMALL);
    // A file where the sink's folder should be.
    fs::write(bed.path().join("sinks"), "").expect("a file");
    let daemon = bed.start();
    for n in 0..60 {
        bed.emit(format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(10_000)).as_bytes());
        // In one batch they would be one segment, which is kept or lost as a whole.
        wait_for("its line", || (n % 5 != 4 || bed.status()["events"] == n + 1).then_some(()));
    }
    // Until nothing changes any more: what is lost and what is behind is all that there was.
    let sink = wait_for("the loss", || {
        let status = bed.status();
        let sink = crate::sink(&bed, "s")?;
        let (lost, lag) = (number(&sink["lost_events"]), number(&sink["lag_events"]));
        let is_settled = number(&status["journal"]["bytes"]) <= 256 << 10;
        let is_all = lost + lag == number(&status["journal"]["written_seq"]);
        // Told, so that nothing is left to be said that would cost another segment.
        let is_told = bed.own_events().iter().any(|event| event["payload"]["last"] == lost);
        (is_settled && status["events"] == 60 && is_all && lost > 0 && is_told).then_some(sink)
    });
    let lost = number(&sink["lost_events"]);
    assert_eq!(sink["lost"].as_array().map(Vec::len), Some(1), "{sink}");
    assert_eq!((&sink["lost"][0]["first"], &sink["lost"][0]["last"]), (&1.into(), &lost.into()));
    let text = shown(&bed);
    let said = format!("sink s lost {lost} events that the journal no longer had, the last ");
    assert!(text.contains(&said) && text.contains(&format!(" ago: 1 to {lost};")), "{text}");
    assert_eq!(exit(&bed, &["status", "--check"]), Some(1));
    assert_eq!(daemon.stop(), 0);
    let log = bed.log();
    let left = bed.all_lines().len();
    assert!(log.contains(&format!("sink s stopped with {left} events to go")), "{log}");
    let kept = bed.numbers();
    assert_eq!(kept, Vec::from_iter(60 - kept.len() as u64..60));
    // What the daemon said as it ended may have cost one segment more.
    let first: Value = serde_json::from_slice(&bed.all_lines()[0]).expect("JSON");
    let lost = (number(&first["seq"]) - 1).max(lost);
    let said = format!("sink s lost {lost} events that the journal no longer had, the last ");
    assert!(log.contains("ERROR sink s lost "), "{log}");
    assert!(!log.contains("before every sink"), "{log}");

    fs::remove_file(bed.path().join("sinks")).expect("the folder is mended");
    let daemon = bed.start();
    crate::wait_for_delivery(&bed, "s", kept.len() as u64);
    let sink = crate::sink(&bed, "s").expect("the sink");
    assert_eq!((&sink["state"], &sink["lost_events"]), (&"running".into(), &lost.into()));
    assert!(shown(&bed).contains(&said), "{}", shown(&bed));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(crate::numbers_in(&bed.path().join("sinks/s.jsonl")), kept);
    assert_eq!(bed.log().matches("ERROR").count(), log.matches("ERROR").count());
}

#[test]
fn a_new_sink_is_behind_by_what_the_journal_has() {
    let bed = Bed::new();
    bed.configure(&SMALL.replace("256KiB", "128KiB"));
    let daemon = bed.start();
    for n in 0..60 {
        bed.emit(format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(10_000)).as_bytes());
    }
    wait_for("old events to be deleted", || {
        let is_all = bed.status()["events"] == 60 && bed.status()["sinks"][0]["lag_events"] == 0;
        (is_all && bed.lines().len() < 30).then_some(())
    });
    fs::create_dir_all(bed.path().join("sinks/new.jsonl")).expect("a folder in its place");
    bed.configure(&format!("{SMALL}[sinks.new]\ntype = \"jsonl\"\n"));
    daemon.signal("HUP");
    // Retention may go on meanwhile.
    let new = wait_for("the sink to be behind by what is left", || {
        let is_behind = |sink: &Value| {
            sink["state"] == "retrying"
                && number(&sink["lag_events"]) == bed.all_lines().len() as u64
        };
        crate::sink(&bed, "new").filter(is_behind)
    });
    assert_eq!(new["lost_events"], 0, "{new}");
    assert_eq!(daemon.stop(), 0);
}

/// The daemon's own file says nothing of it: it stands there.
#[test]
fn a_place_that_was_opened_to_others_is_told_while_the_daemon_runs() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_numbers(1..2);
    bed.wait_for_events(1);
    let set_mode = |mode| {
        fs::set_permissions(bed.path(), fs::Permissions::from_mode(mode)).expect("its mode");
    };
    assert_eq!(exit(&bed, &["status", "--check"]), Some(0));
    set_mode(0o755);
    assert_eq!(exit(&bed, &["status", "--check"]), Some(1));
    let text = shown(&bed);
    let path = bed.path().display();
    assert!(text.contains(&format!("{path} is not used: ")), "{text}");
    set_mode(0o700);
    wait_for("all to be well", || (exit(&bed, &["status", "--check"]) == Some(0)).then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_that_takes_nothing_is_told() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_numbers(1..3);
    bed.wait_for_events(2);
    wait_for("the daemon to say so", || (number(&bed.status()["events"]) == 2).then_some(()));
    daemon.signal("STOP");
    assert_eq!(exit(&bed, &["status", "--check"]), Some(0), "nothing waits for it");
    bed.emit_numbers(3..4);
    assert_eq!(exit(&bed, &["status", "--check"]), Some(1));
    let text = shown(&bed);
    assert!(text.contains(&format!("the daemon (pid {}) takes nothing", daemon.id())), "{text}");
    daemon.signal("CONT");
    bed.wait_for_events(3);
    assert_eq!(exit(&bed, &["status", "--check"]), Some(0));
    assert_eq!(daemon.stop(), 0);
}
