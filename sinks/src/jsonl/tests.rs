//! The jsonl sink on a real file system: what it writes, mends, refuses, rotates and compresses.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
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
fn a_replay_stands_behind_the_rest_marked_and_a_torn_one_is_cut_off() {
    let (journal, path) = journal(5);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 5));
    let before = fs::read(&path).expect("the file");
    assert!(matches!(sink.replay(&journal.batch(2, 2)), Outcome::Accepted));
    drop(sink);
    let whole = fs::read(&path).expect("the file");
    assert!(whole[before.len()..].starts_with(b"{\"replay\":true,\"seq\":2,\"version\":"));
    for torn in before.len()..whole.len() {
        fs::write(&path, &whole[..torn]).expect("the file");
        // What is there already is not written again.
        accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &journal.batch(1, 5));
        let left = fs::read(&path).expect("the file");
        assert!(whole.starts_with(&left) && left.len() >= before.len(), "torn at {torn}");
    }
}

#[test]
fn a_torn_last_line_is_cut_off_and_written_whole() {
    let (journal, path) = journal(5);
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(1, 5));
    drop(sink);
    let whole = fs::read(&path).expect("the file");
    let third_ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let third_ends = third_ends.map(|(at, _)| at + 1).nth(2).expect("five lines");
    for torn in third_ends..whole.len() {
        fs::write(&path, &whole[..torn]).expect("the file");
        let mut sink = JsonlSink::new(JsonlConfig::new(&path));
        accept(&mut sink, &journal.batch(1, 5));
        assert_eq!(fs::read(&path).expect("the file"), whole, "torn at {torn}");
    }
    let mut zeros = whole[..third_ends].to_vec();
    zeros.extend_from_slice(&[0; 700]);
    fs::write(&path, zeros).expect("the file");
    accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &journal.batch(1, 5));
    assert_eq!(fs::read(&path).expect("the file"), whole);
}

#[test]
fn what_somebody_else_wrote_is_kept() {
    let (journal, path) = journal(1);
    fs::create_dir(path.parent().expect("a folder")).expect("a new folder");
    fs::write(&path, "notes without a newline").expect("the file");
    accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &journal.batch(1, 1));
    let text = fs::read_to_string(&path).expect("the file");
    let (notes, line) = text.split_once('\n').expect("two lines");
    assert_eq!((notes, seqs(line.as_bytes())), ("notes without a newline", vec![1]));
}

#[test]
fn events_that_the_file_holds_are_left_out_after_a_restart() {
    let (journal, path) = journal(10);
    accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &journal.batch(1, 7));
    let mut sink = JsonlSink::new(JsonlConfig::new(&path));
    accept(&mut sink, &journal.batch(3, 3));
    accept(&mut sink, &journal.batch(6, 5));
    assert_eq!(seqs_in(&path), (1..=10).collect::<Vec<_>>());
}

#[test]
fn other_events_with_numbers_that_the_file_holds_are_written() {
    let (journal, path) = journal(10);
    accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &journal.batch(1, 10));
    let mut other = TestJournal::new();
    other.write_many(4);
    accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &other.batch(1, 4));
    assert_eq!(seqs_in(&path)[10..], [1, 2, 3, 4]);
}

#[test]
fn rotated_files_count_as_well_in_any_form() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (journal, path) = journal(6);
        let mut sink = JsonlSink::new(rotating(&path, compression));
        accept(&mut sink, &journal.batch(1, 6));
        sink.wait_for_compression();
        drop(sink);
        // As if the crash came between the rotation and the first line of the new file.
        fs::write(&path, "").expect("the file");
        let mut sink = JsonlSink::new(rotating(&path, compression));
        accept(&mut sink, &journal.batch(2, 5));
        sink.wait_for_compression();
        let mut files = Rotated::list(&path).expect("a list");
        files.sort_by_key(|file| file.first_seq);
        let mut found: Vec<_> = files.iter().flat_map(|file| seqs(&read_rotated(file))).collect();
        found.extend(seqs_in(&path));
        assert_eq!(found, [1, 2, 3, 4, 5, 6], "{compression:?}");
    }
}

