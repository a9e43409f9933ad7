//! One entry of a spool: its name, and how it gets there whole and over nothing else.

use crate::crc::Crc32c;
use crate::record::{RecordHeader, SPOOL_POSITION, flag};
use crate::sys::{self, Errno, Fd, Open};
use core::ffi::CStr;

/// Length of an entry's name: 20 digits of the stamp, a dash, 32 hex digits of the event id.
pub const NAME_BYTES: usize = 20 + 1 + 32;
/// Entries that are still being written, where unnamed files are not available, begin with this.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

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

/// How an entry came to be in the spool.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Added {
    Now,
    /// The same record stood there already.
    Before,
}

/// So many ids are tried where something else has an entry's name.
const MAX_NAMES: u32 = 8;

/// Writes an entry. What has its name already is never overwritten: it is this very record, or
/// something else, and then the record gets the next id.
// Not inlined: a hook that has a ring should not pay for this frame, since it has half a page of stack.
#[inline(never)]
pub(super) fn add_entry(
    spool: &Fd,
    mut header: RecordHeader,
    meta: &[u8],
    payload: &[u8],
    crc: Crc32c,
) -> Result<Added, Errno> {
    for _ in 0..MAX_NAMES {
        seal(&mut header, meta, payload, crc);
        let name = entry_name(header.stamp_ns, &header.id);
        let pieces: [&[u8]; 3] = [&header.to_bytes(), meta, payload];
        match write_entry(spool, &name, pieces) {
            Ok(()) => return Ok(Added::Now),
            Err(Errno::EXIST) if holds(spool, c_str(&name), pieces) => return Ok(Added::Before),
            Err(Errno::EXIST) => header.id[15] = header.id[15].wrapping_add(1),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

/// Whether the file with this name holds exactly these bytes.
#[cold]
#[inline(never)]
fn holds(spool: &Fd, name: &CStr, pieces: [&[u8]; 3]) -> bool {
    const CHUNK_BYTES: usize = 512;
    let Ok(file) = sys::open(Some(spool), name, Open::Read) else { return false };
    let mut offset = 0;
    let mut buffer = [0; CHUNK_BYTES];
    for chunk in pieces.iter().flat_map(|piece| piece.chunks(CHUNK_BYTES)) {
        let Some(room) = buffer.get_mut(..chunk.len()) else { return false };
        if sys::pread(&file, room, offset) != Ok(chunk.len()) || room != chunk {
            return false;
        }
        offset += chunk.len() as u64;
    }
    sys::fstat(&file).is_ok_and(|stat| stat.bytes == offset)
}

/// Writes a file and gives it its name; an error of `EXIST` means that something has that name.
fn write_entry(spool: &Fd, name: &EntryName, pieces: [&[u8]; 3]) -> Result<(), Errno> {
    if let Ok(file) = sys::open(Some(spool), c".", Open::Unnamed) {
        write_all(&file, pieces)?;
        match sys::link_unnamed(&file, spool, c_str(name)) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return Err(Errno::EXIST),
            Err(_) => {}
        }
    }
    write_named(spool, name, pieces)
}

/// Where a file system has no unnamed files: a temporary name, then its own.
fn write_named(spool: &Fd, name: &EntryName, pieces: [&[u8]; 3]) -> Result<(), Errno> {
    let mut temporary = [0; TEMPORARY_PREFIX.len() + NAME_BYTES + 1];
    temporary[..TEMPORARY_PREFIX.len()].copy_from_slice(TEMPORARY_PREFIX.as_bytes());
    temporary[TEMPORARY_PREFIX.len()..].copy_from_slice(name);
    let (temporary, name) = (c_str(&temporary), c_str(name));
    let file = sys::open(Some(spool), temporary, Open::CreateNew)?;
    let stored = write_all(&file, pieces).and_then(|()| sys::link(spool, temporary, name));
    let stored = match stored {
        // No second names here (FAT): renaming would overwrite, so it looks first.
        Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP) => match sys::stat(Some(spool), name) {
            Err(Errno::NOENT) => return sys::rename(spool, temporary, name),
            Ok(_) => Err(Errno::EXIST),
            Err(errno) => Err(errno),
        },
        stored => stored,
    };
    // The second name of what is stored, or all that there is of what is not.
    let _ = sys::unlink(spool, temporary);
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

fn seal(header: &mut RecordHeader, meta: &[u8], payload: &[u8], crc: Crc32c) {
    header.position = SPOOL_POSITION;
    header.flags |= flag::CRC;
    header.crc = header.compute_crc(crc, meta, payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Path;

    type Write = fn(&Fd, &EntryName, [&[u8]; 3]) -> Result<(), Errno>;

    /// Both ways of writing an entry.
    const WAYS: [Write; 2] = [write_entry, write_named];

    #[test]
    fn an_entry_is_written_whole_without_litter_and_never_over_another() {
        for write in WAYS {
            let temp = tempfile::tempdir().unwrap();
            let path = Path::new().join(temp.path().as_os_str().as_encoded_bytes()).unwrap();
            let spool = sys::open(None, path.as_c_str(), Open::Dir).unwrap();
            let name = entry_name(1, &[1; 16]);
            write(&spool, &name, [b"a", b"", b"c"]).unwrap();
            assert_eq!(write(&spool, &name, [b"x", b"y", b"z"]), Err(Errno::EXIST));
            let names = std::fs::read_dir(temp.path()).unwrap();
            let files: Vec<_> = names.map(|entry| entry.unwrap().path()).collect();
            assert_eq!(files.len(), 1);
            assert_eq!(std::fs::read(&files[0]).unwrap(), b"ac");
        }
    }
}
