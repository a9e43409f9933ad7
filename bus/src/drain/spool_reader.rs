//! The reader's side of a spool: lists entries, reads them whole, unlinks them when they are safe.

use super::Counts;
use super::batch::{Batch, Origin};
use super::journaled::Journaled;
use super::set_aside::SetAside;
use super::spool_counters::Counters;
use super::spool_entry::{Entry, Oldest};
use super::spool_file::{self, ReadError};
use super::turn::Turn;
use crate::crc::Crc32c;
use crate::place::{Refused, SPOOL};
use crate::record::RECORD_HEADER_BYTES;
use crate::spool::{self, USAGE};
use crate::sys::{self, Errno, Fd, Stat};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::ffi::CStr;

/// Entries that a listing keeps at most, the oldest; the rest wait on disk for the next one.
const MAX_LISTED: usize = if cfg!(test) { 8 } else { 64 * 1024 };
/// Nothing more is given out while so many entries are journaled and cannot be unlinked.
pub(super) const MAX_STUCK: usize = 4096;
/// Entries that one listing unlinks at most because they are journaled.
const MAX_KNOWN: usize = 2 * MAX_STUCK;
/// Nothing more is listed until the next look at the places while so many cannot be read.
pub(super) const MAX_UNREADABLE: usize = 4096;
/// Of a spool with more entries than this, the bytes are counted only if what hooks counted cannot be.
const MAX_COUNTED: usize = if cfg!(test) { 4 } else { 4096 };
/// So many of those that were set aside are tried again at each look at the places.
const MAX_TRIED: usize = 16;
/// A spool that is read.
pub(super) struct SpoolReader {
    dir: Fd,
    uid: u32,
    counters: Option<Counters>,
    limit_bytes: u64,
    crc: Crc32c,
    /// Entries not given out yet, oldest first.
    waiting: VecDeque<Entry>,
    /// The directory had more than `waiting` takes.
    is_cut: bool,
    /// The newest that still waited when this round began: what was in the future then comes out now.
    waited: Option<Entry>,
    /// The clock of the round that looked last. It may look twice.
    round_ns: u64,
    /// Entries given out and not yet unlinked, with their bytes.
    given: BTreeMap<Entry, u64>,
    /// Entries that are journaled and could not be unlinked.
    stuck: BTreeSet<Entry>,
    /// Entries were unlinked since the directory was synced last, or may have been.
    has_unlinked: bool,
    /// Entries that could not be read, for lack of descriptors, say; the next look at the places has
    /// them tried again.
    unreadable: HashSet<Entry>,
    /// How many those were before the last look at the places.
    were_unreadable: usize,
    set_aside: SetAside,
    /// The next forced look settles what the counters say.
    is_settling_due: bool,
}

impl SpoolReader {
    /// Opens the spool in a place. One of the user's that was opened to others is closed to them again:
    /// they do not come through the place, and while it is open hooks do not use it.
    pub(super) fn open(place: &Fd, uid: u32, limit_bytes: u64) -> Result<SpoolReader, Refused> {
        let mut opened = spool::open(place, uid);
        if let Err(Refused::NotPrivate(stat)) = opened
            && stat.is_dir()
            && stat.uid == uid
            && sys::set_mode_at(place, SPOOL, 0o700).is_ok()
        {
            opened = spool::open(place, uid);
        }
        opened.map(|dir| SpoolReader::new(dir, uid, limit_bytes))
    }

    pub(super) fn new(dir: Fd, uid: u32, limit_bytes: u64) -> SpoolReader {
        let mut reader = SpoolReader {
            counters: Counters::open(&dir, uid, limit_bytes),
            set_aside: SetAside::find(&dir),
            limit_bytes,
            dir,
            uid,
            crc: Crc32c::fastest(),
            waiting: VecDeque::new(),
            is_cut: false,
            waited: None,
            round_ns: 0,
            given: BTreeMap::new(),
            stuck: BTreeSet::new(),
            // Whoever read it before may have died before it synced.
            has_unlinked: true,
            unreadable: HashSet::new(),
            were_unreadable: 0,
            is_settling_due: true,
        };
        reader.retry_set_aside(usize::MAX);
        reader
    }

    /// Bytes in it, as its counters say.
    pub(super) fn used_bytes(&self) -> u64 {
        self.counters.as_ref().map_or(0, Counters::used_bytes)
    }