#[test]
fn a_rotated_file_without_a_number_hides_none_before_it() {
    let (journal, path) = journal(3);
    accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &journal.batch(1, 1));
    let rotated = "events-20260102T030405Z-00000000000000000001.jsonl";
    fs::rename(&path, path.with_file_name(rotated)).expect("its new name");
    fs::write(&path, "somebody else's\n").expect("a file");
    let deliver = || {
        accept(&mut JsonlSink::new(rotating(&path, Compression::None)), &journal.batch(1, 3));
        names(path.parent().expect("a folder"))
    };
    let after = deliver();
    assert_eq!(after.len(), 4, "event 1, somebody else's, events 2 and 3: {after:?}");
    assert_eq!(deliver(), after);
}

#[test]
fn an_older_event_of_the_same_number_hides_none_that_the_files_hold() {
    let (old, path) = journal(4);
    accept(&mut JsonlSink::new(rotating(&path, Compression::None)), &old.batch(1, 4));
    let mut other = TestJournal::new();
    other.write_many(4);
    accept(&mut JsonlSink::new(rotating(&path, Compression::None)), &other.batch(3, 2));
    // As with a cursor that is damaged: it begins at the oldest.
    accept(&mut JsonlSink::new(JsonlConfig::new(&path)), &other.batch(1, 4));
    assert_eq!(seqs_in(&path), [4, 1, 2]);
}

#[test]
fn size_rotates_before_the_limit_is_passed() {
    let (journal, path) = journal(9);
    let mut lines = Vec::new();
    encode_batch(&journal.batch(1, 4), &mut lines);
    let config = JsonlConfig { rotate_bytes: Some(lines.len() as u64), ..JsonlConfig::new(&path) };
    accept(&mut JsonlSink::new(config), &journal.batch(1, 9));
    let mut firsts: Vec<_> =
        Rotated::list(&path).expect("a list").iter().map(|file| file.first_seq).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, [1, 5]);
    assert_eq!(seqs_in(&path), [9]);
}

#[test]
fn age_rotates_with_the_next_event() {
    fn tomorrow() -> SystemTime {
        SystemTime::now() + Duration::from_hours(25)
    }
    let (journal, path) = journal(3);
    let config = JsonlConfig {
        rotate_bytes: None,
        rotate_age: Some(Duration::from_hours(24)),
        ..JsonlConfig::new(&path)
    };
    accept(&mut JsonlSink::new(config.clone()), &journal.batch(1, 2));
    accept(&mut JsonlSink::new(config.clone()), &journal.batch(2, 1));
    assert_eq!(Rotated::list(&path).expect("a list"), []);
    accept(&mut JsonlSink::with_clock(config, tomorrow), &journal.batch(3, 1));
    let files = Rotated::list(&path).expect("a list");
    assert_eq!(files.len(), 1);
    assert_eq!(seqs(&read_rotated(&files[0])), [1, 2]);
    assert_eq!(seqs_in(&path), [3]);
}

#[test]
fn rotated_names_sort_by_time_and_carry_the_first_number() {
    fn fixed() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }
    let (journal, path) = journal(2);
    accept(
        &mut JsonlSink::with_clock(rotating(&path, Compression::None), fixed),
        &journal.batch(1, 2),
    );
    let folder = path.parent().expect("a folder");
    assert_eq!(
        names(folder),
        ["events-20260102T030405Z-00000000000000000001.jsonl", "events.jsonl"]
    );
    for other in [
        "events-20260102T030405Z-1.jsonl.bak",
        "events-20269902T030405Z-1.jsonl",
        "events-20260102T030405Z-.jsonl",
        "events-20260102T030405Z-1.json",
        "eventsx-20260102T030405Z-1.jsonl",
        "events-notes.jsonl",
    ] {
        fs::write(folder.join(other), "").expect("a file");
    }
    assert_eq!(Rotated::list(&path).expect("a list").len(), 1);
}

