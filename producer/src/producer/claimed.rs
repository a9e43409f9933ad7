//! The lane that a producer holds: claimed, watched, left.

use super::spare::Spare;
use super::{Producer, wall_offset_ns};
use hookring_bus::control::RingError;
use hookring_bus::create;
use hookring_bus::owned::{ClaimError, OwnedLane};
use hookring_bus::place::RING;
use hookring_bus::sys::{self, Errno, Fd, Open, Stat};

/// A lane and the ring file that it is in.
pub(super) struct Claimed {
    pub(super) lane: OwnedLane,
    pub(super) place: Fd,
    pub(super) stat: Stat,
    pub(super) spare: Spare,
}

impl Producer {
    /// Claims a lane where one is to be had; creates the ring if it is missing.
    pub(super) fn claim(&mut self) {
        for _ in 0..3 {
            let Ok((place, true)) = self.open_place() else { return };
            match self.claim_in(place) {
                Ok(claimed) => return self.lane = Some(claimed),
                Err(ClaimError::Ring(RingError::System(Errno::NOENT)) | ClaimError::Retired) => {
                    let geometry =
                        create::geometry(create::DEFAULT_LANES, create::DEFAULT_LANE_BYTES);
                    if let Ok((place, true)) = self.open_place() {
                        let _ = create::ring(&place, &geometry);
                    }
                }
                Err(_) => return,
            }
        }
    }

    fn claim_in(&self, place: Fd) -> Result<Claimed, ClaimError> {
        let file = sys::open(Some(&place), RING, Open::ReadWrite)?;
        let stat = sys::fstat(&file)?;
        let spare = sys::open(Some(&place), RING, Open::ReadWrite)?;
        let spare = Spare { raw: spare.into_raw(), stat };
        let lane = OwnedLane::claim(file, self.uid, self.crc)?;
        Ok(Claimed { lane, place, stat, spare })
    }

    /// Once a second: is the ring at its path still the one that is mapped? Is a lane to be had?
    #[cold]
    pub(super) fn check(&mut self, now_ns: u64) {
        self.last_check_ns = now_ns;
        self.wall_offset_ns = wall_offset_ns();
        let replaced = self.lane.as_ref().is_some_and(|claimed| {
            let named = sys::stat(Some(&claimed.place), RING);
            !named.is_ok_and(|named| named.is_same_file(&claimed.stat))
        });
        // While a daemon reads the old ring it will say so itself, by retiring it.
        if replaced && self.move_unread() {
            self.lane = None;
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
        let is_orphan = !claimed.is_in_place() && claimed.spare.lock_reader();
        if is_orphan {
            claimed.lane.for_each_unread(|header, meta, payload| {
                // A record that the spool cannot take either is counted by it.
                let _ = self.store(header, meta, payload);
            });
        }
        self.lane = Some(claimed);
        is_orphan
    }
}

impl Claimed {
    /// Whether its ring stands where a daemon that starts looks for it.
    fn is_in_place(&self) -> bool {
        let old = create::old_name(&self.lane.control().geometry().bus);
        let is_ours = |name| {
            sys::stat(Some(&self.place), name).is_ok_and(|named| named.is_same_file(&self.stat))
        };
        is_ours(RING) || is_ours(&old)
    }
}
