//! Damage is found, told, and set aside without losing a byte.

use proptest::prelude::*;

use super::*;
use crate::OLDEST;
use crate::line::{LaneEnd, restamp};
use crate::segment::file_name;
use crate::testing::{damage_line, lane_end, line_range, open, pairs, read_from, stage, written};

/// Events 1 to 30 in segments that begin with 1, 11 and 21.
fn three_segments(dir: &Path) -> [PathBuf; 3] {
    let (mut journal, _) = open(dir);
    for n in 1..=30 {
        stage(&mut journal, n);
        if n % 10 == 0 {
            journal.commit().unwrap();
            if n < 30 {
                journal.rotate(&[lane_end(0, n)], &[]).unwrap();
            }
        }
    }
    journal.close().unwrap();
    [1, 11, 21].map(|first| dir.join(file_name(first)))
}

fn quiet(_done: u64, _total: u64) {}

fn ends_of(path: &Path, first: Seq) -> Vec<LaneEnd> {
    SegmentScan::open(path, first).unwrap().header().unwrap().ends.clone()
}

#[test]
fn a_whole_journal_is_whole_and_stays_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let paths = three_segments(dir.path());
    let before = paths.each_ref().map(|path| fs::read(path).unwrap());
    let mut told = Vec::new();
    let report = verify(dir.path(), |done, total| told.push((done, total))).unwrap();
    assert!(report.is_whole());
    assert_eq!(report.missing, Skipped::default());
    let figures = report.segments.iter().map(|it| (it.first_seq, it.lines, it.bad_lines));
    assert_eq!(figures.collect::<Vec<_>>(), [(1, 10, 0), (11, 10, 0), (21, 10, 0)]);
    let total: usize = before.iter().map(Vec::len).sum();
    assert_eq!(told.last(), Some(&(total as u64, total as u64)));
    assert!(told.is_sorted());
    let report = repair(dir.path(), quiet).unwrap();
    assert_eq!((report.segments, report.repaired.len()), (3, 0));
    assert_eq!(paths.map(|path| fs::read(path).unwrap()), before);
}

#[test]
fn every_bad_line_is_told_with_its_place_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let [_, path, last] = three_segments(dir.path());
    let bytes = fs::read(&path).unwrap();
    damage_line(&path, 3);
    let mut damaged = fs::read(&path).unwrap();
    let fifth = line_range(&bytes, 5);
    damaged[fifth.start..fifth.start + 8].copy_from_slice(b"garbage!");
    fs::write(&path, damaged).unwrap();
    let mut torn = fs::read(&last).unwrap();
    torn.extend_from_slice(b"{\"crc\":\"");
    fs::write(&last, torn).unwrap();
    let report = verify(dir.path(), quiet).unwrap();
    assert!(!report.is_whole());
    let [first, second, third] = &report.segments[..] else { panic!("three segments") };
    assert!(!first.is_damaged() && second.is_damaged() && third.is_damaged());
    let line = |at, why| {
        let range = line_range(&bytes, at);
        BadLineReport { offset: range.start as u64, len: range.len() as u64 + 1, why }
    };
    assert_eq!(second.bad, [line(3, BadLine::Checksum), line(5, BadLine::Form)]);
    assert_eq!((second.bad_lines, second.lines, third.torn_bytes), (2, 8, 8));
    let gap = |seq| Gap { first: seq, last: seq };
    assert_eq!(report.missing.gaps, [gap(13), gap(15)]);
}

#[test]
fn a_repair_sets_bad_bytes_aside_and_keeps_the_rest_as_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let [_, path, last] = three_segments(dir.path());
    let whole = fs::read(&path).unwrap();
    damage_line(&path, 3);
    let damaged = fs::read(&path).unwrap();
    let age = std::time::SystemTime::now() - std::time::Duration::from_secs(1 << 20);
    fs::File::options().write(true).open(&path).unwrap().set_modified(age).unwrap();
    let mut torn = fs::read(&last).unwrap();
    torn.extend_from_slice(b"{\"crc\":\"");
    fs::write(&last, torn).unwrap();
    let report = repair(dir.path(), quiet).unwrap();
    let range = line_range(&whole, 3);
    let bad = dir.path().join("00000000000000000011.bad");
    assert_eq!(report.repaired[0].bad_path, bad);
    assert_eq!(report.repaired[0].bad_bytes, range.len() as u64 + 1);
    assert_eq!(fs::read(&bad).unwrap(), damaged[range.start..=range.end]);
    assert_eq!(fs::metadata(&bad).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), age);
    let rest = [&whole[..range.start], &whole[range.end + 1..]].concat();
    assert_eq!(fs::read(&path).unwrap(), rest, "byte for byte");
    assert_eq!(fs::read(dir.path().join("00000000000000000021.bad")).unwrap(), b"{\"crc\":\"\n");
    assert!(verify(dir.path(), quiet).unwrap().is_whole());
    assert_eq!(read_from(dir.path(), 1), pairs((1..=30).filter(|n| *n != 13)));
    // Damage that comes later is appended, nothing is overwritten.
    damage_line(&path, 1);
    repair(dir.path(), quiet).unwrap();
    assert_eq!(fs::read(&bad).unwrap().iter().filter(|byte| **byte == b'\n').count(), 2);
    assert_eq!(read_from(dir.path(), 1), pairs((1..=30).filter(|n| *n != 13 && *n != 11)));
}

