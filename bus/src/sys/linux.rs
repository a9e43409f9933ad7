//! Linux system calls, made directly: x86_64 and aarch64.

use super::{Advice, Errno, Fd, Open, SignalHandler, Stat};
#[cfg(feature = "std")]
use crate::atomic::AtomicU32;
use core::arch::asm;
use core::ffi::CStr;

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const READ: usize = 0;
    pub(super) const WRITE: usize = 1;
    pub(super) const CLOSE: usize = 3;
    pub(super) const FSTAT: usize = 5;
    pub(super) const MMAP: usize = 9;
    pub(super) const MUNMAP: usize = 11;
    pub(super) const RT_SIGACTION: usize = 13;
    pub(super) const IOCTL: usize = 16;
    pub(super) const PREAD: usize = 17;
    pub(super) const PWRITE: usize = 18;
    pub(super) const MREMAP: usize = 25;
    pub(super) const MADVISE: usize = 28;
    pub(super) const GETPID: usize = 39;
    pub(super) const FCNTL: usize = 72;
    pub(super) const FCHMOD: usize = 91;
    pub(super) const FTRUNCATE: usize = 77;
    pub(super) const GETCWD: usize = 79;
    pub(super) const FUTEX: usize = 202;
    pub(super) const CLOCK_GETTIME: usize = 228;
    pub(super) const EXIT_GROUP: usize = 231;
    pub(super) const OPENAT: usize = 257;
    pub(super) const MKDIRAT: usize = 258;
    pub(super) const NEWFSTATAT: usize = 262;
    pub(super) const UNLINKAT: usize = 263;
    pub(super) const RENAMEAT: usize = 264;
    pub(super) const LINKAT: usize = 265;
    pub(super) const PPOLL: usize = 271;
    pub(super) const FALLOCATE: usize = 285;
    pub(super) const PWRITEV: usize = 296;
    pub(super) const PREADV2: usize = 327;
    pub(super) const SIGALTSTACK: usize = 131;
    pub(super) const GETRANDOM: usize = 318;
    pub(super) const GETEUID: usize = 107;
    pub(super) const GETDENTS64: usize = 217;
    #[cfg(feature = "std")]
    pub(super) const FUTEX_WAITV: usize = 449;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const GETCWD: usize = 17;
    pub(super) const FCNTL: usize = 25;
    pub(super) const IOCTL: usize = 29;
    pub(super) const MKDIRAT: usize = 34;
    pub(super) const UNLINKAT: usize = 35;
    pub(super) const LINKAT: usize = 37;
    pub(super) const RENAMEAT: usize = 38;
    pub(super) const FTRUNCATE: usize = 46;
    pub(super) const FALLOCATE: usize = 47;
    pub(super) const FCHMOD: usize = 52;
    pub(super) const OPENAT: usize = 56;
    pub(super) const CLOSE: usize = 57;
    pub(super) const GETDENTS64: usize = 61;
    pub(super) const READ: usize = 63;
    pub(super) const WRITE: usize = 64;
    pub(super) const PREAD: usize = 67;
    pub(super) const PWRITE: usize = 68;
    pub(super) const PWRITEV: usize = 70;
    pub(super) const SIGALTSTACK: usize = 132;
    pub(super) const PREADV2: usize = 286;
    pub(super) const PPOLL: usize = 73;
    pub(super) const NEWFSTATAT: usize = 79;
    pub(super) const FSTAT: usize = 80;
    pub(super) const EXIT_GROUP: usize = 94;
    pub(super) const FUTEX: usize = 98;
    pub(super) const CLOCK_GETTIME: usize = 113;
    pub(super) const RT_SIGACTION: usize = 134;
    pub(super) const GETPID: usize = 172;
    pub(super) const GETEUID: usize = 175;
    pub(super) const MUNMAP: usize = 215;
    pub(super) const MREMAP: usize = 216;
    pub(super) const MMAP: usize = 222;
    pub(super) const MADVISE: usize = 233;
    pub(super) const GETRANDOM: usize = 278;
    #[cfg(feature = "std")]
    pub(super) const FUTEX_WAITV: usize = 449;
}

