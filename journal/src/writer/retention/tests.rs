//! What is deleted, what is kept, and what is told.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::testing::{calm, names, pairs, stage};
use crate::writer::Options;

/// Segments that begin with 1, 11, 21, 31 (the current one).
fn four_segments(dir: &Path, options: Options) -> Journal {
    let (mut journal, _) = Journal::open(dir, options, 0).unwrap();
    for n in 1..=35 {
        if n > 1 && n % 10 == 1 {
            journal.rotate(&[], &[]).unwrap();
        }
        stage(&mut journal, n);
        journal.commit().unwrap();
    }
    journal
}

fn kept() -> Options {
    Options { retention_bytes: None, retention_age: None, hard_limit_bytes: None, ..calm() }
}

#[test]
fn retention_by_bytes_stops_at_what_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = four_segments(dir.path(), Options { retention_bytes: Some(1), ..kept() });
    let now = SystemTime::now();
    assert_eq!(journal.retain(10, now).unwrap(), Retained::default(), "10 is needed");
    let before = journal.stats().bytes;
    let retained = journal.retain(21, now).unwrap();
    let numbers: Vec<Gap> = retained.deleted.iter().map(|deleted| deleted.numbers).collect();
    assert_eq!(numbers, [Gap { first: 1, last: 10 }, Gap { first: 11, last: 20 }]);
    assert_eq!(retained.given_up, None);
    let deleted = retained.deleted.iter().map(|deleted| deleted.bytes).sum::<u64>();
    let stats = journal.stats();
    assert_eq!((stats.bytes, stats.deleted_bytes), (before - deleted, deleted));
    assert_eq!((stats.segments, stats.oldest_seq, stats.deleted_segments), (2, 21, 2));
    assert_eq!(names(dir.path()), [21, 31]);
    // The current segment stays, whatever the limits.
    journal.retain(Seq::MAX, now).unwrap();
    assert_eq!(names(dir.path()), [31]);
}

#[test]
fn retention_keeps_what_is_within_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    drop(four_segments(dir.path(), kept()));
    let (journal, _) = Journal::open(dir.path(), kept(), 0).unwrap();
    let bytes = journal.stats().bytes;
    drop(journal);
    for (limit, left) in [(bytes, 4), (bytes - 1, 3)] {
        let options = Options { retention_bytes: Some(limit), ..kept() };
        let (mut journal, _) = Journal::open(dir.path(), options, 0).unwrap();
        journal.retain(Seq::MAX, SystemTime::now()).unwrap();
        assert_eq!(names(dir.path()).len(), left);
    }
}

#[test]
fn retention_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let age = Duration::from_secs(3600);
    let options = Options { retention_age: Some(age), ..kept() };
    let mut journal = four_segments(dir.path(), options.clone());
    let now = SystemTime::now();
    assert_eq!(journal.retain(Seq::MAX, now).unwrap(), Retained::default());
    // A clock that was set back deletes nothing.
    let past = now - Duration::from_secs(1 << 20);
    assert_eq!(journal.retain(Seq::MAX, past).unwrap(), Retained::default());
    drop(journal);
    let (mut journal, _) = Journal::open(dir.path(), options, 0).unwrap();
    let retained = journal.retain(15, now + age + Duration::from_secs(60)).unwrap();
    assert_eq!((retained.deleted.len(), retained.given_up), (1, None));
    assert_eq!(names(dir.path()), [11, 21, 31]);
}

#[test]
fn beyond_the_hard_limit_what_is_needed_is_given_up_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = four_segments(dir.path(), Options { hard_limit_bytes: Some(1), ..kept() });
    let retained = journal.retain(15, SystemTime::now()).unwrap();
    assert_eq!(retained.deleted.len(), 3);
    assert_eq!(retained.given_up, Some(Gap { first: 15, last: 30 }));
    assert_eq!(journal.stats().given_up_events, 16);
    let mut reader = crate::Reader::open(dir.path(), 15).unwrap();
    assert_eq!(crate::testing::drain(&mut reader), pairs(31..=35));
    assert_eq!(reader.skipped().gaps, [Gap { first: 15, last: 30 }]);
}

#[test]
fn a_full_disk_is_relieved_by_one_segment_that_nobody_needs() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = four_segments(dir.path(), kept());
    assert_eq!(journal.relieve(10).unwrap(), Retained::default());
    let relieved = journal.relieve(12).unwrap().deleted;
    assert_eq!(relieved.len(), 1);
    assert_eq!(journal.relieve(12).unwrap().deleted.len(), 0);
    let stats = journal.stats();
    let sacrificed = (stats.sacrificed_segments, stats.sacrificed_bytes, stats.sacrificed_events);
    let Gap { first, last } = relieved[0].numbers;
    assert_eq!(sacrificed, (1, relieved[0].bytes, last - first + 1));
    assert_eq!(names(dir.path()), [11, 21, 31]);
}

#[test]
fn a_segment_that_is_gone_already_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = four_segments(dir.path(), Options { retention_bytes: Some(1), ..kept() });
    std::fs::remove_file(dir.path().join(file_name(1))).unwrap();
    assert_eq!(journal.retain(Seq::MAX, SystemTime::now()).unwrap().deleted.len(), 3);
}
