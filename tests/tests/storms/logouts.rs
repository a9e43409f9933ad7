//! A logout wipes the directory with ring and spool in it, and whatever runs on makes it again.

use std::fs;
use std::path::Path;
use std::time::Instant;

use hookring_tests::{SMALL, wait_for};

use crate::agents::{Agents, wait_for_hooks};
use crate::users::User;
use crate::{Seed, count, dropped, short_or_long};

const AGENTS: u32 = 4;

fn agents<'a, C>(user: &User, seed: &'a Seed, command: C) -> Agents<'a, C> {
    let folder = user.bed().path().to_owned();
    // What is too large for a lane goes to the spool, and with that.
    Agents {
        folder,
        agents: AGENTS,
        loners: 0,
        seed,
        command,
        max_pause_us: 2_000,
        max_fill_bytes: 600,
    }
}

/// Everything in the directory and the directory itself; again if somebody put something in.
fn wipe(place: &Path) {
    wait_for("the place to be wiped", || {
        (fs::remove_dir_all(place).is_ok() || !place.exists()).then_some(())
    });
}

/// Lanes enough that no hook needs the spool, whose entries a wipe takes along.
fn config() -> String {
    SMALL.replace("lanes = 8", "lanes = 32")
}

#[test]
fn what_stands_in_a_wiped_ring_is_kept_while_a_daemon_runs() {
    let Some(user) = User::new(1, &config()) else { return };
    let seed = Seed::choose();
    let mut rng = seed.rng(1000);
    let daemon = user.start();
    let wipes = short_or_long(6, 60);
    let agents = agents(&user, &seed, |_| user.command("hookring-emit"));
    let (windows, hooked) = agents.while_they_run(|ended| {
        let mut windows = Vec::new();
        for wipe_number in 1..=wipes {
            wait_for_hooks(ended, 20 + rng.below(60) as u32);
            // Half of the time the ring has something in it that nobody has seen.
            let is_stopped = rng.percent(50);
            if is_stopped {
                daemon.signal("STOP");
                wait_for_hooks(ended, 10);
            }
            let begin = Instant::now();
            wipe(&user.place());
            windows.push((begin, Instant::now()));
            if is_stopped {
                daemon.signal("CONT");
            }
            wait_for("a ring in a new directory", || {
                let retired = count(&user.status(), "retired_rings");
                (retired >= wipe_number && user.place().join("ring").exists()).then_some(())
            });
        }
        windows
    });
    let (account, status) = user.calm(daemon);
    // A hook that found no ring for a moment may have spooled into what was being wiped.
    let is_wiped = |number| {
        windows.iter().any(|(begin, end)| {
            hooked.has_begun_before(number, *end) && !hooked.has_ended_before(number, *begin)
        })
    };
    let lost = account.settle_but_for(&hooked.acknowledged, is_wiped);
    println!("{lost} spool entries were wiped");
    assert_eq!(dropped(&status), 0, "{status}");
    assert_eq!((count(&status, "condemned_lanes"), count(&status, "damaged_bytes")), (0, 0));
}

/// Nobody reads what is wiped, so it is gone, and nothing else is.
#[test]
fn what_comes_after_a_wipe_without_a_daemon_is_kept() {
    let Some(user) = User::new(2, &config()) else { return };
    let seed = Seed::choose();
    let mut rng = seed.rng(1000);
    let rounds = short_or_long(4, 40);
    let agents = agents(&user, &seed, |_| user.command("hookring-emit"));
    let (last_wipe, hooked) = agents.while_they_run(|ended| {
        let mut last_wipe = Instant::now();
        for _ in 0..rounds {
            // In turns there is a ring that nobody reads, and none.
            if rng.percent(50) {
                let daemon = user.start();
                wait_for_hooks(ended, rng.below(20) as u32);
                daemon.kill();
            }
            wait_for_hooks(ended, 20 + rng.below(60) as u32);
            wipe(&user.place());
            last_wipe = Instant::now();
        }
        wait_for_hooks(ended, 100);
        last_wipe
    });
    let daemon = user.start();
    let (account, status) = user.calm(daemon);
    let lost = account
        .settle_but_for(&hooked.acknowledged, |number| hooked.has_begun_before(number, last_wipe));
    println!("{lost} events were wiped");
    assert_eq!((count(&status, "condemned_lanes"), count(&status, "damaged_bytes")), (0, 0));
}
