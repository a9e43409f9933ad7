//! Plays the session: one hook process per payload, as an agent would start it, each beside one that
//! is switched off.

use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hookring_journal::Reader;

use super::{PATIENCE, Stage};
use crate::cli::view::event_line;

/// Times of the processes, from spawn to reaped.
#[derive(Default)]
pub(super) struct Played {
    pub(super) sent: usize,
    pub(super) journaled: usize,
    pub(super) hooks: Vec<Duration>,
    pub(super) switched_off: Vec<Duration>,
}

/// Plays the payloads in order, and shows each event as it lands.
pub(super) fn play(
    stage: &Stage,
    payloads: &[&str],
    mut out: Option<&mut dyn Write>,
) -> Result<Played> {
    let mut played = Played::default();
    let mut reader = Reader::open(&stage.journal(), 1)?;
    for (number, payload) in payloads.iter().enumerate() {
        // By turns first and second, so that neither profits from the other's warm caches.
        let off_first = number % 2 == 0;
        if off_first {
            played.switched_off.push(run_hook(stage, payload, true)?);
        }
        played.hooks.push(run_hook(stage, payload, false)?);
        played.sent += 1;
        if !off_first {
            played.switched_off.push(run_hook(stage, payload, true)?);
        }
        let landed = wait_for_event(&mut reader)?;
        played.journaled += landed.len();
        for line in landed {
            if let Some(out) = &mut out {
                writeln!(out, "{}", event_line(&line))?;
            }
        }
    }
    Ok(played)
}

/// Starts a hook, hands it the payload, waits for it; how long that took.
fn run_hook(stage: &Stage, payload: &str, off: bool) -> Result<Duration> {
    let mut command = stage.command(&stage.emit);
    command.args(["--agent", "claude-code"]).stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if off {
        command.env("HOOKRING_OFF", "1");
    }
    let begin = Instant::now();
    let mut child = command.spawn().context("cannot start hookring-emit")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(payload.as_bytes())?;
    }
    let code = child.wait()?;
    let took = begin.elapsed();
    ensure!(code.success(), "hookring-emit ended with {code}, which it never should");
    Ok(took)
}

/// The lines that were journaled since the last call, at least one.
fn wait_for_event(reader: &mut Reader) -> Result<Vec<Vec<u8>>> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let batch = reader.next_batch(100, 1 << 20)?;
        if !batch.is_empty() {
            return Ok(batch.lines().map(|line| line.bytes.to_vec()).collect());
        }
        thread::sleep(Duration::from_micros(200));
    }
    bail!("an event did not reach the journal in {} s", PATIENCE.as_secs())
}
