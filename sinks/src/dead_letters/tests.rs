//! Dead letters: what is kept, given up, shown, purged and sent again.

use super::retry::{EndedRetry, Retry};
use rustix::fs::{CWD, Mode, mkfifoat};

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
    let kept: u64 = [&letters.older, &letters.path]
        .map(|it| letters.count_lines(it).expect("a file"))
        .iter()
        .sum();
    assert!(bytes <= 4000 && kept > 4, "{bytes} bytes, {kept} letters");
    assert_eq!(kept + given_up, 100);
}

#[test]
fn what_cannot_be_written_leaves_no_half_of_it_and_who_was_given_up_for_it_is_counted() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let letters = letters(&journal, 2000);
    let keep = || letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    while !letters.older.exists() {
        assert_eq!(keep(), 0);
    }
    let older = letters.count_lines(&letters.older).expect("a file");
    let failing = |bytes| {
        let lock = letters.lock(LOCK_WAIT).expect("the lock");
        let appended = letters.append(bytes, |file| {
            file.write_all(b"half of a letter")?;
            file.flush()?;
            Err(io::ErrorKind::StorageFull.into())
        });
        drop(lock);
        assert_eq!(appended.expect_err("full").kind(), io::ErrorKind::StorageFull);
    };
    let before = fs::read(&letters.path).expect("the file");
    failing(16);
    assert_eq!(fs::read(&letters.path).expect("the file"), before);
    // So long that all of the older ones go.
    failing(1000);
    assert_eq!(fs::read(&letters.path).expect("the file"), b"");
    assert_eq!((keep(), keep()), (older, 0));
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
    assert_eq!(letters.purge(false, is_even).expect("purged"), 3);
    let odd: String = before.split_inclusive('\n').step_by(2).collect();
    assert_eq!(all(), odd);
    assert_eq!(letters.purge(false, is_even).expect("purged"), 0);
    assert_eq!(letters.purge(false, |_| true).expect("purged"), 3);
    assert!(letters.files().iter().all(|it| !it.exists()), "nothing is left");
    assert_eq!(sinks_with_letters(&journal.path("dead_letters")).expect("a list"), [""; 0]);
}

#[test]
fn they_are_counted_whoever_changes_them() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let letters = letters(&journal, DEAD_LETTERS_BYTES);
    let mut count = LetterCount::default();
    let mut look = || count.look(&letters, false).expect("readable");
    assert_eq!(look(), 0);
    for seq in 1..=3 {
        letters.keep(journal.batch(seq, 1).lines(), REASON).expect("kept");
        assert_eq!(look(), seq);
    }
    letters.ask_retry(|letter| letter.event().is_some_and(|it| it.seq == 2)).expect("asked");
    assert_eq!((look(), look()), (3, 3), "one stands in two files");
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    assert_eq!(look(), 4);
    letters
        .purge(false, |letter| letter.and_then(Letter::event).is_some_and(|it| it.seq == 1))
        .expect("purged");
    assert_eq!(look(), 2);
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    let mut retry = Retry::open(&letters).expect("opened").expect("one");
    assert_eq!((retry.left(), look()), (1, 3));
    let letter = retry.next_letter().expect("readable").expect("one");
    retry.done(&letter).expect("marked");
    assert_eq!(look(), 2);
    letters.end_retry(None).expect("ended");
    assert_eq!(look(), 2);
    letters.purge(false, |_| true).expect("purged");
    assert_eq!(look(), 0);
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
    letters.end_retry(None).expect("put back");
    assert_eq!(ids(&letters), [(3, false)]);
    assert!(Retry::open(&letters).expect("opened").is_none());
    assert_eq!(letters.ask_retry(|_| false).expect("asked"), 0);
    assert!(!letters.retry.exists());
}

/// Three letters, all of which are asked for.
fn asked(journal: &mut TestJournal) -> DeadLetters {
    journal.write_many(3);
    let letters = letters(journal, DEAD_LETTERS_BYTES);
    letters.keep(journal.batch(1, 3).lines(), REASON).expect("kept");
    assert_eq!(letters.ask_retry(|_| true).expect("asked"), 3);
    letters
}

#[test]
fn a_retry_that_nobody_took_up_is_seen_once_and_ends_without_writing_a_letter() {
    let mut journal = TestJournal::new();
    let letters = asked(&mut journal);
    let before = fs::read(&letters.path).expect("the file");
    assert_eq!(ids(&letters), [(1, true), (2, true), (3, true)]);
    assert_eq!(letters.end_retry(None).expect("ended"), EndedRetry { given_up: 0, left: 3 });
    assert_eq!(ids(&letters), [(1, false), (2, false), (3, false)]);
    assert_eq!(fs::read(&letters.path).expect("the file"), before);
    let nothing = EndedRetry { given_up: 0, left: 0 };
    assert_eq!(letters.end_retry(None).expect("nothing to end"), nothing);
}

