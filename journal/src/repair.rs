//! Looks for damage in a whole journal, and sets it aside.

mod rewrite;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::rewrite::rewrite;
use crate::Seq;
use crate::line::{BadLine, Line, Origin};
use crate::reader::{Gap, ReadError, Skipped};
use crate::recovery::{Ends, known_id};
use crate::scan::{SegmentScan, Step};
use crate::segment::{self, Header, SegmentPath};
use crate::storage::{RealStorage, Storage, WriterLock};

/// How many damaged lines a [`SegmentReport`] lists one by one; further ones are only counted.
pub const BAD_LINES_LISTED_MAX: usize = 1000;

/// Progress is told each time this much was read.
const PROGRESS_BYTES: u64 = 1 << 20;

/// A first line that is written anew names at most so many ids of events before it, the newest ones:
/// which of them still stood in a spool or a ring, only the lost line said.
const IDS_MAX: usize = 16 * 1024;

/// What [`verify`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Every segment, in order.
    pub segments: Vec<SegmentReport>,
    /// Numbers missing between the first and the last line. (A restart may leave numbers out; a
    /// missing number is then no lost event.)
    pub missing: Skipped,
}

impl Report {
    /// Whether no segment is damaged.
    pub fn is_whole(&self) -> bool {
        self.segments.iter().all(|segment| !segment.is_damaged())
    }
}

/// One segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentReport {
    /// Its file.
    pub path: PathBuf,
    /// The number in its name.
    pub first_seq: Seq,
    /// Its length.
    pub bytes: u64,
    /// Whole lines, without the first one.
    pub lines: u64,
    /// Whole lines that the next segment has, too: they were written again there.
    pub superseded_lines: u64,
    /// The first line.
    pub header: HeaderState,
    /// The first [`BAD_LINES_LISTED_MAX`] damaged lines.
    pub bad: Vec<BadLineReport>,
    /// All damaged lines, a damaged first line included.
    pub bad_lines: u64,
    /// Bytes after the last newline. In the last segment of a running daemon, a line that is just
    /// being written.
    pub torn_bytes: u64,
}

impl SegmentReport {
    /// Whether [`repair`] would rewrite it.
    pub fn is_damaged(&self) -> bool {
        self.bad_lines > 0 || self.torn_bytes > 0 || self.header != HeaderState::Whole
    }
}

/// A segment's first line, which names what its lines are checked with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum HeaderState {
    /// As it was written.
    Whole,
    /// Damaged or missing; the lines could be checked all the same.
    Damaged,
    /// Damaged or missing, and too few lines are whole to do without it: all lines count as bad.
    Lost,
}

/// One damaged line.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BadLineReport {
    /// Where in the file it begins.
    pub offset: u64,
    /// Its length with the newline.
    pub len: u64,
    /// What is wrong with it.
    pub why: BadLine,
}

