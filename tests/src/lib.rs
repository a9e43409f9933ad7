//! What the whole-system tests share: the real programs, a place of their own to run in, and ways to
//! wait for conditions.

mod disk;
mod left_out;
mod lines;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use disk::PrivateMount;
pub use left_out::left_out;
pub use lines::{assert_holds, is_own, members, number, numbers_of, without_whitespace};
use serde_json::Value;

/// How often a condition is looked at before its test fails, and the pause after each look: a minute
/// and the looks. Counted and not measured, so that a test that was itself stopped for a while gives up no
/// sooner.
const LOOKS: usize = 30_000;
const PAUSE: Duration = Duration::from_millis(2);

/// The folder with `hookring` and `hookring-emit` as users get them: named by `cargo xtask test`, or
/// built now.
pub fn programs() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| match std::env::var_os("HOOKRING_TEST_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => build_programs(),
    })
}

fn build_programs() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "xtask", "--", "build"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo xtask build failed");
    PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
}

/// The namespaces of hooks' events, as a pattern: what `--namespace` takes to leave out the daemon's own.
pub const HOOKS: &str = "{session,agent,hook,todo,memory,log}";

/// A configuration with small lanes, few of them, and small segments, so that everything fills up and ends all the
/// time.
pub const SMALL: &str = r#"
[bus]
lanes = 8
lane_bytes = "16KiB"
spool_bytes = "64GiB"

[journal]
segment_bytes = "64KiB"
retention_bytes = "1TiB"
"#;

/// Waits until `check` gives something.
///
/// # Panics
/// If it was looked at for two minutes for nothing.
pub fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = check() {
            return found;
        }
        thread::sleep(PAUSE);
    }
    panic!("gave up waiting for {what}");
}

/// Copies one of the programs into a folder, to be run there. By a process of its own: a child that another
/// test forks meanwhile would have the file open for writing, and nobody can run a program that is.
pub fn copy_program(name: &str, folder: &Path) {
    let copied = Command::new("cp").arg(programs().join(name)).arg(folder).status();
    assert!(copied.expect("cp runs").success(), "{name} cannot be copied");
}

/// Has a command begin with SIGBUS blocked, as it may inherit it.
pub fn block_sigbus(command: &mut Command) -> &mut Command {
    let block = || {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: room for a set, which this fills.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: a set, and a signal that there is.
        unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGBUS) };
        // SAFETY: a set; the old one is not asked for.
        match unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes calls that are allowed between fork and exec.
    unsafe { command.pre_exec(block) }
}

/// A directory of its own for ring, spool, journal and configuration, on tmpfs where there is one.
/// Removed when dropped.
pub struct Bed {
    path: PathBuf,
    // Dropped in this order: what is mounted on the directory goes before it.
    _mount: Option<PrivateMount>,
    _dir: tempfile::TempDir,
}

impl Default for Bed {
    fn default() -> Self {
        Bed::new()
    }
}

impl Bed {
    /// An empty directory.
    pub fn new() -> Bed {
        let shm = Path::new("/dev/shm");
        let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new()
            .prefix("hookring-test-")
            .tempdir_in(base)
            .expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("its mode");
        Bed { path: dir.path().to_owned(), _mount: None, _dir: dir }
    }

    /// An empty directory on whose folder `folder` (all of it: `""`) a tmpfs is mounted with these
    /// options, such as `size=1m,mode=0700`. `None`, said by [`left_out`], where this user cannot mount.
    pub fn with_tmpfs(folder: &str, options: &str) -> Option<Bed> {
        Bed::with_tmpfs_for(folder, options, &[])
    }

    /// The same with a tmpfs that holds the folders `on_it` of the directory, too: they are full at the same time.
    pub fn with_tmpfs_for(folder: &str, options: &str, on_it: &[&str]) -> Option<Bed> {
        let mut bed = Bed::new();
        let folder = bed.path.join(folder);
        let on_it: Vec<_> = on_it.iter().map(|it| bed.path.join(it)).collect();
        on_it.iter().chain([&folder]).for_each(|it| make_private_dir(it));
        let Some(mount) = PrivateMount::tmpfs(&folder, options, &on_it) else {
            left_out("mounts", "this user cannot mount a tmpfs (unshare -m)");
            return None;
        };
        bed.path = mount.path(&bed.path);
        bed._mount = Some(mount);
        Some(bed)
    }

