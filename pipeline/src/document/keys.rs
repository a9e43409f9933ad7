//! What is known of an object's keys without a look at them: adapters ask a payload for many members
//! that it does not have.

/// A bit for each of 64 kinds of keys, by length and characters.
#[derive(Copy, Clone, Default)]
pub(super) struct KeySet(u64);

impl KeySet {
    /// Adds a key as it is written, without its quotes.
    #[inline]
    pub(super) fn add(&mut self, characters: &[u8]) {
        // With an escape in it, it may be any.
        let is_escaped = characters.contains(&b'\\');
        self.0 |= if is_escaped { u64::MAX } else { bit(characters) };
    }

    /// Whether this key may be one of them.
    #[inline]
    pub(super) fn may_have(self, key: &str) -> bool {
        self.0 & bit(key.as_bytes()) != 0
    }
}

#[inline]
fn bit(key: &[u8]) -> u64 {
    let first = key.first().copied().unwrap_or_default();
    let last = key.last().copied().unwrap_or_default();
    let kind = (key.len() as u8).wrapping_mul(11) ^ first ^ last.wrapping_mul(5);
    1 << (kind & 63)
}
