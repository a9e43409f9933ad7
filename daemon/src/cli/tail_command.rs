//! `hookring tail`: the latest events, and each new one as it arrives.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use hookring_journal::{self as journal, Reader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::args::TailArgs;
use super::view::event_line;
use super::{Exit, require_journal};
use crate::paths::Paths;

/// How often the journal is looked at while it does not grow: soon enough for a person.
const POLL: Duration = Duration::from_millis(100);
const BATCH_EVENTS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;

/// Shows events. With `follow` it ends when its output is closed, or by a signal.
///
/// # Errors
/// There is no journal (with `follow` it is waited for), or it could not be read.
pub fn tail(
    args: &TailArgs,
    paths: &Paths,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit> {
    if let Err(error) = require_journal(paths) {
        if !args.follow {
            return Err(error);
        }
        // Whatever cannot be read later is an error then.
        writeln!(err, "{error:#}; waiting for it")?;
    }
    let last = journal::last_seq(&paths.journal)?;
    let from = (last + 1).saturating_sub(args.lines as u64).max(1);
    let mut reader = Reader::open(&paths.journal, from)?;
    loop {
        let batch = reader.next_batch(BATCH_EVENTS, BATCH_BYTES)?;
        for line in batch.lines() {
            let written = if args.json {
                out.write_all(line.bytes).and_then(|()| out.write_all(b"\n"))
            } else {
                writeln!(out, "{}", event_line(line.bytes))
            };
            if let Err(error) = written {
                return ended(error);
            }
        }
        if let Err(error) = out.flush() {
            return ended(error);
        }
        if batch.is_empty() && (!args.follow || is_closed_within(POLL)) {
            return Ok(Exit::Fine);
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
