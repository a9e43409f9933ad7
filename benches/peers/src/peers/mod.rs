//! The contenders, each behind the same two ends: a sender and a receiver.

#[cfg(feature = "aeron")]
mod aeron;
mod array_queue;
mod byte_ring;
mod datagram;
pub(crate) mod hookring;
mod iceoryx;
mod stream;

use std::hint::black_box;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::payloads::Tally;

/// A contender.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    Hookring,
    Rtrb,
    ArrayQueue,
    Iceoryx,
    Aeron,
    Pipe,
    Datagram,
    Tcp,
}

/// How the two ends meet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Never more than [`Shape::records`] are sent before they are read, and the reader never sleeps.
    Burst,
    /// The sender waits for room, the reader never sleeps.
    Paced,
    /// One record at a time, to a reader that sleeps.
    Sleeping,
}

/// What a contender must be able to carry.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    /// The largest payload.
    pub(crate) max_bytes: usize,
    /// Records of each producer that are under way at the same time.
    pub(crate) records: usize,
    pub(crate) producers: usize,
    pub(crate) mode: Mode,
}

/// Where the two ends meet: a directory of their own.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) shape: Shape,
}

/// The sending end. It stays in the thread that made it.
pub(crate) trait Sender {
    /// Sends one record; waits where there is no room.
    fn send(&mut self, payload: &[u8]) -> Result<()>;

    /// Sends records together, in the way that the contender has for this.
    fn send_batch(&mut self, payloads: &[&[u8]]) -> Result<()> {
        self.send_each(payloads)
    }

    /// Sends records one by one.
    fn send_each(&mut self, payloads: &[&[u8]]) -> Result<()> {
        for payload in payloads {
            self.send(black_box(payload))?;
        }
        Ok(())
    }

    /// Waits until a run of [`Shape::records`] fits. Not timed.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The receiving end.
pub(crate) trait Receiver {
    /// Takes what there is: nothing, if the reader spins; at least one record, if it sleeps.
    fn receive(&mut self, tally: &mut Tally) -> Result<()>;

    /// Fails if something went another way than the one that is measured.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Peer {
    /// All that were built in.
    pub(crate) fn all() -> impl Iterator<Item = Peer> {
        let all = [
            Peer::Hookring,
            Peer::Rtrb,
            Peer::ArrayQueue,
            Peer::Iceoryx,
            Peer::Aeron,
            Peer::Pipe,
            Peer::Datagram,
            Peer::Tcp,
        ];
        all.into_iter().filter(|peer| *peer != Peer::Aeron || cfg!(feature = "aeron"))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Hookring => "hookring",
            Peer::Rtrb => "rtrb",
            Peer::ArrayQueue => "crossbeam ArrayQueue",
            Peer::Iceoryx => "iceoryx2",
            Peer::Aeron => "Aeron",
            Peer::Pipe => "pipe",
            Peer::Datagram => "Unix datagram",
            Peer::Tcp => "TCP on loopback",
        }
    }

    /// One word, for the reader's orders.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Peer::ArrayQueue => "array-queue",
            Peer::Aeron => "aeron",
            Peer::Datagram => "datagram",
            Peer::Tcp => "tcp",
            other => other.name(),
        }
    }

    /// Both ends must be in one process.
    pub(crate) fn is_in_process(self) -> bool {
        matches!(self, Peer::Rtrb | Peer::ArrayQueue)
    }

    /// A send is a system call.
    pub(crate) fn is_kernel(self) -> bool {
        matches!(self, Peer::Pipe | Peer::Datagram | Peer::Tcp)
    }

    /// Its reader can sleep until something arrives.
    pub(crate) fn can_sleep(self) -> bool {
        self.is_kernel() || matches!(self, Peer::Hookring | Peer::Iceoryx)
    }

    /// It has a way to send several records together.
    pub(crate) fn has_batches(self) -> bool {
        self.is_kernel() || matches!(self, Peer::Hookring | Peer::Rtrb)
    }

    /// How many records one thread can send before it must read them itself.
    pub(crate) fn unread_records(self) -> usize {
        match self {
            // Linux keeps net.unix.max_dgram_qlen of them, 10 unless it is told otherwise.
            Peer::Datagram => 8,
            Peer::Tcp => 32,
            _ => usize::MAX,
        }
    }

    /// Makes the receiving end; it comes first.
    pub(crate) fn receiver(self, place: &Place) -> Result<Box<dyn Receiver>> {
        Ok(match self {
            Peer::Hookring => Box::new(hookring::Reader::new(place)?),
            Peer::Rtrb => Box::new(byte_ring::Reader::new(place)?),
            Peer::ArrayQueue => array_queue::reader(place)?,
            Peer::Iceoryx => Box::new(iceoryx::Reader::new(place)?),
            #[cfg(feature = "aeron")]
            Peer::Aeron => Box::new(aeron::Reader::new(place)?),
            #[cfg(not(feature = "aeron"))]
            Peer::Aeron => bail!("this was built without Aeron"),
            Peer::Pipe => Box::new(stream::pipe_reader(place)?),
            Peer::Datagram => Box::new(datagram::Reader::new(place)?),
            Peer::Tcp => Box::new(stream::TcpReader::new(place)?),
        })
    }

    /// Makes a sending end, in the thread that will send.
    pub(crate) fn sender(self, place: &Place) -> Result<Box<dyn Sender>> {
        Ok(match self {
            Peer::Hookring => Box::new(hookring::Writer::new(place)?),
            Peer::Rtrb => Box::new(byte_ring::Writer::new(place)?),
            Peer::ArrayQueue => array_queue::writer(place)?,
            Peer::Iceoryx => Box::new(iceoryx::Writer::new(place)?),
            #[cfg(feature = "aeron")]
            Peer::Aeron => Box::new(aeron::Writer::new(place)?),
            #[cfg(not(feature = "aeron"))]
            Peer::Aeron => bail!("this was built without Aeron"),
            Peer::Pipe => Box::new(stream::pipe_writer(place)?),
            Peer::Datagram => Box::new(datagram::Writer::new(place)?),
            Peer::Tcp => Box::new(stream::tcp_writer(place)?),
        })
    }
}

impl FromStr for Peer {
    type Err = anyhow::Error;

    fn from_str(word: &str) -> Result<Peer> {
        match Peer::all().find(|peer| peer.word() == word) {
            Some(peer) => Ok(peer),
            None => bail!("no contender is called `{word}`"),
        }
    }
}

/// What every sender does that found no room: spins for a little, then lets others run.
#[derive(Default)]
pub(crate) struct Pause {
    tries: u32,
}

impl Pause {
    pub(crate) fn wait(&mut self) {
        self.tries += 1;
        if self.tries.is_multiple_of(64) {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
