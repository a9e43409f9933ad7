//! Processes that are killed or stopped at any moment: every event whose publish returned is in the
//! journal exactly once, whole, and in its producer's order.
//!
//! `HOOKRING_TEST_LONG=1` runs the long forms (tests/long.sh does); `HOOKRING_TEST_SEED` repeats the
//! choices of an earlier run, as far as processes that run at the same time can be repeated.

mod account;
#[path = "../../src/bin/crash_producer/numbered.rs"]
mod numbered;
mod seed;
mod victims;
mod windows;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use account::{Account, Acknowledged};
use hookring_producer::Producer;
use hookring_tests::{Bed, wait_for};
use numbered::{Number, Rng, payload};
use seed::Seed;
use victims::{HookStream, KilledDaemon, ProducerStream};
use windows::Windows;

/// Library producers at a time.
const PRODUCERS: u32 = 64;
/// Streams of hook processes beside them.
const HOOK_STREAMS: u32 = 4;

/// Small lanes and segments, so that lanes fill up and segments end all the time; lanes for three
/// quarters of the producers, so that some have to do without.
const CONFIG: &str = r#"
[bus]
lanes = 96
lane_bytes = "64KiB"
spool_bytes = "SPOOL"

[journal]
segment_bytes = "64KiB"
retention_bytes = "1TiB"
"#;

fn new_bed(spool_bytes: &str) -> Bed {
    let bed = Bed::new();
    bed.configure(&CONFIG.replace("SPOOL", spool_bytes));
    bed
}

#[test]
fn nothing_is_lost_or_doubled_while_producers_and_the_daemon_are_killed() {
    let (kills, daemon_kills) = if is_long() { (10_000, 100) } else { (1_500, 15) };
    let seed = Seed::choose();
    let run = Run { bed: new_bed("64GiB"), kills, daemon_kills, hook_streams: HOOK_STREAMS };
    assert_eq!(run.to_its_end(&seed), 0, "events dropped");
}

/// A hook that finds ring and spool full has nobody to tell, so there are none here.
#[test]
fn nothing_is_lost_or_doubled_where_the_spool_reaches_its_limit() {
    let (kills, daemon_kills) = if is_long() { (2_000, 20) } else { (300, 5) };
    let seed = Seed::choose();
    let run = Run { bed: new_bed("1MiB"), kills, daemon_kills, hook_streams: 0 };
    assert_ne!(run.to_its_end(&seed), 0, "the limit was never reached");
}

/// Producers that are killed one after the other while the daemon is, too.
struct Run {
    bed: Bed,
    kills: u32,
    daemon_kills: u32,
    hook_streams: u32,
}

impl Run {
    /// How many events the daemon says were dropped because nothing had room.
    fn to_its_end(&self, seed: &Seed) -> u64 {
        let killed = AtomicU32::new(0);
        let wanted = || killed.load(Ordering::Relaxed) < self.kills;
        let mut daemon = KilledDaemon::start(&self.bed);
        let mut acknowledged = Acknowledged::default();
        thread::scope(|scope| {
            let hooks: Vec<_> = (0..self.hook_streams)
                .map(|hook| {
                    let mut stream = HookStream::new(&self.bed, PRODUCERS + hook, seed.rng(hook));
                    let killed = &killed;
                    scope.spawn(move || {
                        while wanted() {
                            killed.fetch_add(u32::from(stream.run_one()), Ordering::Relaxed);
                        }
                        stream
                    })
                })
                .collect();
            let producers = scope.spawn(|| kill_producers(&self.bed, &killed, self.kills, seed));
            let mut rng = seed.rng(1001);
            for kill in 0..self.daemon_kills {
                let due = kill * (self.kills / self.daemon_kills);
                while killed.load(Ordering::Relaxed) < due && !producers.is_finished() {
                    thread::sleep(Duration::from_millis(1));
                }
                daemon.kill_some_time_and_restart(&mut rng);
            }
            acknowledged.add_producers(&producers.join().expect("the producers' killer"));
            hooks.into_iter().for_each(|hook| acknowledged.add_hooks(&hook.join().expect("hooks")));
        });
        let status = daemon.drain();
        let dropped = status["places"][0]["dropped_events"].as_u64().expect("a count");
        let account = Account::of(&self.bed);
        let kills = killed.load(Ordering::Relaxed);
        println!("{kills} producers and {} daemons killed: {account}", daemon.kills());
        account.settle(&acknowledged);
        dropped
    }
}

