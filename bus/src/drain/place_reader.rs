//! One place with its ring and its spool, and what happens to them over time: rings made, replaced,
//! retired and set aside, a directory that comes and goes.

use super::Counts;
use super::batch::LaneEnd;
use super::journaled::Journaled;
use super::not_rings::{is_something_else, open_to_user, put_away, remove_unmade};
use super::places::Options;
use super::report::{OpenError, PlaceReport, RingDamage};
use super::retired_ring::RetiredRing;
use super::ring_reader::{ReadError, RingReader};
use super::salvage_reader::SalvageReader;
use super::spool_reader::{MAX_STUCK, MAX_UNREADABLE, SpoolReader};
use crate::control::RingError;
use crate::create;
use crate::doorbell;
use crate::layout::LayoutError;
use crate::place::{Path, RING, RING_BAD, Refused};
use crate::sys::{self, Errno, Fd, Stat};
use std::ffi::{CStr, CString};

/// One place.
pub(super) struct PlaceReader {
    path: Path,
    /// Of the spool and of its counters.
    spool_path: CString,
    counters_path: CString,
    has_ring: bool,
    pub(super) dir: Option<(Fd, Stat)>,
    pub(super) refused: Option<Refused>,
    pub(super) ring: Option<RingReader>,
    ring_error: Option<String>,
    ring_damage: Option<RingDamage>,
    /// Events that producers of rings that are gone dropped.
    dropped_before: u64,
    pub(super) spool: Option<SpoolReader>,
    /// Events dropped at the limit of spools that were closed.
    spool_dropped_before: u64,
    /// The counters that were closed last, and what they say of those.
    closed_counters: Option<(Stat, u64)>,
    spool_error: Option<Refused>,
    retired: Vec<RetiredRing>,
    /// One of those that an earlier daemon left behind could not be opened yet, or a maker of another
    /// may still be at work.
    is_old_ring_left: bool,
    /// Ring files with a damaged header.
    pub(super) salvaged: Vec<SalvageReader>,
}

