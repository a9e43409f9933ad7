//! Files and directories.

use super::calls::{self, call};
use crate::sys::{Errno, Fd, Kind, Open, Stat};
use core::ffi::CStr;

#[cfg(target_arch = "x86_64")]
const O_DIRECTORY: i32 = 0o200_000;
#[cfg(target_arch = "x86_64")]
const O_NOFOLLOW: i32 = 0o400_000;
#[cfg(target_arch = "aarch64")]
const O_DIRECTORY: i32 = 0o40_000;
#[cfg(target_arch = "aarch64")]
const O_NOFOLLOW: i32 = 0o100_000;
const O_RDWR: i32 = 2;
const O_CREAT: i32 = 0o100;
const O_EXCL: i32 = 0o200;
const O_CLOEXEC: i32 = 0o2_000_000;
const O_NONBLOCK: i32 = 0o4_000;
const O_TMPFILE: i32 = 0o20_000_000 | O_DIRECTORY;
const O_PATH: i32 = 0o10_000_000;
const AT_FDCWD: i32 = -100;
const AT_EMPTY_PATH: i32 = 0x1000;
const AT_SYMLINK_FOLLOW: i32 = 0x400;
const AT_SYMLINK_NOFOLLOW: i32 = 0x100;

/// Opens `path` relative to the directory `at`, or to the working directory where that is `None`.
pub fn open(at: Option<&Fd>, path: &CStr, how: Open) -> Result<Fd, Errno> {
    // O_NONBLOCK: a FIFO under our name must not hold us up.
    let always = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    let (flags, mode) = match how {
        Open::Dir => (O_DIRECTORY, 0),
        Open::Read => (0, 0),
        Open::ReadWrite => (O_RDWR, 0),
        Open::CreateNew => (O_RDWR | O_CREAT | O_EXCL, 0o600),
        Open::Unnamed => (O_RDWR | O_TMPFILE, 0o600),
    };
    let opened = call!(OPENAT, dir(at), path.as_ptr(), flags | always, mode);
    let fd = opened.map(|fd| Fd::new(fd as i32))?;
    if mode != 0 {
        // The umask may have taken some of it. Not every file system has modes to set.
        let _ = set_mode(&fd, mode);
    }
    Ok(fd)
}

fn dir(at: Option<&Fd>) -> isize {
    at.map_or(AT_FDCWD, Fd::raw) as isize
}

/// Closes a descriptor; what the kernel says of that cannot be acted upon.
pub(in crate::sys) fn close(fd: i32) {
    let _ = call!(CLOSE, fd);
}

/// Reads at the file's own position; 0 is its end.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    call!(READ, fd, buffer.as_mut_ptr(), buffer.len())
}

/// Reads into memory that need not be initialised.
///
/// # Safety
/// `buffer` must be valid for writes of `bytes` bytes.
pub unsafe fn read_raw(fd: i32, buffer: *mut u8, bytes: usize) -> Result<usize, Errno> {
    call!(READ, fd, buffer, bytes)
}

/// Writes at the file's own position.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    call!(WRITE, fd, bytes.as_ptr(), bytes.len())
}

/// Reads at `offset`.
pub fn pread(fd: &Fd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    call!(PREAD, fd.raw(), buffer.as_mut_ptr(), buffer.len(), offset)
}

/// Writes at `offset`.
pub fn pwrite(fd: &Fd, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    call!(PWRITE, fd.raw(), bytes.as_ptr(), bytes.len(), offset)
}

