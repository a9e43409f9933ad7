//! From a record of the bus to an event of the journal.
//!
//! This is where events are normalised, enriched and redacted: between the drain and the first byte
//! that is journaled.

use std::borrow::Cow;

use hookring_bus::drain::{Batch, Origin, Record};
use hookring_bus::names::{self, AGENTS, EVENTS};
use hookring_bus::record::{flag, meta_entries, tag};
use hookring_journal as journal;
use hookring_journal::{Event, Payload};

use times::Times;

mod times;

/// What a record's header and metadata say, decoded.
struct Said<'a> {
    agent: Option<Cow<'a, str>>,
    event: Option<Cow<'a, str>>,
    directory: Option<&'a [u8]>,
    arguments: Vec<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn by(record: &Record<'a>) -> Said<'a> {
        let mut said = Said {
            agent: names::name(AGENTS, record.header.agent).map(Cow::Borrowed),
            event: names::name(EVENTS, record.header.event).map(Cow::Borrowed),
            directory: None,
            arguments: Vec::new(),
        };
        for (tag, value) in meta_entries(record.meta) {
            match tag {
                tag::AGENT => said.agent = Some(String::from_utf8_lossy(value)),
                tag::EVENT => said.event = Some(String::from_utf8_lossy(value)),
                tag::DIRECTORY => said.directory = Some(value),
                tag::ARGUMENT => said.arguments.push(value),
                // Of a later version.
                _ => {}
            }
        }
        said
    }
}

/// Makes a record's event and hands it, with its origin, to `stage`.
pub fn process<T>(
    batch: &Batch,
    record: &Record<'_>,
    stage: impl FnOnce(journal::Origin<'_>, &Event<'_>) -> T,
) -> T {
    let said = Said::by(record);
    let header = record.header;
    let times = Times::of(batch, record);
    let event = Event {
        id: header.id,
        timestamp_ns: times.wall_ns,
        monotonic_ns: times.monotonic_ns,
        agent: said.agent.as_deref(),
        event: said.event.as_deref(),
        session_id: None,
        working_directory: said.directory,
        pid: header.pid,
        elapsed_us: header.elapsed_us,
        arguments: &said.arguments,
        truncated: header.flags & (flag::TRUNCATED | flag::META_CUT) != 0,
        payload: Payload::Raw(record.payload),
    };
    stage(origin(record.origin), &event)
}

fn origin(origin: &Origin) -> journal::Origin<'_> {
    match origin {
        Origin::Lane(end) => journal::Origin::Ring(lane_end(end)),
        Origin::Spool(name) => journal::Origin::Spool(name),
    }
}

/// The bus's position as the journal has it; the two crates do not know each other.
pub fn lane_end(end: &hookring_bus::drain::LaneEnd) -> journal::LaneEnd {
    journal::LaneEnd { bus: end.bus, lane: end.lane, end: end.end }
}

/// The journal's position as the bus has it.
pub fn bus_end(end: &journal::LaneEnd) -> hookring_bus::drain::LaneEnd {
    hookring_bus::drain::LaneEnd { bus: end.bus, lane: end.lane, end: end.end }
}
