//! People who pause, resume and move sinks, and have events and dead letters sent again, at any moment.

use std::process::{Child, Output, Stdio};

use hookring_tests::{Bed, wait_for};
use serde_json::Value;

use crate::numbered::Rng;

/// Commands at a time.
const MAX_COMMANDS: usize = 3;

/// Commands that nobody waits for.
#[derive(Default)]
pub(crate) struct People {
    running: Vec<(String, Child)>,
    /// How many were begun.
    pub(crate) commands: u32,
}

impl People {
    /// Begins one more command.
    pub(crate) fn act(&mut self, bed: &Bed, sinks: &[&str], rng: &mut Rng) {
        self.reap();
        if self.running.len() >= MAX_COMMANDS {
            let at = rng.below(self.running.len() as u64) as usize;
            // Whoever has lost interest; what the daemon was asked for goes on.
            let (line, mut command) = self.running.swap_remove(at);
            let _ = command.kill();
            look_at(&line, command);
        }
        let line = Self::choose(bed, sinks, rng);
        let args: Vec<&str> = line.split(' ').collect();
        let mut command = bed.command("hookring");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.running.push((line, command.spawn().expect("hookring")));
        self.commands += 1;
    }

    fn choose(bed: &Bed, sinks: &[&str], rng: &mut Rng) -> String {
        let sink = sinks[rng.below(sinks.len() as u64) as usize];
        match rng.below(10) {
            0 => format!("sink pause {sink}"),
            1..4 => format!("sink resume {sink}"),
            4 => {
                // As far as it had come at some time before: nothing is left out.
                let status = bed.hookring(&["status", "--json"]);
                let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
                let of = status["sinks"].as_array().into_iter().flatten();
                let lag =
                    of.filter(|it| it["name"] == sink).find_map(|it| it["lag_events"].as_u64());
                let written = status["journal"]["written_seq"].as_u64();
                let had = lag.zip(written).map_or(0, |(lag, written)| written.saturating_sub(lag));
                let to = had.saturating_sub(rng.below(50)).max(1);
                format!("sink reset {sink} --to {to}")
            }
            5 => format!("replay --sink {sink} --since 2s --max"),
            6 => format!("replay --sink {sink} --since 2s --speed 3"),
            7 => format!("replay --sink {sink} --stop"),
            _ => "dlq retry --all".to_owned(),
        }
    }

    /// Waits for the commands that are under way.
    pub(crate) fn leave(mut self) {
        while !self.running.is_empty() {
            let before = self.running.len();
            wait_for("a command's end", || {
                self.reap();
                (self.running.len() < before).then_some(())
            });
        }
    }

    fn reap(&mut self) {
        let is_over = |child: &mut Child| child.try_wait().expect("its state").is_some();
        for (line, command) in self.running.extract_if(.., |(_, child)| is_over(child)) {
            look_at(&line, command);
        }
    }
}

/// What it answered is for it to know, but it must not have crashed.
fn look_at(line: &str, command: Child) {
    let Output { status, stderr, .. } = command.wait_with_output().expect("its end");
    let text = String::from_utf8_lossy(&stderr);
    assert!(!text.contains("panicked"), "hookring {line}: {status}: {text}");
}
