//! Files that go away under the writer.

use std::fs::{self, File};
use std::path::Path;

use super::*;
use crate::Reader;
use crate::testing::{calm, drain, names, open, pairs, read_from, stage};
use crate::writer::{CommitError, Options, SyncError, SyncPolicy};

fn commit(journal: &mut Journal, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        stage(journal, n);
    }
    journal.commit().unwrap();
}

/// What the collector does about once a second.
fn keep_house(journal: &mut Journal) -> bool {
    let found = journal.find_removed();
    if journal.wants_rotation() {
        journal.rotate(&[], &[]).unwrap();
    }
    found
}

#[test]
fn nothing_is_found_where_nothing_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    commit(&mut journal, 1..=3);
    assert!(!keep_house(&mut journal));
    journal.rotate(&[], &[]).unwrap();
    assert!(!keep_house(&mut journal));
    assert_eq!((journal.stats().removed_segments, names(dir.path())), (0, vec![1, 4]));
}

#[test]
fn a_removed_segment_is_followed_by_one_with_what_was_not_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut reader = Reader::open(dir.path(), 1).unwrap();
    commit(&mut journal, 1..=3);
    journal.sync().unwrap();
    commit(&mut journal, 4..=6);
    assert_eq!(drain(&mut reader), pairs(1..=6));
    fs::remove_file(dir.path().join(file_name(1))).unwrap();
    assert!(keep_house(&mut journal));
    commit(&mut journal, 7..=8);
    assert_eq!(read_from(dir.path(), 1), pairs(4..=8));
    assert_eq!(drain(&mut reader), pairs(7..=8), "a reader that was there misses nothing");
    let stats = journal.stats();
    assert_eq!((stats.removed_segments, stats.segments, stats.sealed), (1, 1, false));
    assert_eq!(stats.removed_events, 3);
    assert!(!keep_house(&mut journal));
}

#[test]
fn behind_a_cut_a_new_segment_is_begun() {
    for sync in [calm().sync, SyncPolicy::EveryBatch, SyncPolicy::Never] {
        for is_house_kept in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let options = Options { sync, ..calm() };
            let (mut journal, _) = Journal::open(dir.path(), options, 0).unwrap();
            commit(&mut journal, 1..=2);
            journal.sync().unwrap();
            let segment = dir.path().join(file_name(1));
            let synced_bytes = fs::metadata(&segment).unwrap().len();
            commit(&mut journal, 3..=3);
            // In the middle of the last line that was synced.
            File::options().write(true).open(&segment).unwrap().set_len(synced_bytes - 5).unwrap();
            stage(&mut journal, 4);
            if is_house_kept {
                assert!(keep_house(&mut journal));
            } else {
                let refused = journal.commit().unwrap_err();
                assert!(matches!(refused, CommitError::Removed { .. }), "{refused:?}");
                journal.rotate(&[], &[]).unwrap();
            }
            journal.commit().unwrap();
            // What nobody keeps in memory went with the cut.
            let kept = if sync == SyncPolicy::Never { 4..=4 } else { 3..=4 };
            let expected = [pairs(1..=1), pairs(kept)].concat();
            assert_eq!(read_from(dir.path(), 1), expected, "{sync:?}");
        }
    }
}

#[test]
fn nothing_is_committed_to_a_file_that_nobody_finds() {
    for sync in [calm().sync, SyncPolicy::EveryBatch, SyncPolicy::Never] {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("journal");
        let aside = temp.path().join("aside");
        let (mut journal, _) = Journal::open(&dir, Options { sync, ..calm() }, 0).unwrap();
        let mut reader = Reader::open(&dir, 1).unwrap();
        let (mut n, mut noticed_late) = (0, 0);
        let current = |dir: &Path| dir.join(file_name(*names(dir).last().unwrap()));
        let removals: [&dyn Fn(); 5] = [
            &|| fs::remove_file(current(&dir)).unwrap(),
            &|| fs::remove_dir_all(&dir).unwrap(),
            &|| fs::rename(&dir, &aside).unwrap(),
            &|| fs::rename(current(&dir), temp.path().join("segment")).unwrap(),
            &|| {
                fs::write(dir.join("new"), "")
                    .and_then(|()| fs::rename(dir.join("new"), current(&dir)))
                    .unwrap();
            },
        ];
        for remove in removals {
            commit(&mut journal, n + 1..=n + 2);
            journal.sync().unwrap();
            remove();
            // What the collector does before it lets go of a batch.
            (n + 3..=n + 4).for_each(|n| _ = stage(&mut journal, n));
            match journal.commit() {
                Err(error) => {
                    assert!(matches!(error, CommitError::Removed { .. }) && !error.is_disk_full());
                }
                // Moved away, and the lines with it: they are still in memory.
                Ok(()) => {
                    let error = journal.sync().unwrap_err();
                    assert!(matches!(error, SyncError::Removed { .. }));
                    noticed_late += 1;
                }
            }
            journal.rotate(&[], &[]).unwrap();
            journal.commit().unwrap();
            n += 4;
            let found = read_from(&dir, 1);
            assert!(found.ends_with(&pairs(n - 1..=n)), "{found:?}");
            assert!(found.is_sorted_by(|a, b| a < b), "none twice");
        }
        assert_eq!((journal.stats().removed_segments, journal.stats().removed_events), (5, 18));
        assert_eq!(noticed_late, if sync == SyncPolicy::Never { 0 } else { 2 });
        let read = drain(&mut reader);
        assert!(read.is_sorted_by(|a, b| a < b) && read.ends_with(&pairs(n - 1..=n)), "{read:?}");
    }
}

