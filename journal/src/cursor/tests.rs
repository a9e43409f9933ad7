//! A cursor through damage, death and bad names.

use proptest::prelude::*;

use super::*;

fn open(dir: &Path) -> (Cursor, CursorState) {
    Cursor::open(dir, "sink", 5).unwrap()
}

fn file(dir: &Path) -> PathBuf {
    dir.join("sink.cursor")
}

#[test]
fn a_fresh_cursor_begins_where_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let (cursor, state) = open(dir.path());
    assert_eq!((cursor.position(), cursor.in_flight(), state), (5, None, CursorState::Fresh));
    drop(cursor);
    let (cursor, state) = Cursor::open(dir.path(), "sink", 77).unwrap();
    assert_eq!((cursor.position(), state), (5, CursorState::Loaded));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(file(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!file(dir.path()).with_added_extension("new").exists());
}

#[test]
fn it_remembers_position_and_batch_through_death() {
    let dir = tempfile::tempdir().unwrap();
    let (mut cursor, _) = open(dir.path());
    let batch = cursor.begin(5, 9).unwrap();
    assert_eq!((batch.first, batch.last), (5, 9));
    drop(cursor);
    let (mut cursor, _) = open(dir.path());
    assert_eq!((cursor.position(), cursor.in_flight()), (5, Some(batch)));
    assert_eq!(cursor.begin(5, 9).unwrap(), batch, "the same events keep their batch");
    let smaller = cursor.begin(5, 7).unwrap();
    assert_ne!(smaller.attempt, batch.attempt);
    cursor.store(8).unwrap();
    drop(cursor);
    let (mut cursor, state) = open(dir.path());
    assert_eq!((cursor.position(), cursor.in_flight(), state), (8, None, CursorState::Loaded));
    cursor.store(2).unwrap();
    assert_eq!(open(dir.path()).0.position(), 2, "a replay is a cursor set back");
}

#[test]
fn a_batch_stays_in_flight_until_all_of_it_is_done_with() {
    let dir = tempfile::tempdir().unwrap();
    let (mut cursor, _) = open(dir.path());
    let batch = cursor.begin(5, 9).unwrap();
    for (next, in_flight) in [(7, Some(batch)), (9, Some(batch)), (10, None)] {
        cursor.advance(next).unwrap();
        let (stored, _) = open(dir.path());
        assert_eq!((stored.position(), stored.in_flight()), (next, in_flight));
    }
}

#[test]
fn a_slot_that_nothing_could_follow_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    for generation in [u64::MAX, MAX_GENERATION + 1, 0] {
        let slot = Slot { generation, next: 5, in_flight: None, lost: Losses::default() };
        let mut bytes = vec![0; 4096 + SLOT_BYTES];
        bytes[slot.offset() as usize..][..SLOT_BYTES].copy_from_slice(&slot.to_bytes());
        fs::write(file(dir.path()), &bytes).unwrap();
        let (mut cursor, state) = open(dir.path());
        assert_eq!((cursor.position(), state), (OLDEST, CursorState::Damaged), "{generation}");
        cursor.store(7).unwrap();
    }
}

#[test]
fn behind_the_last_generation_the_file_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let lost = Losses { events: 3, gaps: Vec::new() };
    let slot = Slot { generation: MAX_GENERATION, next: 5, in_flight: None, lost: lost.clone() };
    let mut bytes = vec![0; 4096 + SLOT_BYTES];
    bytes[slot.offset() as usize..][..SLOT_BYTES].copy_from_slice(&slot.to_bytes());
    fs::write(file(dir.path()), &bytes).unwrap();
    let (mut cursor, _) = open(dir.path());
    cursor.store(7).unwrap();
    for next in 7..10 {
        let (mut cursor, state) = open(dir.path());
        assert_eq!((cursor.position(), state), (next, CursorState::Loaded));
        assert_eq!(*cursor.lost(), lost);
        cursor.store(next + 1).unwrap();
    }
}

