//! What happened in the daemon itself and is not journaled yet. Any thread leaves it here; the collector,
//! which alone writes the journal, looks with each round, and a round comes each 200 ms at the latest.
//!
//! Bounded: what is about the same thing becomes one, so a journal that takes nothing for a day gets one
//! event for each sink, cause and kind of reload when it goes on.

use hookring_bus::sys;
use hookring_journal::system::{DaemonGap, DaemonReload, GapCause, Own, SinkChange};

/// So many things wait at most. What comes beyond is counted, and that is told.
const WAITING_MAX: usize = 256;

/// What changed by reloads that are told as one, at most.
const CHANGES_MAX: usize = 128;
/// What stands behind so many, if there were more.
const MORE_CHANGES: &str = "and more";

/// The longest text that an event of the daemon's own holds, in bytes; what is beyond is cut.
const TEXT_BYTES_MAX: usize = 1024;

/// Something that happened, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Happening {
    /// What.
    pub(super) own: Own,
    /// The wall clock, Unix nanoseconds.
    pub(super) wall_ns: u64,
    /// `CLOCK_BOOTTIME`.
    pub(super) monotonic_ns: u64,
}

impl Happening {
    /// It happens now.
    pub(super) fn now(own: Own) -> Happening {
        let (wall_ns, monotonic_ns) = (sys::realtime_ns(), sys::boottime_ns());
        Happening { own, wall_ns, monotonic_ns }
    }
}

/// What waits to be journaled, in the order in which it began.
#[derive(Default)]
pub(super) struct Happenings {
    waiting: Vec<Happening>,
    left_out: u64,
}

impl Happenings {
    /// Adds something that happens now. What is about the same as something that waits is joined with it.
    pub(super) fn add(&mut self, own: Own) {
        let happening = Happening::now(cut(own));
        for waiting in &mut self.waiting {
            if join(&mut waiting.own, &happening.own) {
                (waiting.wall_ns, waiting.monotonic_ns) =
                    (happening.wall_ns, happening.monotonic_ns);
                return;
            }
        }
        if self.waiting.len() >= WAITING_MAX {
            self.left_out += 1;
        } else {
            self.waiting.push(happening);
        }
    }

    /// All that waits; nothing waits behind that.
    pub(super) fn take(&mut self) -> Vec<Happening> {
        let mut taken = std::mem::take(&mut self.waiting);
        // It failed, and works again: nothing is different.
        let is_news =
            |change: &SinkChange| change.before != change.state || change.breaker.is_some();
        taken.retain(|it| !matches!(&it.own, Own::Sink(change) if !is_news(change)));
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            taken.push(Happening::now(Own::Gap(gap(GapCause::OwnEvents, left_out))));
        }
        taken
    }
}

/// A gap of which no more is known.
pub(super) fn gap(cause: GapCause, count: u64) -> DaemonGap {
    DaemonGap { cause, count, sink: None, place: None, first: None, last: None, what: None }
}

/// Makes one of two, if they are about the same.
fn join(waiting: &mut Own, later: &Own) -> bool {
    match (waiting, later) {
        (Own::Gap(waiting), Own::Gap(later)) => join_gaps(waiting, later),
        (Own::Sink(waiting), Own::Sink(later)) if waiting.sink == later.sink => {
            let before = std::mem::take(&mut waiting.before);
            *waiting = SinkChange { before, ..later.clone() };
            true
        }
        (Own::Reload(waiting), Own::Reload(later)) if waiting.result == later.result => {
            join_reloads(waiting, later);
            true
        }
        _ => false,
    }
}

fn join_gaps(waiting: &mut DaemonGap, later: &DaemonGap) -> bool {
    let about = |gap: &DaemonGap| (gap.cause, gap.sink.clone(), gap.place.clone());
    if about(waiting) != about(later) {
        return false;
    }
    let count = waiting.count.saturating_add(later.count);
    *waiting = DaemonGap { count, ..later.clone() };
    true
}

fn join_reloads(waiting: &mut DaemonReload, later: &DaemonReload) {
    let mut changes = std::mem::take(&mut waiting.changes);
    for change in &later.changes {
        if !changes.contains(change) {
            changes.push(change.clone());
        }
    }
    cut_changes(&mut changes);
    let times = waiting.times.saturating_add(later.times);
    *waiting = DaemonReload { changes, times, ..later.clone() };
}

/// With its long texts cut.
fn cut(own: Own) -> Own {
    let short = |text: Option<String>| text.map(shortened);
    match own {
        Own::Gap(gap) => Own::Gap(DaemonGap { what: short(gap.what), ..gap }),
        Own::Sink(change) => Own::Sink(SinkChange { error: short(change.error), ..change }),
        Own::Reload(mut reload) => {
            cut_changes(&mut reload.changes);
            Own::Reload(DaemonReload { error: short(reload.error), ..reload })
        }
        own => own,
    }
}

