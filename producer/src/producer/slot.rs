//! An event that is filled in place.

use super::{Producer, Published};
use hookring_bus::owned::Reserved;
use hookring_bus::sys;

/// An event that is filled in place. Dropping it publishes nothing.
pub struct Slot<'p> {
    pub(super) producer: &'p mut Producer,
    pub(super) reserved: Option<Reserved>,
}

impl Slot<'_> {
    /// Adds bytes to the payload; `false` if they do not fit what was reserved, or in a forked child,
    /// to which the event does not belong. Then none are added.
    #[must_use]
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        if self.producer.fork_mark.is_wiped() {
            return false;
        }
        match (&mut self.producer.lane, &mut self.reserved) {
            (Some(claimed), Some(reserved)) => claimed.lane.fill(reserved, bytes),
            _ => false,
        }
    }

    /// Publishes what was put in. On return it survives the death of any process.
    ///
    /// `None`: this is a child, forked since [`Producer::reserve`]. The event is the parent's to
    /// commit; nothing was published here.
    #[inline]
    pub fn commit(mut self) -> Option<Published> {
        if self.producer.fork_mark.is_wiped() {
            return None;
        }
        let reserved = self.reserved.take()?;
        let now_ns = sys::boottime_ns();
        let header = self.producer.new_header(now_ns.max(self.producer.min_stamp_ns));
        self.producer.lane.as_mut()?.lane.commit(reserved, &header);
        self.producer.show();
        self.producer.look_around(now_ns);
        Some(Published::Ring)
    }
}
