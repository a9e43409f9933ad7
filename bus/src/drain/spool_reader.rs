//! The reader's side of a spool: lists entries, reads them whole, unlinks them when they are safe.

use super::Counts;
use super::batch::{Batch, Origin};
use super::sigbus::Guard;
use crate::atomic::Ordering;
use crate::crc::Crc32c;
use crate::place::SPOOL;
use crate::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordHeader, SPOOL_POSITION, kind,
};
use crate::spool::{NAME_BYTES, TEMPORARY_PREFIX, USAGE, Usage};
use crate::sys::{self, Errno, Fd, Open, Stat};
use std::collections::{HashSet, VecDeque};
use std::ffi::{CStr, CString};
use std::sync::Arc;

/// Entries that one round lists at most; the rest wait for the next, out of order.
const MAX_LISTED: usize = 1 << 20;
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
    /// Entries given out and not yet unlinked.
    given: Vec<(Arc<str>, u64)>,
    /// Entries that an earlier reader journaled but did not come to unlink.
    journaled: HashSet<String>,
    /// Entries that could not be read, for lack of descriptors or permission; the next look at the
    /// places has them tried again.
    unreadable: HashSet<String>,
    /// What was set aside, oldest first.
    bad: VecDeque<CString>,
}

struct Entry {
    name: Arc<str>,
    stamp_ns: u64,
    /// The clock of the round in which its stamp was in the future.
    deferred_ns: Option<u64>,
}

