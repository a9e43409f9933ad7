//! The outer form of a line: checksum, number and origin at fixed places, then the event's fields.
//!
//! ```text
//! {"crc":"9a3b01ff","seq":                  17,"from":"daemon",…the event's fields…}
//! 0       8         18    24                  44       53
//! ```
//!
//! The CRC-32C covers everything from byte 18 to the closing brace. It continues from the CRC of the
//! segment's UUID, so that a line of another segment is never taken for one of this one.

use std::fmt;

use crate::Seq;
use crate::segment::MAX_SEQ;
use crate::text::{DECIMAL_DIGITS, push_hex, push_json_characters, write_decimal};

const CRC_OPEN: &[u8] = b"{\"crc\":\"";
const SEQ_OPEN: &[u8] = b"\",\"seq\":";
const FROM_OPEN: &[u8] = b",\"from\":\"";
const VERSION_OPEN: &[u8] = b"\",\"version\":";
const ID_OPEN: &[u8] = b",\"id\":\"";
const TIMESTAMP_OPEN: &[u8] = b"\",\"timestamp\":\"";

/// Where the eight hex digits of the checksum begin.
pub const CRC_AT: usize = CRC_OPEN.len();
/// Where the checked bytes begin.
pub const CHECKED_AT: usize = CRC_AT + 8 + 2;
/// Where the number begins: 20 bytes, aligned to the right with spaces.
pub const SEQ_AT: usize = CRC_AT + 8 + SEQ_OPEN.len();
/// Where the origin's characters begin.
pub const FROM_AT: usize = SEQ_AT + DECIMAL_DIGITS + FROM_OPEN.len();

const _: () = assert!(CRC_AT == 8 && CHECKED_AT == 18 && SEQ_AT == 24 && FROM_AT == 53);

/// Where an event came from. With it a restart knows what of the ring and of the spool it has.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Origin<'a> {
    /// A record of the ring, named by the position after its end.
    Ring(LaneEnd),
    /// A file of the spool.
    Spool(&'a str),
    /// The daemon itself.
    Daemon,
}

/// The end of a record: everything in its lane up to there is in the journal.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct LaneEnd {
    /// The bus's UUID.
    pub bus: [u8; 16],
    /// The lane's number.
    pub lane: u16,
    /// The position, in bytes since the lane began.
    pub end: u64,
}

/// One event's line, without its newline. In a batch it has been checked.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// The event's number.
    pub seq: Seq,
    /// The whole JSON object.
    pub bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// Where the event came from; `None` if it is written in a form that this version does not know.
    /// (A spool file's name is given as it is written, that is with its JSON escapes, if any.)
    pub fn origin(&self) -> Option<Origin<'a>> {
        let (origin, _) = self.split_origin()?;
        parse_origin(std::str::from_utf8(origin).ok()?)
    }

    /// What follows the origin: the comma, the other members and the closing brace. Empty if there is no origin.
    pub fn after_origin(&self) -> &'a [u8] {
        self.split_origin().map_or(&[], |(_, rest)| &rest[1..])
    }

    /// The event's id; `None` if it does not stand where this version writes it.
    pub fn id(&self) -> Option<[u8; 16]> {
        let (id, rest) = self.split_id()?;
        if !rest.starts_with(b"\"") {
            return None;
        }
        Some(uuid::Uuid::try_parse_ascii(id).ok()?.into_bytes())
    }

    /// The version of the event's members; `None` if it does not stand where this version writes it.
    pub(crate) fn version(&self) -> Option<u64> {
        let (_, rest) = self.split_origin()?;
        let rest = rest.strip_prefix(VERSION_OPEN)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }

    /// When the hook published; `None` if it does not stand where this version writes it.
    pub fn timestamp(&self) -> Option<jiff::Timestamp> {
        let (_, rest) = self.split_id()?;
        let rest = rest.strip_prefix(TIMESTAMP_OPEN)?;
        let end = memchr::memchr(b'"', rest)?;
        std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
    }

    /// The id's characters, and what follows them from their closing quote on.
    fn split_id(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (_, rest) = self.split_origin()?;
        let rest = rest.strip_prefix(VERSION_OPEN)?;
        let version_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let id = rest[version_digits..].strip_prefix(ID_OPEN)?;
        id.split_at_checked(uuid::fmt::Hyphenated::LENGTH)
    }

    /// The origin's characters, and what follows them from their closing quote on.
    fn split_origin(&self) -> Option<(&'a [u8], &'a [u8])> {
        let rest = self.bytes.get(FROM_AT..)?;
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', rest.get(end..)?)?;
            if rest[end] == b'"' {
                return Some(rest.split_at(end));
            }
            end += 2;
        }
    }
}

/// Why a line is not one of its segment's.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BadLine {
    /// The fixed parts are not where they should be.
    Form,
    /// The checksum is another one.
    Checksum,
    /// The number is not above the one before it.
    Order,
    /// Longer than [`MAX_LINE_BYTES`](crate::segment::MAX_LINE_BYTES).
    Length,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadLine::Form => "not in the form of a journal line",
            BadLine::Checksum => "the checksum does not match",
            BadLine::Order => "the number is not above the one before it",
            BadLine::Length => "longer than any line can be",
        })
    }
}

