//! Following a journal that is written, rotated, repaired and deleted meanwhile.

use super::*;
use crate::segment::file_name;
use crate::testing::{
    FaultyStorage, calm, damage_line, drain, lane_end, open, pairs, read_from, stage, written,
};
use crate::writer::Journal;

fn commit_each(journal: &mut Journal, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        stage(journal, n);
        journal.commit().unwrap();
    }
}

fn gaps(reader: &Reader) -> Vec<(Seq, Seq)> {
    reader.skipped().gaps.iter().map(|gap| (gap.first, gap.last)).collect()
}

#[test]
fn a_journal_that_does_not_exist_yet_is_empty() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("later");
    let mut reader = Reader::open(&dir, OLDEST).unwrap();
    assert!(reader.next_batch(10, 1000).unwrap().is_empty());
    let (mut journal, _) = open(&dir);
    assert!(reader.next_batch(10, 1000).unwrap().is_empty());
    commit_each(&mut journal, 1..=3);
    assert_eq!(drain(&mut reader), pairs(1..=3));
    assert_eq!(reader.position(), 4);
}

#[test]
fn what_was_read_before_an_error_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 5);
    let mut reader = Reader::open(dir.path(), 1).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    reader.open.as_mut().unwrap().scan.read_from(file);
    assert_eq!(reader.next_batch(100, usize::MAX).unwrap().len(), 5);
    for _ in 0..2 {
        let error = reader.next_batch(100, usize::MAX).unwrap_err();
        assert!(matches!(error, ReadError::Segment { .. }), "{error}");
    }
    assert_eq!(reader.position(), 6);
}

#[test]
fn batches_keep_their_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 20);
    let mut reader = Reader::open(dir.path(), 1).unwrap();
    assert_eq!(reader.next_batch(3, usize::MAX).unwrap().len(), 3);
    let one = reader.next_batch(3, 0).unwrap();
    assert_eq!((one.first(), one.last(), one.len()), (4, 4, 1));
    assert_eq!(reader.next_batch(0, usize::MAX).unwrap().first(), 5);
    let batch = reader.next_batch(100, 2000).unwrap();
    assert!(batch.len() > 1 && batch.bytes().len() <= 2000);
    let rest = drain(&mut reader);
    assert_eq!(rest, pairs(batch.last() + 1..=20));
    let lines = std::fs::read(path).unwrap();
    let whole = Reader::open(dir.path(), 1).unwrap().next_batch(100, usize::MAX).unwrap();
    assert!(lines.ends_with(whole.bytes()));
}

#[test]
fn what_is_not_committed_is_left_for_later_also_across_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    commit_each(&mut journal, 1..=5);
    let mut reader = Reader::open(dir.path(), 1).unwrap();
    reader.read_up_to(3);
    assert_eq!(drain(&mut reader), pairs(1..=3));
    journal.rotate(&[lane_end(0, 5)], &[]).unwrap();
    commit_each(&mut journal, 6..=7);
    assert_eq!(drain(&mut reader), []);
    reader.read_up_to(5);
    assert_eq!(drain(&mut reader), pairs(4..=5));
    reader.read_up_to(7);
    assert_eq!(drain(&mut reader), pairs(6..=7));
    assert_eq!(reader.skipped(), &Skipped::default());
}

#[test]
fn a_live_writer_is_followed_over_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut reader = Reader::open(dir.path(), OLDEST).unwrap();
    let mut read = Vec::new();
    for round in 0..30 {
        let first = round * 3 + 1;
        commit_each(&mut journal, first..=first + 2);
        // At every point of a rotation: before it, after it, and after its first line.
        if round % 3 != 0 {
            read.extend(drain(&mut reader));
        }
        if round % 2 == 0 {
            journal.rotate(&[lane_end(0, first + 2)], &[]).unwrap();
        }
        if round % 5 == 0 {
            read.extend(drain(&mut reader));
        }
    }
    read.extend(drain(&mut reader));
    assert_eq!(read, pairs(1..=90));
    assert_eq!(reader.skipped(), &Skipped::default());
}

