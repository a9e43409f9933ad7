//! The programs of `docs/sinks/exec.md`: each takes what a daemon gives it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use hookring_tests::{Bed, left_out, wait_for};
use serde_json::Value;

use crate::Document;

const EVENTS: u64 = 40;

/// Runs the document's only program in a language, and gives back what it keeps, and the daemon's log.
fn kept_by(language: &str, interpreter: &[&str]) -> (Bed, String, String) {
    let document = Document::read("docs/sinks/exec.md");
    let [program] = document.blocks(language)[..] else { panic!("one program in {language}") };
    assert!(program.lines().count() <= 24, "{} lines", program.lines().count());
    let bed = Bed::new();
    let (script, kept) = (bed.path().join("program"), bed.path().join("kept"));
    fs::write(&script, program).expect("the program");
    let words: Vec<_> =
        interpreter.iter().copied().chain([script.to_str().expect("text")]).collect();
    bed.configure(&format!(
        "[sinks.mine]\ntype = \"exec\"\ncommand = {words:?}\nenv.FILE = {kept:?}\nbatch_events = 7\n"
    ));
    let daemon = bed.start();
    bed.emit_numbers(0..EVENTS);
    wait_for("the delivery", || {
        let sink = bed.status()["sinks"][0].clone();
        (sink["delivered_events"] == EVENTS && sink["lag_events"] == 0).then_some(())
    });
    assert_eq!(daemon.stop(), 0);
    let kept = fs::read_to_string(kept).expect("what it kept");
    let log = bed.log();
    assert!(!log.contains("cannot"), "{log}");
    (bed, kept, log)
}

/// The journaled hooks' events.
fn events(bed: &Bed) -> Vec<Value> {
    let lines = bed.lines();
    lines.iter().map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

#[test]
fn the_python_program_keeps_a_line_of_each_event() {
    if Command::new("python3").arg("--version").output().is_err() {
        return left_out("python3", "the program of docs/sinks/exec.md");
    }
    let (bed, kept, _) = kept_by("python", &["python3"]);
    let expected: Vec<_> = events(&bed)
        .iter()
        .map(|event| {
            let text = |key: &str| event[key].as_str().expect("text").to_owned();
            format!("{} {} {}", event["seq"], text("id"), text("event_type"))
        })
        .collect();
    assert_eq!(kept.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_shells_program_keeps_each_batch() {
    let (bed, kept, _) = kept_by("bash", &["sh"]);
    let requests = kept.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let kept: Vec<_> = requests
        .flat_map(|request| request["params"]["events"].as_array().expect("events").clone())
        .collect();
    let [kept, expected] = [kept, events(&bed)].map(|events| {
        events.iter().map(|event| (event["seq"].clone(), event["id"].clone())).collect::<Vec<_>>()
    });
    assert_eq!(kept, expected);
}

/// The messages that the document shows are such as hookring sends.
#[test]
fn every_message_is_one() {
    let document = Document::read("docs/sinks/exec.md");
    let messages: Vec<Value> = document
        .blocks("json")
        .iter()
        .map(|block| serde_json::from_str(block).expect("JSON"))
        .collect();
    assert!(messages.iter().all(|message| message["jsonrpc"] == "2.0"));
    let methods: BTreeSet<_> = messages.iter().filter_map(|it| it["method"].as_str()).collect();
    assert_eq!(methods, BTreeSet::from(["deliver", "initialize", "log"]));
}
