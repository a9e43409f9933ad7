//! What the reader does, what is expected of it, and how all of it ends.

use super::run::{PRODUCERS, Run};
use hookring_bus::drain::{Drain, LaneEnd, OpenError, Options, Origin};
use std::collections::{HashMap, HashSet};

/// Looks at the places after which every count is right again.
const LOOKS: usize = 4;

/// What a journal knows.
#[derive(Default)]
pub(super) struct Journal {
    ends: HashMap<([u8; 16], u16), LaneEnd>,
    ids: HashSet<[u8; 16]>,
}

impl Journal {
    /// What a salvage finds does not stand in the order of the lane: the last end is the greatest.
    fn note(&mut self, end: &LaneEnd) {
        let known = self.ends.entry((end.bus, end.lane)).or_insert(*end);
        known.end = known.end.max(end.end);
    }
}

impl Run {
    /// Takes a batch. It has all that there is: what was published before it is stamped before it.
    /// So many of its records are safe then.
    pub(super) fn take(&mut self, safe: usize) {
        self.looks += u32::from(std::mem::take(&mut self.is_look_due));
        let drain = self.drain.as_mut().expect("there is always a reader");
        let batch = drain.next_batch();
        let taken = self.queue.check(batch);
        for record in batch.records().take(safe) {
            match record.origin {
                Origin::Lane(end) => self.journal.note(end),
                Origin::Spool(_) => {}
            }
            self.journal.ids.insert(record.header.id);
        }
        let counts = drain.counts();
        if !self.queue.is_any_harmed() {
            assert_eq!((counts.condemned_lanes, counts.damaged_bytes), (0, 0));
        }
        assert_eq!((counts.clamped_stamps, counts.bad_spool_entries), (0, 0));
        self.queue.remove(&taken[..safe.min(taken.len())]);
    }

    pub(super) fn read(&mut self) {
        self.take(usize::MAX);
        self.drain().release();
    }

    pub(super) fn maintain(&mut self) {
        self.drain().maintain();
        self.look();
    }

    /// The reader has looked after its places.
    fn look(&mut self) {
        self.queue.look();
        self.dropped.look();
        (self.is_synced, self.is_look_due) = (true, true);
    }

    pub(super) fn crash(&mut self, safe: usize) {
        if self.is_ring_lost {
            // What is in it comes out first.
            self.settle();
        }
        self.take(safe);
        self.damaged_bytes += self.drain().counts().damaged_bytes;
        self.drain = None;
        let mut drain = self.bus.drain();
        let ends: Vec<_> = self.journal.ends.values().copied().collect();
        drain.recover(&ends, self.journal.ids.iter().copied().collect());
        self.drain = Some(drain);
        self.look();
        self.dropped.begin_anew();
        // It has looked into the spool already.
        self.looks += 1;
        self.is_look_due = false;
    }

    /// One that comes while the other lives is refused, and changes nothing.
    pub(super) fn try_second_reader(&mut self) {
        if self.bus.ring_path().exists() {
            let options = Options { spool_bytes: 1, ..self.bus.options };
            let second = Drain::open(&self.bus.places(), options);
            assert!(matches!(second, Err(OpenError::Busy(_))), "there are two readers");
        }
    }

    /// Until no retired ring is left: its producers are told to leave behind their next publish.
    fn settle(&mut self) {
        self.read();
        self.maintain();
        for producer in 0..PRODUCERS {
            if self.producers[producer].is_some() {
                self.publish(producer, &[0]);
            }
        }
        let mut rounds = 0;
        while self.drain().report()[0].retired_rings > 0 {
            self.read();
            self.maintain();
            rounds += 1;
            assert!(rounds < 10, "a retired ring that no producer holds is never empty");
        }
        self.is_ring_lost = false;
    }

    /// Everybody ends; nothing is left, and everything is as good as new.
    pub(super) fn finish(mut self) {
        self.settle();
        self.producers.iter_mut().for_each(|lane| drop(lane.take()));
        self.held.clear();
        self.read();
        for _ in 0..if self.is_exact { 0 } else { LOOKS } {
            self.maintain();
            self.read();
        }
        let damaged_bytes = self.damaged_bytes + self.drain().counts().damaged_bytes;
        let lost_bytes = self.queue.take_lost();
        assert!(lost_bytes <= damaged_bytes, "{lost_bytes} lost, {damaged_bytes} counted");
        assert_eq!(self.spool_entries().count(), 0);
        let report = &self.drain().report()[0];
        let (used_bytes, spool_bytes) = (report.used_bytes, report.spool_bytes);
        assert_eq!((used_bytes, spool_bytes, report.locked_lanes), (0, 0, 0));
        let dropped_events = report.spool_dropped_events;
        self.dropped.check(dropped_events);
        assert_eq!(self.counters(), (0, self.bus.options.spool_bytes));
        let lanes: Vec<_> = std::iter::from_fn(|| self.bus.try_lane(None).ok()).collect();
        assert_eq!(lanes.len(), self.bus.options.lanes.div_ceil(2) as usize, "lanes are lost");
    }
}
