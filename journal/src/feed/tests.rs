//! Between the cache and the files.

use super::*;
use crate::testing::{calm, damage_line, n_of, open, pairs, stage};
use crate::writer::{Journal, Options};

fn feed(journal: &Journal, from: Seq) -> Feed {
    Feed::new(journal.dir().to_owned(), journal.tail(), from)
}

fn commit_each(journal: &mut Journal, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        stage(journal, n);
        journal.commit().unwrap();
    }
}

fn next(feed: &mut Feed, max_events: usize) -> Vec<(Seq, u64)> {
    let batch = feed.next(max_events, 1 << 20, Duration::ZERO).unwrap();
    let lines = batch.iter().flat_map(Batch::lines);
    lines.map(|line| (line.seq, n_of(line.bytes))).collect()
}

fn all(feed: &mut Feed) -> Vec<(Seq, u64)> {
    let mut all = Vec::new();
    loop {
        let batch = next(feed, 2);
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

#[test]
fn one_that_keeps_up_does_not_touch_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    commit_each(&mut journal, 1..=10);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let mut feed = feed(&journal, 1);
    assert_eq!(next(&mut feed, 1), pairs(1..=1));
    assert_eq!(next(&mut feed, 4), pairs(2..=5), "several small commits make one batch");
    assert_eq!(next(&mut feed, 100), pairs(6..=10));
    assert_eq!(next(&mut feed, 100), []);
    assert_eq!((feed.position(), feed.take_skipped()), (11, Skipped::default()));
}

#[test]
fn a_batch_from_one_chunk_is_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for n in 1..=10 {
        stage(&mut journal, n);
    }
    journal.commit().unwrap();
    let mut feed = feed(&journal, 3);
    let batch = feed.next(4, 1 << 20, Duration::ZERO).unwrap().unwrap();
    let chunk = journal.tail().chunk(3).unwrap();
    assert!(chunk.bytes().as_ptr_range().contains(&batch.bytes().as_ptr()));
}

#[test]
fn it_goes_on_in_a_chunk_where_it_was_unless_it_was_sent_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for commit in [1..=10, 11..=12, 13..=20] {
        for n in commit {
            stage(&mut journal, n);
        }
        journal.commit().unwrap();
    }
    let mut feed = feed(&journal, 1);
    assert_eq!((feed.place, next(&mut feed, 3)), (None, pairs(1..=3)));
    let place = feed.place.unwrap();
    assert!(place.next == 4 && place.is_in(&journal.tail().chunk(4).unwrap()));
    assert_eq!(next(&mut feed, 4), pairs(4..=7));
    feed.seek(2);
    assert_eq!(next(&mut feed, 2), pairs(2..=3), "not where it was");
    assert_eq!(next(&mut feed, 11), pairs(4..=14), "over three chunks");
    assert_eq!(feed.place.unwrap().next, 15);
    assert_eq!(next(&mut feed, 3), pairs(15..=17));
    assert_eq!(next(&mut feed, 3), pairs(18..=20));
    assert!(!feed.place.unwrap().is_in(&journal.tail().chunk(20).unwrap()), "its end");
    journal.tail().forget_before(21);
    feed.seek(19);
    assert_eq!(next(&mut feed, 1), pairs(19..=19), "from the file");
    assert_eq!(next(&mut feed, 9), pairs(20..=20));
}

#[test]
fn bytes_are_limited_over_chunks_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    commit_each(&mut journal, 1..=20);
    let mut feed = feed(&journal, 1);
    let mut read = Vec::new();
    while let Some(batch) = feed.next(100, 1500, Duration::ZERO).unwrap() {
        assert!(batch.bytes().len() <= 1500 && batch.len() == batch.lines().count());
        read.extend(batch.lines().map(|line| line.seq));
    }
    assert_eq!(read, (1..=20).collect::<Vec<_>>());
    feed.seek(7);
    assert_eq!(feed.next(100, 1, Duration::ZERO).unwrap().unwrap().len(), 1);
}

#[test]
fn one_that_lags_reads_files_and_comes_back_to_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cache_bytes: 3000, segment_bytes: 3000, ..calm() };
    let (mut journal, _) = Journal::open(dir.path(), options, 0).unwrap();
    let (mut eager, mut slow) = (feed(&journal, OLDEST), feed(&journal, 1));
    let (mut eager_read, mut slow_read) = (Vec::new(), Vec::new());
    for n in 1..=300 {
        commit_each(&mut journal, n..=n);
        if journal.wants_rotation() {
            journal.rotate(&[], &[]).unwrap();
        }
        eager_read.extend(all(&mut eager));
        if n % 97 == 0 {
            assert!(journal.tail().chunk(slow.position()).is_none());
            slow_read.extend(next(&mut slow, 5));
            assert!(slow.reader.is_some());
            slow_read.extend(all(&mut slow));
            assert!(slow.reader.is_none());
        }
    }
    slow_read.extend(all(&mut slow));
    assert_eq!((eager_read, slow_read), (pairs(1..=300), pairs(1..=300)));
    slow.seek(10);
    assert_eq!(next(&mut slow, 2), pairs(10..=11));
    slow.seek(299);
    assert_eq!(all(&mut slow), pairs(299..=300));
    assert_eq!(slow.take_skipped(), Skipped::default());
}

