//! A segment's name and its first line.
//!
//! A segment is a file `<number of its first event, 20 digits>.jsonl`. The name is the position:
//! a segment ends where the next one's name begins, whatever lines it still holds beyond (they were
//! written again there, after a sync that failed).

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Seq;
use crate::event::MAX_MEMBERS_BYTES;
use crate::line::{self, LaneEnd};
use crate::text::{push_decimal, push_hex, push_json_string, push_timestamp};

/// The version of the segment's form, in its first line.
pub const FORMAT: u64 = 1;

/// Numbers end here, so that every JSON reader can hold them exactly. At a million events a second
/// this lasts for 285 years. A file whose name is beyond is not one of ours.
pub const MAX_SEQ: Seq = 1 << 53;

/// No line is longer: an event's members, and what stands before them.
pub const MAX_LINE_BYTES: usize = MAX_MEMBERS_BYTES + (64 << 10);

const SUFFIX: &str = ".jsonl";
const NAME_DIGITS: usize = 20;

/// The file name of the segment that begins with number `first`.
pub fn file_name(first: Seq) -> String {
    format!("{first:0NAME_DIGITS$}{SUFFIX}")
}

/// The file name of what a repair sets aside of the segment that begins with number `first`.
pub(crate) fn bad_file_name(first: Seq) -> String {
    format!("{first:0NAME_DIGITS$}.bad")
}

/// The number with which the segment of that name begins; `None` if it is no segment's name.
pub fn parse_file_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(SUFFIX)?;
    let well_formed = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    let first = digits.parse().ok().filter(|_| well_formed)?;
    (1..=MAX_SEQ).contains(&first).then_some(first)
}

/// A segment's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SegmentPath {
    pub(crate) first: Seq,
    pub(crate) path: PathBuf,
}

/// All segments of a directory, in order. Whatever else lies there is left alone; so is a segment's
/// name on something that is no regular file.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<SegmentPath>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Some(first) = entry.file_name().to_str().and_then(parse_file_name) else { continue };
        if entry.file_type()?.is_file() {
            segments.push(SegmentPath { first, path: entry.path() });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

/// The first line of a segment. It has the form of every line, with a checksum that continues from
/// 0, the segment's first number (which it does not use up) and the origin `segment`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Made anew for every segment; the lines' checksums continue from its own.
    pub uuid: [u8; 16],
    /// When the segment was begun, Unix nanoseconds.
    pub created_ns: i64,
    /// Up to where each lane of each bus was in the journal when the segment was begun.
    pub ends: Vec<LaneEnd>,
    /// Ids of events that are in the journal and still stood in a spool file or a damaged ring then.
    pub ids: Vec<[u8; 16]>,
}

impl Header {
    /// A header for a segment that begins now.
    pub(crate) fn new(ends: &[LaneEnd], ids: &[[u8; 16]]) -> Header {
        let created_ns = jiff::Timestamp::now().as_nanosecond().try_into().unwrap_or(i64::MAX);
        let uuid = *uuid::Uuid::new_v4().as_bytes();
        Header { uuid, created_ns, ends: ends.to_vec(), ids: ids.to_vec() }
    }

