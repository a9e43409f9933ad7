//! Words of a lane that were written over while no reader ran, and can be: hooks go on by them, and the
//! next reader knows more from its journal.

use crate::bus::{Bus, drain_all, publish, put};
use hookring_bus::crc::Crc32c;
use hookring_bus::create;
use hookring_bus::drain::{Batch, Drain, LaneEnd, Origin};
use hookring_bus::layout::{Geometry, word};
use hookring_bus::record::{RECORD_ALIGN, RECORD_HEADER_BYTES, RecordHeader, flag, kind};
use hookring_bus::sys;
use proptest::prelude::*;

const LANE_BYTES: u64 = 16 * 1024;
/// What a hook with a payload of at most 64 bytes takes of a lane.
const HOOK_BYTES: u64 = 128;

/// Sets head and tail of the only lane.
fn set_words(bus: &Bus, head: u64, tail: u64) {
    let control = Geometry::control_offset(0) as u64;
    for (at, value) in [(word::HEAD, head), (word::TAIL, tail)] {
        bus.scribble(control + at as u64, &value.to_le_bytes());
    }
}

/// Hooks publish so many events, as far as the ring takes them.
fn hooks(bus: &Bus, what: &str, count: usize) -> Vec<String> {
    let texts = (0..count).map(|number| format!("{what} {number:03}"));
    texts.filter(|text| bus.hook(text.as_bytes()).is_ok()).collect()
}

/// What a journal would have of a batch.
fn journaled(batch: &Batch) -> (Vec<LaneEnd>, Vec<[u8; 16]>) {
    let both = batch.records().filter_map(|record| match record.origin {
        Origin::Lane(end) => Some((*end, record.header.id)),
        Origin::Spool(_) => None,
    });
    both.unzip()
}

/// Opens the bus with what a journal knows.
fn recovered(bus: &Bus, ends: &[LaneEnd], ids: Vec<[u8; 16]>) -> Drain {
    let mut drain = bus.drain();
    let last = ends.iter().max_by_key(|end| end.end).copied();
    drain.recover(last.as_slice(), ids);
    drain
}

#[test]
fn after_zeros_over_its_words_a_lane_gives_out_what_hooks_published_by_them() {
    for count in [0, 1, 3, 20, 30, 128] {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        hooks(&bus, "before", 20);
        assert_eq!(drain_all(&mut drain).len(), 20);
        let ends = drain.ends();
        drop(drain);
        set_words(&bus, 0, 0);
        let sent = hooks(&bus, "after", count);
        assert_eq!(sent.len(), count);
        let mut drain = recovered(&bus, &ends, Vec::new());
        assert_eq!(drain_all(&mut drain), sent);
        let counts = drain.counts();
        assert_eq!((counts.condemned_lanes, counts.damaged_bytes), (1, 0), "{count}");
        // Behind everything that a journal has, so that the next reader does not doubt it.
        assert!(drain.ends()[0].end > ends[0].end.max(count as u64 * HOOK_BYTES));
        assert_eq!(hooks(&bus, "later", 1), drain_all(&mut drain));
        let ends = drain.ends();
        drop(drain);
        let mut drain = recovered(&bus, &ends, Vec::new());
        assert_eq!(hooks(&bus, "last", 1), drain_all(&mut drain));
        assert_eq!(drain.counts().condemned_lanes, 0);
    }
}

#[test]
fn after_zeros_more_than_a_lane_behind_no_later_restart_passes_over_anything() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    for _ in 0..400 {
        hooks(&bus, "before", 1);
        drain_all(&mut drain);
    }
    let mut ends = drain.ends();
    assert!(ends[0].end > 2 * LANE_BYTES);
    drop(drain);
    set_words(&bus, 0, 0);
    // By the lane's old positions the last of these restarts would come near the old end.
    for restart in 0..50 {
        let sent = hooks(&bus, "after", 9);
        let mut drain = recovered(&bus, &ends, Vec::new());
        assert_eq!(drain_all(&mut drain), sent);
        assert_eq!(drain.counts().condemned_lanes, u64::from(restart == 0), "{restart}");
        ends.extend(drain.ends());
    }
}

