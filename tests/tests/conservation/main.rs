//! Conservation: whatever happens to the daemon, its disk, its configuration and the places that events go to, and
//! whatever people have it do, each event whose hook ended reaches each sink at least once, in its session's order,
//! and under one id.
//!
//! A minute of that, or ten in the long form (`HOOKRING_TEST_LONG=1`, tests/long.sh); then a calm, in which the
//! account of each sink is taken. `HOOKRING_TEST_SEED` repeats the choices of an earlier run, as far as processes
//! that run at the same time can be repeated.

#[allow(dead_code, reason = "the crash tests need more of it")]
#[path = "../crash/account.rs"]
mod account;
#[allow(dead_code, reason = "the storms need more of it")]
#[path = "../storms/agents.rs"]
mod agents;
mod arrivals;
#[path = "../../src/bin/crash_producer/numbered.rs"]
mod numbered;
mod people;
mod places;
#[path = "../crash/seed.rs"]
mod seed;
#[allow(dead_code, reason = "the crash tests need more of it")]
#[path = "../crash/victims.rs"]
mod victims;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::{Duration, Instant};

use agents::{Agents, plain, wait_for_hooks};
use hookring_tests::{Bed, Daemon, wait_for};
use numbered::Rng;
use people::People;
use places::{Places, SINKS};
use seed::Seed;

/// Sessions at a time.
const AGENTS: u32 = 4;
/// Of the disk that is full all the time.
const DISK: &str = "size=32m,mode=0700";
/// What is on it. (Where the spool has no room, either, events are dropped; that is for other tests.)
const ON_DISK: [&str; 3] = ["journal", "cursors", "dead_letters"];

#[test]
fn every_event_reaches_every_sink() {
    let Some(bed) = Bed::with_tmpfs_for("disk", DISK, &ON_DISK) else { return };
    let seed = Seed::choose();
    let places = Places::start(&seed);
    let (rng, done, people) = (seed.rng(1000), Done::default(), People::default());
    let mut storm = Storm { bed: &bed, places: &places, rng, done, people };
    storm.configure();
    let mut daemon = Some(bed.start());
    let agents = Agents::of(places.folder(), AGENTS, &seed, plain(&bed));
    let agents = Agents { max_pause_us: 10_000, max_fill_bytes: 4_000, ..agents };
    let ((), hooked) = agents.while_they_run(|ended| storm.rage(&mut daemon, ended));
    println!("{:?}, {} commands", storm.done, storm.people.commands);
    places.calm();
    drop(daemon);
    // Begins anew, and so does not wait for what failed.
    let daemon = bed.start();
    storm.people.leave();
    for sink in SINKS {
        let resumed = bed.hookring(&["sink", "resume", sink]);
        assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    }
    wait_for_all(&bed);
    wait_for("the dead letters to be taken", || {
        // (One that is under way does not have those that came later.)
        bed.hookring(&["dlq", "retry", "--all"]);
        (kept_letters(&bed) == 0).then_some(())
    });
    let status = bed.status();
    assert_eq!(daemon.stop(), 0, "{}", bed.log());
    for sink in status["sinks"].as_array().expect("sinks") {
        assert_eq!(sink["given_up_dead_letters"], 0, "{sink}");
        // (It may have been told to go back to what the journal no longer has, which then counts as lost.)
    }
    for (sink, arrivals) in places.arrivals() {
        arrivals.settle(sink, &hooked.acknowledged);
    }
}

fn kept_letters(bed: &Bed) -> u64 {
    let status = bed.status();
    let sinks = status["sinks"].as_array().expect("sinks").iter();
    sinks.map(|sink| sink["kept_dead_letters"].as_u64().expect("a count")).sum()
}

/// Waits until each sink has everything and nothing is sent again, however long that takes as long as it goes on.
fn wait_for_all(bed: &Bed) {
    let left = || {
        let status = bed.status();
        let is_paused = !status["journal"]["paused"].is_null();
        let sinks = status["sinks"].as_array().expect("sinks");
        let lag =
            sinks.iter().map(|sink| sink["lag_events"].as_u64().expect("a count")).sum::<u64>();
        let again: Vec<_> =
            sinks.iter().map(|it| [&it["replay"], &it["retry"]].map(Clone::clone)).collect();
        let pending = status["places"].as_array().expect("places").iter();
        let spooled: u64 = pending.filter_map(|it| it["spool_records"].as_u64()).sum();
        (is_paused, spooled, lag, again)
    };
    loop {
        let before = left();
        let is_again = before.3.iter().flatten().any(|it| !it.is_null());
        if (before.0, before.1, before.2, is_again) == (false, 0, 0, false) {
            return;
        }
        wait_for("the sinks to go on", || (left() != before).then_some(()));
    }
}

/// How often each thing happened.
#[derive(Default, Debug)]
struct Done {
    kills: u32,
    reloads: u32,
    fillings: u32,
    ends: u32,
}

struct Storm<'a> {
    bed: &'a Bed,
    places: &'a Places,
    rng: Rng,
    done: Done,
    people: People,
}

impl Storm<'_> {
    fn rage(&mut self, daemon: &mut Option<Daemon>, ended: &AtomicU32) {
        let is_long = std::env::var_os("HOOKRING_TEST_LONG").is_some_and(|value| value == "1");
        let end = Instant::now() + Duration::from_secs(if is_long { 600 } else { 60 });
        while Instant::now() < end {
            wait_for_hooks(ended, self.rng.below(60) as u32);
            match self.rng.below(14) {
                0..4 => {
                    daemon.take().expect("a daemon").kill();
                    self.done.kills += 1;
                    thread::sleep(Duration::from_millis(self.rng.below(200)));
                    *daemon = Some(self.bed.start());
                }
                4 => {
                    let code = daemon.take().expect("a daemon").stop();
                    // With its disk full, it leaves what it could not take, and says so.
                    let log = self.bed.log();
                    let is_left = log.lines().last().is_some_and(|line| line.contains("are left"));
                    assert_eq!(code, i32::from(is_left), "{log}");
                    self.done.ends += 1;
                    *daemon = Some(self.bed.start());
                }
                5..7 => {
                    self.configure();
                    daemon.as_ref().expect("a daemon").signal("HUP");
                    self.done.reloads += 1;
                }
                7..9 => {
                    let filler = fill(&self.bed.path().join("disk"));
                    wait_for_hooks(ended, 10 + self.rng.below(100) as u32);
                    fs::remove_file(filler).expect("room is made");
                    self.done.fillings += 1;
                }
                9 => self.places.change(&mut self.rng),
                _ => self.people.act(self.bed, &SINKS, &mut self.rng),
            }
        }
    }

    /// Another configuration than before, mostly.
    fn configure(&mut self) {
        let batch = ["1", "7", "100", "1000"][self.rng.below(4) as usize];
        let age = ["0s", "5ms", "300ms"][self.rng.below(3) as usize];
        self.bed.configure(&self.places.config(batch, age));
    }
}

/// Fills a file system; removing the file makes room again.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).expect("the filler");
    while file.write_all(&[0x55; 4096]).is_ok() {}
    path
}
