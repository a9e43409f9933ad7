//! What the daemon says of its own life, in events of the namespace `system`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use hookring_tests::{Bed, Daemon, make_private_dir, wait_for};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

/// The payloads of the daemon's own events of this type.
fn said(bed: &Bed, kind: &str) -> Vec<Value> {
    let events = bed.own_events().into_iter();
    let events = events.filter(|event| event["event_type"] == kind);
    events.map(|event| event["payload"].clone()).collect()
}

fn kinds(bed: &Bed) -> Vec<String> {
    let kind = |event: &Value| event["event_type"].as_str().expect("a type").to_owned();
    bed.own_events().iter().map(kind).collect()
}

/// How much a cause has cost, by all events that tell of it.
fn lost_by(bed: &Bed, cause: &str) -> u64 {
    let gaps = said(bed, "daemon.gap").into_iter().filter(|gap| gap["cause"] == cause);
    gaps.map(|gap| gap["count"].as_u64().expect("a number")).sum()
}

fn lines_of(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the sink's file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn each_daemon_says_how_the_one_before_ended() {
    let bed = Bed::new();
    let mut pids = Vec::new();
    for (number, is_killed) in [(0, false), (1, true), (2, true), (3, false), (4, false)] {
        let daemon = bed.start();
        pids.push(daemon.id());
        if number > 1 {
            bed.emit_numbers(number..number + 1);
            wait_for("its event", || (bed.numbers().last() == Some(&number)).then_some(()));
        }
        wait_for("its start", || (said(&bed, "daemon.start").len() as u64 > number).then_some(()));
        if is_killed {
            daemon.kill();
        } else {
            assert_eq!(daemon.stop(), 0);
        }
    }
    let [start, stop] = ["daemon.start", "daemon.stop"];
    assert_eq!(kinds(&bed), [start, stop, start, start, start, stop, start, stop]);
    let before: Vec<_> =
        said(&bed, start).iter().map(|payload| payload["before"].clone()).collect();
    let [in_order, broken_off] = [json!("in_order"), json!("broken_off")];
    assert_eq!(before, [Value::Null, in_order.clone(), broken_off.clone(), broken_off, in_order]);
    let stops = [0, 1, 1].map(|events| json!({"reason": "SIGTERM", "events": events}));
    assert_eq!(said(&bed, stop), stops);
    let starts = bed.own_events().into_iter().filter(|event| event["event_type"] == start);
    for (event, pid) in starts.zip(pids) {
        let version = event["payload"]["version"].as_str().expect("a version");
        assert_eq!(event["source"], json!({"agent": "hookring", "version": version}));
        assert_eq!((&event["namespace"], &event["from"]), (&"system".into(), &"daemon".into()));
        assert_eq!(event["process"], json!({"pid": pid, "elapsed_us": 0}));
        assert!(event["monotonic_ns"].is_u64() && event["host"].is_string(), "{event}");
    }
    assert_eq!(bed.hookring(&["journal", "verify"]).status.code(), Some(0));
}

#[test]
fn what_a_start_mends_is_in_its_event_and_in_the_log() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    assert_eq!(bed.start().stop(), 0);
    let segment = bed.path().join("journal/00000000000000000001.jsonl");
    let mut file = OpenOptions::new().append(true).open(&segment).expect("the segment");
    file.write_all(b"noise\n{\"crc\":\"0000").expect("the damage");
    assert_eq!(bed.start().stop(), 0);
    let start = said(&bed, "daemon.start").remove(1);
    let version = start["version"].clone();
    let expected =
        json!({"version": version, "before": "in_order", "cut_bytes": 12, "bad_lines": 1});
    assert_eq!(start, expected);
    // The journal's end is gone, as after a loss of power, and a cursor is ahead of it.
    let text = fs::read_to_string(&segment).expect("the segment");
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    fs::write(&segment, lines[..3].concat()).expect("the last lines are gone");
    assert_eq!(bed.start().stop(), 0);
    let start = said(&bed, "daemon.start").remove(1);
    let skipped = start["skipped_numbers"].as_u64().expect("a number");
    assert_eq!(
        start,
        json!({"version": version, "before": "in_order", "skipped_numbers": skipped})
    );
    assert_eq!(lost_by(&bed, "skipped_numbers"), skipped);
    let log = bed.log();
    let skipped = format!("{skipped} numbers are left out");
    for what in ["12 bytes of a line that was never", "1 damaged lines", &skipped] {
        assert!(log.contains(what), "no `{what}` in {log}");
    }
}

