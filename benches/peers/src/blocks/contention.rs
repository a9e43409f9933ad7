//! Does a producer pay for the others? CPU time of the sending threads, which on few cores take
//! turns, against the same contender's with one producer.

use anyhow::{Context as _, Result};
use hookring_benches::figures::{Row, Target};

use crate::payloads::{Tally, set_len};
use crate::peers::{Mode, Peer, Receiver, Shape};
use crate::run::Run;
use crate::stats::{median, ratios};
use crate::team::Team;

const PRODUCERS: [usize; 4] = [1, 2, 4, 8];
const BYTES: usize = 256;
/// Passes of each producer in a round: long enough for the threads to meet.
const CYCLES: usize = 23;
const ROUNDS: usize = 60;

struct Contender {
    peer: Peer,
    producers: usize,
    team: Team,
    receiver: Box<dyn Receiver>,
    /// CPU ns per record, of every round.
    times: Vec<f64>,
}

pub(crate) fn measure(run: &mut Run) -> Result<()> {
    let mut contenders = Vec::new();
    for peer in Peer::all().filter(|peer| !peer.is_kernel()) {
        for producers in PRODUCERS {
            let contender = contender(run, peer, producers);
            contenders
                .push(contender.with_context(|| format!("could not set up {}", peer.name()))?);
        }
    }
    for round in 0..run.rounds(ROUNDS) {
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len();
            let contender = &mut contenders[at];
            run.turn(contender.peer, || contender.round())?;
        }
        run.look_at_cores();
    }
    for peer in Peer::all().filter(|peer| !peer.is_kernel()) {
        let of = |producers| {
            let found = contenders
                .iter()
                .find(|contender| (contender.peer, contender.producers) == (peer, producers));
            found.map_or(&[][..], |contender| &contender.times)
        };
        for producers in PRODUCERS.into_iter().skip(1) {
            let (shared, alone) = (of(producers), of(1));
            run.figures.rows.push(Row {
                block: format!("several producers, {BYTES} B: CPU ns per record"),
                what: format!("{}, {producers} producers", peer.name()),
                value: median(shared),
                beside: "alone".to_owned(),
                base: median(alone),
                unit: "ns".to_owned(),
                ratio: median(&ratios(shared, alone)),
                target: (peer == Peer::Hookring).then_some(Target::AtMost(1.3)),
            });
        }
    }
    run.set_up(|| {
        drop(contenders);
        Ok(())
    })
}

fn contender(run: &mut Run, peer: Peer, producers: usize) -> Result<Contender> {
    let records = CYCLES * set_len(BYTES);
    let place = run.place(Shape { max_bytes: BYTES, records, producers, mode: Mode::Burst })?;
    run.set_up(|| {
        let receiver = peer.receiver(&place)?;
        let team = Team::start(peer, &place, BYTES)?;
        Ok(Contender { peer, producers, team, receiver, times: Vec::new() })
    })
}

impl Contender {
    fn round(&mut self) -> Result<()> {
        let records = self.producers * CYCLES * set_len(BYTES);
        self.team.begin(CYCLES, false)?;
        let done = self.team.end()?;
        let mut tally = Tally::new(BYTES, self.producers, false);
        while tally.records < records {
            self.receiver.receive(&mut tally)?;
        }
        self.receiver.check()?;
        tally.check(records, self.team.sum(CYCLES)).with_context(|| self.peer.name())?;
        self.times.push(done.cpu.as_nanos() as f64 / records as f64);
        Ok(())
    }
}
