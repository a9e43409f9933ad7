//! Clocks and time: everything stopped and continued (suspend and resume), and clocks that were set.
//!
//! Stamps are `CLOCK_BOOTTIME`, which nobody can set; only time namespaces shift it. The wall clock is
//! the machine's own, which tests leave alone.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use hookring_tests::{Bed, Daemon, left_out, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use crate::agents::{Agents, plain, wait_for_hooks};
use crate::numbered::Rng;
use crate::victims::ProducerStream;
use crate::{Seed, calm, count, dropped, new_bed, short_or_long};

const AGENTS: u32 = 6;
const PRODUCERS: u32 = 3;

fn agents<'a, C>(bed: &Bed, seed: &'a Seed, command: C) -> Agents<'a, C> {
    Agents { max_pause_us: 1_000, ..Agents::of(bed, AGENTS, seed, command) }
}

/// The hooks that run now: children of this process with the bed's directory in their environment.
fn running_hooks(bed: &Bed) -> Vec<Pid> {
    let dir = format!("HOOKRING_DIR={}", bed.path().display());
    let is_hook = |pid: &i32| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let is_ours = |environment: Vec<u8>| {
            environment.split(|byte| *byte == 0).any(|variable| variable == dir.as_bytes())
        };
        read("comm") == b"hookring-emit\n" && is_ours(read("environ"))
    };
    let names = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_hook).filter_map(Pid::from_raw).collect()
}

