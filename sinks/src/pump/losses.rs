//! What a worker finds that nobody can deliver any more, and how far it can reach.

use std::time::SystemTime;

use hookring_journal::reader::Gap;
use hookring_journal::{Batch, Seq};

use super::shared::Reach;
use super::worker::Worker;

impl Worker {
    pub(super) fn report_skipped(&mut self) {
        let skipped = self.feed.take_skipped();
        if skipped.missing > 0 {
            let listed: u64 = skipped.gaps.iter().map(|gap| gap.last - gap.first + 1).sum();
            self.record_lost(&skipped.gaps, skipped.missing - listed, skipped.bad_lines);
        }
    }

    /// Looks for events that nobody can deliver any more, also while the sink takes none.
    pub(super) fn note_lost(&mut self) {
        match self.feed.lost_ahead() {
            Some(gap) => self.record_lost(&[gap], 0, 0),
            None => self.shared.set_reach(self.reach(self.batch.as_ref())),
        }
    }

    /// Counts what is not known to be lost yet, remembers it in the cursor, and says it.
    /// `more` are gone, too, and not listed.
    fn record_lost(&mut self, gaps: &[Gap], more: u64, bad_lines: u64) {
        let now = SystemTime::now();
        let fresh: Vec<Gap> =
            gaps.iter().flat_map(|gap| self.cursor.note_lost(*gap, now)).collect();
        let events = fresh.iter().map(|gap| gap.last - gap.first + 1).sum::<u64>() + more;
        self.cursor.count_lost(more);
        // Around a damaged line there are events that are read again if they did not fit.
        let available = self.tail.available_from();
        let gone_to = gaps.iter().map(|gap| gap.last + 1).filter(|to| *to <= available).max();
        let reach = self.reach(self.batch.as_ref());
        self.shared.set_lost(self.cursor.lost(), events, gone_to.unwrap_or(0), reach);
        if events == 0 {
            return;
        }
        self.shared.say_lost(&loss(&fresh, events, bad_lines, self.tail.oldest()));
        // The next store makes up for it.
        if let Err(error) = self.cursor.save() {
            self.note_failure(&error);
        }
    }

    /// With this process goes what only its memory has, the batch in hand included: a restart finds
    /// what the files have.
    pub(super) fn leave_behind(&mut self) {
        let oldest = self.tail.oldest();
        if self.next < oldest {
            self.record_lost(&[Gap { first: self.next, last: oldest - 1 }], 0, 0);
        }
        let read = self.next.max(oldest);
        self.shared.set_reach(Reach { read, ..Reach::default() });
    }

    pub(super) fn reach(&self, batch: Option<&Batch>) -> Reach {
        let held_to = self.feed.lost_ahead().map_or(0, |gap| gap.first - 1);
        let in_hand = (batch.map_or(0, Batch::len) + self.gathering.events) as u64;
        Reach { in_hand, read: self.feed.position(), held_to }
    }
}

/// Says which events are gone, and why.
fn loss(gaps: &[Gap], events: u64, bad_lines: u64, oldest: Seq) -> String {
    let numbers: Vec<String> =
        gaps.iter().map(|gap| format!("{}-{}", gap.first, gap.last)).collect();
    let why = if gaps.iter().all(|gap| gap.last < oldest) {
        "they were deleted from the journal before it had them".to_owned()
    } else {
        format!("they are damaged or missing in the journal (damaged lines: {bad_lines})")
    };
    let plural = if events == 1 { "" } else { "s" };
    format!("lost {events} event{plural}, numbers {}: {why}", numbers.join(", "))
}
