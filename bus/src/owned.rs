//! A lane that a long-lived producer keeps: mapped, so that a publish makes no system call.

use crate::atomic::Ordering;
use crate::control::{Control, RingError};
use crate::crc::Crc32c;
use crate::doorbell;
use crate::lane::{self, Place, Position};
use crate::layout::FEATURE_BARRIER;
use crate::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind};
use crate::region::Region;
use crate::sys::{self, Advice, Errno, Fd, MappedLock};

/// Why no lane could be claimed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ClaimError {
    /// The ring cannot be used.
    Ring(RingError),
    /// Every lane that a long-lived producer may take is taken.
    NoneFree,
    /// The ring is being replaced; open the new one.
    Retired,
}

impl From<Errno> for ClaimError {
    fn from(errno: Errno) -> Self {
        ClaimError::Ring(RingError::System(errno))
    }
}

/// Why a record is not in the lane.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PutError {
    /// It is larger than half a lane.
    TooLarge,
    /// The reader has not made room.
    Full,
    /// The reader condemned the lane, or its words lie: claim another.
    Condemned,
}

/// A claimed lane: the kernel lock on it lives as long as this value's mappings.
///
/// It may be sent to another thread. A forked child does not have the mappings: it must call
/// [`OwnedLane::forget`] and claim a lane of its own.
pub struct OwnedLane {
    // Dropped in this order; the lock goes with the last mapping.
    data: Region,
    control: Control,
    _lock: MappedLock,
    lane: u32,
    position: Position,
    crc: Option<Crc32c>,
    /// The reader makes the fence between a publish and the look at the doorbell.
    has_joined: bool,
}

impl OwnedLane {
    /// Claims a lane of the ring behind `file`, maps it and touches its pages. `file` must have been
    /// opened for this claim alone: one description, one lane.
    pub fn claim(file: Fd, uid: u32, crc: Option<Crc32c>) -> Result<OwnedLane, ClaimError> {
        let control = Control::map(&file, uid).map_err(ClaimError::Ring)?;
        let geometry = *control.geometry();
        // Without this and that of the data a forked child would hold the lock on, and could write here.
        control.region().advise(Advice::DontFork)?;
        for lane in 0..geometry.long_lived_lanes() {
            if control.is_condemned(lane) {
                continue;
            }
            // Mapped first, so that little stands between lock and close: a child that another thread
            // forks there has the descriptor, and with it the lock.
            let bytes = geometry.lane_bytes as usize;
            let data = Region::map(&file, geometry.lane_offset(lane), bytes)?;
            data.advise(Advice::DontFork)?;
            if !lane::try_lock(&file, lane)? {
                continue;
            }
            if doorbell::is_retired(control.doorbell()) {
                return Err(ClaimError::Retired);
            }
            let Some(position) = Position::load(&control, lane) else {
                // Nothing was written under this lock, and the reader needs it to mend the lane.
                lane::give_back(&file, lane)?;
                continue;
            };
            let _lock = MappedLock::new(file)?;
            data.prefault();
            let has_joined = geometry.features & FEATURE_BARRIER != 0 && sys::join_barrier();
            return Ok(OwnedLane { data, control, _lock, lane, position, crc, has_joined });
        }
        Err(ClaimError::NoneFree)
    }

    /// The ring's control area.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The lane's number.
    pub fn lane(&self) -> u32 {
        self.lane
    }

    /// Has every record from now on carry a CRC, or none.
    pub fn set_crc(&mut self, crc: Option<Crc32c>) {
        self.crc = crc;
    }

    /// Gives the mappings up without unmapping them, in a forked child.
    pub fn forget(self) {
        self.data.forget();
        self.control.forget();
    }

    /// Writes a record behind the last one; it is not visible before [`Self::publish`]. Its header is
    /// `header` with position, lengths, kind and, where this lane computes one, CRC.
    // Always inlined, as is what it calls: so the header's fields stay in registers until they are
    // stored in the ring.
    #[inline(always)]
    pub fn put(
        &mut self,
        header: &RecordHeader,
        meta: &[u8],
        payload: &[u8],
    ) -> Result<(), PutError> {
        let (meta_bytes, payload_bytes) = (meta.len() as u32, payload.len() as u32);
        let header = RecordHeader { meta_bytes, payload_bytes, ..*header };
        let place = self.find(header.lane_bytes())?;
        let body = self.position.offset(place.at) + RECORD_HEADER_BYTES;
        self.data.write(body + meta.len(), payload);
        if !meta.is_empty() {
            self.data.write(body, meta);
        }
        self.write_header(&place, header, |header, crc| header.compute_crc(crc, meta, payload));
        Ok(())
    }

    #[inline(always)]
    fn write_header(
        &mut self,
        place: &Place,
        mut header: RecordHeader,
        compute: impl FnOnce(RecordHeader, Crc32c) -> u32,
    ) {
        header.position = place.at;
        header.kind = kind::DATA;
        if let Some(crc) = self.crc {
            header.flags |= flag::CRC;
            header.crc = compute(header, crc);
        }
        self.data.write(self.position.offset(place.at), &header.to_bytes());
        self.position.advance(place);
    }