#[test]
fn a_directory_that_became_a_file_stops_the_journal_until_it_is_gone() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("journal");
    let (mut journal, _) = open(&dir);
    commit(&mut journal, 1..=2);
    fs::remove_dir_all(&dir).unwrap();
    fs::write(&dir, "in the way").unwrap();
    stage(&mut journal, 3);
    assert!(matches!(journal.commit().unwrap_err(), CommitError::Removed { .. }));
    assert!(matches!(journal.rotate(&[], &[]).unwrap_err(), CommitError::Directory { .. }));
    assert!(matches!(journal.commit().unwrap_err(), CommitError::Sealed { .. }));
    fs::remove_file(&dir).unwrap();
    journal.rotate(&[], &[]).unwrap();
    journal.commit().unwrap();
    assert_eq!(read_from(&dir, 1), pairs(1..=3), "the first two were not synced yet");
    let stats = journal.stats();
    assert_eq!((stats.removed_segments, stats.removed_events), (1, 0));
}

#[test]
fn a_removed_directory_is_made_anew_with_its_lock() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("journal");
    let (mut journal, _) = open(&dir);
    commit(&mut journal, 1..=3);
    journal.rotate(&[], &[]).unwrap();
    commit(&mut journal, 4..=5);
    fs::remove_dir_all(&dir).unwrap();
    assert!(keep_house(&mut journal));
    commit(&mut journal, 6..=7);
    assert_eq!(read_from(&dir, 1), pairs(4..=7));
    assert_eq!((journal.stats().removed_segments, journal.stats().removed_events), (2, 3));
    let second = Journal::open(&dir, calm(), 0).map(drop).unwrap_err();
    assert!(matches!(second, crate::writer::OpenError::Locked { .. }), "{second}");
}

#[test]
fn a_directory_that_was_moved_away_keeps_what_it_had() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, moved) = (temp.path().join("journal"), temp.path().join("moved"));
    let (mut journal, _) = open(&dir);
    commit(&mut journal, 1..=3);
    fs::rename(&dir, &moved).unwrap();
    assert!(keep_house(&mut journal));
    commit(&mut journal, 4..=5);
    assert_eq!(read_from(&moved, 1), pairs(1..=3));
    assert_eq!(read_from(&dir, 1), pairs(1..=5), "the first three were not synced yet");
}

#[test]
fn a_journal_that_somebody_else_took_is_left_alone_until_it_is_free() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("journal");
    let (mut journal, _) = open(&dir);
    commit(&mut journal, 1..=3);
    fs::remove_dir_all(&dir).unwrap();
    let (other, _) = Journal::open(&dir, calm(), 0).unwrap();
    assert!(journal.find_removed());
    let refused = journal.rotate(&[], &[]).unwrap_err();
    assert!(matches!(refused, CommitError::Locked { .. }), "{refused}");
    assert!(!refused.is_disk_full());
    stage(&mut journal, 4);
    assert!(matches!(journal.commit().unwrap_err(), CommitError::Sealed { .. }));
    drop(other);
    journal.rotate(&[], &[]).unwrap();
    journal.commit().unwrap();
    assert_eq!(read_from(&dir, 1), pairs(1..=4));
}

#[test]
fn removed_old_segments_leave_the_figures() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path(), Options::default(), 0).unwrap();
    for n in 1..=4 {
        commit(&mut journal, [n]);
        journal.rotate(&[], &[]).unwrap();
    }
    remove(dir.path(), [1, 2]);
    assert!(!keep_house(&mut journal), "the writer's own segment is there");
    let stats = journal.stats();
    assert_eq!((stats.removed_segments, stats.segments, stats.oldest_seq), (2, 3, 3));
    assert_eq!(stats.removed_events, 2);
}

fn remove(dir: &Path, firsts: impl IntoIterator<Item = u64>) {
    for first in firsts {
        fs::remove_file(dir.join(file_name(first))).unwrap();
    }
}
