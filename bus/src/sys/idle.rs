//! Descriptors that lie idle in a host program. It may close them behind our back (daemons close all
//! that they find) and then get their numbers for files of its own.

use super::{Errno, Fd, Stat, backend};
use std::mem::ManuallyDrop;

/// A descriptor that is used and closed only while it still is of the file that it was opened for.
pub struct IdleFd {
    fd: ManuallyDrop<Fd>,
    stat: Stat,
}

impl IdleFd {
    /// Takes over a descriptor.
    pub fn new(fd: Fd) -> Result<IdleFd, Errno> {
        let stat = backend::fstat(&fd)?;
        Ok(IdleFd { fd: ManuallyDrop::new(fd), stat })
    }

    /// The file, as it was when it was opened.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// The descriptor, for use at once. `None`: the host has closed it.
    pub fn get(&self) -> Option<&Fd> {
        let now = backend::fstat(&self.fd);
        now.is_ok_and(|now| now.is_same_file(&self.stat)).then_some(&self.fd)
    }

    /// Puts another in the place of this one, which the host has closed. This one is not looked at
    /// again: the other may have its number, and may be of the same file.
    pub fn replace(&mut self, other: IdleFd) {
        std::mem::forget(std::mem::replace(self, other));
    }
}

impl Drop for IdleFd {
    fn drop(&mut self) {
        if self.get().is_some() {
            backend::close(self.fd.raw());
        }
    }
}

/// Keeps the lock on a lane that is mapped through a file; to be dropped after the mapping.
///
/// On Linux the mapping keeps it, so the descriptor is closed at once: no host can close it by
/// mistake. Elsewhere a lock goes with the last descriptor, which therefore stays open.
pub struct MappedLock {
    _file: Option<IdleFd>,
}

impl MappedLock {
    /// Takes over the descriptor that took the lock, once everything is mapped through it.
    pub fn new(file: Fd) -> Result<MappedLock, Errno> {
        let _file = if backend::MAPPING_KEEPS_LOCK { None } else { Some(IdleFd::new(file)?) };
        Ok(MappedLock { _file })
    }
}
