//! How a producer leaves a lane, and loses nothing that is in it.

use super::claimed::{Claimed, Owed};
use super::{CHECK_INTERVAL_NS, Producer, places, wall_offset_ns};
use hookring_bus::place::RING;
use hookring_bus::sys::{self, WithoutSigxfsz};
use std::time::Duration;

/// So long a producer stays in a lane that it should leave, so that its events are in one file and in
/// order, before it claims another beside it.
const MAX_AWAITED_NS: u64 = 10_000_000_000;
/// So often, a millisecond apart, a producer that ends looks whether the reader of a ring without a
/// name has taken what is in it.
const LAST_LOOKS: u32 = 100;

impl Producer {
    /// Before a publish, when it is time: once a second; each time while the reader has something of a
    /// ring that is to be left.
    #[cold]
    pub(super) fn check(&mut self, now_ns: u64) {
        let is_early = now_ns.wrapping_sub(self.last_look_ns) <= CHECK_INTERVAL_NS;
        if is_early && self.lane.as_ref().is_some_and(|claimed| !claimed.lane.is_read()) {
            return;
        }
        self.look(now_ns);
    }

    /// Is the ring at its path still the one that is mapped? Is a lane to be had?
    fn look(&mut self, now_ns: u64) {
        self.last_look_ns = now_ns;
        self.next_check_ns = now_ns.saturating_add(CHECK_INTERVAL_NS);
        self.wall_offset_ns = wall_offset_ns();
        self.left = self.left.take().and_then(|left| self.settle(left));
        if let Some(mut claimed) = self.lane.take() {
            let places = places(&self.dir, self.uid);
            claimed.reopen(&places);
            // A daemon that reads a ring under another name will retire it.
            let stays = claimed.is_named(&places, RING)
                || !claimed.is_retired() && claimed.is_in_place(&places);
            self.lane = if stays { Some(claimed) } else { self.settle(claimed) };
        }
        if self.lane.as_ref().is_some_and(|claimed| claimed.awaited_since_ns.is_some()) {
            self.await_reader(now_ns);
        }
        if self.lane.is_none() {
            self.claim();
        }
    }

    /// Before an event goes to the spool, where a new daemon finds it at once: what stands before it in
    /// a ring that no daemon finds goes there first.
    pub(super) fn look_before_spooling(&mut self) {
        let places = places(&self.dir, self.uid);
        if self.lane.as_ref().is_some_and(|claimed| !claimed.is_named(&places, RING)) {
            self.look(sys::boottime_ns());
        }
    }

    /// Leaves a ring that was retired, once nothing can be lost in it. If it has no name and its reader
    /// has not taken everything, the producer stays for now.
    #[cold]
    pub(super) fn leave_retired(&mut self) {
        let Some(claimed) = self.lane.take_if(|claimed| claimed.awaited_since_ns.is_none()) else {
            return;
        };
        self.lane = self.settle(claimed);
        match &self.lane {
            Some(_) => self.await_reader(sys::boottime_ns()),
            None => self.claim(),
        }
    }

    /// Looks again before each publish whether the reader has everything. If that takes too long, the
    /// lane is only kept, and another claimed.
    fn await_reader(&mut self, now_ns: u64) {
        let Some(claimed) = &mut self.lane else { return };
        let since_ns = *claimed.awaited_since_ns.get_or_insert(now_ns);
        self.next_check_ns = 0;
        if now_ns.saturating_sub(since_ns) > MAX_AWAITED_NS && self.left.is_none() {
            self.left = self.lane.take();
        }
    }

    /// Leaves a lane that the reader condemned. It looks for what is in it once the lane is free.
    pub(super) fn leave_condemned(&mut self) {
        if let Some(claimed) = self.lane.take() {
            drop(self.settle(claimed));
        }
        self.claim();
    }

    /// Leaves all lanes for good.
    pub(super) fn leave(&mut self) {
        for claimed in [self.left.take(), self.lane.take()].into_iter().flatten() {
            let mut kept = self.settle(claimed);
            for _ in 0..LAST_LOOKS {
                let Some(claimed) = kept.take() else { break };
                std::thread::sleep(Duration::from_millis(1));
                kept = self.settle(claimed);
            }
        }
    }

    /// Gives a lane up if all that is in it will be found, and moves it to the spool if only that makes
    /// sure of it. In a ring that stands at its place records stay where they are: a daemon that died
    /// may have journaled some of them, and only the next one knows which. Gives the lane back if a
    /// reader has yet to take something.
    fn settle(&mut self, mut claimed: Claimed) -> Option<Claimed> {
        match claimed.owed(&self.places()) {
            Owed::Nothing => {}
            Owed::Watched => return Some(claimed),
            Owed::Ours => {
                self.move_unread(&mut claimed, true);
                claimed.unlock_reader();
            }
            Owed::Unknown if claimed.seems_watched(sys::boottime_ns()) => return Some(claimed),
            // Rather twice than never; a reader that lives after all is not disturbed.
            Owed::Unknown => self.move_unread(&mut claimed, false),
        }
        None
    }

    /// Stores a lane's unread records in the spool.
    fn move_unread(&mut self, claimed: &mut Claimed, is_released: bool) {
        let _no_signal = WithoutSigxfsz::begin();
        let mut last_stamp_ns = 0;
        let is_whole = claimed.lane.for_each_unread(is_released, |header, meta, payload| {
            last_stamp_ns = header.stamp_ns.max(last_stamp_ns);
            // What the spool cannot take either is counted by this.
            let _ = self.store(header, meta, payload);
        });
        if !is_whole {
            self.count_dropped(0);
        }
        self.min_stamp_ns = self.min_stamp_ns.max(last_stamp_ns.saturating_add(1));
    }
}
