//! Agents that run one hook after another at the same time as others, and keep account of them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hookring_tests::{Bed, wait_for};

use crate::Seed;
use crate::account::Acknowledged;
use crate::numbered::{Number, Rng, payload};

/// Which hooks ran.
#[derive(Default)]
pub(crate) struct Hooked {
    /// All of them: each exited 0.
    pub(crate) acknowledged: Acknowledged,
    /// By stream and life: when it was started, and when it had ended.
    times: HashMap<(u32, u32), (Instant, Instant)>,
}

impl Hooked {
    /// Whether a hook was started before a time.
    pub(crate) fn has_begun_before(&self, number: Number, time: Instant) -> bool {
        self.times.get(&(number.stream, number.life)).is_some_and(|(begun, _)| *begun < time)
    }

    /// Whether it had ended before a time.
    pub(crate) fn has_ended_before(&self, number: Number, time: Instant) -> bool {
        self.times.get(&(number.stream, number.life)).is_some_and(|(_, ended)| *ended < time)
    }
}

/// The stream of a loner's first hook; there is one stream for each of them.
const FIRST_LONER: u32 = 1_000;
/// Hooks of one loner, at most.
const MAX_LONER_HOOKS: u32 = 1_000_000;

/// So many agents, each a stream of its own, from 0.
pub(crate) struct Agents<'a, C> {
    /// For the payloads' files.
    pub(crate) folder: PathBuf,
    pub(crate) agents: u32,
    /// So many of them, from 0, run hooks that have no order among them.
    pub(crate) loners: u32,
    pub(crate) seed: &'a Seed,
    /// The hook of an agent.
    pub(crate) command: C,
    /// A pause between two hooks, at most.
    pub(crate) max_pause_us: u64,
    /// No payload is longer, about.
    pub(crate) max_fill_bytes: usize,
}

/// What runs a hook for an agent of a bed.
pub(crate) fn plain(bed: &Bed) -> impl Fn(u32) -> Command + Sync {
    |_| bed.command("hookring-emit")
}

impl<'a, C> Agents<'a, C> {
    /// Agents that follow an order, with short pauses and payloads that fit a lane.
    pub(crate) fn of(bed: &Bed, agents: u32, seed: &'a Seed, command: C) -> Agents<'a, C> {
        let folder = bed.path().to_owned();
        Agents {
            folder,
            agents,
            loners: 0,
            seed,
            command,
            max_pause_us: 2_000,
            max_fill_bytes: 8_000,
        }
    }
}

impl<C: Fn(u32) -> Command + Sync> Agents<'_, C> {
    /// Runs hooks while `act` runs, which can see how many have ended.
    pub(crate) fn while_they_run<T>(&self, act: impl FnOnce(&AtomicU32) -> T) -> (T, Hooked) {
        /// Ends the agents in a panic of `act`, too: the scope waits for them.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (stop, ended) = (AtomicBool::new(false), AtomicU32::new(0));
        let mut hooked = Hooked::default();
        let acted = thread::scope(|scope| {
            let agents: Vec<_> = (0..self.agents)
                .map(|agent| {
                    let (stop, ended) = (&stop, &ended);
                    scope.spawn(move || self.run_agent(agent, stop, ended))
                })
                .collect();
            let acted = {
                let _stop = Stop(&stop);
                act(&ended)
            };
            for agent in agents {
                for (number, times) in agent.join().expect("an agent") {
                    hooked.times.insert((number.stream, number.life), times);
                    hooked.acknowledged.add(number.stream, number.life, 1);
                }
            }
            acted
        });
        (acted, hooked)
    }

    /// Runs so many hooks, over all agents.
    pub(crate) fn run(&self, hooks: u32) -> Hooked {
        self.while_they_run(|ended| wait_for_hooks(ended, hooks)).1
    }

    fn run_agent(
        &self,
        agent: u32,
        stop: &AtomicBool,
        ended: &AtomicU32,
    ) -> Vec<(Number, (Instant, Instant))> {
        let mut rng = self.seed.rng(agent);
        let mut hooks = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let hook = hooks.len() as u32;
            let (stream, life) = if agent < self.loners {
                (FIRST_LONER + agent * MAX_LONER_HOOKS + hook, 0)
            } else {
                (agent, hook)
            };
            let (number, begun) = (Number { stream, life, event: 1 }, Instant::now());
            self.run_hook(agent, number, &mut rng);
            hooks.push((number, (begun, Instant::now())));
            ended.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_micros(rng.below(self.max_pause_us + 1)));
        }
        hooks
    }

    fn run_hook(&self, agent: u32, number: Number, rng: &mut Rng) {
        // A file, so that the hook never waits for this process.
        let path = self.folder.join(format!("payload-{agent}"));
        let fill_bytes = rng.fill_bytes().min(self.max_fill_bytes);
        fs::write(&path, payload(number, fill_bytes)).expect("a payload");
        let stdin = File::open(&path).expect("the payload");
        let mut command = (self.command)(agent);
        let output = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = output.expect("a hook starts");
        assert!(output.status.success(), "{number:?} ended with {}: {output:?}", output.status);
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{number:?}: {output:?}");
    }
}

/// Waits until so many more hooks have ended, however long that takes as long as it goes on.
pub(crate) fn wait_for_hooks(ended: &AtomicU32, hooks: u32) {
    let end = ended.load(Ordering::Relaxed) + hooks;
    loop {
        let before = ended.load(Ordering::Relaxed);
        if before >= end {
            return;
        }
        wait_for("a hook to end", || (ended.load(Ordering::Relaxed) > before).then_some(()));
    }
}
