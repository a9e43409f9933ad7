//! A long-lived producer: claims a lane once, keeps it, and publishes without a system call.

mod claimed;
mod errors;
mod fork;
mod leaving;
mod slot;
mod spool;

pub use errors::{BatchError, OpenError, PublishError};
pub use slot::Slot;

use claimed::Claimed;
use fork::ForkMark;
use hookring_bus::crc::Crc32c;
use hookring_bus::create::random_seed;
use hookring_bus::ident::Ids;
use hookring_bus::names;
use hookring_bus::owned::PutError;
use hookring_bus::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, MetaWriter, RecordHeader, flag, kind, tag,
};
use hookring_bus::sys;
use spool::places;
use std::path::{Path, PathBuf};

/// How often the ring's path is compared with the ring that is mapped, in ns.
const CHECK_INTERVAL_NS: u64 = 1_000_000_000;

/// Where an event went. Either way the daemon will find it, whatever dies.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Published {
    /// Into the producer's lane.
    Ring,
    /// Into the spool: the lane was full, the record too large, or no lane free.
    Spool,
}

/// An event to publish.
#[derive(Copy, Clone, Debug, Default)]
pub struct Event<'a> {
    /// The agent's name, e.g. `claude-code`; empty: the payload says.
    pub agent: &'a str,
    /// The event's name, e.g. `PreToolUse`; empty: the payload says.
    pub name: &'a str,
    /// The payload, normally JSON, at most [`MAX_PAYLOAD_BYTES`].
    pub payload: &'a [u8],
}

impl<'a> From<&'a [u8]> for Event<'a> {
    fn from(payload: &'a [u8]) -> Self {
        Event { payload, ..Event::default() }
    }
}

/// Publishes events from a running program.
///
/// A publish into the lane costs a copy and a clock reading, where the reader cannot make it
/// (`membarrier`) a fence as well, and no system call. It never waits: when the lane is full the
/// event goes to the spool, a file each.
///
/// *Threads*: a producer may be sent to another thread; make one per thread that publishes.
/// *Fork*: a child that publishes through its copy claims a lane of its own first, by itself.
/// *Signals*: not for use in signal handlers. A limit for the size of files (`ulimit -f`) makes a
/// publish fail or spool; its SIGXFSZ never reaches the host.
/// *Ending*: only if the ring file was removed, and a daemon that still reads it has not taken
/// everything, does dropping a producer wait for that, a tenth of a second at most.
/// *Truncation*: whoever cuts off the ring file while it is mapped sends this process SIGBUS. The
/// library cannot catch that for its host.
pub struct Producer {
    dir: Option<PathBuf>,
    uid: u32,
    pid: u32,
    crc: Option<Crc32c>,
    lane: Option<Claimed>,
    /// A lane of a retired ring without a name, whose reader has not taken everything.
    left: Option<Claimed>,
    fork_mark: ForkMark,
    ids: Ids,
    /// Wall clock minus boot clock, in ns.
    wall_offset_ns: u64,
    last_look_ns: u64,
    /// When to look around again; 0: before the next publish.
    next_check_ns: u64,
    /// Stamps behind a spooled event must be larger than its own.
    min_stamp_ns: u64,
    meta: Vec<u8>,
}

impl Producer {
    /// Opens the bus of this user (`HOOKRING_DIR`, if that is set) and claims a lane. With no lane
    /// free, or no ring to be had, events go to the spool until there is one.
    pub fn open() -> Result<Producer, OpenError> {
        Self::open_at(std::env::var_os("HOOKRING_DIR").map(PathBuf::from))
    }

    /// Opens the bus under a directory, as `HOOKRING_DIR` would.
    pub fn open_in(dir: &Path) -> Result<Producer, OpenError> {
        Self::open_at(Some(dir.to_owned()))
    }

    fn open_at(dir: Option<PathBuf>) -> Result<Producer, OpenError> {
        let now_ns = sys::boottime_ns();
        let mut producer = Producer {
            dir,
            uid: sys::effective_uid(),
            pid: sys::process_id(),
            crc: None,
            lane: None,
            left: None,
            fork_mark: ForkMark::new().map_err(|errno| OpenError::System(errno.into()))?,
            ids: Ids::new(random_seed()),
            wall_offset_ns: wall_offset_ns(),
            last_look_ns: now_ns,
            next_check_ns: now_ns.saturating_add(CHECK_INTERVAL_NS),
            min_stamp_ns: 0,
            meta: vec![0; MAX_META_BYTES],
        };
        producer.open_place().map_err(|reasons| OpenError::NoPlace(reasons.join("; ")))?;
        producer.claim();
        Ok(producer)
    }

    /// Has every record carry a CRC-32C, about 100 ns per KB more: for hosts that do not trust the
    /// memory or each other. The hook command always does.
    #[must_use]
    pub fn with_crc(mut self) -> Producer {
        self.crc = Some(Crc32c::fastest());
        if let Some(claimed) = &mut self.lane {
            claimed.lane.set_crc(self.crc);
        }
        self
    }

