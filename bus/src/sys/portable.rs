//! System calls through the C library, for systems other than Linux on x86_64 and aarch64.
//!
//! Meant for macOS first. There it compiles and has not been run; its tests run on Linux, with
//! `--cfg hookring_portable`, where it does without what macOS lacks: unnamed files, futexes, locks
//! that a mapping keeps, memory that a fork wipes.

use super::{Advice, Errno, Fd, Open, SignalHandler, Stat};
#[cfg(feature = "std")]
use crate::atomic::AtomicU32;
use crate::atomic::Ordering;
use core::ffi::{CStr, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::AtomicPtr;

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
compile_error!("hookring needs locks that belong to open file descriptions: Linux or macOS");

/// What a call returned, or its error where that is -1.
fn check<T: PartialEq + From<i8>>(result: T) -> Result<T, Errno> {
    if result == T::from(-1) { Err(last_error()) } else { Ok(result) }
}

fn check_bytes(result: isize) -> Result<usize, Errno> {
    check(result).map(|bytes| bytes as usize)
}

fn last_error() -> Errno {
    #[cfg(target_vendor = "apple")]
    // SAFETY: always allowed.
    let number = unsafe { libc::__error() };
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: always allowed.
    let number = unsafe { libc::__errno_location() };
    // SAFETY: this thread's errno.
    Errno(unsafe { number.read() })
}

/// Opens `path` relative to the directory `at`, or to the working directory where that is `None`.
pub fn open(at: Option<&Fd>, path: &CStr, how: Open) -> Result<Fd, Errno> {
    // O_NONBLOCK: a FIFO under our name must not hold us up.
    let always = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let flags = match how {
        Open::Dir => libc::O_DIRECTORY,
        Open::Read => libc::O_RDONLY,
        Open::ReadWrite => libc::O_RDWR,
        Open::Create => libc::O_RDWR | libc::O_CREAT,
        Open::CreateNew => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
        Open::Unnamed => return Err(Errno::INVAL),
    };
    let mode: libc::c_uint = 0o600;
    // SAFETY: a C string.
    check(unsafe { libc::openat(dir(at), path.as_ptr(), flags | always, mode) }).map(Fd::new)
}

fn dir(at: Option<&Fd>) -> c_int {
    at.map_or(libc::AT_FDCWD, Fd::raw)
}

/// Closes a descriptor; what the kernel says of that cannot be acted upon.
pub(super) fn close(fd: i32) {
    // SAFETY: nothing uses the descriptor any more (`Fd`).
    let _ = unsafe { libc::close(fd) };
}

/// Reads at the file's own position; 0 is its end.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: valid for so many bytes.
    unsafe { read_raw(fd, buffer.as_mut_ptr(), buffer.len()) }
}

