//! Cuts the power after every change that the writer makes to the disk, and starts on whatever may be
//! left: every combination for short histories, any one for long ones. Some events come from a spool on
//! that disk.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::line::Origin;
use crate::recovery::Recovery;
use crate::testing::power::{Content, PowerStorage};
use crate::testing::{calm, damage_line, event, lane_end, payload, read_from, stage};
use crate::{Event, OLDEST};

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Step {
    /// An event is written.
    Commit,
    /// The same, from the spool, where its entry is unlinked behind that.
    Spool,
    Sync,
    Rotate,
    /// The segment's sync fails, then its lines go into a new one.
    FailSync,
    /// A new segment's name is not synced.
    FailDirectorySync,
    /// All old segments go.
    Retain,
    /// The process dies, the power stays.
    Die,
    /// The same, and what it left cannot be synced.
    DieFailing,
}

const STEPS: [Step; 9] = [
    Step::Commit,
    Step::Spool,
    Step::Sync,
    Step::Rotate,
    Step::FailSync,
    Step::FailDirectorySync,
    Step::Retain,
    Step::Die,
    Step::DieFailing,
];

/// Combinations that are tried for one cut at most.
const CONTENTS_MAX: usize = 20_000;

/// What must be kept, and what may be there.
#[derive(Clone, Default)]
struct Known {
    /// The event that had a number when it was committed last.
    committed: BTreeMap<Seq, u64>,
    /// Every pair that was ever written.
    written: BTreeSet<(Seq, u64)>,
    /// Events that were in the spool.
    spooled: BTreeSet<u64>,
    /// Numbers below were deleted by retention, or may have been.
    deleted_below: Seq,
    events: u64,
}

/// A journal on a disk whose power may fail.
struct Bed {
    dir: tempfile::TempDir,
    storage: PowerStorage,
    journal: Option<Journal>,
    known: Known,
}

fn id_of(n: u64) -> [u8; 16] {
    (1 << 100 | u128::from(n)).to_be_bytes()
}

fn entry_name(n: u64) -> String {
    format!("{n:020}-{:032x}", u128::from_be_bytes(id_of(n)))
}

fn options() -> Options {
    Options { retention_bytes: Some(0), retention_age: None, cache_bytes: 0, ..calm() }
}

