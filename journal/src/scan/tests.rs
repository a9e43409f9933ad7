//! Finding lines and numbers in whole and in damaged segments.

use proptest::prelude::*;

use super::*;
use crate::testing::{damage_line, line_range, written};

fn steps(scan: &mut SegmentScan) -> (Vec<Seq>, Vec<(u64, BadLine)>, u64) {
    let (mut lines, mut bad) = (Vec::new(), Vec::new());
    loop {
        match scan.next().unwrap() {
            Step::Line { seq, .. } => lines.push(seq),
            Step::Bad { offset, why, .. } => bad.push((offset, why)),
            Step::End { torn } => return (lines, bad, torn),
        }
    }
}

#[test]
fn a_damaged_first_line_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 50);
    damage_line(&path, 0);
    let mut scan = SegmentScan::open(&path, 1).unwrap();
    assert_eq!(scan.header(), None);
    let (lines, bad, torn) = steps(&mut scan);
    assert_eq!(lines, (1..=50).collect::<Vec<_>>());
    assert_eq!(bad, [(0, BadLine::Checksum)]);
    assert_eq!(torn, 0);
}

#[test]
fn a_missing_first_line_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 10);
    let bytes = std::fs::read(&path).unwrap();
    let first_event = line_range(&bytes, 1).start;
    // The second line is damaged, too, so the checksums are found from the third on.
    let mut bytes = bytes[first_event..].to_vec();
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (lines, bad, _) = steps(&mut SegmentScan::open(&path, 1).unwrap());
    assert_eq!(lines, (2..=10).collect::<Vec<_>>());
    assert_eq!(bad, [(0, BadLine::Checksum)]);
}

#[test]
fn nothing_is_trusted_when_too_little_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 1);
    damage_line(&path, 0);
    let mut scan = SegmentScan::open(&path, 1).unwrap();
    assert_eq!((scan.seed(), steps(&mut scan).0.len()), (None, 0));
    for content in ["", "\n", "\n\n\n", "garbage", "garbage\n", "\0\0\0\0\n\0\0"] {
        std::fs::write(&path, content).unwrap();
        let mut scan = SegmentScan::open(&path, 1).unwrap();
        let (lines, bad, torn) = steps(&mut scan);
        assert_eq!((lines.len(), bad.len()), (0, content.matches('\n').count()));
        assert_eq!(torn as usize, content.len() - content.rfind('\n').map_or(0, |at| at + 1));
    }
}

#[test]
fn a_line_of_another_segment_is_bad() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (path, foreign) = (written(one.path(), 3), written(other.path(), 4));
    let foreign = std::fs::read(foreign).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&foreign[line_range(&foreign, 4).start..]);
    let offset = bytes.len() - foreign[line_range(&foreign, 4).start..].len();
    std::fs::write(&path, bytes).unwrap();
    let (lines, bad, _) = steps(&mut SegmentScan::open(&path, 1).unwrap());
    assert_eq!(lines, [1, 2, 3]);
    assert_eq!(bad, [(offset as u64, BadLine::Checksum)]);
}

#[test]
fn a_line_that_comes_twice_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 3);
    let mut bytes = std::fs::read(&path).unwrap();
    let second = line_range(&bytes, 2);
    let copy = bytes[second.start..=second.end].to_vec();
    bytes.extend_from_slice(&copy);
    std::fs::write(&path, bytes).unwrap();
    let (lines, bad, _) = steps(&mut SegmentScan::open(&path, 1).unwrap());
    assert_eq!(lines, [1, 2, 3]);
    assert_eq!(bad.iter().map(|bad| bad.1).collect::<Vec<_>>(), [BadLine::Order]);
}

#[test]
fn the_buffer_of_a_long_line_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 2);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = line_range(&bytes, 2);
    let last = bytes.split_off(last.start);
    bytes.extend(std::iter::repeat_n(b'x', 5 << 20));
    bytes.push(b'\n');
    bytes.extend_from_slice(&last);
    std::fs::write(&path, bytes).unwrap();
    let mut scan = SegmentScan::open(&path, 1).unwrap();
    assert_eq!(steps(&mut scan).0, [1, 2]);
    assert_eq!(steps(&mut scan), (vec![], vec![], 0));
    assert!(scan.lines.buffer.capacity() <= KEPT_BUFFER_BYTES);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is damaged, the search never passes a whole line with the wanted number.
    #[test]
    fn a_search_by_halves_never_goes_too_far(
        count in 1u64..3000, wanted in 0u64..3100,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..30),
        zeroed in prop::option::of((any::<prop::sample::Index>(), 0usize..200_000)),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), count);
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((at, len)) = zeroed {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + len);
            bytes[at..end].fill(0);
        }
        std::fs::write(&path, bytes).unwrap();
        let mut scan = SegmentScan::open(&path, 1).unwrap();
        let mut all = steps(&mut scan).0;
        all.retain(|seq| *seq >= wanted);
        let mut scan = SegmentScan::open(&path, 1).unwrap();
        scan.seek(wanted).unwrap();
        let mut found = steps(&mut scan).0;
        found.retain(|seq| *seq >= wanted);
        prop_assert_eq!(found, all);
    }
}
