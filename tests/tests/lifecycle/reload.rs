//! SIGHUP: a changed configuration changes what it names, an invalid one nothing. `hookring reload`
//! sends it to the daemon of this directory, and to nobody else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Output, Stdio};

use hookring_tests::{Bed, Daemon, wait_for};
use serde_json::Value;

use crate::{numbers_in, sink, wait_for_delivery};

/// Writes the configuration, and waits until the daemon has it in force.
fn reconfigure(bed: &Bed, daemon: &Daemon, toml: &str) {
    let times = |bed: &Bed| bed.log().matches("the configuration was read again").count();
    let before = times(bed);
    bed.configure(toml);
    daemon.signal("HUP");
    wait_for("the configuration to be read", || (times(bed) > before).then_some(()));
}

#[test]
fn sinks_come_change_and_go() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_numbers(0..10);
    bed.wait_for_events(10);
    assert!(sink(&bed, "file").is_none());

    reconfigure(
        &bed,
        &daemon,
        "[sinks.file]\ntype = \"jsonl\"\n[sinks.new]\ntype = \"jsonl\"\nstart = \"now\"\n",
    );
    wait_for_delivery(&bed, "file", 10);
    bed.emit_numbers(10..20);
    wait_for_delivery(&bed, "file", 20);
    wait_for_delivery(&bed, "new", 10);
    assert_eq!(numbers_in(&bed.path().join("sinks/new.jsonl")), Vec::from_iter(10..20));

    // To another file, from where it is.
    let moved = bed.path().join("sinks/moved.jsonl");
    reconfigure(
        &bed,
        &daemon,
        &format!("[sinks.file]\ntype = \"jsonl\"\npath = \"{}\"\n", moved.display()),
    );
    bed.emit_numbers(20..30);
    wait_for_delivery(&bed, "file", 30);
    wait_for("the removed sink to be gone", || sink(&bed, "new").is_none().then_some(()));

    reconfigure(&bed, &daemon, "[sinks.file]\ntype = \"jsonl\"\nenabled = false\n");
    wait_for("the sink to be gone", || sink(&bed, "file").is_none().then_some(()));
    bed.emit_numbers(30..40);
    bed.wait_for_events(40);
    // Switched on again, it has what came meanwhile.
    reconfigure(&bed, &daemon, "[sinks.file]\ntype = \"jsonl\"\n");
    wait_for_delivery(&bed, "file", 10);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(
        numbers_in(&bed.path().join("sinks/file.jsonl")),
        Vec::from_iter((0..20).chain(30..40))
    );
    assert_eq!(numbers_in(&moved), Vec::from_iter(20..30));
    assert_eq!(numbers_in(&bed.path().join("sinks/new.jsonl")), Vec::from_iter(10..20));
}

