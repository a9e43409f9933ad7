//! Event ids: UUIDs of version 7 (RFC 9562), made without a system call per event.

const NS_PER_MS: u64 = 1_000_000;
/// The counter in the upper half of an id.
const COUNT_MASK: u64 = 0xfff;

/// Makes ids for one process: milliseconds since 1970, a counter, and 62 bits that begin at random
/// and move on by an odd constant, so that no two of a process are the same, and no two processes
/// meet (a Weyl sequence; nothing here has to be hard to guess).
///
/// A forked child must make a new one, or it repeats its parent's ids.
pub struct Ids {
    random: u64,
    /// The counter's value for the first id of a millisecond.
    first_count: u64,
    /// When the millisecond of the last id began, in ns since 1970, and its number as it stands in an
    /// id: a comparison that a processor predicts, instead of a division that it would wait for.
    millisecond_ns: u64,
    /// The upper half of the last id.
    high: u64,
}

impl Ids {
    /// Starts from 16 random bytes of this process.
    pub fn new(random: [u8; 16]) -> Ids {
        let [low, high] = [&random[..8], &random[8..]].map(word);
        let first_count = high & (COUNT_MASK >> 1);
        Ids { random: low, first_count, millisecond_ns: 0, high: 0x7000 | first_count }
    }

    /// A new id for an event that is published at `unix_ns` (ns since 1970). Ids of one millisecond
    /// rise: the spool has events of one stamp in the order of their ids.
    #[inline]
    pub fn next(&mut self, unix_ns: u64) -> [u8; 16] {
        // The golden ratio: any two values that are near in time lie far apart.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        self.random = self.random.wrapping_add(STEP);
        self.high = self.high.wrapping_add(1);
        if unix_ns.wrapping_sub(self.millisecond_ns) >= NS_PER_MS {
            self.turn_to(unix_ns);
        } else if self.high & COUNT_MASK == 0 {
            self.carry();
        }
        let low = (self.random >> 2) | (1 << 63);
        (u128::from(self.high) << 64 | u128::from(low)).to_be_bytes()
    }

    #[cold]
    fn turn_to(&mut self, unix_ns: u64) {
        let millis = unix_ns / NS_PER_MS;
        self.millisecond_ns = millis * NS_PER_MS;
        self.high = (millis << 16) | 0x7000 | self.first_count;
    }

    /// The counter is used up, and went on into the version: the next millisecond begins early.
    #[cold]
    fn carry(&mut self) {
        self.high = self.high.wrapping_add(0x1_0000 - 0x1000);
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_version_7_of_the_right_millisecond_and_differ() {
        let mut ids = Ids::new([0xff; 16]);
        let now = 1_790_000_000_123_456_789;
        let made: HashSet<_> = (0..100_000).map(|_| ids.next(now)).collect();
        assert_eq!(made.len(), 100_000);
        for id in made {
            // 4096 of them fit a millisecond.
            assert!((0..=25).contains(&(word(&id[..6]) - 1_790_000_000_123)));
            assert_eq!(id[6] >> 4, 7);
            assert_eq!(id[8] >> 6, 2);
        }
    }

    #[test]
    fn ids_of_one_stamp_rise_from_wherever_they_begin() {
        for first in [0, 1, 0xfff, 0x7ff, u8::MAX.into()] {
            let mut seed = [0xff; 16];
            seed[8..].copy_from_slice(&u64::to_be_bytes(first));
            let mut ids = Ids::new(seed);
            for now in [1_790_000_000_123_456_789, 1_790_000_000_124_456_789] {
                let made: Vec<_> = (0..10_000).map(|_| ids.next(now)).collect();
                assert!(made.is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn processes_differ() {
        assert_ne!(Ids::new([1; 16]).next(0), Ids::new([2; 16]).next(0));
    }
}
