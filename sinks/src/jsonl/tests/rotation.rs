//! When a file is rotated, and what it is called then.

use super::*;

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
