//! How the tests of this group ask hookring for something, and what they hear.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Output, Stdio};

use hookring_tests::{Bed, make_private_dir};
use serde_json::Value;

pub(crate) const FILE: &str = "[sinks.file]\ntype = \"jsonl\"\n";

pub(crate) fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    texts.concat()
}

/// A command that must do what it was asked to.
pub(crate) fn done(bed: &Bed, args: &[&str]) -> String {
    let output = bed.hookring(args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    said(&output)
}

/// One that must not.
pub(crate) fn refused<S: AsRef<OsStr> + Debug>(bed: &Bed, args: &[S]) -> String {
    let output = bed.hookring(args);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
    said(&output)
}

/// A command that is left to itself for now.
pub(crate) fn follower<S: AsRef<OsStr>>(bed: &Bed, args: &[S]) -> Child {
    let mut command = bed.command("hookring");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

/// What a command says that could not do what it was asked to.
pub(crate) fn failed(follower: Child) -> String {
    let output: Output = follower.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

/// The lines of a sink's file that are marked as replays.
pub(crate) fn replayed(bed: &Bed) -> Vec<Value> {
    let text = fs::read_to_string(bed.path().join("sinks/file.jsonl")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("{\"replay\":true,\"seq\":"));
    lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The number in an event of [`Bed::emit_numbers`].
pub(crate) fn n(event: &Value) -> u64 {
    event["payload"]["n"].as_u64().expect("a number")
}

/// Puts an event that the sink had among the dead letters of a sink.
pub(crate) fn bury(bed: &Bed, sink: &str, number: u64) -> Value {
    let text = fs::read_to_string(bed.path().join("sinks/file.jsonl")).expect("the file");
    let line = text.lines().find(|line| line.contains(&format!("\"n\":{number}}}"))).expect("it");
    let dir = bed.path().join("dead_letters");
    make_private_dir(&dir);
    let mut options = OpenOptions::new();
    let file =
        options.append(true).create(true).mode(0o600).open(dir.join(format!("{sink}.jsonl")));
    let letter = format!(
        "{{\"sink\":\"{sink}\",\"at\":\"2026-01-02T03:04:05Z\",\"status\":422,\"reason\":\"no \\u001b[2J thanks\",\
         \"attempts\":7,\"event\":{line}}}\n"
    );
    file.expect("the letters").write_all(letter.as_bytes()).expect("written");
    serde_json::from_str(line).expect("JSON")
}