    /// Publishes an event. On return it survives the death of any process.
    pub fn publish<'a>(&mut self, event: impl Into<Event<'a>>) -> Result<Published, PublishError> {
        let event = event.into();
        let stamp_ns = self.begin();
        let mut header = self.header(&event, stamp_ns)?;
        let meta = self.encode_meta(&event, &mut header);
        let put = match &mut self.lane {
            Some(claimed) => claimed.lane.put(&header, &self.meta[..meta], event.payload),
            None => Err(PutError::Full),
        };
        if put.is_ok() {
            self.show();
            return Ok(Published::Ring);
        }
        self.spool(header, meta, event.payload, put)
    }

    /// Publishes events that share one stamp, with one release store for all that fit the lane.
    /// Says how many went to the ring; the rest are in the spool.
    pub fn publish_batch<'a, E>(
        &mut self,
        events: impl IntoIterator<Item = E>,
    ) -> Result<usize, BatchError>
    where
        E: Into<Event<'a>>,
    {
        let stamp_ns = self.begin();
        let (mut published, mut in_ring) = (0, 0);
        let mut result = Ok(());
        for event in events {
            // Once one is in the spool the rest follow it, so that they stay in order.
            let to_ring = in_ring == published;
            match self.put_or_spool(&event.into(), stamp_ns, to_ring) {
                Ok(Published::Ring) => in_ring += 1,
                Ok(Published::Spool) => {}
                Err(source) => {
                    result = Err(BatchError { published, source });
                    break;
                }
            }
            published += 1;
        }
        if in_ring == published {
            self.show();
        }
        result.map(|()| in_ring)
    }

    /// Puts an event of a batch into the lane, where it waits for [`Self::show`]. Where that is not
    /// to be, shows what is there already and stores the event in the spool.
    #[inline]
    fn put_or_spool(
        &mut self,
        event: &Event<'_>,
        stamp_ns: u64,
        to_ring: bool,
    ) -> Result<Published, PublishError> {
        let mut header = self.header(event, stamp_ns)?;
        let meta = self.encode_meta(event, &mut header);
        let put = match &mut self.lane {
            Some(claimed) if to_ring => {
                claimed.lane.put(&header, &self.meta[..meta], event.payload)
            }
            _ => Err(PutError::Full),
        };
        if put.is_ok() {
            return Ok(Published::Ring);
        }
        self.show();
        // A stamp of its own, behind what is published by now: a reader that lists the spool just
        // then may find a later entry and not this one, and goes by the stamp.
        header.stamp_ns = sys::boottime_ns().max(self.min_stamp_ns);
        self.spool(header, meta, event.payload, put)
    }

    /// Reserves room for an event whose payload is filled in place. `payload_bytes` is the most that
    /// will be put in. `None`: the lane has no room; use [`Self::publish`], which can spool.
    #[inline]
    pub fn reserve(&mut self, payload_bytes: usize) -> Option<Slot<'_>> {
        self.notice_fork();
        if self.next_check_ns == 0 {
            self.check(sys::boottime_ns());
        }
        let reserved = self.lane.as_mut()?.lane.reserve(payload_bytes).ok()?;
        Some(Slot { producer: self, reserved: Some(reserved) })
    }

    /// Whether this producer has a lane now; without one its events go to the spool.
    pub fn has_lane(&self) -> bool {
        self.lane.is_some()
    }

    /// What every publish begins with: the clock, and a look around once a second and after a fork.
    // The order is for speed. A publish waits for the clock, and in `show` for the fence where it makes
    // one. Work between the two fills the first wait; work behind the fence is waited for.
    #[inline]
    fn begin(&mut self) -> u64 {
        let now_ns = sys::boottime_ns();
        self.notice_fork();
        self.look_around(now_ns);
        now_ns.max(self.min_stamp_ns)
    }

    #[inline]
    fn notice_fork(&mut self) {
        if self.fork_mark.is_wiped() {
            self.after_fork();
        }
    }

    #[inline]
    fn look_around(&mut self, now_ns: u64) {
        if now_ns > self.next_check_ns {
            self.check(now_ns);
        }
    }

    #[inline]
    fn header(&mut self, event: &Event<'_>, stamp_ns: u64) -> Result<RecordHeader, PublishError> {
        let bytes = event.payload.len();
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(PublishError::TooLarge { bytes });
        }
        Ok(RecordHeader { payload_bytes: bytes as u32, ..self.new_header(stamp_ns) })
    }

    #[inline]
    fn new_header(&mut self, stamp_ns: u64) -> RecordHeader {
        RecordHeader {
            stamp_ns,
            id: self.ids.next(stamp_ns.wrapping_add(self.wall_offset_ns)),
            pid: self.pid,
            kind: kind::DATA,
            ..RecordHeader::default()
        }
    }

    /// Puts the names into the header where they have codes, else into the metadata; its length.
    #[inline]
    fn encode_meta(&mut self, event: &Event<'_>, header: &mut RecordHeader) -> usize {
        if event.agent.is_empty() && event.name.is_empty() {
            return 0;
        }
        header.agent = names::code(names::AGENTS, event.agent.as_bytes());
        header.event = names::code(names::EVENTS, event.name.as_bytes());
        let mut writer = MetaWriter::new(&mut self.meta);
        for (name, code, tag) in
            [(event.agent, header.agent, tag::AGENT), (event.name, header.event, tag::EVENT)]
        {
            if code == 0 && !name.is_empty() {
                writer.add(tag, name.as_bytes());
            }
        }
        if writer.is_cut() {
            header.flags |= flag::META_CUT;
        }
        let meta = writer.finish().len();
        header.meta_bytes = meta as u32;
        meta
    }

    /// Makes what was put visible. A retired ring is left for the new one.
    #[inline]
    fn show(&mut self) {
        if let Some(claimed) = &mut self.lane
            && claimed.lane.publish()
        {
            self.leave_retired();
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.fork_mark.is_wiped() {
            // A child that never published: nothing here is its own.
            self.forget_lanes();
        } else {
            self.leave();
        }
    }
}

fn wall_offset_ns() -> u64 {
    sys::realtime_ns().wrapping_sub(sys::boottime_ns())
}
