//! The reading end across processes: takes orders, a line each, and answers with a line each. A
//! process of its own, or for contenders that cannot leave theirs a thread.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow, ensure};
use hookring_bus::sys;

use crate::payloads::Tally;
use crate::peers::{Mode, Peer, Place, Receiver, Shape};
use crate::stats::pin;
use crate::watchdog;

/// The argument that makes this program the reader.
pub(crate) const FLAG: &str = "--reader";
const READY: &str = "ready";

/// A turn of a reader.
#[derive(Copy, Clone)]
pub(crate) struct Turn {
    pub(crate) records: usize,
    /// Bytes that name the payloads' set.
    pub(crate) bytes: usize,
    pub(crate) producers: usize,
    pub(crate) has_ages: bool,
    /// The sum of what will be sent, where the sender knows it beforehand.
    pub(crate) sum: Option<u64>,
    /// The core to read on.
    pub(crate) core: Option<usize>,
}

/// What a reader says after a turn.
pub(crate) struct Answer {
    /// When it had the last record, in ns of the boot clock.
    pub(crate) end_ns: u64,
    /// The sum of what arrived.
    pub(crate) sum: u64,
    /// See [`Tally::ages`].
    pub(crate) ages: Vec<u64>,
}

/// A reader as its employer sees it.
pub(crate) struct Reader {
    orders: Option<Box<dyn Write>>,
    answers: Box<dyn BufRead>,
    child: Option<Child>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Reader {
    /// Starts one where this contender needs it.
    pub(crate) fn start(peer: Peer) -> Result<Reader> {
        if peer.is_in_process() { Self::start_thread() } else { Self::start_process() }
    }

    fn start_process() -> Result<Reader> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(FLAG).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("could not start the reader")?;
        let orders = child.stdin.take().context("the reader has no stdin")?;
        let answers = child.stdout.take().context("the reader has no stdout")?;
        Ok(Reader {
            orders: Some(Box::new(orders)),
            answers: Box::new(BufReader::new(answers)),
            child: Some(child),
            thread: None,
        })
    }

    fn start_thread() -> Result<Reader> {
        let (orders_from, orders) = std::io::pipe()?;
        let (answers, answers_to) = std::io::pipe()?;
        let serve = move || serve(&mut BufReader::new(orders_from), &mut { answers_to });
        Ok(Reader {
            orders: Some(Box::new(orders)),
            answers: Box::new(BufReader::new(answers)),
            child: None,
            thread: Some(thread::spawn(serve)),
        })
    }

    /// Has it open the receiving end of a place.
    pub(crate) fn open(&mut self, peer: Peer, place: &Place) -> Result<()> {
        let Shape { max_bytes, records, producers, mode } = place.shape;
        let (dir, mode) = (place.dir.display(), mode as u8);
        self.order(&format!("open {} {max_bytes} {records} {producers} {mode} {dir}", peer.word()))
    }

    /// Has it begin a turn; it reads when this returns.
    pub(crate) fn begin(&mut self, peer: Peer, place: &Place, turn: &Turn) -> Result<()> {
        let Turn { records, bytes, producers, has_ages, .. } = *turn;
        let word = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        let (sum, core) = (word(turn.sum), word(turn.core.map(|core| core as u64)));
        let (word, dir) = (peer.word(), place.dir.display());
        let has_ages = usize::from(has_ages);
        self.order(&format!(
            "turn {word} {records} {bytes} {producers} {has_ages} {sum} {core} {dir}"
        ))
    }

    /// Waits for the end of a turn.
    pub(crate) fn end(&mut self) -> Result<Answer> {
        let line = self.answer()?;
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next().context("the reader's answer is too short");
        let (end_ns, sum) = (next()??, next()??);
        Ok(Answer { end_ns, sum, ages: numbers.collect::<Result<_, _>>()? })
    }

    /// Closes what it has open, so that the next ones do not share the machine with it.
    pub(crate) fn finish(mut self) -> Result<()> {
        drop(self.orders.take());
        if let Some(child) = &mut self.child {
            let status = child.wait()?;
            ensure!(status.success(), "the reader ended with {status}");
        }
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| anyhow!("the reader panicked"))?,
            None => Ok(()),
        }
    }

    fn order(&mut self, line: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the reader takes no more orders")?;
        writeln!(orders, "{line}")?;
        orders.flush()?;
        let answer = self.answer()?;
        ensure!(answer == READY, "the reader said `{answer}` to `{line}`");
        Ok(())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the reader is gone");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(child) = &mut self.child {
            // Of no effect on one that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Does what the lines say until they end.
pub(crate) fn serve(orders: &mut dyn BufRead, answers: &mut dyn Write) -> Result<()> {
    let mut open: BTreeMap<String, Box<dyn Receiver>> = BTreeMap::new();
    for line in orders.lines() {
        let line = line?;
        // A reader that waits for orders is no turn of its own: its employer's watchdog ends both.
        watchdog::begin(&line);
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["open", peer, max_bytes, records, producers, mode, dir] => {
                let shape = Shape {
                    max_bytes: max_bytes.parse()?,
                    records: records.parse()?,
                    producers: producers.parse()?,
                    mode: if mode == "2" { Mode::Sleeping } else { Mode::Paced },
                };
                let place = Place { dir: Path::new(dir).to_owned(), shape };
                let receiver = peer.parse::<Peer>()?.receiver(&place)?;
                open.insert(dir.to_owned(), receiver);
                say(answers, READY)?;
            }
            ["turn", peer, records, bytes, producers, has_ages, sum, core, dir] => {
                let receiver = open.get_mut(dir).context("nothing is open there")?;
                let turn = Turn {
                    records: records.parse()?,
                    bytes: bytes.parse()?,
                    producers: producers.parse()?,
                    has_ages: has_ages == "1",
                    sum: number(sum)?,
                    core: number(core)?,
                };
                say(answers, READY)?;
                let answer = read(receiver.as_mut(), &turn).with_context(|| peer.to_owned())?;
                say(answers, &answer)?;
            }
            _ => anyhow::bail!("`{line}` is no order"),
        }
    }
    Ok(())
}

fn say(answers: &mut dyn Write, line: &str) -> Result<()> {
    writeln!(answers, "{line}")?;
    answers.flush().context("could not answer")
}

fn number<T: FromStr>(word: &str) -> Result<Option<T>, T::Err> {
    if word == "-" { Ok(None) } else { word.parse().map(Some) }
}

/// Reads a turn to its end, checks it, and says what there is to say about it.
fn read(receiver: &mut dyn Receiver, turn: &Turn) -> Result<String> {
    if let Some(core) = turn.core {
        pin(&[core])?;
    }
    let mut tally = Tally::new(turn.bytes, turn.producers, turn.has_ages);
    while tally.records < turn.records {
        receiver.receive(&mut tally)?;
    }
    let end_ns = sys::boottime_ns();
    receiver.check()?;
    tally.check(turn.records, turn.sum.unwrap_or(tally.sum))?;
    let ages = tally.ages.unwrap_or_default();
    let ages = ages.iter().fold(String::new(), |all, age| format!("{all} {age}"));
    Ok(format!("{end_ns} {}{ages}", tally.sum))
}
