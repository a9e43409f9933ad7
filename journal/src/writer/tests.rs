//! Writing, syncing, rotating and deleting, on a good disk and on bad ones.

use std::time::Duration;

use super::*;
use crate::line::Origin;
use crate::segment::file_name;
use crate::storage::RealStorage;
use crate::testing::{
    FaultyStorage, calm, damage_line, event, lane_end, names, open, pairs, read_from, stage,
};

/// Stages and commits the events `numbers`, one batch each.
fn commit_each(journal: &mut Journal, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        assert_eq!(stage(journal, n), n);
        journal.commit().unwrap();
    }
}

#[test]
fn nothing_is_visible_before_the_commit_and_all_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let tail = journal.tail();
    assert_eq!((stage(&mut journal, 1), stage(&mut journal, 2)), (1, 2));
    assert!(journal.staged_bytes() > 0);
    assert_eq!((tail.written(), read_from(dir.path(), 1).len()), (0, 0));
    journal.commit().unwrap();
    assert_eq!((tail.written(), tail.synced(), journal.staged_bytes()), (2, 0, 0));
    assert_eq!(read_from(dir.path(), 1), pairs(1..=2));
    let chunk = tail.chunk(2).unwrap();
    let file = std::fs::read(dir.path().join(file_name(1))).unwrap();
    assert!(file.ends_with(chunk.bytes()));
    assert_eq!((chunk.first(), chunk.last(), chunk.lines().count()), (1, 2, 2));
    journal.sync().unwrap();
    assert_eq!(tail.synced(), 2);
    assert!(!tail.is_closed());
    journal.close().unwrap();
    assert!(tail.is_closed());
}

#[test]
fn an_empty_commit_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    let writes = storage.disk().writes;
    journal.commit().unwrap();
    for n in 1..=100 {
        stage(&mut journal, n);
    }
    journal.commit().unwrap();
    assert_eq!(storage.disk().writes, writes + 1, "one write for the whole batch");
}

#[test]
fn the_policy_says_when_a_sync_is_due() {
    let due = |sync: SyncPolicy| {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path(), Options { sync, ..calm() }, 0).unwrap();
        assert_eq!(journal.next_sync_due(), None);
        commit_each(&mut journal, 1..=2);
        let now = Instant::now();
        let due = journal.next_sync_due();
        journal.sync_if_due(now).unwrap();
        let synced = journal.tail().synced();
        journal.sync_if_due(now + Duration::from_secs(3601)).unwrap();
        (due.map(|due| due > now), synced, journal.tail().synced(), journal.next_sync_due())
    };
    assert_eq!(due(SyncPolicy::Interval(Duration::from_secs(3600))), (Some(true), 0, 2, None));
    assert_eq!(due(SyncPolicy::EveryBatch), (Some(false), 2, 2, None));
    assert_eq!(due(SyncPolicy::Never), (None, 2, 2, None));
    // A time so far away that it cannot be said is never.
    assert_eq!(due(SyncPolicy::Interval(Duration::MAX)), (None, 0, 0, None));
}

#[test]
fn too_much_unsynced_is_synced_whatever_the_interval() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let large = vec![b'x'; UNSYNCED_BYTES_MAX / 2];
    for _ in 0..2 {
        journal.stage(Origin::Daemon, &event(&large));
        journal.commit().unwrap();
    }
    assert_eq!(journal.tail().synced(), 0);
    journal.sync_if_due(Instant::now()).unwrap();
    assert_eq!((journal.tail().synced(), journal.stats().unsynced_bytes), (2, 0));
    // Also if the caller never asks.
    for _ in 0..5 {
        journal.stage(Origin::Daemon, &event(&large));
        journal.commit().unwrap();
        assert!(journal.stats().unsynced_bytes < UNSYNCED_BYTES_MAX * 2);
    }
    assert_eq!(journal.tail().synced(), 6);
}