#[test]
fn a_new_cursor_is_synced_before_it_has_its_name_and_its_name_after() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path());
    let slot = Slot { generation: 1, next: 5, in_flight: None, lost: Losses::default() };
    let synced = std::cell::RefCell::new(Vec::new());
    let sync = |file: &File| {
        let metadata = file.metadata()?;
        let whole = metadata.is_file() && newest(&read_slots(file)?.0).as_ref() == Some(&slot);
        synced.borrow_mut().push((metadata.is_dir(), whole, path.exists()));
        file.sync_all()
    };
    make_with(dir.path(), &path, &slot, sync).unwrap();
    assert_eq!(synced.take(), [(false, true, false), (true, false, true)]);
    for failing in 0..2 {
        let left = std::cell::Cell::new(failing);
        let sync = |_: &File| match left.replace(left.get() - 1) {
            0 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        };
        make_with(dir.path(), &path, &slot, sync).unwrap_err();
    }
}

#[test]
fn one_damaged_slot_falls_back_to_the_other() {
    for stores in 1..6 {
        for newest_is_damaged in [true, false] {
            for zeroed in [true, false] {
                let dir = tempfile::tempdir().unwrap();
                let (mut cursor, _) = open(dir.path());
                for next in 0..stores {
                    cursor.store(100 + next).unwrap();
                }
                let newest = SLOT_AT[((1 + stores) % 2) as usize];
                let other = SLOT_AT[(stores % 2) as usize];
                let damaged = if newest_is_damaged { newest } else { other };
                let mut bytes = fs::read(file(dir.path())).unwrap();
                let slot = damaged as usize..damaged as usize + SLOT_BYTES;
                if zeroed {
                    bytes[slot].fill(0);
                } else {
                    bytes[slot.start + 17] ^= 1;
                }
                fs::write(file(dir.path()), bytes).unwrap();
                let (cursor, state) = open(dir.path());
                let newest_before = if stores == 1 { 5 } else { 100 + stores - 2 };
                let expected = if newest_is_damaged { newest_before } else { 100 + stores - 1 };
                assert_eq!(cursor.position(), expected);
                // A single slot with the first generation is what a fresh cursor looks like.
                let looks_fresh = zeroed && newest_is_damaged && stores == 1;
                let state_expected =
                    if looks_fresh { CursorState::Loaded } else { CursorState::OlderSlot };
                assert_eq!(state, state_expected);
                drop(cursor);
                // The next store heals it.
                let (mut cursor, _) = open(dir.path());
                cursor.store(200).unwrap();
                cursor.store(201).unwrap();
                drop(cursor);
                let (cursor, state) = open(dir.path());
                assert_eq!((cursor.position(), state), (201, CursorState::Loaded));
            }
        }
    }
}

#[test]
fn two_damaged_slots_begin_at_the_oldest_and_keep_the_file() {
    let garbage = [&b""[..], b"garbage", &[0xff; 5000], &[0; 4160]];
    for content in garbage {
        let dir = tempfile::tempdir().unwrap();
        fs::write(file(dir.path()), content).unwrap();
        assert_eq!(highest_cursor(dir.path()).unwrap(), 0);
        let (mut cursor, state) = open(dir.path());
        assert_eq!((cursor.position(), state), (OLDEST, CursorState::Damaged));
        assert_eq!(fs::read(file(dir.path()).with_added_extension("bad")).unwrap(), content);
        cursor.store(7).unwrap();
        assert_eq!(open(dir.path()).0.position(), 7);
    }
}

#[test]
fn a_store_torn_at_any_byte_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut cursor, _) = open(dir.path());
    cursor.store(10).unwrap();
    let before = fs::read(file(dir.path())).unwrap();
    cursor.store(20).unwrap();
    let after = fs::read(file(dir.path())).unwrap();
    assert_eq!(before.len(), after.len());
    let (mut old, mut new) = (0, 0);
    for torn in 0..=after.len() {
        let mut bytes = before.clone();
        bytes[..torn].copy_from_slice(&after[..torn]);
        fs::write(file(dir.path()), bytes).unwrap();
        match open(dir.path()).0.position() {
            10 => old += 1,
            20 => new += 1,
            other => panic!("torn after {torn} bytes: {other}"),
        }
    }
    assert!(old > 0 && new > 0);
}

