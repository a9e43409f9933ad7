//! What others do to the bus: they remove and move what it stands in, and write over the words of lanes.

use super::queue::Lane;
use super::run::Run;
use hookring_bus::layout::{Geometry, word};
use hookring_bus::oneshot::OneShot;
use hookring_bus::spool::USAGE_BYTES;
use hookring_bus::sys;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::path::PathBuf;

/// What somebody takes hold of.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    Place,
    Spool,
    /// The spool's file `usage`.
    Counters,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum How {
    Removed,
    /// To where nobody looks.
    Moved,
    /// Moved, and something empty is put there.
    Replaced,
}

/// A word of a lane that cannot be, whatever its owner does. (What can be is for `words.rs`.)
#[derive(Copy, Clone, Debug)]
pub(super) enum Lie {
    TailUneven,
    TailHuge,
    TailBeyond,
    HeadUneven,
    HeadHuge,
    Condemned,
}

/// Of the counters' files that were there one after another.
#[derive(Default)]
pub(super) struct Dropped {
    /// Counted in the file that hooks find now.
    now: u64,
    /// The reader has that open for certain.
    is_open: bool,
    /// In files that are gone: those that the reader had open for certain, and all.
    before_known: u64,
    before: u64,
}

impl Dropped {
    pub(super) fn count(&mut self) {
        self.now += 1;
    }

    /// The reader has looked after its places.
    pub(super) fn look(&mut self) {
        self.is_open = true;
    }

    fn leave(&mut self) {
        self.before_known += if self.is_open { self.now } else { 0 };
        self.before += self.now;
        (self.now, self.is_open) = (0, false);
    }

    /// Another reader knows of the present file alone.
    pub(super) fn begin_anew(&mut self) {
        *self = Dropped { now: self.now, is_open: true, ..Dropped::default() };
    }

    pub(super) fn check(&self, reported: u64) {
        let known = self.before_known + self.now..=self.before + self.now;
        assert!(known.contains(&reported), "{reported} dropped, not {known:?}");
    }
}

impl Run {
    pub(super) fn harm(&mut self, what: What, how: How) {
        let path = match what {
            What::Place => self.path(),
            What::Spool => self.path().join("spool"),
            What::Counters => self.path().join("spool/usage"),
        };
        if !path.exists() {
            return;
        }
        let is_file = path.is_file();
        match how {
            How::Removed if is_file => fs::remove_file(&path).unwrap(),
            How::Removed => fs::remove_dir_all(&path).unwrap(),
            How::Moved | How::Replaced => fs::rename(&path, self.elsewhere()).unwrap(),
        }
        if how == How::Replaced && is_file {
            fs::write(&path, [0; USAGE_BYTES]).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        } else if how == How::Replaced {
            DirBuilder::new().mode(0o700).create(&path).unwrap();
        }
        match (what, how) {
            (What::Counters, _) => {}
            (_, How::Removed) => self.queue.remove_spooled(),
            _ => self.queue.move_spooled(),
        }
        self.is_ring_lost |= what == What::Place;
        self.dropped.leave();
        self.harms += 1;
        (self.is_synced, self.is_exact) = (false, false);
    }

    /// A name that nothing has.
    fn elsewhere(&mut self) -> PathBuf {
        self.moved += 1;
        self.bus.temp.path().join(format!("moved-{}", self.moved))
    }

    pub(super) fn lie(&mut self, lane: u32, lie: Lie) {
        let Ok(place) = self.bus.places().open(0) else { return };
        let Ok(ring) = OneShot::open(&place, sys::effective_uid()) else { return };
        let Geometry { lanes, lane_bytes, bus, .. } = *ring.control().geometry();
        let lane = lane % lanes;
        let [head, tail] = [ring.control().head(lane), ring.control().tail(lane)]
            .map(|word| word.load(hookring_bus::atomic::Ordering::SeqCst));
        let (at, value) = match lie {
            Lie::TailUneven => (word::TAIL, tail | 1),
            Lie::TailHuge => (word::TAIL, u64::MAX),
            Lie::TailBeyond => (word::TAIL, head.wrapping_add(lane_bytes + 64)),
            Lie::HeadUneven => (word::HEAD, head | 1),
            Lie::HeadHuge => (word::HEAD, u64::MAX),
            Lie::Condemned => (word::CONDEMNED, 1),
        };
        self.bus.scribble((Geometry::control_offset(lane) + at) as u64, &value.to_le_bytes());
        let lane: Lane = (bus, lane);
        self.queue.harm(lane);
    }
}
