//! What a send costs the program that sends, in ns per record, beside a copy of the same bytes. What
//! was sent is read and checked outside of the timed section.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hookring_benches::figures::{Row, Target};
use hookring_bus::record::RECORD_HEADER_BYTES;
use hookring_bus::sys;

use crate::payloads::{Payloads, Tally, max_bytes};
use crate::peers::hookring::stride;
use crate::peers::{Mode, Peer, Receiver, Sender, Shape};
use crate::run::Run;
use crate::stats::{median, ratios};
use crate::team::BATCH;

/// Half of a default lane, so that none is ever full.
const RUN_BYTES: usize = 128 * 1024;
/// As large as a lane: the copies walk through as much memory as the publishes.
const LANE_BYTES: usize = 256 * 1024;
const ROUNDS: usize = 200;
/// Runs before the one that counts, so that it does not pay for what other contenders did to the
/// caches: two go through the whole lane.
const WARM_UPS: usize = 2;

#[derive(Copy, Clone, PartialEq, Eq)]
enum Work {
    Copy,
    CopyAndClock,
    Each(Peer),
    Batch(Peer),
}

/// What a kind of work takes, in ns per record, a value for each round.
struct Series {
    work: Work,
    /// Sending, with warm caches.
    warm: Vec<f64>,
    /// Sending, after the others have had theirs.
    cold: Vec<f64>,
    /// Taking it out again, with warm caches.
    read: Vec<f64>,
}

struct Ends {
    peer: Peer,
    receiver: Box<dyn Receiver>,
    sender: Box<dyn Sender>,
}

struct Bench<'a> {
    bytes: usize,
    run: Vec<&'a [u8]>,
    sum: u64,
    target: Vec<u8>,
    at: usize,
    ends: Vec<Ends>,
}

pub(crate) fn measure(run: &mut Run) -> Result<()> {
    for (bytes, is_varied) in [(256, false), (256, true), (1024, false), (1024, true)] {
        let all = size(run, bytes, is_varied)?;
        report(run, &all, bytes, is_varied);
    }
    Ok(())
}

fn size(run: &mut Run, bytes: usize, is_varied: bool) -> Result<Vec<Series>> {
    let payloads = Payloads::new(bytes, is_varied, 0);
    let set = payloads.run(1).len();
    let cycles = RUN_BYTES / stride(bytes) / set;
    let shape = Shape {
        max_bytes: max_bytes(bytes, is_varied),
        records: cycles * set,
        producers: 1,
        mode: Mode::Burst,
    };
    let mut ends = Vec::new();
    for peer in Peer::all() {
        let place = run.place(shape)?;
        let made = run.set_up(|| {
            Ok(Ends { peer, receiver: peer.receiver(&place)?, sender: peer.sender(&place)? })
        });
        ends.push(made.with_context(|| format!("could not set up {}", peer.name()))?);
    }
    let sum = payloads.sum().wrapping_mul(cycles as u64);
    let target = vec![0; LANE_BYTES];
    let mut bench = Bench { bytes, run: payloads.run(cycles), sum, target, at: 0, ends };
    let mut all = all_work();
    for round in 0..run.rounds(ROUNDS) {
        for turn in 0..all.len() {
            let at = (turn + round) % all.len();
            let series = &mut all[at];
            run.turn(peer_of(series.work), || bench.turn(series))?;
        }
        if round % 20 == 0 {
            run.look_at_cores();
        }
    }
    run.set_up(|| {
        drop(bench);
        Ok(())
    })?;
    Ok(all)
}

fn all_work() -> Vec<Series> {
    let each = Peer::all().map(Work::Each);
    let batch = Peer::all().filter(|peer| peer.has_batches()).map(Work::Batch);
    let all = [Work::Copy, Work::CopyAndClock].into_iter().chain(each).chain(batch);
    all.map(|work| Series { work, warm: Vec::new(), cold: Vec::new(), read: Vec::new() }).collect()
}

fn peer_of(work: Work) -> Peer {
    match work {
        Work::Each(peer) | Work::Batch(peer) => peer,
        Work::Copy | Work::CopyAndClock => Peer::Hookring,
    }
}

