//! Writes a damaged segment anew, and sets aside what is none of its lines.

use std::fs;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use super::{RepairedSegment, SegmentReport};
use crate::line::restamp;
use crate::scan::{SegmentScan, Step};
use crate::segment::{Header, SegmentPath, bad_file_name, file_name};
use crate::storage::{SegmentFile, Storage, open_read};

/// A segment is rewritten under this name and renamed when it is complete.
const NEW_NAME: &str = "repair.new";

/// Writes the segment anew. First the bad bytes are safe in their own file, then the whole lines in
/// theirs, then that takes the segment's name.
pub(super) fn rewrite(
    storage: &dyn Storage,
    segment: &SegmentPath,
    before: SegmentReport,
    before_it: Header,
) -> io::Result<RepairedSegment> {
    let bad_name = bad_file_name(segment.first);
    let bad_bytes = set_bad_aside(storage, segment, &bad_name)?;
    // Its name, too, must be safe before the only other copy goes.
    storage.sync()?;
    let mut new = copy_whole_lines(storage, segment, before_it)?;
    // Its age is that of its events. Without it, after a loss of power, it is kept for longer.
    new.set_modified(fs::metadata(&segment.path)?.modified()?)?;
    new.sync()?;
    storage.rename(NEW_NAME, &file_name(segment.first))?;
    storage.sync()?;
    Ok(RepairedSegment { before, bad_path: segment.path.with_file_name(bad_name), bad_bytes })
}

/// Appends everything that is no line of the segment to the file `bad_name`; returns how many bytes.
fn set_bad_aside(storage: &dyn Storage, segment: &SegmentPath, bad_name: &str) -> io::Result<u64> {
    let mut scan = SegmentScan::open(&segment.path, segment.first)?;
    let raw = open_read(&segment.path)?;
    let bad = match storage.open(bad_name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => storage.create(bad_name),
        opened => opened,
    }?;
    let mut out = BufWriter::new(Appender { offset: bad.bytes()?, file: bad });
    let mut total = 0;
    loop {
        let (offset, len, ends) = match scan.next()? {
            Step::Line { .. } => continue,
            Step::Bad { offset, len, .. } => (offset, len, false),
            Step::End { torn } => (scan.offset(), torn, true),
        };
        (&raw).seek(SeekFrom::Start(offset))?;
        total += io::copy(&mut (&raw).take(len), &mut out)?;
        if ends {
            if len > 0 {
                out.write_all(b"\n")?;
            }
            break;
        }
    }
    out.into_inner()?.file.sync()?;
    Ok(total)
}

/// The new file, unsynced.
fn copy_whole_lines(
    storage: &dyn Storage,
    segment: &SegmentPath,
    before_it: Header,
) -> io::Result<Box<dyn SegmentFile>> {
    let mut scan = SegmentScan::open(&segment.path, segment.first)?;
    let mut out = BufWriter::new(Appender { offset: 0, file: storage.create(NEW_NAME)? });
    let mut line = Vec::new();
    // A whole one stays as it is: a later version may have put more into it than this one reads.
    let kept = scan.header_line()?;
    match &kept {
        Some(header) => out.write_all(header)?,
        None => before_it.write_to(&mut line, segment.first),
    }
    out.write_all(&line)?;
    loop {
        match scan.next()? {
            Step::Line { bytes, .. } => {
                line.clear();
                line.extend_from_slice(scan.bytes(bytes));
                line.push(b'\n');
                if kept.is_none() {
                    restamp(&mut line, before_it.seed());
                }
                out.write_all(&line)?;
            }
            Step::Bad { .. } => {}
            Step::End { .. } => break,
        }
    }
    Ok(out.into_inner()?.file)
}

/// Writes to a file of the storage from `offset` on.
struct Appender {
    file: Box<dyn SegmentFile>,
    offset: u64,
}

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.offset)?;
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
