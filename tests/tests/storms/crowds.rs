//! Very many hooks at the same time, some of them in other pid namespaces or of another user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use hookring_tests::{Bed, left_out};

use crate::agents::{Agents, plain};
use crate::users::{copy_program, other_user};
use crate::{Seed, calm, count, dropped, new_bed, short_or_long};

/// Agents in a pid namespace of their own, or of another user, beside the others.
const ODD_AGENTS: u32 = 4;

fn agents<'a, C>(bed: &Bed, agents: u32, seed: &'a Seed, command: C) -> Agents<'a, C> {
    let folder = bed.path().to_owned();
    Agents { folder, agents, loners: 0, seed, command, max_pause_us: 0, max_fill_bytes: usize::MAX }
}

#[test]
fn a_crowd_of_hooks_loses_nothing() {
    let seed = Seed::choose();
    let bed = new_bed();
    let daemon = bed.start();
    let (crowd, hooks) = short_or_long((48, 3_000), (256, 40_000));
    let hooked = agents(&bed, crowd, &seed, plain(&bed)).run(hooks);
    let (account, status) = calm(&bed, daemon);
    account.settle(&hooked.acknowledged);
    assert_eq!(dropped(&status), 0);
    for name in ["condemned_lanes", "damaged_bytes", "bad_spool_entries", "retired_rings"] {
        assert_eq!(count(&status, name), 0, "{name} in {status}");
    }
}

/// `unshare` with the flags that give this user a pid namespace, or nothing where it may not have one.
fn pid_namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["-p", "-f"], &["-r", "-p", "-f"]];
    let works = |flags: &&&[&str]| {
        let mut command = Command::new("unshare");
        let status = command.args(**flags).arg("true").stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let found = ways.iter().find(works).copied();
    if found.is_none() {
        left_out("pid-namespaces", "this user cannot have one (unshare -p)");
    }
    found
}

#[test]
fn hooks_in_other_pid_namespaces_share_the_ring() {
    let Some(flags) = pid_namespace() else { return };
    let seed = Seed::choose();
    let bed = new_bed();
    let daemon = bed.start();
    let command = |agent: u32| {
        let hook = bed.command("hookring-emit");
        if agent >= ODD_AGENTS {
            return hook;
        }
        // There, each of them has the pid 1, and begins its search for a lane at the same one.
        let mut command = Command::new("unshare");
        command.args(flags).arg(hook.get_program()).env("HOOKRING_DIR", bed.path());
        command
    };
    let hooked = agents(&bed, 2 * ODD_AGENTS, &seed, command).run(short_or_long(300, 4_000));
    let (account, status) = calm(&bed, daemon);
    account.settle(&hooked.acknowledged);
    assert_eq!((dropped(&status), count(&status, "condemned_lanes")), (0, 0));
}

/// Their directory is not ours to write to, and ours not theirs: their events have nowhere to go, and
/// ours are safe.
#[test]
fn hooks_of_another_user_are_kept_out_and_end_well() {
    let Some(uid) = other_user(0) else { return };
    let seed = Seed::choose();
    let bed = new_bed();
    let daemon = bed.start();
    let theirs = tempfile::tempdir().expect("a directory");
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(theirs.path(), everybody).expect("its mode");
    copy_program("hookring-emit", theirs.path());
    let program = theirs.path().join("hookring-emit");
    // As far as file modes go, everything is open to them but for the ring's own directory.
    let command = |agent: u32| {
        if agent >= ODD_AGENTS {
            return bed.command("hookring-emit");
        }
        let mut command = Command::new(&program);
        std::os::unix::process::CommandExt::uid(&mut command, uid);
        command.env("HOOKRING_DIR", bed.path());
        command
    };
    let hooked = agents(&bed, 2 * ODD_AGENTS, &seed, command).run(short_or_long(400, 4_000));
    let (account, status) = calm(&bed, daemon);
    let lost = account.settle_but_for(&hooked.acknowledged, |number| number.stream < ODD_AGENTS);
    assert!(lost > 0, "another user's events came in");
    assert_eq!((dropped(&status), count(&status, "condemned_lanes")), (0, 0));
}