/// The daemon died between writing and releasing, then the words go to zero. What is journaled stands in
/// the lane still, and so does what is not.
#[test]
fn what_is_journaled_and_not_released_is_known_by_its_id_where_the_words_lie() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    hooks(&bus, "released", 40);
    assert_eq!(drain_all(&mut drain).len(), 40);
    let old = hooks(&bus, "old", 20);
    let (ends, ids) = journaled(drain.next_batch());
    drop(drain);
    set_words(&bus, 0, 0);
    let new = hooks(&bus, "new", 20);
    // Of the batch the journal has 15 events.
    let (ends, mut ids) = (&ends[..15], ids[..15].to_vec());
    let mut drain = recovered(&bus, ends, ids.clone());
    let kept = drain.stuck_ids();
    assert!(kept.len() == 15 && ids.iter().all(|id| kept.contains(id)));
    let (more_ends, more_ids) = journaled(drain.next_batch());
    let texts = |drain: &Drain| -> Vec<_> {
        let payloads = drain.batch().records().map(|record| record.payload.to_vec());
        payloads.map(|payload| String::from_utf8(payload).unwrap()).collect()
    };
    assert_eq!(texts(&drain), [&old[15..], &new[..]].concat());
    assert_eq!(drain.counts().damaged_bytes, 0);
    // And again.
    drop(drain);
    ids.extend(&more_ids[..10]);
    let ends = [ends, &more_ends[..10]].concat();
    let mut drain = recovered(&bus, &ends, ids);
    assert_eq!(drain_all(&mut drain), new[5..]);
    assert_eq!(drain.counts().damaged_bytes, 0);
    assert_eq!(drain.stuck_ids(), Vec::<[u8; 16]>::new());
}

/// Nobody can say whether the journal has it.
#[test]
fn an_event_without_an_id_comes_rather_twice_than_never() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    hooks(&bus, "released", 20);
    drain_all(&mut drain);
    publish(&mut bus.lane(), b"without an id");
    let (ends, ids) = journaled(drain.next_batch());
    assert_eq!(ids, [[0; 16]]);
    drop(drain);
    set_words(&bus, 0, 0);
    let mut drain = recovered(&bus, &ends, ids);
    assert_eq!(drain_all(&mut drain), ["without an id"]);
}

/// A head that lies ahead hides what stands before it.
#[test]
fn what_stands_before_a_head_that_can_be_is_found() {
    for lie in [64 * HOOK_BYTES, 10 * LANE_BYTES + 64 * HOOK_BYTES] {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        hooks(&bus, "released", 20);
        assert_eq!(drain_all(&mut drain).len(), 20);
        let ends = drain.ends();
        drop(drain);
        let old = hooks(&bus, "old", 5);
        set_words(&bus, lie, lie);
        let new = hooks(&bus, "new", 3);
        let mut drain = recovered(&bus, &ends, Vec::new());
        assert_eq!(drain_all(&mut drain), [old, new].concat(), "{lie}");
        assert_eq!(drain.counts().damaged_bytes, 0, "{lie}");
    }
}

/// What a dead producer did not publish stands in the padding of its successor's record, and says that it
/// goes on beyond what is journaled.
#[test]
fn what_nobody_published_contradicts_no_journal() {
    let crcs = [Some(Crc32c::fastest()), None];
    for (dead_crc, crc) in crcs.into_iter().flat_map(|dead| crcs.map(|crc| (dead, crc))) {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        let mut dead = bus.try_lane(dead_crc).unwrap();
        put(&mut dead, &[b'x'; 192]).unwrap();
        put(&mut dead, b"unpublished").unwrap();
        drop(dead);
        let mut lane = bus.try_lane(crc).unwrap();
        // A byte longer than the dead one's first: that byte is in its second.
        publish(&mut lane, &[b'y'; 193]);
        let (ends, ids) = journaled(drain.next_batch());
        assert_eq!(ends.len(), 1);
        drop(drain);
        publish(&mut lane, b"owed");
        drop(lane);
        let mut drain = recovered(&bus, &ends, ids);
        let what = [dead_crc, crc].map(|crc| crc.is_some());
        assert_eq!(drain_all(&mut drain), ["owed"], "with CRCs: {what:?}");
        let counts = drain.counts();
        assert_eq!((counts.condemned_lanes, counts.damaged_bytes), (0, 0));
    }
}

/// What a dead producer did not publish stands whole under a pad, of which the header is zeroed already.
#[test]
fn what_nobody_published_under_a_pad_contradicts_no_journal() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    hooks(&bus, "released", 124);
    drain_all(&mut drain);
    let mut dead = bus.lane();
    let pad_at = 124 * HOOK_BYTES;
    for _ in 0..3 {
        let (stamp_ns, id) = (sys::boottime_ns(), create::random_uuid());
        dead.put(&RecordHeader { stamp_ns, id, ..Default::default() }, b"", b"left").unwrap();
    }
    drop(dead);
    let mut lane = bus.lane();
    publish(&mut lane, &[b'x'; 1000]);
    let (ends, ids) = journaled(drain.next_batch());
    assert_eq!((pad_at + 512, ends[0].end), (LANE_BYTES, LANE_BYTES + 1088));
    drop(drain);
    let pad = bus.geometry().lane_offset(0) + pad_at;
    bus.scribble(pad, &[0; RECORD_HEADER_BYTES]);
    assert_eq!(whole_records(&bus).len(), 3);
    publish(&mut lane, b"owed");
    drop(lane);
    let mut drain = recovered(&bus, &ends, ids);
    assert_eq!(drain_all(&mut drain), ["owed"]);
    let counts = drain.counts();
    assert_eq!((counts.condemned_lanes, counts.damaged_bytes), (0, 0));
}

