//! The spool's writing side: one file per event, for what the ring cannot take.
//!
//! The file is written without a name and then linked under one that begins with its stamp: the
//! link is the commit, so there are no torn entries, no litter and no locks. A link never overwrites.

mod entry;

pub use entry::{EntryName, NAME_BYTES, TEMPORARY_PREFIX, entry_name};

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::crc::Crc32c;
use crate::place::{self, Refused, SPOOL};
use crate::record::RecordHeader;
use crate::region::Region;
use crate::sys::{self, Errno, Fd, Open, Stat};
use core::ffi::CStr;
use entry::{Added, add_entry};

/// The limit while no daemon has set one, in bytes.
pub const DEFAULT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// The file in the spool directory with the shared counters.
pub const USAGE: &CStr = c"usage";
/// Length of the counters' file, in bytes.
pub const USAGE_BYTES: usize = 4096;
/// Where in it events are counted that were dropped at the limit.
pub const DROPPED_EVENTS_OFFSET: usize = 16;
/// What became of a record that was handed to the spool.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Spooled {
    /// It will be drained, whatever dies.
    Stored,
    /// The spool is at its limit; the record is dropped and counted.
    Dropped,
}

/// The shared counters of a spool.
pub struct Usage {
    region: Region,
    stat: Stat,
}

impl Usage {
    /// Opens the counters, and creates them where they are missing.
    pub fn open(spool: &Fd, uid: u32) -> Result<Usage, Errno> {
        let file = open_usage(spool, uid)?;
        let stat = sys::fstat(&file)?;
        if !stat.is_own_file(uid) {
            return Err(Errno::INVAL);
        }
        if !stat.is_private_file(uid) {
            // Others do not come through the spool's directory; without counters it has no limit.
            sys::set_mode(&file, 0o600)?;
        }
        if stat.bytes < USAGE_BYTES as u64 {
            // Reserved in full: a page of a full tmpfs must not fault later.
            sys::allocate(&file, USAGE_BYTES as u64)?;
        }
        Ok(Usage { region: Region::map(&file, 0, USAGE_BYTES)?, stat })
    }

    /// The file behind the mapping, as it was when it was opened.
    pub fn stat(&self) -> Stat {
        self.stat
    }

    /// The mapping, for whoever handles SIGBUS.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Bytes in the spool, as far as its writers and the daemon counted.
    pub fn used_bytes(&self) -> &AtomicU64 {
        self.region.word64(0)
    }

    /// The limit in bytes; 0 stands for [`DEFAULT_LIMIT_BYTES`].
    pub fn limit_bytes(&self) -> &AtomicU64 {
        self.region.word64(8)
    }

    /// Events dropped at the limit, or because the disk was full.
    pub fn dropped_events(&self) -> &AtomicU64 {
        self.region.word64(DROPPED_EVENTS_OFFSET)
    }

    /// Bytes of the dropped events.
    pub fn dropped_bytes(&self) -> &AtomicU64 {
        self.region.word64(24)
    }

    /// Stores that were ever begun. While more were begun than ended, an entry may be linked any time.
    pub fn begun_stores(&self) -> &AtomicU64 {
        self.region.word64(32)
    }

    /// Stores that were ever ended, with an entry or without. The reader lists the spool when this has
    /// changed.
    pub fn ended_stores(&self) -> &AtomicU64 {
        self.region.word64(40)
    }

    /// Before the link: whoever sees the entry, or anything that comes after it, sees this count.
    fn begin_store(&self) {
        self.begun_stores().fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence between the reader's clock and its look at the counts.
        fence(Ordering::SeqCst);
    }

    /// Behind the link, before anybody is told that the event is stored.
    fn end_store(&self) {
        self.ended_stores().fetch_add(1, Ordering::Relaxed);
        // As in `begin_store`.
        fence(Ordering::SeqCst);
    }