/// In memory where that is possible: nothing here needs a real disk.
fn new_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Bed {
    fn new() -> Bed {
        Bed::on(&Content::default(), Known::default(), 0).0
    }

    /// Starts on what a cut left. `cursor`: what some sink's cursor says.
    fn on(content: &Content, known: Known, cursor: Seq) -> (Bed, Recovery) {
        let dir = new_dir();
        content.put_into(dir.path());
        let storage = PowerStorage::new(dir.path(), &content.entries);
        let mut bed = Bed { dir, storage, journal: None, known };
        let recovery = bed.open(cursor, &content.entries);
        (bed, recovery)
    }

    /// `entries`: what is in the spool. What of it the start knows, it unlinks.
    fn open(&mut self, cursor: Seq, entries: &BTreeSet<u64>) -> Recovery {
        let storage = Box::new(self.storage.clone());
        let opened = Journal::open_with(storage, self.dir.path(), options(), cursor);
        let (journal, recovery) = opened.expect("recovery starts");
        self.storage.watch(journal.tail());
        self.journal = Some(journal);
        let known = entries.iter().filter(|n| recovery.ids.contains(&id_of(**n)));
        known.for_each(|n| self.storage.unlink_entry(*n));
        if recovery.needs_rotation {
            self.storage.sync_spool();
            self.journal().rotate(&recovery.ends, &[]).unwrap();
        }
        recovery
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().unwrap()
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Commit => self.commit(),
            Step::Spool => self.spool(),
            Step::Sync => self.journal().sync().unwrap(),
            Step::Rotate => self.rotate(),
            Step::FailSync => {
                self.storage.fail_syncs(1, 0);
                self.journal().sync().unwrap_err();
                self.rotate();
            }
            Step::FailDirectorySync => {
                self.storage.fail_syncs(0, 1);
                self.rotate();
                self.storage.fail_syncs(0, 0);
            }
            Step::Retain => {
                let retained = self.journal().retain(Seq::MAX, SystemTime::now()).unwrap();
                if let Some(last) = retained.deleted.last() {
                    self.known.deleted_below = last.numbers.last + 1;
                }
            }
            Step::Die | Step::DieFailing => {
                self.storage.fail_syncs(usize::from(step == Step::DieFailing), 0);
                let synced = self.journal().tail().synced();
                self.journal = None;
                self.open(synced, &BTreeSet::new());
            }
        }
    }

    fn commit(&mut self) {
        self.known.events += 1;
        let n = self.known.events;
        let seq = stage(self.journal(), n);
        self.known.written.insert((seq, n));
        self.journal().commit().unwrap();
        self.known.committed.insert(seq, n);
    }

    fn spool(&mut self) {
        self.known.events += 1;
        let n = self.known.events;
        self.known.spooled.insert(n);
        self.storage.link_entry(n);
        self.take_entry(n);
    }

    fn take_entry(&mut self, n: u64) {
        let (name, payload) = (entry_name(n), payload(n));
        let event = Event { id: id_of(n), ..event(&payload) };
        let seq = self.journal().stage(Origin::Spool(&name), &event);
        self.known.written.insert((seq, n));
        self.journal().commit().unwrap();
        self.known.committed.insert(seq, n);
        self.storage.unlink_entry(n);
    }

    /// In the order that the daemon keeps: a start knows the spool's entries by the last segment only.
    fn rotate(&mut self) {
        self.storage.sync_spool();
        let n = self.known.events;
        self.journal().rotate(&[lane_end(0, n)], &[]).unwrap();
    }

    /// The power fails after so many changes, and this is left. Gives the journal that starts on it.
    fn check(&self, changes: usize, content: &Content) -> Bed {
        let promised = self.storage.promised_before(changes);
        let (mut after, recovery) = Bed::on(content, self.known.clone(), promised);
        let read = read_from(after.dir.path(), OLDEST);
        self.check_order(&read);
        for pair in &read {
            assert!(self.known.written.contains(pair), "{pair:?} is invented");
        }
        for (&seq, &n) in self.owed(promised) {
            assert!(read.contains(&(seq, n)), "{seq} was synced and is lost; left: {read:?}");
            let is_end_known =
                || recovery.ends.contains(&lane_end(0, n)) || recovery.ends[0].end > n;
            assert!(self.known.spooled.contains(&n) || is_end_known());
        }
        // An entry that is still there, or again, is known if its event is; also if that was deleted since.
        let synced = self.known.committed.range(..=promised).map(|(_, n)| n);
        let had: BTreeSet<_> = read.iter().map(|(_, n)| n).chain(synced).collect();
        let is_known = |n: &u64| recovery.ids.contains(&id_of(*n));
        for n in content.entries.iter().filter(|n| !is_known(n)) {
            assert!(!had.contains(n), "event {n} comes twice; left: {read:?}");
        }
        let last = read.last().map_or(0, |(seq, _)| *seq);
        assert!(recovery.next_seq > last.max(promised), "a number is given twice");
        // With no cursor left, what was called synced is not given again either.
        let (_, bare) = Bed::on(content, self.known.clone(), 0);
        let kept_some = self.owed(promised).count() > 0;
        assert!(!kept_some || bare.next_seq > promised, "{bare:?}");
        // It goes on, and what it has now it keeps.
        after.known.committed = read.iter().copied().collect();
        after.check_settled();
        content.entries.iter().filter(|n| !is_known(n)).for_each(|n| after.take_entry(*n));
        after.commit();
        after.journal().sync().unwrap();
        after.check_settled();
        after
    }

    /// In order, none twice. What was in the spool may come late, after a cut.
    fn check_order(&self, read: &[(Seq, u64)]) {
        assert!(read.is_sorted_by(|a, b| a.0 < b.0), "{read:?}");
        let events: BTreeSet<_> = read.iter().map(|(_, n)| n).collect();
        assert_eq!(events.len(), read.len(), "{read:?}");
        let spooled = &self.known.spooled;
        let from_ring = read.iter().map(|(_, n)| n).filter(|n| !spooled.contains(n));
        assert!(from_ring.is_sorted(), "{read:?}");
    }

    /// What was called synced up to this number, and not deleted since.
    fn owed(&self, synced: Seq) -> impl Iterator<Item = (&Seq, &u64)> {
        let committed = self.known.committed.range(self.known.deleted_below..);
        committed.take_while(move |(seq, _)| **seq <= synced)
    }

    /// A cut now leaves at least what is called synced, if nothing is left that was not.
    fn check_settled(&self) {
        let content = self.storage.cut_after(self.storage.changes()).content(&mut |_| 0);
        let dir = new_dir();
        content.put_into(dir.path());
        let synced = self.journal.as_ref().unwrap().tail().synced();
        let read = read_from(dir.path(), OLDEST);
        for (&seq, &n) in self.owed(synced) {
            assert!(read.contains(&(seq, n)), "{seq} was called synced after the start");
        }
    }
}

