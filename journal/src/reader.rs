//! Reads the journal's files, from any process, also while they are written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::inspect;
use crate::line::CHECKED_AT;
use crate::scan::{SegmentScan, Step};
use crate::segment::{self, SegmentPath};
use crate::tail::{Batch, Chunk};
use crate::{OLDEST, Seq};

/// Why the journal could not be read. Damage inside a segment is no error: see [`Skipped`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The directory could not be listed.
    #[error("cannot list the journal directory {}", path.display())]
    List {
        /// The journal's directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment could not be opened or read.
    #[error("cannot read the journal segment {}", path.display())]
    Segment {
        /// The segment's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ReadError {
    pub(crate) fn list(dir: &Path, source: io::Error) -> ReadError {
        ReadError::List { path: dir.to_owned(), source }
    }

    pub(crate) fn segment(path: &Path, source: io::Error) -> ReadError {
        ReadError::Segment { path: path.to_owned(), source }
    }
}

/// Numbers that are not in the journal, both ends included.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The first missing number.
    pub first: Seq,
    /// The last missing number.
    pub last: Seq,
}

/// What a reader had to pass over. Missing numbers are events that retention deleted, damaged lines,
/// or numbers that a restart left out (those had no event).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Skipped {
    /// Lines that are damaged.
    pub bad_lines: u64,
    /// How many numbers are missing, over all gaps.
    pub missing: u64,
    /// The first gaps, at most [`GAPS_KEPT`].
    pub gaps: Vec<Gap>,
}

impl Skipped {
    pub(crate) fn add_gap(&mut self, gap: Gap) {
        self.missing += gap.last - gap.first + 1;
        if self.gaps.len() < GAPS_KEPT {
            self.gaps.push(gap);
        }
    }

    pub(crate) fn add(&mut self, other: Skipped) {
        self.bad_lines += other.bad_lines;
        self.missing += other.missing;
        self.gaps.extend(other.gaps);
        self.gaps.truncate(GAPS_KEPT);
    }
}

/// How many gaps a [`Skipped`] lists one by one; further ones are only counted.
pub const GAPS_KEPT: usize = 64;

/// A segment is opened again at most so often in one call when retention or a repair takes it away
/// at that moment; then the call has read nothing, and the next one goes on.
const REOPEN_MAX: usize = 16;

/// Follows the journal from a number on, over rotations, repairs and deletions. Belongs to one
/// thread at a time.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    /// The number wanted next; [`OLDEST`] until something was read.
    next: Seq,
    /// No line behind this number is read.
    last: Seq,
    open: Option<OpenSegment>,
    skipped: Skipped,
    identity: Identity,
    /// The length of the last batch: the next one is likely to be as long.
    usual_bytes: usize,
}

/// By what a reader notices that somebody has put another journal into the directory.
#[derive(Debug, Default)]
struct Identity {
    /// Number and fingerprint of the last line that was read.
    last: Option<(Seq, u32)>,
    /// That number stands for another event by now.
    differs: bool,
    /// The file that was read has lost its name, and nothing was read since then.
    is_file_gone: bool,
}

#[derive(Debug)]
struct OpenSegment {
    path: PathBuf,
    first: Seq,
    /// Where the next segment begins, once there is one: nothing is read from there on.
    end: Option<Seq>,
    identity: (u64, u64),
    scan: SegmentScan,
}

/// What [`Reader::fill`] did.
enum Filled {
    /// A limit was reached.
    Full,
    /// The open segment has nothing more for now.
    AtEnd,
}

impl Reader {
    /// Positions at the first event with a number of at least `from` that still exists
    /// ([`OLDEST`]: at the oldest one). An empty or missing directory is a journal without events.
    ///
    /// # Errors
    ///
    /// If the directory or a segment cannot be read.
    pub fn open(dir: &Path, from: Seq) -> Result<Reader, ReadError> {
        let (skipped, identity) = (Skipped::default(), Identity::default());
        let (dir, last, usual_bytes) = (dir.to_owned(), Seq::MAX, 0);
        let mut reader =
            Reader { dir, next: from, last, open: None, skipped, identity, usual_bytes };
        reader.advance()?;
        Ok(reader)
    }