#[test]
fn a_failed_sync_writes_the_unsynced_lines_to_a_new_segment() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    commit_each(&mut journal, 1..=3);
    journal.sync().unwrap();
    commit_each(&mut journal, 4..=6);
    storage.disk().failing_syncs = 1;
    let error = journal.sync().unwrap_err();
    assert!(matches!(error, SyncError::Segment { .. }));
    assert!(error.to_string().contains(&file_name(1)), "{error}");
    assert!(journal.wants_rotation());
    assert_eq!((journal.tail().synced(), journal.next_sync_due()), (3, None));
    assert!(matches!(journal.sync(), Err(SyncError::Sealed { .. })));
    assert_eq!(stage(&mut journal, 7), 7);
    assert!(matches!(journal.commit(), Err(CommitError::Sealed { .. })));
    journal.rotate(&[lane_end(0, 6)], &[]).unwrap();
    assert_eq!(journal.tail().synced(), 6);
    journal.commit().unwrap();
    assert_eq!(names(dir.path()), [1, 4]);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=7));
    assert_eq!(read_from(dir.path(), 5), pairs(5..=7));
    drop(journal);
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.bad_lines), (8, 0));
    assert_eq!(recovery.ends, [lane_end(0, 7)]);
}

#[test]
fn a_segment_of_which_nothing_was_synced_gives_its_name_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    commit_each(&mut journal, 1..=3);
    storage.disk().failing_syncs = 2;
    journal.sync().unwrap_err();
    // The new file cannot be synced either: nothing changes, and it may be tried again.
    let error = journal.rotate(&[], &[]).unwrap_err();
    assert!(matches!(error, CommitError::Begin { .. }) && !error.is_disk_full());
    assert!(journal.wants_rotation());
    assert_eq!(read_from(dir.path(), 1), pairs(1..=3));
    journal.rotate(&[], &[]).unwrap();
    commit_each(&mut journal, 4..=4);
    assert_eq!((names(dir.path()), journal.stats().segments), (vec![1], 1));
    assert_eq!(read_from(dir.path(), 1), pairs(1..=4));
    assert_eq!(journal.stats().sync_errors, 1);
}

#[test]
fn a_sync_that_fails_in_a_rotation_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    commit_each(&mut journal, 1..=2);
    journal.sync().unwrap();
    commit_each(&mut journal, 3..=4);
    storage.disk().failing_syncs = 1;
    journal.rotate(&[lane_end(0, 4)], &[]).unwrap();
    assert_eq!((names(dir.path()), journal.tail().synced()), (vec![1, 3], 4));
    assert_eq!(read_from(dir.path(), 1), pairs(1..=4));
}

#[test]
fn a_directory_that_cannot_be_synced_holds_back_what_counts_as_synced() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    commit_each(&mut journal, 1..=2);
    storage.disk().failing_syncs = 1;
    storage.disk().failing_directory_syncs = 2;
    journal.rotate(&[], &[]).unwrap();
    assert_eq!((journal.tail().synced(), journal.stats().sync_errors), (0, 2));
    let error = journal.sync().unwrap_err();
    assert!(matches!(error, SyncError::Directory { .. }));
    assert!(!journal.wants_rotation(), "the segment itself is good");
    journal.sync().unwrap();
    assert_eq!((journal.tail().synced(), journal.stats().sync_errors), (2, 3));
}

#[test]
fn a_full_disk_holds_the_lines_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    commit_each(&mut journal, 1..=2);
    let path = dir.path().join(file_name(1));
    let before = std::fs::read(&path).unwrap();
    for n in 3..=5 {
        stage(&mut journal, n);
    }
    let staged = journal.staged_bytes();
    for free in [0, 1, staged / 2, staged - 1] {
        storage.disk().free_bytes = Some(free);
        let error = journal.commit().unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "cut back to the last whole line");
        assert_eq!((journal.staged_bytes(), journal.tail().written()), (staged, 2));
    }
    storage.disk().free_bytes = Some(staged);
    journal.commit().unwrap();
    storage.disk().free_bytes = None;
    commit_each(&mut journal, 6..=6);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=6));
    assert_eq!(journal.stats().commit_errors, 4);
}

