//! Too few descriptors: the daemon does not look as if it ran while events wait.

use std::fs;
use std::process::Command;

use hookring_tests::{Bed, programs, wait_for};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// `hookring` under a limit that the shell's `ulimit` sets.
fn limited(bed: &Bed, ulimit: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit {ulimit}; exec \"$0\" \"$@\"");
    command.arg("-c").arg(script).arg(programs().join("hookring")).env("HOOKRING_DIR", bed.path());
    command
}

#[test]
fn a_daemon_that_can_have_too_few_says_so_and_ends() {
    let bed = Bed::new();
    for limit in [4, 8, 16] {
        let (code, said) = bed.start_refused_with(&mut limited(&bed, &format!("-n {limit}")));
        assert_eq!(code, 1, "{said}");
        let is_told = ["more files", &format!("now {limit}"), "ulimit -n", "Too many open files"];
        assert!(is_told.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn a_low_limit_is_raised_as_far_as_it_goes() {
    let bed = Bed::new();
    let daemon = bed.start_with(&mut limited(&bed, "-Sn 8"));
    bed.emit_numbers(0..1);
    bed.wait_for_events(1);
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).expect("its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_that_runs_out_of_them_says_so_and_goes_on_when_it_can() {
    let bed = Bed::new();
    let daemon = bed.start();
    let set = |limit: Rlimit| {
        let pid = Pid::from_raw(daemon.id() as i32);
        prlimit(pid, Resource::Nofile, limit).expect("another limit")
    };
    let usual = set(Rlimit { current: Some(3), ..rustix::process::getrlimit(Resource::Nofile) });
    fs::remove_dir_all(bed.path().join("spool")).expect("the removal");
    wait_for("the daemon to say so", || bed.log().contains("has no spool").then_some(()));
    // Too large for a lane.
    bed.emit(format!("{{\"n\":0,\"pad\":\"{}\"}}", "x".repeat(1 << 20)).as_bytes());
    set(usual);
    bed.wait_for_events(1);
    wait_for("the end of it to be told", || bed.log().contains("no longer").then_some(()));
    wait_for("the status", || bed.status()["places"][0]["spool_error"].is_null().then_some(()));
    assert_eq!(daemon.stop(), 0);
}
