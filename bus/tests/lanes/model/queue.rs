//! What the bus is compared with: a queue of what was published, in the order of the stamps, and what
//! each event is owed.

use hookring_bus::drain::Batch;
use std::collections::{HashMap, HashSet};

/// A lane: its ring's UUID, and its number.
pub(super) type Lane = ([u8; 16], u32);

/// Where an event stands.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Stands {
    Lane(Lane),
    Spool,
    /// In a spool that was moved away: its reader may still give it out, until it looks.
    Away,
}

/// An event that was published and that no journal has.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) stamp_ns: u64,
    pub(super) payload: Vec<u8>,
    pub(super) stands: Stands,
    /// It may wait until the reader has looked after its places.
    pub(super) is_late: bool,
    /// It has a CRC: whatever the words of its lane say, it is found.
    pub(super) has_crc: bool,
    /// What it takes of a lane.
    pub(super) lane_bytes: u64,
}

/// Everything that was published and that no journal has.
#[derive(Default)]
pub(super) struct Queue {
    events: Vec<Event>,
    /// Lanes whose words were written over: what is in them comes when their owners have gone, in its
    /// order, but not in that of all.
    harmed: HashSet<Lane>,
    /// What was written into a lane and not published: a salvage cannot tell, if it is whole.
    ghosts: HashMap<String, (Lane, Vec<u8>)>,
}

impl Queue {
    /// By its stamp: a hook that was held in the middle of a store has an older one than others by now.
    pub(super) fn push(&mut self, event: Event) {
        let at = self.events.partition_point(|other| other.stamp_ns < event.stamp_ns);
        self.events.insert(at, event);
    }

    pub(super) fn haunt(&mut self, lane: Lane, payload: Vec<u8>) {
        self.ghosts.insert(name(&payload), (lane, payload));
    }

    pub(super) fn harm(&mut self, lane: Lane) {
        self.harmed.insert(lane);
    }

    pub(super) fn is_harmed(&self, lane: Lane) -> bool {
        self.harmed.contains(&lane)
    }

    pub(super) fn is_any_harmed(&self) -> bool {
        !self.harmed.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.events.iter().map(|event| event.payload.len() + 64).sum()
    }

    /// What a spool that is removed takes along.
    pub(super) fn remove_spooled(&mut self) {
        self.events.retain(|event| event.stands != Stands::Spool);
    }

    /// A spool is moved away, with what is in it.
    pub(super) fn move_spooled(&mut self) {
        for event in self.events.iter_mut().filter(|event| event.stands == Stands::Spool) {
            event.stands = Stands::Away;
        }
    }

    /// The reader has looked after its places.
    pub(super) fn look(&mut self) {
        self.events.retain(|event| event.stands != Stands::Away);
        self.events.iter_mut().for_each(|event| event.is_late = false);
    }

    /// An event that a hook has told of by now.
    pub(super) fn is_told(&mut self, stamp_ns: u64) {
        let told = self.events.iter_mut().filter(|event| event.stamp_ns == stamp_ns);
        told.for_each(|event| event.is_late = false);
    }

    fn is_loose(&self, event: &Event) -> bool {
        matches!(event.stands, Stands::Lane(lane) if self.is_harmed(lane))
    }

    /// A batch is what is owed, in the order of the stamps; and of what may wait or come apart from the
    /// others, nothing twice and nothing out of its lane's order. Says the names.
    pub(super) fn check(&self, batch: &Batch) -> Vec<String> {
        let taken: Vec<_> = batch.records().map(|record| name(record.payload)).collect();
        let places: HashMap<_, _> =
            self.events.iter().enumerate().map(|(at, event)| (name(&event.payload), at)).collect();
        let (mut in_order, mut in_lanes) = (Vec::new(), HashMap::<Lane, Vec<usize>>::new());
        let mut ghosts = HashSet::new();
        for record in batch.records() {
            let name = name(record.payload);
            let Some(&at) = places.get(&name) else {
                let ghost = self.ghosts.get(&name).filter(|(lane, _)| self.is_harmed(*lane));
                let (_, payload) = ghost.unwrap_or_else(|| panic!("{name} is nobody's: {taken:?}"));
                assert!(record.payload == payload, "the payload of {name}, never published");
                assert!(ghosts.insert(name), "never published, and twice: {taken:?}");
                continue;
            };
            let event = &self.events[at];
            assert!(record.payload == event.payload, "the payload of {name}");
            match event.stands {
                Stands::Lane(lane) if self.is_harmed(lane) => {
                    in_lanes.entry(lane).or_default().push(at);
                }
                _ => in_order.push(at),
            }
        }
        let is_due = |at: &usize| {
            let event = &self.events[*at];
            let may_wait = event.is_late || event.stands == Stands::Away;
            !self.is_loose(event) && (!may_wait || in_order.contains(at))
        };
        let expected: Vec<_> = (0..self.events.len()).filter(is_due).collect();
        let names = |places: &[usize]| -> Vec<_> {
            places.iter().map(|at| name(&self.events[*at].payload)).collect()
        };
        assert_eq!(names(&in_order), names(&expected));
        for places in in_lanes.values() {
            assert!(places.is_sorted_by(|a, b| a < b), "a lane's order: {:?}", names(places));
        }
        taken
    }

    /// These are safe.
    pub(super) fn remove(&mut self, names: &[String]) {
        let names: HashSet<_> = names.iter().collect();
        self.events.retain(|event| !names.contains(&name(&event.payload)));
        self.ghosts.retain(|ghost, _| !names.contains(ghost));
    }

    /// What nobody can find: records without a CRC in lanes whose words lied. How many bytes those are.
    pub(super) fn take_lost(&mut self) -> u64 {
        let lost = std::mem::take(&mut self.events);
        for event in &lost {
            let is_lost = self.is_loose(event) && !event.has_crc;
            assert!(is_lost, "{} does not come out", name(&event.payload));
        }
        lost.iter().map(|event| event.lane_bytes).sum()
    }
}

/// The number at the beginning of a payload.
pub(super) fn name(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload.split(|byte| *byte == b':').next().unwrap_or(b"?")).into_owned()
}
