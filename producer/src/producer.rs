//! A long-lived producer: claims a lane once, keeps it, and publishes without a system call.

use hookring_bus::control::RingError;
use hookring_bus::crc::Crc32c;
use hookring_bus::create::{self, random_seed};
use hookring_bus::ident::Ids;
use hookring_bus::layout::READER_LOCK;
use hookring_bus::names;
use hookring_bus::owned::{ClaimError, OwnedLane, PutError, Reserved};
use hookring_bus::place::{Places, RING, Refused};
use hookring_bus::record::{
    MAX_META_BYTES, MAX_PAYLOAD_BYTES, MetaWriter, RecordHeader, flag, kind, tag,
};
use hookring_bus::region::Region;
use hookring_bus::spool::{self, Spooled};
use hookring_bus::sys::{self, Advice, Errno, Fd, Open, Stat};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How often the ring's path is compared with the ring that is mapped, in ns.
const CHECK_INTERVAL_NS: u64 = 1_000_000_000;

/// Why a producer cannot be made.
#[derive(Debug, Error)]
pub enum OpenError {
    /// None of the directories in which hooks and the daemon meet can be used.
    #[error(
        "cannot open the hookring bus: none of its directories can be used ({0}); make one a directory of this user with mode 0700, or set HOOKRING_DIR"
    )]
    NoPlace(String),
    /// The process ran out of memory or descriptors.
    #[error("cannot prepare a hookring producer")]
    System(#[source] std::io::Error),
}