#[test]
fn a_rotation_after_a_failed_sync_is_followed_from_any_position() {
    for synced in 0..=4 {
        for read_before in 0..=4 {
            let dir = tempfile::tempdir().unwrap();
            let storage = FaultyStorage::new(dir.path());
            let (mut journal, _) = storage.open_journal(dir.path(), calm());
            let mut reader = Reader::open(dir.path(), 1).unwrap();
            let mut read = Vec::new();
            for n in 1..=4 {
                commit_each(&mut journal, n..=n);
                if n == synced {
                    journal.sync().unwrap();
                }
                if n == read_before {
                    read.extend(drain(&mut reader));
                }
            }
            storage.disk().failing_syncs = 1;
            journal.sync().unwrap_err();
            journal.rotate(&[], &[]).unwrap();
            if synced == 2 {
                read.extend(drain(&mut reader));
            }
            commit_each(&mut journal, 5..=6);
            read.extend(drain(&mut reader));
            assert_eq!(read, pairs(1..=6), "{synced} {read_before}");
            assert_eq!(reader.skipped(), &Skipped::default());
        }
    }
}

#[test]
fn a_torn_line_is_read_when_it_is_whole_or_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 3);
    let whole = std::fs::read(&path).unwrap();
    let last = crate::testing::line_range(&whole, 3);
    for len in last.start..=last.end {
        std::fs::write(&path, &whole[..len]).unwrap();
        let mut reader = Reader::open(dir.path(), 1).unwrap();
        assert_eq!(drain(&mut reader), pairs(1..=2));
        // In place, as a writer does: the same file grows.
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &whole, 0).unwrap();
        assert_eq!(drain(&mut reader), pairs(3..=3));
        assert_eq!(reader.skipped(), &Skipped::default());
    }
}

#[test]
fn lines_that_were_cut_back_are_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 4);
    let whole = std::fs::read(&path).unwrap();
    let mut reader = Reader::open(dir.path(), 1).unwrap();
    assert_eq!(drain(&mut reader), pairs(1..=4));
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(crate::testing::line_range(&whole, 2).start as u64).unwrap();
    assert_eq!(drain(&mut reader), []);
    // The restarted writer goes on in the place that was cut.
    let (mut journal, recovery) = Journal::open(dir.path(), calm(), 4).unwrap();
    assert_eq!(recovery.next_seq, 5);
    commit_each(&mut journal, 5..=9);
    assert_eq!(drain(&mut reader), pairs(5..=9));
    assert_eq!(reader.skipped(), &Skipped::default());
}

#[test]
fn damaged_lines_and_missing_numbers_are_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 10);
    for line in [3, 4, 10] {
        damage_line(&path, line);
    }
    let mut reader = Reader::open(dir.path(), 1).unwrap();
    assert_eq!(drain(&mut reader), pairs([1, 2, 5, 6, 7, 8, 9]));
    assert_eq!((reader.skipped().bad_lines, gaps(&reader)), (3, vec![(3, 4)]));
    let (mut journal, _) = open(dir.path());
    commit_each(&mut journal, 11..=11);
    assert_eq!(drain(&mut reader), pairs(11..=11));
    assert_eq!((reader.skipped().missing, gaps(&reader)), (3, vec![(3, 4), (10, 10)]));
    // From a position after the damage, it is no longer told.
    let mut later = Reader::open(dir.path(), 6).unwrap();
    assert_eq!(drain(&mut later), pairs([6, 7, 8, 9, 11]));
    assert_eq!((later.skipped().bad_lines, gaps(&later)), (1, vec![(10, 10)]));
    assert_eq!(later.take_skipped().missing, 1);
    assert_eq!(later.skipped(), &Skipped::default());
}

#[test]
fn deleted_segments_are_a_gap_unless_the_oldest_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut early = Reader::open(dir.path(), 1).unwrap();
    for first in [1, 11, 21] {
        commit_each(&mut journal, first..=first + 9);
        if first == 1 {
            assert_eq!(early.next_batch(4, usize::MAX).unwrap().last(), 4);
        }
        journal.rotate(&[], &[]).unwrap();
    }
    for first in [1, 11] {
        std::fs::remove_file(dir.path().join(file_name(first))).unwrap();
    }
    // What is open can be read to its end.
    assert_eq!(drain(&mut early), pairs((5..=10).chain(21..=30)));
    assert_eq!(gaps(&early), [(11, 20)]);
    let mut late = Reader::open(dir.path(), 3).unwrap();
    assert_eq!((drain(&mut late), gaps(&late)), (pairs(21..=30), vec![(3, 20)]));
    let mut oldest = Reader::open(dir.path(), OLDEST).unwrap();
    assert_eq!((drain(&mut oldest), gaps(&oldest)), (pairs(21..=30), vec![]));
    let mut beyond = Reader::open(dir.path(), 50).unwrap();
    assert_eq!((drain(&mut beyond), gaps(&beyond)), (vec![], vec![]));
}

