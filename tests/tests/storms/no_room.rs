//! No room: a full tmpfs, a full disk under the journal, no descriptors; and room again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicU32;

use hookring_tests::{Bed, Daemon, SMALL, programs, wait_for};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;

use crate::account::Account;
use crate::agents::{Agents, plain, wait_for_hooks};
use crate::numbered::Rng;
use crate::{Seed, calm, count, dropped, new_bed, short_or_long};

const AGENTS: u32 = 4;

/// A full disk has the daemon delete what every sink has, so the account is that of a sink, whose file
/// is elsewhere.
fn config(sink: &Path) -> String {
    format!("{SMALL}[sinks.file]\ntype = \"jsonl\"\npath = \"{}\"\n", sink.display())
}

/// The calm, until the sink has everything, too. Its account, and the last status.
fn calm_with_sink(bed: &Bed, daemon: Daemon, sink: &Path) -> (Account, Value) {
    wait_for("the journal to go on", || bed.status()["journal"]["paused"].is_null().then_some(()));
    let (_, status) = calm(bed, daemon);
    // The sink may not have come that far when its daemon ended.
    let daemon = bed.start();
    wait_for("the sink to have everything", || {
        let sink = &bed.status()["sinks"][0];
        (sink["state"] == "running" && sink["lag_events"] == 0).then_some(())
    });
    assert_eq!(daemon.stop(), 0, "{}", bed.log());
    let account = Account::of_files(&[sink.to_owned()]);
    println!("{account}, as the sink has them");
    (account, status)
}

/// Payloads come from another directory than the one that is full.
fn agents<'a, C>(folder: &Bed, seed: &'a Seed, command: C) -> Agents<'a, C> {
    let agents = Agents::of(folder, AGENTS, seed, command);
    Agents { max_pause_us: 1_000, max_fill_bytes: 4_000, ..agents }
}

/// Fills a file system, to its last byte or nearly; removing the file makes room again.
fn fill(folder: &Path, rng: &mut Rng) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).expect("the filler");
    let sizes: &[usize] = if rng.percent(70) { &[65_536, 4_096, 1] } else { &[65_536] };
    for size in sizes {
        while file.write_all(&vec![0x55; *size]).is_ok() {}
    }
    path
}

/// Fills and empties it in turns while hooks run.
fn fill_and_empty(folder: &Path, ended: &AtomicU32, rng: &mut Rng) {
    for _ in 0..short_or_long(5, 60) {
        wait_for_hooks(ended, 10 + rng.below(40) as u32);
        let filler = fill(folder, rng);
        wait_for_hooks(ended, 10 + rng.below(100) as u32);
        fs::remove_file(filler).expect("room is made");
    }
    wait_for_hooks(ended, 50);
}

#[test]
fn what_a_full_tmpfs_cannot_take_is_counted_to_the_last_event() {
    let Some(bed) = Bed::with_tmpfs("", "size=32m,mode=0700") else { return };
    let payloads = Bed::new();
    let sink = payloads.path().join("sink.jsonl");
    bed.configure(&config(&sink));
    let seed = Seed::choose();
    let mut rng = seed.rng(1000);
    let daemon = bed.start();
    let agents = agents(&payloads, &seed, plain(&bed));
    let ((), hooked) = agents.while_they_run(|ended| fill_and_empty(bed.path(), ended, &mut rng));
    let (account, status) = calm_with_sink(&bed, daemon, &sink);
    let lost = account.settle_but_for(&hooked.acknowledged, |_| true);
    assert_eq!(lost, dropped(&status), "{status}");
    for name in ["condemned_lanes", "damaged_bytes", "bad_spool_entries"] {
        assert_eq!(count(&status, name), 0, "{name} in {status}");
    }
}

#[test]
fn a_journal_whose_disk_is_full_in_turns_has_everything_in_the_end() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=32m,mode=0700") else { return };
    let elsewhere = Bed::new();
    let sink = elsewhere.path().join("sink.jsonl");
    bed.configure(&config(&sink));
    let seed = Seed::choose();
    let mut rng = seed.rng(1000);
    let mut daemon = bed.start();
    let agents = agents(&bed, &seed, plain(&bed));
    let (daemon, hooked) = agents.while_they_run(|ended| {
        for _ in 0..short_or_long(3, 40) {
            fill_and_empty_once(&bed, ended, &mut rng);
            // Some die over it.
            if rng.percent(50) {
                daemon.kill();
                daemon = bed.start();
            }
        }
        daemon
    });
    let (account, status) = calm_with_sink(&bed, daemon, &sink);
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
}

fn fill_and_empty_once(bed: &Bed, ended: &AtomicU32, rng: &mut Rng) {
    wait_for_hooks(ended, 10 + rng.below(40) as u32);
    let filler = fill(&bed.path().join("journal"), rng);
    wait_for_hooks(ended, 10 + rng.below(100) as u32);
    fs::remove_file(filler).expect("room is made");
}

/// Two descriptors and what it has are enough for a hook, whatever else its agent left open.
#[test]
fn hooks_with_few_descriptors_and_a_daemon_that_runs_out_of_them_lose_nothing() {
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let daemon = bed.start();
    let pid = Pid::from_raw(daemon.id() as i32);
    let usual = getrlimit(Resource::Nofile);
    let set = |limit| prlimit(pid, Resource::Nofile, limit).expect("another limit");
    let own = set(usual);
    let command = |agent: u32| {
        let mut command = Command::new("sh");
        let script = "ulimit -n \"$1\"; exec \"$0\"";
        command.args(["-c", script]).arg(programs().join("hookring-emit"));
        command.arg((6 + agent).to_string()).env("HOOKRING_DIR", bed.path());
        command
    };
    let mut agents = agents(&bed, &seed, command);
    // What was in a spool that is moved away and back comes out late.
    agents.loners = AGENTS;
    let ((), hooked) = agents.while_they_run(|ended| {
        for _ in 0..short_or_long(6, 80) {
            wait_for_hooks(ended, rng.below(30) as u32);
            let current = Some(rng.below(24));
            set(Rlimit { current, ..own });
            // So that it needs new ones.
            let _ = match rng.below(3) {
                0 => fs::remove_file(bed.path().join("ring")),
                1 => fs::rename(bed.path().join("spool"), bed.path().join("aside")),
                _ => Ok(()),
            };
            wait_for_hooks(ended, 10 + rng.below(60) as u32);
            set(own);
            // What was spooled there is not lost by being moved.
            put_back(&bed);
        }
        wait_for_hooks(ended, 50);
    });
    wait_for("a ring and a spool", || {
        let place = &bed.status()["places"][0];
        (place["lanes"] == 8 && place["spool_error"].is_null()).then_some(())
    });
    let (account, status) = calm(&bed, daemon);
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    assert_eq!((count(&status, "condemned_lanes"), count(&status, "damaged_bytes")), (0, 0));
}

/// Puts the entries of a spool that was moved away into the present one.
fn put_back(bed: &Bed) {
    let aside = bed.path().join("aside");
    let Ok(entries) = fs::read_dir(&aside) else { return };
    let spool = wait_for("a spool", || {
        let spool = bed.path().join("spool");
        spool.exists().then_some(spool)
    });
    for entry in entries.map(|entry| entry.expect("an entry")) {
        if entry.file_name() != "usage" {
            fs::rename(entry.path(), spool.join(entry.file_name())).expect("it is moved");
        }
    }
    fs::remove_dir_all(aside).expect("it goes");
}
