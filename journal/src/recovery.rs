//! What a start finds: where the numbers go on, what of the ring and the spool is in the journal, and
//! what has to be cut off the last segment. Reads only.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Seq;
use crate::event::EVENT_VERSION;
use crate::line::{LaneEnd, Line, Origin};
use crate::model::EventType;
use crate::reader::ReadError;
use crate::scan::{SegmentScan, Step};
use crate::segment::{self, SegmentPath};
use crate::system::Ended;

/// What [`Journal::open`](crate::writer::Journal::open) found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// The number that the next event gets.
    pub next_seq: Seq,
    /// The oldest number that still exists, by the name of the first segment.
    pub oldest_seq: Option<Seq>,
    /// Up to where each lane of each bus is in the journal, in order. Set every head to the larger
    /// of itself and this; a tail before it lies.
    pub ends: Vec<LaneEnd>,
    /// Ids of the events of the segments that were read, those from a ring included, and of earlier
    /// ones whose spool files could not be removed; sorted. A spool file with one of these ids is in the journal: unlink it.
    pub ids: Vec<[u8; 16]>,
    /// Bytes after the last newline that were cut off: a line whose writing was never finished.
    pub cut_bytes: u64,
    /// Damaged lines in the segments that were read, usually the last one. They are skipped;
    /// [`repair`](fn@crate::repair::repair) sets them aside.
    pub bad_lines: u64,
    /// Numbers that were left out to stay above every cursor: after power loss the end of the
    /// journal may be gone, and a cursor must never lead.
    pub skipped_numbers: u64,
    /// How the daemon before ended, as far as the last event tells.
    pub before: Option<Ended>,
    /// The last segment cannot be continued (its first line is damaged, or it could not be cut or
    /// synced): release what `ends` and `ids` say, then call
    /// [`Journal::rotate`](crate::writer::Journal::rotate) before the first commit.
    pub needs_rotation: bool,
}

impl Recovery {
    /// Whether the journal may have events of before: it has numbers that were given.
    pub fn has_events(&self) -> bool {
        let next_seq = self.next_seq - self.skipped_numbers;
        self.oldest_seq.is_some_and(|oldest_seq| oldest_seq < next_seq)
    }
}

/// A segment's file.
#[derive(Clone, Debug)]
pub(crate) struct FoundSegment {
    pub(crate) first: Seq,
    pub(crate) bytes: u64,
    pub(crate) modified: std::time::SystemTime,
}

/// The result of reading the end of the journal.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) segments: Vec<FoundSegment>,
    pub(crate) recovery: Recovery,
    /// Of the last segment: its length up to the last newline, and what its checksums continue from
    /// if it can be continued.
    pub(crate) good_bytes: u64,
    pub(crate) seed: Option<u32>,
}

/// Reads the last segment, and the ones before it until one has a first line that is whole: that
/// line says where every lane was when the segment was begun.
pub(crate) fn find(dir: &Path, cursor_floor: Seq) -> Result<Found, ReadError> {
    let paths = segment::list(dir).map_err(|source| ReadError::list(dir, source))?;
    let mut found = Found::default();
    for segment in &paths {
        let metadata = std::fs::symlink_metadata(&segment.path);
        let metadata = metadata.map_err(|source| ReadError::segment(&segment.path, source))?;
        found.segments.push(FoundSegment {
            first: segment.first,
            bytes: metadata.len(),
            modified: metadata.modified().unwrap_or(std::time::UNIX_EPOCH),
        });
    }
    let mut journaled = Journaled::default();
    let mut end: Option<Seq> = None;
    for segment in paths.iter().rev() {
        let read = journaled.read(segment, end);
        let read = read.map_err(|source| ReadError::segment(&segment.path, source))?;
        found.recovery.bad_lines += read.bad_lines;
        if end.is_none() {
            found.good_bytes = read.good_bytes;
            found.seed = read.whole_header.then_some(read.seed).flatten();
            found.recovery.cut_bytes = read.torn_bytes;
            found.recovery.next_seq = read.after_last;
            found.recovery.before = journaled.last.ended();
        }
        if read.whole_header {
            break;
        }
        end = Some(segment.first);
    }
    let after_last = found.recovery.next_seq.max(1);
    found.recovery.next_seq = after_last.max(cursor_floor.saturating_add(1));
    found.recovery.skipped_numbers = found.recovery.next_seq - after_last;
    found.recovery.oldest_seq = paths.first().map(|segment| segment.first);
    found.recovery.needs_rotation = found.seed.is_none() && !paths.is_empty();
    found.recovery.ends = journaled.ends.to_vec();
    found.recovery.ids = journaled.ids;
    found.recovery.ids.sort_unstable();
    found.recovery.ids.dedup();
    found.recovery.ids.shrink_to_fit();
    Ok(found)
}