/// Leaves the first, and says that there were more.
fn cut_changes(changes: &mut Vec<String>) {
    if changes.len() > CHANGES_MAX {
        changes.truncate(CHANGES_MAX);
        changes.push(MORE_CHANGES.to_owned());
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use hookring_journal::system::Reloaded;

    use super::*;

    fn taken(owns: impl IntoIterator<Item = Own>) -> Vec<Own> {
        let mut happenings = Happenings::default();
        owns.into_iter().for_each(|own| happenings.add(own));
        let taken = happenings.take().into_iter().map(|happening| happening.own).collect();
        assert!(happenings.take().is_empty());
        taken
    }

    fn lost(sink: &str, count: u64, last: u64) -> Own {
        let first = Some(last - count + 1);
        let sink = Some(sink.to_owned());
        Own::Gap(DaemonGap { sink, first, last: Some(last), ..gap(GapCause::SinkLost, count) })
    }

    fn change(sink: &str, before: &str, state: &str) -> Own {
        let [sink, before, state] = [sink, before, state].map(str::to_owned);
        Own::Sink(SinkChange { sink, before, state, ..SinkChange::default() })
    }

    fn reload(result: Reloaded, changes: &[&str]) -> DaemonReload {
        let changes = changes.iter().map(|change| (*change).to_owned()).collect();
        DaemonReload { result, error: None, changes, times: 1 }
    }

    #[test]
    fn what_is_about_the_same_becomes_one_and_nothing_else_does() {
        let dropped = || Own::Gap(gap(GapCause::HooksDropped, 2));
        let all = [lost("a", 3, 9), dropped(), lost("b", 1, 9), lost("a", 2, 20), dropped()];
        let Own::Gap(mut a) = lost("a", 2, 20) else { unreachable!() };
        a.count = 5;
        let four = Own::Gap(gap(GapCause::HooksDropped, 4));
        assert_eq!(taken(all), [Own::Gap(a), four, lost("b", 1, 9)]);
        let all = [
            change("a", "running", "retrying"),
            change("b", "opening", "retrying"),
            change("b", "retrying", "running"),
            change("a", "retrying", "running"),
        ];
        assert_eq!(taken(all), [change("b", "opening", "running")]);
        let all = [
            Own::Reload(reload(Reloaded::InForce, &["x", "y"])),
            Own::Reload(reload(Reloaded::Refused, &[])),
            Own::Reload(reload(Reloaded::InForce, &["y", "z"])),
        ];
        let joined = DaemonReload { times: 2, ..reload(Reloaded::InForce, &["x", "y", "z"]) };
        let refused = reload(Reloaded::Refused, &[]);
        assert_eq!(taken(all), [Own::Reload(joined), Own::Reload(refused)]);
    }

    #[test]
    fn the_time_is_that_of_the_latest() {
        let mut happenings = Happenings::default();
        happenings.add(lost("a", 1, 1));
        let first = happenings.waiting[0].clone();
        happenings.add(lost("a", 1, 2));
        let latest = &happenings.take()[0];
        assert!(latest.monotonic_ns >= first.monotonic_ns && latest.wall_ns >= first.wall_ns);
        assert_ne!(latest.own, first.own);
    }

    #[test]
    fn however_much_happens_no_more_than_the_limit_waits_and_the_rest_is_counted() {
        let many = WAITING_MAX as u64 + 7;
        let all = taken((0..many).map(|n| lost(&n.to_string(), 1, 1)));
        assert_eq!(all.len(), WAITING_MAX + 1);
        assert_eq!(all[WAITING_MAX], Own::Gap(gap(GapCause::OwnEvents, 7)));
        let many = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
        let changes =
            |n| Own::Reload(DaemonReload { changes: many(n), ..reload(Reloaded::InForce, &[]) });
        let [Own::Reload(joined)] = &taken([changes(100), changes(1000)])[..] else {
            panic!("not one")
        };
        assert_eq!(joined.changes.len(), CHANGES_MAX + 1);
        assert_eq!(joined.changes[CHANGES_MAX], MORE_CHANGES);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let error = Some("ä".repeat(TEXT_BYTES_MAX));
        let Own::Sink(fails) = change("a", "opening", "retrying") else { unreachable!() };
        let taken = taken([Own::Sink(SinkChange { error, ..fails })]);
        let [Own::Sink(change)] = &taken[..] else { panic!("{taken:?}") };
        let error = change.error.as_deref().expect("a text");
        assert_eq!(error.len(), TEXT_BYTES_MAX + '…'.len_utf8());
    }
}