impl PlaceReader {
    pub(super) fn new(path: Path, has_ring: bool) -> PlaceReader {
        let below = |name: &str| CString::new([path.as_bytes(), name.as_bytes()].concat());
        let [spool_path, counters_path] = ["/spool", "/spool/usage"].map(below);
        PlaceReader {
            spool_path: spool_path.unwrap_or_default(),
            counters_path: counters_path.unwrap_or_default(),
            path,
            has_ring,
            dir: None,
            refused: None,
            ring: None,
            ring_error: None,
            ring_damage: None,
            dropped_before: 0,
            spool: None,
            spool_dropped_before: 0,
            closed_counters: None,
            spool_error: None,
            retired: Vec::new(),
            is_old_ring_left: false,
            salvaged: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(self.path.as_bytes()).into_owned()
    }

    pub(super) fn rings(&mut self) -> impl Iterator<Item = &mut RingReader> {
        self.ring.iter_mut().chain(self.retired.iter_mut().map(|retired| &mut retired.ring))
    }

    pub(super) fn retired_rings(&self) -> impl Iterator<Item = &RingReader> {
        self.retired.iter().map(|retired| &retired.ring)
    }

    pub(super) fn all_rings(&self) -> impl Iterator<Item = &RingReader> {
        self.ring.iter().chain(self.retired_rings())
    }

    /// How many rings of each kind are open.
    pub(super) fn count_rings(&self) -> (bool, usize, usize) {
        (self.ring.is_some(), self.retired.len(), self.salvaged.len())
    }

    /// Takes up what a journal knows; what was taken up before, or read since, stays as it is.
    pub(super) fn recover(&mut self, ends: &[LaneEnd], journaled: &Journaled, counts: &mut Counts) {
        let is_journaled = |id: &[u8; 16]| journaled.has(id);
        self.rings().for_each(|ring| ring.recover(ends, &is_journaled, counts));
    }

    pub(super) fn open_dir(&mut self, uid: u32) {
        if self.dir.is_some() {
            return;
        }
        let opened = crate::place::open_private(None, self.path.as_c_str(), uid)
            .and_then(|dir| sys::fstat(&dir).map(|stat| (dir, stat)).map_err(Refused::System));
        match opened {
            Ok(dir) => (self.dir, self.refused) = (Some(dir), None),
            Err(reason) => self.refused = Some(reason),
        }
    }

    /// A directory that was wiped or replaced is another place: what was mapped from it is emptied.
    pub(super) fn check_dir(&mut self, uid: u32, journaled: &mut Journaled, counts: &mut Counts) {
        if let Some((_, ours)) = &self.dir {
            let now = sys::stat(None, self.path.as_c_str());
            let same = now.is_ok_and(|now| now.is_same_file(ours) && now.is_private_dir(uid));
            if !same {
                self.dir = None;
                self.close_spool(journaled);
                self.retire_ring(counts);
                // Whoever wiped it took the directory with it (a logout); hooks look for it there.
                let _ = sys::mkdir(None, self.path.as_c_str());
            }
        }
        self.open_dir(uid);
    }

    /// A spool whose directory or counters were removed or replaced is opened anew: hooks have.
    pub(super) fn check_spool(&mut self, journaled: &mut Journaled) {
        let (Some(spool), Some((dir, _))) = (&self.spool, &self.dir) else { return };
        if !spool.is_in(dir) {
            self.close_spool(journaled);
        }
    }

    /// Whether hooks find another spool here than the one that is read, or other counters in it: what
    /// they store there is seen by [`Self::check_spool`] only. One system call; where a spool has no
    /// counters, two.
    pub(super) fn is_spool_replaced(&self) -> bool {
        let Some(spool) = &self.spool else {
            // What was missing may have been made by a hook.
            let missing = |refused| refused == Some(Refused::Missing);
            let made = match &self.dir {
                None if missing(self.refused) => self.path.as_c_str(),
                Some(_) if missing(self.spool_error) => &self.spool_path,
                _ => return false,
            };
            return sys::stat(None, made).is_ok();
        };
        let (path, ours) = match spool.counters_stat() {
            Some(counters) => (&self.counters_path, Ok(counters)),
            None => (&self.spool_path, sys::fstat(spool.dir())),
        };
        !matches!((sys::stat(None, path), ours), (Ok(now), Ok(ours)) if now.is_same_file(&ours))
    }

    /// Whether hooks find another ring here than the one that is read: while the spool has something to
    /// give out, which may follow on what stands in that ring. One system call then.
    pub(super) fn is_ring_replaced(&self) -> bool {
        let Some((dir, _)) = &self.dir else { return false };
        if !self.has_ring || self.spool.as_ref().is_none_or(|spool| spool.waiting() == 0) {
            return false;
        }
        match (sys::stat(Some(dir), RING), &self.ring) {
            (Ok(now), Some(ring)) => !now.is_same_file(ring.stat()),
            (now, ring) => now.is_ok() != ring.is_some(),
        }
    }

    /// What it could not unlink stays known: the same directory may be opened again.
    fn close_spool(&mut self, journaled: &mut Journaled) {
        if let Some(spool) = self.spool.take() {
            self.spool_dropped_before += spool.dropped_events();
            self.closed_counters = spool.counters_stat().map(|stat| (stat, spool.dropped_events()));
            journaled.add(spool.stuck());
        }
    }

    /// Opens the ring and those that an earlier daemon left behind, as far as they are not open yet. The
    /// ring first, whose lock says that no other daemon reads this place.
    pub(super) fn open_rings(
        &mut self,
        uid: u32,
        options: &Options,
        counts: &mut Counts,
    ) -> Result<(), OpenError> {
        if !self.has_ring || self.dir.is_none() {
            return Ok(());
        }
        let is_old_ring_left = self.ring.is_none() || self.is_old_ring_left;
        if self.ring.is_none() {
            self.open_ring(uid, options, counts)?;
        }
        if is_old_ring_left {
            self.open_old_rings(uid, counts);
        }
        Ok(())
    }

    /// Opens the spool, if it is not open yet: sets its limit and what is wrong in it right.
    pub(super) fn open_spool(&mut self, uid: u32, options: &Options) {
        let Some((dir, _)) = self.dir.as_ref().filter(|_| self.spool.is_none()) else { return };
        match SpoolReader::open(dir, uid, options.spool_bytes) {
            Ok(spool) => {
                if let (Some((closed, dropped)), Some(opened)) =
                    (self.closed_counters, spool.counters_stat())
                    && closed.is_same_file(&opened)
                    && spool.dropped_events() >= dropped
                {
                    // It was only away, and says that itself again.
                    self.spool_dropped_before -= dropped;
                    self.closed_counters = None;
                }
                (self.spool, self.spool_error) = (Some(spool), None);
            }
            Err(refused) => self.spool_error = Some(refused),
        }
    }

    /// Rings that an earlier daemon had replaced and not emptied. One that is held or cannot be opened
    /// now is tried again.
    fn open_old_rings(&mut self, uid: u32, counts: &mut Counts) {
        let Some((dir, _)) = &self.dir else { return };
        let mut names = Vec::new();
        let is_listed = sys::for_each_name_in(dir, |name| {
            names.extend(
                String::from_utf8(name.to_owned()).ok().filter(|it| it.starts_with("ring.")),
            );
            true
        });
        self.is_old_ring_left = is_listed.is_err();
        names.retain(|name| {
            let is_new = name.starts_with(create::NEW_PREFIX);
            self.is_old_ring_left |= is_new && !remove_unmade(dir, name);
            !is_new
        });
        for name in names {
            let Err(error) = self.open_old_ring(&name, uid, counts) else { continue };
            self.is_old_ring_left = true;
            if let ReadError::Ring(error) = error {
                self.ring_damage =
                    Some(RingDamage::now(format!("{name} cannot be emptied: {error}")));
            }
        }
    }

    fn open_old_ring(
        &mut self,
        name: &str,
        uid: u32,
        counts: &mut Counts,
    ) -> Result<(), ReadError> {
        let uuid = |prefix| name.strip_prefix(prefix).and_then(create::from_hex);
        let (Some((dir, _)), Ok(file)) = (&self.dir, CString::new(name)) else { return Ok(()) };
        if uuid(create::OLD_PREFIX).is_some()
            && self.retired.iter().all(|retired| retired.name != file)
        {
            match RingReader::open(dir, &file, uid, counts) {
                Ok(mut ring) => {
                    ring.retire();
                    self.retired.push(RetiredRing { ring, name: file });
                }
                Err(ReadError::Ring(RingError::Layout(error))) => {
                    self.salvaged.push(set_aside(dir, &file, uid)?);
                    self.ring_damage = Some(RingDamage::now(error.to_string()));
                }
                Err(error) => return Err(error),
            }
        } else if let Some(bus) = uuid(create::BAD_PREFIX)
            && self.salvaged.iter().all(|salvaged| salvaged.bus() != bus)
        {
            self.salvaged.push(SalvageReader::open(dir, &file, file.clone(), bus, uid)?);
        }
        Ok(())
    }

    fn open_ring(
        &mut self,
        uid: u32,
        options: &Options,
        counts: &mut Counts,
    ) -> Result<(), OpenError> {
        let name = self.name();
        let Some((dir, _)) = &self.dir else { return Ok(()) };
        for _ in 0..4 {
            match RingReader::open(dir, RING, uid, counts) {
                Ok(ring) if fits(&ring, options) && ring.damage().is_none() => {
                    (self.ring, self.ring_error) = (Some(ring), None);
                    return Ok(());
                }
                Ok(mut ring) => {
                    // Another size, another boot, already retired by a daemon that died, or open to
                    // others, who may have it mapped.
                    self.ring_damage =
                        ring.damage().map(RingDamage::now).or(self.ring_damage.take());
                    ring.retire();
                    counts.retired_rings += 1;
                    let name = create::old_name(&ring.bus());
                    let _ = sys::rename(dir, RING, &name);
                    self.retired.push(RetiredRing { ring, name });
                }
                // One of ours, retired while its directory was away. Some producer may stay in it for long.
                Err(ReadError::Busy) if self.retired.iter().any(|it| it.leave_name(dir)) => {}
                Err(ReadError::Busy) => {
                    self.ring_error = Some("another daemon reads it".to_owned());
                    return Err(OpenError::Busy(format!("{name}/ring")));
                }
                Err(ReadError::Ring(RingError::System(Errno::NOENT))) => {}
                Err(ReadError::Ring(RingError::System(Errno::ACCES))) if open_to_user(dir, uid) => {
                }
                // No fault of the ring: no descriptors, no memory. The next `maintain` tries again.
                Err(ReadError::Ring(RingError::System(errno))) if !is_something_else(dir) => {
                    self.ring_error = Some(std::io::Error::from(errno).to_string());
                    return Ok(());
                }
                Err(ReadError::Ring(error)) => {
                    match &error {
                        // Kept for the daemon that knows it.
                        RingError::Layout(LayoutError::Version { .. }) => {
                            put_away(dir, RING, c"ring.other-version");
                        }
                        RingError::Layout(_) => match set_aside(dir, RING, uid) {
                            Ok(salvaged) => self.salvaged.push(salvaged),
                            Err(ReadError::Busy) => {
                                return Err(OpenError::Busy(format!("{name}/ring")));
                            }
                            Err(ReadError::Ring(error)) => {
                                self.ring_error = Some(error.to_string());
                                return Ok(());
                            }
                        },
                        _ => put_away(dir, RING, RING_BAD),
                    }
                    counts.retired_rings += 1;
                    self.ring_damage = Some(RingDamage::now(error.to_string()));
                }
            }
            let geometry = create::geometry(options.lanes, options.lane_bytes);
            match create::ring(dir, &geometry) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => {
                    self.ring_error = Some(std::io::Error::from(errno).to_string());
                    return Ok(());
                }
            }
        }
        self.ring_error = Some("what has its name can be neither opened nor moved".to_owned());
        Ok(())
    }

