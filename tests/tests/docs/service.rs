//! `packaging/hookring.service`: what it says of the program is what the program does.

use std::fs;
use std::process::Command;

use hookring_tests::{Bed, left_out, programs, wait_for};

use crate::{Document, root};

fn unit() -> String {
    fs::read_to_string(root().join("packaging/hookring.service")).expect("the unit")
}

/// The value of a directive, which must be there once.
fn value(name: &str) -> String {
    let unit = unit();
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("there is no {name}"));
    assert_eq!(values.next(), None, "{name} stands there twice");
    value.to_owned()
}

/// The arguments of `ExecStart`, behind a program that stands where the README installs it.
fn start_arguments() -> Vec<String> {
    let command = value("ExecStart");
    let (program, arguments) = command.split_once(' ').expect("arguments");
    let folder = program.strip_prefix("%h/").and_then(|path| path.strip_suffix("/hookring"));
    let install = format!("target/hookring/hookring-emit ~/{}/", folder.expect("a home"));
    assert!(Document::read("README.md").text.contains(&install), "{install}");
    arguments.split(' ').map(str::to_owned).collect()
}

#[test]
fn it_starts_reloads_and_stops_the_daemon() {
    assert_eq!(start_arguments(), ["run"], "what the bed starts a daemon with");
    let bed = Bed::new();
    let daemon = bed.start();
    let reload = value("ExecReload").replace("$MAINPID", &daemon.id().to_string());
    let status = Command::new("sh").args(["-c", &reload]).status().expect("sh runs");
    assert!(status.success(), "`{reload}` ended with {status}");
    wait_for("the reload", || bed.log().contains("was read again").then_some(()));
    // systemd stops it with SIGTERM, and a good end is no failure after which it would restart.
    assert_eq!(value("Restart"), "on-failure");
    assert!(!unit().contains("KillSignal"));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_wrong_configuration_is_not_tried_again() {
    let bed = Bed::new();
    bed.configure("lanes = 3\n");
    let (code, _) = bed.start_refused();
    assert_eq!(value("RestartPreventExitStatus"), code.to_string());
}

/// Hooks run outside of the service, and must find what the daemon finds.
#[test]
fn it_hides_no_place_and_removes_none() {
    let unit = unit();
    for directive in [
        "RuntimeDirectory",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateIPC",
        "PrivateUsers",
        "PrivateMounts",
        "ProtectHome",
        "ProtectSystem",
        "TemporaryFileSystem",
        "InaccessiblePaths",
        "ReadOnlyPaths",
        "RootDirectory",
        "DynamicUser",
    ] {
        let is_set = unit.lines().any(|line| line.starts_with(&format!("{directive}=")));
        assert!(!is_set, "{directive} would take a place away");
    }
}

#[test]
fn systemd_takes_it() {
    let bed = Bed::new();
    let file = bed.path().join("hookring.service");
    let program = programs().join("hookring");
    let text = unit().replace("%h/.local/bin/hookring", program.to_str().expect("text"));
    // What it says of other units is not about this one.
    let complaints = |text: &str| {
        fs::write(&file, text).expect("the unit");
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["--user", "verify"]).arg(&file).env("XDG_RUNTIME_DIR", bed.path());
        let output = analyze.output().ok()?;
        let said = String::from_utf8(output.stderr).expect("text");
        Some(said.lines().filter(|line| line.contains("hookring.service")).count())
    };
    // One that cannot load a unit here (no manager may run) finds no fault with this one, either.
    if complaints(&text.replace("Restart=", "Restrat=")) != Some(1) {
        left_out("systemd-analyze", "it is not there, or can verify nothing here");
        return;
    }
    assert_eq!(complaints(&text), Some(0));
}
