//! How many records a second go from one or more producers to a reader in another process (another
//! thread, for queues that cannot leave theirs) that spins and sums up what it gets.

use anyhow::{Context as _, Result};
use hookring_benches::figures::{Row, Target};

use crate::payloads::set_len;
use crate::peers::{Mode, Peer, Place, Shape};
use crate::reader::{Reader, Turn};
use crate::run::Run;
use crate::stats::{median, ratios};
use crate::team::{BATCH, Team};

const BYTES: usize = 256;
const PRODUCERS: [usize; 4] = [1, 2, 4, 8];
/// Records of each producer that a contender has room for, where it counts them.
const ROOM: usize = 1024;
const ROUNDS: usize = 16;
/// Records of a round, of a contender that is fast and of one that is not.
const MANY: usize = 1 << 20;
const FEW: usize = 1 << 17;

struct Contender {
    peer: Peer,
    place: Place,
    team: Team,
    reader: Reader,
    /// Million records per second, of every round.
    rates: Vec<f64>,
}

pub(crate) fn measure(run: &mut Run) -> Result<()> {
    for producers in PRODUCERS {
        let mut contenders = Vec::new();
        for peer in Peer::all() {
            let contender = contender(run, peer, producers);
            contenders
                .push(contender.with_context(|| format!("could not set up {}", peer.name()))?);
        }
        let is_quick = run.is_quick;
        for round in 0..run.rounds(ROUNDS) {
            for turn in 0..contenders.len() {
                let at = (turn + round) % contenders.len();
                let contender = &mut contenders[at];
                run.turn(contender.peer, || contender.round(producers, is_quick))
                    .with_context(|| contender.peer.name())?;
            }
            run.look_at_cores();
        }
        report(run, &contenders, producers);
        run.set_up(|| contenders.into_iter().try_for_each(|contender| contender.reader.finish()))?;
    }
    Ok(())
}

fn contender(run: &mut Run, peer: Peer, producers: usize) -> Result<Contender> {
    let shape = Shape { max_bytes: BYTES, records: ROOM, producers, mode: Mode::Paced };
    let place = run.place(shape)?;
    run.set_up(|| {
        let mut reader = Reader::start(peer)?;
        reader.open(peer, &place)?;
        let team = Team::start(peer, &place, BYTES)?;
        Ok(Contender { peer, place, team, reader, rates: Vec::new() })
    })
}

impl Contender {
    fn round(&mut self, producers: usize, is_quick: bool) -> Result<()> {
        let is_slow = self.peer.is_kernel() || self.peer == Peer::Iceoryx;
        let records = if is_slow { FEW } else { MANY };
        let records = if is_quick { records / 4 } else { records };
        let cycles = records / producers / set_len(BYTES);
        let sum = Some(self.team.sum(cycles));
        let turn = Turn { records, bytes: BYTES, producers, has_ages: false, sum, core: None };
        self.reader.begin(self.peer, &self.place, &turn)?;
        self.team.begin(cycles, self.peer.has_batches())?;
        let done = self.team.end()?;
        let took_ns = self.reader.end()?.end_ns.saturating_sub(done.start_ns);
        self.rates.push(records as f64 * 1e3 / took_ns as f64);
        Ok(())
    }
}

fn report(run: &mut Run, contenders: &[Contender], producers: usize) {
    let ours = contenders.iter().find(|contender| contender.peer == Peer::Hookring);
    let ours = ours.map_or(&[][..], |contender| &contender.rates);
    let s = if producers == 1 { "" } else { "s" };
    for contender in contenders {
        let point = [producers as f64, median(&contender.rates)];
        run.figures.add_point("throughput", contender.peer.name(), point);
    }
    for contender in contenders.iter().filter(|contender| contender.peer != Peer::Hookring) {
        let peer = contender.peer;
        let at_least = match peer {
            Peer::Aeron if producers == 1 => Some(0.8),
            Peer::Aeron if producers == 4 => Some(2.0),
            Peer::Iceoryx if matches!(producers, 1 | 4) => Some(9.0),
            _ => None,
        };
        let batches = if peer.has_batches() { "" } else { ", one at a time" };
        let threads = if peer.is_in_process() { ", between threads" } else { "" };
        run.figures.rows.push(Row {
            block: format!(
                "throughput, {BYTES} B, {producers} producer{s}, batches of {BATCH}: million per second"
            ),
            what: "hookring".to_owned(),
            value: median(ours),
            beside: format!("{}{batches}{threads}", peer.name()),
            base: median(&contender.rates),
            unit: "M/s".to_owned(),
            ratio: median(&ratios(ours, &contender.rates)),
            target: at_least.map(Target::AtLeast),
        });
    }
}
