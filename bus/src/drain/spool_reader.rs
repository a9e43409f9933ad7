//! The reader's side of a spool: lists entries, reads them whole, unlinks them when they are safe.

use super::Counts;
use super::batch::{Batch, Origin};
use super::journaled::Journaled;
use super::sigbus::Guard;
use super::spool_entry::{Entry, Oldest};
use crate::atomic::{AtomicU64, Ordering};
use crate::crc::Crc32c;
use crate::place::SPOOL;
use crate::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordHeader, SPOOL_POSITION, kind,
};
use crate::spool::{TEMPORARY_PREFIX, USAGE, Usage};
use crate::sys::{self, Errno, Fd, Open, Stat};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ffi::{CStr, CString};

/// Entries that a listing keeps at most, the oldest; the rest wait on disk for the next one.
const MAX_LISTED: usize = if cfg!(test) { 8 } else { 64 * 1024 };
/// Nothing more is given out while so many entries are journaled and cannot be unlinked.
pub(super) const MAX_STUCK: usize = 4096;
/// Entries that one listing unlinks at most because they are journaled.
const MAX_KNOWN: usize = 2 * MAX_STUCK;
/// Nothing more is listed until the next look at the places while so many cannot be read.
const MAX_UNREADABLE: usize = 4096;
/// What was set aside as damaged begins with this.
const BAD_PREFIX: &str = ".bad-";
/// So many of them are kept for people to look at; the oldest goes first.
const MAX_BAD_KEPT: usize = 16;
/// A temporary file that was not touched for so long has lost its writer. It was never published.
const MAX_TEMPORARY_AGE_S: i64 = 3600;

/// A spool that is read.
pub(super) struct SpoolReader {
    dir: Fd,
    uid: u32,
    // The guard goes before what it guards.
    usage_guard: Option<Guard>,
    usage: Option<Usage>,
    crc: Crc32c,
    /// Entries not given out yet, oldest first.
    waiting: VecDeque<Entry>,
    /// The directory had more than `waiting` takes.
    is_cut: bool,
    /// What still waited when this round began: what was in the future then is clamped now.
    waited: BTreeSet<Entry>,
    /// The stamp by which the first of them is ordered.
    first_ns: u64,
    /// Entries given out and not yet unlinked, with their bytes.
    given: BTreeMap<Entry, u64>,
    /// Entries that are journaled and could not be unlinked.
    stuck: BTreeSet<Entry>,
    /// Entries that could not be read, for lack of descriptors or permission; the next look at the
    /// places has them tried again.
    unreadable: HashSet<Entry>,
    /// What the counters said before the last whole look.
    seen: Option<Stores>,
    /// What they said before the last forced one.
    seen_when_forced: Option<Stores>,
    /// Stores that were begun and will not end: their writers died.
    dead_stores: u64,
    /// What the counters said when the last forced look found no entry.
    unexplained_bytes: u64,
    /// What was set aside, oldest first.
    bad: VecDeque<CString>,
}

impl SpoolReader {
    pub(super) fn new(dir: Fd, uid: u32, limit_bytes: u64) -> SpoolReader {
        let usage = Usage::open(&dir, uid).ok();
        let usage_guard = usage.as_ref().map(|usage| Guard::new(usage.region()));
        if let Some(usage) = &usage {
            usage.limit_bytes().store(limit_bytes, Ordering::Relaxed);
        }
        let mut reader = SpoolReader {
            dir,
            uid,
            usage_guard,
            usage,
            crc: Crc32c::fastest(),
            waiting: VecDeque::new(),
            is_cut: false,
            waited: BTreeSet::new(),
            first_ns: 0,
            given: BTreeMap::new(),
            stuck: BTreeSet::new(),
            unreadable: HashSet::new(),
            seen: None,
            seen_when_forced: None,
            dead_stores: 0,
            unexplained_bytes: 0,
            bad: VecDeque::new(),
        };
        reader.remove_litter();
        reader
    }

    /// Removes what nobody will come for: temporary files whose writers died, old damaged entries.
    fn remove_litter(&mut self) {
        let (mut temporary, mut bad) = (Vec::new(), Vec::new());
        self.for_each_name(|name| {
            let list = match name {
                name if name.starts_with(TEMPORARY_PREFIX.as_bytes()) => &mut temporary,
                name if name.starts_with(BAD_PREFIX.as_bytes()) => &mut bad,
                _ => return true,
            };
            if let Ok(name) = CString::new(name)
                && let Ok(stat) = sys::stat(Some(&self.dir), &name)
            {
                list.push((stat.modified_s, name));
            }
            true
        });
        let now_s = (sys::realtime_ns() / 1_000_000_000) as i64;
        temporary.retain(|(modified_s, _)| now_s - modified_s > MAX_TEMPORARY_AGE_S);
        for (_, name) in temporary {
            let _ = sys::unlink(&self.dir, &name);
        }
        bad.sort();
        self.bad.extend(bad.into_iter().map(|(_, name)| name));
        self.remove_old_bad();
    }