    /// What the checksums of the segment's lines continue from.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c(&self.uuid)
    }

    /// Appends the line, with its newline.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>, first: Seq) {
        let start = out.len();
        line::push_prefix(out, first);
        out.extend_from_slice(b"segment\",\"segment\":{\"format\":");
        push_decimal(out, FORMAT);
        out.extend_from_slice(b",\"uuid\":");
        push_json_string(out, &uuid::Uuid::from_bytes(self.uuid).to_string());
        out.extend_from_slice(b",\"created\":\"");
        push_timestamp(out, self.created_ns);
        out.extend_from_slice(b"\",\"ends\":[");
        for (at, end) in self.ends.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"bus\":\"" } else { b",{\"bus\":\"" });
            push_hex(out, &end.bus);
            out.extend_from_slice(b"\",\"lane\":");
            push_decimal(out, u64::from(end.lane));
            out.extend_from_slice(b",\"end\":");
            push_decimal(out, end.end);
            out.push(b'}');
        }
        out.push(b']');
        for (at, id) in self.ids.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b",\"ids\":[\"" } else { b",\"" });
            push_hex(out, id);
            out.push(b'"');
        }
        out.extend_from_slice(if self.ids.is_empty() { b"}" } else { b"]}" });
        line::finish(out, start, 0);
    }

    /// Reads the line (without its newline); `None` if it is damaged, is not the header of a segment
    /// that begins with `first`, or has another version's form.
    pub(crate) fn parse(bytes: &[u8], first: Seq) -> Option<Header> {
        if line::check(bytes, 0) != Ok(first) {
            return None;
        }
        let HeaderLine { segment } = serde_json::from_slice(bytes).ok()?;
        if segment.format != FORMAT {
            return None;
        }
        let created_ns = segment.created.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
        let ends = segment.ends.iter().map(|end| {
            let bus = parse_id(&end.bus)?;
            Some(LaneEnd { bus, lane: end.lane, end: end.end })
        });
        let ids = segment.ids.iter().map(|id| parse_id(id));
        Some(Header {
            uuid: uuid::Uuid::parse_str(&segment.uuid).ok()?.into_bytes(),
            created_ns: created_ns.try_into().ok()?,
            ends: ends.collect::<Option<_>>()?,
            ids: ids.collect::<Option<_>>()?,
        })
    }
}

fn parse_id(hex: &str) -> Option<[u8; 16]> {
    Some(u128::from_str_radix(hex, 16).ok()?.to_be_bytes())
}

#[derive(Deserialize)]
struct HeaderLine {
    segment: HeaderFields,
}

#[derive(Deserialize)]
struct HeaderFields {
    format: u64,
    uuid: String,
    created: String,
    ends: Vec<EndFields>,
    /// Left out where there are none.
    #[serde(default)]
    ids: Vec<String>,
}

#[derive(Deserialize)]
struct EndFields {
    bus: String,
    lane: u16,
    end: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_nothing_else_is_one() {
        assert_eq!(file_name(1), "00000000000000000001.jsonl");
        for first in [1, 42, MAX_SEQ] {
            assert_eq!(parse_file_name(&file_name(first)), Some(first));
        }
        for name in [
            "00000000000000000000.jsonl",
            "18446744073709551615.jsonl",
            "99999999999999999999.jsonl",
            "+0000000000000000001.jsonl",
            "1.jsonl",
            "00000000000000000001.jsonl.new",
            "00000000000000000001.bad",
            "lock",
            "",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_reads_back_and_only_for_its_own_segment() {
        let end = LaneEnd { bus: [0xab; 16], lane: 7, end: u64::MAX };
        for ids in [&[][..], &[[1; 16]], &[[0; 16], [0xff; 16]]] {
            let header = Header::new(&[end, LaneEnd { lane: 8, end: 0, ..end }], ids);
            reads_back(&header);
        }
    }

    fn reads_back(header: &Header) {
        let mut out = Vec::new();
        header.write_to(&mut out, 17);
        let line = out.strip_suffix(b"\n").unwrap();
        assert!(!line.contains(&b'\n'));
        assert_eq!(Header::parse(line, 17).as_ref(), Some(header));
        assert_eq!(Header::parse(line, 18), None);
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(value["from"], "segment");
        assert_eq!(value["seq"], 17);
        // A journal of a daemon that did not know of ids has none.
        assert_eq!(value["segment"].get("ids").is_some(), !header.ids.is_empty());
        for at in 0..line.len() {
            let mut damaged = line.to_vec();
            damaged[at] ^= 1;
            assert_eq!(Header::parse(&damaged, 17), None, "byte {at}");
        }
    }
}
