//! The end of a worker: what its sink has to tell beside events, once more.

use std::time::Instant;

use super::worker::{Worker, guarded};

/// Of the time that is left, the sink may take one part in so many: a worker that is still within a call when the time
/// is over has not ended.
const SHARE_OF_LEFT: u32 = 2;

impl Worker {
    /// Lets the sink tell what nobody will tell after it, if there is time. Whoever fails or wants to be left alone gets
    /// no more than it would.
    pub(super) fn send_last(&mut self) {
        let now = Instant::now();
        let stop = self.shared.stop_order();
        let left = stop.map(|it| it.deadline.saturating_duration_since(now)).unwrap_or_default();
        let is_free = self.opened && self.off.is_none() && self.delivery.waits(now).is_none();
        if !is_free || left.is_zero() {
            return;
        }
        match guarded(|| {
            self.sink.send_last(left / SHARE_OF_LEFT);
            Ok(())
        }) {
            Ok(()) => self.note_more(),
            Err(error) => self.note_failure(&*error),
        }
    }
}
