//! The reading end, a process of its own: takes its orders from stdin, a way per line, answers on
//! stdout, and prints what it measured when stdin ends.

use std::io::{self, BufRead as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;

use crate::message::{MESSAGE_BYTES, TURN, Way, age_ns};

/// The argument that makes this program the reader.
pub(crate) const FLAG: &str = "--reader";
/// The datagrams' socket, in the bus's directory.
pub(crate) const SOCKET: &str = "datagrams";
/// What it says when it is about to read, and when it has read a turn.
pub(crate) const READY: &str = "ready";
pub(crate) const DONE: &str = "done";
/// As long as the daemon sleeps at a time.
const SLEEP: Duration = Duration::from_millis(500);
const DIGITS: u8 = 3;

pub(crate) fn run(dir: &Path) -> Result<()> {
    crate::core::stay_on(crate::core::READER)?;
    let places = Places::new(Some(dir.as_os_str().as_bytes()), sys::effective_uid());
    let mut drain = Drain::open(&places, Options::default())?;
    let socket = UnixDatagram::bind(dir.join(SOCKET)).context("could not bind a socket")?;
    let mut times = [(); Way::ALL.len()].map(|()| Histogram::<u64>::new(DIGITS));
    say(READY)?;
    for line in io::stdin().lock().lines() {
        let index: usize = line?.parse()?;
        let Some(times) = times.get_mut(index) else { continue };
        let Ok(times) = times else { continue };
        say(READY)?;
        match Way::ALL[index] {
            Way::Spinning => read_ring(&mut drain, times, |drain| {
                while !drain.has_work() {
                    std::hint::spin_loop();
                }
            })?,
            Way::Sleeping => read_ring(&mut drain, times, |drain| drain.wait(SLEEP))?,
            Way::Datagram => read_socket(&socket, times)?,
        }
        say(DONE)?;
    }
    for times in times {
        let times = times?;
        let at = |quantile| times.value_at_quantile(quantile);
        println!("{} {} {}", at(0.5), at(0.99), at(0.999));
    }
    Ok(())
}

fn say(word: &str) -> Result<()> {
    println!("{word}");
    io::stdout().flush().context("could not answer")
}

/// Reads a turn from the ring, with `wait` wherever there is nothing.
fn read_ring(
    drain: &mut Drain,
    times: &mut Histogram<u64>,
    wait: impl Fn(&mut Drain),
) -> Result<()> {
    let mut left = TURN;
    while left > 0 {
        wait(drain);
        let batch = drain.next_batch();
        let now_ns = sys::boottime_ns();
        for record in batch.records() {
            times.record(age_ns(record.payload, now_ns))?;
            left = left.saturating_sub(1);
        }
        drain.release();
    }
    Ok(())
}

fn read_socket(socket: &UnixDatagram, times: &mut Histogram<u64>) -> Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    for _ in 0..TURN {
        let bytes = socket.recv(&mut message)?;
        times.record(age_ns(&message[..bytes], sys::boottime_ns()))?;
    }
    Ok(())
}
