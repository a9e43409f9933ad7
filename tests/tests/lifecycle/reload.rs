//! SIGHUP: a changed configuration changes what it names, an invalid one nothing.

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
    let moved = bed.path().join("moved.jsonl");
    reconfigure(
        &bed,
        &daemon,
        &format!("[sinks.file]\ntype = \"jsonl\"\npath = \"{}\"\n", moved.display()),
    );
    bed.emit_numbers(20..30);
    wait_for_delivery(&bed, "file", 10);
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
fn a_sink_that_stays_as_it_is_does_not_notice() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    let daemon = bed.start();
    bed.emit_numbers(0..10);
    wait_for_delivery(&bed, "file", 10);
    reconfigure(&bed, &daemon, "[log]\nlevel = \"debug\"\n[sinks.file]\ntype = \"jsonl\"\n");
    // A sink that was started anew would have delivered nothing since.
    assert_eq!(
        sink(&bed, "file").map(|sink| sink["delivered_events"].clone()),
        Some(Value::from(10))
    );
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
    for line in ["sink other begins with event 1", "sink other took events 1 to 10: 10, "] {
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
