//! A user that nobody is, with its standard places. Needs root.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hookring_tests::{Bed, Daemon, left_out, make_private_dir, programs, wait_for};
use serde_json::Value;

use crate::account::Account;

/// The id of a user that nobody is; `None`, said by [`left_out`], where this user cannot be another. `number`
/// tells tests of this process apart.
pub(crate) fn other_user(number: u32) -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        left_out("root", "only root can be another user");
        return None;
    }
    Some(3_000_000_000 - 16 * std::process::id() - number)
}

/// Copies a program to where another user can run it. By another process: what this one has open for
/// writing, a child that another test is starting just now has, too, and then nobody can run it.
pub(crate) fn copy_program(program: &str, folder: &Path) {
    let status = Command::new("cp").arg(programs().join(program)).arg(folder).status();
    assert!(status.expect("cp runs").success());
}

/// Such a user with a home directory, and the journal in that, away from the ring.
pub(crate) struct User {
    uid: u32,
    folder: tempfile::TempDir,
    /// For what is the test's own; its journal is the user's.
    bed: Bed,
}

impl User {
    /// `None`, said by [`left_out`], where there can be none.
    pub(crate) fn new(number: u32, config: &str) -> Option<User> {
        let uid = other_user(number)?;
        let shm = fs::metadata("/dev/shm").map(|shm| shm.permissions().mode());
        if !shm.is_ok_and(|mode| mode & 0o7 == 0o7) {
            left_out("root", "another user needs /dev/shm with mode 1777");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("hookring-test-").tempdir_in("/dev/shm");
        let folder = folder.expect("a directory");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        for program in ["hookring", "hookring-emit"] {
            copy_program(program, &bin);
        }
        let bed = Bed::new();
        let user = User { uid, folder, bed };
        user.make_dir(&user.state());
        let config_file = user.state().join("hookring.toml");
        fs::write(&config_file, config).expect("the configuration");
        fs::set_permissions(&config_file, fs::Permissions::from_mode(0o600)).expect("its mode");
        chown(&config_file, Some(uid), Some(uid)).expect("its owner");
        symlink(user.state().join("journal"), user.bed.path().join("journal")).expect("a link");
        Some(user)
    }

    /// Creates a private directory of this user.
    pub(crate) fn make_dir(&self, path: &Path) {
        make_private_dir(path);
        chown(path, Some(self.uid), Some(self.uid)).expect("its owner");
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("hookring")
    }

    /// The directory of the ring that all programs of this user agree on.
    pub(crate) fn place(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/hookring-{}", self.uid))
    }

    /// The directory above the place that comes before [`Self::place`]. There is none.
    pub(crate) fn run_dir(&self) -> PathBuf {
        PathBuf::from(format!("/run/user/{}", self.uid))
    }

    /// The test's own bed, in which the user's journal can be seen.
    pub(crate) fn bed(&self) -> &Bed {
        &self.bed
    }

    /// A program with nothing else in its environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.path().join("bin").join(program));
        command.env_clear().current_dir("/").uid(self.uid).gid(self.uid);
        command.env("HOME", self.folder.path()).env("XDG_STATE_HOME", self.folder.path());
        command.env("XDG_CONFIG_HOME", self.folder.path());
        command
    }

    /// Starts the daemon and waits until it collects.
    pub(crate) fn start(&self) -> Daemon {
        let status = self.state().join("status.json");
        let _ = fs::remove_file(&status);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path());
        let mut command = self.command("hookring");
        command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        let mut daemon = self.bed.adopt(command.spawn().expect("the daemon starts"));
        wait_for("the daemon to start", || {
            assert!(daemon.is_alive(), "{}", self.log());
            status.exists().then_some(())
        });
        daemon
    }

    fn log_path(&self) -> PathBuf {
        self.bed.path().join("daemon.log")
    }

    /// What its daemons said.
    pub(crate) fn log(&self) -> String {
        self.bed.log()
    }

    /// `hookring status --json`.
    pub(crate) fn status(&self) -> Value {
        let output = self.command("hookring").args(["status", "--json"]).output();
        serde_json::from_slice(&output.expect("status").stdout).expect("status is JSON")
    }

    /// The calm after a storm, as [`crate::calm`].
    pub(crate) fn calm(&self, daemon: Daemon) -> (Account, Value) {
        assert_eq!(daemon.stop(), 0, "{}", self.log());
        let verified = self.command("hookring").args(["journal", "verify"]).output();
        let verified = verified.expect("verify");
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
        let (account, status) = (Account::of(&self.bed), self.status());
        println!("{account}; {}", status["counts"]);
        (account, status)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.place());
        let _ = fs::remove_dir_all(self.run_dir());
    }
}
