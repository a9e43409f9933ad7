//! A sink's program for tests: writes down which events it took, and fails in every way that a program has.
//!
//! `take_events FILE SEED`. A line of FILE is an event's id and the numbers of its payload. While FILE.calm is
//! missing, one answer in a few is another than it should be, or none.

#[path = "crash_producer/numbered.rs"]
#[allow(dead_code, reason = "only its choices are needed")]
mod numbered;

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use numbered::Rng;
use serde_json::{Value, json};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, seed] = args.as_slice() else { panic!("usage: take_events FILE SEED") };
    let file = OpenOptions::new().create(true).append(true).open(path).expect("the file");
    let seed: u64 = seed.parse().expect("a number");
    // Each process makes other choices.
    let rng = Rng::new(seed ^ u64::from(std::process::id()) << 32);
    let mut program = Program { file, calm: PathBuf::from(format!("{path}.calm")), rng };
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let answer = match request["method"].as_str() {
            Some("deliver") => program.deliver(&request["params"]["events"]),
            _ => Some(json!({})),
        };
        if let Some(result) = answer {
            say(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string());
        }
    }
}

fn say(line: &str) {
    println!("{line}");
}

struct Program {
    file: File,
    calm: PathBuf,
    rng: Rng,
}

impl Program {
    /// The result; `None`: no answer.
    fn deliver(&mut self, events: &Value) -> Option<Value> {
        let events = events.as_array().expect("events");
        let is_calm = Path::exists(&self.calm);
        match self.rng.below(if is_calm { 1 } else { 30 }) {
            1 => return Some(json!({"outcome": "failed", "reason": "as it was told to"})),
            2 => return Some(json!({"outcome": "throttled", "seconds": 0.01})),
            3 if events.len() > 1 => return Some(json!({"outcome": "too_large"})),
            4 if events.len() > 1 => return Some(json!({"outcome": "rejected"})),
            5 => std::process::exit(3),
            6 => say("this is no answer"),
            7 => {
                thread::sleep(Duration::from_millis(self.rng.below(50)));
                return None;
            }
            8 => {
                // Took them, and dies before it can say so.
                self.take(events);
                std::process::abort();
            }
            9 => {
                let (taken, left) = events.split_at(events.len() / 2);
                self.take(taken);
                let outcomes =
                    taken.iter().map(|_| "accepted").chain(left.iter().map(|_| "failed"));
                return Some(json!({"outcomes": outcomes.collect::<Vec<_>>()}));
            }
            _ => {}
        }
        self.take(events);
        Some(json!({"outcome": "accepted"}))
    }

    fn take(&mut self, events: &[Value]) {
        let line = |event: &Value| format!("{} {}\n", event["id"], event["payload"]["of"]);
        let lines: String = events.iter().map(line).collect();
        self.file.write_all(lines.as_bytes()).expect("the file");
    }
}
