//! The bus and the queue that it is compared with, action by action.

use super::Action;
use super::harm::Dropped;
use super::held::Held;
use super::queue::{Event, Lane, Queue, Stands};
use super::reader::Journal;
use crate::bus::{Bus, message};
use hookring_bus::atomic::Ordering;
use hookring_bus::control::Control;
use hookring_bus::crc::Crc32c;
use hookring_bus::create;
use hookring_bus::drain::Drain;
use hookring_bus::ident::Ids;
use hookring_bus::oneshot::{self, NotTaken, OneShot};
use hookring_bus::owned::{OwnedLane, PutError};
use hookring_bus::record::{RecordHeader, kind};
use hookring_bus::spool::{self, DEFAULT_LIMIT_BYTES, NAME_BYTES, Spooled};
use hookring_bus::sys::{self, Fd};
use std::fs::{self, DirBuilder, DirEntry};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

pub(super) const PRODUCERS: usize = 3;
/// The reader comes before more waits than a batch takes.
const MAX_WAITING_BYTES: usize = 900_000;

/// The bus and the queue that it is compared with.
pub(super) struct Run {
    pub(super) bus: Bus,
    pub(super) drain: Option<Drain>,
    pub(super) producers: [Option<OwnedLane>; PRODUCERS],
    pub(super) held: Vec<Held>,
    pub(super) queue: Queue,
    pub(super) journal: Journal,
    ids: Ids,
    published: u32,
    pub(super) dropped: Dropped,
    last_ns: u64,
    /// The ring's file is gone, with what is in it: no reader but this one will find that.
    pub(super) is_ring_lost: bool,
    /// The reader has the spool and the counters open that hooks find.
    pub(super) is_synced: bool,
    /// Nothing happened since by which the spool's counts could be wrong.
    pub(super) is_exact: bool,
    /// How often the reader may have settled which stores are those of the dead.
    pub(super) looks: u32,
    /// It will do so with its next round.
    pub(super) is_look_due: bool,
    /// How often somebody removed or moved what the bus stands in, and what of that was moved.
    pub(super) harms: u32,
    pub(super) moved: u32,
    /// Bytes that readers before this one counted as damaged.
    pub(super) damaged_bytes: u64,
}

impl Run {
    pub(super) fn new() -> Run {
        let mut bus = Bus::new(4);
        let place = bus.temp.path().join("place");
        DirBuilder::new().mode(0o700).create(&place).unwrap();
        bus.place = Some(place);
        let drain = Some(bus.drain());
        Run {
            bus,
            drain,
            producers: [const { None }; PRODUCERS],
            held: Vec::new(),
            queue: Queue::default(),
            journal: Journal::default(),
            ids: Ids::new(create::random_seed()),
            published: 0,
            dropped: Dropped::default(),
            last_ns: 0,
            is_ring_lost: false,
            is_synced: true,
            is_exact: true,
            looks: 0,
            is_look_due: true,
            harms: 0,
            moved: 0,
            damaged_bytes: 0,
        }
    }

    pub(super) fn act(&mut self, action: &Action) {
        match action {
            Action::Hook { bytes } => self.hook(*bytes),
            Action::Publish { producer, sizes } => self.publish(*producer, sizes),
            Action::Commit { producer, bytes } => self.fill(*producer, *bytes, true),
            Action::Abort { producer, bytes } => self.fill(*producer, *bytes, false),
            Action::Kill { producer, sizes } => self.kill(*producer, sizes),
            Action::Read => self.read(),
            Action::Crash { safe } => self.crash(*safe),
            Action::RemoveRing => {
                self.is_ring_lost |= fs::remove_file(self.bus.ring_path()).is_ok();
            }
            Action::Settings { lanes, spool_bytes } => {
                self.bus.options.lanes = *lanes;
                self.bus.options.spool_bytes = *spool_bytes;
                let options = self.bus.options;
                self.drain().set_options(options);
            }
            Action::Maintain => self.maintain(),
            Action::Harm { what, how } => self.harm(*what, *how),
            Action::Lie { lane, lie } => self.lie(*lane, *lie),
            Action::Hold { bytes } => self.hold(*bytes),
            Action::GoOn { which, step } => self.go_on(*which, *step),
            Action::SecondReader => self.try_second_reader(),
        }
        if self.queue.bytes() > MAX_WAITING_BYTES {
            self.read();
        }
    }

