//! Plays the session: one hook process per payload, as an agent would start it; and again to time the
//! hooks beside a process that does nothing.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hookring_journal::{Origin, Reader, Seq};
use jiff::tz::TimeZone;

use super::{PATIENCE, Stage};
use crate::cli::view::View;

/// What was sent, what came, and times of processes, from spawn to reaped.
#[derive(Default)]
pub(super) struct Played {
    /// Events of the session.
    pub(super) session: usize,
    /// The same and those that were sent again to be timed.
    pub(super) sent: usize,
    pub(super) journaled: usize,
    /// The number from which on nothing was read yet.
    next: Seq,
    pub(super) hooks: Vec<Duration>,
    /// As many of the process that does nothing; none if that is not there.
    pub(super) floors: Vec<Duration>,
}

/// Plays the payloads in order, and shows each event as it lands.
pub(super) fn play(
    stage: &Stage,
    payloads: &[&str],
    mut out: Option<&mut dyn Write>,
) -> Result<Played> {
    let mut played = Played { session: payloads.len(), ..Played::default() };
    let mut reader = Reader::open(&stage.journal(), 1)?;
    let mut view = View::of_stdout(TimeZone::system());
    for payload in payloads {
        run_process(stage, &stage.emit, payload)?;
        played.sent += 1;
        let landed = wait_for_events(&mut reader)?;
        played.journaled += landed.len();
        for line in landed {
            if let Some(out) = &mut out {
                out.write_all(view.show(&line).as_bytes())?;
            }
        }
    }
    played.next = reader.position();
    Ok(played)
}

/// Plays the payloads again, so many times, in turns with the process that does nothing.
pub(super) fn time(
    stage: &Stage,
    payloads: &[&str],
    rounds: usize,
    played: &mut Played,
) -> Result<()> {
    let mut reader = Reader::open(&stage.journal(), played.next)?;
    for (number, payload) in std::iter::repeat_n(payloads, rounds).flatten().enumerate() {
        // By turns first and second, so that neither profits from the other's warm caches.
        let floor_first = number % 2 == 0;
        for turn in [true, false] {
            if turn != floor_first {
                played.hooks.push(run_process(stage, &stage.emit, payload)?);
                played.sent += 1;
            } else if let Some(floor) = &stage.floor {
                played.floors.push(run_process(stage, floor, payload)?);
            }
        }
    }
    while played.journaled < played.sent {
        played.journaled += wait_for_events(&mut reader)?.len();
    }
    Ok(())
}

/// Starts a process as an agent would start its hook, hands it the payload, waits for it; how long
/// that took.
fn run_process(stage: &Stage, program: &Path, payload: &str) -> Result<Duration> {
    let mut command = stage.command(program);
    command.args(["--agent", "claude-code"]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let mut child =
        command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(payload.as_bytes())?;
    }
    let code = child.wait()?;
    let took = begin.elapsed();
    ensure!(code.success(), "{} ended with {code}, which it never should", program.display());
    Ok(took)
}

/// The lines of hooks' events that were journaled since the last call, at least one.
fn wait_for_events(reader: &mut Reader) -> Result<Vec<Vec<u8>>> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let batch = reader.next_batch(100, 1 << 20)?;
        let of_hooks = batch.lines().filter(|line| line.origin() != Some(Origin::Daemon));
        let lines: Vec<_> = of_hooks.map(|line| line.bytes.to_vec()).collect();
        if !lines.is_empty() {
            return Ok(lines);
        }
        thread::sleep(Duration::from_micros(200));
    }
    bail!("an event did not reach the journal in {} s", PATIENCE.as_secs())
}
