//! The sending end, which also starts the reader and tells it what comes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hookring_producer::{Producer, Published};
use tempfile::TempDir;

use crate::message::{TURN, Way, stamped};
use crate::reader;

/// Between two messages to a reader that spins: it has long taken the last one.
const SPIN_PAUSE: Duration = Duration::from_micros(20);
/// Between two messages to a reader that sleeps: it has long fallen asleep.
const SLEEP_PAUSE: Duration = Duration::from_millis(1);

pub(crate) struct Sender {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    producer: Producer,
    socket: UnixDatagram,
    /// Removed when this value goes.
    _dir: TempDir,
}

impl Sender {
    /// Starts the reader on a new bus, in memory where the system has some.
    pub(crate) fn start() -> Result<Sender> {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { TempDir::new_in(shm)? } else { TempDir::new()? };
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(reader::FLAG).arg(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("could not start the reader")?;
        let orders = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().context("the reader has no stdout")?);
        expect(&mut answers, reader::READY)?;
        let producer = Producer::open_in(dir.path())?;
        let socket = UnixDatagram::unbound()?;
        socket.connect(dir.path().join(reader::SOCKET))?;
        Ok(Sender { child, orders, answers, producer, socket, _dir: dir })
    }

    /// One turn of messages.
    pub(crate) fn send(&mut self, way: Way) -> Result<()> {
        let orders = self.orders.as_mut().context("the reader has no stdin")?;
        writeln!(orders, "{}", way as usize)?;
        expect(&mut self.answers, reader::READY)?;
        for _ in 0..TURN {
            match way {
                Way::Spinning => pause_awake(SPIN_PAUSE),
                Way::Sleeping | Way::Datagram => thread::sleep(SLEEP_PAUSE),
            }
            if way == Way::Datagram {
                self.socket.send(&stamped())?;
            } else {
                let published = self.producer.publish(stamped().as_slice())?;
                ensure!(published == Published::Ring, "a message went to the spool");
            }
        }
        expect(&mut self.answers, reader::DONE)
    }

    /// Ends the reader: p50, p99 and p99.9 of every way, in ns.
    pub(crate) fn finish(mut self) -> Result<[[u64; 3]; Way::ALL.len()]> {
        drop(self.orders.take());
        let mut quantiles = [[0; 3]; Way::ALL.len()];
        for row in &mut quantiles {
            let mut line = String::new();
            self.answers.read_line(&mut line)?;
            for (value, word) in row.iter_mut().zip(line.split_whitespace()) {
                *value = word.parse()?;
            }
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "the reader ended with {status}");
        Ok(quantiles)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Of no effect on one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn expect(answers: &mut impl std::io::BufRead, word: &str) -> Result<()> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    ensure!(line.trim_end() == word, "the reader said `{}` instead of `{word}`", line.trim_end());
    Ok(())
}

/// Sleeping would take this core's caches and clock frequency away.
fn pause_awake(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