    /// The next lines in order: at most `max_events` and `max_bytes`, but at least one line if there
    /// is one. Empty: at the end for now; ask again later.
    ///
    /// # Errors
    ///
    /// If the directory or a segment cannot be read; nothing is lost, the call may be repeated.
    pub fn next_batch(&mut self, max_events: usize, max_bytes: usize) -> Result<Batch, ReadError> {
        let usual_bytes = self.usual_bytes.min(max_bytes);
        let mut lines = Gathered { max_events, max_bytes, usual_bytes, ..Gathered::default() };
        for _ in 0..REOPEN_MAX {
            match self.fill(&mut lines) {
                Ok(Filled::AtEnd) if lines.events == 0 && self.advance()? => {}
                Err(error) if lines.events == 0 => return Err(error),
                // An error comes again behind what was read before it.
                _ => break,
            }
        }
        if let Some(line) = lines.last_line() {
            self.identity.last = Some((lines.last, fingerprint(line)));
            self.identity.is_file_gone = false;
            self.usual_bytes = lines.bytes.len();
        }
        Ok(lines.into_batch())
    }

    /// From now on reads no line behind this number: the writer may take it back.
    pub(crate) fn read_up_to(&mut self, last: Seq) {
        self.last = last;
    }

    /// Whether somebody has put another journal into the directory: a number that was read stands for
    /// another event now. What was read from it since then is not what follows.
    pub fn is_other_journal(&self) -> bool {
        self.identity.differs
    }

    /// Whether the file that was read has lost its name, and the numbers of those that are there end
    /// before what was read. That is another journal, too, if it lasts: it may be so for a moment while
    /// a writer whose files were removed begins new ones.
    ///
    /// # Errors
    ///
    /// If the directory or a segment cannot be read.
    pub fn is_beyond_end(&self) -> Result<bool, ReadError> {
        let look = || {
            Ok(inspect::is_begun(&self.dir)?
                && inspect::last_seq(&self.dir)? < self.next.saturating_sub(1))
        };
        if !self.identity.is_file_gone {
            return Ok(false);
        }
        look().or_else(|error: io::Error| match error.kind() {
            // Listed, and removed meanwhile.
            io::ErrorKind::NotFound => Ok(false),
            _ => Err(ReadError::list(&self.dir, error)),
        })
    }

    /// The number it wants next.
    pub fn position(&self) -> Seq {
        self.next
    }

    /// The last number that the open file holds, which may be deleted by now.
    pub(crate) fn last_in_open(&self) -> Option<Seq> {
        let open = self.open.as_ref()?;
        let last = inspect::last_in(open.scan.file()).ok().flatten()?;
        Some(open.end.map_or(last, |end| last.min(end - 1)))
    }

    /// What was passed over so far.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The same, and forgets it.
    pub fn take_skipped(&mut self) -> Skipped {
        std::mem::take(&mut self.skipped)
    }

    /// Gathers lines of the open segment.
    fn fill(&mut self, lines: &mut Gathered) -> Result<Filled, ReadError> {
        let Some(open) = &mut self.open else { return Ok(Filled::AtEnd) };
        loop {
            let offset = open.scan.offset();
            let step = open.scan.next().map_err(|error| ReadError::segment(&open.path, error))?;
            match step {
                Step::Line { seq, .. } if open.end.is_some_and(|end| seq >= end) => {
                    return Ok(Filled::AtEnd);
                }
                Step::Line { seq, .. } if seq < self.next => {}
                Step::Line { seq, .. } if seq > self.last => {
                    // There may be a next segment by now, and these lines come before it.
                    open.scan.back_to(offset, seq - 1);
                    return Ok(Filled::Full);
                }
                Step::Line { seq, bytes } => {
                    let line = open.scan.bytes(bytes);
                    if !lines.has_room_for(line) {
                        open.scan.back_to(offset, seq - 1);
                        return Ok(Filled::Full);
                    }
                    lines.push(seq, line);
                    if self.next != OLDEST && seq > self.next {
                        self.skipped.add_gap(Gap { first: self.next, last: seq - 1 });
                    }
                    self.next = seq + 1;
                }
                // One before the wanted position is none of ours.
                Step::Bad { .. } if open.scan.last() + 1 < self.next => {}
                Step::Bad { .. } => self.skipped.bad_lines += 1,
                Step::End { .. } => return Ok(Filled::AtEnd),
            }
        }
    }

