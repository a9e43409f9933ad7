//! The processes that are killed: producers, hooks, the daemon.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hookring_tests::{Bed, wait_for};
use serde_json::Value;

use crate::numbered::{Number, Rng, payload};

const SIGKILL: i32 = 9;

/// How long an event that tells a good moment is waited for.
const MOMENT_LIMIT: Duration = Duration::from_millis(500);

/// One library producer after the other.
pub(crate) struct ProducerStream<'a> {
    bed: &'a Bed,
    stream: u32,
    life: u32,
    child: Child,
    stdin: ChildStdin,
}

impl<'a> ProducerStream<'a> {
    /// Starts the first.
    pub(crate) fn start(bed: &'a Bed, stream: u32, seed: u64) -> ProducerStream<'a> {
        let (child, stdin) = start_producer(bed, stream, 0, seed);
        ProducerStream { bed, stream, life: 0, child, stdin }
    }

    /// Its number.
    pub(crate) fn stream(&self) -> u32 {
        self.stream
    }

    /// How many there were.
    pub(crate) fn lives(&self) -> u32 {
        self.life + 1
    }

    /// The process id of the present one.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the pauses of the present one.
    pub(crate) fn hurry(&mut self) {
        self.stdin.write_all(b"!").expect("it still reads");
    }

    /// Has the present one make pauses again.
    pub(crate) fn relax(&mut self) {
        self.stdin.write_all(b".").expect("it still reads");
    }

    /// Kills the present one. It must still have been there.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        let status = self.child.wait().expect("its end");
        let ended_by = status.signal();
        assert_eq!(ended_by, Some(SIGKILL), "a producer ended by itself: {status}, see stderr");
    }

    /// Starts the next.
    pub(crate) fn restart(&mut self, seed: u64) {
        self.life += 1;
        (self.child, self.stdin) = start_producer(self.bed, self.stream, self.life, seed);
    }

    /// Sends the present one a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// The last event of the present one whose publish returned.
    pub(crate) fn acknowledged(&self) -> u32 {
        self.acknowledged_in(self.life)
    }

    /// The same of any of them; 0: none.
    pub(crate) fn acknowledged_in(&self, life: u32) -> u32 {
        let mut last = [0; 4];
        let file = File::open(acks_path(self.bed, self.stream));
        let read = file.and_then(|file| file.read_exact_at(&mut last, u64::from(life) * 4));
        // A life that never came to its first publish has written nothing.
        read.map_or(0, |()| u32::from_le_bytes(last))
    }

    /// Waits until the present one has published more; its last event then.
    pub(crate) fn wait_for_progress(&self) -> u32 {
        let before = self.acknowledged();
        wait_for("a producer to publish", || Some(self.acknowledged()).filter(|now| *now > before))
    }
}

fn acks_path(bed: &Bed, stream: u32) -> PathBuf {
    bed.path().join(format!("acknowledged-{stream}"))
}

fn start_producer(bed: &Bed, stream: u32, life: u32, seed: u64) -> (Child, ChildStdin) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash_producer"));
    command.arg(bed.path()).arg(acks_path(bed, stream));
    command.args([u64::from(stream), u64::from(life), seed].map(|number| number.to_string()));
    let mut child = command.stdin(Stdio::piped()).spawn().expect("a producer starts");
    let stdin = child.stdin.take().expect("its stdin");
    (child, stdin)
}

impl Drop for ProducerStream<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One hook process after the other, each with one event.
pub(crate) struct HookStream<'a> {
    bed: &'a Bed,
    stream: u32,
    rng: Rng,
    next_life: u32,
    /// Those that exited 0.
    ended: Vec<u32>,
}

impl<'a> HookStream<'a> {
    /// Starts none yet.
    pub(crate) fn new(bed: &'a Bed, stream: u32, rng: Rng) -> HookStream<'a> {
        HookStream { bed, stream, rng, next_life: 0, ended: Vec::new() }
    }

    /// Its number.
    pub(crate) fn stream(&self) -> u32 {
        self.stream
    }

    /// The processes whose event is published.
    pub(crate) fn ended(&self) -> &[u32] {
        &self.ended
    }

    /// The last process.
    pub(crate) fn last_life(&self) -> u32 {
        self.next_life - 1
    }

    /// Runs one to its end.
    pub(crate) fn run_whole(&mut self) {
        let mut child = self.start();
        let status = child.wait().expect("its end");
        assert!(status.success(), "a hook ended with {status}");
        self.ended.push(self.last_life());
    }

    /// Runs one, kills it at some moment or not. Whether the kill came before its end.
    pub(crate) fn run_one(&mut self) -> bool {
        thread::sleep(Duration::from_micros(self.rng.below(20_000)));
        if self.rng.percent(25) {
            self.run_whole();
            return false;
        }
        let mut child = self.start();
        spin(Duration::from_micros(self.rng.below(600)));
        child.kill().expect("it can be killed");
        let status = child.wait().expect("its end");
        if status.success() {
            self.ended.push(self.last_life());
        } else {
            assert_eq!(status.signal(), Some(SIGKILL), "a hook ended with {status}");
        }
        !status.success()
    }

    fn start(&mut self) -> Child {
        let number = Number { stream: self.stream, life: self.next_life, event: 1 };
        self.next_life += 1;
        // A file, so that the hook never waits for this process.
        let path = self.bed.path().join(format!("payload-{}", self.stream));
        fs::write(&path, payload(number, self.rng.fill_bytes())).expect("a payload");
        let stdin = File::open(&path).expect("the payload");
        self.bed.command("hookring-emit").stdin(stdin).spawn().expect("a hook starts")
    }
}

/// The daemon, killed and started again at once.
pub(crate) struct KilledDaemon<'a> {
    bed: &'a Bed,
    child: Child,
    kills: u32,
}

