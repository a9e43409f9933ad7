//! An entry's file: opened, read whole, and judged.

use crate::crc::Crc32c;
use crate::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordHeader, SPOOL_POSITION, kind,
};
use crate::sys::{self, Errno, Fd, Open, Stat};
use std::ffi::CStr;

/// Why an entry cannot be read.
pub(super) enum ReadError {
    /// It is no entry, or not whole.
    Damaged,
    /// It is somebody else's, or the system keeps it from its owner.
    Denied,
    /// Whoever wiped the directory took it along.
    Gone,
    /// For lack of descriptors, say.
    System,
}

/// Reads an entry's body behind what stands in `into`.
pub(super) fn read(
    dir: &Fd,
    name: &CStr,
    uid: u32,
    crc: Crc32c,
    into: &mut Vec<u8>,
) -> Result<RecordHeader, ReadError> {
    let (file, stat) = open(dir, name, uid)?;
    let body = stat.bytes.checked_sub(RECORD_HEADER_BYTES as u64).ok_or(ReadError::Damaged)?;
    if body > (MAX_META_BYTES + MAX_PAYLOAD_BYTES) as u64 {
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
    let found = header.compute_crc(crc, meta, payload);
    if found == header.crc { Ok(header) } else { Err(ReadError::Damaged) }
}

/// Opens an entry, and takes it away from others if they could open it.
pub(super) fn open(dir: &Fd, name: &CStr, uid: u32) -> Result<(Fd, Stat), ReadError> {
    let open = || sys::open(Some(dir), name, Open::Read);
    let is_ours = || sys::stat(Some(dir), name).is_ok_and(|stat| stat.is_own_file(uid));
    let opened = match open() {
        // A mode that keeps out its own owner.
        Err(Errno::ACCES) if is_ours() => sys::set_mode_at(dir, name, 0o600).and_then(|()| open()),
        opened => opened,
    };
    let file = opened.map_err(|errno| match errno {
        // A symbolic link, a socket.
        Errno::LOOP | Errno::NXIO => ReadError::Damaged,
        Errno::NOENT => ReadError::Gone,
        Errno::ACCES | Errno::PERM => ReadError::Denied,
        _ => ReadError::System,
    })?;
    let stat = sys::fstat(&file).map_err(|_| ReadError::System)?;
    match stat {
        stat if !stat.is_file() => return Err(ReadError::Damaged),
        stat if !stat.is_own_file(uid) => return Err(ReadError::Denied),
        stat if !stat.is_private_file(uid) => {
            sys::set_mode(&file, 0o600).map_err(|_| ReadError::System)?;
        }
        _ => {}
    }
    Ok((file, stat))
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
