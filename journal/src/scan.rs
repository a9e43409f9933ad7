//! Goes through a segment's file line by line, checks each line, and finds a number in it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::Seq;
use crate::line::{self, BadLine};
use crate::seed;
use crate::segment::{Header, MAX_LINE_BYTES};
use crate::storage::open_read;

/// What is read from the file at once; the buffer grows for a longer line and shrinks after it.
const READ_BYTES: usize = 256 << 10;

/// A buffer larger than this is given back once its long line is done.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// A search by halves stops at a stretch of this length; the rest is gone through line by line.
const SEARCH_BYTES: u64 = 64 << 10;

/// A segment's lines.
#[derive(Debug)]
pub(crate) struct SegmentScan {
    lines: LineScan,
    first: Seq,
    header: Option<Header>,
    /// What the lines' checksums continue from; `None` if the first line is damaged and there are
    /// not two others from which it could be found out.
    seed: Option<u32>,
    /// The first line: where it ends, and what it holds if it is damaged.
    header_end: u64,
    last: Seq,
}

/// One step through a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// A whole line, newline excluded; see [`SegmentScan::bytes`].
    Line { seq: Seq, bytes: Range<usize> },
    /// A line that is none of this segment's. (One that is too long for any buffer has no bytes.)
    Bad { offset: u64, len: u64, why: BadLine, bytes: Range<usize> },
    /// The end of the file for now, and how many bytes stand there without a newline. Asked again,
    /// the scan reads from the last newline on.
    End { torn: u64 },
}

impl SegmentScan {
    /// The file that is read, whatever its name is by now.
    pub(crate) fn file(&self) -> &File {
        &self.lines.file
    }

    /// From now on reads another file.
    #[cfg(test)]
    pub(crate) fn read_from(&mut self, file: File) {
        self.lines.file = file;
    }

    /// Opens a segment and reads its first line.
    pub(crate) fn open(path: &Path, first: Seq) -> io::Result<SegmentScan> {
        let mut scan = SegmentScan {
            lines: LineScan::new(open_read(path)?),
            first,
            header: None,
            seed: None,
            header_end: 0,
            last: first - 1,
        };
        if let RawStep::Line(bytes) = scan.lines.next()? {
            scan.header = Header::parse(scan.lines.bytes(bytes), first);
        }
        match &scan.header {
            Some(header) => {
                scan.seed = Some(header.seed());
                scan.header_end = scan.lines.offset();
            }
            None => {
                scan.seed = scan.find_seed()?;
                scan.lines.seek(0);
            }
        }
        Ok(scan)
    }

    /// The first line, if it is whole.
    pub(crate) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The same as it stands in the file, with its newline.
    pub(crate) fn header_line(&self) -> io::Result<Option<Vec<u8>>> {
        if self.header.is_none() {
            return Ok(None);
        }
        let mut line = vec![0; self.header_end as usize];
        self.lines.file.read_exact_at(&mut line, 0)?;
        Ok(Some(line))
    }

    /// Whether the file's lines can be checked at all.
    pub(crate) fn seed(&self) -> Option<u32> {
        self.seed
    }

    /// Device and inode, to notice that the name belongs to another file by now.
    pub(crate) fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = self.lines.file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// The next line. A damaged first line comes as a bad line, a whole one does not come.
    pub(crate) fn next(&mut self) -> io::Result<Step> {
        let offset = self.lines.offset();
        Ok(match self.lines.next()? {
            RawStep::Line(bytes) => match self.check(&bytes) {
                Ok(seq) => {
                    self.last = seq;
                    Step::Line { seq, bytes }
                }
                Err(why) => Step::Bad { offset, len: bytes.len() as u64 + 1, why, bytes },
            },
            RawStep::TooLong(len) => Step::Bad { offset, len, why: BadLine::Length, bytes: 0..0 },
            RawStep::End { torn } => Step::End { torn },
        })
    }

    /// Puts the last line back: [`Self::next`] gives it once more. `offset` is where it began.
    pub(crate) fn back_to(&mut self, offset: u64, before: Seq) {
        self.lines.seek(offset);
        self.last = before;
    }

