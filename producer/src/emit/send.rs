//! From a message to the bus: the ring, or else a spool, whatever state they are in.

use crate::write_out;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicBool, Ordering};
use hookring_bus::atomic;
use hookring_bus::crc::Crc32c;
use hookring_bus::oneshot::{self, Message, OneShot};
use hookring_bus::place::Places;
use hookring_bus::spool;
use hookring_bus::sys::{self, Fd};

/// What a hook's own umask is before it creates anything, so that a directory never has another mode than
/// 0700, not even for a moment: one that keeps its owner out would cost other hooks their events.
const UMASK: u32 = 0o077;

/// A stamped message on its way.
pub(crate) struct Sending<'a> {
    places: Places<'a>,
    message: Message<'a>,
    reply: Option<&'a [u8]>,
    has_crc: bool,
    is_published: AtomicBool,
}

impl<'a> Sending<'a> {
    /// `reply` is what the process owes its agent at the end, whatever happens here.
    /// `has_crc` says that this machine is known to have the instruction.
    pub(crate) fn new(
        places: Places<'a>,
        message: Message<'a>,
        reply: Option<&'a [u8]>,
        has_crc: bool,
    ) -> Self {
        Sending { places, message, reply, has_crc, is_published: AtomicBool::new(false) }
    }

    /// Publishes the message in the first place that takes it. The process should end soon after: what
    /// is opened and mapped on the way to the ring stays so, because the kernel gives it back at the
    /// exit in a fraction of the time that closing and unmapping take.
    pub(crate) fn send(&self) {
        // SAFETY: the handler makes system calls and leaves the process; it returns to nobody. `self`
        // outlives every mapping of a file that is touched here, except those of the ring, which
        // nothing touches after this call.
        let _ = unsafe { sys::catch_sigbus_with(&raw const *self, on_sigbus) };
        // The agent may have started this process with it blocked.
        let _ = sys::unblock_sigbus();
        // A limit for the size of files must cost the event at most, not the hook's exit code.
        let _ = sys::ignore_sigxfsz();
        let mut ring = None;
        if self.send_where_it_can(&mut ring) {
            return;
        }
        let were_descriptors_out = sys::are_descriptors_out();
        // Of those that the process was given, none is needed any more but that of its reply. To make a
        // place takes more than the question above.
        sys::close_given(0);
        sys::close_given(2);
        if self.reply.is_none() {
            sys::close_given(1);
        }
        if were_descriptors_out && self.send_where_it_can(&mut ring) {
            return;
        }
        self.send_anywhere(ring.as_deref());
    }

    /// Tries the places that are there; `false`: none took it.
    fn send_where_it_can(&self, ring: &mut Option<ManuallyDrop<OneShot>>) -> bool {
        for place in 0..self.places.count() {
            let Ok(dir) = self.places.open(place).map(ManuallyDrop::new) else { continue };
            if ring.is_none() && self.places.has_ring(place) {
                *ring = self.open_ring(&dir).map(ManuallyDrop::new);
                if ring.as_deref().is_some_and(|ring| self.publish(ring)) {
                    return true;
                }
            }
            if self.store(&dir, ring.as_deref()) {
                return true;
            }
        }
        false
    }

    fn open_ring(&self, dir: &Fd) -> Option<OneShot> {
        let ring = OneShot::open(dir, self.places.uid()).ok()?;
        if !self.has_crc {
            return Some(ring);
        }
        // SAFETY: `has_crc` is what the processor or the kernel said (`Known`).
        Some(unsafe { ring.with_instruction() })
    }

    /// Makes a place where none took it. The last resort is a count.
    #[cold]
    #[inline(never)]
    fn send_anywhere(&self, ring: Option<&OneShot>) {
        sys::set_umask(UMASK);
        for place in 0..self.places.count() {
            if self.places.create(place).is_ok_and(|dir| self.store(&dir, ring)) {
                return;
            }
        }
        match ring {
            Some(ring) => _ = ring.control().dropped().fetch_add(1, atomic::Ordering::Relaxed),
            None => self.count_dropped(),
        }
    }

    /// Counts the message as dropped in the first place that can.
    fn count_dropped(&self) {
        let (places, bytes) = (&self.places, self.message.header.bytes());
        for place in 0..places.count() {
            if let Ok(dir) = places.open(place)
                && spool::count_dropped(&dir, places.uid(), bytes).is_ok()
            {
                return;
            }
        }
    }

    fn publish(&self, ring: &OneShot) -> bool {
        let seed = self.message.header.pid;
        let published = ring.publish(&mut self.message.clone(), seed).is_ok();
        if published {
            self.is_published.store(true, Ordering::Relaxed);
            ring.ring();
        }
        published
    }

    /// Stores in a spool; `false`: another place may still take it.
    fn store(&self, dir: &Fd, ring: Option<&OneShot>) -> bool {
        let crc = ring.map_or_else(Crc32c::portable, OneShot::crc);
        sys::set_umask(UMASK);
        let Message { header, meta, payload } = &self.message;
        let stored = spool::store(dir, self.places.uid(), *header, meta, payload, crc).is_ok();
        if stored {
            self.is_published.store(true, Ordering::Relaxed);
            oneshot::announce_stored(&self.places, ring.map(OneShot::control));
        }
        stored
    }

    /// Stores in the first spool that takes it, touching no mapping.
    fn rescue(&self) {
        let Message { header, meta, payload } = &self.message;
        for place in 0..self.places.count() {
            if let Ok(dir) = self.places.open(place)
                && spool::store_uncounted(&dir, self.places.uid(), *header, meta, payload).is_ok()
            {
                return;
            }
        }
    }
}

/// Somebody may cut the ring file off while it is mapped, and touching it then raises SIGBUS: the
/// message goes to a spool, and the process ends as it would have ended.
extern "C" fn on_sigbus(_signal: i32, _info: *const u8, context: *mut u8) {
    // SAFETY: the kernel's pointer, and the type that the handler was installed with.
    let sending = unsafe { sys::kept_for_handler::<Sending<'_>>(context) };
    // SAFETY: `send`, which this handler interrupts, borrows it; nobody changes it but through its
    // atomic.
    let sending = unsafe { &*sending };
    if !sending.is_published.swap(true, Ordering::Relaxed) {
        sending.rescue();
    }
    if let Some(reply) = sending.reply {
        write_out(reply, sys::boottime_ns());
    }
    sys::exit(0);
}
