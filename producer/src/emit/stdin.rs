//! Reading the payload: all of it, whatever its size, but not for ever.

use crate::left_ns;
use hookring_bus::record::{MAX_META_BYTES, MAX_PAYLOAD_BYTES};
use hookring_bus::sys::{self, Errno, Kind};

/// The first size beyond the caller's buffer, in bytes; it doubles from there.
const FIRST_MAP_BYTES: usize = 1024 * 1024;
/// The last: what is kept, and room to read the rest into.
const LAST_MAP_BYTES: usize = MAX_PAYLOAD_BYTES + SCRATCH_BYTES;
/// What is given up of a full buffer that cannot grow.
const SCRATCH_BYTES: usize = 32 * 1024;

/// What was read.
pub(crate) struct Payload<'a> {
    pub(crate) bytes: &'a [u8],
    /// Something is missing: the deadline passed, reading failed, or it is larger than an event may be
    /// (the rest was read all the same, and forgotten).
    pub(crate) is_cut: bool,
    /// What is left of the caller's buffer, at least [`MAX_META_BYTES`]. It begins right behind a
    /// small payload, so that the two are often one page.
    pub(crate) spare: &'a mut [u8],
}

/// Reads stdin to its end. A payload that fits stays in `buffer`, which must be larger than
/// [`MAX_META_BYTES`].
pub(crate) fn read_to_end(buffer: &mut [u8], started_ns: u64) -> Payload<'_> {
    let mut input = Input { buffer, mapped: None, used: 0, is_cut: false };
    loop {
        if input.room().is_empty() && !input.grow() {
            input.forget_newest();
        }
        match input.step(started_ns) {
            Step::More => {}
            Step::End => break,
            Step::Cut => {
                input.is_cut = true;
                break;
            }
        }
    }
    input.finish()
}

/// The input, in the caller's buffer as long as it fits, then in a mapping of its own.
struct Input<'a> {
    buffer: &'a mut [u8],
    mapped: Option<&'static mut [u8]>,
    used: usize,
    is_cut: bool,
}

enum Step {
    More,
    End,
    Cut,
}

impl<'a> Input<'a> {
    /// How much it can hold now.
    fn capacity(&self) -> usize {
        match &self.mapped {
            Some(mapped) => mapped.len(),
            None => self.buffer.len().saturating_sub(MAX_META_BYTES),
        }
    }

    /// Where the next bytes go.
    fn room(&mut self) -> &mut [u8] {
        let (used, capacity) = (self.used, self.capacity());
        let all = self.mapped.as_deref_mut().unwrap_or(self.buffer);
        all.get_mut(used..capacity).unwrap_or_default()
    }

    fn step(&mut self, started_ns: u64) -> Step {
        // A writer that is always ahead of us must not hold us for ever either.
        if self.mapped.is_some() && left_ns(started_ns) == 0 {
            return Step::Cut;
        }
        let room = self.room();
        let read = match sys::read_now(0, room) {
            Err(errno @ (Errno::AGAIN | Errno::NOTSUP)) => {
                let kind = sys::kind(0);
                match wait(kind, started_ns) {
                    // Asked again, and not simply read: somebody else who reads here may have taken
                    // what came, and a plain read would wait for ever.
                    None if errno == Errno::AGAIN && kind != Kind::Stored => return Step::More,
                    None => sys::read(0, room),
                    Some(step) => return step,
                }
            }
            read => read,
        };
        match read {
            Ok(0) => Step::End,
            Ok(bytes) => {
                self.used += bytes;
                Step::More
            }
            Err(Errno::INTR | Errno::AGAIN) => Step::More,
            // No stdin at all is an empty one.
            Err(_) if self.used == 0 => Step::End,
            Err(_) => Step::Cut,
        }
    }

    /// Makes the buffer larger; `false`: it is as large as it gets, or there is no memory.
    #[cold]
    fn grow(&mut self) -> bool {
        let old = self.capacity();
        let new = (old * 2).clamp(FIRST_MAP_BYTES, LAST_MAP_BYTES);
        if old >= new {
            return false;
        }
        let grown = match &mut self.mapped {
            // SAFETY: a whole mapping of `old` bytes, and it is replaced below.
            Some(mapped) => unsafe { sys::remap(mapped.as_mut_ptr(), old, new) },
            None => sys::map_anonymous(new),
        };
        let Ok(at) = grown else { return false };
        // SAFETY: a mapping of `new` initialised bytes that nothing else knows and nobody unmaps.
        let grown = unsafe { core::slice::from_raw_parts_mut(at, new) };
        if self.mapped.is_none()
            && let (Some(to), Some(from)) = (grown.get_mut(..old), self.buffer.get(..old))
        {
            to.copy_from_slice(from);
        }
        self.mapped = Some(grown);
        true
    }

    /// The agent may still be writing and must not be kept from it: the newest bytes make room.
    #[cold]
    fn forget_newest(&mut self) {
        self.used = self.capacity().saturating_sub(SCRATCH_BYTES);
        self.is_cut = true;
    }

    fn finish(self) -> Payload<'a> {
        let Input { buffer, mapped, used, is_cut } = self;
        let (bytes, spare) = match mapped {
            Some(mapped) => (&*mapped.get_mut(..used).unwrap_or_default(), buffer),
            None => {
                let (bytes, spare) = buffer.split_at_mut_checked(used).unwrap_or_default();
                (&*bytes, spare)
            }
        };
        let kept = bytes.get(..MAX_PAYLOAD_BYTES).unwrap_or(bytes);
        Payload { bytes: kept, is_cut: is_cut || kept.len() < bytes.len(), spare }
    }
}

/// Waits for input, unless it is a terminal's; `None`: there is some.
fn wait(kind: Kind, started_ns: u64) -> Option<Step> {
    if kind == Kind::Stored {
        return None;
    }
    if kind == Kind::Device && sys::is_terminal(0) {
        return Some(Step::End);
    }
    let left_ns = left_ns(started_ns);
    if left_ns == 0 {
        return Some(Step::Cut);
    }
    match sys::wait_readable(0, left_ns) {
        Ok(true) => None,
        Ok(false) => Some(Step::Cut),
        Err(Errno::INTR) => Some(Step::More),
        Err(_) => Some(Step::End),
    }
}