#[test]
fn rotated_names_sort_as_the_files_were_made_whatever_the_clock_says() {
    /// Stands still for some looks, and is then an hour behind.
    fn restless() -> SystemTime {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let behind = if LOOKS.fetch_add(1, Ordering::Relaxed) < 24 { 0 } else { 3600 };
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045 - behind)
    }
    let (journal, path) = journal(30);
    let mut sink = JsonlSink::with_clock(rotating(&path, Compression::None), restless);
    accept(&mut sink, &journal.batch(1, 12));
    let folder = path.parent().expect("a folder");
    // As an earlier version named the one of that second that came last.
    fs::rename(
        folder.join("events-20260102T030405Z-00000000000000000011.jsonl"),
        folder.join("events-20260102T030405Z-11.jsonl"),
    )
    .expect("a rename");
    accept(&mut sink, &journal.batch(13, 18));
    let in_order: Vec<_> = names(folder)
        .iter()
        .filter(|name| *name != "events.jsonl")
        .flat_map(|name| seqs_in(&folder.join(name)))
        .collect();
    assert_eq!(in_order, Vec::from_iter(1..30));
    // The resume looks back through them from the newest.
    let listed: Vec<_> =
        Rotated::list(&path).expect("a list").iter().map(|file| file.first_seq).collect();
    assert_eq!(listed, Vec::from_iter((1..30).rev()));
}

#[test]
fn a_number_that_comes_again_within_a_second_waits_for_nothing() {
    fn fixed() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }
    let (journal, path) = journal(2);
    for _ in 0..3 {
        let mut sink = JsonlSink::with_clock(rotating(&path, Compression::None), fixed);
        accept(&mut sink, &journal.batch(1, 2));
        // Whoever removes the lines that the sink would leave out gets them again.
        fs::remove_file(&path).expect("the removal");
        for file in Rotated::list(&path).expect("a list") {
            fs::write(&file.path, "").expect("an emptied file");
        }
    }
    let folder = path.parent().expect("a folder");
    let times: Vec<_> = names(folder).iter().map(|name| name[7..23].to_owned()).collect();
    assert_eq!(times, ["20260102T030405Z", "20260102T030406Z", "20260102T030407Z"]);
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

#[test]
fn a_sync_that_fails_at_rotation_is_told_at_the_next_flush() {
    /// A second later with each look.
    fn ticking() -> SystemTime {
        static SECONDS: AtomicU64 = AtomicU64::new(0);
        SystemTime::now() + Duration::from_secs(SECONDS.fetch_add(1, Ordering::Relaxed))
    }
    let (journal, path) = journal(4);
    let mut sink = JsonlSink::with_clock(rotating(&path, Compression::None), ticking);
    accept(&mut sink, &journal.batch(1, 1));
    sink.break_sync();
    assert!(failure(sink.deliver(&journal.batch(2, 1))).contains("cannot sync"));
    accept(&mut sink, &journal.batch(2, 1));
    let error = sink.flush().expect_err("event 1 may be lost");
    assert!(in_words(&*error).contains("written again"));
    accept(&mut sink, &journal.batch(1, 4));
    sink.flush().expect("everything is safe");
    assert_eq!(seqs_in(&path), [4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_event_is_in_the_files_once_wherever_restarts_and_repeats_fall(
        steps in prop::collection::vec((0..5_u64, 1..9_usize, any::<bool>()), 1..12),
        rotate_bytes in prop::option::of(1..2000_u64),
    ) {
        let (journal, path) = journal(120);
        let config = JsonlConfig { rotate_bytes, ..JsonlConfig::new(&path) };
        let mut sink = JsonlSink::new(config.clone());
        let mut next: hookring_journal::Seq = 1;
        for (back, events, restart) in steps {
            let mut from = next;
            if restart {
                // A cursor that lags, as it does after a crash.
                drop(sink);
                sink = JsonlSink::new(config.clone());
                from = next.saturating_sub(back).max(1);
            }
            let batch = journal.batch(from, events);
            accept(&mut sink, &batch);
            next = next.max(batch.last() + 1);
        }
        let mut files = Rotated::list(&path).expect("a list");
        files.sort_by_key(|file| file.first_seq);
        let mut found: Vec<_> = files.iter().flat_map(|file| seqs(&read_rotated(file))).collect();
        found.extend(seqs_in(&path));
        prop_assert_eq!(found, (1..next).collect::<Vec<_>>());
    }
}
