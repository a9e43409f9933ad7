//! What the reader of a spool set aside: damaged entries, which people may look at, and entries that it
//! may not read, which are events all the same.

use super::spool_entry::Entry;
use super::spool_file::{self, ReadError};
use crate::spool::TEMPORARY_PREFIX;
use crate::sys::{self, Errno, Fd};
use std::collections::VecDeque;
use std::ffi::CString;

/// What was set aside as damaged begins with this.
const BAD_PREFIX: &str = ".bad-";
/// So many of them are kept for people to look at; the oldest goes first.
const MAX_BAD_KEPT: usize = 16;
/// What was set aside because it may not be read begins with this. None of it is ever removed.
pub(super) const UNREADABLE_PREFIX: &str = ".unreadable-";
/// A temporary file that was not touched for so long has lost its writer. It was never published.
const MAX_TEMPORARY_AGE_S: i64 = 3600;

/// What was set aside in a spool.
#[derive(Default)]
pub(super) struct SetAside {
    /// Damaged entries, oldest first.
    bad: VecDeque<CString>,
    /// Entries that may not be read, in the order in which they are tried again.
    unreadable: VecDeque<Entry>,
}

impl SetAside {
    /// Finds what earlier readers set aside, and removes what nobody will come for: temporary files
    /// whose writers died, old damaged entries.
    pub(super) fn find(dir: &Fd) -> SetAside {
        let (mut temporary, mut bad, mut unreadable) = (Vec::new(), Vec::new(), VecDeque::new());
        // What a failure leaves unseen, the next reader finds.
        let _ = sys::for_each_name_in(dir, |name| {
            if let Some(name) = name.strip_prefix(UNREADABLE_PREFIX.as_bytes()) {
                unreadable.extend(Entry::parse(name));
            }
            let list = match name {
                name if name.starts_with(TEMPORARY_PREFIX.as_bytes()) => &mut temporary,
                name if name.starts_with(BAD_PREFIX.as_bytes()) => &mut bad,
                _ => return true,
            };
            if let Ok(name) = CString::new(name)
                && let Ok(stat) = sys::stat(Some(dir), &name)
            {
                list.push((stat.modified_s, name));
            }
            true
        });
        let now_s = (sys::realtime_ns() / 1_000_000_000) as i64;
        temporary.retain(|(modified_s, _)| now_s - modified_s > MAX_TEMPORARY_AGE_S);
        for (_, name) in temporary {
            let _ = sys::unlink(dir, &name);
        }
        bad.sort();
        let bad = bad.into_iter().map(|(_, name)| name).collect();
        let mut found = SetAside { bad, unreadable };
        found.remove_old_bad(dir);
        found
    }

    fn remove_old_bad(&mut self, dir: &Fd) {
        while self.bad.len() > MAX_BAD_KEPT
            && let Some(oldest) = self.bad.pop_front()
        {
            let _ = sys::unlink(dir, &oldest);
        }
    }

    /// Entries that may not be read.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable.len()
    }

    /// Sets a damaged entry aside; `false`: it cannot be renamed.
    pub(super) fn damaged(&mut self, dir: &Fd, entry: &Entry) -> bool {
        let aside = c_name(BAD_PREFIX, entry);
        let is_done = sys::rename(dir, &entry.c_name(), &aside).is_ok();
        if is_done {
            self.bad.push_back(aside);
            self.remove_old_bad(dir);
        }
        is_done
    }

    /// Sets aside what may not be read, out of the others' way; `false`: it cannot be renamed.
    pub(super) fn denied(&mut self, dir: &Fd, entry: Entry) -> bool {
        let is_done = sys::rename(dir, &entry.c_name(), &c_name(UNREADABLE_PREFIX, &entry)).is_ok();
        if is_done {
            self.unreadable.push_back(entry);
        }
        is_done
    }

    /// Tries so many of those again: what can be read now gets its name back. Returns the bytes of
    /// those entries.
    pub(super) fn retry(&mut self, dir: &Fd, uid: u32, limit: usize) -> u64 {
        let mut back_bytes = 0;
        for _ in 0..limit.min(self.unreadable.len()) {
            let Some(entry) = self.unreadable.pop_front() else { break };
            let aside = c_name(UNREADABLE_PREFIX, &entry);
            let opened = spool_file::open(dir, &aside, uid);
            let back = match opened {
                // A link, since a name that something else has meanwhile is not taken from it.
                Ok((_, stat)) => sys::link(dir, &aside, &entry.c_name()).map(|()| stat.bytes),
                Err(ReadError::Gone) => continue,
                Err(_) => Err(Errno::ACCES),
            };
            match back {
                Ok(bytes) => {
                    let _ = sys::unlink(dir, &aside);
                    back_bytes += bytes;
                }
                Err(_) => self.unreadable.push_back(entry),
            }
        }
        back_bytes
    }
}

fn c_name(prefix: &str, entry: &Entry) -> CString {
    CString::new(format!("{prefix}{}", entry.text())).unwrap_or_default()
}
