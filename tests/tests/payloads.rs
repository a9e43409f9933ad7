//! Payloads that real agents wrote, each through a real hook process, come out of the journal as they
//! went in: none missing, none twice, in order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use hookring_tests::{Bed, assert_holds, members};
use serde_json::Value;

/// How many agents play at the same time.
const AGENTS: usize = 8;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

fn payloads_of(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The project's own session, and the payloads beside the project where they are there.
fn collections() -> Vec<PathBuf> {
    let mut collections = vec![root().join("daemon/demo/session.jsonl")];
    let beside = root().join("../shared/payloads");
    match fs::read_dir(&beside) {
        Ok(entries) => {
            let files = entries.map(|entry| entry.expect("an entry").path());
            collections
                .extend(files.filter(|path| path.extension().is_some_and(|it| it == "jsonl")));
        }
        Err(_) => println!("the project's own session only: {} is not there", beside.display()),
    }
    collections.sort();
    collections
}

#[test]
fn each_payload_is_journaled_once_token_for_token_in_order() {
    let bed = Bed::new();
    let daemon = bed.start();
    let collections = collections();
    let payloads: Vec<_> = collections.iter().flat_map(|path| payloads_of(path)).collect();
    println!("{} payloads of {} files", payloads.len(), collections.len());
    payloads.iter().for_each(|payload| bed.emit(payload));
    assert_eq!(daemon.stop(), 0);
    let lines = bed.lines();
    assert_eq!(lines.len(), payloads.len());
    lines.iter().zip(&payloads).for_each(|(line, payload)| assert_holds(line, payload));
}

#[test]
fn what_was_published_without_a_daemon_is_journaled_by_the_next_one() {
    let bed = Bed::new();
    let payloads: Vec<_> = collections().iter().flat_map(|path| payloads_of(path)).collect();
    let (before, after) = payloads.split_at(payloads.len() / 2);
    // The first half finds no ring yet; the second finds one that nobody reads.
    before.iter().for_each(|payload| bed.emit(payload));
    bed.start().kill();
    after.iter().for_each(|payload| bed.emit(payload));
    let daemon = bed.start();
    assert_eq!(daemon.stop(), 0);
    let lines = bed.lines();
    assert_eq!(lines.len(), payloads.len());
    lines.iter().zip(&payloads).for_each(|(line, payload)| assert_holds(line, payload));
}

#[test]
fn agents_side_by_side_each_keep_their_order() {
    let bed = Bed::new();
    let daemon = bed.start();
    let payloads: Vec<_> = collections().iter().flat_map(|path| payloads_of(path)).collect();
    thread::scope(|scope| {
        for agent in 0..AGENTS {
            let (bed, payloads) = (&bed, &payloads);
            scope.spawn(move || {
                for (turn, payload) in payloads.iter().enumerate().skip(agent).step_by(AGENTS) {
                    bed.emit_with(
                        &["--agent", &format!("agent-{agent}"), "--", &turn.to_string()],
                        payload,
                    );
                }
            });
        }
    });
    assert_eq!(daemon.stop(), 0);
    let lines = bed.lines();
    assert_eq!(lines.len(), payloads.len());
    let mut turns: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for line in &lines {
        let members = members(line);
        let turn: [String; 1] =
            serde_json::from_str(members["arguments"].get()).expect("one argument");
        let turn: usize = turn[0].parse().expect("a number");
        assert_holds(line, &payloads[turn]);
        let source: Value = serde_json::from_str(members["source"].get()).expect("JSON");
        let agent = source["agent"].as_str().expect("its name").to_owned();
        turns.entry(agent).or_default().push(turn);
    }
    assert_eq!(turns.len(), AGENTS.min(payloads.len()));
    for (agent, turns) in turns {
        assert!(turns.is_sorted_by(|a, b| a < b), "{agent}: {turns:?}");
    }
}