#[test]
fn short_writes_are_continued() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    storage.disk().write_max = Some(7);
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    for n in 1..=5 {
        stage(&mut journal, n);
    }
    journal.commit().unwrap();
    assert_eq!(read_from(dir.path(), 1), pairs(1..=5));
}

#[test]
fn what_cannot_be_cut_back_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    commit_each(&mut journal, 1..=2);
    journal.sync().unwrap();
    commit_each(&mut journal, 3..=3);
    for n in 4..=6 {
        stage(&mut journal, n);
    }
    // One whole line and a half, which then cannot be taken away.
    let first_line = memchr::memchr(b'\n', &journal.staged).unwrap();
    storage.disk().free_bytes = Some(first_line + 50);
    storage.disk().failing_cuts = 1;
    assert!(journal.commit().unwrap_err().is_disk_full());
    assert!(journal.wants_rotation());
    storage.disk().free_bytes = None;
    journal.rotate(&[], &[]).unwrap();
    journal.commit().unwrap();
    assert_eq!(names(dir.path()), [1, 3]);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=6));
    drop(journal);
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.cut_bytes), (7, 0));
}

#[test]
fn a_rotation_on_a_full_disk_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FaultyStorage::new(dir.path());
    let (mut journal, _) = storage.open_journal(dir.path(), calm());
    commit_each(&mut journal, 1..=2);
    storage.disk().free_bytes = Some(10);
    let error = journal.rotate(&[], &[]).unwrap_err();
    assert!(error.is_disk_full() && error.to_string().contains(&file_name(3)), "{error}");
    storage.disk().free_bytes = None;
    commit_each(&mut journal, 3..=3);
    journal.rotate(&[], &[]).unwrap();
    commit_each(&mut journal, 4..=4);
    assert_eq!(names(dir.path()), [1, 4]);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=4));
}

#[test]
fn staged_lines_survive_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    commit_each(&mut journal, 1..=2);
    stage(&mut journal, 3);
    journal.rotate(&[], &[]).unwrap();
    stage(&mut journal, 4);
    journal.commit().unwrap();
    journal.rotate(&[], &[]).unwrap();
    journal.rotate(&[], &[]).unwrap();
    assert_eq!(names(dir.path()), [1, 3, 5]);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=4));
}

#[test]
fn a_segment_is_full_at_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 2000, ..calm() };
    let (mut journal, _) = Journal::open(dir.path(), options, 0).unwrap();
    for n in 1..=100 {
        commit_each(&mut journal, n..=n);
        if journal.wants_rotation() {
            assert!(journal.stats().bytes >= 2000);
            journal.rotate(&[lane_end(0, n)], &[]).unwrap();
            assert!(!journal.wants_rotation());
        }
    }
    assert!(names(dir.path()).len() > 10);
    assert_eq!(journal.stats().segments as usize, names(dir.path()).len());
    assert_eq!(read_from(dir.path(), 1), pairs(1..=100));
    for from in 1..=100 {
        assert_eq!(read_from(dir.path(), from), pairs(from..=100));
    }
}

#[test]
fn space_is_set_aside_and_given_back() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1 << 20, ..calm() };
    let (mut journal, _) = Journal::open(dir.path(), options.clone(), 0).unwrap();
    commit_each(&mut journal, 1..=1);
    let used = |first| {
        let metadata = std::fs::metadata(dir.path().join(file_name(first))).unwrap();
        (metadata.len() < 4096, metadata.blocks() * 512 >= 1 << 20)
    };
    assert_eq!(journal.stats().reserved_bytes, 1 << 20);
    assert_eq!(used(1), (true, true), "short, and room for the rest");
    journal.rotate(&[], &[]).unwrap();
    assert_eq!((used(1), used(2)), ((true, false), (true, true)));
    drop(journal);
    let (journal, _) = Journal::open(dir.path(), options.clone(), 0).unwrap();
    journal.close().unwrap();
    assert_eq!(used(2), (true, false));
    // Without room for a whole segment, lines are written as long as it goes.
    let storage = FaultyStorage::new(dir.path());
    storage.disk().reservation_fails = true;
    let (mut journal, _) = storage.open_journal(dir.path(), options);
    assert_eq!(journal.stats().reserved_bytes, 0);
    commit_each(&mut journal, 2..=2);
}

