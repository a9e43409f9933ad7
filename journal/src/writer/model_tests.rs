//! Runs the writer through any sequence of batches, faults, rotations, deletions and deaths, beside
//! a plain list of what must be in the journal.

use std::collections::BTreeMap;
use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::reader::{Gap, Reader};
use crate::segment;
use crate::testing::{FaultyStorage, calm, drain, lane_end, read_from, stage};

#[derive(Clone, Debug)]
enum Step {
    Stage {
        events: u8,
    },
    Commit {
        free_bytes: Option<u16>,
        cut_fails: bool,
    },
    Sync {
        fails: bool,
    },
    Rotate {
        sync_fails: bool,
        directory_sync_fails: bool,
        free_bytes: Option<u16>,
    },
    Retain {
        needed_back: u8,
    },
    /// The process dies; of a write that was under way, so many bytes are in the file.
    Die {
        written: Option<u16>,
        cursor_ahead: u8,
    },
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = || prop::bool::weighted(0.3);
    let full = || prop::option::weighted(0.3, 0u16..3000);
    prop_oneof![
        4 => (1u8..5).prop_map(|events| Step::Stage { events }),
        4 => (full(), fault())
            .prop_map(|(free_bytes, cut_fails)| Step::Commit { free_bytes, cut_fails }),
        2 => fault().prop_map(|fails| Step::Sync { fails }),
        2 => (fault(), fault(), full()).prop_map(|(sync_fails, directory_sync_fails, free_bytes)| {
            Step::Rotate { sync_fails, directory_sync_fails, free_bytes }
        }),
        1 => any::<u8>().prop_map(|needed_back| Step::Retain { needed_back }),
        1 => (prop::option::of(0u16..3000), 0u8..3)
            .prop_map(|(written, cursor_ahead)| Step::Die { written, cursor_ahead }),
        2 => Just(Step::Read),
    ]
}

/// The journal under test and what is known of it.
struct Model<'a> {
    dir: &'a Path,
    storage: FaultyStorage,
    journal: Option<Journal>,
    reader: Reader,
    /// Number and event of every line that was committed, deleted ones too.
    committed: BTreeMap<Seq, u64>,
    staged: Vec<(Seq, u64)>,
    /// So many staged lines are whole in a file that could not be cut back: readers see them before
    /// they are committed, and they count if the process dies now.
    uncut: usize,
    /// Such lines were there and are not committed yet. Who has the file open may still see them,
    /// and their numbers may be used again if the process dies.
    exposed: bool,
    /// What the long-lived reader got.
    read: Vec<(Seq, u64)>,
    /// Numbers up to here were deleted.
    deleted: Seq,
    events: u64,
}

fn options() -> Options {
    Options { segment_bytes: 3000, retention_bytes: Some(4000), retention_age: None, ..calm() }
}