#[test]
fn a_segment_without_a_whole_line_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for first in [1, 3, 5] {
        commit_each(&mut journal, first..=first + 1);
        journal.rotate(&[], &[]).unwrap();
    }
    commit_each(&mut journal, 7..=8);
    std::fs::write(dir.path().join(file_name(3)), "garbage\n\n").unwrap();
    std::fs::write(dir.path().join(file_name(5)), "").unwrap();
    let mut reader = Reader::open(dir.path(), 1).unwrap();
    assert_eq!(drain(&mut reader), pairs([1, 2, 7, 8]));
    assert_eq!((reader.skipped().bad_lines, reader.skipped().missing), (2, 4));
    // The same if nothing whole was read before.
    for from in [OLDEST, 3, 4, 5] {
        assert_eq!(read_from(dir.path(), from).last(), Some(&(8, 8)));
    }
    std::fs::write(dir.path().join(file_name(1)), "").unwrap();
    assert_eq!(read_from(dir.path(), OLDEST), pairs(7..=8));
}

#[test]
fn a_repair_under_a_reader_costs_it_nothing() {
    for read_before in [0, 1, 5, 9] {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), 10);
        let mut reader = Reader::open(dir.path(), 1).unwrap();
        let mut read = Vec::new();
        if read_before > 0 {
            let batch = reader.next_batch(read_before, usize::MAX).unwrap();
            read.extend(batch.lines().map(|line| (line.seq, line.seq)));
        }
        damage_line(&path, 2);
        assert_eq!(crate::repair(dir.path(), |_, _| {}).unwrap().repaired.len(), 1);
        read.extend(drain(&mut reader));
        let (mut journal, _) = open(dir.path());
        commit_each(&mut journal, 11..=12);
        read.extend(drain(&mut reader));
        read.retain(|(seq, _)| *seq != 2);
        assert_eq!(read, pairs((1..=12).filter(|n| *n != 2)), "{read_before}");
    }
}

#[test]
fn another_journal_in_the_directory_is_noticed_and_the_same_one_in_other_files_is_not() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let journal_of = |name: &str, numbers: std::ops::RangeInclusive<u64>| {
        let (mut journal, _) = open(&home.path().join(name));
        for n in numbers {
            stage(&mut journal, n);
        }
        journal.commit().unwrap();
        journal
    };
    let mut journal = journal_of("journal", 1..=3);
    let mut reader = Reader::open(&dir, 1).unwrap();
    let known = |reader: &Reader| (reader.is_other_journal(), reader.is_beyond_end().unwrap());
    assert_eq!(drain(&mut reader), pairs(1..=3));
    // Rotation, and retention behind it.
    journal.rotate(&[], &[]).unwrap();
    std::fs::remove_file(dir.join(file_name(1))).unwrap();
    assert_eq!((drain(&mut reader), known(&reader)), (vec![], (false, false)));
    stage(&mut journal, 4);
    journal.commit().unwrap();
    assert_eq!((drain(&mut reader), known(&reader)), (pairs(4..=4), (false, false)));
    // The same lines in another segment's file, with other check sums.
    std::fs::rename(&dir, home.path().join("aside")).unwrap();
    journal.sync().unwrap_err();
    journal.rotate(&[], &[]).unwrap();
    assert_eq!((drain(&mut reader), known(&reader)), (vec![], (false, false)));
    drop(journal);
    // Nothing is no other journal.
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!((drain(&mut reader), known(&reader)), (vec![], (false, false)));
    drop(journal_of("short", 1..=2));
    std::fs::rename(home.path().join("short"), &dir).unwrap();
    assert_eq!((drain(&mut reader), known(&reader)), (vec![], (false, true)));
    std::fs::remove_dir_all(&dir).unwrap();
    drop(journal_of("long", 11..=16));
    std::fs::rename(home.path().join("long"), &dir).unwrap();
    drain(&mut reader);
    assert!(reader.is_other_journal(), "its fourth event is another one");
}

#[test]
fn a_reader_in_another_thread_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = Reader::open(dir.path(), 1).unwrap();
            let mut read = Vec::new();
            // Two minutes of pauses; what is missing then is shown below.
            for _ in 0..120_000 {
                read.extend(drain(&mut reader));
                if read.len() >= 3000 {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            (read, reader.take_skipped())
        });
        for n in 1..=3000 {
            stage(&mut journal, n);
            if n % 3 == 0 {
                journal.commit().unwrap();
            }
            if n % 50 == 0 {
                journal.rotate(&[], &[]).unwrap();
            }
        }
        journal.commit().unwrap();
        assert_eq!(reading.join().unwrap(), (pairs(1..=3000), Skipped::default()));
    });
}