#[test]
fn a_large_payload_goes_through_and_its_memory_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let large = format!("{{\"n\":1,\"a\":\"{}\"}}", "x".repeat(20 << 20));
    journal.stage(Origin::Daemon, &event(large.as_bytes()));
    journal.commit().unwrap();
    assert!(journal.staged.capacity() <= STAGING_BYTES_MAX);
    let tail = journal.tail();
    assert_eq!(tail.cached_bytes(), 0, "too large for the cache");
    journal.sync_if_due(Instant::now()).unwrap();
    assert_eq!(journal.stats().unsynced_bytes, 0);
    commit_each(&mut journal, 2..=2);
    assert!(tail.chunk(2).is_some() && tail.cached_bytes() < 10_000);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=2));
}

#[test]
fn a_payload_of_the_largest_size_goes_through() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    // Not JSON, and many bytes need six in the line.
    let mut largest = vec![b'x'; 64 << 20];
    largest[..8 << 20].fill(1);
    journal.stage(Origin::Daemon, &event(&largest));
    assert!(journal.staged_bytes() > largest.len() + 5 * (8 << 20));
    journal.commit().unwrap();
    commit_each(&mut journal, 2..=2);
    drop(journal);
    let mut reader = crate::Reader::open(dir.path(), 1).unwrap();
    let batch = reader.next_batch(10, 1 << 20).unwrap();
    assert_eq!((batch.len(), batch.first()), (1, 1));
    assert!(batch.bytes().len() > largest.len() + 5 * (8 << 20));
    assert_eq!(reader.next_batch(10, 1 << 20).unwrap().first(), 2);
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.bad_lines), (3, 0));
}

#[test]
fn a_last_segment_that_cannot_be_synced_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    commit_each(&mut journal, 1..=3);
    drop(journal);
    damage_line(&dir.path().join(file_name(1)), 2);
    let storage = FaultyStorage::new(dir.path());
    storage.disk().failing_syncs = 1;
    let (mut journal, recovery) = storage.open_journal(dir.path(), calm());
    assert!(recovery.needs_rotation && journal.wants_rotation());
    assert_eq!((journal.tail().written(), journal.tail().synced()), (3, 0));
    storage.disk().free_bytes = Some(1000);
    assert!(journal.rotate(&recovery.ends, &[]).unwrap_err().is_disk_full());
    storage.disk().free_bytes = None;
    journal.rotate(&recovery.ends, &[]).unwrap();
    assert_eq!(journal.tail().synced(), 3);
    commit_each(&mut journal, 4..=4);
    assert_eq!(names(dir.path()), [1]);
    assert_eq!(read_from(dir.path(), 1), pairs([1, 3, 4]));
    drop(journal);
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.bad_lines), (5, 1), "damage stays what it was");
}

#[test]
fn a_planted_symbolic_link_is_not_followed() {
    let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let victim = target.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join("segment.new")).unwrap();
    let error = Journal::open(dir.path(), calm(), 0).unwrap_err();
    assert!(matches!(error, OpenError::Begin(_)));
    let storage = RealStorage::new(dir.path());
    assert!(storage.open("segment.new").is_err());
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn errors_name_the_file_and_the_way_out_and_leave_the_cause_to_the_source() {
    let path = PathBuf::from("/j/x.jsonl");
    let source = || std::io::Error::other("the cause");
    let errors: [Box<dyn std::error::Error>; 5] = [
        Box::new(CommitError::Write { path: path.clone(), source: source() }),
        Box::new(CommitError::Begin { path: path.clone(), source: source() }),
        Box::new(SyncError::Segment { path: path.clone(), source: source() }),
        Box::new(OpenError::Directory { path: path.clone(), source: source() }),
        Box::new(RetainError { path, before: Retained::default(), source: source() }),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("/j/x.jsonl") && !text.contains("the cause"), "{text}");
        assert!(!text.ends_with('.'), "{text}");
        assert_eq!(error.source().unwrap().to_string(), "the cause");
    }
}