#[test]
fn a_start_syncs_what_it_cannot_continue() {
    let mut bed = Bed::new();
    bed.commit();
    bed.commit();
    bed.journal = None;
    damage_line(&bed.dir.path().join(file_name(1)), 0);
    assert!(bed.open(0, &BTreeSet::new()).needs_rotation);
    assert_eq!(bed.journal().tail().synced(), 2);
    bed.check_settled();
}

/// Every history of `left` more steps; only the last step's changes are cut, since the others are
/// those of a shorter history.
fn explore(steps: &mut Vec<Step>, left: usize, tried: &mut usize) {
    for step in STEPS {
        // One shows what there is to see, and each makes twice as many states.
        if step == Step::Spool && steps.contains(&step) {
            continue;
        }
        let mut bed = Bed::new();
        steps.iter().for_each(|step| bed.run(*step));
        let before = bed.storage.changes();
        bed.run(step);
        if bed.storage.changes() == before {
            // Nothing to do, such as nothing to delete: the histories without it are tried.
            continue;
        }
        steps.push(step);
        for changes in before..=bed.storage.changes() {
            let contents = bed.storage.cut_after(changes).contents(CONTENTS_MAX);
            for content in contents.expect("a short history has few") {
                *tried += 1;
                let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    bed.check(changes, &content);
                }));
                assert!(checked.is_ok(), "{steps:?}, cut after change {changes}: {content:?}");
            }
        }
        if left > 1 {
            explore(steps, left - 1, tried);
        }
        steps.pop();
    }
}

#[test]
fn short_histories_survive_a_cut_at_any_moment_and_in_any_order() {
    let mut tried = 0;
    explore(&mut Vec::new(), 3, &mut tried);
    println!("{tried} states tried");
    assert!(tried > 100, "{tried}");
}

fn life() -> impl Strategy<Value = (Vec<Step>, prop::sample::Index, u64)> {
    let step = prop_oneof![
        6 => Just(Step::Commit), 3 => prop::sample::select(&STEPS[1..]),
    ];
    (prop::collection::vec(step, 0..25), any::<prop::sample::Index>(), any::<u64>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each life ends with a cut somewhere in it, and the next one starts on what that left.
    #[test]
    fn long_histories_survive_cut_after_cut(lives in prop::collection::vec(life(), 1..5)) {
        let mut bed = Bed::new();
        for (steps, at, seed) in lives {
            let before = bed.storage.changes();
            // What was known before each change: later steps have not happened yet at the cut.
            let mut known = vec![(before, bed.known.clone())];
            for step in steps {
                bed.run(step);
                known.push((bed.storage.changes(), bed.known.clone()));
            }
            let changes = before + at.index(bed.storage.changes() - before + 1);
            let mut random = seed | 1;
            let content = bed.storage.cut_after(changes).content(&mut |choices| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random >> 33) as usize % choices
            });
            // The step that was under way counts as begun: its event may be there.
            let begun = known.iter().find(|(end, _)| *end >= changes).unwrap();
            bed.known = begun.1.clone();
            bed = bed.check(changes, &content);
        }
    }
}
