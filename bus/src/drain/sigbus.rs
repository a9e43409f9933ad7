//! Surviving a ring file that is cut off while it is mapped.
//!
//! Touching a page beyond the file's end raises SIGBUS. The handler puts zeroed memory in the place
//! of that page alone, since its neighbours may still be there, and notes it; the reader then finds
//! damage like any other, and retires the ring.

use crate::region::Region;
use crate::sys;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Regions that can be guarded at a time. One beyond that is not guarded: its SIGBUS ends the process,
/// as any foreign one does.
const MAX_GUARDS: usize = 64;
/// Bytes of a page, for the handler, which may not ask.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

// Not the ring's atomics: these are shared with this process's own signal handler only.
struct Slot {
    taken: AtomicBool,
    base: AtomicUsize,
    bytes: AtomicUsize,
    hit: AtomicBool,
}

static SLOTS: [Slot; MAX_GUARDS] = [const {
    Slot {
        taken: AtomicBool::new(false),
        base: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        hit: AtomicBool::new(false),
    }
}; MAX_GUARDS];

/// Guards a region as long as it lives.
pub(super) struct Guard {
    slot: Option<&'static Slot>,
}

impl Guard {
    /// Guards a region. It must be dropped before the region is, and read by this thread or one that
    /// this thread starts later.
    pub(super) fn new(region: &Region) -> Guard {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            PAGE_BYTES.store(sys::page_bytes(), Ordering::Relaxed);
            // SAFETY: the handler touches atomics and makes one system call.
            let installed = unsafe { sys::catch_sigbus(on_sigbus) };
            debug_assert!(installed.is_ok());
        });
        let unblocked = sys::unblock_sigbus();
        debug_assert!(unblocked.is_ok());
        let slot = SLOTS.iter().find(|slot| !slot.taken.swap(true, Ordering::AcqRel));
        if let Some(slot) = slot {
            slot.hit.store(false, Ordering::Relaxed);
            slot.bytes.store(region.len(), Ordering::Relaxed);
            slot.base.store(region.address() as usize, Ordering::Release);
        }
        Guard { slot }
    }

    /// Whether a page of the region was missing.
    pub(super) fn is_hit(&self) -> bool {
        self.slot.is_some_and(|slot| slot.hit.load(Ordering::Relaxed))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            slot.base.store(0, Ordering::Release);
            slot.taken.store(false, Ordering::Release);
        }
    }
}

extern "C" fn on_sigbus(_signal: i32, info: *const u8, _context: *mut u8) {
    // SAFETY: the kernel gave this pointer to this handler.
    let address = unsafe { sys::fault_address(info) };
    for slot in &SLOTS {
        let base = slot.base.load(Ordering::Acquire);
        let bytes = slot.bytes.load(Ordering::Relaxed);
        if base != 0 && (base..base + bytes).contains(&address) {
            let page_bytes = PAGE_BYTES.load(Ordering::Relaxed);
            // Mappings begin on a page.
            let page = address / page_bytes * page_bytes;
            // SAFETY: inside a region of this reader, which expects to find damage there.
            let replaced = unsafe { sys::map_anonymous_over(page as *mut u8, page_bytes) };
            slot.hit.store(true, Ordering::Relaxed);
            if replaced.is_ok() {
                return;
            }
        }
    }
    // Not ours: the instruction faults again, and then the process ends as it would have.
    let _ = sys::default_sigbus();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cut_off_under_a_mapping_read_as_zeros() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7u8; 1 << 20]).unwrap();
        let path =
            crate::place::Path::new().join(file.path().as_os_str().as_encoded_bytes()).unwrap();
        let fd = sys::open(None, path.as_c_str(), sys::Open::ReadWrite).unwrap();
        let region = Region::map(&fd, 0, 1 << 20).unwrap();
        let guard = Guard::new(&region);
        let mut bytes = [1; 4];
        region.read(1 << 19, &mut bytes);
        assert_eq!(bytes, [7; 4]);
        assert!(!guard.is_hit());
        file.as_file().set_len(4096).unwrap();
        region.read(1 << 19, &mut bytes);
        assert_eq!(bytes, [0; 4]);
        assert!(guard.is_hit());
        region.read(0, &mut bytes);
        assert_eq!(bytes, [7; 4], "the page before the cut is still there");
    }
}
