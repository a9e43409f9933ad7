//! What a person wants of a sink, by files beside its cursor ([`crate::switch`]): to be off or on, to begin
//! elsewhere, to be tried at once. The worker looks four times a second, and so alone owns the cursor.

use std::time::{Duration, Instant};

use hookring_journal::Seq;

use super::worker::{Worker, guarded};
use crate::sink::SinkError;
use crate::switch::Off;

/// How often it is looked; a batch in flight is answered first.
pub(super) const ORDERS_INTERVAL: Duration = Duration::from_millis(250);
/// How often dead letters are counted that somebody else may have changed.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

impl Worker {
    /// Looks, if it is time, and does what is wanted. Whether it was.
    pub(super) fn take_orders(&mut self, now: Instant) -> Result<bool, SinkError> {
        if now < self.next_look {
            return Ok(false);
        }
        // First, so that what cannot be read is not tried all the time.
        self.next_look = now + ORDERS_INTERVAL;
        let off = self.switch.is_off()?;
        if off != self.off {
            self.set_off(off);
        }
        if let Some(to) = self.switch.wants_reset()? {
            self.reset(to)?;
        }
        if self.switch.take_try_now()? {
            self.try_now();
        }
        // First: what goes wrong with what a person wants is shown rather than what goes wrong here.
        if now >= self.next_count {
            self.count_letters();
        }
        self.look_for_again(now);
        Ok(true)
    }

    /// Counts the dead letters that are kept: here, since files that others can touch may hold up who looks, and
    /// whoever asks for the stats is not to wait.
    pub(super) fn count_letters(&mut self) {
        self.next_count = Instant::now() + COUNT_INTERVAL;
        let looked = self.letters.look(&self.dead_letters, self.is_retrying());
        let has_failed = std::mem::replace(&mut self.held.is_miscounted, looked.is_err());
        match looked {
            Err(error) => self.note_trouble(&error),
            Ok(_) if has_failed => self.shared.trouble_is_over(),
            Ok(_) => {}
        }
        let kept = self.letters.known();
        self.shared.update(|stats| stats.kept_dead_letters = kept);
    }

    pub(super) fn set_off(&mut self, off: Option<Off>) {
        if off.is_none() {
            self.try_now();
        }
        self.off.clone_from(&off);
        self.shared.switched(off, self.opened);
    }

    fn try_now(&mut self) {
        self.held.let_go();
        self.delivery.try_now();
        self.shared.show(&self.delivery);
    }

    /// Goes to a number, within what there is.
    fn reset(&mut self, to: Seq) -> Result<(), SinkError> {
        let to = to.clamp(self.tail.available_from(), self.tail.written() + 1);
        // What it took so far is to be durable. If it cannot be made so, that may be why it is to go on elsewhere.
        if self.opened
            && let Err(error) = guarded(|| self.sink.flush())
        {
            self.note_failure(&*error);
        }
        let stored = to.min(self.tail.synced() + 1);
        self.cursor.store(stored)?;
        let before = self.next;
        self.go_to(to);
        self.delivery.begin();
        self.shared.update(|stats| {
            stats.stored_seq = stored;
            stats.began = None;
        });
        self.switch.reset_done()?;
        tracing::info!(
            sink = self.name,
            "goes on with event {to}, as it was told; it was at {before}"
        );
        Ok(())
    }
}