/// Makes a system call with six arguments.
///
/// # Safety
/// The arguments must be what the call with this number asks for.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel changes rax, rcx and r11 only, besides what the caller vouched for.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
             in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5],
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Makes a system call with six arguments.
///
/// # Safety
/// The arguments must be what the call with this number asks for.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel changes x0 only, besides what the caller vouched for.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] => result,
             in("x1") a[1], in("x2") a[2], in("x3") a[3],
             in("x4") a[4], in("x5") a[5], options(nostack));
    }
    result
}

fn check(result: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

#[inline(always)]
fn first_six<const N: usize>(given: [usize; N]) -> [usize; 6] {
    core::array::from_fn(|i| if i < N { given[i] } else { 0 })
}

macro_rules! call {
    ($number:ident $(, $arg:expr)*) => {{
        let args = first_six([$($arg as usize),*]);
        // SAFETY: each call below hands over pointers to live memory of the length it states, or
        // numbers; its wrapper's types see to that.
        check(unsafe { raw(number::$number, args) })
    }};
}

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
        Open::Create => (O_RDWR | O_CREAT, 0o600),
        Open::CreateNew => (O_RDWR | O_CREAT | O_EXCL, 0o600),
        Open::Unnamed => (O_RDWR | O_TMPFILE, 0o600),
    };
    call!(OPENAT, dir(at), path.as_ptr(), flags | always, mode).map(|fd| Fd::new(fd as i32))
}

fn dir(at: Option<&Fd>) -> isize {
    at.map_or(AT_FDCWD, Fd::raw) as isize
}

/// Closes a descriptor; what the kernel says of that cannot be acted upon.
pub(super) fn close(fd: i32) {
    let _ = call!(CLOSE, fd);
}

/// Reads at the file's own position; 0 is its end.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    call!(READ, fd, buffer.as_mut_ptr(), buffer.len())
}

