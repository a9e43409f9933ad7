//! The way of an event that the lane does not take: to the spool of a place.

use super::{Producer, PublishError, Published};
use hookring_bus::crc::Crc32c;
use hookring_bus::oneshot;
use hookring_bus::owned::PutError;
use hookring_bus::place::{Places, Refused};
use hookring_bus::record::RecordHeader;
use hookring_bus::spool::{self, Spooled};
use hookring_bus::sys::{Errno, Fd, WithoutSigxfsz};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

impl Producer {
    #[cold]
    pub(super) fn spool(
        &mut self,
        mut header: RecordHeader,
        meta: usize,
        payload: &[u8],
        why: Result<(), PutError>,
    ) -> Result<Published, PublishError> {
        let _no_signal = WithoutSigxfsz::begin();
        self.look_before_spooling();
        header.stamp_ns = header.stamp_ns.max(self.min_stamp_ns);
        let result = self.store(header, &self.meta[..meta], payload);
        self.min_stamp_ns = header.stamp_ns + 1;
        if why == Err(PutError::Condemned) {
            self.leave_condemned();
        }
        result
    }

    /// Stores a record in the first spool that takes it, and tells the reader.
    pub(super) fn store(
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
                    let ring = self.lane.as_ref().map(|claimed| claimed.lane.control());
                    oneshot::announce_stored(&places, ring);
                    return Ok(Published::Spool);
                }
                Ok(Spooled::Dropped) => return Err(PublishError::Dropped),
                Err(errno) => failed = Some((place, errno.into())),
            }
        }
        let is_counted = self.count_dropped(header.bytes());
        let (place, source) = failed.unwrap_or((0, Errno::NOENT.into()));
        Err(PublishError::Spool { dir: place_path(&places, place), source, is_counted })
    }

    /// Counts an event of so many bytes as dropped: in the ring, if somebody will see it there, or else
    /// in the first spool that has counters. `false`: there is nowhere to count it.
    pub(super) fn count_dropped(&self, bytes: u64) -> bool {
        let places = self.places();
        if let Some(claimed) = self.lane.as_ref().filter(|claimed| claimed.has_reader(&places)) {
            let dropped = claimed.lane.control().dropped();
            dropped.fetch_add(1, hookring_bus::atomic::Ordering::Relaxed);
            return true;
        }
        (0..places.count()).any(|place| {
            let dir = places.open(place);
            dir.is_ok_and(|dir| spool::count_dropped(&dir, self.uid, bytes).is_ok())
        })
    }

    pub(super) fn places(&self) -> Places<'_> {
        places(&self.dir, self.uid)
    }

    /// The first place that is this user's own, made if there is none.
    pub(super) fn open_place(&self) -> Result<(usize, Fd), Vec<String>> {
        let places = self.places();
        let mut reasons = Vec::new();
        for place in 0..places.count() {
            if let Ok(dir) = places.open(place) {
                return Ok((place, dir));
            }
        }
        for place in 0..places.count() {
            match places.create(place) {
                Ok(dir) => return Ok((place, dir)),
                Err(reason) => reasons.push(describe(&places, place, reason)),
            }
        }
        Err(reasons)
    }
}

/// The places of a user, under the directory that was chosen, if one was.
pub(super) fn places(dir: &Option<PathBuf>, uid: u32) -> Places<'_> {
    Places::new(dir.as_ref().map(|dir| dir.as_os_str().as_bytes()), uid)
}

fn place_path(places: &Places<'_>, place: usize) -> PathBuf {
    let path = places.path(place).unwrap_or_default();
    PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn describe(places: &Places<'_>, place: usize, reason: Refused) -> String {
    format!("{}: {reason}", place_path(places, place).display())
}
