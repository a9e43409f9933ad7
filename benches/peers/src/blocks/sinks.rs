//! Does hookring's publish stay what it is when the daemon has more sinks to feed? Each daemon is a
//! process of its own; the producer's CPU time is what is compared, because on few cores the sinks'
//! threads take turns with it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hookring_benches::figures::{Row, Target};
use hookring_producer::Producer;

use crate::peers::{Mode, Peer, Shape};
use crate::run::Run;
use crate::stats::{median, ratios, thread_time};

const SINKS: [usize; 3] = [0, 1, 16];
const BYTES: usize = 256;
/// Less than a default lane holds.
const RECORDS: usize = 512;
const ROUNDS: usize = 100;
/// How long a daemon may take to start and to deliver a burst.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(2);

struct Bus {
    sinks: usize,
    daemon: Daemon,
    producer: Producer,
    /// What comes out at the end: the journal, and each sink's file.
    ends: Vec<End>,
    published: usize,
    times: Vec<f64>,
}

/// A daemon that ends with this value.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its directory goes with the run's, so there is nothing to flush.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn measure(run: &mut Run) -> Result<()> {
    let mut buses = Vec::new();
    for sinks in SINKS {
        let shape = Shape { max_bytes: BYTES, records: 0, producers: 1, mode: Mode::Burst };
        let place = run.place(shape)?;
        buses.push(Bus::start(&place.dir, sinks)?);
    }
    let payload = payload();
    for round in 0..run.rounds(ROUNDS) {
        for turn in 0..buses.len() {
            let at = (turn + round) % buses.len();
            run.turn(Peer::Hookring, || buses[at].round(&payload))?;
        }
        if round % 20 == 0 {
            run.look_at_cores();
        }
    }
    let [none, others @ ..] = buses.as_slice() else { return Ok(()) };
    for bus in others {
        run.figures.rows.push(Row {
            block: format!("hookring's publish with sinks, {BYTES} B: CPU ns per record"),
            what: format!("{} sink{}", bus.sinks, if bus.sinks == 1 { "" } else { "s" }),
            value: median(&bus.times),
            beside: "no sinks".to_owned(),
            base: median(&none.times),
            unit: "ns".to_owned(),
            ratio: median(&ratios(&bus.times, &none.times)),
            target: Some(Target::AtMost(1.1)),
        });
    }
    Ok(())
}

/// JSON of the size.
fn payload() -> Vec<u8> {
    let (start, end) = (r#"{"session_id":"sinks","text":""#, r#""}"#);
    format!("{start}{}{end}", "x".repeat(BYTES - start.len() - end.len())).into_bytes()
}

impl Bus {
    /// Starts a daemon with so many files to write; its journal has the producer's first event.
    fn start(dir: &Path, sinks: usize) -> Result<Bus> {
        let mut config = String::new();
        for sink in 0..sinks {
            writeln!(config, "[sinks.s{sink}]\ntype = \"jsonl\"")?;
        }
        let path = dir.join("hookring.toml");
        fs::write(&path, config)?;
        fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
        let bin_dir = std::env::var_os("HOOKRING_TEST_BIN_DIR").map(PathBuf::from);
        let program = bin_dir.context("HOOKRING_TEST_BIN_DIR is not set: use run.sh")?;
        let mut command = Command::new(program.join("hookring"));
        command.arg("run").env("HOOKRING_DIR", dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Daemon(command.spawn().context("could not start hookring")?);
        wait_for("a daemon to start", || Ok(dir.join("status.json").exists()))?;
        let producer = Producer::open_in(dir)?;
        ensure!(producer.has_lane(), "no lane is free");
        let journal = End { path: first_segment(dir)?, file: None, lines: 0, head_lines: 1 };
        let file = |sink| dir.join(format!("sinks/s{sink}.jsonl"));
        let files =
            (0..sinks).map(|sink| End { path: file(sink), file: None, lines: 0, head_lines: 0 });
        let ends = std::iter::once(journal).chain(files).collect();
        Ok(Bus { sinks, daemon, producer, ends, published: 0, times: Vec::new() })
    }

    /// Publishes a burst to a daemon that has nothing else to do, and waits until all of it is
    /// everywhere.
    fn round(&mut self, payload: &[u8]) -> Result<()> {
        let before = thread_time()?;
        for _ in 0..RECORDS {
            self.producer.publish(payload)?;
        }
        let took = thread_time()? - before;
        self.times.push(took.as_nanos() as f64 / RECORDS as f64);
        self.published += RECORDS;
        wait_for("events to be delivered", || {
            let ended = self.daemon.0.try_wait()?;
            ensure!(ended.is_none(), "the daemon ended");
            for end in &mut self.ends {
                if end.lines()? < self.published {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

/// A file that events end up in, and how far it was read.
struct End {
    path: PathBuf,
    file: Option<File>,
    lines: usize,
    /// Lines that are no event.
    head_lines: usize,
}

impl End {
    /// How many events it has by now.
    fn lines(&mut self) -> Result<usize> {
        if self.file.is_none() && self.path.exists() {
            self.file = Some(File::open(&self.path)?);
        }
        if let Some(file) = &mut self.file {
            let mut more = Vec::new();
            file.read_to_end(&mut more)?;
            self.lines += more.iter().filter(|byte| **byte == b'\n').count();
        }
        Ok(self.lines.saturating_sub(self.head_lines))
    }
}

/// The journal's first segment, which is larger than all that is published here.
fn first_segment(dir: &Path) -> Result<PathBuf> {
    let mut found = None;
    wait_for("a segment", || {
        for entry in fs::read_dir(dir.join("journal"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "jsonl") {
                found = Some(path);
            }
        }
        Ok(found.is_some())
    })?;
    found.context("there is no segment")
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < PATIENCE, "gave up waiting for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
