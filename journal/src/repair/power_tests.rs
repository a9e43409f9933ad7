//! Cuts the power after every change that a repair makes to the disk, and looks at everything that may
//! be left.

use std::collections::BTreeSet;

use super::*;
use crate::segment::{bad_file_name, file_name};
use crate::testing::power::{Content, PowerStorage};
use crate::testing::{calm, damage_line, lane_end, line_range, open, pairs, read_from, stage};
use crate::{Journal, OLDEST};

/// Combinations that are tried for one cut at most.
const CONTENTS_MAX: usize = 20_000;

/// The first numbers of the segments.
const FIRSTS: [Seq; 2] = [1, 4];

/// A damaged journal: its whole lines, and of each segment the bytes that are none.
struct Damaged {
    dir: tempfile::TempDir,
    whole: Vec<(Seq, u64)>,
    bad: [Vec<Vec<u8>>; 2],
}

/// In memory where that is possible: nothing here needs a real disk.
fn new_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn quiet(_done: u64, _total: u64) {}

/// Events 1 to 3 and 4 to 6. Of the first segment an event is damaged; of the second the first line
/// and the end, where there is something already that an earlier repair set aside.
fn damaged() -> Damaged {
    let dir = new_dir();
    let (mut journal, _) = open(dir.path());
    for n in 1..=6 {
        stage(&mut journal, n);
        journal.commit().unwrap();
        if n == 3 {
            journal.rotate(&[lane_end(0, n)], &[]).unwrap();
        }
    }
    journal.close().unwrap();
    let [first, second] = FIRSTS.map(|first| dir.path().join(file_name(first)));
    damage_line(&first, 2);
    damage_line(&second, 0);
    let mut bytes = fs::read(&second).unwrap();
    bytes.extend_from_slice(b"{\"crc\":\"torn");
    fs::write(&second, bytes).unwrap();
    fs::write(dir.path().join(bad_file_name(4)), "set aside before\n").unwrap();
    let line = |path: &Path, at| {
        let bytes = fs::read(path).unwrap();
        bytes[line_range(&bytes, at)].to_vec()
    };
    let before = b"set aside before\n".to_vec();
    let bad = [vec![line(&first, 2)], vec![line(&second, 0), b"{\"crc\":\"torn".to_vec(), before]];
    Damaged { whole: pairs([1, 3, 4, 5, 6]), bad, dir }
}

impl Damaged {
    /// What a cut left has every line that was whole, and every other byte in the segment or beside it;
    /// another repair makes a journal of it that goes on.
    fn check(&self, content: &Content, is_done: bool) {
        let dir = new_dir();
        content.put_into(dir.path());
        assert_eq!(read_from(dir.path(), OLDEST), self.whole, "a whole line is lost or invented");
        self.check_bad(dir.path());
        let is_whole = verify(dir.path(), quiet).unwrap().is_whole();
        assert!(is_whole || !is_done, "it was called repaired and is damaged again");
        repair(dir.path(), quiet).unwrap();
        assert!(verify(dir.path(), quiet).unwrap().is_whole());
        assert_eq!(read_from(dir.path(), OLDEST), self.whole);
        self.check_bad(dir.path());
        let (mut journal, recovery) = Journal::open(dir.path(), calm(), 0).unwrap();
        assert_eq!((recovery.next_seq, &*recovery.ends), (7, &[lane_end(0, 6)][..]));
        stage(&mut journal, 7);
        journal.commit().unwrap();
        let more = [&self.whole[..], &[(7, 7)]].concat();
        assert_eq!(read_from(dir.path(), OLDEST), more);
    }

    fn check_bad(&self, dir: &Path) {
        for (first, bad) in FIRSTS.into_iter().zip(&self.bad) {
            let places = [file_name(first), bad_file_name(first)];
            let places = places.map(|name| fs::read(dir.join(name)).unwrap_or_default());
            let is_in =
                |place: &Vec<u8>, bytes: &[u8]| memchr::memmem::find(place, bytes).is_some();
            for bytes in bad {
                let text = String::from_utf8_lossy(bytes);
                assert!(places.iter().any(|place| is_in(place, bytes)), "{first} lacks {text}");
            }
        }
    }
}

/// Checks everything that a cut after so many changes may leave; returns how many that are.
fn check_cut(damaged: &Damaged, storage: &PowerStorage, changes: usize, is_done: bool) -> usize {
    let contents = storage.cut_after(changes).contents(CONTENTS_MAX);
    let contents = contents.expect("a small journal has few");
    for content in &contents {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            damaged.check(content, is_done);
        }));
        assert!(checked.is_ok(), "cut after change {changes}: {content:?}");
    }
    contents.len()
}

#[test]
fn a_repair_survives_a_cut_at_any_moment_and_in_any_order() {
    let damaged = damaged();
    let storage = PowerStorage::new(damaged.dir.path(), &BTreeSet::new());
    assert_eq!(repair_with(&storage, damaged.dir.path(), quiet).unwrap().repaired.len(), 2);
    let all = storage.changes();
    let tried: usize =
        (0..=all).map(|changes| check_cut(&damaged, &storage, changes, changes == all)).sum();
    println!("{tried} states tried");
    assert!(tried > 50, "{tried}");
}

#[test]
fn a_repair_that_cannot_sync_takes_nothing_away() {
    for (files, directories) in [(1, 0), (0, 1)] {
        let damaged = damaged();
        let storage = PowerStorage::new(damaged.dir.path(), &BTreeSet::new());
        storage.fail_syncs(files, directories);
        let error = repair_with(&storage, damaged.dir.path(), quiet).unwrap_err();
        assert!(matches!(error, RepairError::Write { .. }), "{error}");
        check_cut(&damaged, &storage, storage.changes(), false);
    }
}
