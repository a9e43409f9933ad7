//! The spool's writing side: one file per event, for what the ring cannot take.
//!
//! The file is written without a name and then linked under one that begins with its stamp: the
//! link is the commit, so there are no torn entries, no litter and no locks.

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::crc::Crc32c;
use crate::place::{self, Refused, SPOOL};
use crate::record::{RecordHeader, SPOOL_POSITION, flag};
use crate::region::Region;
use crate::sys::{self, Errno, Fd, Open, Stat};
use core::ffi::CStr;

/// The limit while no daemon has set one, in bytes.
pub const DEFAULT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// The file in the spool directory with the shared counters.
pub const USAGE: &CStr = c"usage";
/// Length of the counters' file, in bytes.
pub const USAGE_BYTES: usize = 4096;
/// Length of an entry's name: 20 digits of the stamp, a dash, 32 hex digits of the event id.
pub const NAME_BYTES: usize = 20 + 1 + 32;
/// Entries that are still being written, where unnamed files are not available, begin with this.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

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
        let file = sys::open(Some(spool), USAGE, Open::Create)?;
        let stat = sys::fstat(&file)?;
        if !stat.is_private_file(uid) {
            return Err(Errno::INVAL);
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
        self.region.word64(16)
    }

    /// Bytes of the dropped events.
    pub fn dropped_bytes(&self) -> &AtomicU64 {
        self.region.word64(24)
    }

    /// Counts an entry in; `false` if it would exceed the limit.
    fn admit(&self, bytes: u64) -> bool {
        let limit = match self.limit_bytes().load(Ordering::Relaxed) {
            0 => DEFAULT_LIMIT_BYTES,
            limit => limit,
        };
        let before = self.used_bytes().fetch_add(bytes, Ordering::Relaxed);
        // The reader lists a spool only if this is not 0, so it must not come after the link.
        fence(Ordering::SeqCst);
        let fits = before.saturating_add(bytes) <= limit;
        if !fits {
            self.give_back(bytes);
        }
        fits
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

/// As [`store`], leaving the shared counters alone: for a process that found its mappings cut off.
pub fn store_uncounted(
    place: &Fd,
    uid: u32,
    mut header: RecordHeader,
    meta: &[u8],
    payload: &[u8],
) -> Result<(), Errno> {
    seal(&mut header, meta, payload, Crc32c::portable());
    let name = entry_name(header.stamp_ns, &header.id);
    write_entry(&open(place, uid)?, &name, [&header.to_bytes(), meta, payload])
}

fn seal(header: &mut RecordHeader, meta: &[u8], payload: &[u8], crc: Crc32c) {
    header.position = SPOOL_POSITION;
    header.flags |= flag::CRC;
    header.crc = header.compute_crc(crc, meta, payload);
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
    mut header: RecordHeader,
    meta: &[u8],
    payload: &[u8],
    crc: Crc32c,
) -> Result<Spooled, Errno> {
    seal(&mut header, meta, payload, crc);
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
    let name = entry_name(header.stamp_ns, &header.id);
    let stored = write_entry(&spool, &name, [&header.to_bytes(), meta, payload]);
    if let (Err(_), Some(usage)) = (&stored, &usage) {
        usage.give_back(bytes);
    }
    stored.map(|()| Spooled::Stored)
}

/// Counts an event that no place took, where this place has counters.
pub fn count_dropped(place: &Fd, uid: u32, bytes: u64) -> Result<(), Errno> {
    Usage::open(&open(place, uid)?, uid)?.count_dropped(bytes);
    Ok(())
}

/// An entry's name with its closing zero.
pub type EntryName = [u8; NAME_BYTES + 1];

/// The name of an entry.
pub fn entry_name(stamp_ns: u64, id: &[u8; 16]) -> EntryName {
    let mut name = [0; NAME_BYTES + 1];
    let mut rest = stamp_ns;
    for digit in name[..20].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    name[20] = b'-';
    for (at, byte) in id.iter().enumerate() {
        let hex = b"0123456789abcdef";
        name[21 + 2 * at] = hex[usize::from(byte >> 4)];
        name[22 + 2 * at] = hex[usize::from(byte & 15)];
    }
    name
}

fn c_str(name: &[u8]) -> &CStr {
    CStr::from_bytes_until_nul(name).unwrap_or(c"")
}

fn write_entry(spool: &Fd, name: &EntryName, pieces: [&[u8]; 3]) -> Result<(), Errno> {
    if let Ok(file) = sys::open(Some(spool), c".", Open::Unnamed) {
        write_all(&file, pieces)?;
        if sys::link_unnamed(&file, spool, c_str(name)).is_ok() {
            return Ok(());
        }
    }
    write_renamed(spool, name, pieces)
}

/// Where a file system has no unnamed files: a temporary name, then a rename.
fn write_renamed(spool: &Fd, name: &EntryName, pieces: [&[u8]; 3]) -> Result<(), Errno> {
    let mut temporary = [0; TEMPORARY_PREFIX.len() + NAME_BYTES + 1];
    temporary[..TEMPORARY_PREFIX.len()].copy_from_slice(TEMPORARY_PREFIX.as_bytes());
    temporary[TEMPORARY_PREFIX.len()..].copy_from_slice(name);
    let temporary = c_str(&temporary);
    let file = sys::open(Some(spool), temporary, Open::CreateNew)?;
    let stored = write_all(&file, pieces).and_then(|()| sys::rename(spool, temporary, c_str(name)));
    if stored.is_err() {
        let _ = sys::unlink(spool, temporary);
    }
    stored
}

/// Writes three pieces from the start of a file, however often the kernel stops short.
fn write_all(file: &Fd, mut pieces: [&[u8]; 3]) -> Result<(), Errno> {
    let mut offset = 0;
    while pieces.iter().any(|piece| !piece.is_empty()) {
        let mut written = match sys::pwrite_pieces(file, pieces, offset) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(written) => written,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        offset += written as u64;
        for piece in &mut pieces {
            let done = written.min(piece.len());
            *piece = &piece[done..];
            written -= done;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_name_taken_already_is_not_overwritten_by_an_unnamed_file() {
        let (temp, place) = place();
        let name = entry_name(1, &[1; 16]);
        let spool = open(&place, sys::effective_uid()).unwrap();
        write_entry(&spool, &name, [b"a", b"b", b"c"]).unwrap();
        assert_eq!(std::fs::read(&entries(&temp)[0]).unwrap(), b"abc");
    }

    #[test]
    fn without_unnamed_files_a_rename_commits_and_leaves_no_litter() {
        let (temp, place) = place();
        let spool = open(&place, sys::effective_uid()).unwrap();
        write_renamed(&spool, &entry_name(7, &[2; 16]), [b"a", b"", b"c"]).unwrap();
        let entries = entries(&temp);
        assert_eq!(entries.len(), 1);
        assert_eq!(std::fs::read(&entries[0]).unwrap(), b"ac");
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
