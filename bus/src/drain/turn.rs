//! When the next record of a source comes out, beside those of the other sources.

/// The place of a record in the order.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Turn {
    /// By which it is ordered.
    pub(super) stamp_ns: u64,
    /// As it was published. Records from the future share the round's clock as their stamp; those
    /// of one foreign clock are in its order among each other.
    pub(super) published_ns: u64,
    pub(super) due: Due,
}

/// Whether it may come out in this round.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    /// It is stamped before the round's clock was read.
    Now,
    /// From the future, but seen in an earlier round: it was published before this round's clock.
    Seen,
    /// From the future, and not seen before. It comes out only before one that was: by a foreign
    /// clock that both have, its causes are older than the other one is, thus older than the round.
    Fresh,
}

impl Turn {
    /// Of a record that `is_seen` if an earlier round saw it.
    pub(super) fn new(published_ns: u64, now_ns: u64, is_seen: bool) -> Turn {
        let due = match (published_ns <= now_ns, is_seen) {
            (true, _) => Due::Now,
            (false, true) => Due::Seen,
            (false, false) => Due::Fresh,
        };
        Turn { stamp_ns: published_ns.min(now_ns), published_ns, due }
    }

    /// Behind another of its source.
    pub(super) fn not_before(self, stamp_ns: u64) -> Turn {
        Turn { stamp_ns: self.stamp_ns.max(stamp_ns), ..self }
    }
}
