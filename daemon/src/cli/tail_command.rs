//! `hookring tail`: the latest events, and each new one as it arrives.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use hookring_journal::{self as journal, Filter, Line, OLDEST, Reader, Seq};
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::args::TailArgs;
use super::style::WARNING;
use super::table::counted;
use super::view::View;
use super::{Exit, require_journal, session};
use crate::config::Env;
use crate::paths::Paths;

/// How often the journal is looked at while it does not grow: soon enough for a person.
const POLL: Duration = Duration::from_millis(100);
/// At so many looks in a row the journal must be another one to be taken for that: about a second.
const OTHER_LOOKS: u32 = 10;
const BATCH_EVENTS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;

/// How many more numbers than events are looked through at first, and how fast that grows: some have
/// no event, or one of another session.
const SPARE: u64 = 64;
const GROWTH: u64 = 8;

/// Shows events. With `follow` it ends when its output is closed, or by a signal.
///
/// # Errors
/// There is no journal (with `follow` it is waited for), or it could not be read.
pub fn tail(
    args: &TailArgs,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    let filters = args.filter.filters(paths, env, err)?;
    let mut filter = Filter { session: args.session.clone(), ..Filter::default() };
    match require_journal(paths) {
        Ok(()) => session::complete(&mut filter, paths, err)?,
        Err(error) if args.follow => {
            // Whatever cannot be read later is an error then.
            writeln!(err, "{error:#}; waiting for it")?;
        }
        Err(error) => return Err(error),
    }
    let zone = if args.utc { TimeZone::UTC } else { TimeZone::system() };
    let mut view = View::of_stdout(zone);
    let passes = |line: Line<'_>| filter.passes(line).unwrap_or(false) && filters.take(line);
    let mut reader = Reader::open(&paths.journal, begin(args.lines, passes, paths)?)?;
    let mut other_looks = 0;
    loop {
        let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
        let is_beyond_end = batch.is_empty() && reader.is_beyond_end()?;
        other_looks = if is_beyond_end { other_looks + 1 } else { 0 };
        if reader.is_other_journal() || other_looks >= OTHER_LOOKS {
            say_skipped(reader.take_skipped().bad_lines, err)?;
            say_other_journal(paths, err)?;
            (reader, other_looks) = (Reader::open(&paths.journal, OLDEST)?, 0);
            continue;
        }
        view.look_at_stdout();
        for line in batch.lines().filter(|line| passes(*line)) {
            let written = if args.json {
                out.write_all(line.bytes).and_then(|()| out.write_all(b"\n"))
            } else {
                out.write_all(view.show(line.bytes).as_bytes())
            };
            if let Err(error) = written {
                return ended(error);
            }
        }
        if let Err(error) = out.flush() {
            return ended(error);
        }
        if batch.is_empty() {
            // Not before: what is shown comes first, and once is enough.
            say_skipped(reader.take_skipped().bad_lines, err)?;
            if !args.follow || is_closed_within(POLL) {
                return Ok(Exit::Fine);
            }
        }
    }
}

/// Says that what follows begins with a low number again, which nobody who follows expects.
fn say_other_journal(paths: &Paths, err: &mut dyn Write) -> io::Result<()> {
    let dir = paths.journal.display();
    writeln!(
        err,
        "{WARNING}the journal {dir} was begun anew or replaced{WARNING:#}; what is in it now follows \
         from its oldest event on"
    )
}

/// Says how many damaged lines were passed over, if any were.
///
/// # Errors
/// It could not be written.
pub(super) fn say_skipped(bad_lines: u64, err: &mut dyn Write) -> io::Result<()> {
    if bad_lines == 0 {
        return Ok(());
    }
    let (lines, were) =
        (counted(bad_lines, "damaged line"), if bad_lines == 1 { "was" } else { "were" });
    writeln!(
        err,
        "{WARNING}{lines} {were} passed over{WARNING:#}; `hookring journal verify` lists them"
    )
}

/// The number from which on there are so many whole events that pass; if there are not, the oldest.
fn begin(events: usize, passes: impl Fn(Line<'_>) -> bool, paths: &Paths) -> Result<Seq> {
    let last = journal::last_seq(&paths.journal)?;
    if events == 0 {
        return Ok(last + 1);
    }
    let oldest = Reader::open(&paths.journal, OLDEST)?.position().max(1);
    let mut numbers = (events as u64).saturating_add(SPARE);
    loop {
        let from = (last + 1).saturating_sub(numbers).max(oldest);
        let mut passed = VecDeque::new();
        let mut reader = Reader::open(&paths.journal, from)?;
        loop {
            let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
            if batch.is_empty() {
                break;
            }
            for line in batch.lines().filter(|line| passes(*line)) {
                passed.push_back(line.seq);
                if passed.len() > events {
                    passed.pop_front();
                }
            }
        }
        match passed.front() {
            Some(first) if passed.len() == events => return Ok(*first),
            _ if from == oldest => return Ok(from),
            _ => numbers = numbers.saturating_mul(GROWTH),
        }
    }
}

/// Waits, and tells at once when nobody can read our output any more: `hookring tail -f | head -1`.
fn is_closed_within(time: Duration) -> bool {
    let stdout = io::stdout();
    // A pipe without a reader and a terminal that hung up say so without being asked.
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let limit = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    if poll(&mut fds, Some(&limit)).is_err() {
        // Interrupted, or it cannot be polled: then the next write tells.
        std::thread::sleep(time);
        return false;
    }
    fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// A reader that has seen enough, such as `head`, is no failure.
fn ended(error: io::Error) -> Result<Exit> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(Exit::Fine) } else { Err(error.into()) }
}
