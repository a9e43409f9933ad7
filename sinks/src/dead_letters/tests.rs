//! Dead letters: what is kept, given up, shown, purged and sent again.

use super::retry::Retry;
use super::*;
use crate::testing::TestJournal;

fn letters(journal: &TestJournal, limit_bytes: u64) -> DeadLetters {
    DeadLetters::new(&journal.path("dead_letters"), "s", limit_bytes)
}

const REASON: Reason<'_> = Reason { status: Some(400), words: "no \"good\"", attempts: 3 };

#[test]
fn each_says_what_it_is_and_why() {
    let mut journal = TestJournal::new();
    journal.write_many(2);
    let letters = letters(&journal, DEAD_LETTERS_BYTES);
    assert_eq!(letters.keep(journal.batch(1, 2).lines(), REASON).expect("kept"), 0);
    let text = fs::read_to_string(&letters.path).expect("the file");
    for (line, seq) in text.lines().zip(1..) {
        let letter: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&letter["sink"], &letter["status"]), (&"s".into(), &400.into()));
        assert_eq!((&letter["reason"], &letter["attempts"]), (&"no \"good\"".into(), &3.into()));
        assert_eq!(letter["event"]["seq"], seq);
        assert!(letter["event"]["crc"].is_null() && letter["at"].is_string());
    }
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn half_a_line_of_a_dead_process_stands_alone() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let letters = letters(&journal, DEAD_LETTERS_BYTES);
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    let mut bytes = fs::read(&letters.path).expect("the file");
    bytes.extend_from_slice(b"{\"sink\":");
    fs::write(&letters.path, &bytes).expect("the file");
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    let text = fs::read_to_string(&letters.path).expect("the file");
    let whole = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    assert_eq!((whole.count(), text.lines().count()), (2, 3));
}

#[test]
fn the_oldest_are_given_up_at_the_limit_and_counted() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let letters = letters(&journal, 4000);
    let mut given_up = 0;
    for _ in 0..100 {
        given_up += letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    }
    let bytes: u64 = [&letters.older, &letters.path]
        .map(|it| fs::metadata(it).expect("a file").len())
        .iter()
        .sum();
    let kept: u64 =
        [&letters.older, &letters.path].map(|it| count_lines(it).expect("a file")).iter().sum();
    assert!(bytes <= 4000 && kept > 4, "{bytes} bytes, {kept} letters");
    assert_eq!(kept + given_up, 100);
}

fn ids(letters: &DeadLetters) -> Vec<(u64, bool)> {
    let mut seen = Vec::new();
    let bad = letters.each(|letter, is_retried| {
        seen.push((letter.event().expect("an event").seq, is_retried));
    });
    assert_eq!(bad.expect("readable"), 0);
    seen
}

#[test]
fn those_that_are_not_wanted_are_purged_and_the_others_stay_to_the_byte() {
    let mut journal = TestJournal::new();
    journal.write_many(6);
    let letters = letters(&journal, 2000);
    for seq in 1..=6 {
        letters.keep(journal.batch(seq, 1).lines(), REASON).expect("kept");
    }
    assert!(letters.older.exists(), "some are in the older file");
    let all = || {
        [&letters.older, &letters.path]
            .map(|it| fs::read_to_string(it).unwrap_or_default())
            .concat()
    };
    let before = all();
    let is_even = |letter: Option<&Letter<'_>>| {
        letter.and_then(Letter::event).is_some_and(|event| event.seq % 2 == 0)
    };
    assert_eq!(letters.purge(is_even).expect("purged"), 3);
    let odd: String = before.split_inclusive('\n').step_by(2).collect();
    assert_eq!(all(), odd);
    assert_eq!(letters.purge(is_even).expect("purged"), 0);
    assert_eq!(letters.purge(|_| true).expect("purged"), 3);
    assert!(letters.files().iter().all(|it| !it.exists()), "nothing is left");
    assert_eq!(sinks_with_letters(&journal.path("dead_letters")).expect("a list"), [""; 0]);
}

#[test]
fn they_are_counted_whoever_changes_them() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let letters = letters(&journal, DEAD_LETTERS_BYTES);
    let mut count = LetterCount::default();
    assert_eq!(count.look(&letters), 0);
    for seq in 1..=3 {
        letters.keep(journal.batch(seq, 1).lines(), REASON).expect("kept");
        assert_eq!(count.look(&letters), seq);
    }
    letters.ask_retry(|letter| letter.event().is_some_and(|it| it.seq == 2)).expect("asked");
    let mut retry = Retry::open(&letters).expect("opened").expect("one");
    assert_eq!((retry.left(), count.look(&letters)), (1, 3));
    let letter = retry.next_letter().expect("readable").expect("one");
    retry.done(&letter).expect("marked");
    assert_eq!(count.look(&letters), 2);
    retry.finish(&letters).expect("finished");
    assert_eq!(count.look(&letters), 2);
    letters.purge(|_| true).expect("purged");
    assert_eq!(count.look(&letters), 0);
}

#[test]
fn whichever_moment_a_retry_is_killed_at_no_letter_is_lost() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let letters = letters(&journal, DEAD_LETTERS_BYTES);
    letters.keep(journal.batch(1, 3).lines(), REASON).expect("kept");
    assert_eq!(letters.ask_retry(|_| true).expect("asked"), 3);
    // Killed before the daemon took it up: they are in both files, and listed as retried.
    let is_running = letters.ask_retry(|_| true).expect_err("one at a time");
    assert!(is_running.to_string().contains("are being sent again"), "{is_running}");
    let mut retry = Retry::open(&letters).expect("opened").expect("one");
    assert_eq!(ids(&letters), [(1, true), (2, true), (3, true)]);
    let first = retry.next_letter().expect("readable").expect("one");
    assert_eq!((first.seq, first.attempts, first.batch.len()), (1, 3, 1));
    let line = first.batch.lines().next().expect("a line");
    assert_eq!((line.seq, line.id()), (1, journal.batch(1, 1).lines().next().expect("one").id()));
    retry.done(&first).expect("marked");
    let second = retry.next_letter().expect("readable").expect("one");
    // Refused again, and killed before that was marked.
    letters.keep(second.batch.lines(), Reason { attempts: 4, ..REASON }).expect("kept");
    drop(retry);
    let mut retry = Retry::open(&letters).expect("opened").expect("one");
    assert_eq!((retry.left(), ids(&letters)), (2, vec![(2, true), (3, true)]));
    let second = retry.next_letter().expect("readable").expect("one");
    retry.done(&second).expect("marked");
    // Stopped: what was not sent is there as before.
    retry.finish(&letters).expect("put back");
    assert_eq!(ids(&letters), [(3, false)]);
    assert!(Retry::open(&letters).expect("opened").is_none());
    assert_eq!(letters.ask_retry(|_| false).expect("asked"), 0);
    assert!(!letters.retry.exists());
}
