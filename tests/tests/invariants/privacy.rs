//! Payloads hold what agents see: every file is its owner's only, links are not followed, and what
//! belongs to somebody else is not used.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hookring_tests::{Bed, left_out, make_private_dir, programs, wait_for};

const PAYLOAD: &[u8] = br#"{"session_id":"s"}"#;
/// Somebody else: `nobody` on most systems.
const STRANGER: u32 = 65_534;

/// Every file and directory below.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

/// A program without a mask that would take others' rights away for it.
fn unmasked(bed: &Bed, program: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(programs().join(program));
    command.env("HOOKRING_DIR", bed.path());
    command
}

#[test]
fn everything_is_its_owners_only_whatever_the_umask() {
    let bed = Bed::new();
    let work = bed.path().join("deep/state");
    let config = "[sinks.file]\ntype = \"jsonl\"\nrotate_bytes = \"4KiB\"\ncompress = \"gzip\"\n";
    let program = |name: &str| {
        let mut command = unmasked(&bed, name);
        command.env("HOOKRING_DIR", &work);
        command
    };
    // The hook comes first and makes the directories, then the daemon.
    bed.run_hook(&mut program("hookring-emit"), PAYLOAD);
    fs::write(work.join("hookring.toml"), config).expect("the configuration");
    fs::set_permissions(work.join("hookring.toml"), fs::Permissions::from_mode(0o600))
        .expect("its mode");
    let mut daemon = bed.adopt(
        program("hookring").arg("run").stderr(Stdio::null()).spawn().expect("the daemon starts"),
    );
    for _ in 0..50 {
        bed.run_hook(&mut program("hookring-emit"), PAYLOAD);
    }
    bed.run_hook(&mut program("hookring-emit"), &vec![b'x'; 1 << 20]);
    wait_for("a compressed file", || {
        let sinks = fs::read_dir(work.join("sinks")).ok()?;
        sinks.flatten().find(|entry| entry.path().extension().is_some_and(|it| it == "gz"))
    });
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), 0);
    let export = work.join("export.jsonl");
    let exported = program("hookring").args(["journal", "export", "-o"]).arg(&export).output();
    assert!(exported.expect("the export").status.success());
    let found = walk(&bed.path().join("deep"));
    assert!(found.len() >= 12, "{found:?}");
    for path in found {
        let mode = fs::symlink_metadata(&path).expect("it is there").mode() & 0o7777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} has mode {mode:04o}", path.display());
    }
}

#[test]
fn a_directory_that_others_may_enter_is_not_used() {
    let bed = Bed::new();
    fs::set_permissions(bed.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    bed.emit(PAYLOAD);
    assert_eq!(fs::read_dir(bed.path()).expect("the directory").count(), 0);
    let (code, said) = bed.start_refused();
    assert_eq!(code, 1);
    assert!(said.contains("chmod 700"), "{said}");
}

#[test]
fn a_directory_behind_a_link_is_not_used() {
    let bed = Bed::new();
    let (real, link) = (bed.path().join("real"), bed.path().join("link"));
    make_private_dir(&real);
    symlink(&real, &link).expect("a link");
    for place in [link.clone(), link.join("")] {
        let output =
            bed.run_hook(bed.command("hookring-emit").env("HOOKRING_DIR", &place), PAYLOAD);
        assert!(output.status.success() && output.stderr.is_empty());
        let (code, said) =
            bed.start_refused_with(bed.command("hookring").env("HOOKRING_DIR", &place));
        assert_eq!(code, 1);
        assert!(said.contains("symbolic link"), "{said}");
        assert_eq!(fs::read_dir(&real).expect("the directory").count(), 0, "{}", place.display());
    }
}

#[test]
fn links_in_place_of_the_daemons_directories_stop_it() {
    for name in ["journal", "cursors"] {
        let bed = Bed::new();
        let elsewhere = bed.path().join("elsewhere");
        make_private_dir(&elsewhere);
        symlink(&elsewhere, bed.path().join(name)).expect("a link");
        let (code, said) = bed.start_refused();
        assert_eq!(code, 1);
        assert!(said.contains("symbolic link") && said.contains(name), "{said}");
        assert_eq!(fs::read_dir(&elsewhere).expect("the directory").count(), 0);
    }
}

#[test]
fn links_in_place_of_files_are_not_followed() {
    let bed = Bed::new();
    bed.configure("[sinks.file]\ntype = \"jsonl\"\n");
    // Not among hookring's own files, where a configuration may not lead.
    let elsewhere = Bed::new();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, vec![0; 1 << 20]).expect("a file");
    make_private_dir(&bed.path().join("sinks"));
    for name in ["ring", "status.json", "status.json.new", "sinks/file.jsonl"] {
        symlink(&victim, bed.path().join(name)).expect("a link");
    }
    bed.emit(PAYLOAD);
    // The bed takes a link for the status of an earlier daemon.
    let daemon = bed.start();
    bed.emit(PAYLOAD);
    wait_for("the sink's error", || {
        let error = bed.status()["sinks"][0]["last_error"].clone();
        error.is_string().then_some(())
    });
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.lines().len(), 2);
    assert!(fs::read(&victim).expect("the file").iter().all(|byte| *byte == 0));
}

#[test]
fn a_spool_behind_a_link_is_not_used_and_reported() {
    let bed = Bed::new();
    let elsewhere = bed.path().join("elsewhere");
    make_private_dir(&elsewhere);
    symlink(&elsewhere, bed.path().join("spool")).expect("a link");
    let daemon = bed.start();
    bed.emit(PAYLOAD);
    bed.emit(&vec![b'x'; 1 << 20]);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.lines().len(), 1);
    let place = &bed.status()["places"][0];
    assert_eq!(place["dropped_events"], 1, "{place}");
    let told = bed.status()["needs_attention"].to_string();
    assert!(told.contains("did not take them, and its spool cannot be used: "), "{told}");
    assert!(
        place["spool_error"].as_str().is_some_and(|error| error.contains("symbolic link")),
        "{place}"
    );
    assert_eq!(fs::read_dir(&elsewhere).expect("the directory").count(), 0);
}

/// Whether this user may give files away; else says that a test was left out.
fn may_give_away(path: &Path) -> bool {
    let given = std::os::unix::fs::lchown(path, Some(STRANGER), None).is_ok();
    if !given {
        left_out("root", "only root can give files to somebody else");
    }
    given
}

#[test]
fn somebody_elses_directory_is_not_used() {
    let bed = Bed::new();
    if !may_give_away(bed.path()) {
        return;
    }
    bed.emit(PAYLOAD);
    let (code, said) = bed.start_refused();
    assert_eq!(code, 1);
    assert!(said.contains(&format!("belongs to user {STRANGER}")), "{said}");
    assert_eq!(fs::read_dir(bed.path()).expect("the directory").count(), 0);
}

#[test]
fn somebody_elses_ring_is_replaced() {
    let bed = Bed::new();
    assert_eq!(bed.start().stop(), 0);
    let ring = bed.path().join("ring");
    let before = fs::read(&ring).expect("the ring");
    if !may_give_away(&ring) {
        return;
    }
    bed.emit_numbers(0..5);
    assert!(fs::read(&ring).expect("the ring") == before, "a hook wrote into it");
    let daemon = bed.start();
    bed.emit_numbers(5..10);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..10));
    assert_eq!(bed.status()["counts"]["retired_rings"], 1);
}
