//! Every place with its ring and its spool, and what happens to them over time: rings made,
//! replaced and retired, directories that come and go.

use super::Counts;
use super::batch::{Batch, LaneEnd};
use super::ring_reader::{ReadError, RingReader};
use super::salvage_reader::SalvageReader;
use super::spool_reader::SpoolReader;
use crate::atomic::{AtomicU32, Ordering};
use crate::control::RingError;
use crate::create;
use crate::doorbell;
use crate::layout::LayoutError;
use crate::place::{Path, Places, RING, RING_BAD, Refused};
use crate::record::RecordHeader;
use crate::spool;
use crate::sys::{self, Errno, Fd, Stat};
use std::collections::HashSet;
use std::ffi::{CStr, CString};

/// What the daemon decides about rings and spools.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lanes of a ring, in `layout::LANES`.
    pub lanes: u32,
    /// Bytes of a lane, a power of two in `layout::LANE_BYTES`.
    pub lane_bytes: u64,
    /// Limit of each spool, in bytes.
    pub spool_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lanes: create::DEFAULT_LANES,
            lane_bytes: create::DEFAULT_LANE_BYTES,
            spool_bytes: spool::DEFAULT_LIMIT_BYTES,
        }
    }
}

/// Why the bus cannot be read at all.
#[derive(Debug)]
pub enum OpenError {
    /// Another daemon reads the ring in this place.
    Busy(String),
    /// No place can be used; each with its reason.
    NoPlace(Vec<(String, Refused)>),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy(path) => write!(
                f,
                "another hookring daemon reads the ring {path}; stop it, or set HOOKRING_DIR to another directory"
            ),
            Self::NoPlace(refused) => {
                f.write_str("no directory for the ring can be used:")?;
                for (path, reason) in refused {
                    write!(f, " {path} ({reason});")?;
                }
                f.write_str(" make one of them a directory of this user with mode 0700")
            }
        }
    }
}

impl std::error::Error for OpenError {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::NotADirectory => f.write_str("not a directory, or a symbolic link"),
            Self::NotPrivate(stat) => {
                write!(f, "belongs to uid {} with mode {:04o}", stat.uid, stat.mode & 0o7777)
            }
            Self::System(errno) => std::io::Error::from(*errno).fmt(f),
        }
    }
}

/// What stands in one place, for people and programs.
#[derive(Clone, Debug, Default)]
pub struct PlaceReport {
    /// The place's directory.
    pub path: String,
    /// Why it is not used, if it is not.
    pub refused: Option<String>,
    /// Why it has no ring, if it should have one.
    pub ring_error: Option<String>,
    /// What was wrong with the last ring that was replaced for damage.
    pub ring_damage: Option<String>,
    /// Why it has no spool.
    pub spool_error: Option<String>,
    /// Lanes of its ring, and how many a producer holds now.
    pub lanes: usize,
    /// See `lanes`.
    pub locked_lanes: usize,
    /// Bytes published and not yet taken.
    pub used_bytes: u64,
    /// Events that producers dropped because neither ring nor spool took them.
    pub dropped_events: u64,
    /// Bytes in its spool.
    pub spool_bytes: u64,
    /// Events dropped at the spool's limit.
    pub spool_dropped_events: u64,
    /// Rings that are being emptied before they go, damaged ones that were set aside included.
    pub retired_rings: usize,
}

/// One place.
struct PlaceReader {
    path: Path,
    has_ring: bool,
    dir: Option<(Fd, Stat)>,
    refused: Option<Refused>,
    ring: Option<RingReader>,
    ring_error: Option<String>,
    ring_damage: Option<String>,
    /// Events that producers of rings that are gone dropped.
    dropped_before: u64,
    spool: Option<SpoolReader>,
    /// Events dropped at the limit of spools that are gone.
    spool_dropped_before: u64,
    spool_error: Option<Refused>,
    retired: Vec<RingReader>,
    /// Ring files with a damaged header.
    salvaged: Vec<SalvageReader>,
}

/// All places of the user.
pub(super) struct PlaceSet {
    uid: u32,
    options: Options,
    places: Vec<PlaceReader>,
    /// What the journal knew of an earlier reader, for what is opened late.
    journaled_ends: Vec<LaneEnd>,
    journaled_names: HashSet<String>,
}

