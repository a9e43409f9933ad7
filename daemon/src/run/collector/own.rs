//! What the collector has to say of the daemon itself, in events of the journal.

use std::sync::atomic::Ordering;
use std::time::Instant;

use hookring_bus::drain::PlaceReport;
use hookring_journal::system::{DaemonStart, DaemonStop, GapCause, Own};

use super::Collector;
use crate::pipeline::own_summary;
use crate::run::happenings::{Happening, gap};

impl Collector {
    /// The first event of this daemon, before anything is drained.
    pub(super) fn say_start(&mut self) {
        let recovery = &self.recovery;
        let start = DaemonStart {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            before: recovery.before,
            cut_bytes: recovery.cut_bytes,
            bad_lines: recovery.bad_lines,
            skipped_numbers: recovery.skipped_numbers,
            new_redaction_key: self.shared.has_changed_key.load(Ordering::Relaxed),
        };
        mended(&start).for_each(|what| tracing::warn!("the journal's end: {what}"));
        if start.skipped_numbers > 0 {
            let skipped = gap(GapCause::SkippedNumbers, start.skipped_numbers);
            self.shared.happened(Own::Gap(skipped));
        }
        self.journal_own(&[Happening::now(Own::Start(start))]);
        self.rotate_if_wanted();
    }

    /// Journals what happened since the last round.
    pub(super) fn say_what_happened(&mut self) {
        // What could not be written is staged still; until it is, what happens is joined elsewhere.
        if self.journal.staged_bytes() > 0 {
            return;
        }
        let happenings = self.shared.take_happenings();
        if !happenings.is_empty() {
            self.journal_own(&happenings);
            self.rotate_if_wanted();
        }
    }

    /// The last event of this daemon, behind everything that was published and whatever there is to say of it. No
    /// segment is begun behind it: the next start reads it in the last one.
    pub(super) fn say_stop(&mut self) {
        let places = self.drain.report();
        self.note_gaps(&places);
        self.say_what_happened();
        let (reason, events) = (self.shared.stop_reason(), self.figures.events);
        let stop = Happening::now(Own::Stop(DaemonStop { reason, events }));
        self.journal_own(&[stop]);
    }

    /// Looks for what was lost, if it is time for that.
    pub(super) fn look_for_gaps(&mut self, places: &[PlaceReport]) {
        if self.gaps.is_due(Instant::now()) {
            self.note_gaps(places);
        }
    }

    fn note_gaps(&mut self, places: &[PlaceReport]) {
        let (counts, stats) = (self.drain.counts(), self.journal.stats());
        let gaps = self.gaps.look(Instant::now(), &counts, places, &stats);
        gaps.into_iter().for_each(|gap| self.shared.happened(Own::Gap(gap)));
    }

    /// Stages these, and writes them as a batch is written: however long the disk stays full. If the daemon is
    /// told to stop meanwhile, they stay staged, and the next batch takes them along.
    fn journal_own(&mut self, happenings: &[Happening]) {
        for Happening { own, wall_ns, monotonic_ns } in happenings {
            let clocks = (*wall_ns, *monotonic_ns);
            let noticed = &mut self.figures.noticed;
            self.intake.stage_own(own, clocks, &mut self.journal, noticed);
            self.watched.metrics.note(&own_summary(own));
        }
        self.own_staged += happenings.len() as u64;
        // Whatever became of it is told by what is staged, and in the log.
        let _is_written = self.write();
    }
}

/// What the start had to mend, in words.
fn mended(start: &DaemonStart) -> impl Iterator<Item = String> {
    let DaemonStart { cut_bytes, bad_lines, skipped_numbers, .. } = start;
    let found = [
        (*cut_bytes, "bytes of a line that was never finished are cut off"),
        (*bad_lines, "damaged lines are passed over; `hookring journal verify` lists them"),
        (*skipped_numbers, "numbers are left out, to stay above what some sink may have"),
    ];
    let found = found.into_iter().filter(|(count, _)| *count > 0);
    found.map(|(count, what)| format!("{count} {what}"))
}
