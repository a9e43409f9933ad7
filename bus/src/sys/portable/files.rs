//! Files and directories.

#[cfg(feature = "std")]
use super::calls::last_error;
use super::calls::{check, check_bytes};
use crate::sys::{Errno, Fd, Kind, Open, Stat};
use core::ffi::{CStr, c_int};
use core::mem::MaybeUninit;

/// Opens `path` relative to the directory `at`, or to the working directory where that is `None`.
pub fn open(at: Option<&Fd>, path: &CStr, how: Open) -> Result<Fd, Errno> {
    // O_NONBLOCK: a FIFO under our name must not hold us up.
    let always = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let flags = match how {
        Open::Dir => libc::O_DIRECTORY,
        Open::Read => libc::O_RDONLY,
        Open::ReadWrite => libc::O_RDWR,
        Open::CreateNew => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
        Open::Unnamed => return Err(Errno::INVAL),
    };
    let mode: libc::c_uint = 0o600;
    // SAFETY: a C string.
    let opened = check(unsafe { libc::openat(dir(at), path.as_ptr(), flags | always, mode) });
    let fd = opened.map(Fd::new)?;
    if flags & libc::O_CREAT != 0 {
        // The umask may have taken some of it. Not every file system has modes to set.
        let _ = set_mode(&fd, 0o600);
    }
    Ok(fd)
}

fn dir(at: Option<&Fd>) -> c_int {
    at.map_or(libc::AT_FDCWD, Fd::raw)
}

/// Closes a descriptor; what the kernel says of that cannot be acted upon.
pub(in crate::sys) fn close(fd: i32) {
    // SAFETY: nothing uses the descriptor any more (`Fd`).
    let _ = unsafe { libc::close(fd) };
}

/// Reads at the file's own position; 0 is its end.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: valid for so many bytes.
    unsafe { read_raw(fd, buffer.as_mut_ptr(), buffer.len()) }
}

/// Reads what is there by now; nothing can say, so [`Errno::NOTSUP`].
pub fn read_now(_fd: i32, _buffer: &mut [u8]) -> Result<usize, Errno> {
    Err(Errno::NOTSUP)
}

/// Writes what there is room for by now; nothing can say, so [`Errno::NOTSUP`].
pub fn write_now(_fd: i32, _bytes: &[u8]) -> Result<usize, Errno> {
    Err(Errno::NOTSUP)
}

/// Reads into memory that need not be initialised.
///
/// # Safety
/// `buffer` must be valid for writes of `bytes` bytes.
pub unsafe fn read_raw(fd: i32, buffer: *mut u8, bytes: usize) -> Result<usize, Errno> {
    // SAFETY: the caller vouches for it.
    check_bytes(unsafe { libc::read(fd, buffer.cast(), bytes) })
}

/// Writes at the file's own position.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: valid for so many bytes.
    check_bytes(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) })
}

/// Reads at `offset`.
pub fn pread(fd: &Fd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let (at, bytes) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: valid for so many bytes.
    check_bytes(unsafe { libc::pread(fd.raw(), at, bytes, offset as libc::off_t) })
}

/// Writes at `offset`.
pub fn pwrite(fd: &Fd, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    let (from, count) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: valid for so many bytes.
    check_bytes(unsafe { libc::pwrite(fd.raw(), from, count, offset as libc::off_t) })
}

