//! Every place with its ring and its spool, and what happens to them over time: rings made,
//! replaced and retired, directories that come and go.

use super::Counts;
use super::batch::{Batch, LaneEnd};
use super::journaled::Journaled;
use super::ring_reader::{ReadError, RingReader};
use super::spool_reader::{MAX_STUCK, SpoolReader};
use crate::atomic::{AtomicU32, Ordering};
use crate::control::RingError;
use crate::create;
use crate::doorbell;
use crate::layout::LayoutError;
use crate::place::{Path, Places, RING, Refused};
use crate::spool;
use crate::sys::{self, Errno, Fd, Stat};
use std::ffi::{CStr, CString};

/// A ring file that cannot be read is kept under this name; only the newest one is.
const BAD_NAME: &CStr = c"ring.bad";

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
    /// Spool entries that are journaled and could not be removed.
    pub stuck_spool_entries: usize,
    /// Rings that are being emptied before they go.
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
    spool: Option<SpoolReader>,
    /// Events dropped at the limit of spools that are gone.
    spool_dropped_before: u64,
    spool_error: Option<Refused>,
    retired: Vec<RingReader>,
}

/// All places of the user.
pub(super) struct PlaceSet {
    uid: u32,
    options: Options,
    places: Vec<PlaceReader>,
    /// What the journal knew of an earlier reader, for what is opened late.
    journaled_ends: Vec<LaneEnd>,
    journaled: Journaled,
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
            journaled: Journaled::default(),
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

    pub(super) fn recover(&mut self, ends: &[LaneEnd], ids: Vec<[u8; 16]>, counts: &mut Counts) {
        self.journaled_ends = ends.to_vec();
        self.journaled = Journaled::new(ids);
        self.places.iter_mut().flat_map(PlaceReader::rings).for_each(|ring| ring.recover(ends));
        // At once: a rotation leaves to the next journal segment only what is known to be stuck.
        self.list_spools(true, counts);
    }

    /// Lists the spools, those that seem to be empty only if that `is_forced`; returns up to which
    /// stamp all of them were seen.
    pub(super) fn list_spools(&mut self, is_forced: bool, counts: &mut Counts) -> u64 {
        let spools = self.places.iter_mut().filter_map(|place| place.spool.as_mut());
        let lists = spools.map(|spool| spool.list(&self.journaled, is_forced, counts));
        lists.fold(u64::MAX, u64::min)
    }

    /// Ids of events that are journaled and whose spool entries could not be unlinked.
    pub(super) fn stuck(&self) -> Vec<[u8; 16]> {
        let spools = self.places.iter().filter_map(|place| place.spool.as_ref());
        spools.flat_map(SpoolReader::stuck).collect()
    }

    pub(super) fn load_tails(&mut self) {
        self.places.iter_mut().flat_map(PlaceReader::rings).for_each(RingReader::load_tails);
    }

    /// Sources of the merge: every lane of every ring first, then the spools.
    pub(super) fn sources(&mut self) -> usize {
        let lanes: usize =
            self.places.iter_mut().flat_map(PlaceReader::rings).map(|ring| ring.lanes()).sum();
        lanes + self.places.len()
    }