#[test]
fn a_damaged_first_line_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let [_, middle, last] = three_segments(dir.path());
    damage_line(&middle, 0);
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[line_range(&bytes, 1).start..]).unwrap();
    let report = verify(dir.path(), quiet).unwrap();
    let headers: Vec<HeaderState> = report.segments.iter().map(|it| it.header).collect();
    assert_eq!(headers, [HeaderState::Whole, HeaderState::Damaged, HeaderState::Damaged]);
    assert_eq!(repair(dir.path(), quiet).unwrap().repaired.len(), 2);
    assert!(verify(dir.path(), quiet).unwrap().is_whole());
    assert_eq!(read_from(dir.path(), 1), pairs(1..=30));
    assert_eq!(ends_of(&middle, 11), [lane_end(0, 10)], "as the segments before it tell");
    assert_eq!(ends_of(&last, 21), [lane_end(0, 20)]);
    let header = SegmentScan::open(&last, 21).unwrap().header().unwrap().clone();
    assert!(header.ids.contains(&crate::testing::event(b"").id), "a ring may hold it still");
    let (mut journal, recovery) = open(dir.path());
    assert_eq!((recovery.next_seq, recovery.needs_rotation), (31, false));
    assert_eq!(recovery.ends, [lane_end(0, 30)]);
    stage(&mut journal, 31);
    journal.commit().unwrap();
    assert_eq!(read_from(dir.path(), 1), pairs(1..=31));
}

#[test]
fn a_segment_of_garbage_is_emptied_into_its_bad_file() {
    let dir = tempfile::tempdir().unwrap();
    let [_, middle, _] = three_segments(dir.path());
    fs::write(&middle, "garbage\nmore").unwrap();
    let report = repair(dir.path(), quiet).unwrap();
    assert_eq!(report.repaired[0].before.header, HeaderState::Lost);
    assert_eq!(fs::read(&report.repaired[0].bad_path).unwrap(), b"garbage\nmore\n");
    assert!(verify(dir.path(), quiet).unwrap().is_whole());
    assert_eq!(read_from(dir.path(), 1), pairs((1..=10).chain(21..=30)));
}

#[test]
fn a_running_writer_is_not_repaired_but_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    stage(&mut journal, 1);
    journal.commit().unwrap();
    let error = repair(dir.path(), quiet).unwrap_err();
    assert!(matches!(error, RepairError::Locked { .. }));
    assert!(error.to_string().ends_with("is in use; stop the daemon first"));
    assert!(verify(dir.path(), quiet).unwrap().is_whole());
}

#[test]
fn a_long_list_of_bad_lines_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 3);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(std::iter::repeat_n(b'\n', 5000));
    fs::write(&path, bytes).unwrap();
    let report = verify(dir.path(), quiet).unwrap();
    assert_eq!((report.segments[0].bad.len(), report.segments[0].bad_lines), (1000, 5000));
    assert_eq!(repair(dir.path(), quiet).unwrap().repaired[0].bad_bytes, 5000);
    assert_eq!(read_from(dir.path(), 1), pairs(1..=3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_repair_keeps_every_line_that_can_be_read_and_every_other_byte(
        damage in prop::collection::vec((0usize..3, any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of((0usize..3, any::<prop::sample::Index>())),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let paths = three_segments(dir.path());
        for (segment, at, byte) in damage {
            let mut bytes = fs::read(&paths[segment]).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            fs::write(&paths[segment], bytes).unwrap();
        }
        if let Some((segment, at)) = cut {
            let mut bytes = fs::read(&paths[segment]).unwrap();
            bytes.truncate(at.index(bytes.len()));
            fs::write(&paths[segment], bytes).unwrap();
        }
        let before = read_from(dir.path(), OLDEST);
        let sizes = |report: &Report| report.segments.iter().map(|it| it.bytes).sum::<u64>();
        let verified = verify(dir.path(), quiet).unwrap();
        let report = repair(dir.path(), quiet).unwrap();
        prop_assert_eq!(read_from(dir.path(), OLDEST), before);
        let after = verify(dir.path(), quiet).unwrap();
        prop_assert!(after.is_whole());
        // Without new first lines, what left the segments is in the bad files, to the byte.
        let kept = report.repaired.iter().all(|it| it.before.header == HeaderState::Whole);
        if kept {
            let set_aside: u64 = report.repaired.iter().map(|it| it.bad_bytes).sum();
            prop_assert_eq!(sizes(&verified), sizes(&after) + set_aside);
        }
    }
}

#[test]
fn a_whole_first_line_stays_as_it_is_whatever_else_a_later_version_wrote_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 5);
    damage_line(&path, 3);
    let mut bytes = fs::read(&path).unwrap();
    let header = line_range(&bytes, 0);
    let text = std::str::from_utf8(&bytes[header.clone()]).unwrap();
    let mut later = text.replace(r#""ends":["#, r#""later":[1],"ends":["#).into_bytes();
    later.push(b'\n');
    restamp(&mut later, 0);
    bytes.splice(header.start..header.end + 1, later.iter().copied());
    fs::write(&path, &bytes).unwrap();
    assert_eq!(repair(dir.path(), quiet).unwrap().repaired[0].before.header, HeaderState::Whole);
    assert!(fs::read(&path).unwrap().starts_with(&later));
    assert_eq!(read_from(dir.path(), OLDEST), pairs([1, 2, 4, 5]));
}
