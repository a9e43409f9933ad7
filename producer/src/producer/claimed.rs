//! The lane that a producer holds: claimed, watched, left.

use super::{Producer, places, wall_offset_ns};
use hookring_bus::control::RingError;
use hookring_bus::create;
use hookring_bus::layout::READER_LOCK;
use hookring_bus::owned::{ClaimError, OwnedLane};
use hookring_bus::place::{Places, RING, Refused};
use hookring_bus::sys::{self, Errno, Fd, IdleFd, Open, Stat};
use std::ffi::CStr;

/// A lane and the ring file that it is in.
pub(super) struct Claimed {
    pub(super) lane: OwnedLane,
    /// Which place, and its directory.
    place: usize,
    dir: IdleFd,
    /// A description of the ring apart from the lane's, to take the reader's lock with when no daemon
    /// lives.
    spare: IdleFd,
}

impl Producer {
    /// Claims a lane where one is to be had; creates the ring if it is missing.
    pub(super) fn claim(&mut self) {
        for _ in 0..3 {
            let Some((place, dir)) = self.open_ring_place() else { return };
            match self.claim_in(place, dir) {
                Ok(claimed) => return self.lane = Some(claimed),
                Err(ClaimError::Ring(RingError::System(Errno::NOENT)) | ClaimError::Retired) => {
                    let geometry =
                        create::geometry(create::DEFAULT_LANES, create::DEFAULT_LANE_BYTES);
                    if let Some((_, dir)) = self.open_ring_place() {
                        let _ = create::ring(&dir, &geometry);
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// The first place that can be used, if a ring may stand there.
    fn open_ring_place(&self) -> Option<(usize, Fd)> {
        self.open_place().ok().filter(|(place, _)| self.places().has_ring(*place))
    }

    fn claim_in(&self, place: usize, dir: Fd) -> Result<Claimed, ClaimError> {
        let file = sys::open(Some(&dir), RING, Open::ReadWrite)?;
        let spare = IdleFd::new(sys::open(Some(&dir), RING, Open::ReadWrite)?)?;
        let lane = OwnedLane::claim(file, self.uid, self.crc)?;
        Ok(Claimed { lane, place, dir: IdleFd::new(dir)?, spare })
    }

    /// Once a second: is the ring at its path still the one that is mapped? Is a lane to be had?
    #[cold]
    pub(super) fn check(&mut self, now_ns: u64) {
        self.last_check_ns = now_ns;
        self.wall_offset_ns = wall_offset_ns();
        let places = places(&self.dir, self.uid);
        if let Some(claimed) = &mut self.lane {
            claimed.reopen(&places);
        }
        if self.lane.as_ref().is_some_and(|claimed| !claimed.is_named(&places, RING)) {
            // While a daemon reads the old ring it will say so itself, by retiring it. Where nobody
            // can tell whether one does, what goes into the old ring may be lost.
            let is_orphan = self.move_unread();
            if is_orphan || self.lane.as_ref().is_some_and(|claimed| claimed.spare.get().is_none())
            {
                self.lane = None;
            }
        }
        if self.lane.is_none() {
            self.claim();
        }
    }

    /// Leaves the lane. What is unread there goes to the spool if no daemon will find it.
    pub(super) fn leave(&mut self) {
        self.move_unread();
        self.lane = None;
    }

    /// Moves this lane's unread records to the spool, if no daemon reads this ring or ever will:
    /// `true`. In any other ring they stay: a daemon that died may have journaled some of them, and
    /// only the next one knows which.
    fn move_unread(&mut self) -> bool {
        let Some(mut claimed) = self.lane.take() else { return true };
        let is_orphan = !claimed.is_in_place(&self.places()) && claimed.lock_reader();
        if is_orphan {
            // There is no lane now, so what the spool cannot take either is counted there, and not
            // in a ring that nobody looks at any more.
            let is_whole = claimed.lane.for_each_unread(|header, meta, payload| {
                let _ = self.store(header, meta, payload);
            });
            if !is_whole {
                self.count_dropped(0);
            }
        }
        self.lane = Some(claimed);
        is_orphan
    }
}

impl Claimed {
    /// Opens again what the host has closed, as long as it is to be found.
    fn reopen(&mut self, places: &Places<'_>) {
        if self.dir.get().is_none()
            && let Ok(dir) = places.open(self.place)
            && let Ok(dir) = IdleFd::new(dir)
        {
            self.dir.replace(dir);
        }
        if self.spare.get().is_none()
            && let Some(dir) = self.dir.get()
            && let Ok(file) = sys::open(Some(dir), RING, Open::ReadWrite)
            && let Ok(spare) = IdleFd::new(file)
            && spare.stat().is_same_file(self.stat())
        {
            self.spare.replace(spare);
        }
    }

    fn stat(&self) -> &Stat {
        self.spare.stat()
    }

    /// Whether its ring stands where a daemon that starts looks for it.
    fn is_in_place(&self, places: &Places<'_>) -> bool {
        let old = create::old_name(&self.lane.control().geometry().bus);
        self.is_named(places, RING) || self.is_named(places, &old)
    }

    /// Whether its ring has this name in its place; also where the system does not say, because what
    /// stays in a ring can still be found.
    fn is_named(&self, places: &Places<'_>, name: &CStr) -> bool {
        let stat = |dir: &Fd| sys::stat(Some(dir), name).map_err(Refused::System);
        let named = match self.dir.get() {
            Some(dir) => stat(dir),
            None => places.open(self.place).and_then(|dir| stat(&dir)),
        };
        match named {
            Ok(named) => named.is_same_file(self.stat()),
            Err(Refused::System(errno)) => errno != Errno::NOENT,
            Err(_) => false,
        }
    }

    /// Takes the reader's lock of this ring, if nobody has it and the host left us the descriptor.
    fn lock_reader(&self) -> bool {
        self.spare.get().is_some_and(|spare| sys::lock_byte(spare, READER_LOCK) == Ok(true))
    }
}