/// Keeps [`PRODUCERS`] producers at work and kills one after the other, until `wanted` processes were
/// killed; then the rest.
fn kill_producers<'a>(
    bed: &'a Bed,
    killed: &AtomicU32,
    wanted: u32,
    seed: &Seed,
) -> Vec<ProducerStream<'a>> {
    let mut rng = seed.rng(1000);
    let mut start = |stream| ProducerStream::start(bed, stream, rng.bits());
    let mut streams: Vec<_> = (0..PRODUCERS).map(&mut start).collect();
    while killed.fetch_add(1, Ordering::Relaxed) < wanted {
        let victim = &mut streams[rng.below(u64::from(PRODUCERS)) as usize];
        if rng.percent(70) {
            // In the middle of its work; else wherever it is, mostly in a pause.
            victim.hurry();
            thread::sleep(Duration::from_micros(rng.below(4_000)));
        }
        victim.kill();
        victim.restart(rng.bits());
    }
    killed.fetch_sub(1, Ordering::Relaxed);
    streams.iter_mut().for_each(ProducerStream::kill);
    streams
}

#[test]
fn nothing_is_lost_or_doubled_when_the_daemon_dies_between_writing_and_releasing() {
    let kills = if is_long() { 600 } else { 120 };
    let seed = Seed::choose();
    let bed = new_bed("64GiB");
    let mut daemon = KilledDaemon::start(&bed);
    let mut windows = Windows::default();
    let is_over = AtomicBool::new(false);
    let published = thread::scope(|scope| {
        let producer = scope.spawn(|| publish_steadily(bed.path(), &is_over, seed.rng(0)));
        let mut rng = seed.rng(1001);
        // Few kills come while a segment is begun, so it goes on until some did.
        while daemon.kills() < kills || (!windows.are_hit() && daemon.kills() < 10 * kills) {
            if producer.is_finished() {
                break;
            }
            daemon.kill_in_a_window_and_restart(&mut rng, |bed| windows.count(bed));
        }
        is_over.store(true, Ordering::Relaxed);
        producer.join().expect("the producer")
    });
    daemon.drain();
    let account = Account::of(&bed);
    println!("{} daemons killed, {windows:?}: {account}", daemon.kills());
    assert!(windows.are_hit(), "no kill came in one of the windows: {windows:?}");
    let mut acknowledged = Acknowledged::default();
    acknowledged.add(0, 0, published);
    account.settle(&acknowledged);
}

/// Publishes until told to stop; the number of the last event.
fn publish_steadily(dir: &Path, is_over: &AtomicBool, mut rng: Rng) -> u32 {
    let mut producer = Producer::open_in(dir).expect("a producer");
    let mut number = Number { stream: 0, life: 0, event: 0 };
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..rng.below(40) {
            number.event += 1;
            let payload = payload(number, rng.fill_bytes());
            producer.publish(payload.as_slice()).expect("published");
        }
        thread::sleep(Duration::from_millis(rng.below(5)));
    }
    number.event
}

#[test]
fn a_stopped_producer_keeps_nobody_back_and_goes_on_later() {
    let rounds = if is_long() { 50 } else { 8 };
    let seed = Seed::choose();
    let bed = new_bed("64GiB");
    let daemon = bed.start();
    let mut rng = seed.rng(0);
    let start = |stream| ProducerStream::start(&bed, stream, rng.bits());
    let mut streams: Vec<_> = (0..8).map(start).collect();
    let mut hooks = HookStream::new(&bed, 8, seed.rng(1));
    for _ in 0..rounds {
        let (stopped, others) = streams.split_at_mut(1 + rng.below(6) as usize);
        stopped.iter_mut().for_each(ProducerStream::hurry);
        thread::sleep(Duration::from_micros(rng.below(10_000)));
        stopped.iter().for_each(|stream| stream.signal("STOP"));
        let before: Vec<_> = stopped.iter().map(ProducerStream::acknowledged).collect();
        others_go_on(&bed, others, &mut hooks);
        let after: Vec<_> = stopped.iter().map(ProducerStream::acknowledged).collect();
        assert_eq!(before, after, "a stopped producer published");
        stopped.iter_mut().for_each(ProducerStream::relax);
        stopped.iter().for_each(|stream| stream.signal("CONT"));
        for stream in stopped.iter() {
            stream.wait_for_progress();
        }
    }
    streams.iter_mut().for_each(ProducerStream::kill);
    assert_eq!(daemon.stop(), 0, "{}", bed.log());
    let mut acknowledged = Acknowledged::default();
    acknowledged.add_producers(&streams);
    acknowledged.add_hooks(&hooks);
    let account = Account::of(&bed);
    println!("{account}");
    account.settle(&acknowledged);
}

/// Waits until these producers and a hook have published something, and it is in the journal.
fn others_go_on(bed: &Bed, others: &[ProducerStream<'_>], hooks: &mut HookStream<'_>) {
    hooks.run_whole();
    let published: Vec<_> = others.iter().map(ProducerStream::wait_for_progress).collect();
    wait_for("the others' events in the journal", || {
        let account = Account::of(bed);
        let has = |(stream, event): (&ProducerStream<'_>, &u32)| {
            account.last_of(stream.stream(), 0) >= *event
        };
        let all = others.iter().zip(&published).all(has);
        (all && account.last_of(hooks.stream(), hooks.last_life()) == 1).then_some(())
    });
}

fn is_long() -> bool {
    std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1")
}
