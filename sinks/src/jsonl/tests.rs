//! The jsonl sink on a real file system: what it writes and refuses, and what becomes of it when the file or its disk
//! is not as it should be.

mod again;
mod rotation;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::compress::open_plain;
use super::encode::{encode_batch, line_seq};
use super::rotate::Rotated;
use super::*;
use crate::sink::{Outcome, Sink};
use crate::stats::in_words;
use crate::testing::{TestJournal, seqs, seqs_in};

/// The names of a folder's files, sorted.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

pub(super) fn accept(sink: &mut JsonlSink, batch: &hookring_journal::Batch) {
    let outcome = sink.deliver(batch);
    assert!(matches!(outcome, Outcome::Accepted), "{outcome:?}");
}

fn failure(outcome: Outcome) -> String {
    in_words(outcome.error().expect("a failure"))
}

/// A journal with `count` events, and the path of a file in a folder that does not exist yet.
pub(super) fn journal(count: usize) -> (TestJournal, PathBuf) {
    let mut journal = TestJournal::new();
    journal.write_many(count);
    let path = journal.path("out/events.jsonl");
    (journal, path)
}

/// Rotates at every line, because no line is that small.
pub(super) fn rotating(path: &Path, compression: Compression) -> JsonlConfig {
    JsonlConfig { rotate_bytes: Some(1), compression, ..JsonlConfig::new(path) }
}

pub(super) fn read_rotated(file: &Rotated) -> Vec<u8> {
    let mut plain = Vec::new();
    open_plain(&file.path, file.compression)
        .and_then(|mut reader| reader.read_to_end(&mut plain))
        .expect("a whole file");
    plain
}

#[test]
fn a_line_is_the_event_without_what_only_the_journal_needs() {
    let mut journal = TestJournal::new();
    journal.write([r#"{"text":"a \" \\ b","from":"x"}"#]);
    let mut line = Vec::new();
    encode_batch(&journal.batch(1, 1), &mut line);
    let line = String::from_utf8(line).expect("UTF-8");
    assert!(line.starts_with("{\"seq\":1,\"version\":2,"), "{line}");
    assert!(line.contains(r#""payload":{"text":"a \" \\ b","from":"x"}"#), "{line}");
    assert!(!line.contains("\"crc\"") && !line.contains("\"from\":\"daemon\""), "{line}");
    assert!(line.ends_with("}\n"), "{line}");
    assert_eq!(line_seq(line.as_bytes()), Some(1));
}

#[test]
fn files_are_for_their_owner_only() {
    let (journal, path) = journal(1);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 1));
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
}

#[test]
fn a_file_that_was_open_to_others_is_closed() {
    let (journal, path) = journal(1);
    fs::create_dir(path.parent().expect("a folder")).expect("a new folder");
    fs::write(&path, "").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).expect("its mode");
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 1));
    let mode = fs::metadata(&path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn what_is_not_a_file_of_ours_is_refused() {
    let (journal, path) = journal(1);
    let folder = path.parent().expect("a folder");
    fs::create_dir(folder).expect("a new folder");
    let target = folder.join("target");
    fs::write(&target, "kept").expect("a file");
    let batch = journal.batch(1, 1);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));

    symlink(&target, &path).expect("a link");
    assert!(failure(sink.deliver(&batch)).contains("cannot open"));
    fs::remove_file(&path).expect("it exists");

    fs::create_dir(&path).expect("a folder in the way");
    assert!(failure(sink.deliver(&batch)).contains("events.jsonl"));
    fs::remove_dir(&path).expect("it exists");

    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    assert!(failure(sink.deliver(&batch)).contains("not a regular file"));
    fs::remove_file(&path).expect("it exists");

    accept(&mut sink, &batch);
    assert_eq!(fs::read_to_string(target).expect("a file"), "kept");
}

#[test]
fn two_sinks_cannot_share_a_file() {
    let (journal, path) = journal(1);
    let mut first = JsonlSink::new(JsonlConfig::new(&path));
    first.open().expect("a free file");
    let mut second = JsonlSink::new(JsonlConfig::new(&path));
    assert!(failure(second.deliver(&journal.batch(1, 1))).contains("in use by another sink"));
    drop(first);
    accept(&mut second, &journal.batch(1, 1));
}

#[test]
fn a_file_that_is_moved_away_or_removed_is_replaced() {
    let (journal, path) = journal(4);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 1));
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).expect("the file");
    accept(&mut sink, &journal.batch(2, 1));
    fs::remove_file(&path).expect("the file");
    accept(&mut sink, &journal.batch(3, 2));
    assert_eq!(seqs_in(&moved), [1]);
    assert_eq!(seqs_in(&path), [3, 4]);
}

#[test]
fn a_file_that_is_emptied_in_place_goes_on_without_a_hole() {
    let (journal, path) = journal(2);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 1));
    fs::write(&path, "").expect("the file");
    accept(&mut sink, &journal.batch(2, 1));
    assert_eq!(seqs_in(&path), [2]);
}

#[test]
fn a_disk_that_fills_up_costs_no_event_and_no_half_line() {
    const INSIDE: &str = "HOOKRING_TEST_FULL_DISK";
    if std::env::var_os(INSIDE).is_none() {
        // A limit on the size of files stands for the full disk. It holds for a whole process, and
        // its signal must be ignored: hence a process of its own, through a shell's trap.
        let output = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", "jsonl::tests::a_disk_that_fills_up_costs_no_event_and_no_half_line"])
            .env(INSIDE, "1")
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let (journal, path) = journal(100);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 10));
    let limit = getrlimit(Resource::Fsize);
    let ten_events = fs::metadata(&path).expect("the file").len();
    let full = Rlimit { current: Some(ten_events * 5 / 2), maximum: limit.maximum };
    setrlimit(Resource::Fsize, full).expect("a lower limit");
    for _ in 0..3 {
        assert!(failure(sink.deliver(&journal.batch(11, 90))).contains("cannot append to"));
        assert_eq!(seqs_in(&path), (1..=10).collect::<Vec<_>>());
    }
    setrlimit(Resource::Fsize, limit).expect("the old limit");
    accept(&mut sink, &journal.batch(11, 90));
    assert_eq!(seqs_in(&path), (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_file_that_cannot_be_synced_is_set_aside_and_its_events_are_written_again() {
    let (journal, path) = journal(5);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 3));
    sink.break_sync();
    let error = sink.flush().expect_err("it cannot be synced");
    assert!(in_words(&*error).starts_with("cannot sync"));
    // The pump goes back to its cursor.
    accept(&mut sink, &journal.batch(2, 4));
    sink.flush().expect("a new file");
    let files = Rotated::list(&path).expect("a list");
    assert_eq!(files.len(), 1);
    assert_eq!(seqs(&read_rotated(&files[0])), [1, 2, 3]);
    assert_eq!(seqs_in(&path), [2, 3, 4, 5]);
}