/// Why an event was not published.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The payload is larger than [`MAX_PAYLOAD_BYTES`].
    #[error(
        "cannot publish an event of {bytes} bytes: the largest is {MAX_PAYLOAD_BYTES}; split it or leave content out"
    )]
    TooLarge {
        /// The payload's length in bytes.
        bytes: usize,
    },
    /// Ring and spool are at their limits. The loss is counted where `hookring status` shows it.
    #[error(
        "cannot publish the event: ring and spool are full; start the daemon (`hookring run`) or raise bus.spool_bytes"
    )]
    Dropped,
    /// Neither ring nor spool could be written.
    #[error("cannot write the event to the spool in {dir}")]
    Spool {
        /// The place's directory.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why a batch was not published to its end.
#[derive(Debug, Error)]
#[error("cannot publish the whole batch, only its first {published} events")]
pub struct BatchError {
    /// How many events were published, from the first on. Those behind them were not.
    pub published: usize,
    /// Why the next one was not.
    #[source]
    pub source: PublishError,
}

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
/// A publish into the lane costs a copy, a clock reading and a fence, and no system call. It never
/// waits: when the lane is full the event goes to the spool, a file each.
///
/// *Threads*: a producer may be sent to another thread; make one per thread that publishes.
/// *Fork*: a child that publishes through its copy claims a lane of its own first, by itself.
/// *Signals*: not for use in signal handlers.
/// *Truncation*: whoever cuts off the ring file while it is mapped sends this process SIGBUS. The
/// library cannot catch that for its host.
pub struct Producer {
    dir: Option<PathBuf>,
    uid: u32,
    pid: u32,
    crc: Option<Crc32c>,
    lane: Option<Claimed>,
    fork_mark: ForkMark,
    ids: Ids,
    /// Wall clock minus boot clock, in ns.
    wall_offset_ns: u64,
    last_check_ns: u64,
    /// Stamps behind a spooled event must be larger than its own.
    min_stamp_ns: u64,
    meta: Vec<u8>,
}

/// A lane and the ring file that it is in.
struct Claimed {
    lane: OwnedLane,
    place: Fd,
    stat: Stat,
    spare: Spare,
}

/// A description of the ring apart from the lane's, to take the reader's lock with when no daemon
/// lives. The host may close it and use its number for something else: it is checked before use.
struct Spare {
    raw: i32,
    stat: Stat,
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
        let mut producer = Producer {
            dir,
            uid: sys::effective_uid(),
            pid: sys::process_id(),
            crc: None,
            lane: None,
            fork_mark: ForkMark::new().map_err(|errno| OpenError::System(errno.into()))?,
            ids: Ids::new(random_seed()),
            wall_offset_ns: wall_offset_ns(),
            last_check_ns: sys::boottime_ns(),
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
        let reserved = self.lane.as_mut()?.lane.reserve(payload_bytes).ok()?;
        Some(Slot { producer: self, reserved: Some(reserved) })
    }

    /// Whether this producer has a lane now; without one its events go to the spool.
    pub fn has_lane(&self) -> bool {
        self.lane.is_some()
    }

    /// What every publish begins with: the clock, and a look around once a second and after a fork.
    // The order is for speed. A publish waits twice, for the clock and for the fence of `show`. Work
    // between the two fills the first wait; work behind the fence is waited for.
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
        if now_ns.wrapping_sub(self.last_check_ns) > CHECK_INTERVAL_NS {
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
            self.leave();
            self.claim();
        }
    }

    #[cold]
    fn spool(
        &mut self,
        header: RecordHeader,
        meta: usize,
        payload: &[u8],
        why: Result<(), PutError>,
    ) -> Result<Published, PublishError> {
        let result = self.store(header, &self.meta[..meta], payload);
        self.min_stamp_ns = header.stamp_ns + 1;
        if why == Err(PutError::Condemned) {
            self.leave();
            self.claim();
        }
        result
    }

    /// Stores a record in the first spool that takes it, and rings the doorbell.
    fn store(
        &self,
        header: RecordHeader,
        meta: &[u8],
        payload: &[u8],
    ) -> Result<Published, PublishError> {
        let places = self.places();
        let mut failed = None;
        let existing = (0..places.count()).map(|place| (place, places.open(place)));
        let created = (0..places.count()).map(|place| (place, places.create(place)));
        for (place, dir) in existing.chain(created) {
            let dir = match dir {
                Ok(dir) => dir,
                Err(reason) => {
                    failed = Some((place, std::io::Error::other(reason.to_string())));
                    continue;
                }
            };
            match spool::store(&dir, self.uid, header, meta, payload, Crc32c::fastest()) {
                Ok(Spooled::Stored) => {
                    if let Some(claimed) = &self.lane {
                        hookring_bus::doorbell::ring(claimed.lane.control().doorbell());
                    }
                    return Ok(Published::Spool);
                }
                Ok(Spooled::Dropped) => return Err(PublishError::Dropped),
                Err(errno) => failed = Some((place, errno.into())),
            }
        }
        self.count_dropped();
        let (place, source) = failed.unwrap_or((0, Errno::NOENT.into()));
        Err(PublishError::Spool { dir: place_path(&places, place), source })
    }

    fn count_dropped(&self) {
        if let Some(claimed) = &self.lane {
            let dropped = claimed.lane.control().dropped();
            dropped.fetch_add(1, hookring_bus::atomic::Ordering::Relaxed);
        }
    }

    fn places(&self) -> Places<'_> {
        Places::new(self.dir.as_ref().map(|dir| dir.as_os_str().as_bytes()), self.uid)
    }

    /// The first place that is this user's own, made if there is none.
    fn open_place(&self) -> Result<(Fd, bool), Vec<String>> {
        let places = self.places();
        let mut reasons = Vec::new();
        for place in 0..places.count() {
            if let Ok(dir) = places.open(place) {
                return Ok((dir, places.has_ring(place)));
            }
        }
        for place in 0..places.count() {
            match places.create(place) {
                Ok(dir) => return Ok((dir, places.has_ring(place))),
                Err(reason) => reasons.push(describe(&places, place, reason)),
            }
        }
        Err(reasons)
    }

    /// Claims a lane where one is to be had; creates the ring if it is missing.
    fn claim(&mut self) {
        for _ in 0..3 {
            let Ok((place, true)) = self.open_place() else { return };
            match self.claim_in(place) {
                Ok(claimed) => return self.lane = Some(claimed),
                Err(ClaimError::Ring(RingError::System(Errno::NOENT)) | ClaimError::Retired) => {
                    let geometry =
                        create::geometry(create::DEFAULT_LANES, create::DEFAULT_LANE_BYTES);
                    if let Ok((place, true)) = self.open_place() {
                        let _ = create::ring(&place, &geometry);
                    }
                }
                Err(_) => return,
            }
        }
    }

    fn claim_in(&self, place: Fd) -> Result<Claimed, ClaimError> {
        let file = sys::open(Some(&place), RING, Open::ReadWrite)?;
        let stat = sys::fstat(&file)?;
        let spare = sys::open(Some(&place), RING, Open::ReadWrite)?;
        let spare = Spare { raw: spare.into_raw(), stat };
        let lane = OwnedLane::claim(file, self.uid, self.crc)?;
        Ok(Claimed { lane, place, stat, spare })
    }

    /// Once a second: is the ring at its path still the one that is mapped? Is a lane to be had?
    #[cold]
    fn check(&mut self, now_ns: u64) {
        self.last_check_ns = now_ns;
        self.wall_offset_ns = wall_offset_ns();
        let replaced = self.lane.as_ref().is_some_and(|claimed| {
            let named = sys::stat(Some(&claimed.place), RING);
            !named.is_ok_and(|named| named.is_same_file(&claimed.stat))
        });
        // While a daemon reads the old ring it will say so itself, by retiring it.
        if replaced && self.move_unread() {
            self.lane = None;
        }
        if self.lane.is_none() {
            self.claim();
        }
    }

    /// Leaves the lane. What is unread there goes to the spool if no daemon will find it.
    fn leave(&mut self) {
        self.move_unread();
        self.lane = None;
    }

    /// Moves this lane's unread records to the spool, if no daemon reads this ring or ever will:
    /// `true`. In any other ring they stay: a daemon that died may have journaled some of them, and
    /// only the next one knows which.
    fn move_unread(&mut self) -> bool {
        let Some(mut claimed) = self.lane.take() else { return true };
        let is_orphan = !claimed.is_in_place() && claimed.spare.lock_reader();
        if is_orphan {
            claimed.lane.for_each_unread(|header, meta, payload| {
                // A record that the spool cannot take either is counted by it.
                let _ = self.store(header, meta, payload);
            });
        }
        self.lane = Some(claimed);
        is_orphan
    }

    /// In a forked child: its parent's lane is not mapped here, and its ids are its parent's.
    #[cold]
    fn after_fork(&mut self) {
        if let Some(claimed) = self.lane.take() {
            claimed.lane.forget();
        }
        if let Ok(mark) = ForkMark::new() {
            self.fork_mark = mark;
        }
        self.ids = Ids::new(random_seed());
        self.pid = sys::process_id();
        self.claim();
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.fork_mark.is_wiped() {
            // A child that never published: nothing here is its own.
            if let Some(claimed) = self.lane.take() {
                claimed.lane.forget();
            }
        } else {
            self.leave();
        }
    }
}

