//! An event that is filled in place.

use super::Producer;
use hookring_bus::owned::Reserved;
use hookring_bus::sys;

/// An event that is filled in place. Dropping it publishes nothing.
pub struct Slot<'p> {
    pub(super) producer: &'p mut Producer,
    pub(super) reserved: Option<Reserved>,
}

impl Slot<'_> {
    /// Adds bytes to the payload; `false` if they do not fit what was reserved, and then none are.
    #[must_use]
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        match (&mut self.producer.lane, &mut self.reserved) {
            (Some(claimed), Some(reserved)) => claimed.lane.fill(reserved, bytes),
            _ => false,
        }
    }

    /// Publishes what was put in. On return it survives the death of any process.
    #[inline]
    pub fn commit(mut self) {
        let Some(reserved) = self.reserved.take() else { return };
        let now_ns = sys::boottime_ns();
        let header = self.producer.new_header(now_ns.max(self.producer.min_stamp_ns));
        if let Some(claimed) = &mut self.producer.lane {
            claimed.lane.commit(reserved, &header);
        }
        self.producer.show();
        self.producer.look_around(now_ns);
    }
}
