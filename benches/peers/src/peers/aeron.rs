//! Aeron over IPC, with the C media driver in a process of its own: an exclusive publication for each
//! producer, one subscription.

use std::ffi::CString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rusteron_client::{
    Aeron, AeronContext, AeronExclusivePublication, AeronSubscription, Handlers,
};

use super::{Mode, Pause, Place, Receiver, Sender};
use crate::payloads::Tally;

/// How long clients and driver hold still before one takes the other for dead.
const TIMEOUT_MS: u64 = 60_000;
const PATIENCE: Duration = Duration::from_secs(10);
/// Fragments of one poll.
const FRAGMENTS: usize = 256;
/// Half a term may be under way, and the driver moves that window about once a millisecond.
const PACED_TERM_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a frame's header, and its alignment.
const FRAME: usize = 32;

/// A client, the channel and the stream of a place.
fn connect(place: &Place) -> Result<(Aeron, CString, i32)> {
    let dir = place.dir.parent().context("the place has no parent")?.join("aeron");
    let dir = CString::new(dir.to_str().context("the directory's name is not UTF-8")?)?;
    let context = AeronContext::new()?;
    context.set_dir(&dir)?;
    context.set_driver_timeout_ms(TIMEOUT_MS)?;
    context.set_pre_touch_mapped_memory(true)?;
    let aeron = Aeron::new(&context)?;
    aeron.start()?;
    let term_bytes = match place.shape.mode {
        Mode::Burst => (4 * run_bytes(place)).next_power_of_two(),
        Mode::Paced | Mode::Sleeping => PACED_TERM_BYTES,
    };
    let channel =
        CString::new(format!("aeron:ipc?term-length={term_bytes}|mtu=8192|sparse=false"))?;
    let mut hasher = DefaultHasher::new();
    place.dir.hash(&mut hasher);
    Ok((aeron, channel, hasher.finish() as i32 & i32::MAX))
}

fn run_bytes(place: &Place) -> usize {
    place.shape.records * (FRAME + place.shape.max_bytes).next_multiple_of(FRAME)
}

pub(super) struct Reader {
    subscription: AeronSubscription,
    _aeron: Aeron,
}

impl Reader {
    pub(super) fn new(place: &Place) -> Result<Reader> {
        let (aeron, channel, stream) = connect(place)?;
        let subscription = aeron
            .async_add_subscription(&channel, stream, Handlers::NONE, Handlers::NONE)?
            .poll_blocking(PATIENCE)?;
        Ok(Reader { subscription, _aeron: aeron })
    }
}

impl Receiver for Reader {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        self.subscription.poll_fn(|payload: &[u8], _| tally.take(payload), FRAGMENTS)?;
        Ok(())
    }
}

pub(super) struct Writer {
    publication: AeronExclusivePublication,
    run_bytes: usize,
    _aeron: Aeron,
}

impl Writer {
    pub(super) fn new(place: &Place) -> Result<Writer> {
        let (aeron, channel, stream) = connect(place)?;
        let publication =
            aeron.async_add_exclusive_publication(&channel, stream)?.poll_blocking(PATIENCE)?;
        let start = Instant::now();
        while !publication.is_connected() {
            ensure!(start.elapsed() < PATIENCE, "the Aeron publication was never connected");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Writer { publication, run_bytes: run_bytes(place), _aeron: aeron })
    }
}

impl Sender for Writer {
    fn send(&mut self, payload: &[u8]) -> Result<()> {
        let mut pause = Pause::default();
        loop {
            match self.publication.offer(payload) {
                Ok(_) => return Ok(()),
                Err(error) if error.is_retryable() => pause.wait(),
                Err(error) => bail!("Aeron refused a record: {error}"),
            }
        }
    }

    fn settle(&mut self) -> Result<()> {
        let start = Instant::now();
        let room = || self.publication.position_limit() - self.publication.position();
        while room() < self.run_bytes as i64 {
            ensure!(start.elapsed() < PATIENCE, "the Aeron driver does not move its window");
            std::thread::yield_now();
        }
        Ok(())
    }
}
