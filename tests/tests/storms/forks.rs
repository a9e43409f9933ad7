//! Programs that fork, close all their descriptors and run out of them while they publish.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hookring_tests::{Bed, wait_for};

use crate::account::Acknowledged;
use crate::agents::{Agents, plain};
use crate::{Seed, calm, count, dropped, new_bed, short_or_long};

const AGENTS: u32 = 2;
const PROGRAMS: u32 = 5;
/// The first stream of the first program; each has this many.
const STREAMS: u32 = 4_000;

/// A running `storm_producer`, and what it has written down.
struct Program {
    child: Child,
    acks: PathBuf,
    stream: u32,
}

impl Program {
    /// With so many children that publish, at most.
    fn start(bed: &Bed, number: u32, children: usize, seed: u64) -> Program {
        let acks = bed.path().join(format!("acknowledged-{number}"));
        fs::write(&acks, vec![0; 4 * (children + 2)]).expect("the acknowledgements");
        let stream = STREAMS * (1 + number);
        let mut command = Command::new(env!("CARGO_BIN_EXE_storm_producer"));
        command.arg(bed.path()).arg(&acks).args([stream.to_string(), seed.to_string()]);
        let child = command.stdin(Stdio::piped()).spawn().expect("a program starts");
        Program { child, acks, stream }
    }

    /// What it has refused, what it has published, and what each of its children has.
    fn words(&self) -> Vec<u32> {
        let bytes = fs::read(&self.acks).expect("the acknowledgements");
        bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("a word"))).collect()
    }

    /// Whether the last of its children has published.
    fn is_done(&mut self) -> bool {
        let ended = self.child.try_wait().expect("its state");
        assert!(ended.is_none(), "a program ended by itself: {ended:?}, see stderr");
        self.words().last() != Some(&0)
    }

    /// Has it end.
    fn end(&mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "a program ended with {status}, see stderr");
    }

    /// Adds what it published; how many events it says were refused and counted.
    fn add_to(&self, acknowledged: &mut Acknowledged) -> u64 {
        let words = self.words();
        for (child, last) in words[1..].iter().enumerate() {
            acknowledged.add(self.stream + child as u32, 0, *last);
        }
        u64::from(words[0])
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn programs_that_fork_and_lose_their_descriptors_lose_no_event() {
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let daemon = bed.start();
    let children = short_or_long(25, 800);
    let mut programs: Vec<_> =
        (0..PROGRAMS).map(|number| Program::start(&bed, number, children, rng.bits())).collect();
    let folder = bed.path().to_owned();
    let (max_pause_us, max_fill_bytes, command) = (5_000, 8_000, plain(&bed));
    let agents = Agents {
        folder,
        agents: AGENTS,
        loners: 0,
        seed: &seed,
        command,
        max_pause_us,
        max_fill_bytes,
    };
    let ((), hooked) = agents.while_they_run(|_| {
        wait_for_children(&mut programs);
        programs.iter_mut().for_each(Program::end);
    });
    let mut acknowledged = hooked.acknowledged;
    let refused: u64 = programs.iter().map(|program| program.add_to(&mut acknowledged)).sum();
    let (account, status) = calm(&bed, daemon);
    account.settle(&acknowledged);
    println!("{refused} events were refused for want of a descriptor");
    assert_eq!(dropped(&status), refused, "{status}");
    for name in ["condemned_lanes", "damaged_bytes", "bad_spool_entries", "retired_rings"] {
        assert_eq!(count(&status, name), 0, "{name} in {status}");
    }
}

/// As long as they go on, they may take their time.
fn wait_for_children(programs: &mut [Program]) {
    let published = |programs: &[Program]| programs.iter().map(Program::words).collect::<Vec<_>>();
    let mut before = published(programs);
    while !programs.iter_mut().all(Program::is_done) {
        before = wait_for("the programs to go on", || {
            Some(published(programs)).filter(|now| *now != before)
        });
    }
}