/// Reads at the file's own position what is there by now. `Ok(None)`: this system cannot say; see
/// [`wait_readable`].
pub fn read_now(_fd: i32, _buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
    Ok(None)
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

/// Creates a directory with mode 0700.
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

/// Sets a file's permission bits.
pub fn set_mode(fd: &Fd, mode: u32) -> Result<(), Errno> {
    // SAFETY: numbers only.
    check(unsafe { libc::fchmod(fd.raw(), mode as libc::mode_t) }).map(drop)
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
    dir.into_raw();
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

/// See [`super::MappedLock`].
pub(super) const MAPPING_KEEPS_LOCK: bool = false;

// The constants have other types on other systems.
#[allow(clippy::unnecessary_cast)]
const WRITE_LOCK: libc::c_short = libc::F_WRLCK as libc::c_short;
#[allow(clippy::unnecessary_cast)]
const UNLOCK: libc::c_short = libc::F_UNLCK as libc::c_short;

fn lock(kind: libc::c_short, start: u64, bytes: u64) -> libc::flock {
    // SAFETY: integers only, for which zeros are fine.
    let mut lock: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    lock.l_type = kind;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    (lock.l_start, lock.l_len) = (start as libc::off_t, bytes as libc::off_t);
    lock
}

/// Takes a write lock on one byte for the open file description behind `fd`, without waiting.
/// `Ok(false)`: another description holds it. A description that has it already gets it again.
pub fn lock_byte(fd: &Fd, at: u64) -> Result<bool, Errno> {
    const ACCES: Errno = Errno(13);
    let lock = lock(WRITE_LOCK, at, 1);
    // SAFETY: a live request of the kind that this command takes.
    match check(unsafe { libc::fcntl(fd.raw(), libc::F_OFD_SETLK, &raw const lock) }) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN | ACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Gives a byte back that [`lock_byte`] took. Not for a producer's lane: unmap that instead.
pub fn unlock_byte(fd: &Fd, at: u64) -> Result<(), Errno> {
    let lock = lock(UNLOCK, at, 1);
    // SAFETY: a live request of the kind that this command takes.
    check(unsafe { libc::fcntl(fd.raw(), libc::F_OFD_SETLK, &raw const lock) }).map(drop)
}

/// Whether another description holds a lock on any of `bytes` bytes from `start`; 0 bytes: to the end.
pub fn is_locked(fd: &Fd, start: u64, bytes: u64) -> Result<bool, Errno> {
    let mut lock = lock(WRITE_LOCK, start, bytes);
    // SAFETY: a live request of the kind that this command takes, with room for the answer.
    check(unsafe { libc::fcntl(fd.raw(), libc::F_OFD_GETLK, &raw mut lock) })?;
    Ok(lock.l_type != UNLOCK)
}

/// # Safety
/// With `MAP_FIXED` the range must belong to a mapping of the caller's, whose loss it expects.
unsafe fn map(
    at: *mut u8,
    bytes: usize,
    flags: c_int,
    fd: c_int,
    offset: u64,
) -> Result<*mut u8, Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let offset = offset as libc::off_t;
    // SAFETY: the caller vouches for it.
    let at = unsafe { libc::mmap(at.cast(), bytes, access, flags, fd, offset) };
    if at == libc::MAP_FAILED { Err(last_error()) } else { Ok(at.cast()) }
}

/// Maps a part of a file, shared, for reading and writing.
pub fn map_shared(fd: &Fd, offset: u64, bytes: usize) -> Result<*mut u8, Errno> {
    // SAFETY: wherever there is room.
    unsafe { map(ptr::null_mut(), bytes, libc::MAP_SHARED, fd.raw(), offset) }
}

/// Maps zeroed memory of this process alone.
pub fn map_anonymous(bytes: usize) -> Result<*mut u8, Errno> {
    // SAFETY: wherever there is room.
    unsafe { map(ptr::null_mut(), bytes, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0) }
}

/// Puts zeroed memory of this process alone in the place of what is mapped there.
///
/// # Safety
/// The range must belong to a mapping of the caller's, whose loss it expects.
pub unsafe fn map_anonymous_over(at: *mut u8, bytes: usize) -> Result<(), Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED;
    // SAFETY: the caller vouches for it.
    unsafe { map(at, bytes, flags, -1, 0) }.map(drop)
}

/// Makes an anonymous mapping larger; it moves.
///
/// # Safety
/// The range must be a whole mapping from [`map_anonymous`] that nothing refers to any more.
pub unsafe fn remap(at: *mut u8, old_bytes: usize, new_bytes: usize) -> Result<*mut u8, Errno> {
    let new = map_anonymous(new_bytes)?;
    // SAFETY: two mappings, and not more than either has.
    unsafe { ptr::copy_nonoverlapping(at, new, old_bytes.min(new_bytes)) };
    // SAFETY: the caller vouches for it.
    unsafe { unmap(at, old_bytes) };
    Ok(new)
}

/// Unmaps.
///
/// # Safety
/// The range must be a mapping of the caller's that nothing refers to any more.
pub unsafe fn unmap(at: *mut u8, bytes: usize) {
    // SAFETY: the caller vouches for it.
    let _ = unsafe { libc::munmap(at.cast(), bytes) };
}

/// Tells the kernel how a mapping will be used. Fails for what only Linux knows.
///
/// # Safety
/// The range must be a mapping of the caller's.
pub unsafe fn advise(at: *mut u8, bytes: usize, advice: Advice) -> Result<(), Errno> {
    match advice {
        #[cfg(target_vendor = "apple")]
        Advice::DontFork => {
            // SAFETY: the caller's mapping; only a child loses it.
            check(unsafe { libc::minherit(at.cast(), bytes, libc::VM_INHERIT_NONE) }).map(drop)
        }
        #[cfg(not(target_vendor = "apple"))]
        Advice::DontFork => {
            // SAFETY: the caller's mapping; only a child loses it.
            check(unsafe { libc::madvise(at.cast(), bytes, libc::MADV_DONTFORK) }).map(drop)
        }
        Advice::WipeOnFork | Advice::PopulateWrite => Err(Errno::INVAL),
    }
}

// On macOS this clock goes on while the machine sleeps.
#[cfg(target_vendor = "apple")]
const CLOCK_BOOTTIME: libc::clockid_t = libc::CLOCK_MONOTONIC_RAW;
#[cfg(not(target_vendor = "apple"))]
const CLOCK_BOOTTIME: libc::clockid_t = libc::CLOCK_BOOTTIME;

/// Nanoseconds since the machine started, sleep included; the same clock in every process.
#[inline]
pub fn boottime_ns() -> u64 {
    clock_ns(CLOCK_BOOTTIME)
}

/// Nanoseconds since 1970.
#[inline]
pub fn realtime_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer; both clocks exist.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    debug_assert_eq!(result, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps until one of the words no longer has its expected value, as a producer's ring sees to, or
/// `timeout_ns` have passed. There is no futex: it looks every millisecond.
#[cfg(feature = "std")]
pub fn futex_wait_any(words: &[(&AtomicU32, u32)], timeout_ns: u64) {
    use std::time::{Duration, Instant};
    const INTERVAL: Duration = Duration::from_millis(1);
    let begin = Instant::now();
    let is_unchanged =
        |(word, expected): &(&AtomicU32, u32)| word.load(Ordering::Acquire) == *expected;
    while words.iter().all(is_unchanged) {
        let left = Duration::from_nanos(timeout_ns).saturating_sub(begin.elapsed());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(INTERVAL));
    }
}

/// Wakes nobody: the sleeper sees for itself that the word has changed.
pub fn futex_wake(_word: *const u32) {}

/// Fills a buffer with random bytes; `false` where there are none to be had, or for more than 256.
pub fn random(buffer: &mut [u8]) -> bool {
    let (at, bytes) = (buffer.as_mut_ptr().cast::<c_void>(), buffer.len());
    #[cfg(target_vendor = "apple")]
    // SAFETY: valid for so many bytes.
    return unsafe { libc::getentropy(at, bytes) } == 0;
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: valid for so many bytes.
    return check_bytes(unsafe { libc::getrandom(at, bytes, 0) }) == Ok(bytes);
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    // SAFETY: always allowed.
    unsafe { libc::geteuid() }
}

/// Bytes of a page of memory.
#[cfg(feature = "std")]
pub fn page_bytes() -> usize {
    // SAFETY: a number only; every system answers.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// The process id, as this process's pid namespace has it.
pub fn process_id() -> u32 {
    // SAFETY: always allowed.
    unsafe { libc::getpid() as u32 }
}

/// The working directory's path into `buffer`; its length without the closing zero.
pub fn working_directory(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: valid for so many bytes.
    let path = unsafe { libc::getcwd(buffer.as_mut_ptr().cast(), buffer.len()) };
    if path.is_null() {
        return Err(last_error());
    }
    Ok(buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len()))
}

/// Waits until `fd` can be read or is at its end; `Ok(false)`: `timeout_ns` have passed.
pub fn wait_readable(fd: i32, timeout_ns: u64) -> Result<bool, Errno> {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let timeout_ms = timeout_ns.div_ceil(1_000_000).min(c_int::MAX as u64) as c_int;
    // SAFETY: one live entry.
    check(unsafe { libc::poll(&raw mut poll, 1, timeout_ms) }).map(|ready| ready > 0)
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    // SAFETY: a number only.
    unsafe { libc::isatty(fd) == 1 }
}

/// Ends the process, all its threads, without running anything.
pub fn exit(code: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(code) }
}