impl PlaceSet {
    pub(super) fn open(
        places: &Places<'_>,
        options: Options,
        counts: &mut Counts,
    ) -> Result<PlaceSet, OpenError> {
        let uid = places.uid();
        let paths = (0..places.count()).filter_map(|place| Some((places.path(place)?, place)));
        let readers = paths.map(|(path, place)| PlaceReader::new(path, places.has_ring(place)));
        let mut set = PlaceSet {
            uid,
            options,
            places: readers.collect(),
            journaled_ends: Vec::new(),
            journaled_names: HashSet::new(),
        };
        set.create_first(places);
        for place in &mut set.places {
            place.open_dir(uid);
            place.open_all(uid, &options, counts)?;
        }
        if set.places.iter().all(|place| place.dir.is_none()) {
            let reasons =
                set.places.iter().filter_map(|place| Some((place.name(), place.refused?)));
            return Err(OpenError::NoPlace(reasons.collect()));
        }
        Ok(set)
    }

    /// Where no place exists that may hold a ring, the first that can be made is made.
    fn create_first(&self, places: &Places<'_>) {
        let with_ring = || (0..places.count()).filter(|place| places.has_ring(*place));
        if with_ring().all(|place| places.open(place).is_err()) {
            let _ = with_ring().find(|place| places.create(*place).is_ok());
        }
    }

    pub(super) fn recover(&mut self, ends: &[LaneEnd], spooled: &HashSet<String>) {
        self.journaled_ends = ends.to_vec();
        self.journaled_names.clone_from(spooled);
        for place in &mut self.places {
            place.recover(ends);
            if let Some(spool) = &mut place.spool {
                spool.recover(spooled);
            }
        }
    }

    pub(super) fn list_spools(&mut self) {
        self.places.iter_mut().filter_map(|place| place.spool.as_mut()).for_each(SpoolReader::list);
    }

    pub(super) fn load_tails(&mut self, counts: &mut Counts) {
        self.places.iter_mut().flat_map(PlaceReader::rings).for_each(RingReader::load_tails);
        let names = &self.journaled_names;
        let is_journaled = |header: &RecordHeader| {
            let name = spool::entry_name(header.stamp_ns, &header.id);
            std::str::from_utf8(&name[..spool::NAME_BYTES]).is_ok_and(|name| names.contains(name))
        };
        for salvaged in self.places.iter_mut().flat_map(|place| &mut place.salvaged) {
            salvaged.look(&is_journaled, counts);
        }
    }

    fn lanes(&mut self) -> usize {
        self.places.iter_mut().flat_map(PlaceReader::rings).map(|ring| ring.lanes()).sum()
    }

    /// Sources of the merge: every lane of every ring first, then the spools, then the damaged rings.
    pub(super) fn sources(&mut self) -> usize {
        let salvaged: usize = self.places.iter().map(|place| place.salvaged.len()).sum();
        self.lanes() + self.places.len() + salvaged
    }

