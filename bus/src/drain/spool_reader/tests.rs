//! Spools with failures in them.

use super::*;
use crate::atomic::{AtomicU64, Ordering};
use crate::drain::turn::Due;
use crate::drain::{Drain, Options};
use crate::place::Places;
use crate::record::RecordHeader;
use crate::record::kind;
use crate::spool::{self, DEFAULT_LIMIT_BYTES, Spooled, Usage};
use crate::sys::Open;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn write(dir: &Path, name: &str, age_s: u64) {
    let file = File::create(dir.join(name)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
}

fn reader(dir: &Path) -> SpoolReader {
    let path = crate::place::Path::new().join(dir.as_os_str().as_encoded_bytes()).unwrap();
    let dir = sys::open(None, path.as_c_str(), Open::Dir).unwrap();
    SpoolReader::new(dir, sys::effective_uid(), DEFAULT_LIMIT_BYTES)
}

fn names(dir: &Path, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

#[test]
fn only_temporary_files_without_a_living_writer_are_removed() {
    let temp = tempfile::tempdir().unwrap();
    write(temp.path(), ".tmp-old", 3700);
    write(temp.path(), ".tmp-young", 3500);
    write(temp.path(), "somebody's", 3700);
    reader(temp.path());
    assert_eq!(names(temp.path(), ""), [".tmp-young", "somebody's", "usage"]);
}

#[test]
fn the_newest_damaged_entries_are_kept() {
    let temp = tempfile::tempdir().unwrap();
    for age in 0..20 {
        write(temp.path(), &format!(".bad-{age:02}"), 100 + age);
    }
    let mut reader = reader(temp.path());
    let kept: Vec<_> = (0..16).map(|age| format!(".bad-{age:02}")).collect();
    assert_eq!(names(temp.path(), ".bad-"), kept);
    let name = Entry { stamp_ns: 7, id: [1; 16] }.text();
    write(temp.path(), &name, 0);
    let (mut batch, mut counts) = (Batch::default(), Counts::default());
    reader.list(&Journaled::default(), true, 1, &mut counts);
    assert_eq!(reader.peek(8).map(|turn| turn.stamp_ns), Some(7));
    reader.take(8, &mut batch, &mut counts);
    assert_eq!((batch.len(), counts.bad_spool_entries), (0, 1));
    let mut expected = kept[..15].to_vec();
    expected.push(format!(".bad-{name}"));
    expected.sort();
    assert_eq!(names(temp.path(), ".bad-"), expected);
}

/// A place with a spool, and its reader.
struct Bed {
    temp: tempfile::TempDir,
    reader: SpoolReader,
    usage: Usage,
    batch: Batch,
    counts: Counts,
}

impl Bed {
    fn new() -> Bed {
        let temp = tempfile::tempdir().unwrap();
        fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let uid = sys::effective_uid();
        let dir = spool::open(&fd(temp.path()), uid).unwrap();
        let usage = Usage::open(&dir, uid).unwrap();
        let mut reader = SpoolReader::new(dir, uid, DEFAULT_LIMIT_BYTES);
        let (batch, mut counts) = (Batch::default(), Counts::default());
        // Nobody counts in an earlier file any more.
        (0..2).for_each(|_| reader.look_after(&mut counts));
        Bed { temp, reader, usage, batch, counts }
    }

    fn place(&self) -> Fd {
        fd(self.temp.path())
    }

    fn path(&self, entry: Entry) -> std::path::PathBuf {
        self.temp.path().join("spool").join(entry.text())
    }

    /// A forced look is that of another second.
    fn look(&mut self, journaled: &Journaled, is_forced: bool) -> Vec<u64> {
        if is_forced {
            self.reader.look_after(&mut self.counts);
        }
        self.reader.list(journaled, is_forced, sys::boottime_ns(), &mut self.counts);
        self.reader.waiting.iter().map(|entry| entry.stamp_ns).collect()
    }

    /// Gives out everything that is listed, at this time.
    fn take_all(&mut self, now_ns: u64) -> usize {
        let before = self.batch.len();
        while self.reader.peek(now_ns).is_some_and(|turn| turn.due != Due::Fresh) {
            self.reader.take(now_ns, &mut self.batch, &mut self.counts);
        }
        self.batch.len() - before
    }

    fn used_bytes(&self) -> &AtomicU64 {
        self.usage.used_bytes()
    }
}

fn fd(path: &Path) -> Fd {
    let path = crate::place::Path::new().join(path.as_os_str().as_encoded_bytes()).unwrap();
    sys::open(None, path.as_c_str(), Open::Dir).unwrap()
}

fn header(stamp_ns: u64) -> RecordHeader {
    let id = [stamp_ns as u8; 16];
    RecordHeader { stamp_ns, id, kind: kind::DATA, ..RecordHeader::default() }
}

fn store(place: &Fd, stamp_ns: u64) -> Entry {
    let (uid, crc) = (sys::effective_uid(), Crc32c::portable());
    let stored = spool::store(place, uid, header(stamp_ns), b"", b"", crc);
    assert_eq!(stored, Ok(Spooled::Stored));
    Entry { stamp_ns, id: header(stamp_ns).id }
}

fn nothing() -> Journaled {
    Journaled::default()
}

/// Puts something in an entry's place that cannot be unlinked; undone, the entry is back.
fn make_stuck(path: &Path) -> impl FnOnce() + use<> {
    let (path, bytes) = (path.to_owned(), fs::read(path).unwrap());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    move || {
        fs::remove_dir(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
}

#[test]
fn what_was_given_out_and_cannot_be_unlinked_stays_known_until_it_is_gone() {
    let mut bed = Bed::new();
    let entries = [5, 6].map(|stamp| store(&bed.place(), stamp));
    bed.look(&nothing(), false);
    assert_eq!(bed.take_all(9), 2);
    let undo = entries.map(|entry| make_stuck(&bed.path(entry)));
    bed.reader.release();
    for _ in 0..3 {
        assert_eq!(bed.look(&nothing(), true), []);
        assert_eq!(Vec::from_iter(bed.reader.stuck()), entries.map(|entry| entry.id));
        assert!(!bed.reader.has_entries(true));
    }
    undo.into_iter().for_each(|undo| undo());
    // Another who removes one is as good.
    fs::remove_file(bed.path(entries[0])).unwrap();
    assert_eq!(bed.look(&nothing(), true), []);
    assert_eq!((bed.reader.stuck().len(), bed.counts.journaled_spool_entries), (0, 1));
    assert!(!bed.path(entries[1]).exists());
}

#[test]
fn entries_that_the_journal_has_are_unlinked_unread_and_counted_out() {
    let mut bed = Bed::new();
    let [known, stuck] = [5, 6].map(|stamp| store(&bed.place(), stamp));
    store(&bed.place(), 7);
    let undo = make_stuck(&bed.path(stuck));
    let journaled = Journaled::new(vec![stuck.id, known.id]);
    assert_eq!(bed.look(&journaled, false), [7]);
    assert_eq!(Vec::from_iter(bed.reader.stuck()), [stuck.id]);
    assert!(!bed.path(known).exists());
    assert_eq!(bed.used_bytes().load(Ordering::Relaxed), 128);
    undo();
    assert_eq!(bed.look(&journaled, true), [7]);
    assert_eq!((bed.reader.stuck().len(), bed.counts.journaled_spool_entries), (0, 2));
    // A producer without ids has this one in all of its records.
    let mut anonymous = header(8);
    anonymous.id = [0; 16];
    let (uid, crc) = (sys::effective_uid(), Crc32c::portable());
    spool::store(&bed.place(), uid, anonymous, b"", b"", crc).unwrap();
    assert_eq!(bed.look(&Journaled::new(vec![[0; 16]]), false), [7, 8]);
}

#[test]
fn what_was_unlinked_is_synced_once_however_it_went() {
    let mut bed = Bed::new();
    let [given, journaled] = [5, 6].map(|stamp| store(&bed.place(), stamp));
    // Another reader may have died before it did that.
    assert!(bed.reader.has_unlinked);
    bed.reader.sync_unlinked().unwrap();
    assert!(!bed.reader.has_unlinked);
    bed.look(&Journaled::new(vec![journaled.id]), false);
    assert!(bed.reader.has_unlinked);
    bed.reader.sync_unlinked().unwrap();
    assert!(!bed.reader.has_unlinked);
    assert_eq!(bed.take_all(9), 1);
    assert!(!bed.reader.has_unlinked && bed.path(given).exists());
    bed.reader.release();
    assert!(bed.reader.has_unlinked);
    // What cannot be synced stays to be.
    let nothing = sys::open(None, c"/dev/null", Open::Read).unwrap();
    let dir = std::mem::replace(&mut bed.reader.dir, nothing);
    bed.reader.sync_unlinked().unwrap_err();
    bed.reader.dir = dir;
    assert!(bed.reader.has_unlinked);
    bed.reader.sync_unlinked().unwrap();
    assert!(!bed.reader.has_unlinked);
}

#[test]
fn nothing_more_is_given_out_while_too_much_is_stuck() {
    let mut bed = Bed::new();
    let stuck = (0..MAX_STUCK as u64).map(|stamp_ns| Entry { stamp_ns, id: [1; 16] });
    bed.reader.stuck = stuck.collect();
    store(&bed.place(), 5);
    (bed.reader.is_cut, bed.reader.waiting) = (true, [Entry { stamp_ns: 4, id: [4; 16] }].into());
    // Nor do the lanes wait for it.
    assert_eq!(bed.reader.list(&nothing(), false, sys::boottime_ns(), &mut bed.counts), u64::MAX);
    assert_eq!((bed.reader.peek(9), bed.reader.has_entries(true)), (None, false));
    // They are all gone.
    assert_eq!(bed.look(&nothing(), true), [5]);
    assert_eq!(bed.take_all(9), 1);
}

#[test]
fn without_counted_entries_only_a_forced_look_lists() {
    let mut bed = Bed::new();
    assert_eq!(bed.look(&nothing(), false), []);
    spool::store_uncounted(&bed.place(), sys::effective_uid(), header(5), b"", b"").unwrap();
    assert_eq!((bed.look(&nothing(), false), bed.reader.has_entries(false)), (vec![], false));
    assert!(bed.reader.has_entries(true));
    assert_eq!(bed.look(&nothing(), true), [5]);
    assert_eq!(bed.take_all(9), 1);
    bed.reader.release();
    store(&bed.place(), 6);
    assert!(bed.reader.has_entries(false));
    assert_eq!(bed.look(&nothing(), false), [6]);
    // What still waits is work.
    assert!(bed.reader.has_entries(false));
    assert_eq!(bed.look(&nothing(), false), [6]);
}

#[test]
fn a_writer_that_dies_behind_its_link_is_seen_at_once() {
    let mut bed = Bed::new();
    assert_eq!(bed.look(&nothing(), true), []);
    bed.usage.begun_stores().fetch_add(1, Ordering::Relaxed);
    assert_eq!(bed.look(&nothing(), false), []);
    spool::store_uncounted(&bed.place(), sys::effective_uid(), header(5), b"", b"").unwrap();
    assert!(bed.reader.has_entries(false));
    assert_eq!(bed.look(&nothing(), false), [5]);
    assert_eq!(bed.take_all(9), 1);
    bed.reader.release();
    // Dead for so long: the directory is left in peace again, and others are seen as before.
    assert_eq!(bed.look(&nothing(), true), []);
    assert_eq!(bed.look(&nothing(), true), []);
    spool::store_uncounted(&bed.place(), sys::effective_uid(), header(6), b"", b"").unwrap();
    assert_eq!(bed.look(&nothing(), false), []);
    store(&bed.place(), 7);
    assert_eq!(bed.look(&nothing(), false), [6, 7]);
}

#[test]
fn a_writer_that_dies_behind_its_link_is_seen_though_one_taken_for_dead_goes_on() {
    let mut bed = Bed::new();
    let count = |word: &AtomicU64| word.fetch_add(1, Ordering::Relaxed);
    count(bed.usage.begun_stores());
    // Stands still for so long that it is taken for dead; then another comes to the same point.
    (0..2).for_each(|_| assert_eq!(bed.look(&nothing(), true), []));
    count(bed.usage.begun_stores());
    count(bed.usage.ended_stores());
    assert_eq!(bed.look(&nothing(), false), []);
    spool::store_uncounted(&bed.place(), sys::effective_uid(), header(5), b"", b"").unwrap();
    assert!(bed.reader.has_entries(false));
    assert_eq!(bed.look(&nothing(), false), [5]);
}

#[test]
fn a_writer_whose_bytes_were_taken_for_a_dead_ones_is_seen_at_once() {
    let mut bed = Bed::new();
    assert_eq!(bed.look(&nothing(), true), []);
    store(&bed.place(), 5);
    bed.used_bytes().store(0, Ordering::Relaxed);
    assert!(bed.reader.has_entries(false));
    assert_eq!(bed.look(&nothing(), false), [5]);
}

#[test]
fn a_count_beyond_the_entries_is_mended_unless_a_writer_is_at_work() {
    let mut bed = Bed::new();
    let look_with = |bed: &mut Bed, used_bytes| {
        bed.used_bytes().store(used_bytes, Ordering::Relaxed);
        bed.look(&nothing(), true);
        bed.used_bytes().load(Ordering::Relaxed)
    };
    let looks = [100, 200, 200, 0, 200].map(|used_bytes| look_with(&mut bed, used_bytes));
    assert_eq!(looks, [100, 200, 0, 0, 200]);
    let noise = u64::MAX - 7;
    let entry = store(&bed.place(), 5);
    let looks = [164, 164, noise, noise, 64].map(|used_bytes| look_with(&mut bed, used_bytes));
    assert_eq!(looks, [164, 64, noise, 64, 64]);
    fs::remove_file(bed.path(entry)).unwrap();
    let looks = [64, 64].map(|used_bytes| look_with(&mut bed, used_bytes));
    assert_eq!(looks, [64, 0]);
    assert_eq!(bed.counts.mended_spool_counters, 4);
}

#[test]
fn a_count_below_that_of_the_entries_is_mended_at_once() {
    let mut bed = Bed::new();
    for stamp in 1..=3 {
        store(&bed.place(), stamp);
    }
    bed.used_bytes().store(65, Ordering::Relaxed);
    assert_eq!(bed.look(&nothing(), true), [1, 2, 3]);
    assert_eq!(bed.used_bytes().load(Ordering::Relaxed), 192);
    // What was given out is in the directory until it is released.
    assert_eq!(bed.take_all(9), 3);
    bed.used_bytes().store(0, Ordering::Relaxed);
    bed.look(&nothing(), true);
    assert_eq!(bed.used_bytes().load(Ordering::Relaxed), 192);
    bed.reader.release();
    assert_eq!(bed.used_bytes().load(Ordering::Relaxed), 0);
    assert_eq!(bed.counts.mended_spool_counters, 2);
}

#[test]
fn the_bytes_of_many_entries_are_counted_if_what_hooks_counted_cannot_be() {
    let mut bed = Bed::new();
    let count = 1 + MAX_COUNTED as u64;
    for stamp in 1..=count {
        store(&bed.place(), stamp);
    }
    let right = 64 * count;
    let noise = DEFAULT_LIMIT_BYTES + 1;
    for (counted, after) in
        [(right - 1, right), (noise, noise), (noise, right), (right + 1, right + 1)]
    {
        bed.used_bytes().store(counted, Ordering::Relaxed);
        bed.look(&nothing(), true);
        assert_eq!(bed.used_bytes().load(Ordering::Relaxed), after, "{counted}");
    }
}

#[test]
fn noise_over_the_limit_and_the_dropped_is_set_right() {
    let mut bed = Bed::new();
    bed.usage.count_dropped(100);
    bed.look(&nothing(), true);
    for noise in [1, 0, u64::MAX] {
        bed.usage.limit_bytes().store(noise, Ordering::Relaxed);
        bed.look(&nothing(), true);
        assert_eq!(bed.usage.limit_bytes().load(Ordering::Relaxed), DEFAULT_LIMIT_BYTES);
    }
    for noise in [0, 1 << 60] {
        bed.usage.dropped_events().store(noise, Ordering::Relaxed);
        assert_eq!(bed.reader.dropped_events(), 1);
        bed.look(&nothing(), true);
        bed.usage.count_dropped(100);
        assert_eq!(
            (bed.usage.dropped_events().load(Ordering::Relaxed), bed.reader.dropped_events()),
            (2, 2)
        );
        bed.usage.dropped_events().store(1, Ordering::Relaxed);
    }
    assert_eq!(bed.counts.mended_spool_counters, 5);
}

#[test]
fn entries_that_are_somebody_elses_wait_aside_until_they_are_ours() {
    let mut bed = Bed::new();
    let uid = sys::effective_uid();
    let entries = [5, 6, 7].map(|stamp| store(&bed.place(), stamp));
    // As another user would find them, with an entry of his own behind them.
    bed.reader.uid = uid + 1;
    assert_eq!(bed.look(&nothing(), true), [5, 6, 7]);
    assert_eq!(bed.take_all(9), 0);
    assert_eq!((bed.reader.unreadable(), bed.reader.waiting()), (3, 0));
    assert_eq!(bed.used_bytes().load(Ordering::Relaxed), 0);
    assert_eq!(bed.look(&nothing(), true), []);
    assert_eq!(bed.reader.unreadable(), 3);
    assert_eq!(bed.counts.bad_spool_entries, 0);
    let aside = names(&bed.temp.path().join("spool"), ".unreadable-");
    assert_eq!(aside, entries.map(|entry| format!(".unreadable-{}", entry.text())));
    // A name that something has is not taken from it.
    fs::create_dir(bed.path(entries[2])).unwrap();
    bed.reader.uid = uid;
    assert_eq!(bed.look(&nothing(), true), [5, 6, 7]);
    assert_eq!((bed.take_all(9), bed.reader.unreadable()), (2, 1));
    assert_eq!(bed.used_bytes().load(Ordering::Relaxed), 128);
    bed.reader.release();
    // A new reader tries all of them.
    let dir = spool::open(&bed.place(), uid).unwrap();
    bed.reader = SpoolReader::new(dir, uid, DEFAULT_LIMIT_BYTES);
    assert_eq!(bed.look(&nothing(), true), [7]);
    assert_eq!((bed.take_all(9), bed.reader.unreadable()), (1, 0));
}

#[test]
fn an_entry_of_ours_with_another_mode_is_read() {
    let mut bed = Bed::new();
    for (stamp, mode) in [(5, 0o000), (6, 0o200), (7, 0o644)] {
        let entry = store(&bed.place(), stamp);
        fs::set_permissions(bed.path(entry), PermissionsExt::from_mode(mode)).unwrap();
    }
    assert_eq!(bed.look(&nothing(), false), [5, 6, 7]);
    assert_eq!(bed.take_all(9), 3);
}

#[test]
fn a_stamp_from_the_future_waits_one_round_and_is_clamped_then() {
    let mut bed = Bed::new();
    let [soon, future] = [7, 20].map(|stamp| store(&bed.place(), stamp));
    for (now_ns, given, clamped) in [(6, 0, 0), (8, 2, 1)] {
        bed.look(&nothing(), false);
        assert_eq!(bed.take_all(now_ns), given);
        // A batch may have been full: the same round goes on.
        assert_eq!(bed.take_all(now_ns), 0);
        assert_eq!(bed.counts.clamped_stamps, clamped);
    }
    let stamps: Vec<_> = bed.batch.records().map(|record| record.stamp_ns).collect();
    assert_eq!(stamps, [7, 8]);
    bed.reader.release();
    assert!(!bed.path(soon).exists() && !bed.path(future).exists());
}

#[test]
fn more_entries_than_a_listing_keeps_come_out_in_order_with_the_ring() {
    let bed = Bed::new();
    let places = Places::new(Some(bed.temp.path().as_os_str().as_bytes()), sys::effective_uid());
    let mut drain = Drain::open(&places, Options::default()).unwrap();
    let file = sys::open(Some(&bed.place()), crate::place::RING, Open::ReadWrite).unwrap();
    let mut lane =
        crate::owned::OwnedLane::claim(file, sys::effective_uid(), Some(Crc32c::portable()))
            .unwrap();
    let count = 3 * MAX_LISTED as u64;
    for stamp in (0..count).map(|at| 1 + at * 7 % count) {
        if stamp % 5 == 0 {
            continue;
        }
        store(&bed.place(), stamp);
    }
    for stamp in (1..=count).filter(|stamp| stamp % 5 == 0) {
        lane.put(&header(stamp), b"", b"").unwrap();
        lane.publish();
    }
    let (mut stamps, mut rounds, begin_ns) = (Vec::new(), 0, sys::boottime_ns());
    drain.look_into_spools();
    while !drain.is_done_until(begin_ns) {
        rounds += 1;
        assert!(rounds < 100_000, "the entries never come to an end: {} are out", stamps.len());
        let batch = drain.next_batch();
        stamps.extend(batch.records().map(|record| record.stamp_ns));
        drain.release();
    }
    assert_eq!(stamps, Vec::from_iter(1..=count));
}

#[test]
fn while_hooks_may_count_in_an_earlier_file_every_look_lists() {
    let mut bed = Bed::new();
    fs::remove_file(bed.temp.path().join("spool/usage")).unwrap();
    let uid = sys::effective_uid();
    let dir = spool::open(&bed.place(), uid).unwrap();
    bed.reader = SpoolReader::new(dir, uid, DEFAULT_LIMIT_BYTES);
    assert_eq!(bed.look(&nothing(), false), []);
    spool::store_uncounted(&bed.place(), uid, header(5), b"", b"").unwrap();
    assert_eq!(bed.look(&nothing(), false), [5]);
    (0..2).for_each(|_| bed.reader.look_after(&mut bed.counts));
    spool::store_uncounted(&bed.place(), uid, header(6), b"", b"").unwrap();
    assert_eq!(bed.look(&nothing(), false), [5]);
}