    /// Makes every record that was put visible, with one release store, and wakes the reader if it
    /// sleeps. Says whether the ring is retired: then claim a lane of the new one.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.position.publish(&self.control, self.lane);
        let word = self.control.doorbell();
        if self.has_joined { doorbell::ring_joined(word) } else { doorbell::ring(word) }
    }

    /// Room for a record that is filled in place. `payload_bytes` is the most that will be put in.
    #[inline]
    pub fn reserve(&mut self, payload_bytes: usize) -> Result<Reserved, PutError> {
        let bytes =
            (RECORD_HEADER_BYTES as u64 + payload_bytes as u64).next_multiple_of(RECORD_ALIGN);
        let place = self.find(bytes)?;
        Ok(Reserved { place, capacity: payload_bytes, used: 0 })
    }

    /// Adds bytes to a reserved record; `false` if they do not fit, and then none are added.
    #[inline]
    pub fn fill(&mut self, reserved: &mut Reserved, bytes: &[u8]) -> bool {
        if bytes.len() > reserved.capacity - reserved.used {
            return false;
        }
        let body = self.position.offset(reserved.place.at) + RECORD_HEADER_BYTES;
        self.data.write(body + reserved.used, bytes);
        reserved.used += bytes.len();
        true
    }

    /// Writes the header of a reserved record; [`Self::publish`] then makes it visible. A reserved
    /// record that is not committed leaves no trace.
    #[inline]
    pub fn commit(&mut self, reserved: Reserved, header: &RecordHeader) {
        let header = RecordHeader { meta_bytes: 0, payload_bytes: reserved.used as u32, ..*header };
        let payload = if self.crc.is_some() { self.filled(&reserved) } else { Vec::new() };
        let end = reserved.place.at + header.lane_bytes();
        let place = Place { end, ..reserved.place };
        self.write_header(&place, header, |header, crc| header.compute_crc(crc, b"", &payload));
    }

    /// What a reserved record holds so far: for whoever must send it another way.
    pub fn filled(&self, reserved: &Reserved) -> Vec<u8> {
        let body = self.position.offset(reserved.place.at) + RECORD_HEADER_BYTES;
        self.copy(body, reserved.used)
    }

    /// Up to where the reader has released what is in this lane.
    pub fn head(&self) -> u64 {
        // Acquire: what the reader did before it said so is done.
        self.control.head(self.lane).load(Ordering::Acquire)
    }

    /// Whether the reader has released everything.
    pub fn is_read(&self) -> bool {
        self.head() >= self.position.tail()
    }

    /// Calls `each` with every record of this lane that the reader has not released. If that
    /// `is_released` then, the record is zeroed: for a producer that shares the reader's lock, because
    /// no daemon lives. `false`: it ended at a damaged record, behind which nothing can be found.
    pub fn for_each_unread(
        &mut self,
        is_released: bool,
        mut each: impl FnMut(RecordHeader, &[u8], &[u8]),
    ) -> bool {
        let mut at = self.head();
        let tail = self.position.tail();
        while at < tail {
            let offset = self.position.offset(at);
            let header = RecordHeader::from_words(self.data.read_header(offset));
            let available = (tail - at).min((self.data.len() - offset) as u64);
            if !header.is_plausible(at, available) {
                return false;
            }
            if header.kind == kind::DATA {
                let (meta, payload) = (header.meta_bytes as usize, header.payload_bytes as usize);
                let body = self.copy(offset + RECORD_HEADER_BYTES, meta + payload);
                let (meta, payload) = body.split_at(meta);
                each(header, meta, payload);
            }
            at += header.lane_bytes();
            if !is_released {
                continue;
            }
            // Release: pairs with a later owner's acquire of the head.
            self.control.head(self.lane).store(at, Ordering::Release);
            // Whoever may still find the file, and its header damaged, takes what is not zero for owed.
            self.data.zero(offset, header.lane_bytes() as usize);
        }
        true
    }

    fn copy(&self, offset: usize, bytes: usize) -> Vec<u8> {
        let mut copy = Vec::new();
        self.data.append_to(offset, bytes, &mut copy);
        copy
    }

    // Always inlined for the same reason as `put`.
    #[inline(always)]
    fn find(&mut self, bytes: u64) -> Result<Place, PutError> {
        if self.control.is_condemned(self.lane) {
            return Err(PutError::Condemned);
        }
        let small = bytes <= self.data.len() as u64 / 2;
        let place = match if small { self.position.place(bytes) } else { None } {
            Some(place) => place,
            None => self.find_slowly(bytes)?,
        };
        if let Some(at) = place.pad_at {
            let pad = lane::pad(at, self.data.len() as u64, 0);
            self.data.write(self.position.offset(at), &pad.to_bytes());
        }
        Ok(place)
    }

    #[cold]
    fn find_slowly(&mut self, bytes: u64) -> Result<Place, PutError> {
        if bytes > self.control.geometry().max_record_bytes() {
            return Err(PutError::TooLarge);
        }
        if !self.position.refresh(&self.control, self.lane) {
            return Err(PutError::Condemned);
        }
        self.position.place(bytes).ok_or_else(|| {
            self.control.spooled(self.lane).fetch_add(1, Ordering::Relaxed);
            PutError::Full
        })
    }
}

/// A record that is being filled in place; it borrows nothing, so that its owner can hold both.
pub struct Reserved {
    place: Place,
    capacity: usize,
    used: usize,
}

impl Reserved {
    /// Payload bytes put in so far.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing was put in yet.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }
}