    /// Retires the ring if its file was removed, replaced, cut off or damaged, or its size is no
    /// longer the one that is wanted.
    pub(super) fn check_ring(&mut self, options: &Options, counts: &mut Counts) {
        self.rings().for_each(RingReader::note_dropped);
        let (Some(ring), Some((dir, _))) = (&mut self.ring, &self.dir) else { return };
        ring.open_to_owner();
        let named = sys::stat(Some(dir), RING).is_ok_and(|now| now.is_same_file(ring.stat()));
        let damage = ring.damage();
        if named && damage.is_none() && fits(ring, options) {
            return ring.check_words(counts);
        }
        self.ring_damage = damage.map(RingDamage::now).or(self.ring_damage.take());
        if named {
            let _ = sys::rename(dir, RING, &create::old_name(&ring.bus()));
        }
        self.retire_ring(counts);
    }

    fn retire_ring(&mut self, counts: &mut Counts) {
        if let Some(mut ring) = self.ring.take() {
            ring.retire();
            counts.retired_rings += 1;
            let name = create::old_name(&ring.bus());
            self.retired.push(RetiredRing { ring, name });
        }
    }

    pub(super) fn drop_finished(&mut self) {
        let dir = self.dir.as_ref().map(|(dir, _)| dir);
        for retired in self.retired.extract_if(.., |retired| retired.ring.is_finished()) {
            let dropped = retired.ring.dropped_events();
            self.dropped_before = self.dropped_before.saturating_add(dropped);
            if let Some(dir) = dir {
                retired.unlink(dir);
            }
        }
        for salvaged in self.salvaged.extract_if(.., |salvaged| salvaged.is_finished()) {
            if let Some(dir) = dir {
                salvaged.finish(dir);
            }
        }
    }

