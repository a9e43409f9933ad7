//! One way to a reader in another process (another thread, for queues that cannot leave theirs): one
//! that spins, and one that sleeps. Both ends read the machine's one boot clock.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hookring_benches::figures::{Row, Series, Target};

use crate::payloads::{Payloads, sum};
use crate::peers::{Mode, Peer, Place, Sender, Shape};
use crate::reader::{Reader, Turn};
use crate::run::Run;
use crate::stats::{cores, pin, quantile};

const BYTES: usize = 256;
/// Records that a contender must have room for.
const ROOM: usize = 64;
const SPINNING: Kind = Kind { sleeps: false, messages: 300, rounds: 80 };
const SLEEPING: Kind = Kind { sleeps: true, messages: 100, rounds: 24 };
/// Between two messages to a reader that spins: it has long taken the last one.
const SPIN_PAUSE: Duration = Duration::from_micros(20);
/// Between two messages to a reader that sleeps: it has long fallen asleep.
const SLEEP_PAUSE: Duration = Duration::from_millis(1);
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];
/// Where a plotted distribution has its points.
const PLOTTED: [f64; 22] = [
    0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98,
    0.99, 0.995, 0.9975, 0.999, 0.9995,
];

struct Kind {
    sleeps: bool,
    /// Messages of a turn.
    messages: usize,
    rounds: usize,
}

struct Contender {
    peer: Peer,
    place: Place,
    sender: Box<dyn Sender>,
    payloads: Payloads,
    ages: Vec<f64>,
}

/// To a reader that spins, on another core.
pub(crate) fn spinning(run: &mut Run) -> Result<()> {
    let cores = cores()?;
    let [ours, its, ..] = *cores.as_slice() else {
        println!("one core: no latency to a reader that spins");
        return Ok(());
    };
    let peers: Vec<Peer> = Peer::all().collect();
    let contenders = measure(run, &SPINNING, &peers, Some((ours, its)), &cores)?;
    series(run, &contenders, "spinning");
    for (name, part) in QUANTILES {
        let block = format!("one way, {BYTES} B, the reader spins, {name}");
        report(run, &contenders, &block, part, |peer| match (peer, name) {
            (Peer::Iceoryx, "p50") => Some(0.35),
            (Peer::Iceoryx, "p99") | (Peer::Aeron, "p50") => Some(1.0),
            _ => None,
        });
    }
    Ok(())
}

/// To a reader that sleeps, on another core and on the same one.
pub(crate) fn sleeping(run: &mut Run) -> Result<()> {
    let cores = cores()?;
    let peers: Vec<Peer> = Peer::all().filter(|peer| peer.can_sleep()).collect();
    let first = cores.first().copied().context("no core")?;
    let other = cores.get(1).copied().map(|core| ("another core", core));
    for (title, core) in other.into_iter().chain([("the same core", first)]) {
        let contenders = measure(run, &SLEEPING, &peers, Some((first, core)), &cores)?;
        series(run, &contenders, &format!("sleeping on {title}"));
        for (name, part) in &QUANTILES[..2] {
            let block = format!("one way, {BYTES} B, the reader sleeps on {title}, {name}");
            let is_median = *name == "p50";
            report(run, &contenders, &block, *part, |peer| {
                (peer == Peer::Datagram && is_median).then_some(1.0)
            });
        }
    }
    Ok(())
}

fn measure(
    run: &mut Run,
    kind: &Kind,
    peers: &[Peer],
    pinned: Option<(usize, usize)>,
    cores: &[usize],
) -> Result<Vec<Contender>> {
    let mode = if kind.sleeps { Mode::Sleeping } else { Mode::Paced };
    let shape = Shape { max_bytes: BYTES, records: ROOM, producers: 1, mode };
    let (mut process, mut thread) = (Reader::start(Peer::Hookring)?, Reader::start(Peer::Rtrb)?);
    let mut contenders = Vec::new();
    for peer in peers.iter().copied() {
        let place = run.place(shape)?;
        let reader = if peer.is_in_process() { &mut thread } else { &mut process };
        let sender = run.set_up(|| {
            reader.open(peer, &place)?;
            peer.sender(&place)
        });
        let sender = sender.with_context(|| format!("could not set up {}", peer.name()))?;
        let payloads = Payloads::new(BYTES, false, 0);
        contenders.push(Contender { peer, place, sender, payloads, ages: Vec::new() });
    }
    for round in 0..run.rounds(kind.rounds) {
        if let Some((ours, _)) = pinned {
            pin(&[ours])?;
        }
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len();
            let contender = &mut contenders[at];
            let is_in_process = contender.peer.is_in_process();
            let reader = if is_in_process { &mut thread } else { &mut process };
            let core = pinned.map(|(_, its)| its);
            run.turn(contender.peer, || contender.turn(reader, kind, core))
                .with_context(|| contender.peer.name())?;
        }
        pin(cores)?;
        run.look_at_cores();
    }
    run.set_up(|| {
        process.finish()?;
        thread.finish()
    })?;
    Ok(contenders)
}

impl Contender {
    fn turn(&mut self, reader: &mut Reader, kind: &Kind, core: Option<usize>) -> Result<()> {
        let records = kind.messages;
        let turn = Turn { records, bytes: BYTES, producers: 1, has_ages: true, sum: None, core };
        reader.begin(self.peer, &self.place, &turn)?;
        let mut sent = 0u64;
        for message in 0..records {
            if kind.sleeps {
                thread::sleep(SLEEP_PAUSE);
            } else {
                pause_awake(SPIN_PAUSE);
            }
            let payload = self.payloads.stamped(message);
            self.sender.send(payload)?;
            sent = sent.wrapping_add(sum(payload));
        }
        let answer = reader.end()?;
        anyhow::ensure!(answer.sum == sent, "messages arrived with other contents than were sent");
        anyhow::ensure!(answer.ages.len() == records, "not every message has an age");
        self.ages.extend(answer.ages.into_iter().map(|age| age as f64));
        Ok(())
    }
}

/// Sleeping would take this core's caches and clock frequency away.
fn pause_awake(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn report(
    run: &mut Run,
    contenders: &[Contender],
    block: &str,
    part: f64,
    target: impl Fn(Peer) -> Option<f64>,
) {
    let of = |contender: &Contender| quantile(&contender.ages, part);
    let ours = contenders.iter().find(|contender| contender.peer == Peer::Hookring).map(of);
    let ours = ours.unwrap_or(f64::NAN);
    for contender in contenders.iter().filter(|contender| contender.peer != Peer::Hookring) {
        let peer = contender.peer;
        let threads = if peer.is_in_process() { ", between threads" } else { "" };
        run.figures.rows.push(Row {
            block: format!("{block}: ns"),
            what: "hookring".to_owned(),
            value: ours,
            beside: format!("{}{threads}", peer.name()),
            base: of(contender),
            unit: "ns".to_owned(),
            ratio: ours / of(contender),
            target: target(peer).map(Target::AtMost),
        });
    }
}

/// Each contender's distribution, for the plots.
fn series(run: &mut Run, contenders: &[Contender], reader: &str) {
    for contender in contenders {
        // Beyond that, a few messages make the curve.
        let is_solid = |part: &f64| (1.0 - part) * contender.ages.len() as f64 >= 10.0;
        let points = PLOTTED.into_iter().filter(is_solid);
        let points = points.map(|part| [part, quantile(&contender.ages, part)]);
        run.figures.series.push(Series {
            plot: format!("latency, {reader}"),
            name: contender.peer.name().to_owned(),
            points: points.collect(),
        });
    }
}