/// What the lines that were read say about the ring and the spool.
#[derive(Default)]
struct Journaled {
    ends: Ends,
    ids: Vec<[u8; 16]>,
    last: LastLine,
}

/// The last line that was read.
#[derive(Default)]
struct LastLine {
    /// Of its event; `None` if there is no line, or it is of another form.
    version: Option<u64>,
    /// It, if it is the daemon's own.
    own: Option<Vec<u8>>,
}

/// No event of the daemon itself is longer. One that is longer tells nothing.
const OWN_BYTES_MAX: usize = 1 << 20;

impl LastLine {
    fn note(&mut self, line: Line<'_>, origin: Option<&Origin<'_>>) {
        self.version = line.version();
        let is_own = matches!(origin, Some(Origin::Daemon)) && line.bytes.len() <= OWN_BYTES_MAX;
        self.own = is_own.then(|| line.bytes.to_vec());
    }

    /// A daemon that ends in order says so last. Before version 2 none said anything.
    fn ended(&self) -> Option<Ended> {
        #[derive(serde::Deserialize)]
        struct Kind<'a> {
            #[serde(borrow)]
            event_type: std::borrow::Cow<'a, str>,
        }
        if self.version? < EVENT_VERSION {
            return None;
        }
        let own =
            self.own.as_deref().and_then(|line| serde_json::from_slice::<Kind<'_>>(line).ok());
        match own {
            Some(own) if own.event_type == EventType::DaemonStop.name() => Some(Ended::InOrder),
            _ => Some(Ended::BrokenOff),
        }
    }
}

/// Up to where each lane of each bus is in the journal.
#[derive(Clone, Default)]
pub(crate) struct Ends {
    by_lane: BTreeMap<([u8; 16], u16), u64>,
}

impl Ends {
    pub(crate) fn note(&mut self, end: &LaneEnd) {
        let known = self.by_lane.entry((end.bus, end.lane)).or_default();
        *known = end.end.max(*known);
    }

    /// In order of bus and lane.
    pub(crate) fn to_vec(&self) -> Vec<LaneEnd> {
        let ends = self.by_lane.iter();
        ends.map(|(&(bus, lane), &end)| LaneEnd { bus, lane, end }).collect()
    }
}

/// One segment's part.
struct SegmentRead {
    /// The number for an event after this segment. A damaged line may have had one, too, so one is
    /// left out for every damaged line after the last whole one.
    after_last: Seq,
    good_bytes: u64,
    torn_bytes: u64,
    bad_lines: u64,
    whole_header: bool,
    seed: Option<u32>,
}

impl Journaled {
    fn read(&mut self, segment: &SegmentPath, end: Option<Seq>) -> std::io::Result<SegmentRead> {
        let mut scan = SegmentScan::open(&segment.path, segment.first)?;
        if let Some(header) = scan.header() {
            header.ends.iter().for_each(|end| self.ends.note(end));
            self.ids.extend(&header.ids);
        }
        let whole_header = scan.header().is_some();
        let (mut after_last, mut bad_lines) = (segment.first, 0);
        let torn_bytes = loop {
            match scan.next()? {
                Step::Line { seq, .. } if end.is_some_and(|end| seq >= end) => break 0,
                Step::Line { seq, bytes } => {
                    after_last = seq + 1;
                    self.note_origin(Line { seq, bytes: scan.bytes(bytes) });
                }
                Step::Bad { .. } => {
                    bad_lines += 1;
                    after_last += 1;
                }
                Step::End { torn } => break torn,
            }
        };
        let good_bytes = scan.offset();
        let seed = scan.seed();
        Ok(SegmentRead { after_last, good_bytes, torn_bytes, bad_lines, whole_header, seed })
    }

    fn note_origin(&mut self, line: Line<'_>) {
        let origin = line.origin();
        if let Some(Origin::Ring(end)) = &origin {
            self.ends.note(end);
        }
        self.last.note(line, origin.as_ref());
        self.ids.extend(known_id(line));
    }
}

/// The id by which a spool file of this event is known: the one in its name, from which the event's
/// own may differ. Of an event from the ring the same id comes in a spool file if its producer,
/// finding the ring gone and no daemon there, moves there what it cannot know to be journaled.
pub(crate) fn known_id(line: Line<'_>) -> Option<[u8; 16]> {
    match line.origin()? {
        Origin::Ring(_) => line.id(),
        Origin::Spool(name) => {
            let (_, id) = name.rsplit_once('-')?;
            let id = Some(id).filter(|id| id.len() == 32)?;
            Some(u128::from_str_radix(id, 16).ok()?.to_be_bytes())
        }
        Origin::Daemon => None,
    }
}

#[cfg(test)]
mod tests;
