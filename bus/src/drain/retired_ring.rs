//! A ring that is emptied before it goes, and the name that its file has meanwhile.

use super::ring_reader::RingReader;
use crate::place::RING;
use crate::sys::{self, Fd};
use std::ffi::{CStr, CString};

/// A retired ring.
pub(super) struct RetiredRing {
    pub(super) ring: RingReader,
    /// The name under which it was found, or that it was given. Its header may tell of another.
    pub(super) name: CString,
}

impl RetiredRing {
    /// Takes it from the rings' own name to its own; `false`: it does not stand there.
    pub(super) fn leave_name(&self, dir: &Fd) -> bool {
        self.has_name(dir, RING) && sys::rename(dir, RING, &self.name).is_ok()
    }

    /// Removes the file, if that is what still has the name.
    pub(super) fn unlink(&self, dir: &Fd) {
        if self.has_name(dir, &self.name) {
            let _ = sys::unlink(dir, &self.name);
        }
    }

    fn has_name(&self, dir: &Fd, name: &CStr) -> bool {
        sys::stat(Some(dir), name).is_ok_and(|found| found.is_same_file(self.ring.stat()))
    }
}
