//! What `hookring status` says: figures of one moment, and what somebody should do something about.

use std::fs;

use hookring_tests::{Bed, make_private_dir, wait_for};
use serde_json::Value;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
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
        let delivered = number(&sink["delivered_events"]);
        let written = number(&journal["written_seq"]);
        assert_eq!(delivered + number(&sink["lag_events"]), written, "{status}");
        assert_eq!(status["events"], journal["written_seq"], "{status}");
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
    assert!(shown(&bed).contains("hookring.toml"), "the configuration in force is named");
    fs::remove_file(bed.path().join("sinks/file.jsonl")).expect("the removal");
    make_private_dir(&bed.path().join("sinks/file.jsonl/x"));
    bed.emit_numbers(1..2);
    wait_for("the sink to fail", || {
        crate::sink(&bed, "file").filter(|it| it["state"] == "retrying" && it["lag_events"] == 1)
    });
    let text = shown(&bed);
    let last = text.lines().last().expect("a line");
    assert!(text.contains("\n\nNEEDS ATTENTION\n"), "{text}");
    assert!(last.starts_with("sink file, ") && last.contains("file.jsonl"), "{text}");
    assert!(last.ends_with("; its events wait in the journal"), "{text}");
    bed.configure("[bus]\nlnes = 3\n");
    daemon.signal("HUP");
    wait_for("the refusal", || bed.status()["config_error"].is_string().then_some(()));
    assert!(
        shown(&bed).contains("the earlier one stays in force:\nerror: bus.lnes"),
        "{}",
        shown(&bed)
    );
    assert_eq!(daemon.stop(), 0);
}