    /// Counts an entry in; `false` if it would exceed the limit.
    fn admit(&self, bytes: u64) -> bool {
        let limit = match self.limit_bytes().load(Ordering::Relaxed) {
            0 => DEFAULT_LIMIT_BYTES,
            limit => limit,
        };
        // What does not fit is never counted: a hook that died before it took that back would have others
        // dropped.
        let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used_bytes().fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Counts an entry out. The count never wraps below zero.
    pub fn give_back(&self, bytes: u64) {
        let used = self.used_bytes();
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Counts a dropped event.
    pub fn count_dropped(&self, bytes: u64) {
        self.dropped_events().fetch_add(1, Ordering::Relaxed);
        self.dropped_bytes().fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Opens the counters' file, which is made where it is missing.
fn open_usage(spool: &Fd, uid: u32) -> Result<Fd, Errno> {
    let open = |how| sys::open(Some(spool), USAGE, how);
    match open(Open::ReadWrite) {
        Err(Errno::NOENT) => match open(Open::CreateNew) {
            // Somebody was faster, and may not have set its mode yet.
            Err(Errno::EXIST) => open_usage_of_others(spool, uid),
            made => made,
        },
        Err(Errno::ACCES) => open_usage_of_others(spool, uid),
        opened => opened,
    }
}

/// As above, where another writer made it, under a umask that keeps its owner out.
#[cold]
#[inline(never)]
fn open_usage_of_others(spool: &Fd, uid: u32) -> Result<Fd, Errno> {
    let _ = sys::give_back(Some(spool), USAGE, uid);
    sys::open(Some(spool), USAGE, Open::ReadWrite)
}

/// As [`store`], leaving the shared counters alone: for a process that found its mappings cut off.
pub fn store_uncounted(
    place: &Fd,
    uid: u32,
    header: RecordHeader,
    meta: &[u8],
    payload: &[u8],
) -> Result<(), Errno> {
    add_entry(&open(place, uid)?, header, meta, payload, Crc32c::portable()).map(drop)
}

/// Opens the spool directory in a place, and creates it where it is missing.
pub fn open(place: &Fd, uid: u32) -> Result<Fd, Refused> {
    match place::open_private(Some(place), SPOOL, uid) {
        Err(Refused::Missing) => {
            // Whether that failed, and why, the second try says.
            let _ = sys::mkdir(Some(place), SPOOL);
            place::open_private(Some(place), SPOOL, uid)
        }
        opened => opened,
    }
}

impl From<Refused> for Errno {
    fn from(refused: Refused) -> Errno {
        match refused {
            Refused::Missing => Errno::NOENT,
            Refused::System(errno) => errno,
            Refused::NotADirectory | Refused::NotPrivate(_) => Errno::INVAL,
        }
    }
}

/// Stores a record in the spool of a place.
///
/// Fills in the header's position, its CRC flag and its CRC. An error means that nothing was stored
/// and nothing counted: another place may still take it.
pub fn store(
    place: &Fd,
    uid: u32,
    header: RecordHeader,
    meta: &[u8],
    payload: &[u8],
    crc: Crc32c,
) -> Result<Spooled, Errno> {
    let spool = open(place, uid)?;
    // Without counters (a full disk has no room for them) an entry is still better than none.
    let usage = Usage::open(&spool, uid).ok();
    let bytes = header.bytes();
    if let Some(usage) = &usage
        && !usage.admit(bytes)
    {
        usage.count_dropped(bytes);
        return Ok(Spooled::Dropped);
    }
    usage.iter().for_each(Usage::begin_store);
    let added = add_entry(&spool, header, meta, payload, crc);
    if let Some(usage) = &usage {
        usage.end_store();
        if added != Ok(Added::Now) {
            usage.give_back(bytes);
        }
    }
    added.map(|_| Spooled::Stored)
}

/// Counts an event that no place took, where this place has counters.
pub fn count_dropped(place: &Fd, uid: u32, bytes: u64) -> Result<(), Errno> {
    Usage::open(&open(place, uid)?, uid)?.count_dropped(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SPOOL_POSITION;
    use std::os::unix::fs::PermissionsExt;

    fn place() -> (tempfile::TempDir, Fd) {
        let temp = tempfile::tempdir().unwrap();
        let path = place::Path::new().join(temp.path().as_os_str().as_encoded_bytes()).unwrap();
        let fd = sys::open(None, path.as_c_str(), Open::Dir).unwrap();
        (temp, fd)
    }

    fn header(payload: &[u8], meta: &[u8]) -> RecordHeader {
        RecordHeader {
            payload_bytes: payload.len() as u32,
            meta_bytes: meta.len() as u32,
            stamp_ns: 42,
            id: [0xab; 16],
            kind: crate::record::kind::DATA,
            ..RecordHeader::default()
        }
    }

    fn entries(temp: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
        let dir = std::fs::read_dir(temp.path().join("spool")).unwrap();
        let mut names: Vec<_> = dir.map(|entry| entry.unwrap().path()).collect();
        names.retain(|path| path.file_name().unwrap() != "usage");
        names
    }

    fn store_in(place: &Fd, payload: &[u8]) -> Result<Spooled, Errno> {
        let uid = sys::effective_uid();
        store(place, uid, header(payload, b""), b"", payload, Crc32c::portable())
    }

    #[test]
    fn what_does_not_fit_is_never_counted_as_used() {
        let (_temp, place) = place();
        let usage = Usage::open(&open(&place, sys::effective_uid()).unwrap(), sys::effective_uid());
        let usage = usage.unwrap();
        usage.limit_bytes().store(1000, Ordering::Relaxed);
        usage.used_bytes().store(600, Ordering::Relaxed);
        for (bytes, fits, used_bytes) in
            [(401, false, 600), (u64::MAX, false, 600), (400, true, 1000), (1, false, 1000)]
        {
            assert_eq!(usage.admit(bytes), fits, "{bytes}");
            assert_eq!(usage.used_bytes().load(Ordering::Relaxed), used_bytes, "{bytes}");
        }
    }

    #[test]
    fn an_entry_is_the_whole_record_under_a_name_that_sorts_by_time() {
        let (temp, place) = place();
        assert_eq!(store_in(&place, b"payload"), Ok(Spooled::Stored));
        let entry = &entries(&temp)[0];
        let name = entry.file_name().unwrap().to_str().unwrap();
        assert_eq!(name, format!("{:020}-{}", 42, "ab".repeat(16)));
        let bytes = std::fs::read(entry).unwrap();
        let read = RecordHeader::from_bytes(bytes[..64].try_into().unwrap());
        assert_eq!(&bytes[64..], b"payload");
        assert_eq!(read.position, SPOOL_POSITION);
        assert_eq!(read.compute_crc(Crc32c::fastest(), b"", b"payload"), read.crc);
        assert_eq!(std::fs::metadata(entry).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn past_the_limit_the_newest_is_dropped_and_counted() {
        let (temp, place) = place();
        store_in(&place, b"first").unwrap();
        let spool = open(&place, sys::effective_uid()).unwrap();
        let usage = Usage::open(&spool, sys::effective_uid()).unwrap();
        assert_eq!(usage.used_bytes().load(Ordering::Relaxed), 69);
        usage.limit_bytes().store(100, Ordering::Relaxed);
        assert_eq!(store_in(&place, b"second"), Ok(Spooled::Dropped));
        assert_eq!(usage.used_bytes().load(Ordering::Relaxed), 69);
        assert_eq!(usage.dropped_events().load(Ordering::Relaxed), 1);
        assert_eq!(usage.dropped_bytes().load(Ordering::Relaxed), 70);
        assert_eq!(entries(&temp).len(), 1);
    }

    #[test]
    fn the_same_record_is_stored_once() {
        let (temp, place) = place();
        for _ in 0..2 {
            assert_eq!(store_in(&place, &[7; 3000]), Ok(Spooled::Stored));
        }
        assert_eq!(entries(&temp).len(), 1);
        let uid = sys::effective_uid();
        let usage = Usage::open(&open(&place, uid).unwrap(), uid).unwrap();
        assert_eq!(usage.used_bytes().load(Ordering::Relaxed), 3064);
    }

    #[test]
    fn a_name_that_something_else_has_costs_neither_of_them() {
        let strangers: [fn(&std::path::Path); 3] = [
            |path| std::fs::write(path, "litter").unwrap(),
            |path| std::fs::create_dir(path).unwrap(),
            |path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
        ];
        for stranger in strangers {
            let (temp, place) = place();
            drop(open(&place, sys::effective_uid()).unwrap());
            let taken = format!("{:020}-{}", 42, "ab".repeat(16));
            stranger(&temp.path().join("spool").join(&taken));
            assert_eq!(store_in(&place, b"payload"), Ok(Spooled::Stored));
            let ours = temp.path().join(format!("spool/{:020}-{}ac", 42, "ab".repeat(15)));
            let bytes = std::fs::read(ours).unwrap();
            let read = RecordHeader::from_bytes(bytes[..64].try_into().unwrap());
            assert_eq!((read.id[14], read.id[15]), (0xab, 0xac));
            assert_eq!(read.compute_crc(Crc32c::fastest(), b"", b"payload"), read.crc);
            assert_eq!(entries(&temp).len(), 2);
        }
    }

    #[test]
    fn a_spool_that_others_may_enter_is_refused() {
        let (temp, place) = place();
        let dir = temp.path().join("spool");
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(store_in(&place, b"x"), Err(Errno::INVAL));
    }
}
