//! Any bytes as a sink's cursor: what is not whole is not believed, what is comes back after every
//! store, and losses are counted once.
//!
//! Input: a byte (bits 0 and 1: make the first and the second slot whole, bit 2: cut the file off
//! behind what the input has for it), the two slots, and a list of steps, each a byte for its kind and
//! what [`step`] reads.
#![no_main]

use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::{Result, Unstructured};
use hookring_fuzz::private_dir;
use hookring_journal::{
    Cursor, CursorState, Gap, InFlight, Losses, OLDEST, Seq, highest_cursor, segment,
};
use libfuzzer_sys::fuzz_target;

const SLOT_BYTES: usize = 256;
const SLOT_AT: [usize; 2] = [0, 4096];
const CRC_AT: usize = SLOT_BYTES - 4;
const START: Seq = 5;

fuzz_target!(|input: &[u8]| {
    let Some((&mode, input)) = input.split_first() else { return };
    let (slots, steps) = input.split_at(input.len().min(2 * SLOT_BYTES));
    let file = file(mode, slots);
    let dir = private_dir();
    let path = dir.path().join("sink.cursor");
    fs::write(&path, &file).expect("a cursor");
    let slots = SLOT_AT.map(|at| slot_at(&file, at));
    let newest = slots.iter().flatten().max_by_key(|slot| slot.generation);
    let highest = slots.iter().flatten().map(Slot::highest).max().unwrap_or(0);
    assert_eq!(highest_cursor(dir.path()).expect("read"), highest);

    let (mut cursor, state) = Cursor::open(dir.path(), "sink", START).expect("opened");
    match newest {
        Some(slot) => {
            assert!(matches!(state, CursorState::Loaded | CursorState::OlderSlot));
            assert_eq!((cursor.position(), cursor.in_flight()), (slot.next, slot.in_flight));
        }
        None => {
            assert_eq!((cursor.position(), state), (OLDEST, CursorState::Damaged));
            assert_eq!(fs::read(dir.path().join("sink.cursor.bad")).expect("kept"), file);
        }
    }
    let mut steps = Unstructured::new(steps);
    while !steps.is_empty() && step(&mut steps, &mut cursor, dir.path()).is_ok() {}
});

/// Makes one step; what is stored then is what the next process finds.
fn step(input: &mut Unstructured<'_>, cursor: &mut Cursor, dir: &Path) -> Result<()> {
    let kind: u8 = input.arbitrary()?;
    let one = seq(input)?;
    match kind % 6 {
        0 => cursor.store(one).expect("stored"),
        1 => cursor.advance(one).expect("stored"),
        2 => {
            let (first, last) = (one.max(1), seq(input)?.max(one).max(1));
            let before = cursor.in_flight();
            let batch = cursor.begin(first, last).expect("stored");
            assert_eq!((batch.first, batch.last), (first, last));
            let is_same = before.is_some_and(|before| (before.first, before.last) == (first, last));
            assert_eq!(Some(batch) == before, is_same);
        }
        3 => {
            let gap = Gap { first: one.max(1), last: seq(input)?.max(one).max(1) };
            check_loss(cursor, gap, input.arbitrary::<u32>()?);
            cursor.save().expect("stored");
        }
        4 => {
            let before = cursor.lost().events;
            cursor.count_lost(one);
            assert_eq!(cursor.lost().events, before.saturating_add(one));
            cursor.save().expect("stored");
        }
        _ => {
            fs::remove_file(dir.join("sink.cursor")).expect("removed");
            cursor.save().expect("stored");
        }
    }
    let said = (cursor.position(), cursor.in_flight(), cursor.lost().clone());
    let (again, state) = Cursor::open(dir, "sink", START).expect("opened");
    assert!(matches!(state, CursorState::Loaded | CursorState::OlderSlot), "{state:?}");
    assert_eq!((again.position(), again.in_flight(), again.lost().clone()), said);
    let highest = again.in_flight().map_or(0, |batch| batch.last).max(said.0.saturating_sub(1));
    assert!(highest_cursor(dir).expect("read") >= highest);
    *cursor = again;
    Ok(())
}