#[test]
fn a_sink_that_stays_as_it_is_does_not_notice_and_one_that_changes_counts_on() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..10);
    wait_for_delivery(&bed, "file", 10);
    let file = "[log]\nlevel = \"debug\"\n[sinks.file]\ntype = \"jsonl\"\n";
    reconfigure(&bed, &daemon, file);
    let is_stopped = || bed.log().contains("stopping sink file");
    assert!(!is_stopped(), "{}", bed.log());
    reconfigure(&bed, &daemon, &format!("{file}batch_events = 3\n"));
    assert!(is_stopped(), "{}", bed.log());
    bed.emit_numbers(10..12);
    wait_for_delivery(&bed, "file", 12);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_that_changes_before_its_events_are_synced_gets_none_of_them_again() {
    let bed = Bed::new();
    let file = bed.path().join("sinks/file.jsonl");
    let settings = |path: &str| {
        format!(
            "[journal]\nsync_interval = \"1h\"\n[sinks.file]\ntype = \"jsonl\"\npath = \"{path}\"\n"
        )
    };
    bed.configure(&settings(&file.display().to_string()));
    let daemon = bed.start();
    bed.emit_numbers(0..3);
    wait_for("the events", || (numbers_in(&file) == [0, 1, 2]).then_some(()));
    let moved = bed.path().join("sinks/moved.jsonl");
    reconfigure(&bed, &daemon, &settings(&moved.display().to_string()));
    bed.emit_numbers(3..4);
    wait_for("the next", || numbers_in(&moved).contains(&3).then_some(()));
    assert_eq!(numbers_in(&moved), [3]);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_sink_that_changes_with_events_to_go_loses_none_and_nobody_is_alarmed() {
    let (bed, elsewhere) = (Bed::new(), tempfile::tempdir().expect("a folder"));
    let archive = |file: &str| {
        let path = elsewhere.path().join(file);
        format!("[sinks.archive]\ntype = \"jsonl\"\npath = \"{}\"\n", path.display())
    };
    fs::create_dir(elsewhere.path().join("folder"))
        .expect("a folder, which is no file to write to");
    bed.configure(&archive("folder"));
    let daemon = bed.start();
    bed.emit(br#"{"n":0}"#);
    bed.wait_for_events(1);
    wait_for("a failure", || bed.status()["sinks"][0]["last_error"].as_str().map(drop));
    reconfigure(&bed, &daemon, &archive("file.jsonl"));
    wait_for("the event", || {
        (numbers_in(&elsewhere.path().join("file.jsonl")) == [0]).then_some(())
    });
    let log = bed.log();
    let line = log.lines().find(|line| line.contains("with its new settings")).expect(&log);
    assert!(line.contains("INFO") && line.contains("goes on from there"), "{line}");
    assert!(!log.contains("stopped with"), "{log}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn an_invalid_configuration_leaves_the_running_one_in_force_and_says_so() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..10);
    bed.configure("[bus]\nlanes = 0\nlains = 7\n[sinks.file]\ntype = \"jsonl\"\nenabled = false\n");
    daemon.signal("HUP");
    let error = wait_for("the error", || {
        Some(bed.status()["config_error"].clone()).filter(|error| !error.is_null())
    });
    let checked = bed.hookring(&["config", "check", "--json"]);
    let checked: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(error, checked, "what a check says");
    let keys: Vec<_> = error["errors"].as_array().expect("errors").iter().collect();
    assert_eq!((&keys[0]["key"], &keys[0]["line"]), (&"bus.lanes".into(), &2.into()));
    assert_eq!((&keys[1]["key"], &keys[1]["line"]), (&"bus.lains".into(), &3.into()));
    let log = bed.log();
    assert!(log.contains("the earlier one stays in force") && log.contains("bus.lains"), "{log}");
    let shown = String::from_utf8(bed.hookring(&["status"]).stdout).expect("text");
    assert!(shown.contains("bus.lains"), "{shown}");
    bed.emit_numbers(10..20);
    wait_for_delivery(&bed, "file", 20);

    reconfigure(&bed, &daemon, "[sinks.file]\ntype = \"jsonl\"\n");
    wait_for("the error to be gone", || bed.status()["config_error"].is_null().then_some(()));
    assert_eq!(daemon.stop(), 0);
    assert_eq!(numbers_in(&bed.path().join("sinks/file.jsonl")), Vec::from_iter(0..20));
}

#[test]
fn a_configuration_that_is_gone_leaves_the_running_one_in_force_and_says_so() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    std::fs::remove_file(bed.path().join("hookring.toml")).expect("the removal");
    daemon.signal("HUP");
    wait_for("the error", || bed.status()["config_error"].is_object().then_some(()));
    assert!(bed.log().contains("error: the file is gone"), "{}", bed.log());
    bed.emit_numbers(0..10);
    wait_for_delivery(&bed, "file", 10);
    reconfigure(&bed, &daemon, "[log]\nlevel = \"debug\"\n[sinks.other]\ntype = \"jsonl\"\n");
    let said = "was read again: sink file removed, sink other added, log.level changed";
    assert!(bed.log().contains(said), "{}", bed.log());
    wait_for_delivery(&bed, "other", 10);
    assert_eq!(daemon.stop(), 0);
    let log = bed.log();
    // Of the hooks' ten; the daemon's own events are among the numbers.
    for line in ["sink other begins with event 1", "sink other took 10 of events 1 to 1"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains("\"n\""), "no payload: {log}");
}

#[test]
fn a_ring_of_another_size_takes_over_while_hooks_run_and_nothing_is_lost() {
    let bed = Bed::new();
    let daemon = bed.start();
    let ((), sent) = bed.while_hooks_run(2, |_| {
        for lanes in [4, 1, 64] {
            reconfigure(
                &bed,
                &daemon,
                &format!("[bus]\nlanes = {lanes}\nlane_bytes = \"16KiB\"\n"),
            );
            wait_for("the new ring", || {
                (bed.status()["places"][0]["lanes"] == lanes).then_some(())
            });
        }
    });
    wait_for("the old rings to go", || {
        (bed.status()["places"][0]["retired_rings"] == 0).then_some(())
    });
    assert_eq!(daemon.stop(), 0);
    let mut numbers = bed.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..sent));
    assert_eq!(bed.status()["counts"]["retired_rings"], 3);
    let names = std::fs::read_dir(bed.path())
        .expect("the directory")
        .map(|it| it.expect("an entry").file_name());
    let old: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("ring.")).collect();
    assert!(old.is_empty(), "{old:?}");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn reload(bed: &Bed) -> Output {
    bed.hookring(&["reload"])
}

