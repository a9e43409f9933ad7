//! The ids of events that the journal has: no spool entry with one of them is given out, nor a
//! record of a damaged ring.

/// A producer without ids writes this one; it says nothing about an event.
const NO_ID: [u8; 16] = [0; 16];

/// A set of ids, as small as they are: a last segment may have hundreds of thousands.
#[derive(Default)]
pub(super) struct Journaled {
    sorted: Vec<[u8; 16]>,
}

impl Journaled {
    pub(super) fn new(mut ids: Vec<[u8; 16]>) -> Journaled {
        // Of a journal they come sorted, which makes this one pass.
        ids.sort_unstable();
        Journaled { sorted: ids }
    }

    pub(super) fn has(&self, id: &[u8; 16]) -> bool {
        *id != NO_ID && self.sorted.binary_search(id).is_ok()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = [u8; 16]> {
        self.sorted.iter().copied()
    }

    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = [u8; 16]>) {
        for id in ids {
            if let Err(at) = self.sorted.binary_search(&id) {
                self.sorted.insert(at, id);
            }
        }
    }
}