    /// Its path, the value of `HOOKRING_DIR`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the configuration, in which each sink that has no filter gets one: it leaves out the events of
    /// the daemon itself, so that what it gets is what hooks sent.
    pub fn configure(&self, toml: &str) {
        let mut toml = toml.to_owned();
        let sections = toml.lines().filter_map(|line| line.strip_prefix("[sinks."));
        let names = sections.filter_map(|rest| rest.split_once(']')).map(|(name, _)| name);
        let names: Vec<_> = names.filter(|name| !name.contains('.')).map(str::to_owned).collect();
        for name in names {
            if !toml.contains(&format!("[sinks.{name}.filter")) {
                toml += &format!("\n[sinks.{name}.filter.exclude]\nnamespaces = [\"system\"]\n");
            }
        }
        self.configure_as_it_is(&toml);
    }

    /// Writes the configuration, to the byte.
    pub fn configure_as_it_is(&self, toml: &str) {
        let path = self.path().join("hookring.toml");
        fs::write(&path, toml).expect("the configuration");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    /// One of the programs, in this bed's environment and none of the user's.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command.env("HOOKRING_DIR", self.path());
        for variable in ["HOOKRING_OFF", "HOOKRING_SKIP", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command
    }

    /// `hookring` with these arguments, to its end.
    pub fn hookring<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        self.command("hookring").args(args).stdin(Stdio::null()).output().expect("hookring runs")
    }

    /// A hook with this payload, to its end; it must exit 0 and say nothing.
    pub fn emit(&self, payload: &[u8]) {
        self.emit_with(&[] as &[&str], payload);
    }

    /// The same, with arguments.
    pub fn emit_with<S: AsRef<OsStr>>(&self, args: &[S], payload: &[u8]) {
        let output = self.run_hook(self.command("hookring-emit").args(args), payload);
        assert!(output.status.success(), "hookring-emit ended with {}", output.status);
        assert!(
            output.stdout.is_empty() && output.stderr.is_empty(),
            "hookring-emit said something"
        );
    }

    /// A hook for each number, one after the other, with the payload `{"n":NUMBER}`.
    pub fn emit_numbers(&self, numbers: Range<u64>) {
        numbers.for_each(|number| self.emit(format!("{{\"n\":{number}}}").as_bytes()));
    }