/// Begins a line: everything up to and including the origin. [`finish`] completes it.
pub(crate) fn begin(out: &mut Vec<u8>, seq: Seq, origin: &Origin<'_>) {
    push_prefix(out, seq);
    match origin {
        Origin::Ring(end) => {
            out.extend_from_slice(RING);
            push_hex(out, &end.bus);
            out.push(b'/');
            push_hex(out, &end.lane.to_be_bytes());
            out.push(b'/');
            push_hex(out, &end.end.to_be_bytes());
        }
        Origin::Spool(name) => {
            out.extend_from_slice(SPOOL);
            push_json_characters(out, name);
        }
        Origin::Daemon => out.extend_from_slice(DAEMON),
    }
    out.push(b'"');
}

const RING: &[u8] = b"ring/";
const SPOOL: &[u8] = b"spool/";
const DAEMON: &[u8] = b"daemon";

/// Everything before the origin, with a checksum of zeros.
pub(crate) fn push_prefix(out: &mut Vec<u8>, seq: Seq) {
    let mut prefix = *b"{\"crc\":\"00000000\",\"seq\":                    ,\"from\":\"";
    const _: () = assert!(FROM_AT == 53);
    let mut field = [b' '; DECIMAL_DIGITS];
    write_decimal(&mut field, seq, b' ');
    prefix[SEQ_AT..SEQ_AT + DECIMAL_DIGITS].copy_from_slice(&field);
    out.extend_from_slice(&prefix);
}

/// Ends the line that begins at `start` of `out`: brace, checksum, newline.
pub(crate) fn finish(out: &mut Vec<u8>, start: usize, seed: u32) {
    out.push(b'}');
    stamp(&mut out[start..], seed);
    out.push(b'\n');
}

/// Writes the checksum into a line (without its newline).
fn stamp(line: &mut [u8], seed: u32) {
    let crc = crc32c::crc32c_append(seed, &line[CHECKED_AT..]);
    for (at, digit) in line[CRC_AT..CRC_AT + 8].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(crc >> (28 - 4 * at)) as usize & 15];
    }
}

/// Gives whole lines the checksums that they have in another segment.
pub(crate) fn restamp(lines: &mut [u8], seed: u32) {
    let mut rest = lines;
    while let Some(newline) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at_mut(newline + 1);
        stamp(&mut line[..newline], seed);
        rest = after;
    }
}

/// Checks a line (without its newline) and returns its number.
///
/// # Errors
///
/// [`BadLine::Form`] or [`BadLine::Checksum`].
pub(crate) fn check(line: &[u8], seed: u32) -> Result<Seq, BadLine> {
    let (seq, crc) = parse_prefix(line).ok_or(BadLine::Form)?;
    if crc32c::crc32c_append(seed, &line[CHECKED_AT..]) != crc {
        return Err(BadLine::Checksum);
    }
    Ok(seq)
}

/// Number and checksum of a line that has the right form.
pub(crate) fn parse_prefix(line: &[u8]) -> Option<(Seq, u32)> {
    let well_formed = line.len() > FROM_AT
        && line.starts_with(CRC_OPEN)
        && line[CRC_AT + 8..].starts_with(SEQ_OPEN)
        && line[SEQ_AT + DECIMAL_DIGITS..].starts_with(FROM_OPEN)
        && line.ends_with(b"}");
    if !well_formed {
        return None;
    }
    let mut crc = 0;
    for &digit in &line[CRC_AT..CRC_AT + 8] {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        crc = crc << 4 | u32::from(value);
    }
    Some((parse_seq(line)?, crc))
}

/// The number of a line that is long enough. One that no event gets is none: nothing could follow it.
fn parse_seq(line: &[u8]) -> Option<Seq> {
    let digits = line.get(SEQ_AT..SEQ_AT + DECIMAL_DIGITS)?.trim_ascii_start();
    if digits.is_empty() {
        return None;
    }
    let seq = digits.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    });
    seq.filter(|seq| *seq <= MAX_SEQ)
}

fn parse_origin(text: &str) -> Option<Origin<'_>> {
    if text.as_bytes() == DAEMON {
        return Some(Origin::Daemon);
    }
    if let Some(name) = text.strip_prefix("spool/") {
        return Some(Origin::Spool(name));
    }
    let mut parts = text.strip_prefix("ring/")?.split('/');
    let (bus, lane, end) = (parts.next()?, parts.next()?, parts.next()?);
    if bus.len() != 32 || lane.len() != 4 || end.len() != 16 || parts.next().is_some() {
        return None;
    }
    Some(Origin::Ring(LaneEnd {
        bus: u128::from_str_radix(bus, 16).ok()?.to_be_bytes(),
        lane: u16::from_str_radix(lane, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
    }))
}

/// Goes through whole lines that were checked before.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(crate) fn new(lines: &'a [u8]) -> Lines<'a> {
        Lines { rest: lines }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let newline = memchr::memchr(b'\n', self.rest)?;
        let (bytes, rest) = self.rest.split_at(newline);
        self.rest = &rest[1..];
        Some(Line { seq: parse_seq(bytes)?, bytes })
    }
}

/// Where in `lines` (whole, checked, in order) the first one with a number of at least `seq` begins.
pub(crate) fn find_seq(lines: &[u8], seq: Seq) -> usize {
    let mut at = 0;
    for line in Lines::new(lines) {
        if line.seq >= seq {
            break;
        }
        at += line.bytes.len() + 1;
    }
    at
}

#[cfg(test)]
mod tests;
