//! The reader's view of a spool's shared counters: whether something may have been stored since its last
//! look, and their mending where a writer died, or somebody wrote over them.

use super::not_rings::put_away;
use super::sigbus::Guard;
use crate::atomic::{AtomicU64, Ordering};
use crate::spool::{USAGE, Usage};
use crate::sys::{self, Fd, Stat};
use std::ffi::CStr;

/// What had the counters' name and is none of the user's files is kept under this one.
const USAGE_BAD: &CStr = c"usage.bad";

/// More events than this are not dropped from one look at the places to the next.
const MAX_DROPPED_EVENTS: u64 = 1 << 32;
/// Nor more of their bytes.
const MAX_DROPPED_BYTES: u64 = 1 << 48;
/// For so many looks at the places, hooks may still count in the file that was there before this one.
const FRESH_LOOKS: u32 = 2;

/// Mapped counters.
pub(super) struct Counters {
    // The guard goes before what it guards.
    guard: Guard,
    usage: Usage,
    /// What they said before the last whole look.
    seen: Option<Stores>,
    /// What they said before the look by which they were settled last.
    settled: Option<Stores>,
    /// What they said when those that were open were taken for stores of dead writers.
    dead: Stores,
    /// Bytes counted beyond those of the entries, when that was last compared.
    excess_bytes: u64,
    noted_dropped: Dropped,
    fresh_looks: u32,
}

impl Counters {
    /// `None`: there are none, and none can be made.
    pub(super) fn open(spool: &Fd, uid: u32, limit_bytes: u64) -> Option<Counters> {
        let found = sys::stat(Some(spool), USAGE);
        if found.is_ok_and(|found| !found.is_own_file(uid)) {
            // A directory, a link, somebody else's file: as long as it has the name there is no limit.
            put_away(spool, USAGE, USAGE_BAD);
        }
        let usage = Usage::open(spool, uid).ok()?;
        usage.limit_bytes().store(limit_bytes, Ordering::Relaxed);
        let mut counters = Counters {
            guard: Guard::new(usage.region()),
            usage,
            seen: None,
            settled: None,
            dead: Stores::default(),
            excess_bytes: 0,
            noted_dropped: Dropped::default(),
            fresh_looks: FRESH_LOOKS,
        };
        counters.mend_dropped();
        Some(counters)
    }

    /// The file behind the mapping, as it was when it was opened.
    pub(super) fn stat(&self) -> Stat {
        self.usage.stat()
    }

    /// Whether the file was cut off under the mapping.
    pub(super) fn is_cut_off(&self) -> bool {
        self.guard.is_hit()
    }

    /// `None`: they were cut off.
    fn word(&self, word: impl FnOnce(&Usage) -> &AtomicU64) -> Option<u64> {
        let value = word(&self.usage).load(Ordering::Relaxed);
        Some(value).filter(|_| !self.is_cut_off())
    }

    /// Bytes in the spool, as its writers counted them.
    pub(super) fn used_bytes(&self) -> u64 {
        self.word(Usage::used_bytes).unwrap_or(0)
    }

    /// An entry has come without a writer to count it in.
    pub(super) fn take_up(&self, bytes: u64) {
        self.usage.used_bytes().fetch_add(bytes, Ordering::Relaxed);
    }

    /// An entry is gone.
    pub(super) fn give_back(&self, bytes: u64) {
        self.usage.give_back(bytes);
    }

    pub(super) fn set_limit_bytes(&self, limit_bytes: u64) {
        self.usage.limit_bytes().store(limit_bytes, Ordering::Relaxed);
    }

    /// Stores into the spool so far, to be read before a look at it.
    pub(super) fn stores(&self) -> Option<Stores> {
        let (begun, ended) = (self.word(Usage::begun_stores), self.word(Usage::ended_stores));
        Some(Stores { begun: begun?, ended: ended? })
    }

