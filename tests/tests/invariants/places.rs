//! Without `HOOKRING_DIR` a hook and the daemon meet in places that depend on the user alone, whatever
//! their environments say. Needs root, to be a user that nobody is.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use hookring_tests::{Bed, Daemon, copy_program, left_out, make_private_dir, wait_for};
use serde_json::Value;

/// A user that nobody is, with a home directory and the programs in it.
struct Nobody {
    uid: u32,
    bed: Bed,
    home: PathBuf,
}

impl Nobody {
    /// `None`, said by [`left_out`], where this user or this machine does not allow it. `number` tells tests of this process
    /// apart.
    fn new(number: u32) -> Option<Nobody> {
        let uid = 4_000_000_000 - 4 * std::process::id() - number;
        let bed = Bed::new();
        let home = bed.path().join("home");
        fs::create_dir(&home).expect("a home");
        let everybody =
            fs::metadata("/dev/shm").is_ok_and(|shm| shm.permissions().mode() & 0o7 == 0o7);
        if !everybody || chown(&home, Some(uid), Some(uid)).is_err() {
            left_out("root", "only root can be another user, who needs /dev/shm with mode 1777");
            return None;
        }
        // The bed is root's; another user must be able to walk through it.
        fs::set_permissions(bed.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        for program in ["hookring", "hookring-emit"] {
            copy_program(program, bed.path());
        }
        Some(Nobody { uid, bed, home })
    }

    /// Its standard place: there is no `/run/user` for it.
    fn place(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/hookring-{}", self.uid))
    }

    /// A program with nothing in its environment.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bed.path().join(program));
        command.env_clear().current_dir("/").uid(self.uid).gid(self.uid);
        command
    }

    fn emit(&self, variables: &[(&str, &str)], payload: &str) {
        let mut command = self.command("hookring-emit");
        let output = self.bed.run_hook(command.envs(variables.iter().copied()), payload.as_bytes());
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    }

    fn start(&self) -> Daemon {
        let mut command = self.command("hookring");
        let command =
            command.env("HOME", &self.home).arg("run").stdin(Stdio::null()).stderr(Stdio::null());
        let daemon = self.bed.adopt(command.spawn().expect("the daemon starts"));
        wait_for("the daemon to start", || self.state().join("status.json").exists().then_some(()));
        daemon
    }

    fn state(&self) -> PathBuf {
        self.home.join(".local/state/hookring")
    }

    fn status(&self) -> Value {
        let output =
            self.command("hookring").env("HOME", &self.home).args(["status", "--json"]).output();
        serde_json::from_slice(&output.expect("status").stdout).expect("JSON")
    }

    fn exported(&self) -> Vec<u64> {
        let output =
            self.command("hookring").env("HOME", &self.home).args(["journal", "export"]).output();
        let text = String::from_utf8(output.expect("the export").stdout).expect("text");
        hookring_tests::numbers_of(&text)
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.place());
    }
}