    pub(super) fn report(&self) -> PlaceReport {
        let mut report = PlaceReport {
            path: self.name(),
            refused: self.refused.map(|refused| refused.to_string()),
            ring_error: self.ring_error.clone(),
            ring_damage: self.ring_damage.clone(),
            spool_error: self.spool_error.map(|refused| refused.to_string()),
            retired_rings: self.retired.len() + self.salvaged.len(),
            ..PlaceReport::default()
        };
        if let Some(ring) = &self.ring {
            report.lanes = ring.lanes();
            report.locked_lanes = ring.locked_lanes();
            report.used_bytes = ring.used_bytes();
        }
        let dropped = self.all_rings().map(RingReader::dropped_events);
        report.dropped_events = dropped.fold(self.dropped_before, u64::saturating_add);
        report.spool_dropped_events = self.spool_dropped_before;
        if let Some(spool) = &self.spool {
            report.spool_bytes = spool.used_bytes();
            report.spool_entries = spool.waiting();
            report.spool_dropped_events += spool.dropped_events();
            report.stuck_spool_entries = spool.stuck().len();
            report.unreadable_spool_entries = spool.unreadable();
            if spool.is_blocked_by_unreadable() {
                report.spool_held_up = Some(format!(
                    "its entries wait, since {MAX_UNREADABLE} of them cannot be read; see what keeps hookring from reading or renaming them in {}/spool",
                    report.path
                ));
            }
            if spool.is_stuck() {
                report.spool_held_up = Some(format!(
                    "its entries wait, since {MAX_STUCK} that are journaled cannot be removed; make {}/spool writable",
                    report.path
                ));
            }
        }
        report
    }
}

fn fits(ring: &RingReader, options: &Options) -> bool {
    let geometry = ring.control().geometry();
    geometry.lanes == options.lanes
        && geometry.lane_bytes == options.lane_bytes
        && geometry.boot == create::boot_id()
        // What its producers leave to the reader, this one must be able to do.
        && (!ring.has_joined() || sys::has_barrier())
        && !doorbell::is_retired(ring.doorbell())
}

/// Takes a ring file with a damaged header as its reader, and out of the way.
fn set_aside(dir: &Fd, from: &CStr, uid: u32) -> Result<SalvageReader, ReadError> {
    let bus = create::random_uuid();
    let name = create::bad_name(&bus);
    let salvaged = SalvageReader::open(dir, from, name.clone(), bus, uid)?;
    let renamed = sys::rename(dir, from, &name);
    renamed.map(|()| salvaged).map_err(|errno| ReadError::Ring(RingError::System(errno)))
}