/// Whoever joins events by the hashes of secrets has to know from where on they are others.
#[test]
fn a_new_key_is_told_if_there_are_events_of_before() {
    let bed = Bed::new();
    let key = bed.path().join("redaction.key");
    let told =
        || said(&bed, "daemon.start").into_iter().map(|start| start["new_redaction_key"].clone());
    for _ in 0..2 {
        assert_eq!(bed.start().stop(), 0);
    }
    assert!(!bed.log().contains("redaction.key"), "{}", bed.log());
    fs::remove_file(&key).expect("the key");
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(told().collect::<Vec<_>>(), [Value::Null, Value::Null, true.into(), Value::Null]);
    let said = format!("{} was not there, and a new key is made", key.display());
    assert_eq!(bed.log().matches(&said).count(), 1, "{}", bed.log());
    // Without events nothing is lost with it.
    fs::remove_file(&key).expect("the key");
    fs::remove_dir_all(bed.path().join("journal")).expect("the journal");
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(told().collect::<Vec<_>>(), [Value::Null]);
}

#[test]
fn a_reload_says_what_it_changed_or_why_it_was_refused() {
    let bed = Bed::new();
    bed.configure("[sinks.old]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    let reload = |toml: &str| {
        let before = said(&bed, "daemon.reload").len();
        bed.configure(toml);
        daemon.signal("HUP");
        wait_for("the event", || said(&bed, "daemon.reload").get(before).cloned())
    };
    let refused = reload("[bus]\nlanes = \"hunter2hunter2\"\n[sinks.new]\ntype = \"jsonl\"\n");
    assert_eq!((&refused["result"], &refused["changes"]), (&"refused".into(), &Value::Null));
    let error = refused["error"].as_str().expect("an error");
    assert!(error.contains("bus.lanes") && !error.contains('\n'), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let changes = ["sink new added", "sink old removed", "log.level changed"];
    assert_eq!(
        reload("[log]\nlevel = \"debug\"\n[sinks.new]\ntype = \"jsonl\"\n"),
        json!({"result": "in_force", "changes": changes})
    );
    assert_eq!(
        reload("[log]\nlevel = \"debug\"\n[sinks.new]\ntype = \"jsonl\"\n"),
        json!({"result": "in_force"})
    );
    let tables = "[[redact.patterns]]\nname = \"emp\"\npattern = \"E-[0-9]{8}\"\n\
                  [[risk.rules]]\nid = \"own.a\"\nlevel = \"low\"\nprograms = [\"x\"]\n";
    let changes = [
        "sink new removed",
        "log.level changed",
        "redaction pattern emp added",
        "risk rule own.a added",
    ];
    assert_eq!(reload(tables), json!({"result": "in_force", "changes": changes}));
    assert_eq!(reload(tables), json!({"result": "in_force"}));
    let changes = ["redaction pattern emp removed", "risk rule own.a removed"];
    assert_eq!(reload(""), json!({"result": "in_force", "changes": changes}));
    let log = bed.log();
    assert!(
        log.contains("read again: redaction pattern emp removed, risk rule own.a removed"),
        "{log}"
    );
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_that_fails_and_works_again_is_told_once_each() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let in_the_way = bed.path().join("sinks/file.jsonl");
    make_private_dir(&in_the_way);
    let daemon = bed.start();
    let changes = || said(&bed, "sink.state");
    wait_for("the failure", || (changes().len() == 1).then_some(()));
    wait_for("some retries", || {
        (crate::sink(&bed, "file")?["retries"].as_u64() >= Some(3)).then_some(())
    });
    fs::remove_dir(in_the_way).expect("the removal");
    wait_for("the end of it", || (changes().len() == 2).then_some(()));
    let error = crate::sink(&bed, "file").expect("the sink")["last_error"].clone();
    assert_eq!(daemon.stop(), 0);
    assert!(error.as_str().is_some_and(|error| error.contains("file.jsonl")), "{error}");
    let mut changes = changes();
    // By the first look it may have failed so often that this is open, which is told as well.
    changes[0].as_object_mut().expect("an object").remove("breaker");
    let expected = [
        json!({"sink": "file", "state": "retrying", "before": "opening", "error": error}),
        json!({"sink": "file", "state": "running", "before": "retrying"}),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn a_sinks_error_tells_no_secret_that_its_path_has() {
    let bed = Bed::new();
    bed.configure(
        "[sinks.file]\ntype = \"jsonl\"\npath = \"/dev/null/${HOOK_API_TOKEN}/x.jsonl\"\n",
    );
    let secret = "f1a5c0-not-for-logs-7b2e";
    let daemon = bed.start_with(bed.command("hookring").env("HOOK_API_TOKEN", secret));
    let change = wait_for("the failure", || said(&bed, "sink.state").first().cloned());
    assert_eq!(daemon.stop(), 0);
    let error = change["error"].as_str().expect("an error");
    assert!(error.contains("/dev/null") && error.contains("[redacted:"), "{error}");
    let journaled = String::from_utf8(bed.all_lines().concat()).expect("text");
    assert!(!journaled.contains(secret));
}

#[test]
fn dropped_events_are_told_also_those_that_no_daemon_saw_and_only_once() {
    let bed = Bed::new();
    bed.configure("[bus]\nspool_bytes = \"1MiB\"\n");
    let daemon = bed.start();
    let too_large = vec![b'1'; 2 << 20];
    let drop_some = |count| (0..count).for_each(|_| bed.emit(&too_large));
    let wait_for_drops = |count| {
        wait_for("the gap", || (lost_by(&bed, "hooks_dropped") == count).then_some(()));
    };
    drop_some(2);
    wait_for_drops(2);
    let gap = said(&bed, "daemon.gap").remove(0);
    assert_eq!(gap["place"], bed.path().to_str().expect("text"), "{gap}");
    assert_eq!(daemon.stop(), 0);
    drop_some(3);
    let daemon = start_beside_its_status(&bed);
    wait_for_drops(5);
    // Right before the end.
    drop_some(1);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(lost_by(&bed, "hooks_dropped"), 6);
    assert_eq!(start_beside_its_status(&bed).stop(), 0);
    assert_eq!(lost_by(&bed, "hooks_dropped"), 6);
    assert_eq!(bed.status()["places"][0]["dropped_events"], 6);
    assert!(bed.numbers().is_empty());
}

/// Starts a daemon that knows what the one before said in its status.
fn start_beside_its_status(bed: &Bed) -> Daemon {
    let mut command = bed.command("hookring");
    let child = command.arg("run").stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let daemon = bed.adopt(child.expect("the daemon starts"));
    wait_for("its status", || (bed.status()["pid"] == daemon.id()).then_some(()));
    daemon
}

#[test]
fn damaged_spool_entries_are_told() {
    let bed = Bed::new();
    let daemon = bed.start();
    let spool = bed.path().join("spool");
    // A name that an entry may have, and nothing that one holds.
    let name = format!("{:020}-{}", 1, "ab".repeat(16));
    fs::write(spool.join(name), "noise").expect("a damaged entry");
    wait_for("the gap", || (lost_by(&bed, "bad_spool_entries") == 1).then_some(()));
    assert_eq!(bed.status()["counts"]["bad_spool_entries"], 1);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_may_take_the_daemons_own_events_alone_and_has_the_last_one_too() {
    let bed = Bed::new();
    bed.configure_as_it_is(
        "[sinks.own]\ntype = \"jsonl\"\n[sinks.own.filter]\nnamespaces = [\"system\"]\n\
         [sinks.all]\ntype = \"jsonl\"\n",
    );
    bed.emit_numbers(0..5);
    let daemon = bed.start();
    bed.wait_for_events(5);
    assert_eq!(daemon.stop(), 0);
    let kinds = |name: &str| {
        let events = lines_of(&bed.path().join(format!("sinks/{name}.jsonl")));
        events.iter().map(|event| event["event_type"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("own"), ["daemon.start", "daemon.stop"]);
    let all = kinds("all");
    assert_eq!((all.len(), &all[0], &all[6]), (7, &"daemon.start".into(), &"daemon.stop".into()));
    assert_eq!(bed.status()["own_events"], 2);
    assert_eq!(bed.status()["events"], 5);
}

#[test]
fn tail_shows_what_they_say() {
    let bed = Bed::new();
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.start().stop(), 0);
    let output = bed.hookring(&["tail", "--type", "daemon.*"]);
    let shown = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<_> = shown.lines().filter(|line| !line.contains("(UTC")).collect();
    assert_eq!(lines.len(), 4, "{shown}");
    assert!(lines[2].contains("hookring     daemon.start        version "), "{shown}");
    assert!(lines[2].ends_with("; before in_order"), "{shown}");
    assert!(lines[3].ends_with("  daemon.stop         reason SIGTERM; events 0"), "{shown}");
}

#[test]
fn while_the_journal_takes_nothing_what_happens_becomes_one_event() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=1m,mode=0700") else { return };
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\n");
    let daemon = bed.start();
    wait_for("its start", || (kinds(&bed).len() == 1).then_some(()));
    let filler = bed.path().join("journal/filler");
    let mut file = fs::File::create(&filler).expect("the filler");
    for size in [65536, 4096, 1] {
        while file.write_all(&vec![0x55; size]).is_ok() {}
    }
    drop(file);
    // More than the space that was reserved ahead.
    bed.emit(&vec![b'1'; 100_000]);
    wait_for("the pause", || bed.status()["journal"]["paused"].is_string().then_some(()));
    bed.configure("[bus]\nlanes = 0\n");
    let refusals = 5;
    for n in 0..refusals {
        daemon.signal("HUP");
        wait_for("the refusal", || {
            (bed.log().matches("the new configuration is wrong").count() > n).then_some(())
        });
    }
    fs::remove_file(filler).expect("room is made");
    let reload = wait_for("the event", || said(&bed, "daemon.reload").first().cloned());
    assert_eq!((&reload["result"], &reload["times"]), (&"refused".into(), &refusals.into()));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(kinds(&bed), ["daemon.start", "daemon.reload", "daemon.stop"]);
}

#[test]
fn a_daemon_that_can_only_not_say_that_it_ends_ends_well() {
    let bed = Bed::new();
    let daemon = bed.start();
    wait_for("its start", || (kinds(&bed).len() == 1).then_some(()));
    // No file of it may be longer than that one is.
    let length = bed.all_lines().concat().len() as u64;
    let limit = Rlimit { current: Some(length), maximum: None };
    prlimit(Pid::from_raw(daemon.id() as i32), Resource::Fsize, limit).expect("the limit");
    assert_eq!(daemon.stop(), 0, "{}", bed.log());
    assert!(bed.log().contains("cannot write"), "{}", bed.log());
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(kinds(&bed), ["daemon.start", "daemon.start", "daemon.stop"]);
    assert_eq!(said(&bed, "daemon.start")[1]["before"], "broken_off");
}
