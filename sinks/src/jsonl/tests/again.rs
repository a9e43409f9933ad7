//! What comes again, after a restart or by a replay: it is in the files once, and nothing that is torn stays.

use proptest::prelude::*;

use super::*;

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