#[test]
fn what_is_missing_is_told_once_wherever_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    damage_line(&crate::testing::written(dir.path(), 5), 3);
    // Numbers 6 to 9 are left out: some cursor spoke of 9.
    let (mut journal, _) = Journal::open(dir.path(), calm(), 9).unwrap();
    let mut feed = feed(&journal, 1);
    assert_eq!(all(&mut feed), pairs([1, 2, 4, 5]));
    commit_each(&mut journal, 10..=11);
    assert_eq!(all(&mut feed), pairs(10..=11));
    let skipped = feed.take_skipped();
    assert_eq!(skipped.gaps, [Gap { first: 3, last: 3 }, Gap { first: 6, last: 9 }]);
    assert_eq!((skipped.bad_lines, skipped.missing), (1, 5));
    assert_eq!(feed.take_skipped(), Skipped::default());
}

#[test]
fn it_waits_for_the_next_event_and_ends_with_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut feed = feed(&journal, OLDEST);
    // The journal goes with the closure, and ends the reader, if writing it fails.
    std::thread::scope(move |scope| {
        let reading = scope.spawn(move || {
            let mut read = Vec::new();
            while let Some(batch) = feed.next(3, 1 << 20, Duration::MAX).unwrap() {
                read.extend(batch.lines().map(|line| line.seq));
            }
            read
        });
        commit_each(&mut journal, 1..=50);
        journal.close().unwrap();
        // What was written before the end is still read.
        assert_eq!(reading.join().unwrap(), (1..=50).collect::<Vec<_>>());
    });
}

/// Five segments of ten events, all but the last two deleted at the hard limit.
fn beyond_the_limit(dir: &std::path::Path, cache_bytes: usize) -> Journal {
    let options = Options { cache_bytes, hard_limit_bytes: None, ..calm() };
    let (mut journal, _) = Journal::open(dir, options, 0).unwrap();
    for segment in 0..5 {
        if segment > 0 {
            journal.rotate(&[], &[]).unwrap();
        }
        commit_each(&mut journal, 10 * segment + 1..=10 * segment + 10);
    }
    journal
}

fn delete_three(journal: &mut Journal) {
    let now = std::time::SystemTime::now();
    for _ in 0..3 {
        let limit = Some(journal.stats().bytes - 1);
        journal.set_options(Options { hard_limit_bytes: limit, ..calm() });
        assert_eq!(journal.retain(1, now).unwrap().deleted.len(), 1);
    }
    assert_eq!(journal.tail().oldest(), 31);
}

#[test]
fn what_is_deleted_is_lost_unless_it_is_cached_or_open() {
    let gap = |first, last| Some(Gap { first, last });
    let dir = tempfile::tempdir().unwrap();
    let mut journal = beyond_the_limit(dir.path(), 0);
    let (mut new, mut reading, mut late) =
        (feed(&journal, 1), feed(&journal, 1), feed(&journal, 33));
    assert_eq!(next(&mut reading, 2), pairs(1..=2));
    assert_eq!(new.lost_ahead(), None);
    delete_three(&mut journal);
    assert_eq!((new.lost_ahead(), late.lost_ahead()), (gap(1, 30), None));
    assert_eq!(reading.lost_ahead(), gap(11, 30), "an open file is read to its end");
    assert_eq!(all(&mut reading), pairs((3..=10).chain(31..=50)));
    assert_eq!(reading.take_skipped().gaps, [Gap { first: 11, last: 30 }]);
    assert_eq!(all(&mut new), pairs(31..=50));
    assert_eq!(new.take_skipped().gaps, [Gap { first: 1, last: 30 }]);
    assert_eq!(all(&mut late), pairs(33..=50));

    let dir = tempfile::tempdir().unwrap();
    let mut journal = beyond_the_limit(dir.path(), 1 << 20);
    let mut new = feed(&journal, 1);
    journal.tail().forget_before(22);
    delete_three(&mut journal);
    assert_eq!((journal.tail().available_from(), new.lost_ahead()), (22, gap(1, 21)));
    assert_eq!(all(&mut new), pairs(22..=50), "the cache has what the files have no more");
    assert_eq!(new.take_skipped().gaps, [Gap { first: 1, last: 21 }]);
}

#[test]
fn limits_may_change_whatever_was_read_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cache_bytes: 0, ..calm() };
    let (mut journal, _) = Journal::open(dir.path(), options, 0).unwrap();
    commit_each(&mut journal, 1..=60);
    let mut feed = feed(&journal, 1);
    let mut read = Vec::new();
    for max_events in [5, 5, 3, 7, 1, 1, 1, 4, 4, 4].into_iter().cycle() {
        let batch = next(&mut feed, max_events);
        assert!(batch.len() <= max_events);
        if batch.is_empty() {
            break;
        }
        read.extend(batch);
        assert_eq!(feed.position(), read.len() as Seq + 1);
    }
    assert_eq!((read, feed.take_skipped()), (pairs(1..=60), Skipped::default()));
}
