//! `hookring tail`: the latest events, and each new one as it arrives.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use hookring_journal::{self as journal, Reader};

use super::Exit;
use super::args::TailArgs;
use super::view::event_line;
use crate::paths::Paths;

/// How often the journal is looked at while it does not grow: soon enough for a person.
const POLL: Duration = Duration::from_millis(100);
const BATCH_EVENTS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;

/// Shows events. With `follow` it ends when its output is closed, or by a signal.
///
/// # Errors
/// The journal could not be read.
pub fn tail(args: &TailArgs, paths: &Paths, out: &mut dyn Write) -> Result<Exit> {
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
        if batch.is_empty() {
            if !args.follow {
                return Ok(Exit::Fine);
            }
            thread::sleep(POLL);
        }
    }
}

/// A reader that has seen enough, such as `head`, is no failure.
fn ended(error: io::Error) -> Result<Exit> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(Exit::Fine) } else { Err(error.into()) }
}