    pub(super) fn drain(&mut self) -> &mut Drain {
        self.drain.as_mut().expect("there is always a reader")
    }

    pub(super) fn path(&self) -> PathBuf {
        self.bus.path().to_owned()
    }

    /// As a hook does that finds no place.
    pub(super) fn place(&self) -> Fd {
        let places = self.bus.places();
        places.open(0).or_else(|_| places.create(0)).unwrap()
    }

    /// A payload unlike any other, and a header with a stamp behind every earlier one.
    pub(super) fn event(&mut self, bytes: usize) -> (RecordHeader, Vec<u8>) {
        self.published += 1;
        let mut payload = format!("{}:", self.published).into_bytes();
        payload.resize(payload.len().max(bytes), b'.');
        let mut message = message(&payload);
        while message.header.stamp_ns <= self.last_ns {
            message.stamp(&mut self.ids, 0);
        }
        self.last_ns = message.header.stamp_ns;
        (message.header, payload)
    }

    pub(super) fn publish_event(
        &mut self,
        header: RecordHeader,
        payload: Vec<u8>,
        stands: Stands,
        is_late: bool,
        has_crc: bool,
    ) {
        let (stamp_ns, lane_bytes) = (header.stamp_ns, header.lane_bytes());
        self.queue.push(Event { stamp_ns, payload, stands, is_late, has_crc, lane_bytes });
    }

    fn hook(&mut self, bytes: usize) {
        let (header, payload) = self.event(bytes);
        let place = self.bus.places().open(0);
        let ring = place.ok().and_then(|it| OneShot::open(&it, sys::effective_uid()).ok());
        let mut message = message(&payload);
        message.header = header;
        let taken = ring.as_ref().map(|ring| {
            let before = tails(ring.control());
            ring.publish(&mut message, self.published)?;
            ring.ring();
            let moved = tails(ring.control()).into_iter().zip(before);
            let lane = moved.into_iter().position(|(now, before)| now != before).unwrap();
            Ok((ring.control().geometry().bus, lane as u32))
        });
        match taken {
            Some(Ok(lane)) => self.publish_event(header, payload, Stands::Lane(lane), false, true),
            Some(Err(NotTaken::System(errno))) => panic!("the system refused: {errno:?}"),
            Some(Err(_)) | None => {
                self.spool(header, payload, ring.as_ref().map(OneShot::control));
            }
        }
    }

    /// As a producer does with what its lane does not take. `ring` is what it has mapped.
    pub(super) fn spool(&mut self, header: RecordHeader, payload: Vec<u8>, ring: Option<&Control>) {
        let (used_bytes, limit_bytes) = self.counters();
        if self.is_exact {
            let entry_bytes: u64 = self.spool_entries().sum();
            assert_eq!((used_bytes, limit_bytes), (entry_bytes, self.bus.options.spool_bytes));
        }
        let fits = used_bytes + header.bytes() <= limit_bytes;
        let (place, uid) = (self.place(), sys::effective_uid());
        let spooled = spool::store(&place, uid, header, b"", &payload, Crc32c::fastest()).unwrap();
        assert_eq!(spooled == Spooled::Stored, fits, "{used_bytes} bytes are in the spool");
        if fits {
            let is_told = self.announce(ring);
            let is_late = !self.is_synced && !is_told;
            self.publish_event(header, payload, Stands::Spool, is_late, true);
        } else {
            self.dropped.count();
        }
    }

    /// Says whether the reader can have heard of it.
    pub(super) fn announce(&self, ring: Option<&Control>) -> bool {
        oneshot::announce_stored(&self.bus.places(), ring);
        let is_retired = |ring: &Control| hookring_bus::doorbell::is_retired(ring.doorbell());
        ring.is_some_and(|ring| !is_retired(ring)) || self.bus.ring_path().exists()
    }

    /// What hooks go by: bytes in the spool, and its limit.
    pub(super) fn counters(&self) -> (u64, u64) {
        let bytes = fs::read(self.bus.path().join("spool/usage")).unwrap_or_default();
        let word =
            |at| bytes.get(at..at + 8).map_or(0, |it| u64::from_le_bytes(it.try_into().unwrap()));
        let limit_bytes = word(8);
        (word(0), if limit_bytes == 0 { DEFAULT_LIMIT_BYTES } else { limit_bytes })
    }

