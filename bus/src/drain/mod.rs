//! The reader: one per machine and user. It merges the lanes of every ring and the entries of every
//! spool into one order of time, and gives them out in batches.
//!
//! What was given out stays where it is until [`Drain::release`]: a reader that dies before that
//! finds it again.

mod batch;
mod journaled;
mod lane_reader;
mod look;
#[cfg(all(test, loom))]
mod models;
mod not_rings;
mod place_reader;
mod places;
mod report;
mod retired_ring;
mod ring_reader;
mod salvage_file;
mod salvage_reader;
mod set_aside;
mod sigbus;
mod spool_counters;
mod spool_entry;
mod spool_file;
mod spool_reader;
mod turn;

pub use batch::{Batch, LaneEnd, Origin, Record};
pub use look::look;
pub use places::Options;
pub use report::{OpenError, PlaceReport, RingDamage};

use crate::atomic::{Ordering, fence};
use crate::doorbell;
use crate::place::Places;
use crate::sys::{self, Errno};
use places::PlaceSet;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;
use turn::{Due, Turn};

/// A batch takes no further record when it holds this many bytes.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// A batch takes no further record when it holds this many.
pub const MAX_BATCH_RECORDS: usize = 4096;

/// What the reader had to count; every field only grows.
#[derive(Copy, Clone, Default, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Records taken from lanes.
    pub lane_records: u64,
    /// Records taken from spools.
    pub spool_records: u64,
    /// Lanes condemned for damage.
    pub condemned_lanes: u64,
    /// Bytes of damaged lanes in which no record could be found.
    pub damaged_bytes: u64,
    /// Stamps from the future that were set to the time of their arrival.
    pub clamped_stamps: u64,
    /// Damaged spool entries that were set aside.
    pub bad_spool_entries: u64,
    /// Spool entries that were unlinked unread, because the journal has their events.
    pub journaled_spool_entries: u64,
    /// Words of spools' counters that no hook can have counted, set right: a hook died, or somebody
    /// wrote over them.
    pub mended_spool_counters: u64,
    /// Rings replaced.
    pub retired_rings: u64,
}

/// The reader of all rings and spools of a user.
pub struct Drain {
    places: PlaceSet,
    counts: Counts,
    batch: Batch,
    /// The merge's, empty between two; kept for its memory.
    heap: BinaryHeap<Reverse<(Turn, usize)>>,
    /// The clock when the round began.
    round_ns: u64,
    /// Up to which stamp the round has seen everything; what is stamped later waits for the next.
    horizon_ns: u64,
    is_round_open: bool,
    /// The next round lists every spool, whatever its count of entries says.
    is_listing_due: bool,
    /// The clock of the last round that did.
    listed_ns: u64,
}

impl Drain {
    /// Opens every place, creates the first that may hold a ring where none of them exists, and its ring
    /// where that is missing; and creates those that may not. One that can be used is enough.
    pub fn open(places: &Places<'_>, options: Options) -> Result<Drain, OpenError> {
        let mut counts = Counts::default();
        let places = PlaceSet::open(places, options, &mut counts)?;
        Ok(Drain {
            places,
            counts,
            batch: Batch::default(),
            heap: BinaryHeap::new(),
            round_ns: 0,
            horizon_ns: u64::MAX,
            is_round_open: false,
            is_listing_due: true,
            listed_ns: 0,
        })
    }

    /// Takes up what a journal knows of an earlier reader: no record before these ends, and no spool
    /// entry or record of a damaged ring with one of these ids, is given out again, now or later. The
    /// ids are to be those of everything that may not have been released, of lanes, too: where a lane's
    /// words contradict its end, they alone count. To be called before the first batch.
    pub fn recover(&mut self, ends: &[LaneEnd], ids: Vec<[u8; 16]>) {
        self.places.recover(ends, ids, &mut self.counts);
    }

    /// Gathers the next batch, in the order of time; empty when there is nothing. A batch that was not
    /// released is given out again as it is.
    pub fn next_batch(&mut self) -> &Batch {
        if !self.batch.is_empty() {
            return &self.batch;
        }
        if self.is_round_open {
            self.batch.set_clock(sys::boottime_ns());
        } else {
            self.begin_round();
            self.batch.set_clock(self.round_ns);
        }
        self.is_round_open = !self.merge(self.round_ns);
        if !self.is_round_open && self.horizon_ns == u64::MAX {
            self.places.salvage(self.round_ns, &mut self.batch, &mut self.counts);
        }
        &self.batch
    }

    /// A round takes one look at everything; it lasts as many batches as what it saw fills.
    fn begin_round(&mut self) {
        self.round_ns = sys::boottime_ns();
        // The clock comes before the tails and the spool: whatever caused a record stamped at or
        // before it was published before that, so this round or an earlier one sees it.
        fence(Ordering::SeqCst);
        // Behind the clock, too: from here on hooks may have stored in another spool than the one that
        // is read.
        if self.places.has_replaced_spool(self.is_listing_due) {
            self.open_anew();
        }
        self.list_spools();
        if self.places.has_replaced_ring() {
            self.open_anew();
            self.list_spools();
        }
        self.places.load_tails(&mut self.counts);
    }