    /// At the end of what is open: goes to the segment that holds the next number, or whose lines
    /// are the next ones. `false`: there is nothing new.
    fn advance(&mut self) -> Result<bool, ReadError> {
        let segments = segment::list(&self.dir).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(ReadError::list(&self.dir, error)),
        })?;
        let after = segments.partition_point(|segment| segment.first <= self.next);
        // The segment that holds the number, or the oldest one if the number is older.
        let holder = after.saturating_sub(1);
        let Some(segment) = segments.get(holder) else { return Ok(false) };
        let next = segments.get(holder + 1);
        let end = next.map(|next| next.first);
        if segment.first > self.next {
            self.go_to(segment.first);
        }
        let Some(open) = self.open.as_mut().filter(|open| open.first == segment.first) else {
            return self.open_segment(segment, end);
        };
        if open.is_replaced() {
            // By a rotation after a failed sync, by a repair, or cut back behind our position.
            return self.open_segment(segment, end);
        }
        if open.end != end {
            // Only now is it certain that no line is added before that number: read once more.
            open.end = end;
            return Ok(true);
        }
        match next {
            // Read to its end, and the next segment begins with a higher number.
            Some(next) => {
                let end = segments.get(holder + 2).map(|segment| segment.first);
                self.go_to(next.first);
                self.open_segment(next, end)
            }
            None => Ok(false),
        }
    }

    /// Passes over numbers that no segment holds.
    fn go_to(&mut self, seq: Seq) {
        if self.next != OLDEST {
            self.skipped.add_gap(Gap { first: self.next, last: seq - 1 });
        }
        self.next = seq;
    }

    /// `true` also if the file is gone by now: the caller asks again.
    fn open_segment(&mut self, segment: &SegmentPath, end: Option<Seq>) -> Result<bool, ReadError> {
        let before = self.open.take();
        self.identity.is_file_gone |= before.is_some_and(|before| before.has_lost_its_name());
        match OpenSegment::open(segment, end, self.next, &mut self.identity) {
            Ok(open) => self.open = Some(open),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ReadError::segment(&segment.path, error)),
        }
        Ok(true)
    }
}

impl OpenSegment {
    fn open(
        segment: &SegmentPath,
        end: Option<Seq>,
        wanted: Seq,
        known: &mut Identity,
    ) -> io::Result<OpenSegment> {
        let mut scan = SegmentScan::open(&segment.path, segment.first)?;
        let identity = scan.identity()?;
        if let Some((seq, crc)) = known.last.filter(|last| last.0 >= segment.first) {
            known.differs |= find(&mut scan, seq)?.is_some_and(|found| found != crc);
        }
        if wanted > segment.first {
            scan.seek(wanted)?;
        }
        Ok(OpenSegment { path: segment.path.clone(), first: segment.first, end, identity, scan })
    }

    /// Whether the name belongs to another file by now, or the file is shorter than what was read.
    fn is_replaced(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        match std::fs::symlink_metadata(&self.path) {
            Ok(now) => (now.dev(), now.ino()) != self.identity || now.len() < self.scan.offset(),
            // Deleted: what is open can be read to its end all the same.
            Err(_) => false,
        }
    }

    fn has_lost_its_name(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        std::fs::symlink_metadata(&self.path)
            .map_or(true, |now| (now.dev(), now.ino()) != self.identity)
    }
}

/// What a line is known by, in whichever segment it stands: all of it but its check sum.
fn fingerprint(line: &[u8]) -> u32 {
    crc32c::crc32c(&line[CHECKED_AT..])
}

/// The fingerprint of the line with this number, if a whole one stands there.
fn find(scan: &mut SegmentScan, wanted: Seq) -> io::Result<Option<u32>> {
    scan.seek(wanted)?;
    loop {
        match scan.next()? {
            Step::Line { seq, bytes } if seq == wanted => {
                return Ok(Some(fingerprint(scan.bytes(bytes))));
            }
            Step::Line { seq, .. } if seq > wanted => return Ok(None),
            Step::End { .. } => return Ok(None),
            Step::Line { .. } | Step::Bad { .. } => {}
        }
    }
}

/// Lines for a batch.
#[derive(Default)]
struct Gathered {
    max_events: usize,
    max_bytes: usize,
    /// Room that is made with the first line.
    usual_bytes: usize,
    bytes: Vec<u8>,
    events: usize,
    first: Seq,
    last: Seq,
    /// Where the last line begins.
    last_at: usize,
}

impl Gathered {
    fn has_room_for(&self, line: &[u8]) -> bool {
        let fits = self.bytes.len() + line.len() < self.max_bytes;
        self.events == 0 || self.events < self.max_events && fits
    }

    fn push(&mut self, seq: Seq, line: &[u8]) {
        if self.events == 0 {
            self.first = seq;
            self.bytes.reserve(self.usual_bytes);
        }
        self.last = seq;
        self.last_at = self.bytes.len();
        self.events += 1;
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
    }

    /// The last line, without its newline.
    fn last_line(&self) -> Option<&[u8]> {
        let line = self.bytes.get(self.last_at..)?;
        line.strip_suffix(b"\n")
    }

    fn into_batch(self) -> Batch {
        if self.events == 0 {
            return Batch::empty();
        }
        Batch::whole(Arc::new(Chunk::new(self.first, self.last, self.bytes)), self.events)
    }
}

#[cfg(test)]
mod tests;
