//! Several daemons that are started on one directory at once and in turns.

use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use hookring_tests::{Bed, wait_for};

use crate::agents::{Agents, plain, wait_for_hooks};
use crate::numbered::Rng;
use crate::{Seed, calm, count, dropped, new_bed, short_or_long};

/// Daemons that are started at once.
const DAEMONS: usize = 3;

fn start(bed: &Bed) -> Child {
    let mut command = bed.command("hookring");
    let command = command.arg("run").stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped()).spawn().expect("a daemon starts")
}

/// Whether it ended because there is another one; it may end for no other reason.
fn has_given_way(daemon: &mut Child) -> bool {
    let Some(status) = daemon.try_wait().expect("its state") else { return false };
    let mut said = String::new();
    let mut stderr = daemon.stderr.take().expect("its stderr");
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
    assert_eq!(status.code(), Some(1), "{said}");
    let reasons =
        ["another hookring daemon reads", "stop the other daemon", "a daemon runs already"];
    assert!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
    true
}

/// Waits until no more than one is left, which is killed or told to end.
fn end_one_after_the_others(mut daemons: Vec<Child>, rng: &mut Rng) {
    wait_for("the others to give way", || {
        daemons.retain_mut(|daemon| !has_given_way(daemon));
        (daemons.len() <= 1).then_some(())
    });
    thread::sleep(Duration::from_millis(rng.below(60)));
    for mut daemon in daemons {
        if has_given_way(&mut daemon) {
            continue;
        }
        if rng.percent(50) {
            daemon.kill().expect("it can be killed");
        } else {
            let pid = rustix::process::Pid::from_child(&daemon);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
        }
        // Sometimes the next ones come while it is still there.
        if rng.percent(50) {
            daemon.wait().expect("its end");
        } else {
            thread::spawn(move || daemon.wait().expect("its end"));
        }
    }
}

#[test]
fn of_several_daemons_one_collects_whatever_becomes_of_it() {
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let folder = bed.path().to_owned();
    let max_fill_bytes = 8_000;
    let command = plain(&bed);
    let agents = Agents {
        folder,
        agents: 4,
        loners: 0,
        seed: &seed,
        command,
        max_pause_us: 2_000,
        max_fill_bytes,
    };
    let ((), hooked) = agents.while_they_run(|ended| {
        for _ in 0..short_or_long(12, 300) {
            let mut daemons = Vec::new();
            for _ in 0..DAEMONS {
                daemons.push(start(&bed));
                thread::sleep(Duration::from_micros(rng.below(2) * rng.below(10_000)));
            }
            wait_for_hooks(ended, rng.below(20) as u32);
            end_one_after_the_others(daemons, &mut rng);
        }
    });
    // The last one may be on its way out.
    let mut daemon = start(&bed);
    wait_for("one to collect", || {
        if has_given_way(&mut daemon) {
            daemon = start(&bed);
        }
        (bed.status()["pid"] == daemon.id()).then_some(())
    });
    let daemon = bed.adopt(daemon);
    let (account, status) = calm(&bed, daemon);
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    for name in ["condemned_lanes", "damaged_bytes", "bad_spool_entries", "retired_rings"] {
        assert_eq!(count(&status, name), 0, "{name} in {status}");
    }
}