/// Reads at the file's own position what is there by now. `Ok(None)`: nothing yet, or this kind of
/// file cannot say (a terminal; a pipe before Linux 6.5): see [`wait_readable`].
pub fn read_now(fd: i32, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
    const RWF_NOWAIT: usize = 8;
    const OWN_POSITION: isize = -1;
    let vector = IoVec { base: buffer.as_mut_ptr(), bytes: buffer.len() };
    match call!(PREADV2, fd, &raw const vector, 1, OWN_POSITION, 0, RWF_NOWAIT) {
        Ok(bytes) => Ok(Some(bytes)),
        // EAGAIN, ENOSYS, EOPNOTSUPP
        Err(Errno(11 | 38 | 95)) => Ok(None),
        Err(errno) => Err(errno),
    }
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

#[repr(C)]
#[derive(Copy, Clone)]
struct IoVec {
    base: *const u8,
    bytes: usize,
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

/// Creates a directory with mode 0700.
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

/// Sets a file's permission bits.
pub fn set_mode(fd: &Fd, mode: u32) -> Result<(), Errno> {
    call!(FCHMOD, fd.raw(), mode).map(drop)
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
const _: usize = number::GETDENTS64;

#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    start: i64,
    bytes: i64,
    pid: i32,
}

/// See [`super::MappedLock`].
pub(super) const MAPPING_KEEPS_LOCK: bool = true;

const F_OFD_GETLK: i32 = 36;
const F_OFD_SETLK: i32 = 37;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;

/// Takes a write lock on one byte for the open file description behind `fd`, without waiting.
/// `Ok(false)`: another description holds it. A description that has it already gets it again.
pub fn lock_byte(fd: &Fd, at: u64) -> Result<bool, Errno> {
    let lock = Flock { kind: F_WRLCK, whence: 0, start: at as i64, bytes: 1, pid: 0 };
    match call!(FCNTL, fd.raw(), F_OFD_SETLK, &raw const lock) {
        Ok(_) => Ok(true),
        Err(Errno(11 | 13)) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Gives a byte back that [`lock_byte`] took. Not for a producer's lane: unmap that instead.
pub fn unlock_byte(fd: &Fd, at: u64) -> Result<(), Errno> {
    let lock = Flock { kind: F_UNLCK, whence: 0, start: at as i64, bytes: 1, pid: 0 };
    call!(FCNTL, fd.raw(), F_OFD_SETLK, &raw const lock).map(drop)
}

/// Whether another description holds a lock on any of `bytes` bytes from `start`; 0 bytes: to the end.
pub fn is_locked(fd: &Fd, start: u64, bytes: u64) -> Result<bool, Errno> {
    let (start, bytes) = (start as i64, bytes as i64);
    let mut lock = Flock { kind: F_WRLCK, whence: 0, start, bytes, pid: 0 };
    call!(FCNTL, fd.raw(), F_OFD_GETLK, &raw mut lock)?;
    Ok(lock.kind != F_UNLCK)
}

const PROT_READ_WRITE: usize = 3;
const MAP_SHARED: usize = 1;
const MAP_PRIVATE: usize = 2;
const MAP_FIXED: usize = 0x10;
const MAP_ANONYMOUS: usize = 0x20;

/// Maps a part of a file, shared, for reading and writing.
pub fn map_shared(fd: &Fd, offset: u64, bytes: usize) -> Result<*mut u8, Errno> {
    call!(MMAP, 0, bytes, PROT_READ_WRITE, MAP_SHARED, fd.raw(), offset).map(|at| at as *mut u8)
}

/// Maps zeroed memory of this process alone.
pub fn map_anonymous(bytes: usize) -> Result<*mut u8, Errno> {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    call!(MMAP, 0, bytes, PROT_READ_WRITE, flags, -1isize, 0).map(|at| at as *mut u8)
}

/// Puts zeroed memory of this process alone in the place of what is mapped there.
///
/// # Safety
/// The range must belong to a mapping of the caller's, whose loss it expects.
pub unsafe fn map_anonymous_over(at: *mut u8, bytes: usize) -> Result<(), Errno> {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    call!(MMAP, at, bytes, PROT_READ_WRITE, flags, -1isize, 0).map(drop)
}

/// Makes an anonymous mapping larger; it may move.
///
/// # Safety
/// The range must be a whole mapping from [`map_anonymous`] that nothing refers to any more.
pub unsafe fn remap(at: *mut u8, old_bytes: usize, new_bytes: usize) -> Result<*mut u8, Errno> {
    const MAY_MOVE: usize = 1;
    call!(MREMAP, at, old_bytes, new_bytes, MAY_MOVE).map(|at| at as *mut u8)
}

/// Unmaps.
///
/// # Safety
/// The range must be a mapping of the caller's that nothing refers to any more.
pub unsafe fn unmap(at: *mut u8, bytes: usize) {
    let _ = call!(MUNMAP, at, bytes);
}

/// Tells the kernel how a mapping will be used.
///
/// # Safety
/// The range must be a mapping of the caller's.
pub unsafe fn advise(at: *mut u8, bytes: usize, advice: Advice) -> Result<(), Errno> {
    call!(MADVISE, at, bytes, advice).map(drop)
}

#[repr(C)]
#[derive(Copy, Clone)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

impl Timespec {
    fn from_nanos(nanos: u64) -> Timespec {
        let second = 1_000_000_000;
        Timespec { seconds: (nanos / second) as i64, nanos: (nanos % second) as i64 }
    }
}

const CLOCK_REALTIME: usize = 0;
const CLOCK_BOOTTIME: usize = 7;

/// Nanoseconds since the machine started, sleep included; the same clock in every process.
#[inline]
pub fn boottime_ns() -> u64 {
    clock_ns(CLOCK_BOOTTIME)
}

/// Nanoseconds since 1970.
#[inline]
pub fn realtime_ns() -> u64 {
    clock_ns(CLOCK_REALTIME)
}

// A program with a C library has the vDSO at hand (22 ns); for a process that reads the clock twice,
// two system calls cost less than finding it.
#[cfg(feature = "std")]
#[inline]
fn clock_ns(clock: usize) -> u64 {
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    }
    let mut time = Timespec { seconds: 0, nanos: 0 };
    // SAFETY: `time` is a live timespec, and these clocks exist on every kernel since 2.6.39.
    let result = unsafe { clock_gettime(clock as i32, &raw mut time) };
    debug_assert_eq!(result, 0);
    time.seconds as u64 * 1_000_000_000 + time.nanos as u64
}

#[cfg(not(feature = "std"))]
#[inline]
fn clock_ns(clock: usize) -> u64 {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    let _ = call!(CLOCK_GETTIME, clock, &raw mut time);
    time.seconds as u64 * 1_000_000_000 + time.nanos as u64
}

#[cfg(feature = "std")]
const _: usize = number::CLOCK_GETTIME;

/// Sleeps until somebody wakes one of at most [`MAX_FUTEXES`] words (each with its expected value).
/// Where the kernel has no such call (before Linux 5.16) it watches the first, and the rest wait for
/// the time limit.
#[cfg(feature = "std")]
pub fn futex_wait_any(words: &[(&AtomicU32, u32)], timeout_ns: u64) {
    #[repr(C)]
    #[derive(Copy, Clone)]
    struct WaitV {
        expected: u64,
        address: u64,
        flags: u32,
        reserved: u32,
    }
    const SIZE_32: u32 = 2;
    const CLOCK_MONOTONIC: usize = 1;
    const ENOSYS: Errno = Errno(38);
    let empty = WaitV { expected: 0, address: 0, flags: SIZE_32, reserved: 0 };
    let mut list = [empty; MAX_FUTEXES];
    let used = words.len().min(MAX_FUTEXES);
    for (entry, (word, expected)) in list.iter_mut().zip(words) {
        *entry = WaitV { expected: u64::from(*expected), address: word.as_ptr() as u64, ..empty };
    }
    let until = Timespec::from_nanos(clock_ns(CLOCK_MONOTONIC).saturating_add(timeout_ns));
    let clock = CLOCK_MONOTONIC;
    let result = call!(FUTEX_WAITV, list.as_ptr(), used, 0, &raw const until, clock);
    if let (Err(ENOSYS), Some((word, expected))) = (result, words.first()) {
        const WAIT: usize = 0;
        let timeout = Timespec::from_nanos(timeout_ns);
        let _ = call!(FUTEX, word.as_ptr(), WAIT, *expected, &raw const timeout);
    }
}

/// See [`futex_wait_any`].
#[cfg(feature = "std")]
pub const MAX_FUTEXES: usize = 8;

/// Wakes one sleeper of `word`, in whichever process.
pub fn futex_wake(word: *const u32) {
    const WAKE: usize = 1;
    let _ = call!(FUTEX, word, WAKE, 1);
}

/// Fills a buffer with random bytes; `false` where the kernel has none (before Linux 3.17).
pub fn random(buffer: &mut [u8]) -> bool {
    call!(GETRANDOM, buffer.as_mut_ptr(), buffer.len(), 0).is_ok_and(|n| n == buffer.len())
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    call!(GETEUID).unwrap_or(0) as u32
}

/// Bytes of a page of memory.
#[cfg(feature = "std")]
pub fn page_bytes() -> usize {
    unsafe extern "C" {
        safe fn getpagesize() -> i32;
    }
    getpagesize() as usize
}

/// The process id, as this process's pid namespace has it.
pub fn process_id() -> u32 {
    call!(GETPID).unwrap_or(0) as u32
}

/// The working directory's path into `buffer`; its length without the closing zero.
pub fn working_directory(buffer: &mut [u8]) -> Result<usize, Errno> {
    call!(GETCWD, buffer.as_mut_ptr(), buffer.len()).map(|bytes| bytes.saturating_sub(1))
}

/// Waits until `fd` can be read or is at its end; `Ok(false)`: `timeout_ns` have passed.
pub fn wait_readable(fd: i32, timeout_ns: u64) -> Result<bool, Errno> {
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: i16,
        returned: i16,
    }
    const POLLIN: i16 = 1;
    let mut poll = PollFd { fd, events: POLLIN, returned: 0 };
    let mut timeout = Timespec::from_nanos(timeout_ns);
    call!(PPOLL, &raw mut poll, 1, &raw mut timeout, 0, 8).map(|ready| ready > 0)
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    const TCGETS: usize = 0x5401;
    let mut settings = [0u32; 16];
    call!(IOCTL, fd, TCGETS, settings.as_mut_ptr()).is_ok()
}

/// Ends the process, all its threads, without running anything.
pub fn exit(code: i32) -> ! {
    loop {
        let _ = call!(EXIT_GROUP, code);
    }
}

const SIGBUS: usize = 7;
const SIGPIPE: usize = 13;
const SIGXFSZ: usize = 25;
const SA_SIGINFO: usize = 4;
const SA_RESTORER: usize = 0x0400_0000;
const SA_NODEFER: usize = 0x4000_0000;
const SIGNAL_SET_BYTES: usize = 8;

#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// Handles SIGBUS, which the kernel sends for a mapped page whose file was cut off.
///
/// # Safety
/// The handler must do only what a signal handler may.
pub unsafe fn catch_sigbus(handler: SignalHandler) -> Result<(), Errno> {
    let (restorer, flag) = restorer();
    let flags = SA_SIGINFO | SA_NODEFER | flag;
    let action = KernelAction { handler: handler as usize, flags, restorer, mask: 0 };
    set_action(SIGBUS, &action)
}

/// As [`catch_sigbus`], for a handler that needs something of this thread: [`kept_for_handler`] finds
/// it. Without a static, because a program that has none needs no writable page in its image.
///
/// # Safety
/// As for [`catch_sigbus`], and `keepsake` must outlive every use of the handler. The thread must not
/// use an alternate signal stack: this puts the pointer where the kernel keeps that one's address.
pub unsafe fn catch_sigbus_with<T>(
    keepsake: *const T,
    handler: SignalHandler,
) -> Result<(), Errno> {
    // No handler asks for the alternate stack, so its length only has to pass the kernel's check.
    const LENGTH: usize = 64 * 1024;
    let stack = SignalStack { base: keepsake.cast(), flags: 0, bytes: LENGTH };
    call!(SIGALTSTACK, &raw const stack, 0)?;
    // SAFETY: the caller vouches for the handler.
    unsafe { catch_sigbus(handler) }
}

/// What [`catch_sigbus_with`] was given.
///
/// # Safety
/// `context` must be the pointer that the kernel gave to the handler, and `T` the same type.
pub unsafe fn kept_for_handler<T>(context: *const u8) -> *const T {
    // struct ucontext begins with flags and a link, 8 bytes each; then the alternate stack.
    const UC_STACK: usize = 16;
    // SAFETY: within the context.
    let stack = unsafe { context.add(UC_STACK) }.cast::<SignalStack>();
    // SAFETY: a whole stack_t stands there, aligned.
    unsafe { stack.read() }.base.cast()
}

#[repr(C)]
struct SignalStack {
    base: *const u8,
    flags: i32,
    bytes: usize,
}

/// Gives SIGBUS its default effect back: the process ends.
pub fn default_sigbus() -> Result<(), Errno> {
    set_action(SIGBUS, &KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 })
}

/// Has a write to a closed pipe fail instead of ending the process.
pub fn ignore_sigpipe() -> Result<(), Errno> {
    set_action(SIGPIPE, &KernelAction { handler: 1, flags: 0, restorer: 0, mask: 0 })
}

/// Has a write beyond the limit for a file's size fail instead of ending the process.
pub fn ignore_sigxfsz() -> Result<(), Errno> {
    set_action(SIGXFSZ, &KernelAction { handler: 1, flags: 0, restorer: 0, mask: 0 })
}

fn set_action(signal: usize, action: &KernelAction) -> Result<(), Errno> {
    call!(RT_SIGACTION, signal, &raw const *action, 0, SIGNAL_SET_BYTES).map(drop)
}

/// The address that a fault hit, from the `siginfo_t` that a handler was given.
///
/// # Safety
/// `info` must be the pointer that the kernel gave to the handler.
pub unsafe fn fault_address(info: *const u8) -> usize {
    const SI_ADDR: usize = 16;
    // SAFETY: siginfo_t has 128 bytes, aligned to 8.
    let field = unsafe { info.add(SI_ADDR) };
    // SAFETY: si_addr stands at byte 16, an aligned pointer.
    unsafe { field.cast::<usize>().read() }
}

// x86_64 returns from a handler through a stub that the program brings; aarch64's is in the vDSO.
#[cfg(target_arch = "x86_64")]
fn restorer() -> (usize, usize) {
    #[unsafe(naked)]
    unsafe extern "C" fn signal_return() {
        core::arch::naked_asm!("mov eax, 15", "syscall")
    }
    (signal_return as *const () as usize, SA_RESTORER)
}

#[cfg(target_arch = "aarch64")]
fn restorer() -> (usize, usize) {
    let _ = SA_RESTORER;
    (0, 0)
}