/// Where the first data of a file stand from `offset` on, as far as its file system tells them from
/// holes, which read as zeros. `Ok(None)`: there are none. Moves the file's own position.
#[cfg(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple"))]
pub fn next_data(fd: &Fd, offset: u64) -> Result<Option<u64>, Errno> {
    const NXIO: Errno = Errno(6);
    // SAFETY: numbers only.
    match check(unsafe { libc::lseek(fd.raw(), offset as libc::off_t, libc::SEEK_DATA) }) {
        Ok(data) => Ok(Some(data as u64)),
        Err(NXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// As above, where the system cannot tell.
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")))]
pub fn next_data(_fd: &Fd, offset: u64) -> Result<Option<u64>, Errno> {
    Ok(Some(offset))
}

/// Writes three pieces one after another at `offset`; a short write is possible.
pub fn pwrite_pieces(fd: &Fd, pieces: [&[u8]; 3], offset: u64) -> Result<usize, Errno> {
    let vectors = pieces.map(|piece| libc::iovec {
        iov_base: piece.as_ptr().cast_mut().cast(),
        iov_len: piece.len(),
    });
    let count = vectors.len() as c_int;
    // SAFETY: each vector is a live slice, from which is only read.
    check_bytes(unsafe { libc::pwritev(fd.raw(), vectors.as_ptr(), count, offset as libc::off_t) })
}

/// What the kernel says of an open file.
pub fn fstat(fd: &Fd) -> Result<Stat, Errno> {
    // SAFETY: room for the answer.
    fill_stat(|stat| unsafe { libc::fstat(fd.raw(), stat) })
}

/// What a descriptor that this process was given is for.
pub fn kind(fd: i32) -> Kind {
    // SAFETY: room for the answer.
    fill_stat(|stat| unsafe { libc::fstat(fd, stat) })
        .map_or(Kind::Stream, |stat| Kind::of(stat.mode))
}

/// What the kernel says of a name, a symbolic link not being followed.
pub fn stat(at: Option<&Fd>, path: &CStr) -> Result<Stat, Errno> {
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: a C string, and room for the answer.
    fill_stat(|stat| unsafe { libc::fstatat(dir(at), path.as_ptr(), stat, flags) })
}

// The fields have other types on other systems.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
fn fill_stat(fill: impl FnOnce(*mut libc::stat) -> c_int) -> Result<Stat, Errno> {
    let mut stat = MaybeUninit::uninit();
    check(fill(stat.as_mut_ptr()))?;
    // SAFETY: filled, since there was no error.
    let stat: libc::stat = unsafe { stat.assume_init() };
    Ok(Stat {
        device: stat.st_dev as u64,
        inode: stat.st_ino,
        mode: stat.st_mode.into(),
        uid: stat.st_uid,
        bytes: stat.st_size as u64,
        modified_s: stat.st_mtime,
    })
}

/// Creates a directory with mode 0700, less what the umask takes.
pub fn mkdir(at: Option<&Fd>, path: &CStr) -> Result<(), Errno> {
    // SAFETY: a C string.
    check(unsafe { libc::mkdirat(dir(at), path.as_ptr(), 0o700) }).map(drop)
}

/// Gives an unnamed file a name: there are none here.
pub fn link_unnamed(_file: &Fd, _at: &Fd, _name: &CStr) -> Result<(), Errno> {
    Err(Errno::INVAL)
}

/// Gives `old` a second name; an existing name is an error.
pub fn link(at: &Fd, old: &CStr, new: &CStr) -> Result<(), Errno> {
    // SAFETY: C strings.
    check(unsafe { libc::linkat(at.raw(), old.as_ptr(), at.raw(), new.as_ptr(), 0) }).map(drop)
}

/// Renames within one directory, over whatever has the new name.
pub fn rename(at: &Fd, old: &CStr, new: &CStr) -> Result<(), Errno> {
    // SAFETY: C strings.
    check(unsafe { libc::renameat(at.raw(), old.as_ptr(), at.raw(), new.as_ptr()) }).map(drop)
}

/// Removes a file's name.
pub fn unlink(at: &Fd, name: &CStr) -> Result<(), Errno> {
    // SAFETY: a C string.
    check(unsafe { libc::unlinkat(at.raw(), name.as_ptr(), 0) }).map(drop)
}

/// Reserves a file's whole length, so that no later write or page fault finds the disk full. For a
/// file that is still empty.
pub fn allocate(fd: &Fd, bytes: u64) -> Result<(), Errno> {
    #[cfg(target_vendor = "apple")]
    {
        let request = libc::fstore_t {
            fst_flags: libc::F_ALLOCATEALL,
            fst_posmode: libc::F_PEOFPOSMODE,
            fst_offset: 0,
            fst_length: bytes as libc::off_t,
            fst_bytesalloc: 0,
        };
        // SAFETY: a live request of the kind that this command takes.
        check(unsafe { libc::fcntl(fd.raw(), libc::F_PREALLOCATE, &raw const request) })?;
        truncate(fd, bytes)
    }
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: numbers only.
    check(unsafe { libc::fallocate(fd.raw(), 0, 0, bytes as libc::off_t) }).map(drop)
}

/// Waits until what was done to a file, or to the names in a directory, would outlive a loss of power.
pub fn sync(fd: &Fd) -> Result<(), Errno> {
    // SAFETY: a number only.
    check(unsafe { libc::fsync(fd.raw()) }).map(drop)
}

/// Sets a file's permission bits.
pub fn set_mode(fd: &Fd, mode: u32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    check(unsafe { libc::fchmod(fd.raw(), mode as libc::mode_t) }).map(drop)
}

/// Gives a file or directory back to its owner `uid` where its mode keeps them out
/// (`Stat::mode_for_owner`). A symbolic link is not followed; what is not to be changed is an error.
pub fn give_back(at: Option<&Fd>, path: &CStr, uid: u32) -> Result<(), Errno> {
    let mode = stat(at, path)?.mode_for_owner(uid).ok_or(Errno::PERM)?;
    let (at, mode) = (dir(at), mode as libc::mode_t);
    // SAFETY: a C string.
    check(unsafe { libc::fchmodat(at, path.as_ptr(), mode, libc::AT_SYMLINK_NOFOLLOW) }).map(drop)
}

/// Sets the permission bits of what has this name; a symbolic link is followed.
#[cfg(feature = "std")]
pub fn set_mode_at(at: &Fd, name: &CStr, mode: u32) -> Result<(), Errno> {
    // SAFETY: a C string.
    check(unsafe { libc::fchmodat(at.raw(), name.as_ptr(), mode as libc::mode_t, 0) }).map(drop)
}

/// Sets what this whole process takes from the modes of what it creates: for a program of our own, not
/// for a library.
pub fn set_umask(mask: u32) {
    // SAFETY: a number only.
    let _ = unsafe { libc::umask(mask as libc::mode_t) };
}

/// Sets a file's length.
pub fn truncate(fd: &Fd, bytes: u64) -> Result<(), Errno> {
    // SAFETY: numbers only.
    check(unsafe { libc::ftruncate(fd.raw(), bytes as libc::off_t) }).map(drop)
}

/// Calls `each` with every name in a directory, in no order, until it says `false`. What was there
/// throughout is found. `dir` must have been opened for this alone: its position is used up.
#[cfg(feature = "std")]
pub fn for_each_name(dir: Fd, mut each: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
    // SAFETY: an open descriptor, which the stream takes over if there is one.
    let stream = unsafe { libc::fdopendir(dir.raw()) };
    if stream.is_null() {
        return Err(last_error());
    }
    core::mem::forget(dir);
    loop {
        // SAFETY: an open stream.
        let entry = unsafe { libc::readdir(stream) };
        if entry.is_null() {
            break;
        }
        // SAFETY: the entry lives until the next `readdir`; its name is not read through a reference
        // to the whole, which may be shorter than its type.
        let name = unsafe { &raw const (*entry).d_name };
        // SAFETY: it ends with a zero.
        let name = unsafe { CStr::from_ptr(name.cast()) };
        if !each(name.to_bytes()) {
            break;
        }
    }
    // SAFETY: open until here; this closes the descriptor, too.
    unsafe { libc::closedir(stream) };
    Ok(())
}