#[test]
fn letters_of_a_retry_that_nobody_runs_are_purged_each_counted_once() {
    let mut journal = TestJournal::new();
    let letters = asked(&mut journal);
    let is = |wanted| {
        move |letter: Option<&Letter<'_>>| {
            letter.and_then(Letter::event).is_some_and(|it| it.seq == wanted)
        }
    };
    assert_eq!(letters.purge(false, is(9)).expect("purged"), 0);
    assert_eq!(letters.purge(true, is(2)).expect("purged"), 1);
    assert_eq!(ids(&letters), [(1, true), (3, true)]);
    // Taken up, one of them sent, and then its sink was taken out of the configuration.
    let mut retry = Retry::open(&letters).expect("opened").expect("one");
    let first = retry.next_letter().expect("readable").expect("one");
    retry.done(&first).expect("marked");
    drop(retry);
    assert_eq!(letters.purge(false, |_| true).expect("purged"), 0);
    assert_eq!(ids(&letters), [(3, true)]);
    assert_eq!(letters.purge(true, |_| true).expect("purged"), 1);
    assert!(letters.files().iter().all(|it| !it.exists()), "nothing is left");
}

#[test]
fn what_was_put_back_is_not_put_back_again() {
    let mut journal = TestJournal::new();
    let letters = asked(&mut journal);
    drop(Retry::open(&letters).expect("opened"));
    assert_eq!(ids(&letters), [(1, true), (2, true), (3, true)]);
    let lock = letters.lock(LOCK_WAIT).expect("the lock");
    // Killed before its file was removed.
    assert_eq!(letters.put_back(None).expect("put back").given_up, 0);
    drop(lock);
    let once = fs::read(&letters.path).expect("the file");
    assert_eq!(letters.end_retry(None).expect("ended").given_up, 0);
    assert_eq!(fs::read(&letters.path).expect("the file"), once);
    assert_eq!(ids(&letters), [(1, false), (2, false), (3, false)]);
}

#[test]
fn what_begins_again_writes_nothing_that_was_written() {
    let mut journal = TestJournal::new();
    let letters = asked(&mut journal);
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    letters.purge(false, |letter| letter.is_none()).expect("nothing to purge");
    drop(Retry::open(&letters).expect("opened"));
    journal.write_many(1);
    letters.keep(journal.batch(4, 1).lines(), REASON).expect("kept");
    let inode = || fs::metadata(&letters.path).map(|it| std::os::unix::fs::MetadataExt::ino(&it));
    let before = inode().expect("a file");
    drop(Retry::open(&letters).expect("opened"));
    assert_eq!(inode().expect("a file"), before, "it was not written anew");
    let names = fs::read_dir(journal.path("dead_letters")).expect("a folder");
    let mut names: Vec<_> = names.map(|it| it.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["s.jsonl", "s.lock", "s.retry.jsonl"]);
}

#[test]
fn what_a_dead_process_left_half_written_is_removed() {
    let mut journal = TestJournal::new();
    let letters = asked(&mut journal);
    let halves = letters.files().map(|path| path.with_added_extension("new"));
    halves.iter().for_each(|path| fs::write(path, "half").expect("written"));
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    assert!(halves.iter().all(|path| !path.exists()));
}

#[test]
fn a_letter_whose_id_has_another_form_is_sent_once_and_gone() {
    let mut journal = TestJournal::new();
    let letters = asked(&mut journal);
    letters.end_retry(None).expect("ended");
    let text = fs::read_to_string(&letters.path).expect("the file");
    let id = |line: &str| line.split_once("\"id\":\"").expect("an id").1[..36].to_owned();
    let second = id(text.lines().nth(1).expect("a line"));
    fs::write(&letters.path, text.replace(&second, "no UUID")).expect("written");
    assert_eq!(letters.ask_retry(|it| it.event().is_some_and(|it| it.seq == 2)).expect("asked"), 1);
    let mut retry = Retry::open(&letters).expect("opened").expect("one");
    assert_eq!(ids(&letters), [(2, true), (1, false), (3, false)]);
    let letter = retry.next_letter().expect("readable").expect("one");
    retry.done(&letter).expect("marked");
    letters.end_retry(None).expect("ended");
    assert_eq!(ids(&letters), [(1, false), (3, false)]);
}

#[test]
fn what_has_no_event_that_could_be_sent_is_counted_and_never_multiplied() {
    let mut journal = TestJournal::new();
    let letters = asked(&mut journal);
    letters.end_retry(None).expect("ended");
    let text = fs::read_to_string(&letters.path).expect("the file");
    let line = text.lines().next().expect("a line");
    let event = line.split_once("\"event\":").expect("an event").0;
    for event_text in ["{}", "{\"id\":\"a\",\"seq\":1}", "{\"seq\":1,\"id\":1}", "7"] {
        fs::write(&letters.path, format!("{event}\"event\":{event_text}}}\n")).expect("written");
        assert_eq!(letters.each(|_, _| panic!("{event_text}")).expect("readable"), 1);
        assert_eq!(letters.ask_retry(|_| true).expect("asked"), 0, "{event_text}");
    }
    assert_eq!(letters.purge(false, |letter| letter.is_none()).expect("purged"), 1);
}