    /// Lets so many agents run hooks with the payloads `{"n":0}`, `{"n":1}` … while `act` runs, which
    /// is told how many there were so far. Returns what it does, and how many hooks there were.
    pub fn while_hooks_run<T>(&self, agents: usize, act: impl FnOnce(&AtomicU64) -> T) -> (T, u64) {
        /// Ends the agents in a panic of `act`, too: the scope waits for them.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (stop, next) = (AtomicBool::new(false), AtomicU64::new(0));
        let acted = thread::scope(|scope| {
            for _ in 0..agents {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        self.emit_numbers(number..number + 1);
                    }
                });
            }
            let _stop = Stop(&stop);
            act(&next)
        });
        (acted, next.into_inner())
    }

    /// The numbers of the journaled events, all of which must have one.
    pub fn numbers(&self) -> Vec<u64> {
        self.lines().iter().map(|line| number(line)).collect()
    }

    /// Runs a command with this on its stdin.
    pub fn run_hook(&self, command: &mut Command, payload: &[u8]) -> Output {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the hook starts");
        let mut stdin = child.stdin.take().expect("its stdin");
        // A hook that does not read its input is what the tests look for, not a panic here.
        let written = stdin.write_all(payload);
        drop(stdin);
        let output = child.wait_with_output().expect("the hook ends");
        written.expect("the hook reads its whole input");
        output
    }

    /// Starts the daemon and waits until it collects.
    pub fn start(&self) -> Daemon {
        self.start_with(&mut self.command("hookring"))
    }

    /// The same with a command of the test's own, to which `run` is added.
    pub fn start_with(&self, command: &mut Command) -> Daemon {
        let _ = fs::remove_file(self.path().join("status.json"));
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.path().join("daemon.log"));
        let log = log.expect("a log");
        let command = command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().expect("the daemon starts");
        wait_for("the daemon to start", || {
            let ended = child.try_wait().expect("its state");
            assert!(ended.is_none(), "the daemon ended with {ended:?}: {}", self.log());
            self.path().join("status.json").exists().then_some(())
        });
        Daemon { child }
    }

    /// Starts the daemon beside what an earlier one said last, by which it knows what there was:
    /// [`start`](Self::start) removes that.
    pub fn start_again(&self) -> Daemon {
        let log = fs::OpenOptions::new().append(true).open(self.path().join("daemon.log"));
        let mut command = self.command("hookring");
        command.arg("run").stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(log.expect("a log")).spawn().expect("the daemon starts");
        let daemon = Daemon { child };
        wait_for("the daemon to start", || (self.status()["pid"] == daemon.id()).then_some(()));
        daemon
    }

    /// A daemon that the test started itself, to be killed when dropped.
    pub fn adopt(&self, child: Child) -> Daemon {
        Daemon { child }
    }

    /// Runs the daemon, which must refuse to start; its exit code, and what it said.
    pub fn start_refused(&self) -> (i32, String) {
        self.start_refused_with(&mut self.command("hookring"))
    }

    /// The same with a command of the test's own, to which `run` is added.
    pub fn start_refused_with(&self, command: &mut Command) -> (i32, String) {
        let command =
            command.arg("run").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut daemon = Daemon { child: command.spawn().expect("the daemon starts") };
        let code = daemon.wait();
        let mut said = String::new();
        daemon.child.stderr.take().expect("its stderr").read_to_string(&mut said).expect("text");
        (code, said)
    }

    /// What daemons in this bed said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("daemon.log")).unwrap_or_default()
    }

    /// `hookring status --json`.
    pub fn status(&self) -> Value {
        let output = self.hookring(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).expect("status is JSON")
    }

    /// Every journaled event of a hook, as the lines of the segment files hold it: without the segments' own
    /// first lines, and without the events of the daemon itself, for which there is [`Bed::own_events`]. Reads
    /// the files as any program would.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let mut lines = self.all_lines();
        lines.retain(|line| !is_own(line));
        lines
    }

    /// The journaled events of daemons themselves, parsed.
    pub fn own_events(&self) -> Vec<Value> {
        let mut lines = self.all_lines();
        lines.retain(|line| is_own(line));
        lines.iter().map(|line| serde_json::from_slice(line).expect("a line is JSON")).collect()
    }

    /// All journaled events.
    pub fn all_lines(&self) -> Vec<Vec<u8>> {
        let mut segments: Vec<_> = fs::read_dir(self.path().join("journal"))
            .map(|entries| entries.map(|entry| entry.expect("an entry").path()).collect())
            .unwrap_or_default();
        segments.retain(|path: &PathBuf| path.extension() == Some(OsStr::new("jsonl")));
        segments.sort();
        let mut lines = Vec::new();
        for segment in segments {
            let bytes = match fs::read(segment) {
                // Retention may take it after it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes.expect("a segment"),
            };
            let whole =
                bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
            lines.extend(whole.map(|line| line[..line.len() - 1].to_vec()));
        }
        lines
            .retain(|line| !line.windows(17).take(60).any(|part| part == b"\"from\":\"segment\","));
        lines
    }

    /// The journaled events of hooks, parsed.
    pub fn events(&self) -> Vec<Value> {
        self.lines()
            .iter()
            .map(|line| serde_json::from_slice(line).expect("a line is JSON"))
            .collect()
    }

    /// Waits until so many events are journaled, and gives them.
    pub fn wait_for_events(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} events"), || (self.lines().len() >= count).then_some(()));
        self.events()
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name: `TERM`, `HUP`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.expect("kill runs").success());
        if name == "STOP" {
            // The kernel stops each thread when it next looks; what follows relies on all of them.
            wait_for("the daemon to stop", || self.is_stopped().then_some(()));
        }
    }

    /// Whether every thread is stopped by a signal, as far as the system tells.
    fn is_stopped(&self) -> bool {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.id())) else { return true };
        tasks.flatten().all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// The same, where it may have ended already.
    pub fn signal_if_alive(&mut self, name: &str) {
        if self.is_alive() {
            self.signal(name);
        }
    }

    /// Its stdout, where it was started with a pipe for that.
    pub fn take_stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("its stdout")
    }

    /// SIGTERM, and its exit code.
    pub fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end; its exit code.
    pub fn wait(&mut self) -> i32 {
        let status = wait_for("the daemon to end", || self.child.try_wait().expect("its state"));
        status.code().expect("an exit code")
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("its end");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Creates a directory that only its owner may enter, unless it is there.
pub fn make_private_dir(path: &Path) {
    fs::create_dir_all(path).expect("a directory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("its mode");
}
