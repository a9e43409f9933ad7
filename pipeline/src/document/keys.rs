//! What is known of an object's keys without a look at them: adapters ask payloads for many members
//! that they do not have.

/// What two keys that are the same have in common: one of 256 kinds, by length and characters.
#[derive(Copy, Clone)]
pub(super) struct KeyKind(u8);

impl KeyKind {
    /// The kind of a key without escapes.
    #[inline]
    pub(super) fn of(key: &[u8]) -> KeyKind {
        let first = key.first().copied().unwrap_or_default();
        let last = key.last().copied().unwrap_or_default();
        KeyKind((key.len() as u8).wrapping_mul(11) ^ first ^ last.wrapping_mul(5))
    }
}

/// Kinds of keys, 64 of which it tells apart.
#[derive(Copy, Clone, Default)]
pub(super) struct KeySet(u64);

/// The same for an object inside, in the room that its node has left.
#[derive(Copy, Clone, Default, Debug)]
pub(super) struct SmallKeySet(u16);

impl KeySet {
    /// Adds a key; `None`: it may be any.
    #[inline]
    pub(super) fn add(&mut self, kind: Option<KeyKind>) {
        self.0 |= kind.map_or(u64::MAX, |kind| 1 << (kind.0 & 63));
    }

    /// Whether a key of this kind may be one of them.
    #[inline]
    pub(super) fn may_have(self, kind: KeyKind) -> bool {
        self.0 >> (kind.0 & 63) & 1 == 1
    }
}

impl SmallKeySet {
    /// See [`KeySet::add`].
    #[inline]
    pub(super) fn add(&mut self, kind: Option<KeyKind>) {
        self.0 |= kind.map_or(u16::MAX, |kind| 1 << (kind.0 & 15));
    }

    /// See [`KeySet::may_have`].
    #[inline]
    pub(super) fn may_have(self, kind: KeyKind) -> bool {
        self.0 >> (kind.0 & 15) & 1 == 1
    }
}