/// Handles SIGBUS, which the kernel sends for a mapped page whose file was cut off.
///
/// # Safety
/// The handler must do only what a signal handler may.
pub unsafe fn catch_sigbus(handler: SignalHandler) -> Result<(), Errno> {
    set_action(libc::SIGBUS, handler as libc::sighandler_t, libc::SA_SIGINFO | libc::SA_NODEFER)
}

static KEEPSAKE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// As [`catch_sigbus`], for a handler that needs something: [`kept_for_handler`] finds it.
///
/// # Safety
/// As for [`catch_sigbus`], and `keepsake` must outlive every use of the handler. Once per process.
pub unsafe fn catch_sigbus_with<T>(
    keepsake: *const T,
    handler: SignalHandler,
) -> Result<(), Errno> {
    KEEPSAKE.store(keepsake.cast_mut().cast(), Ordering::Release);
    // SAFETY: the caller vouches for the handler.
    unsafe { catch_sigbus(handler) }
}

/// What [`catch_sigbus_with`] was given.
///
/// # Safety
/// `T` must be the same type.
pub unsafe fn kept_for_handler<T>(_context: *const u8) -> *const T {
    KEEPSAKE.load(Ordering::Acquire).cast_const().cast()
}

/// Gives SIGBUS its default effect back: the process ends.
pub fn default_sigbus() -> Result<(), Errno> {
    set_action(libc::SIGBUS, libc::SIG_DFL, 0)
}

/// Has a write to a closed pipe fail instead of ending the process.
pub fn ignore_sigpipe() -> Result<(), Errno> {
    set_action(libc::SIGPIPE, libc::SIG_IGN, 0)
}

/// Has a write beyond the limit for a file's size fail instead of ending the process.
pub fn ignore_sigxfsz() -> Result<(), Errno> {
    set_action(libc::SIGXFSZ, libc::SIG_IGN, 0)
}

fn set_action(signal: c_int, handler: libc::sighandler_t, flags: c_int) -> Result<(), Errno> {
    // SAFETY: integers, an empty set and a null pointer, for which zeros are fine.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    // SAFETY: a live action; whoever gave the handler vouches for it.
    check(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }).map(drop)
}

/// The address that a fault hit, from the `siginfo_t` that a handler was given.
///
/// # Safety
/// `info` must be the pointer that the kernel gave to the handler.
pub unsafe fn fault_address(info: *const u8) -> usize {
    // SAFETY: the caller vouches for it.
    let info = unsafe { &*info.cast::<libc::siginfo_t>() };
    // SAFETY: SIGBUS carries an address.
    unsafe { info.si_addr() as usize }
}