/// Numbers are counted once, and what is new is what was not known.
fn check_loss(cursor: &mut Cursor, gap: Gap, at_s: u32) {
    let before = cursor.lost().clone();
    let fresh = cursor.note_lost(gap, UNIX_EPOCH + Duration::from_secs(at_s.into()));
    let count = fresh.iter().map(|it| it.last - it.first + 1).sum::<u64>();
    let after = cursor.lost();
    assert_eq!(after.events, before.events.saturating_add(count));
    assert!(fresh.is_sorted_by(|one, other| one.last < other.first));
    for part in &fresh {
        assert!(gap.first <= part.first && part.first <= part.last && part.last <= gap.last);
        assert!(!overlaps(&before, *part), "{part:?} was known: {before:?}");
    }
    let known: u64 = union_of(&before, gap);
    assert_eq!(count, gap.last - gap.first + 1 - known);
}

fn overlaps(losses: &Losses, part: Gap) -> bool {
    losses.gaps.iter().any(|lost| lost.gap.first <= part.last && part.first <= lost.gap.last)
}

/// How many numbers of `gap` are in any of the known gaps.
fn union_of(losses: &Losses, gap: Gap) -> u64 {
    let cut = |known: Gap| (known.first.max(gap.first), known.last.min(gap.last));
    let mut parts: Vec<_> = losses.gaps.iter().map(|lost| cut(lost.gap)).collect();
    parts.retain(|(first, last)| first <= last);
    parts.sort_unstable();
    let (mut count, mut done) = (0, 0);
    for (first, last) in parts {
        let first = first.max(done + 1);
        if first <= last {
            count += last - first + 1;
            done = last;
        }
    }
    count
}

/// A number that a journal can have: mostly a small one.
fn seq(input: &mut Unstructured<'_>) -> Result<Seq> {
    Ok(match input.arbitrary::<u8>()? {
        255 => input.arbitrary::<u64>()? % (segment::MAX_SEQ + 1),
        small => small.into(),
    })
}

fn file(mode: u8, slots: &[u8]) -> Vec<u8> {
    let mut file = vec![0; SLOT_AT[1] + SLOT_BYTES];
    let mut end = 0;
    for (slot, at) in slots.chunks(SLOT_BYTES).zip(SLOT_AT) {
        file[at..at + slot.len()].copy_from_slice(slot);
        end = at + slot.len();
    }
    for (n, at) in SLOT_AT.into_iter().enumerate() {
        if mode & (1 << n) != 0 {
            let slot = &mut file[at..at + SLOT_BYTES];
            slot[..8].copy_from_slice(b"hrcurso2");
            let crc = crc32c::crc32c(&slot[..CRC_AT]);
            slot[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        }
    }
    if mode & 4 != 0 {
        file.truncate(end);
    }
    file
}

/// What a whole slot says, in other words than the reader's.
struct Slot {
    generation: u64,
    next: Seq,
    in_flight: Option<InFlight>,
}

impl Slot {
    fn highest(&self) -> Seq {
        let in_flight = self.in_flight.map_or(0, |batch| batch.last);
        in_flight.max(self.next.saturating_sub(1))
    }
}

fn slot_at(file: &[u8], at: usize) -> Option<Slot> {
    let slot = file.get(at..at + SLOT_BYTES)?;
    let word = |at: usize| u64::from_le_bytes(slot[at..at + 8].try_into().expect("eight bytes"));
    let crc = crc32c::crc32c(&slot[..CRC_AT]);
    let [generation, next, first, last] = [8, 16, 24, 32].map(word);
    let attempt = slot[40..56].try_into().expect("16 bytes");
    let is_believed = slot.starts_with(b"hrcurso2")
        && slot[CRC_AT..] == crc.to_le_bytes()
        && (1..=segment::MAX_SEQ).contains(&generation)
        && SLOT_AT[(generation % 2) as usize] == at
        && [next, last].iter().all(|seq| *seq <= segment::MAX_SEQ)
        && first <= last;
    let in_flight = (last > 0).then_some(InFlight { first, last, attempt });
    is_believed.then_some(Slot { generation, next, in_flight })
}
