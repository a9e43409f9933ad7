//! Whatever umask a hook, a program or the daemon was started with: what it makes is of use to all
//! others, and is their owner's only. Root sees no modes, so these tests are another user where they can.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hookring_tests::{Bed, Daemon, numbers_of, programs, wait_for};

/// Somebody without root's rights: `nobody` on most systems.
const USER: u32 = 65_534;
/// What takes rights from the owner, too, and what takes none.
const UMASKS: [&str; 4] = ["0", "0177", "0277", "0777"];
/// More than a ring's lane takes: it goes through the spool.
const LARGE_BYTES: usize = 300_000;

/// A bed of that user's, whose place is not made yet.
struct Home {
    bed: Bed,
    is_root: bool,
}

impl Home {
    /// `None`, said on stdout, where root cannot be somebody else.
    fn new() -> Option<Home> {
        let bed = Bed::new();
        let home = bed.path().join("home");
        fs::create_dir(&home).expect("a home");
        let is_root = fs::metadata(&home).expect("it is there").uid() == 0;
        let everybody =
            fs::metadata("/dev/shm").is_ok_and(|shm| shm.permissions().mode() & 0o7 == 0o7);
        if is_root && (!everybody || chown(&home, Some(USER), Some(USER)).is_err()) {
            println!("left out: root must become another user, who needs /dev/shm with mode 1777");
            return None;
        }
        fs::set_permissions(bed.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let producer = Path::new(env!("CARGO_BIN_EXE_publish_payload"));
        let shipped = ["hookring", "hookring-emit"].map(|program| programs().join(program));
        // By another process: one that this one forks meanwhile would hold a copy open for writing, and a
        // program that somebody may write is not run.
        let copied = Command::new("cp").args(shipped).arg(producer).arg(bed.path()).status();
        assert!(copied.expect("cp runs").success());
        Some(Home { bed, is_root })
    }

    /// The value of `HOOKRING_DIR`, with a directory above it that is not there either.
    fn place(&self) -> PathBuf {
        self.bed.path().join("home/above/place")
    }

    fn command(&self, umask: &str, program: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "umask \"$0\"; exec \"$@\"", umask]).arg(self.bed.path().join(program));
        command.env_clear().env("HOOKRING_DIR", self.place()).current_dir("/");
        if self.is_root {
            command.uid(USER).gid(USER);
        }
        command
    }

    /// A hook with a number in its payload, which has so many bytes more.
    fn emit(&self, umask: &str, number: u64, more_bytes: usize) {
        let payload = format!("{{\"n\":{number},\"more\":\"{}\"}}", "x".repeat(more_bytes));
        let output =
            self.bed.run_hook(&mut self.command(umask, "hookring-emit"), payload.as_bytes());
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    }

    fn publish(&self, umask: &str, number: u64) {
        let mut command = self.command(umask, "publish_payload");
        let output = command.arg(format!("{{\"n\":{number}}}")).output();
        let output = output.expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn start(&self, umask: &str) -> Daemon {
        let _ = fs::remove_file(self.place().join("status.json"));
        let log = fs::File::create(self.bed.path().join("daemon.log")).expect("a log");
        let mut command = self.command(umask, "hookring");
        let command = command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut daemon = self.bed.adopt(command.spawn().expect("the daemon starts"));
        wait_for("the daemon to start", || {
            assert!(daemon.is_alive(), "{}", self.bed.log());
            self.place().join("status.json").exists().then_some(())
        });
        daemon
    }

    /// That each number below this one was journaled once, and that all files are their owner's only.
    fn check(&self, events: u64) {
        let output = self.command("077", "hookring").args(["journal", "export"]).output();
        let output = output.expect("the export");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let mut numbers = numbers_of(&text);
        numbers.sort_unstable();
        assert_eq!(numbers, Vec::from_iter(0..events));
        for path in walk(&self.bed.path().join("home")) {
            let mode = fs::symlink_metadata(&path).expect("it is there").mode() & 0o7777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{} has mode {mode:04o}", path.display());
        }
    }
}

/// Every file and directory below.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(
            |path| if path.is_dir() { [walk(&path), vec![path]].concat() } else { vec![path] },
        )
        .collect()
}

#[test]
fn a_hook_that_comes_first_costs_nobody_an_event_whatever_its_umask() {
    for umask in UMASKS {
        let Some(home) = Home::new() else { return };
        home.emit(umask, 0, 0);
        home.emit("022", 1, LARGE_BYTES);
        home.publish("022", 2);
        let daemon = home.start("022");
        home.emit(umask, 3, LARGE_BYTES);
        home.emit("022", 4, LARGE_BYTES);
        assert_eq!(daemon.stop(), 0);
        home.check(5);
    }
}

#[test]
fn a_program_that_comes_first_costs_nobody_an_event_whatever_its_umask() {
    for umask in UMASKS {
        let Some(home) = Home::new() else { return };
        home.publish(umask, 0);
        home.publish(umask, 1);
        home.emit("022", 2, 0);
        let daemon = home.start("022");
        home.publish(umask, 3);
        home.emit("022", 4, LARGE_BYTES);
        assert_eq!(daemon.stop(), 0);
        home.check(5);
    }
}

#[test]
fn a_daemon_that_comes_first_costs_nobody_an_event_whatever_its_umask() {
    for umask in UMASKS {
        let Some(home) = Home::new() else { return };
        let daemon = home.start(umask);
        home.emit("022", 0, 0);
        home.publish("022", 1);
        home.emit(umask, 2, LARGE_BYTES);
        home.emit("022", 3, LARGE_BYTES);
        assert_eq!(daemon.stop(), 0);
        // What it made is of use to the next one, too.
        assert_eq!(home.start("022").stop(), 0);
        home.check(4);
    }
}

/// Whoever made them died before it could set their mode.
#[test]
fn directories_and_counters_that_keep_their_owner_out_are_given_back() {
    for (above, mode) in [(0o600, 0o600), (0o700, 0o500), (0o000, 0o000)] {
        for is_hook_first in [true, false] {
            let Some(home) = Home::new() else { return };
            home.emit("022", 0, 0);
            let set_mode = |path: &Path, mode| {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
            };
            // From below: this user may be the one who is kept out.
            set_mode(&home.place().join("spool/usage"), mode & 0o600);
            set_mode(&home.place().join("spool"), mode);
            set_mode(&home.place(), mode);
            // The daemon makes nothing above what it has: only who makes a place goes there.
            set_mode(
                home.place().parent().expect("above"),
                if is_hook_first { above } else { 0o700 },
            );
            if is_hook_first {
                home.emit("022", 1, 0);
            }
            let daemon = home.start("022");
            if !is_hook_first {
                home.emit("022", 1, LARGE_BYTES);
            }
            home.publish("022", 2);
            assert_eq!(daemon.stop(), 0);
            home.check(3);
        }
    }
}
