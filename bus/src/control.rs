//! The control area of a ring: header, doorbell and every lane's control lines, mapped.

use crate::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::layout::{
    ANNOUNCED_OFFSET, DOORBELL_OFFSET, DROPPED_OFFSET, Geometry, HEADER_BYTES, LayoutError, word,
};
use crate::region::Region;
use crate::sys::{self, Errno, Fd, Stat};

/// What is mapped before the number of lanes is known: enough for 48. The first touch brings in every
/// page of a mapping that is near, so a hook should have no more than it needs.
const FIRST_BYTES: usize = 16 * 1024;

/// Why a ring file cannot be opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum RingError {
    /// A system call failed.
    System(Errno),
    /// It is not a regular file of this user with mode 0600.
    NotPrivate(Stat),
    /// Its header does not hold.
    Layout(LayoutError),
}

impl From<Errno> for RingError {
    fn from(errno: Errno) -> Self {
        RingError::System(errno)
    }
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::System(errno) => write!(f, "the system refused (errno {})", errno.0),
            Self::NotPrivate(stat) => write!(
                f,
                "it must be a regular file of this user with mode 0600, it has mode {:o} and belongs to uid {}",
                stat.mode, stat.uid
            ),
            Self::Layout(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RingError {}

/// A mapped control area. Its geometry was checked once and is not read from the file again.
pub struct Control {
    region: Region,
    geometry: Geometry,
}

impl Control {
    /// Checks that the open file is a private ring file of `uid` and maps its control area.
    pub fn map(fd: &Fd, uid: u32) -> Result<Control, RingError> {
        let stat = sys::fstat(fd)?;
        if !stat.is_private_file(uid) {
            return Err(RingError::NotPrivate(stat));
        }
        if stat.bytes < HEADER_BYTES as u64 {
            return Err(RingError::Layout(LayoutError::Magic));
        }
        let mut region = Region::map(fd, 0, FIRST_BYTES)?;
        let mut header = [0; HEADER_BYTES];
        region.read(0, &mut header);
        let geometry = Geometry::decode(&header, stat.bytes).map_err(RingError::Layout)?;
        let control_bytes = Geometry::control_offset(geometry.lanes);
        if control_bytes > FIRST_BYTES {
            region = Region::map(fd, 0, control_bytes)?;
        }
        Ok(Control { region, geometry })
    }

    /// A control area in this process's own memory.
    pub fn from_region(region: Region, geometry: Geometry) -> Control {
        assert!(region.len() as u64 >= geometry.data_offset());
        Control { region, geometry }
    }

    /// The ring's shape.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The mapping.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Gives the mapping up without unmapping it; see [`Region::forget`].
    pub fn forget(self) {
        self.region.forget();
    }

    /// Whether the header in the file is still the one that was checked.
    pub fn is_header_intact(&self) -> bool {
        let mut header = [0; HEADER_BYTES];
        self.region.read(0, &mut header);
        header == self.geometry.encode()
    }

    fn lane_word(&self, lane: u32, offset: usize) -> &AtomicU64 {
        debug_assert!(lane < self.geometry.lanes);
        self.region.word64(Geometry::control_offset(lane) + offset)
    }

    /// Position after a lane's last published record.
    #[inline]
    pub fn tail(&self, lane: u32) -> &AtomicU64 {
        self.lane_word(lane, word::TAIL)
    }

    /// Position up to which the reader is done with a lane.
    #[inline]
    pub fn head(&self, lane: u32) -> &AtomicU64 {
        self.lane_word(lane, word::HEAD)
    }

    /// A lane's count of published records.
    #[inline]
    pub fn records(&self, lane: u32) -> &AtomicU64 {
        self.lane_word(lane, word::RECORDS)
    }

    /// A lane's count of records that went to the spool because it was full.
    #[inline]
    pub fn spooled(&self, lane: u32) -> &AtomicU64 {
        self.lane_word(lane, word::SPOOLED)
    }

    /// Not 0: the lane is condemned.
    #[inline]
    pub fn condemned(&self, lane: u32) -> &AtomicU64 {
        self.lane_word(lane, word::CONDEMNED)
    }

    /// Whether the reader condemned a lane.
    #[inline]
    pub fn is_condemned(&self, lane: u32) -> bool {
        self.condemned(lane).load(Ordering::Relaxed) != 0
    }

    /// Events that neither a lane nor the spool took; any producer adds to it.
    pub fn dropped(&self) -> &AtomicU64 {
        self.region.word64(DROPPED_OFFSET)
    }

    /// Says that something was stored in a spool, of whichever place, and by then nobody was told so: the
    /// reader then looks whether that is still the spool that it reads.
    pub fn announce_store(&self) {
        self.announced().fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence behind the clock in `Drain::begin_round`: what follows from the store is
        // stamped behind this, and a round whose clock is later than that stamp sees this count.
        fence(Ordering::SeqCst);
    }

    /// How often [`Self::announce_store`] was called.
    pub fn announced(&self) -> &AtomicU64 {
        self.region.word64(ANNOUNCED_OFFSET)
    }

    /// The doorbell word; see [`crate::doorbell`].
    #[inline]
    pub fn doorbell(&self) -> &AtomicU32 {
        self.region.word32(DOORBELL_OFFSET)
    }
}