    pub(super) fn spool_entries(&self) -> impl Iterator<Item = u64> {
        let entries = fs::read_dir(self.bus.path().join("spool"));
        let entries = entries.into_iter().flatten().map(Result::unwrap);
        let is_entry = |entry: &DirEntry| entry.file_name().len() == NAME_BYTES;
        entries.filter(is_entry).map(|entry| entry.metadata().unwrap().len())
    }

    /// A producer's lane; it claims one where it has none, if it can.
    fn lane(&mut self, producer: usize) -> Option<OwnedLane> {
        let lane = self.producers[producer].take();
        let has_ring = || self.bus.ring_path().exists();
        lane.or_else(|| has_ring().then(|| self.bus.try_lane(crc(producer)).ok())?)
    }

    /// Publishes what was put, and keeps the lane unless it is to be left.
    fn show(&mut self, producer: usize, lane: &mut OwnedLane, put: &mut Vec<Put>) -> bool {
        let is_retired = lane.publish();
        for (header, payload) in put.drain(..) {
            let stands = Stands::Lane(lane_of(lane));
            self.publish_event(header, payload, stands, false, crc(producer).is_some());
        }
        is_retired
    }

    pub(super) fn publish(&mut self, producer: usize, sizes: &[usize]) {
        let mut put = Vec::new();
        for bytes in sizes {
            let (header, payload) = self.event(*bytes);
            let Some(mut lane) = self.lane(producer) else {
                self.spool(header, payload, None);
                continue;
            };
            let has_put = lane.put(&header, b"", &payload);
            if has_put.is_ok() {
                self.producers[producer] = Some(lane);
                put.push((header, payload));
                continue;
            }
            let is_condemned = has_put == Err(PutError::Condemned);
            assert!(!is_condemned || self.queue.is_harmed(lane_of(&lane)), "nothing is damaged");
            // The order stays: what was put is published before anything is spooled.
            let is_retired = self.show(producer, &mut lane, &mut put);
            self.spool(header, payload, Some(lane.control()));
            self.producers[producer] = Some(lane).filter(|_| !is_retired && !is_condemned);
        }
        if let Some(mut lane) = self.producers[producer].take() {
            let is_retired = self.show(producer, &mut lane, &mut put);
            self.producers[producer] = Some(lane).filter(|_| !is_retired);
        }
    }

    fn fill(&mut self, producer: usize, bytes: usize, is_committed: bool) {
        let Some(mut lane) = self.lane(producer) else { return };
        let (header, payload) = self.event(bytes);
        let mut put = Vec::new();
        if let Ok(mut reserved) = lane.reserve(payload.len() + 100) {
            let (first, second) = payload.split_at(payload.len() / 2);
            assert!(lane.fill(&mut reserved, first) && lane.fill(&mut reserved, second));
            if is_committed {
                lane.commit(reserved, &header);
                put.push((header, payload));
            }
        }
        let is_retired = self.show(producer, &mut lane, &mut put);
        self.producers[producer] = Some(lane).filter(|_| !is_retired);
    }

    fn kill(&mut self, producer: usize, sizes: &[usize]) {
        let Some(mut lane) = self.lane(producer) else { return };
        for bytes in sizes {
            let (header, payload) = self.event(*bytes);
            if lane.put(&RecordHeader { kind: kind::DATA, ..header }, b"", &payload).is_ok() {
                self.queue.haunt(lane_of(&lane), payload);
            }
        }
    }
}

/// What was put into a lane and not published yet.
type Put = (RecordHeader, Vec<u8>);

/// Every second producer is one without.
fn crc(producer: usize) -> Option<Crc32c> {
    Some(Crc32c::fastest()).filter(|_| producer.is_multiple_of(2))
}

fn lane_of(lane: &OwnedLane) -> Lane {
    (lane.control().geometry().bus, lane.lane())
}

fn tails(control: &Control) -> Vec<u64> {
    let lanes = 0..control.geometry().lanes;
    lanes.map(|lane| control.tail(lane).load(Ordering::Acquire)).collect()
}