/// A process that SIGHUP kills, with a daemon's words on its command line.
fn bystander() -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read line; : hookring run"]).stdin(Stdio::piped());
    shell.spawn().expect("sh runs")
}

#[test]
fn reload_waits_until_the_configuration_is_in_force() {
    let bed = Bed::new();
    let mut bystander = bystander();
    let daemon = bed.start();
    let file = bed.path().join("hookring.toml").display().to_string();
    let output = reload(&bed);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        format!("reloaded: there is no {file}, the defaults apply\nnothing changed\n")
    );
    bed.configure("[sinks.a]\ntype = \"jsonl\"\n");
    let output = reload(&bed);
    assert_eq!(text(&output.stdout), format!("reloaded: {file} is in force\nsink a added\n"));
    assert!(sink(&bed, "a").is_some(), "it is there when the command ends");
    // What only may go wrong is said and changes nothing: by the log, and by `config check`.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode");
    let output = reload(&bed);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "", "`config check` says it, which comes before");
    assert!(text(&bed.hookring(&["config", "check"]).stderr).contains("run `chmod 600"));
    assert!(bed.log().contains("run `chmod 600"), "{}", bed.log());
    assert_eq!(daemon.stop(), 0);
    assert!(bystander.try_wait().expect("its state").is_none(), "a bystander was hit");
    bystander.kill().expect("its end");
    bystander.wait().expect("its end");
}

#[test]
fn reload_sends_nothing_while_the_configuration_is_wrong() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.configure("[bus]\nlanes = 0\nlains = 7\n");
    let output = reload(&bed);
    let checked = bed.hookring(&["config", "check"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(78), ""));
    let stays = "the daemon goes on as before: the earlier configuration stays in force\n";
    assert_eq!(text(&output.stderr), format!("{}{stays}", text(&checked.stderr)));
    assert!(text(&output.stderr).contains("bus.lains"), "{}", text(&output.stderr));
    bed.configure("");
    assert_eq!(reload(&bed).status.code(), Some(0));
    assert!(!bed.log().contains("is wrong"), "{}", bed.log());
    assert_eq!(daemon.stop(), 0);
}

/// The daemon may have been given another file, by a relative path, and variables of its own.
#[test]
fn reload_checks_what_the_daemon_would_read() {
    let bed = Bed::new();
    let file = bed.path().join("other.toml");
    let write = |toml: &str| {
        fs::write(&file, toml).expect("the configuration");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
    };
    write("");
    bed.configure("this is not read");
    let mut command = Command::new("sh");
    let program = hookring_tests::programs().join("hookring");
    command.args(["-c", "exec \"$0\" \"$1\" --config other.toml"]).arg(program);
    command.env("HOOKRING_DIR", bed.path()).env("SINK", "b").current_dir(bed.path());
    let daemon = bed.start_with(&mut command);
    write("[sinks.a]\ntype = \"jsonl\"\npath = \"/tmp/${SINK}-${UNKNOWN}\"\n");
    let output = reload(&bed);
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    assert!(said.contains("UNKNOWN") && said.contains("other.toml"), "{said}");
    write("[sinks.a]\ntype = \"jsonl\"\nenabled = false\npath = \"/tmp/${SINK}\"\n");
    let output = reload(&bed);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        format!("reloaded: {} is in force\nnothing changed\n", file.display())
    );
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn reload_signals_nobody_else() {
    let bed = Bed::new();
    let output = reload(&bed);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no daemon runs"), "{}", text(&output.stderr));
    // Left behind by a daemon whose number somebody else has by now.
    bed.start().kill();
    let mut bystander = bystander();
    let status = format!("{{\"pid\":{}}}", bystander.id());
    fs::write(bed.path().join("status.json"), &status).expect("the status file");
    assert_eq!(reload(&bed).status.code(), Some(1));
    // And while the lock is held by another process than the one that is named.
    let daemon = bed.start();
    daemon.signal("STOP");
    fs::write(bed.path().join("status.json"), &status).expect("the status file");
    let output = reload(&bed);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nobody was signalled"), "{}", text(&output.stderr));
    daemon.signal("CONT");
    assert!(bystander.try_wait().expect("its state").is_none(), "a bystander was hit");
    bystander.kill().expect("its end");
    bystander.wait().expect("its end");
    assert_eq!(daemon.stop(), 0);
}
