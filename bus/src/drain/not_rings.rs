//! What has a ring's name and is none: something else that is called so, a ring that was never finished.

use crate::create;
use crate::place::RING;
use crate::sys::{self, Fd};
use std::ffi::{CStr, CString};

/// Making a ring takes milliseconds. One that was not touched for so long has lost its maker.
const MAX_MAKING_S: i64 = 60;

/// Whether the ring's name is that of no file at all, but of a directory, say.
pub(super) fn is_something_else(dir: &Fd) -> bool {
    sys::stat(Some(dir), RING).is_ok_and(|stat| !stat.is_file())
}

/// Opens a ring to its user again whose mode keeps them out; `false`: that is not it.
pub(super) fn open_to_user(dir: &Fd, uid: u32) -> bool {
    sys::stat(Some(dir), RING).is_ok_and(|stat| stat.is_own_file(uid))
        && sys::set_mode_at(dir, RING, 0o600).is_ok()
}

/// Takes what is no ring to be read, or no counters, out of the way, under the name `to` if that can be.
pub(super) fn put_away(dir: &Fd, from: &CStr, to: &CStr) {
    if sys::rename(dir, from, to).is_err() {
        // One of the two is a directory. Nobody's files are removed. If this fails, too, there is no
        // ring to be had, and that shows.
        let other = [to.to_bytes(), b".", create::hex(&create::random_uuid()).as_bytes()].concat();
        let _ = sys::rename(dir, from, &CString::new(other).unwrap_or_default());
    }
}

/// Removes a ring that was never finished, if its maker must be gone; `false`: it may be at work. One
/// that was only stopped for so long finds its file gone, and nothing is in it.
pub(super) fn remove_unmade(dir: &Fd, name: &str) -> bool {
    let Ok(name) = CString::new(name) else { return true };
    let Ok(stat) = sys::stat(Some(dir), &name) else { return true };
    let now_s = (sys::realtime_ns() / 1_000_000_000) as i64;
    let is_old = stat.is_file() && (now_s - stat.modified_s).abs() > MAX_MAKING_S;
    if is_old {
        let _ = sys::unlink(dir, &name);
    }
    is_old || !stat.is_file()
}