impl Claimed {
    /// Whether its ring stands where a daemon that starts looks for it.
    fn is_in_place(&self) -> bool {
        let old = create::old_name(&self.lane.control().geometry().bus);
        let is_ours = |name| {
            sys::stat(Some(&self.place), name).is_ok_and(|named| named.is_same_file(&self.stat))
        };
        is_ours(RING) || is_ours(&old)
    }
}

impl Spare {
    fn is_ours(&self, fd: &Fd) -> bool {
        sys::fstat(fd).is_ok_and(|now| now.is_same_file(&self.stat))
    }

    /// Takes the reader's lock of this ring, if nobody has it and the host left us the descriptor.
    fn lock_reader(&self) -> bool {
        let lock = |fd: &Fd| self.is_ours(fd) && sys::lock_byte(fd, READER_LOCK) == Ok(true);
        sys::borrow(self.raw, lock)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if sys::borrow(self.raw, |fd| self.is_ours(fd)) {
            sys::close_raw(self.raw);
        }
    }
}

/// An event that is filled in place. Dropping it publishes nothing.
pub struct Slot<'p> {
    producer: &'p mut Producer,
    reserved: Option<Reserved>,
}

impl Slot<'_> {
    /// Adds bytes to the payload; `false` if they do not fit what was reserved, and then none are.
    #[must_use]
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        match (&mut self.producer.lane, &mut self.reserved) {
            (Some(claimed), Some(reserved)) => claimed.lane.fill(reserved, bytes),
            _ => false,
        }
    }

    /// Publishes what was put in. On return it survives the death of any process.
    #[inline]
    pub fn commit(mut self) {
        let Some(reserved) = self.reserved.take() else { return };
        let now_ns = sys::boottime_ns();
        let header = self.producer.new_header(now_ns.max(self.producer.min_stamp_ns));
        if let Some(claimed) = &mut self.producer.lane {
            claimed.lane.commit(reserved, &header);
        }
        self.producer.show();
        self.producer.look_around(now_ns);
    }
}

/// Notices a fork: a word that the child finds wiped or, where the system wipes nothing, the pid.
struct ForkMark {
    page: Region,
    pid: Option<u32>,
}

impl ForkMark {
    fn new() -> Result<ForkMark, Errno> {
        let page = Region::anonymous(4096)?;
        let pid = page.advise(Advice::WipeOnFork).is_err().then(sys::process_id);
        page.word32(0).store(1, hookring_bus::atomic::Ordering::Relaxed);
        Ok(ForkMark { page, pid })
    }

    #[inline]
    fn is_wiped(&self) -> bool {
        self.page.word32(0).load(hookring_bus::atomic::Ordering::Relaxed) == 0
            || self.pid.is_some_and(|pid| pid != sys::process_id())
    }
}

fn wall_offset_ns() -> u64 {
    sys::realtime_ns().wrapping_sub(sys::boottime_ns())
}

fn place_path(places: &Places<'_>, place: usize) -> PathBuf {
    let path = places.path(place).unwrap_or_default();
    PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn describe(places: &Places<'_>, place: usize, reason: Refused) -> String {
    format!("{}: {reason}", place_path(places, place).display())
}
