//! rtrb: a ring of bytes for each producer, written and read in chunks; a record is its length and
//! its bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{Mode, Pause, Place, Receiver, Sender};
use crate::payloads::Tally;

const LENGTH_BYTES: usize = 4;
/// As large as hookring's lane.
const PACED_BYTES: usize = 256 * 1024;

/// The producers' ends that wait for their threads.
static PRODUCERS: Mutex<BTreeMap<PathBuf, Vec<Producer<u8>>>> = Mutex::new(BTreeMap::new());

pub(super) struct Reader {
    rings: Vec<Consumer<u8>>,
    /// A record that goes over the ring's end.
    scratch: Vec<u8>,
}

impl Reader {
    pub(super) fn new(place: &Place) -> Result<Reader> {
        let shape = &place.shape;
        let bytes = match shape.mode {
            Mode::Burst => {
                (2 * shape.records * (LENGTH_BYTES + shape.max_bytes)).next_power_of_two()
            }
            Mode::Paced | Mode::Sleeping => PACED_BYTES,
        };
        let rings = (0..shape.producers).map(|_| RingBuffer::new(bytes));
        let (producers, rings) = rings.unzip();
        let mut waiting = PRODUCERS.lock().map_err(|_| anyhow!("a thread panicked"))?;
        waiting.insert(place.dir.clone(), producers);
        Ok(Reader { rings, scratch: Vec::new() })
    }
}

impl Receiver for Reader {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        for ring in &mut self.rings {
            let slots = ring.slots();
            if slots == 0 {
                continue;
            }
            let chunk = ring.read_chunk(slots)?;
            let (first, second) = chunk.as_slices();
            let rest = records(first, tally);
            if rest < first.len() {
                // The record that goes over the end, and then the others.
                self.scratch.clear();
                self.scratch.extend_from_slice(&first[rest..]);
                self.scratch.extend_from_slice(second);
                records(&self.scratch, tally);
            } else {
                records(second, tally);
            }
            chunk.commit_all();
        }
        Ok(())
    }
}

/// Takes the whole records at the start; where they end.
pub(super) fn records(bytes: &[u8], tally: &mut Tally) -> usize {
    let mut at = 0;
    while let Some(length) = bytes[at..].first_chunk::<LENGTH_BYTES>() {
        let end = at + LENGTH_BYTES + u32::from_le_bytes(*length) as usize;
        let Some(payload) = bytes.get(at + LENGTH_BYTES..end) else { break };
        tally.take(payload);
        at = end;
    }
    at
}

pub(super) struct Writer {
    ring: Producer<u8>,
}

impl Writer {
    pub(super) fn new(place: &Place) -> Result<Writer> {
        let mut waiting = PRODUCERS.lock().map_err(|_| anyhow!("a thread panicked"))?;
        let ring = waiting.get_mut(&place.dir).and_then(Vec::pop).context("no ring is left")?;
        Ok(Writer { ring })
    }

    /// Writes records as one chunk.
    #[inline]
    fn put(&mut self, payloads: &[&[u8]]) {
        let bytes = payloads.iter().map(|payload| LENGTH_BYTES + payload.len()).sum();
        let mut pause = Pause::default();
        let mut chunk = loop {
            match self.ring.write_chunk_uninit(bytes) {
                Ok(chunk) => break chunk,
                Err(_) => pause.wait(),
            }
        };
        let (mut first, mut second) = chunk.as_mut_slices();
        let mut write = |mut from: &[u8]| {
            if from.len() > first.len() {
                let (head, tail) = from.split_at(first.len());
                first.write_copy_of_slice(head);
                (first, from) = (std::mem::take(&mut second), tail);
            }
            let (into, rest) = std::mem::take(&mut first).split_at_mut(from.len());
            into.write_copy_of_slice(from);
            first = rest;
        };
        for payload in payloads {
            write(&(payload.len() as u32).to_le_bytes());
            write(payload);
        }
        // SAFETY: the chunk has exactly the bytes that were just written.
        unsafe { chunk.commit_all() };
    }
}

impl Sender for Writer {
    fn send(&mut self, payload: &[u8]) -> Result<()> {
        self.put(&[payload]);
        Ok(())
    }

    fn send_batch(&mut self, payloads: &[&[u8]]) -> Result<()> {
        self.put(payloads);
        Ok(())
    }
}
