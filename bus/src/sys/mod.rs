//! The system calls that the bus makes.
//!
//! On Linux (x86_64 and aarch64) they are made directly, so that a hook process needs no C runtime
//! and a std program gets the same code. Elsewhere the C library makes them; `--cfg hookring_portable`
//! chooses that on Linux as well, so that its tests run there. `--cfg loom` has a model checker in the
//! kernel's place (`model.rs`).

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(hookring_portable)
))]
#[cfg_attr(not(loom), path = "linux/mod.rs")]
#[cfg_attr(loom, path = "model.rs")]
mod backend;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(hookring_portable)
)))]
#[path = "portable/mod.rs"]
mod backend;

#[cfg(feature = "std")]
mod file_limit;
#[cfg(feature = "std")]
mod idle;

pub use backend::*;
#[cfg(feature = "std")]
use file_limit::SigxfszBefore;
#[cfg(feature = "std")]
pub use file_limit::WithoutSigxfsz;
#[cfg(feature = "std")]
pub use idle::{IdleFd, MappedLock};

/// A system call's error number, as `errno` names it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// The system does not allow it; also: this file system lacks the feature.
    pub const PERM: Errno = Errno(1);
    /// No such file or directory.
    pub const NOENT: Errno = Errno(2);
    /// Interrupted by a signal.
    pub const INTR: Errno = Errno(4);
    /// There is nothing behind the file: a socket, say.
    pub const NXIO: Errno = Errno(6);
    /// Permission is denied.
    pub const ACCES: Errno = Errno(13);
    /// The file exists.
    pub const EXIST: Errno = Errno(17);
    /// Nothing is there yet, or somebody else holds the lock.
    pub const AGAIN: Errno = Errno(if cfg!(target_vendor = "apple") { 35 } else { 11 });
    /// A symbolic link where none is followed.
    pub const LOOP: Errno = Errno(if cfg!(target_vendor = "apple") { 62 } else { 40 });
    /// An argument was not valid; also: this kernel or file system lacks the feature.
    pub const INVAL: Errno = Errno(22);
    /// No space is left.
    pub const NOSPC: Errno = Errno(28);
    /// There is no such system call.
    pub const NOSYS: Errno = Errno(if cfg!(target_vendor = "apple") { 78 } else { 38 });
    /// This file system lacks the feature.
    pub const NOTSUP: Errno = Errno(if cfg!(target_vendor = "apple") { 45 } else { 95 });
}

#[cfg(feature = "std")]
impl From<Errno> for std::io::Error {
    fn from(errno: Errno) -> Self {
        std::io::Error::from_raw_os_error(errno.0)
    }
}

/// What `fstat` says, as far as the bus asks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// The device of the file.
    pub device: u64,
    /// The inode of the file.
    pub inode: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// Length in bytes.
    pub bytes: u64,
    /// When its content last changed, in seconds since 1970.
    pub modified_s: i64,
}

const TYPE_BITS: u32 = 0o170_000;

impl Stat {
    /// A regular file of `uid` that nobody else may open.
    pub fn is_private_file(&self, uid: u32) -> bool {
        self.is_own_file(uid) && self.mode & 0o077 == 0
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.mode & TYPE_BITS == 0o100_000
    }

    /// A regular file of `uid`, whoever else may open it.
    pub fn is_own_file(&self, uid: u32) -> bool {
        self.is_file() && self.uid == uid
    }

    /// A directory of `uid` that nobody else may enter.
    pub fn is_private_dir(&self, uid: u32) -> bool {
        self.is_dir() && self.mode & 0o077 == 0 && self.uid == uid
    }

    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.mode & TYPE_BITS == 0o040_000
    }

    /// The mode that a file or directory of `uid` and nobody else is to have, where it lacks some of
    /// what its owner needs: a umask took that, or its maker died before it could set the mode.
    pub fn mode_for_owner(&self, uid: u32) -> Option<u32> {
        let wanted = if self.is_private_dir(uid) {
            0o700
        } else if self.is_private_file(uid) {
            0o600
        } else {
            return None;
        };
        (self.mode & wanted != wanted).then_some(wanted)
    }

    /// The same file as `other`, whatever its name is now.
    pub fn is_same_file(&self, other: &Stat) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// What a descriptor is for, as far as waiting goes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A file or a directory: nobody has to write or read it at the other end.
    Stored,
    /// A device; it may be a terminal.
    Device,
    /// A pipe, a socket, or what nobody knows.
    Stream,
}

impl Kind {
    fn of(mode: u32) -> Kind {
        match mode & TYPE_BITS {
            0o100_000 | 0o040_000 | 0o060_000 => Kind::Stored,
            0o020_000 => Kind::Device,
            _ => Kind::Stream,
        }
    }
}

/// How to open a file; symbolic links are never followed in the last component.
#[derive(Copy, Clone)]
pub enum Open {
    /// A directory, to look up names in.
    Dir,
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    ReadWrite,
    /// A file that must not be there yet, to read and write, mode 0600 whatever the umask.
    CreateNew,
    /// A file without a name in this directory, mode 0600 whatever the umask.
    Unnamed,
}

/// As [`for_each_name`], for a directory that stays open: a new description of it starts at its
/// beginning.
#[cfg(feature = "std")]
pub fn for_each_name_in(dir: &Fd, each: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
    for_each_name(open(Some(dir), c".", Open::Dir)?, each)
}

/// What to tell the kernel of a mapping; the numbers are Linux's.
#[derive(Copy, Clone)]
pub enum Advice {
    /// A forked child does not get it.
    DontFork = 10,
    /// A forked child finds it zeroed. Not everywhere: where it fails, compare the process id.
    WipeOnFork = 18,
    /// Fault every page in now, for writing (Linux 5.14).
    PopulateWrite = 23,
}

/// A handler that gets the signal, the `siginfo_t` and the machine context.
pub type SignalHandler = extern "C" fn(i32, *const u8, *mut u8);

/// An open file descriptor, closed when dropped.
#[derive(Debug)]
pub struct Fd(i32);

impl Fd {
    /// Takes over a descriptor that nothing else closes.
    pub(crate) fn new(raw: i32) -> Fd {
        Fd(raw)
    }

    /// The number of the descriptor.
    pub fn raw(&self) -> i32 {
        self.0
    }
}

/// Whether this process may not open another descriptor.
pub fn are_descriptors_out() -> bool {
    const EMFILE: Errno = Errno(24);
    open(None, c"/", Open::Dir).is_err_and(|errno| errno == EMFILE)
}

/// Closes a descriptor that this process was started with and does not use any more.
pub fn close_given(fd: i32) {
    close(fd);
}

impl Drop for Fd {
    fn drop(&mut self) {
        close(self.0);
    }
}
