//! The lane that a producer holds, and what becomes of the records in it.

use super::Producer;
use hookring_bus::control::RingError;
use hookring_bus::create;
use hookring_bus::doorbell;
use hookring_bus::layout::READER_LOCK;
use hookring_bus::owned::{ClaimError, OwnedLane};
use hookring_bus::place::{Places, RING, Refused};
use hookring_bus::sys::{self, Errno, Fd, IdleFd, Open, Stat, WithoutSigxfsz};
use std::ffi::{CStr, CString};

/// A reader that cannot be asked whether it lives, and has released nothing for so long, does not.
const PATIENCE_NS: u64 = 90_000_000;

/// A lane and the ring file that it is in.
pub(super) struct Claimed {
    pub(super) lane: OwnedLane,
    /// Which place, and its directory.
    place: usize,
    dir: IdleFd,
    /// A description of the ring apart from the lane's, to share the reader's lock through when no
    /// daemon lives. Nothing is written through it; a forked child has it, too.
    spare: IdleFd,
    /// Up to where the reader had come, and since when, while nobody can ask whether one lives.
    seen_head: Option<(u64, u64)>,
    /// Since when its ring is retired and without a name, and its reader has not taken everything.
    pub(super) awaited_since_ns: Option<u64>,
}

/// Who answers for the records of a lane that its reader has not released.
pub(super) enum Owed {
    /// Nobody needs to: there are none, or a daemon that starts finds the ring under its name.
    Nothing,
    /// A daemon reads the ring, which has no name: should that one die, only its producers have it.
    Watched,
    /// We do: no daemon reads the ring or ever will, until [`Claimed::unlock_reader`].
    Ours,
    /// Who knows: the ring has no name, and the host has closed the descriptor that could tell whether
    /// a daemon reads it. No other way leads to its lock: what is mapped can be opened again without
    /// a name by root alone.
    Unknown,
}

impl Producer {
    /// Claims a lane where one is to be had; creates the ring if it is missing.
    pub(super) fn claim(&mut self) {
        let _no_signal = WithoutSigxfsz::begin();
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
        let dir = IdleFd::new(dir)?;
        Ok(Claimed { lane, place, dir, spare, seen_head: None, awaited_since_ns: None })
    }
}

impl Claimed {
    /// Opens again what the host has closed, as long as it is to be found.
    pub(super) fn reopen(&mut self, places: &Places<'_>) {
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

    /// Who answers for what is unread here.
    pub(super) fn owed(&self, places: &Places<'_>) -> Owed {
        if self.lane.is_read() || self.is_in_place(places) {
            return Owed::Nothing;
        }
        let Some(spare) = self.spare.get() else { return Owed::Unknown };
        if sys::share_byte(spare, READER_LOCK) != Ok(true) {
            return Owed::Watched;
        }
        // A daemon may have renamed it while we looked, and died; without its lock none does now.
        if self.is_in_place(places) {
            self.unlock_reader();
            return Owed::Nothing;
        }
        Owed::Ours
    }

    /// Whether a daemon surely reads its ring, or will.
    pub(super) fn has_reader(&self, places: &Places<'_>) -> bool {
        let has_lock = |spare: &Fd| {
            let is_free = sys::share_byte(spare, READER_LOCK) == Ok(true);
            if is_free {
                self.unlock_reader();
            }
            !is_free
        };
        self.is_in_place(places) || self.spare.get().is_some_and(has_lock)
    }

    /// Whether its producers are told to leave.
    pub(super) fn is_retired(&self) -> bool {
        doorbell::is_retired(self.lane.control().doorbell())
    }

    /// Whether a reader that cannot be asked has done something lately.
    pub(super) fn seems_watched(&mut self, now_ns: u64) -> bool {
        let head = self.lane.head();
        let seen = self.seen_head.filter(|seen| seen.0 == head).unwrap_or((head, now_ns));
        self.seen_head = Some(seen);
        now_ns.saturating_sub(seen.1) < PATIENCE_NS
    }

    /// Whether its ring stands where a daemon that starts looks for it: under one of the names that it
    /// gets one after another.
    pub(super) fn is_in_place(&self, places: &Places<'_>) -> bool {
        let old = create::old_name(&self.lane.control().geometry().bus);
        self.is_named(places, RING) || self.is_named(places, &old) || self.is_set_aside(places)
    }

    /// Whether its ring has this name in its place.
    pub(super) fn is_named(&self, places: &Places<'_>, name: &CStr) -> bool {
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

    /// Gives the share of the reader's lock that [`Self::owed`] took back by name: a forked child that has the descriptor would keep it.
    pub(super) fn unlock_reader(&self) {
        if let Some(spare) = self.spare.get() {
            let _ = sys::unlock_byte(spare, READER_LOCK);
        }
    }
}