/// A library's record without an id stands where the journal has an end. Without a CRC, too, it cannot be
/// proven, and is counted, if it follows on the head; with one, it need not.
#[test]
fn a_record_without_an_id_across_a_journaled_end_contradicts_it() {
    for (crc, tail, found) in [(None, 0, 0), (Some(Crc32c::fastest()), RECORD_ALIGN, 1)] {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        hooks(&bus, "released", 3);
        assert_eq!(drain_all(&mut drain).len(), 3);
        let ends = drain.ends();
        drop(drain);
        set_words(&bus, 0, tail);
        publish(&mut bus.try_lane(crc).unwrap(), &[b'x'; 1000]);
        let mut drain = recovered(&bus, &ends, Vec::new());
        assert_eq!(drain_all(&mut drain).len(), found);
        assert_eq!(drain.counts().damaged_bytes, (1 - found as u64) * 1088);
    }
}

/// The reader lives, and hooks come between the zeros and its next look.
#[test]
fn what_hooks_publish_by_words_that_lie_to_a_living_reader_is_found() {
    for (lie, is_given) in
        [0, 4096, 100 * LANE_BYTES].into_iter().flat_map(|it| [(it, true), (it, false)])
    {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        hooks(&bus, "released", 64);
        assert_eq!(drain_all(&mut drain).len(), 64);
        let old = hooks(&bus, "old", 5);
        if is_given {
            assert_eq!(drain.next_batch().len(), 5);
        }
        set_words(&bus, lie, lie);
        let new = hooks(&bus, "new", 3);
        let mut found = drain_all(&mut drain);
        drain.maintain();
        found.extend(drain_all(&mut drain));
        assert_eq!(found, [old, new].concat(), "{lie}");
        assert_eq!(drain.counts().damaged_bytes, 0, "{lie}");
    }
}

/// Ids and texts of whole records in the only lane, by the format.
fn whole_records(bus: &Bus) -> Vec<([u8; 16], String)> {
    let file = std::fs::read(bus.ring_path()).unwrap();
    let lane = &file[bus.geometry().lane_offset(0) as usize..];
    let offsets = (0..LANE_BYTES).step_by(RECORD_ALIGN as usize);
    let whole = offsets.filter_map(|offset| {
        let (bytes, body) = lane[offset as usize..].split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let header = RecordHeader::from_bytes(bytes);
        let is_here = header.kind == kind::DATA && header.position % LANE_BYTES == offset;
        let payload = body.get(..header.payload_bytes as usize).filter(|_| is_here)?;
        let is_whole = header.flags & flag::CRC != 0
            && header.crc == header.compute_crc(Crc32c::fastest(), b"", payload);
        is_whole.then(|| (header.id, String::from_utf8_lossy(payload).into_owned()))
    });
    whole.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Other words over a lane of which the journal has everything, then hooks: whatever they published
    /// comes out once, and so does what was journaled and not released, never.
    #[test]
    fn whatever_words_a_lane_is_given_what_hooks_publish_by_them_comes_out_once(
        released in 1usize..300,
        unreleased in 0usize..60,
        words in prop::option::of((0u64..1024, 0u64..=256)),
        sent in 0usize..140,
    ) {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        for _ in 0..released {
            hooks(&bus, "released", 1);
            drain_all(&mut drain);
        }
        let mut ends = drain.ends();
        hooks(&bus, "unreleased", unreleased);
        let (more, ids) = journaled(drain.next_batch());
        ends.extend(more);
        drop(drain);
        let (head, used) = words.unwrap_or((0, 0));
        set_words(&bus, head * RECORD_ALIGN, (head + used) * RECORD_ALIGN);
        hooks(&bus, "sent", sent);
        let mut whole: Vec<_> =
            whole_records(&bus).into_iter().filter(|(id, _)| !ids.contains(id)).collect();
        whole.sort_by(|(_, a), (_, b)| a.cmp(b));
        let mut drain = recovered(&bus, &ends, ids.clone());
        let mut found = drain_all(&mut drain);
        drain.maintain();
        found.extend(drain_all(&mut drain));
        found.sort();
        prop_assert_eq!(found, whole.into_iter().map(|(_, text)| text).collect::<Vec<_>>());
        let later = hooks(&bus, "later", 1);
        prop_assert_eq!(drain_all(&mut drain), later);
    }
}