    /// Finds a source: a lane of a ring, a spool, or a damaged ring.
    fn source(&mut self, mut source: usize) -> Option<Source<'_>> {
        let (lanes, places) = (self.lanes(), self.places.len());
        if source >= lanes + places {
            let mut salvaged = self.places.iter_mut().flat_map(|place| &mut place.salvaged);
            return salvaged.nth(source - lanes - places).map(Source::Salvaged);
        }
        if source >= lanes {
            return self.places.get_mut(source - lanes)?.spool.as_mut().map(Source::Spool);
        }
        for ring in self.places.iter_mut().flat_map(PlaceReader::rings) {
            if source < ring.lanes() {
                return Some(Source::Lane(ring, source));
            }
            source -= ring.lanes();
        }
        None
    }

    pub(super) fn peek(&mut self, source: usize, now_ns: u64, counts: &mut Counts) -> Option<u64> {
        match self.source(source)? {
            Source::Lane(ring, lane) => ring.peek(lane, now_ns, counts),
            Source::Spool(spool) => spool.peek(now_ns, counts),
            Source::Salvaged(salvaged) => salvaged.peek(now_ns, counts),
        }
    }

    pub(super) fn take(&mut self, source: usize, batch: &mut Batch, counts: &mut Counts) {
        match self.source(source) {
            Some(Source::Lane(ring, lane)) => ring.take(lane, batch, counts),
            Some(Source::Spool(spool)) => spool.take(batch, counts),
            Some(Source::Salvaged(salvaged)) => salvaged.take(batch, counts),
            None => {}
        }
    }

    pub(super) fn salvage(&mut self, now_ns: u64, batch: &mut Batch, counts: &mut Counts) {
        for ring in self.places.iter_mut().flat_map(PlaceReader::rings) {
            ring.salvage(now_ns, batch, counts);
        }
    }

    pub(super) fn release(&mut self) {
        for place in &mut self.places {
            place.rings().for_each(RingReader::release);
            place.salvaged.iter_mut().for_each(SalvageReader::release);
            if let Some(spool) = &mut place.spool {
                spool.release();
            }
        }
    }

    pub(super) fn ends(&self) -> Vec<LaneEnd> {
        let rings = self.places.iter().flat_map(|place| place.ring.iter().chain(&place.retired));
        let salvaged = self.places.iter().flat_map(|place| &place.salvaged);
        rings.flat_map(RingReader::ends).chain(salvaged.filter_map(SalvageReader::end)).collect()
    }

    pub(super) fn doorbells(&self) -> Vec<&AtomicU32> {
        self.places.iter().filter_map(|place| Some(place.ring.as_ref()?.doorbell())).collect()
    }

    pub(super) fn has_lane_work(&self) -> bool {
        self.places.iter().any(|place| {
            place.ring.iter().chain(&place.retired).any(RingReader::has_work)
                || place.salvaged.iter().any(SalvageReader::has_work)
        })
    }

    pub(super) fn has_work(&self) -> bool {
        let spools = self.places.iter().filter_map(|place| place.spool.as_ref());
        self.has_lane_work() || spools.into_iter().any(SpoolReader::has_entries)
    }

    pub(super) fn maintain(&mut self, counts: &mut Counts) {
        let (uid, options) = (self.uid, self.options);
        for place in &mut self.places {
            place.check_dir(uid, counts);
            place.check_ring(&options, counts);
            place.check_spool();
            let (had_ring, had_spool) = (place.ring.is_some(), place.spool.is_some());
            // A ring that another daemon holds is left alone; the error shows in the report.
            let _ = place.open_all(uid, &options, counts);
            if !had_ring {
                place.recover(&self.journaled_ends);
            }
            if let Some(spool) = place.spool.as_mut().filter(|_| !had_spool) {
                spool.recover(&self.journaled_names);
            }
            place.drop_finished();
        }
    }

    /// Other sizes and limits; a ring that does not fit them is replaced by the next `maintain`.
    pub(super) fn set_options(&mut self, options: Options) {
        self.options = options;
        for usage in self.places.iter().filter_map(|place| place.spool.as_ref()?.usage()) {
            usage.limit_bytes().store(options.spool_bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn report(&self) -> Vec<PlaceReport> {
        self.places.iter().map(PlaceReader::report).collect()
    }
}

enum Source<'a> {
    Lane(&'a mut RingReader, usize),
    Spool(&'a mut SpoolReader),
    Salvaged(&'a mut SalvageReader),
}

impl PlaceReader {
    fn new(path: Path, has_ring: bool) -> PlaceReader {
        PlaceReader {
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
            spool_error: None,
            retired: Vec::new(),
            salvaged: Vec::new(),
        }
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(self.path.as_bytes()).into_owned()
    }

    fn rings(&mut self) -> impl Iterator<Item = &mut RingReader> {
        self.ring.iter_mut().chain(&mut self.retired)
    }

    /// Takes up what a journal knows; what was taken up before, or read since, stays as it is.
    fn recover(&mut self, ends: &[LaneEnd]) {
        self.rings().for_each(|ring| ring.recover(ends));
        self.salvaged.iter_mut().for_each(|salvaged| salvaged.recover(ends));
    }

    fn open_dir(&mut self, uid: u32) {
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
    fn check_dir(&mut self, uid: u32, counts: &mut Counts) {
        if let Some((_, ours)) = &self.dir {
            let now = sys::stat(None, self.path.as_c_str());
            let same = now.is_ok_and(|now| now.is_same_file(ours) && now.is_private_dir(uid));
            if !same {
                self.dir = None;
                self.spool_dropped_before +=
                    self.spool.take().map_or(0, |spool| spool.dropped_events());
                self.retire_ring(counts);
                // Whoever wiped it took the directory with it (a logout); hooks look for it there.
                let _ = sys::mkdir(None, self.path.as_c_str());
            }
        }
        self.open_dir(uid);
    }

    /// A spool whose directory or counters were removed or replaced is opened anew: hooks have.
    fn check_spool(&mut self) {
        let (Some(spool), Some((dir, _))) = (&mut self.spool, &self.dir) else { return };
        spool.retry_unreadable();
        if !spool.is_in(dir) {
            self.spool_dropped_before += spool.dropped_events();
            self.spool = None;
        }
    }

    /// Opens the spool, the rings that an earlier daemon left behind, and the ring, as far as they
    /// are not open yet.
    fn open_all(
        &mut self,
        uid: u32,
        options: &Options,
        counts: &mut Counts,
    ) -> Result<(), OpenError> {
        let Some((dir, _)) = &self.dir else { return Ok(()) };
        if self.spool.is_none() {
            match spool::open(dir, uid) {
                Ok(spool) => {
                    self.spool = Some(SpoolReader::new(spool, uid, options.spool_bytes));
                    self.spool_error = None;
                }
                Err(refused) => self.spool_error = Some(refused),
            }
        }
        if !self.has_ring || self.ring.is_some() {
            return Ok(());
        }
        self.open_old_rings(uid, counts);
        self.open_ring(uid, options, counts)
    }

    /// Rings that an earlier daemon had replaced and not emptied. One that is held or cannot be opened
    /// now is tried again when a ring is missing.
    fn open_old_rings(&mut self, uid: u32, counts: &mut Counts) {
        let Ok(names) = std::fs::read_dir(self.name()) else { return };
        for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if let Err(ReadError::Ring(error)) = self.open_old_ring(&name, uid, counts) {
                self.ring_damage = Some(format!("{name} cannot be emptied: {error}"));
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
        if let Some(bus) = uuid(create::OLD_PREFIX)
            && self.retired.iter().all(|ring| ring.bus() != bus)
        {
            match RingReader::open(dir, &file, uid, counts) {
                Ok(mut ring) => {
                    ring.retire();
                    self.retired.push(ring);
                }
                Err(ReadError::Ring(RingError::Layout(error))) => {
                    self.salvaged.push(set_aside(dir, &file, uid)?);
                    self.ring_damage = Some(error.to_string());
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
                    self.ring_damage = ring.damage().or(self.ring_damage.take());
                    ring.retire();
                    counts.retired_rings += 1;
                    let old = create::old_name(&ring.bus());
                    self.retired.push(ring);
                    let _ = sys::rename(dir, RING, &old);
                }
                Err(ReadError::Busy) => return Err(OpenError::Busy(format!("{name}/ring"))),
                Err(ReadError::Ring(RingError::System(Errno::NOENT))) => {}
                // No fault of the ring: no descriptors, no memory. The next `maintain` tries again.
                Err(ReadError::Ring(RingError::System(errno))) => {
                    self.ring_error = Some(std::io::Error::from(errno).to_string());
                    return Ok(());
                }
                Err(ReadError::Ring(error)) => {
                    match &error {
                        // Kept for the daemon that knows it.
                        RingError::Layout(LayoutError::Version { .. }) => {
                            let _ = sys::rename(dir, RING, c"ring.other-version");
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
                        _ => _ = sys::rename(dir, RING, RING_BAD),
                    }
                    counts.retired_rings += 1;
                    self.ring_damage = Some(error.to_string());
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
        Ok(())
    }

    /// Retires the ring if its file was removed, replaced, cut off or damaged, or its size is no
    /// longer the one that is wanted.
    fn check_ring(&mut self, options: &Options, counts: &mut Counts) {
        self.rings().for_each(RingReader::note_dropped);
        let (Some(ring), Some((dir, _))) = (&self.ring, &self.dir) else { return };
        let named = sys::stat(Some(dir), RING).is_ok_and(|now| now.is_same_file(ring.stat()));
        let damage = ring.damage();
        if named && damage.is_none() && fits(ring, options) {
            return;
        }
        self.ring_damage = damage.or(self.ring_damage.take());
        if named {
            let _ = sys::rename(dir, RING, &create::old_name(&ring.bus()));
        }
        self.retire_ring(counts);
    }

    fn retire_ring(&mut self, counts: &mut Counts) {
        if let Some(mut ring) = self.ring.take() {
            ring.retire();
            counts.retired_rings += 1;
            self.retired.push(ring);
        }
    }

    fn drop_finished(&mut self) {
        let dir = self.dir.as_ref().map(|(dir, _)| dir);
        self.retired.retain_mut(|ring| {
            let finished = ring.is_finished();
            if finished {
                self.dropped_before = self.dropped_before.saturating_add(ring.dropped_events());
            }
            if let (true, Some(dir)) = (finished, dir) {
                let _ = sys::unlink(dir, &create::old_name(&ring.bus()));
            }
            !finished
        });
        for salvaged in self.salvaged.extract_if(.., |salvaged| salvaged.is_finished()) {
            if let Some(dir) = dir {
                salvaged.finish(dir);
            }
        }
    }

    fn report(&self) -> PlaceReport {
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
        let dropped = self.ring.iter().chain(&self.retired).map(RingReader::dropped_events);
        report.dropped_events = dropped.fold(self.dropped_before, u64::saturating_add);
        if let Some(usage) = self.spool.as_ref().and_then(SpoolReader::usage) {
            report.spool_bytes = usage.used_bytes().load(Ordering::Relaxed);
            report.spool_dropped_events = usage.dropped_events().load(Ordering::Relaxed);
        }
        report.spool_dropped_events += self.spool_dropped_before;
        report
    }
}

fn fits(ring: &RingReader, options: &Options) -> bool {
    let geometry = ring.control().geometry();
    geometry.lanes == options.lanes
        && geometry.lane_bytes == options.lane_bytes
        && geometry.boot == create::boot_id()
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