    /// Whether nothing was stored since the last whole look, and nothing is about to be.
    pub(super) fn is_quiet(&self) -> bool {
        let is_quiet = |now: Stores| {
            let is_none_new = self.seen.is_some_and(|seen| seen.ended == now.ended);
            // Once a store has ended, that may have been one of those taken for dead, and another open.
            let are_dead = now.open() == self.dead.open() && now.ended == self.dead.ended;
            is_none_new && (now.open() == 0 || are_dead)
        };
        self.fresh_looks == 0 && self.stores().is_some_and(is_quiet)
    }

    /// The spool was looked through after they said that; `None`: not to its end.
    pub(super) fn note_look(&mut self, stores: Option<Stores>) {
        self.seen = stores;
    }

    /// Stores that are open at two of these looks, a second apart, are those of dead writers.
    pub(super) fn settle_stores(&mut self, stores: Option<Stores>) {
        let before = std::mem::replace(&mut self.settled, stores);
        if let Some(stores) = stores.filter(|_| stores == before) {
            self.dead = stores;
        }
    }

    /// Mends the count of bytes, all entries having so many; `true`: it was wrong.
    ///
    /// Too little is certain, since every writer counts before it links. Too much may be a writer's at
    /// work, unless it stands unchanged a second later; one that takes so long may go beyond the limit.
    pub(super) fn mend_used(&mut self, entry_bytes: u64) -> bool {
        let Some(used_bytes) = self.word(Usage::used_bytes) else { return false };
        let missing_bytes = entry_bytes.saturating_sub(used_bytes);
        if missing_bytes > 0 {
            self.take_up(missing_bytes);
        }
        let excess_bytes = used_bytes.saturating_sub(entry_bytes);
        let before = std::mem::replace(&mut self.excess_bytes, excess_bytes);
        let is_stale = excess_bytes > 0 && excess_bytes == before;
        if is_stale {
            // Whoever counts in just now keeps all of it.
            self.give_back(excess_bytes);
            self.excess_bytes = 0;
        }
        is_stale || missing_bytes > 0
    }

    /// About once a second. Sets right what no writer can have counted; how many words that were.
    pub(super) fn look_after(&mut self, limit_bytes: u64) -> u64 {
        self.fresh_looks = self.fresh_looks.saturating_sub(1);
        if self.is_cut_off() {
            return 0;
        }
        // No hook writes it: with 1 there, all of them would drop, with a huge one fill the memory.
        let is_limit_wrong = self.word(Usage::limit_bytes) != Some(limit_bytes);
        if is_limit_wrong {
            self.set_limit_bytes(limit_bytes);
        }
        u64::from(is_limit_wrong) + u64::from(self.mend_dropped())
    }

    /// Events dropped at the limit.
    pub(super) fn dropped_events(&self) -> u64 {
        let counted = self.dropped().filter(|now| now.can_follow(self.noted_dropped));
        counted.unwrap_or(self.noted_dropped).events
    }

    fn dropped(&self) -> Option<Dropped> {
        let (events, bytes) = (self.word(Usage::dropped_events), self.word(Usage::dropped_bytes));
        Some(Dropped { events: events?, bytes: bytes? })
    }

    fn mend_dropped(&mut self) -> bool {
        let Some(now) = self.dropped() else { return false };
        if now.can_follow(self.noted_dropped) {
            self.noted_dropped = now;
            return false;
        }
        let Dropped { events, bytes } = self.noted_dropped;
        self.usage.dropped_events().store(events, Ordering::Relaxed);
        self.usage.dropped_bytes().store(bytes, Ordering::Relaxed);
        true
    }
}

/// Stores into this spool, ever.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
pub(super) struct Stores {
    begun: u64,
    ended: u64,
}

impl Stores {
    /// Begun and not ended.
    fn open(self) -> u64 {
        self.begun.wrapping_sub(self.ended)
    }
}

#[derive(Copy, Clone, Default)]
struct Dropped {
    events: u64,
    bytes: u64,
}

impl Dropped {
    /// Whether hooks can have counted from `before` up to this.
    fn can_follow(self, before: Dropped) -> bool {
        let is_up_to =
            |now: u64, before: u64, most| now.checked_sub(before).is_some_and(|it| it <= most);
        is_up_to(self.events, before.events, MAX_DROPPED_EVENTS)
            && is_up_to(self.bytes, before.bytes, MAX_DROPPED_BYTES)
    }
}
