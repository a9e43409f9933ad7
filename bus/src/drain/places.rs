//! Every place of the user as one set of sources, merged by the reader.

use super::Counts;
use super::batch::{Batch, LaneEnd};
use super::journaled::Journaled;
use super::place_reader::PlaceReader;
use super::report::{OpenError, PlaceReport};
use super::ring_reader::RingReader;
use super::salvage_reader::SalvageReader;
use super::spool_reader::SpoolReader;
use super::turn::Turn;
use crate::atomic::AtomicU32;
use crate::create;
use crate::place::Places;
use crate::spool;
use crate::sys::Errno;

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
        create_spool_only(places);
        for place in &mut set.places {
            place.open_dir(uid);
            place.open_rings(uid, &options, counts)?;
        }
        // Behind every ring's lock: in one of them another daemon would be told.
        set.places.iter_mut().for_each(|place| place.open_spool(uid, &options));
        if set.places.iter().all(|place| place.dir.is_none()) {
            let reasons =
                set.places.iter().filter_map(|place| Some((place.name(), place.refused?)));
            return Err(OpenError::NoPlace(reasons.collect()));
        }
        Ok(set)
    }

    /// One place, for the models: a ring, and its spool if that has a limit.
    #[cfg(all(test, loom))]
    pub(super) fn of_ring(ring: RingReader, spool_bytes: Option<u64>) -> PlaceSet {
        use crate::model;
        let path = crate::place::Path::new().join(model::PLACE.to_bytes()).expect("it is short");
        let mut place = PlaceReader::new(path, true);
        let geometry = *ring.control().geometry();
        let options = Options {
            lanes: geometry.lanes,
            lane_bytes: geometry.lane_bytes,
            spool_bytes: spool_bytes.unwrap_or(0),
        };
        place.ring = Some(ring);
        place.open_dir(model::UID);
        if spool_bytes.is_some() {
            place.open_spool(model::UID, &options);
        }
        PlaceSet {
            uid: model::UID,
            options,
            places: vec![place],
            journaled_ends: Vec::new(),
            journaled: Journaled::default(),
        }
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
        for place in &mut self.places {
            place.recover(ends, &self.journaled, counts);
        }
        // At once: a rotation leaves to the next journal segment only what is known to be stuck.
        self.list_spools(true, 0, counts);
    }

    /// Lists the spools for the round with this clock, those that seem to be empty only if that
    /// `is_forced`; returns up to which stamp all of them were seen.
    pub(super) fn list_spools(
        &mut self,
        is_forced: bool,
        round_ns: u64,
        counts: &mut Counts,
    ) -> u64 {
        let spools = self.places.iter_mut().filter_map(|place| place.spool.as_mut());
        let lists = spools.map(|spool| spool.list(&self.journaled, is_forced, round_ns, counts));
        lists.fold(u64::MAX, u64::min)
    }

    /// Ids of events that are journaled and still stand in a spool, a damaged lane or a damaged ring.
    pub(super) fn stuck(&self) -> Vec<[u8; 16]> {
        let spools = self.places.iter().filter_map(|place| place.spool.as_ref());
        let salvaged = self.places.iter().flat_map(|place| &place.salvaged);
        // What may be in a ring that was not looked through yet: anything.
        let is_known = salvaged.clone().all(SalvageReader::is_known);
        let unseen = self.journaled.ids().filter(|_| !is_known);
        let kept = salvaged.flat_map(SalvageReader::kept_ids);
        let rings = self.places.iter().flat_map(PlaceReader::all_rings);
        let in_lanes = rings.flat_map(RingReader::kept_ids);
        spools.flat_map(SpoolReader::stuck).chain(kept).chain(in_lanes).chain(unseen).collect()
    }

    /// See [`SpoolReader::sync_unlinked`]; an error comes with the place's path.
    pub(super) fn sync_unlinked(&mut self) -> Result<(), (String, Errno)> {
        for place in &mut self.places {
            let synced = place.spool.as_mut().map_or(Ok(()), SpoolReader::sync_unlinked);
            synced.map_err(|errno| (place.name(), errno))?;
        }
        Ok(())
    }

    pub(super) fn has_unsynced_unlinked(&self) -> bool {
        let mut spools = self.places.iter().filter_map(|place| place.spool.as_ref());
        spools.any(SpoolReader::has_unsynced_unlinked)
    }

    /// Whether some place has another spool by now than the one that is read. The system is asked only if
    /// that is forced or something says so: hooks that have a ring announce what they store. Those that
    /// find none are seen by the next [`Self::open_anew`].
    pub(super) fn has_replaced_spool(&mut self, is_forced: bool) -> bool {
        let mut is_announced = is_forced || self.places.iter().all(|place| place.ring.is_none());
        for ring in self.places.iter_mut().flat_map(PlaceReader::rings) {
            is_announced |= ring.hears_of_store();
        }
        is_announced && self.places.iter().any(PlaceReader::is_spool_replaced)
    }

    /// Whether some place has another ring by now, and a spool whose entries may follow on what it holds.
    pub(super) fn has_replaced_ring(&self) -> bool {
        self.places.iter().any(PlaceReader::is_ring_replaced)
    }

    pub(super) fn load_tails(&mut self, counts: &mut Counts) {
        self.places.iter_mut().flat_map(PlaceReader::rings).for_each(RingReader::load_tails);
        let is_journaled = |id: &[u8; 16]| self.journaled.has(id);
        for salvaged in self.places.iter_mut().flat_map(|place| &mut place.salvaged) {
            salvaged.look(&is_journaled, counts);
        }
    }

    fn lanes(&mut self) -> usize {
        self.places.iter_mut().flat_map(PlaceReader::rings).map(|ring| ring.lanes()).sum()
    }

    /// Finds a source of the merge: every lane of every ring first, then the spools, then the damaged
    /// rings.
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

    /// Calls `each` with the turn of every source's next record, and the source's number.
    pub(super) fn peek_all(
        &mut self,
        now_ns: u64,
        counts: &mut Counts,
        mut each: impl FnMut(Turn, usize),
    ) {
        let mut source = 0;
        for ring in self.places.iter_mut().flat_map(PlaceReader::rings) {
            ring.peek_all(now_ns, counts, |turn, lane| each(turn, source + lane));
            source += ring.lanes();
        }
        let mut found = |turn: Option<Turn>| {
            turn.into_iter().for_each(|turn| each(turn, source));
            source += 1;
        };
        for place in &mut self.places {
            found(place.spool.as_mut().and_then(|spool| spool.peek(now_ns)));
        }
        for salvaged in self.places.iter_mut().flat_map(|place| &mut place.salvaged) {
            found(salvaged.peek(now_ns));
        }
    }

    /// Gives out the record that [`Self::peek_all`] found and, of a lane, those behind it for as long as
    /// `goes_on` says so of their turns and the batch has room. The turn of the one behind them all.
    pub(super) fn take_run(
        &mut self,
        source: usize,
        now_ns: u64,
        goes_on: impl Fn(&Turn) -> bool,
        batch: &mut Batch,
        counts: &mut Counts,
    ) -> Option<Turn> {
        match self.source(source)? {
            Source::Lane(ring, lane) => ring.take_run(lane, now_ns, goes_on, batch, counts),
            Source::Spool(spool) => {
                spool.take(now_ns, batch, counts);
                spool.peek(now_ns)
            }
            Source::Salvaged(salvaged) => {
                salvaged.take(now_ns, batch, counts);
                salvaged.peek(now_ns)
            }
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
        let rings = self.places.iter().flat_map(PlaceReader::all_rings);
        rings.flat_map(RingReader::ends).collect()
    }

    /// Of the rings in use first: the system does not watch any number. Those of retired rings ring, too,
    /// as long as a producer has not left.
    pub(super) fn doorbells(&self) -> Vec<&AtomicU32> {
        let in_use = self.places.iter().filter_map(|place| place.ring.as_ref());
        let retired = self.places.iter().flat_map(PlaceReader::retired_rings);
        in_use.chain(retired).map(RingReader::doorbell).collect()
    }

    /// Whether producers leave the fence behind their publishes to the reader.
    pub(super) fn have_joined(&self) -> bool {
        self.places.iter().flat_map(PlaceReader::all_rings).any(RingReader::has_joined)
    }

    pub(super) fn has_lane_work(&self) -> bool {
        self.places.iter().any(|place| {
            place.all_rings().any(RingReader::has_work)
                || place.salvaged.iter().any(SalvageReader::has_work)
        })
    }

    pub(super) fn has_work(&self, is_listing_forced: bool) -> bool {
        let mut spools = self.places.iter().filter_map(|place| place.spool.as_ref());
        self.has_lane_work() || spools.any(|spool| spool.has_entries(is_listing_forced))
    }

    /// Opens what hooks find by now, and leaves what they have left.
    pub(super) fn open_anew(&mut self, counts: &mut Counts) {
        let (uid, options) = (self.uid, self.options);
        for place in &mut self.places {
            place.check_dir(uid, &mut self.journaled, counts);
            place.check_ring(&options, counts);
            place.check_spool(&mut self.journaled);
            let (had_rings, had_spool) = (place.count_rings(), place.spool.is_some());
            // Where another daemon holds the ring, that and the spool are left alone.
            if place.open_rings(uid, &options, counts).is_ok() {
                place.open_spool(uid, &options);
            }
            if place.count_rings() != had_rings {
                place.recover(&self.journaled_ends, &self.journaled, counts);
            }
            if let Some(spool) = place.spool.as_mut().filter(|_| !had_spool) {
                spool.remove_journaled(&self.journaled, counts);
            }
            place.drop_finished();
        }
    }

    pub(super) fn look_after_counters(&mut self, counts: &mut Counts) {
        for place in &mut self.places {
            place.rings().for_each(RingReader::note_dropped);
            place.spool.iter_mut().for_each(|spool| spool.look_after(counts));
        }
    }

    /// Other sizes and limits; a ring that does not fit them is replaced by the next `maintain`.
    pub(super) fn set_options(&mut self, options: Options) {
        self.options = options;
        for spool in self.places.iter_mut().filter_map(|place| place.spool.as_mut()) {
            spool.set_limit_bytes(options.spool_bytes);
        }
    }

    pub(super) fn report(&self) -> Vec<PlaceReport> {
        self.places.iter().map(PlaceReader::report).collect()
    }
}

/// Makes the places for a spool only: what a hook that sees no other leaves there is not lost, nor is
/// the bus where somebody else sits on the others' names.
fn create_spool_only(places: &Places<'_>) {
    let without_ring = (0..places.count()).filter(|place| !places.has_ring(*place));
    without_ring.for_each(|place| _ = places.create(place));
}

enum Source<'a> {
    Lane(&'a mut RingReader, usize),
    Spool(&'a mut SpoolReader),
    Salvaged(&'a mut SalvageReader),
}