#[test]
fn a_machine_that_sleeps_at_any_moment_wakes_up_with_everything() {
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let daemon = bed.start();
    let mut producers: Vec<_> = (AGENTS..AGENTS + PRODUCERS)
        .map(|stream| ProducerStream::start(&bed, stream, rng.bits()))
        .collect();
    let mut stopped_hooks = 0;
    let ((), hooked) = agents(&bed, &seed, plain(&bed)).while_they_run(|ended| {
        for _ in 0..short_or_long(25, 500) {
            wait_for_hooks(ended, rng.below(10) as u32);
            thread::sleep(Duration::from_micros(rng.below(5_000)));
            stopped_hooks += suspend_and_resume(&bed, &daemon, &producers, &mut rng);
        }
        producers.iter().map(ProducerStream::wait_for_progress).for_each(drop);
    });
    println!("{stopped_hooks} hooks were stopped");
    producers.iter_mut().for_each(ProducerStream::kill);
    let mut acknowledged = hooked.acknowledged;
    acknowledged.add_producers(&producers);
    let (account, status) = calm(&bed, daemon);
    account.settle(&acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    for name in ["condemned_lanes", "damaged_bytes", "clamped_stamps", "retired_rings"] {
        assert_eq!(count(&status, name), 0, "{name} in {status}");
    }
}

/// Stops everything, in any order, and has it go on in another. How many hooks there were.
fn suspend_and_resume(
    bed: &Bed,
    daemon: &Daemon,
    producers: &[ProducerStream<'_>],
    rng: &mut Rng,
) -> usize {
    let pid = |id: u32| Pid::from_raw(id as i32).expect("a pid");
    let mut all: Vec<_> = producers.iter().map(|producer| pid(producer.id())).collect();
    all.push(pid(daemon.id()));
    let hooks = running_hooks(bed);
    all.extend(&hooks);
    for signal in [Signal::STOP, Signal::CONT] {
        for last in (1..all.len()).rev() {
            all.swap(last, rng.below(last as u64 + 1) as usize);
        }
        for pid in &all {
            // A hook may have ended before it was stopped.
            let _ = kill_process(*pid, signal);
        }
        thread::sleep(Duration::from_millis(rng.below(20)));
    }
    hooks.len()
}

/// `unshare` with the flags that give this user a time namespace, or nothing where it may not.
fn time_namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["-f", "--time"], &["-r", "-f", "--time"]];
    let works = |flags: &&&[&str]| {
        let mut command = Command::new("unshare");
        command.args(**flags).args(["--boottime", "1", "true"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = ways.iter().find(works).copied();
    if found.is_none() {
        left_out("time-namespaces", "this user cannot have one (unshare --time)");
    }
    found
}

/// A program of a bed whose clock is off by so many seconds.
fn with_clock(bed: &Bed, flags: &[&str], offset_s: i64, program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(flags).arg("--kill-child").args(["--boottime", &offset_s.to_string()]);
    command.arg(bed.command(program).get_program()).env("HOOKRING_DIR", bed.path());
    command
}

/// As far back or forward as a clock can go that must not begin before 0.
fn offset_s(rng: &mut Rng) -> i64 {
    let uptime = fs::read_to_string("/proc/uptime").expect("/proc/uptime");
    let (seconds, _) = uptime.split_once('.').expect("a fraction");
    let range = seconds.parse::<u64>().expect("a number").clamp(4, 2_000) / 2;
    rng.below(2 * range) as i64 - range as i64
}

/// Those whose clock is ahead are held back for a round, and what comes behind them in their lane with
/// them: the order among hooks is that of their arrival only about.
#[test]
fn hooks_with_other_clocks_are_clamped_and_nothing_is_lost_or_doubled() {
    let Some(flags) = time_namespace() else { return };
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let daemon = bed.start();
    // One is late, one is early.
    let offsets = [-1 - offset_s(&mut rng).abs(), 1 + offset_s(&mut rng).abs()];
    let command = |agent: u32| match offsets.get(agent as usize) {
        Some(offset) => with_clock(&bed, flags, *offset, "hookring-emit"),
        None => bed.command("hookring-emit"),
    };
    let mut agents = agents(&bed, &seed, command);
    agents.loners = AGENTS;
    let hooked = agents.run(short_or_long(300, 5_000));
    let (account, status) = calm(&bed, daemon);
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    assert!(count(&status, "clamped_stamps") > 0, "{status}");
    for name in ["condemned_lanes", "damaged_bytes", "bad_spool_entries"] {
        assert_eq!(count(&status, name), 0, "{name} in {status}");
    }
}

/// As if the clock had been set between two daemons: one sees what comes as from the future, the next
/// as from long ago.
#[test]
fn daemons_whose_clock_is_set_back_and_forth_lose_and_double_nothing() {
    let Some(flags) = time_namespace() else { return };
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let mut agents = agents(&bed, &seed, plain(&bed));
    agents.loners = AGENTS;
    let ((), hooked) = agents.while_they_run(|ended| {
        for _ in 0..short_or_long(6, 80) {
            let mut command = with_clock(&bed, flags, offset_s(&mut rng), "hookring");
            let daemon = start(&bed, command.arg("run"));
            wait_for_hooks(ended, 10 + rng.below(60) as u32);
            end(daemon, &bed);
        }
    });
    let daemon = bed.start();
    let (account, status) = calm(&bed, daemon);
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    assert_eq!((count(&status, "condemned_lanes"), count(&status, "damaged_bytes")), (0, 0));
}

/// Starts a daemon behind `unshare`, which has another pid, and waits until it works.
fn start(bed: &Bed, command: &mut Command) -> Child {
    let _ = fs::remove_file(bed.path().join("status.json"));
    let log = fs::OpenOptions::new().create(true).append(true).open(bed.path().join("daemon.log"));
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
    let mut child = command.spawn().expect("the daemon starts");
    wait_for("the daemon to start", || {
        assert!(child.try_wait().expect("its state").is_none(), "{}", bed.log());
        bed.path().join("status.json").exists().then_some(())
    });
    child
}

/// Kills it with its `unshare`, and waits until its locks are free.
fn end(mut unshare: Child, bed: &Bed) {
    unshare.kill().expect("it can be killed");
    unshare.wait().expect("its end");
    wait_for("the daemon to be gone", || (bed.status()["running"] == false).then_some(()));
}
