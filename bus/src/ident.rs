//! Event ids: UUIDs of version 7 (RFC 9562), made without a system call per event.

const NS_PER_MS: u64 = 1_000_000;

/// Makes ids for one process: milliseconds since 1970, a counter, and 62 bits that begin at random
/// and move on by an odd constant, so that no two of a process are the same, and no two processes
/// meet (a Weyl sequence; nothing here has to be hard to guess).
///
/// A forked child must make a new one, or it repeats its parent's ids.
pub struct Ids {
    random: u64,
    count: u64,
    /// When the millisecond of the last id began, in ns since 1970, and its number as it stands in an
    /// id: a comparison that a processor predicts, instead of a division that it would wait for.
    millisecond_ns: u64,
    high: u64,
}

impl Ids {
    /// Starts from 16 random bytes of this process.
    pub fn new(random: [u8; 16]) -> Ids {
        let [low, high] = [&random[..8], &random[8..]].map(word);
        Ids { random: low, count: high, millisecond_ns: 0, high: 0x7000 }
    }

    /// A new id for an event that is published at `unix_ns` (ns since 1970).
    #[inline]
    pub fn next(&mut self, unix_ns: u64) -> [u8; 16] {
        // The golden ratio: any two values that are near in time lie far apart.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        self.random = self.random.wrapping_add(STEP);
        self.count = self.count.wrapping_add(1);
        if unix_ns.wrapping_sub(self.millisecond_ns) >= NS_PER_MS {
            self.turn_to(unix_ns);
        }
        let high = self.high | (self.count & 0xfff);
        let low = (self.random >> 2) | (1 << 63);
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    #[cold]
    fn turn_to(&mut self, unix_ns: u64) {
        let millis = unix_ns / NS_PER_MS;
        self.millisecond_ns = millis * NS_PER_MS;
        self.high = (millis << 16) | 0x7000;
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
            assert_eq!(word(&id[..6]), 1_790_000_000_123);
            assert_eq!(id[6] >> 4, 7);
            assert_eq!(id[8] >> 6, 2);
        }
    }

    #[test]
    fn processes_differ() {
        assert_ne!(Ids::new([1; 16]).next(0), Ids::new([2; 16]).next(0));
    }
}
