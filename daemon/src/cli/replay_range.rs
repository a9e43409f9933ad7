//! Which events a replay sends, and how long those take that are left.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hookring_journal::{self as journal, Filter, OLDEST, Reader, Seq};
use hookring_sinks::Replay;
use jiff::Timestamp;

use super::sink_args::ReplayArgs;
use super::style::{ERROR, WARNING};
use super::table::counted;
use crate::paths::Paths;
use crate::run::status::since;

/// As much as is read for one line.
const ONE_BYTES: usize = 1 << 20;
/// How often the time of the next event is looked up.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Whether nothing says which events; says so on `err`. All of them, at the pace that they had, would take as long as
/// the journal is old.
pub(super) fn is_missing(args: &ReplayArgs, err: &mut dyn Write) -> Result<bool> {
    let ReplayArgs { since, until, from, session, .. } = args;
    if since.is_some() || until.is_some() || from.is_some() || session.is_some() {
        return Ok(false);
    }
    writeln!(
        err,
        "{ERROR}error{ERROR:#}: say which events to send again, with --since, --until, --from or --session: \
         `--from 1` is all that the journal has, and --max sends them without the times between them"
    )?;
    Ok(true)
}

/// Which events are to be sent again.
pub(super) struct Range {
    pub(super) first: Seq,
    pub(super) last: Seq,
    /// When the first and the last of them were published, as far as that can be read.
    times: Option<(Timestamp, Timestamp)>,
}

impl Range {
    /// What is asked for and there is. What is gone is told on `err`.
    ///
    /// # Errors
    /// There is nothing, or the journal could not be read.
    pub(super) fn find(
        args: &ReplayArgs,
        filter: &Filter,
        paths: &Paths,
        err: &mut dyn Write,
    ) -> Result<Range> {
        let begins = journal::export::begins_with(&paths.journal, filter)?.max(OLDEST + 1);
        let asked = args.from.map_or(begins, |from| from.max(begins));
        let last =
            journal::last_seq(&paths.journal).context("cannot read the end of the journal")?;
        if asked > last {
            bail!("the journal ends with event {last}: there is nothing from {asked} on");
        }
        let batch = Reader::open(&paths.journal, asked)?.next_batch(1, ONE_BYTES)?;
        let first = batch.lines().next().map_or(asked, |line| line.seq);
        let gone = args.from.map_or(0, |from| first.saturating_sub(from.max(asked)));
        let times = journal::export::times(&paths.journal, filter, first..=last)?;
        if times.is_none() && *filter != Filter::default() {
            let range = Replay { first, last, ..Replay::default() }.range();
            bail!("there is nothing to send again: none of {range} is within the range");
        }
        if gone > 0 {
            let gone = counted(gone, "number");
            writeln!(
                err,
                "{WARNING}{gone} gone{WARNING:#}: what is left begins with event {first}"
            )?;
        }
        Ok(Range { first, last, times })
    }
}

/// How long a replay takes yet that keeps the times between events.
pub(super) struct Rest {
    journal: PathBuf,
    times: (Timestamp, Timestamp),
    speed: f64,
    /// The next event that was looked up, when it was published, and when that was looked up.
    looked: Option<(Seq, Timestamp, Instant)>,
}

impl Rest {
    /// `None`: that is for the sink to say, or no time can be read.
    pub(super) fn new(range: &Range, speed: Option<f64>, paths: &Paths) -> Option<Rest> {
        let (times, speed) = range.times.zip(speed)?;
        Some(Rest { journal: paths.journal.clone(), times, speed, looked: None })
    }

    /// As far as it can be told.
    pub(super) fn of(&mut self, replay: &Replay, now: Timestamp) -> Option<Duration> {
        let next = replay.next.max(replay.first);
        if next > replay.last {
            return None;
        }
        let at = match self.looked {
            Some((seq, at, looked)) if seq == next || looked.elapsed() < LOOK_INTERVAL => at,
            _ => {
                let batch =
                    Reader::open(&self.journal, next).ok()?.next_batch(1, ONE_BYTES).ok()?;
                let at = batch.lines().next()?.timestamp()?;
                self.looked = Some((next, at, Instant::now()));
                at
            }
        };
        let (first, last) = self.times;
        rest(at.max(first), last, self.speed, replay.next_at.map(|at| since(now, at)))
    }
}

/// What is left behind the next event, which has to wait itself.
fn rest(next: Timestamp, last: Timestamp, speed: f64, wait: Option<Duration>) -> Option<Duration> {
    let behind = Duration::try_from_secs_f64(since(next, last).as_secs_f64() / speed).ok()?;
    behind.checked_add(wait.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_the_time_up_to_the_last_event_by_the_speed() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(rest(at(100), at(160), 1.0, None), seconds(60));
        assert_eq!(rest(at(100), at(160), 10.0, seconds(5)), seconds(11));
        assert_eq!(rest(at(100), at(160), 0.5, seconds(5)), seconds(125));
        // A clock that was set back.
        assert_eq!(rest(at(160), at(100), 1.0, seconds(5)), seconds(5));
        assert_eq!(rest(at(0), at(1), 5e-324, None), None);
    }
}