#[test]
fn the_highest_number_that_any_cursor_speaks_of() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(highest_cursor(&dir.path().join("missing")).unwrap(), 0);
    assert_eq!(highest_cursor(dir.path()).unwrap(), 0);
    let (mut one, _) = Cursor::open(dir.path(), "one", OLDEST).unwrap();
    assert_eq!(highest_cursor(dir.path()).unwrap(), 0);
    one.store(10).unwrap();
    assert_eq!(highest_cursor(dir.path()).unwrap(), 9);
    let (mut two, _) = Cursor::open(dir.path(), "two", 1).unwrap();
    // Its batch must never get other events, or the receiver takes them for the same.
    two.begin(1, 30).unwrap();
    assert_eq!(highest_cursor(dir.path()).unwrap(), 30);
    // Whatever else lies there says nothing.
    fs::create_dir(dir.path().join("three.cursor")).unwrap();
    fs::write(dir.path().join("four.cursor"), "garbage").unwrap();
    fs::copy(dir.path().join("two.cursor"), dir.path().join("x.cursor.bad")).unwrap();
    two.store(31).unwrap();
    two.store(2).unwrap();
    two.store(1).unwrap();
    assert_eq!(highest_cursor(dir.path()).unwrap(), 9);
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(65);
    for name in ["", ".", "..", "../x", "a/b", "ä", "a b", ".hidden", "a\0", &long] {
        let error = Cursor::open(dir.path(), name, 1).unwrap_err();
        assert!(matches!(&error, CursorError::Name(refused) if refused == name));
    }
    for name in ["webhook", "Otlp-2", "a.b_c", &long[1..]] {
        Cursor::open(dir.path(), name, 1).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link.cursor")).unwrap();
    assert!(matches!(Cursor::open(dir.path(), "link", 1), Err(CursorError::Open { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_a_cursor_or_none(
        bytes in prop::collection::vec(any::<u8>(), 0..5000), flips in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(file(dir.path()), &bytes).unwrap();
        prop_assert_eq!(open(dir.path()).1, CursorState::Damaged);
        // Flipped bits in a real one give one of the positions that were stored.
        let mut cursor = open(dir.path()).0;
        cursor.store(1).unwrap();
        cursor.store(2).unwrap();
        let mut real = fs::read(file(dir.path())).unwrap();
        for flip in flips {
            let at = flip.index(real.len() * 8);
            real[at / 8] ^= 1 << (at % 8);
        }
        fs::write(file(dir.path()), &real).unwrap();
        prop_assert!(open(dir.path()).0.position() <= 2);
    }
}

#[test]
fn a_cursor_that_was_removed_is_made_anew_with_the_next_store() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cursors");
    let (mut cursor, _) = Cursor::open(&dir, "s", OLDEST).unwrap();
    cursor.store(5).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    for next in [7, 8] {
        cursor.store(next).unwrap();
        let (stored, found) = Cursor::open(&dir, "s", OLDEST).unwrap();
        assert_eq!((stored.position(), found), (next, CursorState::Loaded));
    }
}

#[test]
fn what_the_sink_lost_is_stored_with_the_position() {
    let dir = tempfile::tempdir().unwrap();
    let (mut cursor, _) = open(dir.path());
    let gap = |first, last| Gap { first, last };
    let now = SystemTime::now();
    assert_eq!(cursor.note_lost(gap(5, 24), now), [gap(5, 24)]);
    cursor.save().unwrap();
    drop(cursor);
    let (mut cursor, _) = open(dir.path());
    assert_eq!((cursor.position(), cursor.lost().events), (5, 20));
    // A position that was not stored yet brings the same gap again.
    assert_eq!(cursor.note_lost(gap(5, 30), now), [gap(25, 30)]);
    cursor.begin(31, 32).unwrap();
    cursor.store(33).unwrap();
    drop(cursor);
    let (cursor, _) = open(dir.path());
    let gaps: Vec<_> = cursor.lost().gaps.iter().map(|lost| lost.gap).collect();
    assert_eq!((cursor.lost().events, gaps), (26, vec![gap(5, 30)]));
    // Its file made anew keeps them.
    let (mut cursor, _) = open(dir.path());
    fs::remove_file(file(dir.path())).unwrap();
    cursor.store(40).unwrap();
    assert_eq!(open(dir.path()).0.lost().events, 26);
}