#[test]
fn a_line_that_is_too_long_is_said_and_stays_until_it_is_purged() {
    let mut journal = TestJournal::new();
    journal.write_many(2);
    let mut letters = letters(&journal, DEAD_LETTERS_BYTES);
    letters.max_letter_bytes = 1000;
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    let long = "x".repeat(100_000);
    let mut text = fs::read_to_string(&letters.path).expect("the file");
    text.push_str(&long);
    fs::write(&letters.path, text).expect("written");
    letters.keep(journal.batch(2, 1).lines(), REASON).expect("kept");
    let seen = || {
        let mut seen = Vec::new();
        let bad = letters.each(|letter, _| seen.push(letter.event().expect("one").seq));
        (seen, bad.expect("readable"))
    };
    assert_eq!(seen(), (vec![1, 2], 1));
    let is_first =
        |it: Option<&Letter<'_>>| it.and_then(Letter::event).is_some_and(|it| it.seq == 1);
    assert_eq!(letters.purge(false, is_first).expect("purged"), 1);
    assert_eq!(seen(), (vec![2], 1));
    assert!(fs::read_to_string(&letters.path).expect("the file").starts_with(&long));
    assert_eq!(letters.purge(false, |letter| letter.is_none()).expect("purged"), 1);
    assert_eq!(seen(), (vec![2], 0));
}

#[test]
fn what_is_no_file_is_said_and_held_up_nobody() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let letters = letters(&journal, DEAD_LETTERS_BYTES);
    letters.keep(journal.batch(1, 1).lines(), REASON).expect("kept");
    let mut count = LetterCount::default();
    assert_eq!(count.look(&letters, false).expect("readable"), 1);
    for path in letters.files().map(Path::to_owned) {
        let aside = path.with_added_extension("aside");
        let is_there = fs::rename(&path, &aside).is_ok();
        mkfifoat(CWD, &path, Mode::RWXU).expect("a pipe");
        let error = count.look(&letters, false).expect_err("no file").to_string();
        assert!(error.ends_with("; move it away"), "{error}");
        letters.each(|_, _| {}).expect_err("no file");
        if path == letters.path {
            letters.keep(journal.batch(1, 1).lines(), REASON).expect_err("no file");
        }
        if path == letters.retry {
            Retry::open(&letters).expect_err("no file");
        }
        fs::remove_file(&path).expect("removed");
        if is_there {
            fs::rename(&aside, &path).expect("renamed");
        }
        assert_eq!(count.look(&letters, false).expect("readable"), 1);
    }
}

#[test]
fn who_holds_the_lock_for_too_long_is_said_and_no_longer_waited_for() {
    let mut journal = TestJournal::new();
    journal.write_many(1);
    let mut letters = letters(&journal, DEAD_LETTERS_BYTES);
    letters.lock_wait = Duration::from_millis(20);
    let held = letters.lock(LOCK_WAIT).expect("the lock");
    let error = letters.keep(journal.batch(1, 1).lines(), REASON).expect_err("held");
    assert!(error.to_string().ends_with("; wait for the other process or end it"), "{error}");
    // One who holds it for a moment is waited for.
    letters.lock_wait = crate::testing::PATIENCE;
    let batch = journal.batch(1, 1);
    let keeping = std::thread::scope(|scope| {
        let keeping = scope.spawn(|| letters.keep(batch.lines(), REASON));
        drop(held);
        keeping.join().expect("no panic")
    });
    assert_eq!(keeping.expect("kept"), 0);
}

#[test]
fn what_is_counted_is_what_is_listed() {
    let mut journal = TestJournal::new();
    journal.write_many(3);
    let letters = letters(&journal, DEAD_LETTERS_BYTES);
    let mut count = LetterCount::default();
    let mut seen = || {
        let mut listed = 0;
        let bad_lines = letters.each(|_, _| listed += 1).expect("readable");
        (count.look(&letters, false).expect("readable"), listed, bad_lines)
    };
    let add = |bytes: &[u8]| {
        let mut file = OpenOptions::new().append(true).open(&letters.path).expect("the file");
        file.write_all(bytes).expect("written");
    };
    letters.keep(journal.batch(1, 2).lines(), REASON).expect("kept");
    assert_eq!(seen(), (2, 2, 0));
    add(b"noise\n\n-done by a person\n{}\n");
    assert_eq!(seen(), (2, 2, 4));
    // Half a line that becomes a whole one.
    let line = fs::read_to_string(&letters.path).expect("the file");
    let line = line.lines().next().expect("a line").to_owned();
    let (half, rest) = line.as_bytes().split_at(20);
    add(half);
    assert_eq!(seen(), (2, 2, 5));
    add(rest);
    assert_eq!(seen(), (3, 3, 4));
    add(b"\n");
    letters.keep(journal.batch(3, 1).lines(), REASON).expect("kept");
    assert_eq!(seen(), (4, 4, 4));
    assert_eq!(letters.purge(false, |letter| letter.is_some()).expect("purged"), 4);
    assert_eq!(seen(), (0, 0, 4));
}