impl<'a> KilledDaemon<'a> {
    /// Starts the first, and returns when it works.
    pub(crate) fn start(bed: &'a Bed) -> KilledDaemon<'a> {
        let daemon = KilledDaemon { bed, child: start_daemon(bed), kills: 0 };
        wait_for("the daemon to start", || daemon.status());
        daemon
    }

    /// How often it was killed.
    pub(crate) fn kills(&self) -> u32 {
        self.kills
    }

    /// Its status file, if it has written one.
    fn status(&self) -> Option<Value> {
        let status = fs::read(self.bed.path().join("status.json")).ok()?;
        let status: Value = serde_json::from_slice(&status).expect("the status is JSON");
        (status["pid"] == self.child.id()).then_some(status)
    }

    /// Kills it at a moment of any kind: in its start, at work, where it writes or releases.
    pub(crate) fn kill_some_time_and_restart(&mut self, rng: &mut Rng) {
        match rng.below(4) {
            0 => thread::sleep(Duration::from_micros(rng.below(20_000))),
            1 => thread::sleep(Duration::from_millis(rng.below(300))),
            _ => self.wait_for_window(rng),
        }
        self.kill();
        self.restart();
    }

    /// Kills it while it goes from one segment to the next, or between writing a batch to the
    /// journal and releasing it from ring and spool; on a busy machine not each time. `look` sees what
    /// it left.
    pub(crate) fn kill_in_a_window_and_restart(&mut self, rng: &mut Rng, look: impl FnOnce(&Bed)) {
        self.wait_for_window(rng);
        self.kill();
        look(self.bed);
        self.restart();
    }

    fn wait_for_window(&self, rng: &mut Rng) {
        let journal = self.bed.path().join("journal");
        if rng.percent(40) {
            let new = journal.join("segment.new");
            spin_until(|| new.exists());
        } else if let Some(last) = last_segment(self.bed) {
            let len = || fs::metadata(&last).map_or(0, |metadata| metadata.len());
            let before = len();
            spin_until(|| len() != before);
        }
        spin(Duration::from_micros(rng.below(100)));
    }

    fn kill(&mut self) {
        self.status().iter().for_each(check_status);
        self.child.kill().expect("it can be killed");
        let status = self.child.wait().expect("its end");
        self.check(status.signal() == Some(SIGKILL), status);
        self.kills += 1;
    }

    fn restart(&mut self) {
        self.child = start_daemon(self.bed);
    }

    fn check(&self, expected: bool, status: ExitStatus) {
        assert!(expected, "the daemon ended with {status}: {}", self.bed.log());
    }

    /// Has it journal everything that is published, and end. Its last status.
    ///
    /// # Panics
    /// If something is left in the spool, or a line of the journal is damaged.
    pub(crate) fn drain(&mut self) -> Value {
        wait_for("the last daemon to start", || self.status());
        let term = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(term.expect("kill runs").success());
        let ended = self.child.wait().expect("its end");
        self.check(ended.success(), ended);
        let verified = self.bed.hookring(&["journal", "verify"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
        let left = fs::read_dir(self.bed.path().join("spool")).expect("the spool");
        let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(left, ["usage"], "in the spool");
        let status = self.status().expect("its status");
        check_status(&status);
        status
    }
}

/// Death is no damage: nothing may look like it.
fn check_status(status: &Value) {
    let counts = &status["counts"];
    for name in ["condemned_lanes", "damaged_bytes", "clamped_stamps", "bad_spool_entries"] {
        assert_eq!(counts[name], 0, "{name}, in {status}");
    }
    assert_eq!(status["journal"]["bad_lines"], 0, "in {status}");
}

impl Drop for KilledDaemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_daemon(bed: &Bed) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(bed.path().join("daemon.log"));
    let mut command = bed.command("hookring");
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
    command.spawn().expect("the daemon starts")
}

/// The journal's segments, oldest first.
pub(crate) fn segments(bed: &Bed) -> Vec<PathBuf> {
    let entries = fs::read_dir(bed.path().join("journal")).expect("the journal");
    let mut segments: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    segments.sort();
    segments
}

fn last_segment(bed: &Bed) -> Option<PathBuf> {
    segments(bed).pop()
}

/// Waits without giving up the processor: what is waited for is over in microseconds.
fn spin_until(mut check: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !check() && begin.elapsed() < MOMENT_LIMIT {
        std::hint::spin_loop();
    }
}

fn spin(time: Duration) {
    let begin = Instant::now();
    spin_until(|| begin.elapsed() >= time);
}