    /// Finds a source: a lane of a ring, or a spool.
    fn source(&mut self, mut source: usize) -> Option<Source<'_>> {
        let lanes: usize =
            self.places.iter_mut().flat_map(PlaceReader::rings).map(|ring| ring.lanes()).sum();
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
            Source::Spool(spool) => spool.peek(now_ns),
        }
    }

    pub(super) fn take(&mut self, source: usize, batch: &mut Batch, counts: &mut Counts) {
        match self.source(source) {
            Some(Source::Lane(ring, lane)) => ring.take(lane, batch, counts),
            Some(Source::Spool(spool)) => spool.take(batch, counts),
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
            if let Some(spool) = &mut place.spool {
                spool.release();
            }
        }
    }

    pub(super) fn ends(&self) -> Vec<LaneEnd> {
        let rings = self.places.iter().flat_map(|place| place.ring.iter().chain(&place.retired));
        rings.flat_map(RingReader::ends).collect()
    }

    pub(super) fn doorbells(&self) -> Vec<&AtomicU32> {
        self.places.iter().filter_map(|place| Some(place.ring.as_ref()?.doorbell())).collect()
    }

    pub(super) fn has_lane_work(&self) -> bool {
        let rings =
            |place: &PlaceReader| place.ring.iter().chain(&place.retired).any(RingReader::has_work);
        self.places.iter().any(rings)
    }

    pub(super) fn has_work(&self, is_listing_forced: bool) -> bool {
        let mut spools = self.places.iter().filter_map(|place| place.spool.as_ref());
        self.has_lane_work() || spools.any(|spool| spool.has_entries(is_listing_forced))
    }

    pub(super) fn maintain(&mut self, counts: &mut Counts) {
        let (uid, options) = (self.uid, self.options);
        for place in &mut self.places {
            place.check_dir(uid, &mut self.journaled, counts);
            place.check_ring(&options, counts);
            place.check_spool(&mut self.journaled);
            let (had_ring, had_spool) = (place.ring.is_some(), place.spool.is_some());
            // A ring that another daemon holds is left alone; the error shows in the report.
            let _ = place.open_all(uid, &options, counts);
            if let Some(ring) = place.ring.as_mut().filter(|_| !had_ring) {
                ring.recover(&self.journaled_ends);
            }
            if let Some(spool) = place.spool.as_mut().filter(|_| !had_spool) {
                spool.list(&self.journaled, true, counts);
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
            spool: None,
            spool_dropped_before: 0,
            spool_error: None,
            retired: Vec::new(),
        }
    }

    fn name(&self) -> String {
        String::from_utf8_lossy(self.path.as_bytes()).into_owned()
    }

    fn rings(&mut self) -> impl Iterator<Item = &mut RingReader> {
        self.ring.iter_mut().chain(&mut self.retired)
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
    fn check_dir(&mut self, uid: u32, journaled: &mut Journaled, counts: &mut Counts) {
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
    fn check_spool(&mut self, journaled: &mut Journaled) {
        let (Some(spool), Some((dir, _))) = (&mut self.spool, &self.dir) else { return };
        spool.retry_unreadable();
        if !spool.is_in(dir) {
            self.close_spool(journaled);
        }
    }

    /// What it could not unlink stays known: the same directory may be opened again.
    fn close_spool(&mut self, journaled: &mut Journaled) {
        if let Some(spool) = self.spool.take() {
            self.spool_dropped_before += spool.dropped_events();
            journaled.add(spool.stuck());
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

    /// Rings that an earlier daemon had replaced and not emptied.
    fn open_old_rings(&mut self, uid: u32, counts: &mut Counts) {
        let Some((dir, _)) = &self.dir else { return };
        let Ok(names) = std::fs::read_dir(self.name()) else { return };
        for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let Some(bus) = name.strip_prefix(create::OLD_PREFIX) else { continue };
            let known = self.retired.iter().any(|ring| create::hex(&ring.bus()) == bus);
            let Some(c_name) = CString::new(name.as_str()).ok().filter(|_| !known) else {
                continue;
            };
            if let Ok(mut ring) = RingReader::open(dir, &c_name, uid, counts) {
                ring.retire();
                self.retired.push(ring);
            }
        }
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
                Ok(ring) if fits(&ring, options) => {
                    (self.ring, self.ring_error) = (Some(ring), None);
                    return Ok(());
                }
                Ok(mut ring) => {
                    // Another size, another boot, or already retired by a daemon that died.
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
                    counts.retired_rings += 1;
                    self.ring_error = Some(error.to_string());
                    let _ = sys::rename(dir, RING, bad_name(&error));
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
        let (Some(ring), Some((dir, _))) = (&self.ring, &self.dir) else { return };
        let named = sys::stat(Some(dir), RING).is_ok_and(|now| now.is_same_file(ring.stat()));
        if named && !ring.is_damaged() && fits(ring, options) {
            return;
        }
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
            if let (true, Some(dir)) = (finished, dir) {
                let _ = sys::unlink(dir, &create::old_name(&ring.bus()));
            }
            !finished
        });
    }

    fn report(&self) -> PlaceReport {
        let mut report = PlaceReport {
            path: self.name(),
            refused: self.refused.map(|refused| refused.to_string()),
            ring_error: self.ring_error.clone(),
            spool_error: self.spool_error.map(|refused| refused.to_string()),
            retired_rings: self.retired.len(),
            ..PlaceReport::default()
        };
        if let Some(ring) = &self.ring {
            report.lanes = ring.lanes();
            report.locked_lanes = ring.locked_lanes();
            report.used_bytes = ring.used_bytes();
            report.dropped_events = ring.control().dropped().load(Ordering::Relaxed);
        }
        if let Some(usage) = self.spool.as_ref().and_then(SpoolReader::usage) {
            report.spool_bytes = usage.used_bytes().load(Ordering::Relaxed);
            report.spool_dropped_events = usage.dropped_events().load(Ordering::Relaxed);
        }
        report.spool_dropped_events += self.spool_dropped_before;
        if let Some(spool) = &self.spool {
            report.stuck_spool_entries = spool.stuck().len();
            if spool.is_stuck() {
                report.spool_error = Some(format!(
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
        && !doorbell::is_retired(ring.doorbell())
}

/// A ring of another major version is kept for the daemon that knows it.
fn bad_name(error: &RingError) -> &'static CStr {
    match error {
        RingError::Layout(LayoutError::Version { .. }) => c"ring.other-version",
        _ => BAD_NAME,
    }
}
