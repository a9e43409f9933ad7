//! Publishing once: what a hook process does. It claims a lane, writes the record with one
//! `pwrite` (a fresh process pays for every page that it maps and touches), stores the tail, ends.

use crate::atomic::Ordering;
use crate::control::{Control, RingError};
use crate::crc::Crc32c;
use crate::doorbell;
use crate::ident::Ids;
use crate::lane::{self, Place, Position};
use crate::layout::{FEATURE_CRC32C, Geometry};
use crate::place::{Places, RING};
use crate::record::{RECORD_HEADER_BYTES, RecordHeader, flag};
use crate::sys::{self, Errno, Fd, Open};

/// A record before it has a place: position, stamp, id and CRC are filled in at publish.
#[derive(Clone)]
pub struct Message<'a> {
    /// Lengths, pid, codes, flags and kind.
    pub header: RecordHeader,
    /// Encoded metadata entries.
    pub meta: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// Stamps the record: time, id, and the time since `started_ns` (`CLOCK_BOOTTIME`).
    pub fn stamp(&mut self, ids: &mut Ids, started_ns: u64) {
        let now_ns = sys::boottime_ns();
        self.header.stamp_ns = now_ns;
        self.header.id = ids.next(sys::realtime_ns());
        self.header.elapsed_us =
            (now_ns.saturating_sub(started_ns) / 1000).min(u32::MAX.into()) as u32;
    }
}

/// Why a ring did not take a record; the spool is next.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// The ring is missing, refused or of another kind.
    Ring(RingError),
    /// The record is larger than half a lane.
    TooLarge,
    /// The ring is being replaced.
    Retired,
    /// Every lane that was tried is in use, full or condemned.
    Busy,
    /// Writing failed.
    System(Errno),
}

/// A ring, opened by a process that publishes once.
pub struct OneShot {
    file: Fd,
    control: Control,
    /// Whether this process knows of the machine's CRC-32C instruction.
    has_instruction: bool,
}

impl OneShot {
    /// Opens the ring in a place.
    pub fn open(place: &Fd, uid: u32) -> Result<OneShot, RingError> {
        let file = sys::open(Some(place), RING, Open::ReadWrite)?;
        let control = Control::map(&file, uid)?;
        Ok(OneShot { file, control, has_instruction: false })
    }

    /// The same, with the machine's CRC-32C instruction where the ring has it, too.
    ///
    /// # Safety
    /// The machine must have it: [`crc::detect`](crate::crc), or
    /// [`crc::is_promised`](crate::crc::is_promised).
    pub unsafe fn with_instruction(self) -> OneShot {
        OneShot { has_instruction: true, ..self }
    }

    /// The control area.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// A CRC-32C as fast as this machine has it, as far as the ring and this process know.
    pub fn crc(&self) -> Crc32c {
        // The ring's word alone is no proof: on a disk it may be another machine's, or a copy.
        if self.has_instruction && self.control.geometry().features & FEATURE_CRC32C != 0 {
            // SAFETY: `has_instruction` is set only where the caller vouched for it
            // (`with_instruction`).
            unsafe { Crc32c::with_instruction() }
        } else {
            Crc32c::portable()
        }
    }

    /// Publishes a stamped message with its CRC. [`Self::ring`] then wakes the reader.
    ///
    /// The lane that it is in stays locked until the process ends: drop this, or exit. One in which
    /// nothing was written is given back at once: the process may be stopped before it ends.
    pub fn publish(&self, message: &mut Message<'_>, seed: u32) -> Result<(), NotTaken> {
        let bytes = message.header.lane_bytes();
        let geometry = *self.control.geometry();
        if bytes > geometry.max_record_bytes() {
            return Err(NotTaken::TooLarge);
        }
        for lane in lane::claim_order(geometry.lanes, seed) {
            if self.control.is_condemned(lane) || !self.try_lock(lane)? {
                continue;
            }
            // Looked at under the lock: a reader that found no lane locked after it retired the ring
            // will not look again.
            if doorbell::is_retired(self.control.doorbell()) {
                self.give_back(lane)?;
                return Err(NotTaken::Retired);
            }
            let Some(mut position) = Position::load(&self.control, lane) else {
                self.give_back(lane)?;
                continue;
            };
            let Some(place) = position.place(bytes) else {
                self.control.spooled(lane).fetch_add(1, Ordering::Relaxed);
                self.give_back(lane)?;
                continue;
            };
            self.write(&geometry, lane, &position, &place, message).map_err(NotTaken::System)?;
            position.advance(&place);
            position.publish(&self.control, lane);
            return Ok(());
        }
        Err(NotTaken::Busy)
    }

    /// Wakes the reader if it sleeps.
    pub fn ring(&self) {
        // Whether the ring is retired does not matter to a process that is done with it.
        doorbell::ring(self.control.doorbell());
    }

    fn try_lock(&self, lane: u32) -> Result<bool, NotTaken> {
        lane::try_lock(&self.file, lane).map_err(NotTaken::System)
    }

    #[cold]
    fn give_back(&self, lane: u32) -> Result<(), NotTaken> {
        lane::give_back(&self.file, lane).map_err(NotTaken::System)
    }

    fn write(
        &self,
        geometry: &Geometry,
        lane: u32,
        position: &Position,
        place: &Place,
        message: &mut Message<'_>,
    ) -> Result<(), Errno> {
        let base = geometry.lane_offset(lane);
        if let Some(at) = place.pad_at {
            let pad = lane::pad(at, geometry.lane_bytes, message.header.stamp_ns).to_bytes();
            let offset = base + position.offset(at) as u64;
            exact(sys::pwrite(&self.file, &pad, offset), RECORD_HEADER_BYTES)?;
        }
        let header = &mut message.header;
        header.position = place.at;
        header.flags |= flag::CRC;
        header.crc = header.compute_crc(self.crc(), message.meta, message.payload);
        let pieces: [&[u8]; 3] = [&header.to_bytes(), message.meta, message.payload];
        let offset = base + position.offset(place.at) as u64;
        exact(sys::pwrite_pieces(&self.file, pieces, offset), header.bytes() as usize)
    }
}

/// Behind a store into a spool, and before anybody is told of it: announces it and wakes the reader.
/// `ring` is what the process has mapped. If that is nothing, or a ring that its reader may have left,
/// the ring is told that stands in `places` by now.
pub fn announce_stored(places: &Places<'_>, ring: Option<&Control>) {
    if ring.is_some_and(|control| !announce_in(control)) {
        return;
    }
    for place in (0..places.count()).filter(|place| places.has_ring(*place)) {
        if let Ok(dir) = places.open(place)
            && let Ok(ring) = OneShot::open(&dir, places.uid())
        {
            announce_in(&ring.control);
            return;
        }
    }
}

/// Says whether the ring is retired.
fn announce_in(control: &Control) -> bool {
    control.announce_store();
    doorbell::ring(control.doorbell())
}

/// A short write leaves nothing visible; the record goes to the spool.
fn exact(written: Result<usize, Errno>, bytes: usize) -> Result<(), Errno> {
    if written? == bytes { Ok(()) } else { Err(Errno::NOSPC) }
}
