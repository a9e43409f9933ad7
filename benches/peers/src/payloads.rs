//! What goes over, the same for every contender, and the reader's account of what arrived.

use anyhow::{Result, ensure};
use hookring_bus::sys;

/// Payloads of a set, in bytes altogether: they do not all stay in the first-level cache.
const SET_BYTES: usize = 32 * 1024;
/// Index and producer, then the stamp of a message whose age is measured.
const HEAD_BYTES: usize = 16;

/// A set of different payloads, sent over and over; each says which one of the set it is.
pub(crate) struct Payloads {
    items: Vec<Vec<u8>>,
}

impl Payloads {
    /// Payloads of `bytes`, or between half and one and a half times as many.
    pub(crate) fn new(bytes: usize, is_varied: bool, producer: u32) -> Payloads {
        let length = |i: usize| if is_varied { bytes / 2 + i * 7919 % bytes } else { bytes };
        let item = |i: usize| {
            let mut item: Vec<u8> = (0..length(i)).map(|at| (at * 31 + i * 7) as u8).collect();
            item[..4].copy_from_slice(&(i as u32).to_le_bytes());
            item[4..8].copy_from_slice(&producer.to_le_bytes());
            item[8..HEAD_BYTES].fill(0);
            item
        };
        Payloads { items: (0..set_len(bytes)).map(item).collect() }
    }

    /// The payloads of `cycles` passes through the set, as one run.
    pub(crate) fn run(&self, cycles: usize) -> Vec<&[u8]> {
        (0..cycles).flat_map(|_| self.items.iter().map(Vec::as_slice)).collect()
    }

    /// The sum of one pass; see [`sum`].
    pub(crate) fn sum(&self) -> u64 {
        self.items.iter().map(|item| sum(item)).fold(0, u64::wrapping_add)
    }

    /// Payload `i`, counted on through the passes, stamped now.
    pub(crate) fn stamped(&mut self, i: usize) -> &[u8] {
        let at = i % self.items.len();
        let item = &mut self.items[at];
        item[8..HEAD_BYTES].copy_from_slice(&sys::boottime_ns().to_le_bytes());
        item
    }
}

/// How many payloads a set has.
pub(crate) fn set_len(bytes: usize) -> usize {
    SET_BYTES / bytes
}

/// The largest payload of a set.
pub(crate) fn max_bytes(bytes: usize, is_varied: bool) -> usize {
    if is_varied { bytes / 2 + bytes } else { bytes }
}

/// The wrapping sum of a payload's 64-bit words, the last one filled with zeros.
#[inline]
pub(crate) fn sum(payload: &[u8]) -> u64 {
    let (words, rest) = payload.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(u64::from_le_bytes(last), u64::wrapping_add)
}

/// What a reader found: it looks at every byte and at every producer's order.
pub(crate) struct Tally {
    /// Records that arrived.
    pub(crate) records: usize,
    /// The wrapping sum of their sums.
    pub(crate) sum: u64,
    /// How long each was on its way, in ns, if that is measured.
    pub(crate) ages: Option<Vec<u64>>,
    set_len: u32,
    /// The index that each producer's next payload has.
    next: Vec<u32>,
    out_of_order: usize,
}

impl Tally {
    /// For payloads of sets of `bytes`.
    pub(crate) fn new(bytes: usize, producers: usize, has_ages: bool) -> Tally {
        Tally {
            records: 0,
            sum: 0,
            ages: has_ages.then(Vec::new),
            set_len: set_len(bytes) as u32,
            next: vec![0; producers],
            out_of_order: 0,
        }
    }

    /// Takes a record that arrived.
    #[inline]
    pub(crate) fn take(&mut self, payload: &[u8]) {
        let word = |at: usize| payload.get(at..).and_then(<[u8]>::first_chunk).copied();
        if let Some(ages) = &mut self.ages {
            let sent_ns = word(8).map_or(0, u64::from_le_bytes);
            ages.push(sys::boottime_ns().saturating_sub(sent_ns));
        }
        let head = word(0).map_or(u64::MAX, u64::from_le_bytes);
        match self.next.get_mut((head >> 32) as usize) {
            Some(next) if *next == head as u32 => {
                *next = if *next + 1 == self.set_len { 0 } else { *next + 1 };
            }
            _ => self.out_of_order += 1,
        }
        self.records += 1;
        self.sum = self.sum.wrapping_add(sum(payload));
    }

    /// Fails unless these records arrived, with these contents, each producer's in its order.
    pub(crate) fn check(&self, records: usize, sum: u64) -> Result<()> {
        let Tally { records: found, out_of_order, .. } = self;
        ensure!(*found == records, "{found} records arrived where {records} were sent");
        ensure!(*out_of_order == 0, "{out_of_order} records arrived out of order");
        ensure!(self.sum == sum, "{records} records arrived with other contents than were sent");
        Ok(())
    }
}
