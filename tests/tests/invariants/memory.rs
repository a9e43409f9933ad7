//! What a sink costs in memory does not grow with what it has to go.

use std::fs;

use hookring_tests::{Bed, Daemon, wait_for};
use serde_json::Value;

/// Of each kind.
const SINKS: u64 = 4;
/// Of a hundred kilobytes each: forty segments, and five times the journal's cache.
const EVENTS: usize = 400;
const LIMIT_BYTES: u64 = 8 << 20;

const JOURNAL: &str = "[journal]\nsegment_bytes = \"1MiB\"\n";

#[test]
fn a_sink_takes_at_most_8_mib_whatever_it_has_to_go() {
    let bed = Bed::new();
    bed.configure(JOURNAL);
    let daemon = bed.start();
    let padding = vec![format!("\"{}\"", "x".repeat(1000)); 100].join(",");
    for n in 0..EVENTS {
        bed.emit(format!("{{\"n\":{n},\"pad\":[{padding}]}}").as_bytes());
    }
    bed.wait_for_events(EVENTS);
    assert_eq!(daemon.stop(), 0);
    let daemon = bed.start();
    let without = most_bytes(&daemon);
    assert_eq!(daemon.stop(), 0);

    let [works, in_the_way] = ["works", "sinks"].map(|name| bed.path().join(name));
    let mut config = JOURNAL.to_owned();
    for sink in 0..SINKS {
        let program = env!("CARGO_BIN_EXE_sink_program");
        config += &format!("[sinks.file{sink}]\ntype = \"jsonl\"\n");
        config +=
            &format!("[sinks.exec{sink}]\ntype = \"exec\"\ncommand = [{program:?}, {works:?}]\n");
        hookring_tests::make_private_dir(&in_the_way.join(format!("file{sink}.jsonl/x")));
    }
    hookring_tests::make_private_dir(&in_the_way);
    bed.configure(&config);
    let daemon = bed.start();
    wait_for_sinks(&bed, |sink| sink["retries"].as_u64() >= Some(3));
    for sink in 0..SINKS {
        fs::remove_dir_all(in_the_way.join(format!("file{sink}.jsonl"))).expect("the removal");
    }
    fs::write(works, "").expect("a mark");
    wait_for_sinks(&bed, |sink| {
        sink["lag_events"] == 0 && sink["delivered_events"].as_u64() >= Some(EVENTS as u64)
    });
    let each = most_bytes(&daemon).saturating_sub(without) / (2 * SINKS);
    assert_eq!(daemon.stop(), 0);
    println!("{} KiB for each sink", each >> 10);
    assert!(each <= LIMIT_BYTES, "{each} bytes for each sink");
}

fn wait_for_sinks(bed: &Bed, is_there: impl Fn(&Value) -> bool) {
    wait_for("all sinks", || {
        let status = bed.status();
        let sinks = status["sinks"].as_array()?;
        (sinks.len() as u64 == 2 * SINKS && sinks.iter().all(&is_there)).then_some(())
    });
}

/// The most that was ever resident.
fn most_bytes(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its state");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the most");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}