#[test]
fn a_hook_and_a_daemon_with_different_environments_meet() {
    let Some(nobody) = Nobody::new(0) else { return };
    // A hook that cron starts, before there is a daemon.
    nobody.emit(&[], r#"{"n":0}"#);
    let daemon = nobody.start();
    nobody.emit(
        &[("HOME", "/nowhere"), ("XDG_RUNTIME_DIR", "/nowhere"), ("XDG_STATE_HOME", "/tmp")],
        r#"{"n":1}"#,
    );
    // What does not name a directory in full does not count.
    nobody.emit(&[("HOOKRING_DIR", "")], r#"{"n":2}"#);
    nobody.emit(&[("HOOKRING_DIR", "relative/path")], r#"{"n":3}"#);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(nobody.exported(), [0, 1, 2, 3]);
    let status = nobody.status();
    let paths: Vec<_> =
        status["places"].as_array().expect("places").iter().map(|place| &place["path"]).collect();
    assert!(paths.contains(&&nobody.place().display().to_string().into()), "{paths:?}");
    assert!(nobody.place().join("ring").exists());
    assert!(nobody.state().join("journal").is_dir() && nobody.state().join("cursors").is_dir());
}

#[test]
fn a_daemon_with_another_journal_does_not_take_the_ring_from_the_first() {
    let Some(nobody) = Nobody::new(1) else { return };
    let daemon = nobody.start();
    let mut second = nobody.command("hookring");
    let second = second.env("HOME", &nobody.home).env("XDG_STATE_HOME", nobody.home.join("other"));
    let (code, said) = nobody.bed.start_refused_with(second);
    assert_eq!(code, 1);
    assert!(said.contains("another hookring daemon reads the ring"), "{said}");
    nobody.emit(&[], r#"{"n":0}"#);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(nobody.exported(), [0]);
}

#[test]
fn a_daemon_that_is_refused_leaves_the_spools_limit_alone() {
    let Some(nobody) = Nobody::new(4) else { return };
    let daemon = nobody.start();
    // Away for a moment: the spool fills.
    daemon.signal("STOP");
    let large = |n: u64| format!(r#"{{"n":{n},"x":"{}"}}"#, "x".repeat(300_000));
    (0..5).for_each(|n| nobody.emit(&[], &large(n)));
    let other = nobody.home.join("other");
    let config = other.join("hookring/hookring.toml");
    make_private_dir(&other);
    make_private_dir(&other.join("hookring"));
    fs::write(&config, "[bus]\nspool_bytes = \"1MiB\"\n").expect("a configuration");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).expect("its mode");
    for path in [&other, &other.join("hookring"), &config] {
        chown(path, Some(nobody.uid), Some(nobody.uid)).expect("their owner");
    }
    let mut second = nobody.command("hookring");
    let variables = ["XDG_STATE_HOME", "XDG_CONFIG_HOME"].map(|it| (it, &other));
    let second = second.env("HOME", &nobody.home).envs(variables);
    let (code, said) = nobody.bed.start_refused_with(second);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("another hookring daemon reads the ring"), "{said}");
    (5..10).for_each(|n| nobody.emit(&[], &large(n)));
    daemon.signal("CONT");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(nobody.exported(), Vec::from_iter(0..10));
}

#[test]
fn somebody_elses_directory_under_the_standard_name_is_not_used_and_reported() {
    let Some(nobody) = Nobody::new(2) else { return };
    fs::create_dir(nobody.place()).expect("root's directory");
    nobody.emit(&[], r#"{"n":0}"#);
    let mut command = nobody.command("hookring");
    let (code, said) = nobody.bed.start_refused_with(command.env("HOME", &nobody.home));
    assert_eq!(code, 1);
    assert!(
        said.contains(&nobody.place().display().to_string()) && said.contains("belongs to uid 0"),
        "{said}"
    );
    assert_eq!(fs::read_dir(nobody.place()).expect("the directory").count(), 0);
}

#[test]
fn with_all_places_in_memory_taken_by_somebody_else_the_one_on_disk_is_made_and_used() {
    let Some(nobody) = Nobody::new(3) else { return };
    let passwd = nobody.bed.path().join("passwd");
    let line = format!("nobody:x:{}:0::{}:/bin/sh\n", nobody.uid, nobody.home.display());
    fs::write(&passwd, line).expect("a list of users");
    // Its user is in that list, and nobody else sees it.
    let command = |program: &str| {
        let script = "mount --bind \"$0\" /etc/passwd && \
                      exec setpriv --reuid \"$1\" --regid \"$1\" --clear-groups \"$2\" $3";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script]).arg(&passwd).arg(nobody.uid.to_string());
        command.arg(nobody.bed.path().join(program)).current_dir("/");
        command.env("HOME", &nobody.home).env("XDG_STATE_HOME", nobody.home.join("elsewhere"));
        command.env_remove("HOOKRING_DIR");
        command
    };
    let probe = command("hookring").arg("--version").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        left_out("mounts", "no mount namespace here, or no setpriv");
        return;
    }
    fs::create_dir(nobody.place()).expect("root's directory");
    let log = fs::File::create(nobody.bed.path().join("log")).expect("a log");
    let mut daemon = command("hookring");
    let daemon = daemon.arg("run").stdin(Stdio::null()).stderr(log);
    let daemon = nobody.bed.adopt(daemon.spawn().expect("the daemon starts"));
    let state = nobody.home.join("elsewhere/hookring");
    wait_for("the daemon to start", || state.join("status.json").exists().then_some(()));
    assert!(nobody.state().is_dir(), "the place on disk");
    let hooked = nobody.bed.run_hook(&mut command("hookring-emit"), b"{\"n\":7}");
    assert!(hooked.status.success() && hooked.stderr.is_empty(), "{hooked:?}");
    assert_eq!(daemon.stop(), 0);
    let segment = fs::read_to_string(state.join("journal/00000000000000000001.jsonl"));
    assert!(segment.expect("the journal").contains("\"payload\":{\"n\":7}"));
    let said = fs::read_to_string(nobody.bed.path().join("log")).expect("the log");
    assert!(said.contains("belongs to uid 0") && said.contains("there is no ring"), "{said}");
}
