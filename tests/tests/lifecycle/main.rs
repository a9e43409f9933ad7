//! What people do with a running hookring: change its configuration, restart it, tidy its files, and
//! ask it questions.

mod asking;
mod capture;
mod commands;
mod cursors;
mod delivery;
mod ending;
mod exec;
mod filters;
mod letters;
mod looking;
mod metrics;
mod own_events;
mod reload;
mod replays;
mod restart;
mod ring;
#[path = "../../../pipeline/tests/samples/schema.rs"]
mod schema;
mod sinks;
mod status;
mod trying;
mod without_a_daemon;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ChildStdout;

use hookring_tests::{Bed, is_own, number, numbers_of, wait_for};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

/// The numbers in a file of events; none if it is not there.
fn numbers_in(path: &Path) -> Vec<u64> {
    numbers_of(&fs::read_to_string(path).unwrap_or_default())
}

/// The number on the next line with a hook's event that a program writes, which must come.
fn next_number(lines: &mut BufReader<ChildStdout>) -> u64 {
    if lines.buffer().is_empty() {
        let pipe = lines.get_ref();
        wait_for("another line", || {
            let mut fds = [PollFd::new(pipe, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&Timespec::default())).expect("the pipe is looked at");
            (ready > 0).then_some(())
        });
    }
    let mut line = String::new();
    lines.read_line(&mut line).expect("text");
    if is_own(line.as_bytes()) { next_number(lines) } else { number(line.as_bytes()) }
}

/// Whether nothing is in a folder, which must be there.
fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).expect("a folder").next().is_none()
}

/// A sink in `hookring status --json`.
fn sink(bed: &Bed, name: &str) -> Option<Value> {
    let status = bed.status();
    status["sinks"].as_array()?.iter().find(|sink| sink["name"] == name).cloned()
}

/// Waits until a sink has so many events.
fn wait_for_delivery(bed: &Bed, name: &str, events: u64) {
    wait_for(&format!("{name} to have {events} events"), || {
        (sink(bed, name)?["delivered_events"] == events).then_some(())
    });
}