    fn remove_old_bad(&mut self) {
        while self.bad.len() > MAX_BAD_KEPT
            && let Some(oldest) = self.bad.pop_front()
        {
            let _ = sys::unlink(&self.dir, &oldest);
        }
    }

    pub(super) fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// Ids of entries that are journaled and could not be unlinked.
    pub(super) fn stuck(&self) -> impl ExactSizeIterator<Item = [u8; 16]> + '_ {
        self.stuck.iter().map(|entry| entry.id)
    }

    /// Has what could not be read tried again.
    pub(super) fn retry_unreadable(&mut self) {
        self.unreadable.clear();
    }

    /// Whether this is still the spool of that place, with the counters that hooks find there.
    pub(super) fn is_in(&self, place: &Fd) -> bool {
        let is = |at: &Fd, name: &CStr, ours: Result<Stat, Errno>| {
            let found = sys::stat(Some(at), name);
            matches!((found, ours), (Ok(found), Ok(ours)) if found.is_same_file(&ours))
        };
        let usage = self.usage.as_ref().map(Usage::stat);
        let is_cut = self.usage_guard.as_ref().is_some_and(Guard::is_hit);
        let is_usage_same = usage.is_some_and(|stat| is(&self.dir, USAGE, Ok(stat)));
        !is_cut && is_usage_same && is(place, SPOOL, sys::fstat(&self.dir))
    }

    /// Events dropped at its limit.
    pub(super) fn dropped_events(&self) -> u64 {
        self.usage.as_ref().map_or(0, |usage| usage.dropped_events().load(Ordering::Relaxed))
    }

    /// Takes the round's look at the directory, if something may have been stored since the last one;
    /// `is_forced`: in any case. Returns up to which stamp it was seen: beyond that, older entries are
    /// left on disk.
    ///
    /// An entry linked before the round's clock was read is found: its writer had counted the store as
    /// begun, with a full fence between that and the link, and such a fence stands behind the clock,
    /// too. So this look finds more stores begun than ended, or more ended than at the last look. And
    /// `getdents` returns whatever was there throughout. What nobody counts (a store without counters,
    /// or by a writer that was taken for dead and dies behind its link) is found by a forced look,
    /// about once a second.
    pub(super) fn list(
        &mut self,
        journaled: &Journaled,
        is_forced: bool,
        counts: &mut Counts,
    ) -> u64 {
        self.waited = self.waiting.iter().copied().collect();
        // Both before the look: what is counted while it goes on is looked at again.
        let (used_bytes, stores) = (self.word(Usage::used_bytes), self.stores());
        if is_forced || self.may_have_entries(stores) {
            let is_whole = self.look(journaled, counts);
            self.seen = stores.filter(|_| is_whole);
            if is_forced && is_whole {
                self.settle(used_bytes.unwrap_or(0), stores);
            }
        }
        // While it gives nothing out, the lanes do not wait for it.
        let holds_back = self.is_cut && !self.is_stuck();
        self.waiting.back().filter(|_| holds_back).map_or(u64::MAX, |newest| newest.stamp_ns)
    }

    /// Without counters, nobody knows.
    fn may_have_entries(&self, stores: Option<Stores>) -> bool {
        let is_blocked = self.is_stuck() || self.unreadable.len() >= MAX_UNREADABLE;
        let is_seen = stores.is_some_and(|now| {
            let is_none_new = self.seen.is_some_and(|seen| seen.ended == now.ended);
            is_none_new && now.open() == self.dead_stores
        });
        (self.is_cut || !is_seen) && !is_blocked
    }

    fn stores(&self) -> Option<Stores> {
        let (begun, ended) = (self.word(Usage::begun_stores), self.word(Usage::ended_stores));
        Some(Stores { begun: begun?, ended: ended? })
    }

    /// `None`: there are no counters, or they were cut off.
    fn word(&self, word: impl FnOnce(&Usage) -> &AtomicU64) -> Option<u64> {
        let is_cut_off = || self.usage_guard.as_ref().is_some_and(Guard::is_hit);
        let value = word(self.usage.as_ref()?).load(Ordering::Relaxed);
        Some(value).filter(|_| !is_cut_off())
    }

    /// Whether it gives nothing out because too much of what it gave cannot be unlinked.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.len() >= MAX_STUCK
    }

    /// Lists the directory: the oldest entries wait, and what is journaled is unlinked. `false`: it
    /// could not be listed to its end.
    fn look(&mut self, journaled: &Journaled, counts: &mut Counts) -> bool {
        let (mut oldest, mut known) = (Oldest::new(MAX_LISTED), Oldest::new(MAX_KNOWN));
        let is_whole = self.for_each_name(|name| {
            if let Some(entry) = Entry::parse(name).filter(|entry| !self.is_taken(entry)) {
                let is_known = self.stuck.contains(&entry) || journaled.has(&entry.id);
                if is_known { known.add(entry) } else { oldest.add(entry) }
            }
            true
        });
        self.is_cut = oldest.is_cut;
        self.waiting = oldest.into_queue();
        let are_all = is_whole && !known.is_cut;
        self.unlink_known(known.into_queue(), are_all, counts);
        is_whole
    }

    /// Whether the entry is in this reader's hands, or is left alone for now.
    fn is_taken(&self, entry: &Entry) -> bool {
        self.given.contains_key(entry) || self.unreadable.contains(entry)
    }

    /// Unlinks what is journaled. What is not there any more, or goes now, need not be remembered.
    fn unlink_known(&mut self, known: VecDeque<Entry>, are_all: bool, counts: &mut Counts) {
        let before = self.stuck.clone();
        if are_all {
            self.stuck.clear();
        }
        for entry in known {
            let name = entry.c_name();
            let bytes = sys::stat(Some(&self.dir), &name).map_or(0, |stat| stat.bytes);
            match sys::unlink(&self.dir, &name) {
                Ok(()) => {
                    counts.journaled_spool_entries += 1;
                    // What this reader gave out itself was counted out then.
                    if !before.contains(&entry) {
                        self.give_back(bytes);
                    }
                }
                Err(Errno::NOENT) => {}
                Err(_) => drop(self.stuck.insert(entry)),
            }
        }
    }

    fn give_back(&self, bytes: u64) {
        if let Some(usage) = &self.usage {
            usage.give_back(bytes);
        }
    }

    /// Heals what a writer counted and died: a spool without entries uses nothing, and a store that was
    /// begun will not end.
    ///
    /// Only counts that stand unchanged from one forced look to the next are taken for a dead one's: a
    /// writer at work has counted, too, and not linked yet. One that takes so long may go beyond the
    /// limit.
    fn settle(&mut self, used_bytes: u64, stores: Option<Stores>) {
        let before = std::mem::replace(&mut self.seen_when_forced, stores);
        if let Some(stores) = stores.filter(|_| stores == before) {
            self.dead_stores = stores.open();
        }
        let is_empty = self.waiting.is_empty() && self.given.is_empty();
        let found_bytes = if is_empty { used_bytes } else { 0 };
        let before = std::mem::replace(&mut self.unexplained_bytes, found_bytes);
        if found_bytes != 0
            && found_bytes == before
            && let Some(usage) = &self.usage
        {
            let (used, relaxed) = (usage.used_bytes(), Ordering::Relaxed);
            // Whoever counts in just now keeps all of it.
            let _ = used.compare_exchange(used_bytes, 0, relaxed, relaxed);
        }
    }

    /// Hands each name to `each` until that returns `false`; `false`: not all could be read.
    fn for_each_name(&self, each: impl FnMut(&[u8]) -> bool) -> bool {
        // A new description of the same directory starts at its beginning. What a failure left
        // unseen is seen by the next look.
        let dir = sys::open(Some(&self.dir), c".", Open::Dir);
        dir.and_then(|dir| sys::for_each_name(dir, each)).is_ok()
    }

    /// The stamp of the oldest entry, if it may be given out in this round.
    pub(super) fn peek(&mut self, now_ns: u64) -> Option<u64> {
        let first = self.waiting.front().filter(|_| !self.is_stuck())?;
        if first.stamp_ns > now_ns && !self.waited.contains(first) {
            return None;
        }
        self.first_ns = first.stamp_ns.min(now_ns);
        Some(self.first_ns)
    }

    /// Gives out the oldest entry, at which [`Self::peek`] looked; a damaged one is set aside instead.
    pub(super) fn take(&mut self, batch: &mut Batch, counts: &mut Counts) {
        let Some(entry) = self.waiting.pop_front() else { return };
        let start = batch.buffer().len();
        match self.read(&entry.c_name(), batch.buffer()) {
            Ok(header) => {
                self.given.insert(entry, header.bytes());
                let origin = Origin::Spool(entry.text().into());
                batch.push(header, self.first_ns, start, origin);
                counts.spool_records += 1;
                counts.clamped_stamps += u64::from(self.first_ns < entry.stamp_ns);
                return;
            }
            Err(ReadError::Damaged) => self.set_aside(&entry, counts),
            Err(ReadError::Gone) => {}
            Err(ReadError::System) => drop(self.unreadable.insert(entry)),
        }
        batch.buffer().truncate(start);
        if self.unreadable.len() >= MAX_UNREADABLE {
            (self.waiting, self.is_cut) = (VecDeque::new(), false);
        }
    }

    fn set_aside(&mut self, entry: &Entry, counts: &mut Counts) {
        let aside = CString::new(format!("{BAD_PREFIX}{}", entry.text())).unwrap_or_default();
        if sys::rename(&self.dir, &entry.c_name(), &aside).is_ok() {
            counts.bad_spool_entries += 1;
            self.bad.push_back(aside);
            self.remove_old_bad();
        }
    }

    /// Reads an entry's body behind what stands in `into`.
    fn read(&self, name: &CString, into: &mut Vec<u8>) -> Result<RecordHeader, ReadError> {
        let file = sys::open(Some(&self.dir), name, Open::Read).map_err(|errno| match errno {
            Errno::LOOP => ReadError::Damaged,
            Errno::NOENT => ReadError::Gone,
            _ => ReadError::System,
        })?;
        let stat = sys::fstat(&file).map_err(|_| ReadError::System)?;
        let body = stat.bytes.checked_sub(RECORD_HEADER_BYTES as u64).ok_or(ReadError::Damaged)?;
        if !stat.is_private_file(self.uid) || body > (MAX_META_BYTES + MAX_PAYLOAD_BYTES) as u64 {
            return Err(ReadError::Damaged);
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        read_exact(&file, &mut header, 0)?;
        let start = into.len();
        into.resize(start + body as usize, 0);
        read_exact(&file, &mut into[start..], RECORD_HEADER_BYTES as u64)?;
        let header = RecordHeader::from_bytes(&header);
        let fits = header.is_plausible(SPOOL_POSITION, u64::MAX)
            && header.kind == kind::DATA
            && header.bytes() == stat.bytes;
        if !fits {
            return Err(ReadError::Damaged);
        }
        let (meta, payload) = into[start..].split_at(header.meta_bytes as usize);
        let crc = header.compute_crc(self.crc, meta, payload);
        if crc == header.crc { Ok(header) } else { Err(ReadError::Damaged) }
    }

    /// What was given out is safe elsewhere: unlinks it. What cannot be unlinked is remembered.
    pub(super) fn release(&mut self) {
        for (entry, bytes) in std::mem::take(&mut self.given) {
            if !matches!(sys::unlink(&self.dir, &entry.c_name()), Ok(()) | Err(Errno::NOENT)) {
                self.stuck.insert(entry);
            }
            self.give_back(bytes);
        }
    }

    /// Whether there is an entry to be given out: looked up before the reader sleeps. `is_forced`: in
    /// the directory, whatever the counters say.
    pub(super) fn has_entries(&self, is_forced: bool) -> bool {
        if self.is_stuck() {
            return false;
        }
        let mut found = !self.waiting.is_empty();
        if !found && (is_forced || self.may_have_entries(self.stores())) {
            self.for_each_name(|name| {
                let is_new = |entry: Entry| {
                    !self.stuck.contains(&entry) && !self.unreadable.contains(&entry)
                };
                found = Entry::parse(name).is_some_and(is_new);
                !found
            });
        }
        found
    }
}

/// Stores into this spool, ever.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Stores {
    begun: u64,
    ended: u64,
}

impl Stores {
    /// Begun and not ended.
    fn open(self) -> u64 {
        self.begun.wrapping_sub(self.ended)
    }
}

enum ReadError {
    Damaged,
    /// Whoever wiped the directory took it along.
    Gone,
    System,
}

fn read_exact(file: &Fd, mut into: &mut [u8], mut offset: u64) -> Result<(), ReadError> {
    while !into.is_empty() {
        match sys::pread(file, into, offset) {
            Ok(0) => return Err(ReadError::Damaged),
            Ok(read) => {
                offset += read as u64;
                into = &mut into[read..];
            }
            Err(Errno::INTR) => {}
            Err(_) => return Err(ReadError::System),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