/// Where the first data of a file stand from `offset` on, as far as its file system tells them from
/// holes, which read as zeros. `Ok(None)`: there are none. Moves the file's own position.
#[cfg(feature = "std")]
pub fn next_data(fd: &Fd, offset: u64) -> Result<Option<u64>, Errno> {
    const SEEK_DATA: i32 = 3;
    const NXIO: Errno = Errno(6);
    match call!(LSEEK, fd.raw(), offset, SEEK_DATA) {
        Ok(data) => Ok(Some(data as u64)),
        Err(NXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[repr(C)]
#[derive(Copy, Clone)]
pub(super) struct IoVec {
    pub(super) base: *const u8,
    pub(super) bytes: usize,
}

/// Writes three pieces one after another at `offset`; a short write is possible.
pub fn pwrite_pieces(fd: &Fd, pieces: [&[u8]; 3], offset: u64) -> Result<usize, Errno> {
    let vectors = pieces.map(|piece| IoVec { base: piece.as_ptr(), bytes: piece.len() });
    call!(PWRITEV, fd.raw(), vectors.as_ptr(), vectors.len(), offset, 0)
}

/// What the kernel says of an open file.
pub fn fstat(fd: &Fd) -> Result<Stat, Errno> {
    let mut buffer = [0u64; 18];
    call!(FSTAT, fd.raw(), buffer.as_mut_ptr())?;
    Ok(decode_stat(&buffer))
}

/// What a descriptor that this process was given is for.
pub fn kind(fd: i32) -> Kind {
    let mut buffer = [0u64; 18];
    match call!(FSTAT, fd, buffer.as_mut_ptr()) {
        Ok(_) => Kind::of(decode_stat(&buffer).mode),
        Err(_) => Kind::Stream,
    }
}

/// What the kernel says of a name, a symbolic link not being followed.
pub fn stat(at: Option<&Fd>, path: &CStr) -> Result<Stat, Errno> {
    let mut buffer = [0u64; 18];
    call!(NEWFSTATAT, dir(at), path.as_ptr(), buffer.as_mut_ptr(), AT_SYMLINK_NOFOLLOW)?;
    Ok(decode_stat(&buffer))
}

#[cfg(target_arch = "x86_64")]
fn decode_stat(words: &[u64; 18]) -> Stat {
    // struct stat of x86_64: dev, ino, nlink, then mode and uid as 32 bits each; size is the
    // seventh word, mtime the twelfth.
    let (mode, uid) = (words[3] as u32, (words[3] >> 32) as u32);
    Stat {
        device: words[0],
        inode: words[1],
        mode,
        uid,
        bytes: words[6],
        modified_s: words[11] as i64,
    }
}

#[cfg(target_arch = "aarch64")]
fn decode_stat(words: &[u64; 18]) -> Stat {
    // The generic struct stat: dev, ino, mode and nlink, uid and gid; size is the seventh word,
    // mtime the twelfth.
    let (mode, uid) = (words[2] as u32, words[3] as u32);
    Stat {
        device: words[0],
        inode: words[1],
        mode,
        uid,
        bytes: words[6],
        modified_s: words[11] as i64,
    }
}

/// Creates a directory with mode 0700, less what the umask takes.
pub fn mkdir(at: Option<&Fd>, path: &CStr) -> Result<(), Errno> {
    call!(MKDIRAT, dir(at), path.as_ptr(), 0o700).map(drop)
}

/// Gives an unnamed file a name in a directory; an existing name is an error.
pub fn link_unnamed(file: &Fd, at: &Fd, name: &CStr) -> Result<(), Errno> {
    let empty = c"";
    let direct = call!(LINKAT, file.raw(), empty.as_ptr(), at.raw(), name.as_ptr(), AT_EMPTY_PATH);
    if direct.is_ok() {
        return Ok(());
    }
    // Older kernels want a capability for the direct form; the detour through /proc needs none.
    let path = proc_path(file.raw() as u32);
    let follow = AT_SYMLINK_FOLLOW;
    call!(LINKAT, AT_FDCWD as isize, path.as_ptr(), at.raw(), name.as_ptr(), follow).map(drop)
}

/// `/proc/self/fd/N` with its closing zero.
fn proc_path(mut fd: u32) -> [u8; 32] {
    let mut path = [0u8; 32];
    let prefix = b"/proc/self/fd/";
    path[..prefix.len()].copy_from_slice(prefix);
    let mut digits = 1;
    let mut rest = fd / 10;
    while rest > 0 {
        digits += 1;
        rest /= 10;
    }
    for i in (0..digits).rev() {
        path[prefix.len() + i] = b'0' + (fd % 10) as u8;
        fd /= 10;
    }
    path
}

/// Gives `old` a second name; an existing name is an error.
pub fn link(at: &Fd, old: &CStr, new: &CStr) -> Result<(), Errno> {
    call!(LINKAT, at.raw(), old.as_ptr(), at.raw(), new.as_ptr(), 0).map(drop)
}

/// Renames within one directory, over whatever has the new name.
pub fn rename(at: &Fd, old: &CStr, new: &CStr) -> Result<(), Errno> {
    call!(RENAMEAT, at.raw(), old.as_ptr(), at.raw(), new.as_ptr()).map(drop)
}

/// Removes a file's name.
pub fn unlink(at: &Fd, name: &CStr) -> Result<(), Errno> {
    call!(UNLINKAT, at.raw(), name.as_ptr(), 0).map(drop)
}

/// Reserves a file's whole length, so that no later write or page fault finds the disk full.
pub fn allocate(fd: &Fd, bytes: u64) -> Result<(), Errno> {
    call!(FALLOCATE, fd.raw(), 0, 0, bytes).map(drop)
}

/// Waits until what was done to a file, or to the names in a directory, would outlive a loss of power.
#[cfg(feature = "std")]
pub fn sync(fd: &Fd) -> Result<(), Errno> {
    call!(FSYNC, fd.raw()).map(drop)
}

/// Sets a file's permission bits.
pub fn set_mode(fd: &Fd, mode: u32) -> Result<(), Errno> {
    call!(FCHMOD, fd.raw(), mode).map(drop)
}

/// Gives a file or directory back to its owner `uid` where its mode keeps them out
/// (`Stat::mode_for_owner`). A symbolic link is not followed; what is not to be changed is an error.
#[cold]
#[inline(never)]
pub fn give_back(at: Option<&Fd>, path: &CStr, uid: u32) -> Result<(), Errno> {
    let flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    let named = call!(OPENAT, dir(at), path.as_ptr(), flags, 0).map(|fd| Fd::new(fd as i32))?;
    let mode = fstat(&named)?.mode_for_owner(uid).ok_or(Errno::PERM)?;
    // Such a descriptor's own mode cannot be set, but what its name in /proc leads to is this file.
    let path = proc_path(named.raw() as u32);
    call!(FCHMODAT, AT_FDCWD as isize, path.as_ptr(), mode).map(drop)
}

/// Sets the permission bits of what has this name; a symbolic link is followed.
#[cfg(feature = "std")]
pub fn set_mode_at(at: &Fd, name: &CStr, mode: u32) -> Result<(), Errno> {
    call!(FCHMODAT, at.raw(), name.as_ptr(), mode).map(drop)
}

/// Sets what this whole process takes from the modes of what it creates: for a program of our own, not
/// for a library.
pub fn set_umask(mask: u32) {
    let _ = call!(UMASK, mask);
}

/// Sets a file's length.
pub fn truncate(fd: &Fd, bytes: u64) -> Result<(), Errno> {
    call!(FTRUNCATE, fd.raw(), bytes).map(drop)
}

/// Calls `each` with every name in a directory, in no order, until it says `false`. What was there
/// throughout is found. `dir` must have been opened for this alone: its position is used up.
#[cfg(feature = "std")]
pub fn for_each_name(dir: Fd, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
    // struct linux_dirent64: inode u64, offset u64, length u16, type u8, name with its closing zero.
    const NAME_OFFSET: usize = 19;
    let mut buffer = [0; 32 * 1024];
    loop {
        let bytes = call!(GETDENTS64, dir.raw(), buffer.as_mut_ptr(), buffer.len())?;
        let mut records = &buffer[..bytes];
        if records.is_empty() {
            return Ok(());
        }
        while records.len() > NAME_OFFSET {
            let length = usize::from(u16::from_le_bytes([records[16], records[17]]));
            let (record, rest) = records.split_at(length.clamp(NAME_OFFSET, records.len()));
            let name = record[NAME_OFFSET..].split(|byte| *byte == 0).next().unwrap_or_default();
            if !each(name) {
                return Ok(());
            }
            records = rest;
        }
    }
}

#[cfg(not(feature = "std"))]
const _: usize = calls::number::GETDENTS64;