impl Bench<'_> {
    fn turn(&mut self, series: &mut Series) -> Result<()> {
        let records = self.run.len() as f64;
        let per_record = |time: Duration| time.as_nanos() as f64 / records;
        let (sending, _) = self.work(series.work)?;
        series.cold.push(per_record(sending));
        for _ in 1..WARM_UPS {
            self.work(series.work)?;
        }
        let (sending, reading) = self.work(series.work)?;
        series.warm.push(per_record(sending));
        series.read.push(per_record(reading));
        Ok(())
    }

    /// Does it once: what sending and reading took.
    fn work(&mut self, work: Work) -> Result<(Duration, Duration)> {
        match work {
            Work::Copy => Ok((self.copy(|| 0), Duration::ZERO)),
            Work::CopyAndClock => Ok((self.copy(sys::boottime_ns), Duration::ZERO)),
            Work::Each(peer) => self.send(peer, |sender, part| sender.send_each(part)),
            Work::Batch(peer) => self.send(peer, |sender, part| {
                part.chunks(BATCH).try_for_each(|batch| sender.send_batch(black_box(batch)))
            }),
        }
    }

    /// Copies the payloads to where hookring's records would put them.
    fn copy(&mut self, clock: impl Fn() -> u64) -> Duration {
        let start = Instant::now();
        for payload in &self.run {
            let payload = black_box(*payload);
            if self.at + stride(payload.len()) > self.target.len() {
                self.at = 0;
            }
            let target = &mut self.target[self.at + RECORD_HEADER_BYTES..][..payload.len()];
            target.copy_from_slice(payload);
            black_box(target);
            black_box(clock());
            self.at += stride(payload.len());
        }
        start.elapsed()
    }

    /// Sends a run, in parts where a contender holds no more unread, and reads it.
    fn send(
        &mut self,
        peer: Peer,
        send: impl Fn(&mut dyn Sender, &[&[u8]]) -> Result<()>,
    ) -> Result<(Duration, Duration)> {
        let ends = self.ends.iter_mut().find(|ends| ends.peer == peer);
        let Ends { sender, receiver, .. } = ends.context("that contender is not here")?;
        let mut tally = Tally::new(self.bytes, 1, false);
        let (mut sending, mut reading) = (Duration::ZERO, Duration::ZERO);
        sender.settle()?;
        for part in self.run.chunks(peer.unread_records().min(self.run.len())) {
            let start = Instant::now();
            send(sender.as_mut(), part)?;
            let sent = Instant::now();
            sending += sent - start;
            let expected = tally.records + part.len();
            while tally.records < expected {
                receiver.receive(&mut tally)?;
            }
            reading += sent.elapsed();
        }
        receiver.check()?;
        tally.check(self.run.len(), self.sum).with_context(|| peer.name())?;
        Ok((sending, reading))
    }
}

fn report(run: &mut Run, all: &[Series], bytes: usize, is_varied: bool) {
    let about = if is_varied { "about " } else { "" };
    let size = format!("{about}{bytes} B");
    let mut add = |block: &str, values: Values, ours: Work, theirs: Work, target| {
        let of = |wanted| all.iter().find(|series| series.work == wanted).map(values);
        let (Some(ours), Some(base)) = (of(ours), of(theirs)) else { return };
        let batches = block == "publish in batches of 32";
        let singly =
            if batches && matches!(theirs, Work::Each(_)) { ", one at a time" } else { "" };
        run.figures.rows.push(Row {
            block: format!("{block}, {size}: ns per record"),
            what: "hookring".to_owned(),
            value: median(ours),
            beside: format!("{}{singly}", name_of(theirs)),
            base: median(base),
            unit: "ns".to_owned(),
            ratio: median(&ratios(ours, base)),
            target,
        });
    };
    let others = || Peer::all().filter(|peer| *peer != Peer::Hookring);
    let ours = Work::Each(Peer::Hookring);
    let with_clock = Target::AtMost(if bytes == 256 { 1.4 } else { 1.25 });
    let iceoryx = |peer, limit| (peer == Peer::Iceoryx).then_some(Target::AtMost(limit));

    let block = "publish one at a time";
    add(block, |series| &series.warm, ours, Work::Copy, None);
    add(block, |series| &series.warm, ours, Work::CopyAndClock, Some(with_clock));
    for peer in others() {
        add(block, |series| &series.warm, ours, Work::Each(peer), iceoryx(peer, 0.4));
    }
    let block = "publish one at a time after other work, with cold caches";
    add(block, |series| &series.cold, ours, Work::CopyAndClock, None);
    for peer in others() {
        add(block, |series| &series.cold, ours, Work::Each(peer), None);
    }
    let (block, batch) = ("publish in batches of 32", Work::Batch(Peer::Hookring));
    add(block, |series| &series.warm, batch, Work::Copy, Some(Target::AtMost(2.5)));
    for peer in others() {
        let theirs = if peer.has_batches() { Work::Batch(peer) } else { Work::Each(peer) };
        add(block, |series| &series.warm, batch, theirs, iceoryx(peer, 0.15));
    }
    for peer in others() {
        add("read and sum up", |series| &series.read, ours, Work::Each(peer), None);
    }
}

type Values = fn(&Series) -> &Vec<f64>;

fn name_of(work: Work) -> &'static str {
    match work {
        Work::Copy => "memcpy",
        Work::CopyAndClock => "memcpy + clock",
        Work::Each(peer) | Work::Batch(peer) => peer.name(),
    }
}
