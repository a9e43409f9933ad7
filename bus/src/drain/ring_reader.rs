//! The reader's side of one ring: its lanes, and its retirement.

use super::Counts;
use super::batch::{Batch, LaneEnd};
use super::lane_reader::{Lane, LaneReader};
use super::sigbus::Guard;
use super::turn::Turn;
use crate::atomic::{AtomicU32, Ordering, fence};
use crate::control::{Control, RingError};
use crate::crc::Crc32c;
use crate::doorbell;
use crate::lane;
use crate::layout::{FEATURE_BARRIER, LANE_LOCK, READER_LOCK};
use crate::region::Region;
use crate::sys::{self, Errno, Fd, Open, Stat};
use std::ffi::CStr;

/// Why a ring cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// Another reader holds it.
    Busy,
    /// It cannot be used.
    Ring(RingError),
}

/// A ring that is read. Its reader's lock lives as long as this.
pub(super) struct RingReader {
    // The guards go before what they guard.
    guards: [Guard; 2],
    control: Control,
    data: Region,
    lanes: Vec<LaneReader>,
    /// Those that the round has something to look at in.
    busy: Vec<usize>,
    /// Some lane may be condemned: else nobody need look.
    may_be_condemned: bool,
    /// The stores that its producers had announced when that was asked last.
    announced: Option<u64>,
    file: Fd,
    stat: Stat,
    crc: Crc32c,
    retirement: Retirement,
    /// The mode that it was found with, if others could have opened it.
    open_mode: Option<u32>,
    /// What producers dropped, when its header was last seen whole.
    noted_dropped: u64,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Retirement {
    InUse,
    /// Told to leave; some lane may still be locked.
    Leaving,
    /// No lane was locked: one more round, and it is empty for good.
    LastRound,
}

impl RingReader {
    /// Opens the ring of this name as its reader.
    pub(super) fn open(
        place: &Fd,
        name: &CStr,
        uid: u32,
        counts: &mut Counts,
    ) -> Result<RingReader, ReadError> {
        let ring = |errno| ReadError::Ring(RingError::System(errno));
        let file = sys::open(Some(place), name, Open::ReadWrite).map_err(ring)?;
        let open_mode = close_to_others(&file, uid).map_err(ring)?;
        let control = Control::map(&file, uid).map_err(ReadError::Ring)?;
        if !sys::lock_byte(&file, READER_LOCK).map_err(ring)? {
            return Err(ReadError::Busy);
        }
        let stat = sys::fstat(&file).map_err(ring)?;
        let geometry = *control.geometry();
        let bytes = (geometry.file_bytes() - geometry.data_offset()) as usize;
        let data = Region::map(&file, geometry.data_offset(), bytes).map_err(ring)?;
        let guards = [Guard::new(control.region()), Guard::new(&data)];
        let crc = Crc32c::fastest();
        let guard = &guards[1];
        let view = Lane { control: &control, data: &data, guard, file: &file, crc };
        let lanes = (0..geometry.lanes).map(|lane| LaneReader::new(&view, lane, counts)).collect();
        let retirement = Retirement::InUse;
        let noted_dropped = control.dropped().load(Ordering::Relaxed);
        Ok(RingReader {
            guards,
            control,
            data,
            lanes,
            busy: Vec::new(),
            may_be_condemned: true,
            announced: None,
            file,
            stat,
            crc,
            retirement,
            open_mode,
            noted_dropped,
        })
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    pub(super) fn doorbell(&self) -> &AtomicU32 {
        self.control.doorbell()
    }

    /// Whether its producers leave a fence to the reader.
    pub(super) fn has_joined(&self) -> bool {
        self.control.geometry().features & FEATURE_BARRIER != 0
    }

    /// Whether its producers announced a store into a spool since the last call.
    pub(super) fn hears_of_store(&mut self) -> bool {
        let announced = Some(self.control.announced().load(Ordering::Relaxed));
        std::mem::replace(&mut self.announced, announced) != announced
    }

    /// The file behind the mapping.
    pub(super) fn stat(&self) -> &Stat {
        &self.stat
    }

    pub(super) fn bus(&self) -> [u8; 16] {
        self.control.geometry().bus
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// How many lanes some producer holds right now.
    pub(super) fn locked_lanes(&self) -> usize {
        let lanes = u64::from(self.control.geometry().lanes);
        let is_locked =
            |first, lanes| sys::is_locked(&self.file, LANE_LOCK + first, lanes) == Ok(true);
        // Mostly none is, and one question says so.
        if !is_locked(0, lanes) {
            return 0;
        }
        (0..lanes).filter(|lane| is_locked(*lane, 1)).count()
    }

    fn with_lane<T>(
        &mut self,
        lane: usize,
        act: impl FnOnce(&mut LaneReader, &Lane<'_>) -> T,
    ) -> T {
        let view = Lane {
            control: &self.control,
            data: &self.data,
            guard: &self.guards[1],
            file: &self.file,
            crc: self.crc,
        };
        let result = act(&mut self.lanes[lane], &view);
        self.may_be_condemned |= self.lanes[lane].is_condemned();
        result
    }

    /// See [`LaneReader::recover`].
    pub(super) fn recover(
        &mut self,
        ends: &[LaneEnd],
        is_journaled: &dyn Fn(&[u8; 16]) -> bool,
        counts: &mut Counts,
    ) {
        let bus = self.bus();
        let lanes = self.lanes.len();
        for end in ends.iter().filter(|end| end.bus == bus && usize::from(end.lane) < lanes) {
            self.with_lane(usize::from(end.lane), |lane, view| {
                lane.recover(view, end.end, is_journaled, counts);
            });
        }
    }

    /// Ids of events that are journaled and still stand in a lane that waits to be salvaged.
    pub(super) fn kept_ids(&self) -> impl Iterator<Item = [u8; 16]> {
        self.lanes.iter().flat_map(LaneReader::kept_ids)
    }

    pub(super) fn load_tails(&mut self) {
        self.busy.clear();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            lane.load_tail(&self.control);
            if lane.is_behind() {
                self.busy.push(index);
            }
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.lanes.iter().any(|lane| lane.has_work(&self.control, &self.data))
    }

    /// Calls `each` with what [`LaneReader::peek`] says of each lane in which there is something.
    // Not inlined, or the compiler spends registers on it that a run needs.
    #[inline(never)]
    pub(super) fn peek_all(
        &mut self,
        now_ns: u64,
        counts: &mut Counts,
        mut each: impl FnMut(Turn, usize),
    ) {
        for at in 0..self.busy.len() {
            let lane = self.busy[at];
            if let Some(turn) = self.with_lane(lane, |lane, view| lane.peek(view, now_ns, counts)) {
                each(turn, lane);
            }
        }
    }

    /// See `PlaceSet::take_run`.
    pub(super) fn take_run(
        &mut self,
        lane: usize,
        now_ns: u64,
        goes_on: impl Fn(&Turn) -> bool,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> Option<Turn> {
        self.with_lane(lane, |lane, view| lane.take_run(view, now_ns, goes_on, batch, counts))
    }

    /// Salvages condemned lanes whose owners are gone, as far as the batch has room.
    pub(super) fn salvage(&mut self, now_ns: u64, batch: &mut Batch, counts: &mut Counts) {
        if !self.may_be_condemned {
            return;
        }
        for index in 0..self.lanes.len() {
            if !self.lanes[index].is_condemned() || batch.is_full() {
                continue;
            }
            if lane::try_lock(&self.file, index as u32) == Ok(true) {
                self.with_lane(index, |lane, view| lane.salvage(view, now_ns, batch, counts));
            }
        }
        self.may_be_condemned = self.lanes.iter().any(LaneReader::is_condemned);
    }

    pub(super) fn release(&mut self) {
        for index in 0..self.lanes.len() {
            if !self.lanes[index].is_pending() {
                continue;
            }
            let reset = self.lanes[index].is_salvaged();
            self.with_lane(index, LaneReader::release);
            if reset {
                // Held by this description only while the lane is salvaged and reset.
                let _ =
                    sys::unlock_byte(&self.file, LANE_LOCK + u64::from(self.lanes[index].index()));
            }
        }
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = LaneEnd> {
        let bus = self.bus();
        self.lanes.iter().map(move |lane| lane.end(bus)).filter(|end| end.end > 0)
    }

    /// Bytes published and not yet released, over all lanes.
    pub(super) fn used_bytes(&self) -> u64 {
        let used = |lane: u32| {
            let tail = self.control.tail(lane).load(Ordering::Relaxed);
            let head = self.control.head(lane).load(Ordering::Relaxed);
            tail.saturating_sub(head).min(self.control.geometry().lane_bytes)
        };
        (0..self.control.geometry().lanes).map(used).sum()
    }

    /// Why the ring should be replaced: its mapped file was cut off, its header changed, or others
    /// could open it.
    pub(super) fn damage(&self) -> Option<String> {
        if !self.is_whole() {
            return Some("it was cut off or written over while it was read".to_owned());
        }
        let stat = sys::fstat(&self.file).unwrap_or(self.stat);
        let open_mode = Some(stat.mode & 0o7777).filter(|_| !stat.is_private_file(self.stat.uid));
        let mode = self.open_mode.or(open_mode)?;
        Some(format!("others could open it (mode {mode:04o})"))
    }

    fn is_whole(&self) -> bool {
        !self.guards.iter().any(Guard::is_hit)
            && self.control.is_header_intact()
            && sys::fstat(&self.file).is_ok_and(|stat| stat.bytes == self.stat.bytes)
    }

    /// Condemns lanes whose words lie though nothing was published there; between two rounds.
    pub(super) fn check_words(&mut self, counts: &mut Counts) {
        self.lanes.iter_mut().for_each(|lane| lane.check_words(&self.control, counts));
        self.may_be_condemned = true;
    }

    /// Gives the file back to its user, where its mode keeps hooks out.
    pub(super) fn open_to_owner(&self) {
        if sys::fstat(&self.file)
            .is_ok_and(|stat| stat.mode & 0o7777 & !0o600 == 0 && stat.mode & 0o600 != 0o600)
        {
            let _ = sys::set_mode(&self.file, 0o600);
        }
    }

    /// Notes what noise over the header would hide; between two rounds.
    pub(super) fn note_dropped(&mut self) {
        self.noted_dropped = self.dropped_events();
    }

    /// Events that producers dropped because neither ring nor spool took them.
    pub(super) fn dropped_events(&self) -> u64 {
        // Before the look at the header: noise that comes in between shows there.
        let dropped = self.control.dropped().load(Ordering::Acquire);
        if self.is_whole() { dropped } else { self.noted_dropped }
    }

    /// Tells its producers to leave, and keeps others out.
    pub(super) fn retire(&mut self) {
        if self.retirement == Retirement::InUse {
            doorbell::retire(self.control.doorbell());
            // Whether this works or not, the next reader tries it, too.
            let _ = close_to_others(&self.file, self.stat.uid);
            self.retirement = Retirement::Leaving;
        }
    }

    /// Moves a retired ring on, between two rounds; `true`: it is empty for good.
    pub(super) fn is_finished(&mut self) -> bool {
        match self.retirement {
            Retirement::InUse => false,
            Retirement::Leaving => {
                // Producers look at the retired bit after they took a lane's lock, so a lane that is
                // free now gets no further record.
                let locked =
                    sys::is_locked(&self.file, LANE_LOCK, u64::from(self.control.geometry().lanes));
                // What was published under a lock is seen now that the lock is gone: the kernel lets
                // go of it after its owner's last store, and answers before the next load of a tail.
                fence(Ordering::SeqCst);
                if locked == Ok(false) {
                    self.retirement = Retirement::LastRound;
                }
                false
            }
            Retirement::LastRound => {
                let open = |lane: &LaneReader| lane.is_condemned() || lane.is_pending();
                !self.has_work() && !self.lanes.iter().any(open)
            }
        }
    }
}

/// Takes a file of `uid` away from everybody else, and says which mode it had if they could open it.
pub(super) fn close_to_others(file: &Fd, uid: u32) -> Result<Option<u32>, Errno> {
    let stat = sys::fstat(file)?;
    if !stat.is_own_file(uid) || stat.is_private_file(uid) {
        return Ok(None);
    }
    sys::set_mode(file, 0o600)?;
    Ok(Some(stat.mode & 0o7777))
}