impl SpoolReader {
    pub(super) fn new(dir: Fd, uid: u32, limit_bytes: u64) -> SpoolReader {
        let usage = Usage::open(&dir, uid).ok();
        let usage_guard = usage.as_ref().map(|usage| Guard::new(usage.region()));
        if let Some(usage) = &usage {
            usage.limit_bytes().store(limit_bytes, Ordering::Relaxed);
        }
        let (waiting, given) = (VecDeque::new(), Vec::new());
        let (journaled, bad) = (HashSet::new(), VecDeque::new());
        let crc = Crc32c::fastest();
        let unreadable = HashSet::new();
        let mut reader = SpoolReader {
            dir,
            uid,
            usage_guard,
            usage,
            crc,
            waiting,
            given,
            journaled,
            unreadable,
            bad,
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

    /// Unlinks what an earlier reader journaled and did not come to unlink.
    pub(super) fn recover(&mut self, journaled: &HashSet<String>) {
        for name in journaled {
            let Ok(c_name) = CString::new(name.as_str()) else { continue };
            if !matches!(sys::unlink(&self.dir, &c_name), Ok(()) | Err(Errno::NOENT)) {
                self.journaled.insert(name.clone());
            }
        }
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

    /// Lists the directory. Entries that still wait (their stamps are in the future) stay in the list.
    ///
    /// An entry linked before this call is found: `getdents` returns whatever was there throughout.
    pub(super) fn list(&mut self) {
        let known: HashSet<Arc<str>> =
            self.waiting.iter().map(|entry| entry.name.clone()).collect();
        let mut found = self.names();
        found.retain(|name| {
            let is_new = !known.contains(name.as_str()) && !self.unreadable.contains(name);
            is_new && !self.forget_journaled(name)
        });
        if found.is_empty() {
            if self.waiting.is_empty() && self.given.is_empty() {
                self.settle_usage();
            }
            return;
        }
        self.waiting.extend(found.iter().filter_map(|name| Entry::new(name)));
        self.waiting.make_contiguous().sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Unlinks an entry that is in the journal already; `false`: it is not.
    fn forget_journaled(&self, name: &str) -> bool {
        let journaled = self.journaled.contains(name);
        if journaled && let Ok(name) = CString::new(name) {
            let _ = sys::unlink(&self.dir, &name);
        }
        journaled
    }

    /// An empty spool uses nothing: this heals what a writer counted in and died before it linked.
    fn settle_usage(&self) {
        if let Some(usage) = &self.usage
            && usage.used_bytes().load(Ordering::Relaxed) != 0
        {
            usage.used_bytes().store(0, Ordering::Relaxed);
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.for_each_name(|name| {
            if is_entry_name(name) {
                names.push(String::from_utf8_lossy(name).into_owned());
            }
            names.len() < MAX_LISTED
        });
        names
    }

    fn for_each_name(&self, each: impl FnMut(&[u8]) -> bool) {
        // A new description of the same directory starts at its beginning.
        if let Ok(dir) = sys::open(Some(&self.dir), c".", Open::Dir) {
            // What a failure left unseen is seen by the next look.
            let _ = sys::for_each_name(dir, each);
        }
    }

    /// The stamp of the oldest entry, if it may be given out in this round.
    pub(super) fn peek(&mut self, now_ns: u64, counts: &mut Counts) -> Option<u64> {
        let first = self.waiting.front_mut()?;
        if first.stamp_ns > now_ns {
            let deferred_ns = *first.deferred_ns.get_or_insert(now_ns);
            if deferred_ns == now_ns {
                return None;
            }
            counts.clamped_stamps += 1;
            first.stamp_ns = now_ns;
        }
        Some(first.stamp_ns)
    }

    /// Gives out the oldest entry; a damaged one is set aside instead.
    pub(super) fn take(&mut self, batch: &mut Batch, counts: &mut Counts) {
        let Some(entry) = self.waiting.pop_front() else { return };
        let Ok(name) = CString::new(&*entry.name) else { return };
        let start = batch.buffer().len();
        match self.read(&name, batch.buffer()) {
            Ok(header) => {
                self.given.push((entry.name.clone(), header.bytes()));
                batch.push(header, entry.stamp_ns, start, Origin::Spool(entry.name));
                counts.spool_records += 1;
            }
            Err(ReadError::Damaged) => {
                batch.buffer().truncate(start);
                self.set_aside(&entry.name, &name, counts);
            }
            Err(ReadError::System) => {
                batch.buffer().truncate(start);
                self.unreadable.insert(entry.name.to_string());
            }
        }
    }

    fn set_aside(&mut self, name: &str, c_name: &CString, counts: &mut Counts) {
        let aside = CString::new(format!("{BAD_PREFIX}{name}")).unwrap_or_default();
        if sys::rename(&self.dir, c_name, &aside).is_ok() {
            counts.bad_spool_entries += 1;
            self.bad.push_back(aside);
            self.remove_old_bad();
        }
    }

    /// Reads an entry's body behind what stands in `into`.
    fn read(&self, name: &CString, into: &mut Vec<u8>) -> Result<RecordHeader, ReadError> {
        let file = sys::open(Some(&self.dir), name, Open::Read).map_err(|errno| match errno {
            Errno::LOOP => ReadError::Damaged,
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

    /// What was given out is safe elsewhere: unlinks it.
    pub(super) fn release(&mut self) {
        for (name, bytes) in self.given.drain(..) {
            let Ok(c_name) = CString::new(&*name) else { continue };
            if sys::unlink(&self.dir, &c_name).is_err() {
                // Still there after a failed unlink: never give it out again.
                self.journaled.insert(name.to_string());
            }
            if let Some(usage) = &self.usage {
                usage.give_back(bytes);
            }
        }
    }

    /// Whether the directory has an entry: looked up before the reader sleeps.
    pub(super) fn has_entries(&self) -> bool {
        let mut found = false;
        self.for_each_name(|name| {
            let is_known = || {
                let name = &*String::from_utf8_lossy(name);
                self.journaled.contains(name) || self.unreadable.contains(name)
            };
            found = is_entry_name(name) && !is_known();
            !found
        });
        found
    }
}

enum ReadError {
    Damaged,
    System,
}

impl Entry {
    fn new(name: &str) -> Option<Entry> {
        let stamp_ns = name.get(..20)?.parse().ok()?;
        Some(Entry { name: name.into(), stamp_ns, deferred_ns: None })
    }
}

/// Whether this is an entry's name: 20 digits, a dash, 32 hex digits.
fn is_entry_name(name: &[u8]) -> bool {
    name.len() == NAME_BYTES
        && name[..20].iter().all(u8::is_ascii_digit)
        // Twenty digits hold more than a stamp can be.
        && &name[..20] <= b"18446744073709551615".as_slice()
        && name[20] == b'-'
        && name[21..].iter().all(u8::is_ascii_hexdigit)
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
mod tests {
    use super::*;
    use crate::spool::{DEFAULT_LIMIT_BYTES, entry_name};
    use std::fs::File;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    fn write(dir: &Path, name: &str, age_s: u64) {
        let file = File::create(dir.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
    }

    fn reader(dir: &Path) -> SpoolReader {
        let path = crate::place::Path::new().join(dir.as_os_str().as_encoded_bytes()).unwrap();
        let dir = sys::open(None, path.as_c_str(), Open::Dir).unwrap();
        SpoolReader::new(dir, sys::effective_uid(), DEFAULT_LIMIT_BYTES)
    }

    fn names(dir: &Path, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
        names.sort();
        names
    }

    #[test]
    fn only_temporary_files_without_a_living_writer_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        write(temp.path(), ".tmp-old", 3700);
        write(temp.path(), ".tmp-young", 3500);
        write(temp.path(), "somebody's", 3700);
        reader(temp.path());
        assert_eq!(names(temp.path(), ""), [".tmp-young", "somebody's", "usage"]);
    }

    #[test]
    fn the_newest_damaged_entries_are_kept() {
        let temp = tempfile::tempdir().unwrap();
        for age in 0..20 {
            write(temp.path(), &format!(".bad-{age:02}"), 100 + age);
        }
        let mut reader = reader(temp.path());
        let kept: Vec<_> = (0..16).map(|age| format!(".bad-{age:02}")).collect();
        assert_eq!(names(temp.path(), ".bad-"), kept);
        let name = String::from_utf8(entry_name(7, &[1; 16])[..NAME_BYTES].to_vec()).unwrap();
        write(temp.path(), &name, 0);
        reader.list();
        let (mut batch, mut counts) = (Batch::default(), Counts::default());
        assert_eq!(reader.peek(8, &mut counts), Some(7));
        reader.take(&mut batch, &mut counts);
        assert_eq!((batch.len(), counts.bad_spool_entries), (0, 1));
        let mut expected = kept[..15].to_vec();
        expected.push(format!(".bad-{name}"));
        expected.sort();
        assert_eq!(names(temp.path(), ".bad-"), expected);
    }
}