impl Model<'_> {
    fn new(dir: &Path) -> Model<'_> {
        let storage = FaultyStorage::new(dir);
        let (journal, _) = storage.open_journal(dir, options());
        Model {
            dir,
            storage,
            journal: Some(journal),
            reader: Reader::open(dir, 1).unwrap(),
            committed: BTreeMap::new(),
            staged: Vec::new(),
            uncut: 0,
            exposed: false,
            read: Vec::new(),
            deleted: 0,
            events: 0,
        }
    }

    fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().unwrap()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Stage { events } => {
                for _ in 0..events {
                    self.events += 1;
                    let n = self.events;
                    let seq = stage(self.journal(), n);
                    self.staged.push((seq, n));
                }
            }
            Step::Commit { free_bytes, cut_fails } => {
                self.storage.disk().free_bytes = free_bytes.map(usize::from);
                self.storage.disk().failing_cuts = usize::from(cut_fails);
                self.commit();
                if cut_fails && !self.staged.is_empty() && self.uncut == 0 {
                    let visible = read_from(self.dir, crate::OLDEST).len();
                    self.uncut = visible - self.kept().count();
                    self.exposed |= self.uncut > 0;
                }
            }
            Step::Sync { fails } => {
                self.storage.disk().failing_syncs = usize::from(fails);
                let was_sealed = self.journal().stats().sealed;
                let result = self.journal().sync();
                assert_eq!(result.is_err(), fails || was_sealed);
            }
            Step::Rotate { sync_fails, directory_sync_fails, free_bytes } => {
                self.storage.disk().free_bytes = free_bytes.map(usize::from);
                self.storage.disk().failing_syncs = usize::from(sync_fails);
                self.storage.disk().failing_directory_syncs = usize::from(directory_sync_fails);
                let ends = self.ends();
                if self.journal().rotate(&ends, &[]).is_ok() {
                    self.uncut = 0;
                }
            }
            Step::Retain { needed_back } => self.retain(Seq::from(needed_back)),
            Step::Die { written, cursor_ahead } => self.die(written, Seq::from(cursor_ahead)),
            Step::Read if self.exposed => {}
            Step::Read => {
                let read = drain(&mut self.reader);
                self.read.extend(read);
            }
        }
        self.calm_down();
        self.check();
    }

    fn calm_down(&self) {
        let mut disk = self.storage.disk();
        disk.free_bytes = None;
        (disk.failing_syncs, disk.failing_directory_syncs, disk.failing_cuts) = (0, 0, 0);
    }

    fn commit(&mut self) {
        if self.journal().commit().is_ok() {
            self.committed.extend(self.staged.drain(..));
            self.exposed = false;
        }
    }

    fn ends(&self) -> Vec<crate::LaneEnd> {
        self.committed.values().next_back().map(|n| lane_end(0, *n)).into_iter().collect()
    }

    fn retain(&mut self, needed_back: Seq) {
        let next = self.journal().stats().next_seq;
        let needed = next.saturating_sub(needed_back);
        let retained = self.journal().retain(needed, SystemTime::now()).unwrap();
        assert_eq!(retained.given_up, None);
        if let Some(last) = retained.deleted.last() {
            assert!(last.numbers.last < needed);
            self.deleted = last.numbers.last;
        }
    }

    fn die(&mut self, written: Option<u16>, cursor_ahead: Seq) {
        let journal = self.journal.take().unwrap();
        let (staged, sealed) = (journal.staged.clone(), journal.current.is_sealed());
        let (synced, next) = (journal.tail().synced(), journal.staged_first);
        drop(journal);
        if let Some(written) = written.filter(|_| !sealed) {
            let written = &staged[..staged.len().min(written.into())];
            let last = segment::list(self.dir).unwrap().pop().unwrap().path;
            let mut file = std::fs::OpenOptions::new().append(true).open(last).unwrap();
            file.write_all(written).unwrap();
            let whole = memchr::memchr_iter(b'\n', written).count();
            self.committed.extend(self.staged.drain(..whole));
        }
        self.committed.extend(self.staged.drain(..self.uncut));
        self.uncut = 0;
        self.staged.clear();
        if std::mem::take(&mut self.exposed) {
            self.reader = Reader::open(self.dir, self.reader.position()).unwrap();
        }
        // A cursor is never beyond what is synced; ahead of the journal it is after power loss.
        let floor = if cursor_ahead == 0 { synced } else { next - 1 + cursor_ahead };
        let storage = Box::new(self.storage.clone());
        let (journal, recovery) = Journal::open_with(storage, self.dir, options(), floor).unwrap();
        assert_eq!(recovery.bad_lines, 0);
        assert_eq!(recovery.ends, self.ends());
        let last = self.committed.keys().next_back().map_or(0, |last| *last);
        assert!(recovery.next_seq > last.max(floor));
        assert_eq!(journal.tail().written(), recovery.next_seq - 1);
        self.journal = Some(journal);
        if recovery.needs_rotation {
            self.journal().rotate(&recovery.ends, &[]).unwrap();
        }
    }

    /// What must hold after every step.
    fn check(&mut self) {
        let uncut = self.staged[..self.uncut].iter().copied();
        let expected: Vec<_> = self.kept().chain(uncut).collect();
        let (tail, stats) = (self.journal().tail(), self.journal().stats());
        assert_eq!(read_from(self.dir, crate::OLDEST), expected);
        assert!(tail.synced() <= tail.written());
        let segments = segment::list(self.dir).unwrap();
        assert_eq!(segments.len() as u64, stats.segments);
        let len = |it: &segment::SegmentPath| std::fs::metadata(&it.path).unwrap().len();
        assert!(segments.iter().map(len).sum::<u64>() >= stats.bytes);
        for (seq, n) in expected.iter().rev().take(3) {
            let chunk = tail.chunk(*seq);
            let line = chunk.as_ref().and_then(|it| it.lines().find(|line| line.seq == *seq));
            assert!(line.is_none_or(|line| crate::testing::n_of(line.bytes) == *n));
        }
    }

    fn kept(&self) -> impl Iterator<Item = (Seq, u64)> {
        self.committed.range(self.deleted + 1..).map(|(seq, n)| (*seq, *n))
    }

    /// Everything is accounted for once all is calm.
    fn finish(mut self) {
        if self.journal().wants_rotation() {
            let ends = self.ends();
            self.journal().rotate(&ends, &[]).unwrap();
            self.uncut = 0;
        }
        self.commit();
        assert!(self.staged.is_empty());
        self.journal().sync().unwrap();
        let tail = self.journal().tail();
        assert_eq!(tail.synced(), tail.written());
        self.check();
        self.run(&Step::Read);
        assert!(self.read.is_sorted(), "in order, none twice");
        let skipped = self.reader.take_skipped();
        let missing = |seq: Seq| {
            skipped.gaps.iter().any(|&Gap { first, last }| (first..=last).contains(&seq))
        };
        let got: BTreeMap<Seq, u64> = self.read.iter().copied().collect();
        for (seq, n) in &self.committed {
            match got.get(seq) {
                Some(read) => assert_eq!(read, n),
                None => assert!(*seq <= self.deleted && missing(*seq), "{seq} is lost"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_was_committed_is_there_whatever_happens(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::new(dir.path());
        for step in &steps {
            model.run(step);
        }
        model.finish();
    }
}
