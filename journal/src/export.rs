//! Copies events out of the journal, line by line as they stand there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::line::Line;
use crate::reader::{ReadError, Reader, Skipped};
use crate::scan::SegmentScan;
use crate::segment::{self, SegmentPath};
use crate::{OLDEST, Seq};

/// What is read at once.
const BATCH_EVENTS: usize = 1024;
const BATCH_BYTES: usize = 1 << 20;

/// A segment is only left out if it ended this long before the wanted time: the wall clock may have
/// been set back meanwhile.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_hours(1);

/// Which events are wanted; the default is all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Published at this time or later.
    pub since: Option<Timestamp>,
    /// Published before this time.
    pub until: Option<Timestamp>,
    /// Of this session.
    pub session: Option<String>,
}

/// What [`export`] did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exported {
    /// Events written.
    pub events: u64,
    /// What could not be read.
    pub skipped: Skipped,
}

/// Why an export ended early. Whole lines were written up to there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A whole line is not an event as this version knows it, so the filter cannot be applied.
    #[error("cannot read event {seq}; export without a filter, or with the version that wrote it")]
    Event {
        /// The event's number.
        seq: Seq,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The output could not be written.
    #[error("cannot write the exported events")]
    Write(#[source] io::Error),
}

/// Writes the lines of all events that pass the filter to `out`, oldest first, up to the end that
/// the journal has when it comes there. `progress` gets the bytes read and the bytes to read.
///
/// # Errors
///
/// See [`ExportError`].
pub fn export(
    dir: &Path,
    filter: &Filter,
    out: &mut impl Write,
    mut progress: impl FnMut(u64, u64),
) -> Result<Exported, ExportError> {
    let (from, total) = begin(dir, filter)?;
    let mut reader = Reader::open(dir, from)?;
    let mut exported = Exported::default();
    let mut done = 0;
    loop {
        let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
        if batch.is_empty() {
            break;
        }
        for line in batch.lines() {
            let passes = filter.passes(line);
            if passes.map_err(|source| ExportError::Event { seq: line.seq, source })? {
                out.write_all(line.bytes).map_err(ExportError::Write)?;
                out.write_all(b"\n").map_err(ExportError::Write)?;
                exported.events += 1;
            }
        }
        done += batch.bytes().len() as u64;
        progress(done, total.max(done));
    }
    out.flush().map_err(ExportError::Write)?;
    exported.skipped = reader.take_skipped();
    Ok(exported)
}

/// The sessions whose ids begin with `prefix`, of events within the times of `filter`: at most
/// `max`, and only the one whose id is `prefix` itself if there is one. Lines whose session cannot be
/// read have none.
///
/// # Errors
///
/// The journal could not be read.
pub fn sessions(
    dir: &Path,
    filter: &Filter,
    prefix: &str,
    max: usize,
) -> Result<BTreeSet<String>, ReadError> {
    let mut reader = Reader::open(dir, begin(dir, filter)?.0)?;
    let mut found = BTreeSet::new();
    loop {
        let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
        if batch.is_empty() {
            return Ok(found);
        }
        for line in batch.lines() {
            let Ok(fields) = serde_json::from_slice::<Fields<'_>>(line.bytes) else { continue };
            match fields.session_id {
                Some(id) if id.starts_with(prefix) && filter.passes_at(fields.timestamp) => {
                    if id == prefix {
                        return Ok(BTreeSet::from([id.into_owned()]));
                    }
                    if found.len() < max {
                        found.insert(id.into_owned());
                    }
                }
                _ => {}
            }
        }
    }
}

/// When the first and the last of the events with these numbers were published that pass the filter. `None`: none
/// does, or none that can be read. What is to be looked at is the journal from the filter's beginning on, if need be.
///
/// # Errors
///
/// The journal could not be read.
pub fn times(
    dir: &Path,
    filter: &Filter,
    numbers: RangeInclusive<Seq>,
) -> Result<Option<(Timestamp, Timestamp)>, ReadError> {
    let (from, last) = (*numbers.start().max(&begin(dir, filter)?.0), *numbers.end());
    let mut reader = Reader::open(dir, from)?;
    let mut found: Option<(Timestamp, Timestamp)> = None;
    loop {
        let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
        let lines = batch.lines().take_while(|line| line.seq <= last);
        for at in lines.filter_map(|line| filter.time_if_passes(line)) {
            match &mut found {
                Some((_, end)) => *end = at,
                None => {
                    // Mostly nothing between has to be read.
                    let end = Reader::open(dir, last)?.next_batch(1, BATCH_BYTES)?;
                    let end = end.lines().next().filter(|line| line.seq == last);
                    if let Some(end) = end.and_then(|line| filter.time_if_passes(line)) {
                        return Ok(Some((at, end)));
                    }
                    found = Some((at, at));
                }
            }
        }
        if batch.is_empty() || batch.last() >= last {
            return Ok(found);
        }
    }
}

/// A number before which no event is within the times of `filter`; [`OLDEST`]: any may be.
///
/// # Errors
///
/// The journal could not be read.
pub fn begins_with(dir: &Path, filter: &Filter) -> Result<Seq, ReadError> {
    Ok(begin(dir, filter)?.0)
}

/// The number to begin with, and the bytes to read from there on.
fn begin(dir: &Path, filter: &Filter) -> Result<(Seq, u64), ReadError> {
    let segments = segment::list(dir).map_err(|source| ReadError::list(dir, source))?;
    // What is in the segments before one was published before that one was begun.
    let first = filter.since.and_then(|since| {
        let since = since.checked_sub(CLOCK_SLACK).ok()?;
        segments.iter().rposition(|segment| begun(segment).is_some_and(|begun| begun < since))
    });
    let wanted = &segments[first.unwrap_or(0)..];
    let len = |segment: &SegmentPath| {
        std::fs::metadata(&segment.path).map_or(0, |metadata| metadata.len())
    };
    let from = first.map_or(OLDEST, |first| segments[first].first);
    Ok((from, wanted.iter().map(len).sum()))
}

/// When a segment was begun, if its first line is whole (and the file still there).
fn begun(segment: &SegmentPath) -> Option<Timestamp> {
    let scan = SegmentScan::open(&segment.path, segment.first).ok()?;
    Timestamp::from_nanosecond(scan.header()?.created_ns.into()).ok()
}

/// What a filter asks about.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(deserialize_with = "timestamp")]
    timestamp: Timestamp,
    #[serde(borrow)]
    session_id: Option<Cow<'a, str>>,
}

fn timestamp<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    <&str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

impl Filter {
    /// Whether it lets this event pass.
    ///
    /// # Errors
    ///
    /// The line is not an event as this version knows it.
    pub fn passes(&self, line: Line<'_>) -> Result<bool, serde_json::Error> {
        if *self == Filter::default() {
            return Ok(true);
        }
        // The time stands where it is found at once.
        match line.timestamp().map(|time| self.passes_at(time)) {
            Some(false) => return Ok(false),
            Some(true) if self.session.is_none() => return Ok(true),
            _ => {}
        }
        let fields: Fields<'_> = serde_json::from_slice(line.bytes)?;
        Ok(self.passes_at(fields.timestamp)
            && self.session.as_deref().is_none_or(|id| fields.session_id.as_deref() == Some(id)))
    }

    /// When an event was published that passes; `None` also for one that cannot be read.
    fn time_if_passes(&self, line: Line<'_>) -> Option<Timestamp> {
        if !self.passes(line).ok()? {
            return None;
        }
        let parsed = || Some(serde_json::from_slice::<Fields<'_>>(line.bytes).ok()?.timestamp);
        line.timestamp().or_else(parsed)
    }

    fn passes_at(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

#[cfg(test)]
mod tests;