    /// Bytes of the last step; valid until the next one.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.lines.bytes(range)
    }

    /// The number of the last whole line that was passed.
    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    /// Where the next line begins.
    pub(crate) fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// The file's length now.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.lines.file.metadata()?.len())
    }

    /// Moves near to the first line with a number of at least `wanted`, and never beyond it: numbers
    /// rise, so the file can be searched by halves. Only a whole line moves the search forward, so
    /// damage makes it slower, never wrong.
    pub(crate) fn seek(&mut self, wanted: Seq) -> io::Result<()> {
        let mut low = self.header_end;
        let mut low_last = self.first - 1;
        let mut high = self.len()?;
        while high.saturating_sub(low) > SEARCH_BYTES {
            let middle = low + (high - low) / 2;
            match self.whole_line_after(middle, high)? {
                Some((seq, end)) if seq < wanted => (low, low_last) = (end, seq),
                _ => high = middle,
            }
        }
        self.back_to(low, low_last);
        Ok(())
    }

    /// Number and end of the first whole line that begins after `from`, and before `until`.
    fn whole_line_after(&mut self, from: u64, until: u64) -> io::Result<Option<(Seq, u64)>> {
        self.lines.seek(from);
        // The first piece is the rest of a line.
        let mut step = self.lines.next()?;
        while !matches!(step, RawStep::End { .. }) && self.lines.offset() < until {
            step = self.lines.next()?;
            if let RawStep::Line(bytes) = &step
                && let Some(seed) = self.seed
                && let Ok(seq) = line::check(self.lines.bytes(bytes.clone()), seed)
            {
                return Ok(Some((seq, self.lines.offset())));
            }
        }
        Ok(None)
    }

    fn check(&self, bytes: &Range<usize>) -> Result<Seq, BadLine> {
        let line = self.lines.bytes(bytes.clone());
        let Some(seed) = self.seed else {
            return Err(line::parse_prefix(line).map_or(BadLine::Form, |_| BadLine::Checksum));
        };
        let seq = line::check(line, seed)?;
        if seq > self.last { Ok(seq) } else { Err(BadLine::Order) }
    }

    /// See [`seed`](crate::seed).
    fn find_seed(&mut self) -> io::Result<Option<u32>> {
        let mut candidates = Vec::new();
        while candidates.len() < seed::LINES_TRIED_MAX {
            match self.lines.next()? {
                RawStep::Line(bytes) => {
                    let Some(seed) = seed::of_line(self.lines.bytes(bytes)) else { continue };
                    if candidates.contains(&seed) {
                        return Ok(Some(seed));
                    }
                    candidates.push(seed);
                }
                RawStep::TooLong(_) => {}
                RawStep::End { .. } => break,
            }
        }
        Ok(None)
    }
}

/// A file's lines, whatever is in them.
#[derive(Debug)]
struct LineScan {
    file: File,
    buffer: Vec<u8>,
    /// What is in the buffer and was not handed out.
    ready: Range<usize>,
    /// Where in the file the ready bytes begin.
    offset: u64,
}

enum RawStep {
    /// In the buffer, without its newline.
    Line(Range<usize>),
    /// So many bytes, newline included, were passed over.
    TooLong(u64),
    End {
        torn: u64,
    },
}

impl LineScan {
    fn new(file: File) -> LineScan {
        LineScan { file, buffer: Vec::new(), ready: 0..0, offset: 0 }
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn seek(&mut self, offset: u64) {
        // Inside of what was read already, nothing need be read again.
        let buffer_at = self.offset - self.ready.start as u64;
        if (buffer_at..=buffer_at + self.ready.end as u64).contains(&offset) {
            self.ready.start = (offset - buffer_at) as usize;
        } else {
            self.ready = 0..0;
        }
        self.offset = offset;
    }

    fn next(&mut self) -> io::Result<RawStep> {
        let mut searched = 0;
        let mut passed_over = 0;
        let mut fresh_bytes = false;
        loop {
            let unsearched = &self.buffer[self.ready.start + searched..self.ready.end];
            if let Some(newline) = memchr::memchr(b'\n', unsearched) {
                let line = self.ready.start..self.ready.start + searched + newline;
                self.consume(line.len() + 1);
                return Ok(if passed_over == 0 {
                    RawStep::Line(line)
                } else {
                    RawStep::TooLong(passed_over + line.len() as u64 + 1)
                });
            }
            if !fresh_bytes {
                // The beginning of a line, read earlier: by now something else may stand there,
                // because a writer has cut it off and gone on.
                self.ready = 0..0;
                fresh_bytes = true;
            }
            searched = self.ready.len();
            if searched > MAX_LINE_BYTES {
                passed_over += searched as u64;
                self.consume(searched);
                searched = 0;
            }
            if self.fill()? == 0 {
                return Ok(self.end(passed_over));
            }
        }
    }

    /// What stands there without a newline is read anew next time: the writer may have cut it off
    /// and written something else.
    fn end(&mut self, passed_over: u64) -> RawStep {
        let torn = passed_over + self.ready.len() as u64;
        self.offset -= passed_over;
        self.ready = 0..0;
        RawStep::End { torn }
    }

    fn consume(&mut self, len: usize) {
        self.ready.start += len;
        self.offset += len as u64;
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.ready.is_empty() && self.buffer.len() > KEPT_BUFFER_BYTES {
            self.buffer = Vec::new();
            self.ready = 0..0;
        }
        if self.ready.start > 0 {
            self.buffer.copy_within(self.ready.clone(), 0);
            self.ready = 0..self.ready.len();
        }
        if self.buffer.is_empty() {
            // Zeroed by the system as it is used, not here and now.
            self.buffer = vec![0; READ_BYTES];
        } else if self.ready.end == self.buffer.len() {
            self.buffer.resize((2 * self.buffer.len()).max(READ_BYTES), 0);
        }
        let at = self.offset + self.ready.end as u64;
        let read = loop {
            match self.file.read_at(&mut self.buffer[self.ready.end..], at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.ready.end += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