    fn list_spools(&mut self) {
        let is_forced = std::mem::take(&mut self.is_listing_due);
        self.horizon_ns = self.places.list_spools(is_forced, self.round_ns, &mut self.counts);
        if is_forced {
            self.listed_ns = self.round_ns;
        }
    }

    /// The batch that [`Self::next_batch`] gathered last.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Whether everything that was published before `boottime_ns` was given out. To be sure of the
    /// spools takes a round after [`Self::look_into_spools`].
    pub fn is_done_until(&self, boottime_ns: u64) -> bool {
        let is_all_seen = self.horizon_ns == u64::MAX && self.listed_ns >= boottime_ns;
        !self.is_round_open && is_all_seen
    }

    /// Has the next round list every spool, under whatever name hooks find it: also what nobody counted or
    /// announced as stored, which is else found by [`Self::maintain`].
    pub fn look_into_spools(&mut self) {
        self.is_listing_due = true;
    }

    /// The batch is safe elsewhere: zeroes its bytes, moves the heads, unlinks its spool entries.
    pub fn release(&mut self) {
        self.places.release();
        self.batch.clear();
    }

    /// Up to where every lane of every ring was released, for the journal.
    pub fn ends(&self) -> Vec<LaneEnd> {
        self.places.ends()
    }

    /// Ids of events that are safe and still stand where they came from, for the journal: in a spool
    /// entry that could not be unlinked, or in a damaged ring that some producer has not left.
    pub fn stuck_ids(&self) -> Vec<[u8; 16]> {
        self.places.stuck()
    }

    /// Makes sure that no spool entry that was released comes back after a loss of power: to be called
    /// before the journal begins a segment, since a restart knows the events of the last one only. On
    /// error: the place, and what the system said.
    pub fn sync_released(&mut self) -> Result<(), (String, Errno)> {
        self.places.sync_unlinked()
    }

    /// Whether something was released that [`Self::sync_released`] has to make sure of.
    pub fn has_unsynced_release(&self) -> bool {
        self.places.has_unsynced_unlinked()
    }

    /// Sleeps until a producer rings, or for the time limit.
    pub fn wait(&mut self, limit: Duration) {
        let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        let words = self.places.doorbells();
        if words.is_empty() {
            std::thread::sleep(limit);
        } else {
            doorbell::wait(&words, self.places.have_joined(), limit_ns, || {
                self.is_round_open || self.places.has_work(self.is_listing_due)
            });
        }
    }

    /// Whether a producer published something that was not given out yet. Does not look into the spool.
    pub fn has_work(&self) -> bool {
        self.places.has_lane_work()
    }

    /// Looks after the places, about once a second: rings that were removed, replaced or damaged,
    /// directories that came or went, retired rings that are empty. The last batch must have been
    /// released.
    pub fn maintain(&mut self) {
        self.look_after_counters();
        self.open_anew();
    }

    /// The part of [`Self::maintain`] that may come at any time: two looks at the counters have to lie a
    /// second apart, since what is the same in both is taken for that of the dead.
    fn open_anew(&mut self) {
        self.places.open_anew(&mut self.counts);
        self.is_listing_due = true;
    }

    /// The part of [`Self::maintain`] that may be done while a batch is not released: sets the counters
    /// of spools right, and tries again what could not be read.
    pub fn look_after_counters(&mut self) {
        self.places.look_after_counters(&mut self.counts);
    }

    /// Changes sizes and limits, with the next [`Self::maintain`].
    pub fn set_options(&mut self, options: Options) {
        self.places.set_options(options);
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What stands where, for people.
    pub fn report(&self) -> Vec<PlaceReport> {
        self.places.report()
    }

    /// Merges the lanes and the spools by stamp into the batch; `false`: it is full before they are empty.
    fn merge(&mut self, now_ns: u64) -> bool {
        let (batch, counts, heap) = (&mut self.batch, &mut self.counts, &mut self.heap);
        heap.clear();
        let horizon_ns = self.horizon_ns;
        let is_in_sight = |turn: &Turn| turn.stamp_ns.max(turn.published_ns) <= horizon_ns;
        let is_seen = |turn: &Turn| turn.due == Due::Seen;
        self.places.peek_all(now_ns, counts, |turn, source| {
            if is_in_sight(&turn) {
                heap.push(Reverse((turn, source)));
            }
        });
        let mut seen = heap.iter().filter(|Reverse((turn, _))| is_seen(turn)).count();
        while let Some(Reverse((turn, source))) = heap.pop() {
            seen -= usize::from(is_seen(&turn));
            if turn.due == Due::Fresh && seen == 0 {
                // Nothing else is left.
                return true;
            }
            if batch.is_full() {
                return false;
            }
            let until = heap.peek().map(|Reverse(next)| *next);
            let goes_on = |turn: &Turn| {
                let is_next = until.is_none_or(|until| (*turn, source) < until);
                is_next && turn.due != Due::Fresh && is_in_sight(turn)
            };
            let next = self.places.take_run(source, now_ns, goes_on, batch, counts);
            if let Some(turn) = next.filter(is_in_sight) {
                seen += usize::from(is_seen(&turn));
                heap.push(Reverse((turn, source)));
            }
        }
        true
    }
}
