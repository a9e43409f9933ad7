//! crossbeam's `ArrayQueue`, one for all producers; an element is an array of the largest payload's
//! size and the length that is used.

use std::any::Any;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, anyhow, bail};
use crossbeam_queue::ArrayQueue;

use super::{Pause, Place, Receiver, Sender};
use crate::payloads::Tally;

/// The queues, which both ends must find in this process.
static QUEUES: Mutex<BTreeMap<PathBuf, Arc<dyn Any + Send + Sync>>> = Mutex::new(BTreeMap::new());

struct Element<const BYTES: usize> {
    length: u32,
    bytes: [MaybeUninit<u8>; BYTES],
}

struct End<const BYTES: usize>(Arc<ArrayQueue<Element<BYTES>>>);

pub(super) fn reader(place: &Place) -> Result<Box<dyn Receiver>> {
    Ok(match place.shape.max_bytes {
        256 => Box::new(End::<256>::new(place)?),
        384 => Box::new(End::<384>::new(place)?),
        1024 => Box::new(End::<1024>::new(place)?),
        1536 => Box::new(End::<1536>::new(place)?),
        other => bail!("no array queue has elements of {other} bytes"),
    })
}

pub(super) fn writer(place: &Place) -> Result<Box<dyn Sender>> {
    Ok(match place.shape.max_bytes {
        256 => Box::new(End::<256>::find(place)?),
        384 => Box::new(End::<384>::find(place)?),
        1024 => Box::new(End::<1024>::find(place)?),
        1536 => Box::new(End::<1536>::find(place)?),
        other => bail!("no array queue has elements of {other} bytes"),
    })
}

impl<const BYTES: usize> End<BYTES> {
    fn new(place: &Place) -> Result<Self> {
        let elements = place.shape.records * place.shape.producers;
        let queue = Arc::new(ArrayQueue::new(elements));
        let mut queues = QUEUES.lock().map_err(|_| anyhow!("a thread panicked"))?;
        queues.insert(place.dir.clone(), Arc::<ArrayQueue<Element<BYTES>>>::clone(&queue));
        Ok(End(queue))
    }

    fn find(place: &Place) -> Result<Self> {
        let queues = QUEUES.lock().map_err(|_| anyhow!("a thread panicked"))?;
        let queue = queues.get(&place.dir).cloned().and_then(|queue| queue.downcast().ok());
        Ok(End(queue.context("the queue is not there")?))
    }
}

impl<const BYTES: usize> Receiver for End<BYTES> {
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        while let Some(element) = self.0.pop() {
            let used = &element.bytes[..element.length as usize];
            // SAFETY: the sender wrote so many bytes.
            tally.take(unsafe { used.assume_init_ref() });
        }
        Ok(())
    }
}

impl<const BYTES: usize> Sender for End<BYTES> {
    fn send(&mut self, payload: &[u8]) -> Result<()> {
        let mut element =
            Element { length: payload.len() as u32, bytes: [MaybeUninit::uninit(); BYTES] };
        element.bytes[..payload.len()].write_copy_of_slice(payload);
        let mut pause = Pause::default();
        while let Err(back) = self.0.push(element) {
            element = back;
            pause.wait();
        }
        Ok(())
    }
}