/// Reads and checks every line, also while a daemon writes. Changes nothing.
///
/// `progress` gets the bytes read and the bytes to read, now and then.
///
/// # Errors
///
/// If a file cannot be read. Damage is what the report is for.
pub fn verify(dir: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Report, ReadError> {
    let segments = segment::list(dir).map_err(|source| ReadError::list(dir, source))?;
    let mut inspector = Inspector::new(&segments);
    let mut report = Report::default();
    for (at, segment) in segments.iter().enumerate() {
        let end = segments.get(at + 1).map(|next| next.first);
        let inspected = inspector.inspect(segment, end, &mut progress);
        report.segments.push(inspected.map_err(|error| ReadError::segment(&segment.path, error))?);
    }
    report.missing = inspector.missing;
    Ok(report)
}

/// Why a journal could not be repaired. What was repaired before stays so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// A daemon or another repair has it.
    #[error("the journal in {} is in use; stop the daemon first", path.display())]
    Locked {
        /// The journal's directory.
        path: PathBuf,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A repaired segment could not be written. The damaged one is still there.
    #[error("cannot rewrite the journal segment {}; free some space or check the disk", path.display())]
    Write {
        /// The segment's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What [`repair`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RepairReport {
    /// Segments looked at.
    pub segments: u64,
    /// Segments that were damaged and are rewritten.
    pub repaired: Vec<RepairedSegment>,
}

/// A segment that was rewritten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RepairedSegment {
    /// As it was before.
    pub before: SegmentReport,
    /// Where the bytes went that were none of its lines; they are appended to what is there.
    pub bad_path: PathBuf,
    /// How many bytes that are.
    pub bad_bytes: u64,
}

/// Rewrites every damaged segment with its whole lines. Damaged lines, and bytes after the last
/// newline, go to `<first number>.bad` beside it: nothing is destroyed.
///
/// # Errors
///
/// If another process writes the journal, or a file cannot be read or written.
pub fn repair(dir: &Path, progress: impl FnMut(u64, u64)) -> Result<RepairReport, RepairError> {
    repair_with(&RealStorage::new(dir), dir, progress)
}

/// As [`repair`], on a storage that works in `dir`.
fn repair_with(
    storage: &dyn Storage,
    dir: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<RepairReport, RepairError> {
    let lock = WriterLock::take(dir).map_err(|source| ReadError::list(dir, source))?;
    let _lock = lock.ok_or_else(|| RepairError::Locked { path: dir.to_owned() })?;
    let segments = segment::list(dir).map_err(|source| ReadError::list(dir, source))?;
    let mut inspector = Inspector::new(&segments);
    let mut report = RepairReport::default();
    for (at, segment) in segments.iter().enumerate() {
        let end = segments.get(at + 1).map(|next| next.first);
        let before_it = inspector.header();
        let before = inspector.inspect(segment, end, &mut progress);
        let before = before.map_err(|error| ReadError::segment(&segment.path, error))?;
        report.segments += 1;
        if before.is_damaged() {
            let repaired = rewrite(storage, segment, before, before_it);
            report.repaired.push(
                repaired
                    .map_err(|source| RepairError::Write { path: segment.path.clone(), source })?,
            );
        }
    }
    Ok(report)
}

/// Goes through all segments in order.
struct Inspector {
    total_bytes: u64,
    done_bytes: u64,
    /// The number expected next.
    expected: Option<Seq>,
    missing: Skipped,
    /// Up to where the ring is in the segments inspected so far.
    ends: Ends,
    /// Ids that a restart at the end of the segments inspected so far would know.
    ids: Vec<[u8; 16]>,
}

impl Inspector {
    /// A first line for the next segment.
    fn header(&self) -> Header {
        let left_out = self.ids.len().saturating_sub(IDS_MAX);
        Header::new(&self.ends.to_vec(), &self.ids[left_out..])
    }

    fn new(segments: &[SegmentPath]) -> Inspector {
        let len = |segment: &SegmentPath| fs::metadata(&segment.path).map_or(0, |it| it.len());
        Inspector {
            total_bytes: segments.iter().map(len).sum(),
            done_bytes: 0,
            expected: None,
            missing: Skipped::default(),
            ends: Ends::default(),
            ids: Vec::new(),
        }
    }

    fn inspect(
        &mut self,
        segment: &SegmentPath,
        end: Option<Seq>,
        progress: &mut impl FnMut(u64, u64),
    ) -> io::Result<SegmentReport> {
        let mut scan = SegmentScan::open(&segment.path, segment.first)?;
        let mut report = SegmentReport {
            path: segment.path.clone(),
            first_seq: segment.first,
            bytes: 0,
            lines: 0,
            superseded_lines: 0,
            header: match (scan.header(), scan.seed()) {
                (Some(_), _) => HeaderState::Whole,
                (None, Some(_)) => HeaderState::Damaged,
                (None, None) => HeaderState::Lost,
            },
            bad: Vec::new(),
            bad_lines: 0,
            torn_bytes: 0,
        };
        if let Some(header) = scan.header() {
            header.ends.iter().for_each(|end| self.ends.note(end));
            self.ids.clone_from(&header.ids);
        }
        self.expect(segment.first);
        let mut told = 0;
        loop {
            if scan.offset() - told >= PROGRESS_BYTES {
                told = scan.offset();
                progress(self.done_bytes + told, self.total_bytes.max(self.done_bytes + told));
            }
            match scan.next()? {
                Step::Line { seq, .. } if end.is_some_and(|end| seq >= end) => {
                    report.lines += 1;
                    report.superseded_lines += 1;
                }
                Step::Line { seq, bytes } => {
                    report.lines += 1;
                    self.expect(seq);
                    self.expected = Some(seq + 1);
                    self.note_origin(Line { seq, bytes: scan.bytes(bytes) });
                }
                Step::Bad { offset, len, why, .. } => {
                    report.bad_lines += 1;
                    if report.bad.len() < BAD_LINES_LISTED_MAX {
                        report.bad.push(BadLineReport { offset, len, why });
                    }
                }
                Step::End { torn } => {
                    report.torn_bytes = torn;
                    break;
                }
            }
        }
        report.bytes = scan.offset() + report.torn_bytes;
        self.done_bytes += report.bytes;
        progress(self.done_bytes, self.total_bytes.max(self.done_bytes));
        Ok(report)
    }

    fn note_origin(&mut self, line: Line<'_>) {
        if let Some(Origin::Ring(end)) = line.origin() {
            self.ends.note(&end);
        }
        self.ids.extend(known_id(line));
    }

    /// Notes what is missing before `seq`.
    fn expect(&mut self, seq: Seq) {
        if let Some(expected) = self.expected.filter(|&expected| expected < seq) {
            self.missing.add_gap(Gap { first: expected, last: seq - 1 });
        }
        self.expected = self.expected.max(Some(seq));
    }
}

#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;
