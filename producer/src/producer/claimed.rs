//! The lane that a producer holds: claimed, watched, left.

use super::{Producer, places, wall_offset_ns};
use hookring_bus::control::RingError;
use hookring_bus::create;
use hookring_bus::layout::READER_LOCK;
use hookring_bus::owned::{ClaimError, OwnedLane};
use hookring_bus::place::{Places, RING, Refused};
use hookring_bus::sys::{self, Errno, Fd, IdleFd, Open, Stat};
use std::ffi::{CStr, CString};

/// A lane and the ring file that it is in.
pub(super) struct Claimed {
    pub(super) lane: OwnedLane,
    /// Which place, and its directory.
    place: usize,
    dir: IdleFd,
    /// A description of the ring apart from the lane's, to share the reader's lock through when no
    /// daemon lives. Nothing is written through it; a forked child has it, too.
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

    /// Before an event goes to the spool: a daemon finds it there at once, and what is unread in a ring
    /// that was removed only when it has been moved there, too. `true`: it is, and the lane is left.
    pub(super) fn leave_orphan(&mut self) -> bool {
        let places = places(&self.dir, self.uid);
        let is_orphan = self.lane.as_ref().is_some_and(|claimed| !claimed.is_named(&places, RING))
            && self.move_unread();
        if is_orphan {
            self.lane = None;
        }
        is_orphan
    }

    /// Moves this lane's unread records to the spool, if no daemon reads this ring or ever will:
    /// `true`. In any other ring they stay: a daemon that died may have journaled some of them, and
    /// only the next one knows which.
    fn move_unread(&mut self) -> bool {
        let Some(mut claimed) = self.lane.take() else { return true };
        let is_orphan = claimed.lock_orphan(&self.places());
        if is_orphan {
            // There is no lane now, so what the spool cannot take either is counted there, and not
            // in a ring that nobody looks at any more.
            let is_whole = claimed.lane.for_each_unread(|header, meta, payload| {
                let _ = self.store(header, meta, payload);
            });
            if !is_whole {
                self.count_dropped(0);
            }
            claimed.unlock_reader();
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

    /// Whether no daemon reads its ring or ever will. Then none can begin to until
    /// [`Self::unlock_reader`].
    fn lock_orphan(&self, places: &Places<'_>) -> bool {
        if self.is_in_place(places) || !self.share_reader_lock() {
            return false;
        }
        // A daemon may have renamed it while we looked, and died; without its lock none does now.
        let is_orphan = !self.is_in_place(places);
        if !is_orphan {
            self.unlock_reader();
        }
        is_orphan
    }

    /// Whether its ring stands where a daemon that starts looks for it: under one of the names that it
    /// gets one after another.
    fn is_in_place(&self, places: &Places<'_>) -> bool {
        let old = create::old_name(&self.lane.control().geometry().bus);
        self.is_named(places, RING) || self.is_named(places, &old) || self.is_set_aside(places)
    }

    /// Whether its ring has this name in its place.
    fn is_named(&self, places: &Places<'_>, name: &CStr) -> bool {
        self.is_found(places, |dir| sys::stat(Some(dir), name).map(|stat| self.is_ours(&stat)))
    }

    /// Whether its ring waits for salvage in its place, under a name that does not say which it is.
    fn is_set_aside(&self, places: &Places<'_>) -> bool {
        self.is_found(places, |dir| {
            let mut found = false;
            sys::for_each_name(sys::open(Some(dir), c".", Open::Dir)?, |name| {
                let stat =
                    |name: CString| sys::stat(Some(dir), &name).is_ok_and(|s| self.is_ours(&s));
                found = name.starts_with(create::BAD_PREFIX.as_bytes())
                    && CString::new(name).is_ok_and(stat);
                !found
            })?;
            Ok(found)
        })
    }

    /// What `look` finds in the place; `true` also where the system does not say, because what stays
    /// in a ring can still be found.
    fn is_found(&self, places: &Places<'_>, look: impl FnOnce(&Fd) -> Result<bool, Errno>) -> bool {
        let look = |dir: &Fd| look(dir).map_err(Refused::System);
        let found = match self.dir.get() {
            Some(dir) => look(dir),
            None => places.open(self.place).and_then(|dir| look(&dir)),
        };
        match found {
            Ok(found) => found,
            Err(Refused::System(errno)) => errno != Errno::NOENT,
            Err(_) => false,
        }
    }

    fn is_ours(&self, stat: &Stat) -> bool {
        stat.is_same_file(self.stat())
    }

    /// Shares the reader's lock of this ring, if no daemon has it and the host left us the descriptor.
    /// Other producers that leave may have it at the same time, each for its own lane.
    fn share_reader_lock(&self) -> bool {
        self.spare.get().is_some_and(|spare| sys::share_byte(spare, READER_LOCK) == Ok(true))
    }

    /// Gives the reader's lock back by name: a forked child that has the descriptor would keep it.
    fn unlock_reader(&self) {
        if let Some(spare) = self.spare.get() {
            let _ = sys::unlock_byte(spare, READER_LOCK);
        }
    }
}