    /// Entries that are known and wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.given.len()
    }

    /// Entries that cannot be read, set aside or not.
    pub(super) fn unreadable(&self) -> usize {
        self.set_aside.unreadable() + self.unreadable.len().max(self.were_unreadable)
    }

    /// Whether so many cannot be read that the others wait.
    pub(super) fn is_blocked_by_unreadable(&self) -> bool {
        self.unreadable.len().max(self.were_unreadable) >= MAX_UNREADABLE
    }

    pub(super) fn set_limit_bytes(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
        self.counters.iter().for_each(|counters| counters.set_limit_bytes(limit_bytes));
    }

    /// Ids of entries that are journaled and could not be unlinked.
    pub(super) fn stuck(&self) -> impl ExactSizeIterator<Item = [u8; 16]> + '_ {
        self.stuck.iter().map(|entry| entry.id)
    }

    /// About once a second: has what could not be read tried again, and the counters set right.
    pub(super) fn look_after(&mut self, counts: &mut Counts) {
        self.were_unreadable = self.unreadable.len();
        self.unreadable.clear();
        self.retry_set_aside(MAX_TRIED);
        self.is_settling_due = true;
        if let Some(counters) = &mut self.counters {
            counts.mended_spool_counters += counters.look_after(self.limit_bytes);
        }
    }

    /// Whether this is still the spool of that place, with the counters that hooks find there, and both
    /// are such that hooks use them.
    pub(super) fn is_in(&self, place: &Fd) -> bool {
        let named = |at: &Fd, name: &CStr| sys::stat(Some(at), name).ok();
        let is_usage = |ours: &Counters| {
            let is = |it: Stat| it.is_same_file(&ours.stat()) && it.is_private_file(self.uid);
            !ours.is_cut_off() && named(&self.dir, USAGE).is_some_and(is)
        };
        let is_spool = |ours: Stat| {
            let is = |it: Stat| it.is_same_file(&ours) && it.is_private_dir(self.uid);
            named(place, SPOOL).is_some_and(is)
        };
        self.counters.as_ref().is_some_and(is_usage) && sys::fstat(&self.dir).is_ok_and(is_spool)
    }

    /// The counters' file, as it was opened. `None`: there is none.
    pub(super) fn counters_stat(&self) -> Option<Stat> {
        self.counters.as_ref().map(Counters::stat)
    }

    pub(super) fn dir(&self) -> &Fd {
        &self.dir
    }

    /// Events dropped at its limit.
    pub(super) fn dropped_events(&self) -> u64 {
        self.counters.as_ref().map_or(0, Counters::dropped_events)
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
        round_ns: u64,
        counts: &mut Counts,
    ) -> u64 {
        if std::mem::replace(&mut self.round_ns, round_ns) != round_ns {
            self.waited = self.waiting.back().copied();
        }
        // Before the look: what is counted while it goes on is looked at again.
        let stores = self.counters.as_ref().and_then(Counters::stores);
        if is_forced || self.may_have_entries() {
            let is_whole = self.look(journaled, counts);
            if let Some(counters) = &mut self.counters {
                counters.note_look(stores.filter(|_| is_whole));
            }
            if is_forced && is_whole && std::mem::take(&mut self.is_settling_due) {
                if let Some(counters) = &mut self.counters {
                    counters.settle_stores(stores);
                }
                self.recount(counts);
            }
        }
        // While it gives nothing out, the lanes do not wait for it.
        let holds_back = self.is_cut && !self.is_stuck();
        self.waiting.back().filter(|_| holds_back).map_or(u64::MAX, |newest| newest.stamp_ns)
    }

    /// Unlinks what is journaled, outside of a round: what else is there, the next round finds, and
    /// takes for new. It may lie behind that round's clock.
    pub(super) fn remove_journaled(&mut self, journaled: &Journaled, counts: &mut Counts) {
        self.look(journaled, counts);
        self.waiting.clear();
    }

    /// Without counters, nobody knows.
    fn may_have_entries(&self) -> bool {
        let is_blocked = self.is_stuck() || self.unreadable.len() >= MAX_UNREADABLE;
        let is_quiet = self.counters.as_ref().is_some_and(Counters::is_quiet);
        (self.is_cut || !is_quiet) && !is_blocked
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
            let bytes = self.bytes_of(&name);
            match sys::unlink(&self.dir, &name) {
                Ok(()) => {
                    self.has_unlinked = true;
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
        self.counters.iter().for_each(|counters| counters.give_back(bytes));
    }

    /// Compares the count of bytes with the entries: a writer may have died behind it, or noise stand
    /// in its place.
    fn recount(&mut self, counts: &mut Counts) {
        let entries = self.waiting.len() + self.given.len() + self.unreadable.len();
        let least_bytes = (entries * RECORD_HEADER_BYTES) as u64;
        let is_plausible = (least_bytes..=self.limit_bytes).contains(&self.used_bytes());
        if entries > MAX_COUNTED && is_plausible {
            return;
        }
        let mut entry_bytes = 0;
        let is_whole = self.for_each_name(|name| {
            // Those that are stuck were counted out when they were given out.
            if let Some(entry) = Entry::parse(name).filter(|entry| !self.stuck.contains(entry)) {
                entry_bytes += self.bytes_of(&entry.c_name());
            }
            true
        });
        if let Some(counters) = self.counters.as_mut().filter(|_| is_whole) {
            counts.mended_spool_counters += u64::from(counters.mend_used(entry_bytes));
        }
    }

    fn bytes_of(&self, name: &CStr) -> u64 {
        let found = sys::stat(Some(&self.dir), name).ok();
        found.filter(Stat::is_file).map_or(0, |stat| stat.bytes)
    }

    /// Hands each name to `each` until that returns `false`; `false`: not all could be read. What a
    /// failure left unseen is seen by the next look.
    fn for_each_name(&self, each: impl FnMut(&[u8]) -> bool) -> bool {
        sys::for_each_name_in(&self.dir, each).is_ok()
    }

    /// When the oldest entry comes out.
    pub(super) fn peek(&self, now_ns: u64) -> Option<Turn> {
        let first = self.waiting.front().filter(|_| !self.is_stuck())?;
        // One that came later may stand before one that was seen, and then comes out with it.
        let is_seen = self.waited.is_some_and(|newest| *first <= newest);
        Some(Turn::new(first.stamp_ns, now_ns, is_seen))
    }

    /// Gives out the oldest entry, at which [`Self::peek`] looked; a damaged one is set aside instead.
    pub(super) fn take(&mut self, now_ns: u64, batch: &mut Batch, counts: &mut Counts) {
        let Some(entry) = self.waiting.pop_front() else { return };
        let start = batch.buffer().len();
        match spool_file::read(&self.dir, &entry.c_name(), self.uid, self.crc, batch.buffer()) {
            Ok(header) => {
                self.given.insert(entry, header.bytes());
                let origin = Origin::Spool(entry.text().into());
                batch.push(header, entry.stamp_ns.min(now_ns), start, origin);
                counts.spool_records += 1;
                counts.clamped_stamps += u64::from(entry.stamp_ns > now_ns);
                return;
            }
            Err(ReadError::Damaged) => {
                let is_aside = self.set_aside.damaged(&self.dir, &entry);
                counts.bad_spool_entries += u64::from(is_aside);
            }
            Err(ReadError::Denied) => self.set_aside_unread(entry),
            Err(ReadError::Gone) => {}
            Err(ReadError::System) => drop(self.unreadable.insert(entry)),
        }
        batch.buffer().truncate(start);
        if self.unreadable.len() >= MAX_UNREADABLE {
            (self.waiting, self.is_cut) = (VecDeque::new(), false);
        }
    }

    /// What may not be read does not keep the others waiting; it is kept until it can be.
    fn set_aside_unread(&mut self, entry: Entry) {
        let bytes = self.bytes_of(&entry.c_name());
        if self.set_aside.denied(&self.dir, entry) {
            self.give_back(bytes);
        } else {
            self.unreadable.insert(entry);
        }
    }

    fn retry_set_aside(&mut self, limit: usize) {
        let bytes = self.set_aside.retry(&self.dir, self.uid, limit);
        self.counters.iter().for_each(|counters| counters.take_up(bytes));
    }

    /// What was given out is safe elsewhere: unlinks it. What cannot be unlinked is remembered.
    pub(super) fn release(&mut self) {
        self.has_unlinked |= !self.given.is_empty();
        for (entry, bytes) in std::mem::take(&mut self.given) {
            if !matches!(sys::unlink(&self.dir, &entry.c_name()), Ok(()) | Err(Errno::NOENT)) {
                self.stuck.insert(entry);
            }
            self.give_back(bytes);
        }
    }

    /// Makes sure that what was unlinked does not come back after a loss of power.
    pub(super) fn sync_unlinked(&mut self) -> Result<(), Errno> {
        if self.has_unlinked {
            sys::sync(&self.dir)?;
            self.has_unlinked = false;
        }
        Ok(())
    }

    pub(super) fn has_unsynced_unlinked(&self) -> bool {
        self.has_unlinked
    }

    /// Whether there is an entry to be given out: looked up before the reader sleeps. `is_forced`: in
    /// the directory, whatever the counters say.
    pub(super) fn has_entries(&self, is_forced: bool) -> bool {
        if self.is_stuck() {
            return false;
        }
        let mut found = !self.waiting.is_empty();
        if !found && (is_forced || self.may_have_entries()) {
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

#[cfg(test)]
mod tests;
