//! A look into the places without being their reader: what waits there, and why one is not used. Takes
//! no lock, creates nothing, writes nothing, maps nothing.

use super::report::PlaceReport;
use super::set_aside::UNREADABLE_PREFIX;
use super::spool_entry::Entry;
use crate::control::RingError;
use crate::create::{BAD_PREFIX, OLD_PREFIX};
use crate::layout::{
    CONTROL_BYTES, CONTROL_OFFSET, DROPPED_OFFSET, Geometry, HEADER_BYTES, LANE_LOCK, LayoutError,
    word,
};
use crate::place::{self, Path, Places, RING, Refused, SPOOL};
use crate::spool::{DROPPED_EVENTS_OFFSET, USAGE};
use crate::sys::{self, Errno, Fd, Open, Stat};
use std::ffi::{CStr, CString};

/// Looks into every place of the user. Some of what waits may be in the journal already: a reader that
/// died had not let go of it.
pub fn look(places: &Places<'_>) -> Vec<PlaceReport> {
    let paths = (0..places.count()).filter_map(|place| Some((places.path(place)?, place)));
    paths.map(|(path, place)| look_into(&path, places.has_ring(place), places.uid())).collect()
}

fn look_into(path: &Path, has_ring: bool, uid: u32) -> PlaceReport {
    let mut report = PlaceReport {
        path: String::from_utf8_lossy(path.as_bytes()).into_owned(),
        ..PlaceReport::default()
    };
    let dir = match place::open_private(None, path.as_c_str(), uid) {
        Ok(dir) => dir,
        Err(refused) => {
            report.refused = Some(refused.to_string());
            return report;
        }
    };
    if has_ring {
        look_into_rings(&dir, uid, &mut report);
    }
    match place::open_private(Some(&dir), SPOOL, uid) {
        Ok(spool) => look_into_spool(&spool, uid, &mut report),
        Err(Refused::Missing) => {}
        Err(refused) => report.spool_error = Some(refused.to_string()),
    }
    report
}

fn look_into_rings(dir: &Fd, uid: u32, report: &mut PlaceReport) {
    match Ring::open(dir, RING, uid) {
        Ok(ring) => {
            report.lanes = ring.geometry.lanes as usize;
            report.locked_lanes = ring.locked_lanes();
            ring.add_to(report);
        }
        Err(RingError::System(Errno::NOENT)) => {}
        Err(RingError::System(errno)) => {
            report.ring_error = Some(std::io::Error::from(errno).to_string());
        }
        Err(error) => report.ring_error = Some(error.to_string()),
    }
    let is_listed = sys::for_each_name_in(dir, |name| {
        let is_old = name.starts_with(OLD_PREFIX.as_bytes());
        if is_old || name.starts_with(BAD_PREFIX.as_bytes()) {
            report.retired_rings += 1;
        }
        // What a damaged one holds, only its reader finds out.
        if is_old
            && let Ok(name) = CString::new(name)
            && let Ok(ring) = Ring::open(dir, &name, uid)
        {
            ring.add_to(report);
        }
        true
    });
    if let Err(errno) = is_listed {
        report.ring_error = Some(std::io::Error::from(errno).to_string());
    }
}

/// A ring's file, and what its words said when it was opened.
struct Ring {
    file: Fd,
    geometry: Geometry,
    control: Vec<u8>,
}

impl Ring {
    fn open(dir: &Fd, name: &CStr, uid: u32) -> Result<Ring, RingError> {
        let file = sys::open(Some(dir), name, Open::Read)?;
        let stat = sys::fstat(&file)?;
        if !stat.is_private_file(uid) {
            return Err(RingError::NotPrivate(stat));
        }
        let mut header = [0; HEADER_BYTES];
        read(&file, &mut header)?;
        let geometry = Geometry::decode(&header, stat.bytes).map_err(RingError::Layout)?;
        let mut control = vec![0; Geometry::control_offset(geometry.lanes)];
        read(&file, &mut control)?;
        Ok(Ring { file, geometry, control })
    }

    fn word(&self, at: usize) -> u64 {
        word_at(&self.control, at)
    }

    fn add_to(&self, report: &mut PlaceReport) {
        let lines = (CONTROL_OFFSET..self.control.len()).step_by(CONTROL_BYTES);
        let used = lines.map(|line| {
            let (tail, head) = (self.word(line + word::TAIL), self.word(line + word::HEAD));
            tail.saturating_sub(head).min(self.geometry.lane_bytes)
        });
        report.used_bytes += used.sum::<u64>();
        let dropped = self.word(DROPPED_OFFSET);
        report.dropped_events = report.dropped_events.saturating_add(dropped);
    }

    fn locked_lanes(&self) -> usize {
        let lanes = 0..u64::from(self.geometry.lanes);
        lanes.filter(|lane| sys::is_locked(&self.file, LANE_LOCK + lane, 1) == Ok(true)).count()
    }
}

fn look_into_spool(spool: &Fd, uid: u32, report: &mut PlaceReport) {
    let is_listed = sys::for_each_name_in(spool, |name| {
        report.unreadable_spool_entries +=
            usize::from(name.starts_with(UNREADABLE_PREFIX.as_bytes()));
        if let Some(entry) = Entry::parse(name)
            && let Some(stat) = sys::stat(Some(spool), &entry.c_name()).ok().filter(Stat::is_file)
        {
            report.spool_entries += 1;
            report.spool_bytes += stat.bytes;
        }
        true
    });
    if let Err(errno) = is_listed {
        report.spool_error = Some(std::io::Error::from(errno).to_string());
    }
    report.spool_dropped_events = dropped_in(spool, uid).unwrap_or(0);
}

/// `None`: the spool has no counters, and hooks that drop something there cannot count it.
fn dropped_in(spool: &Fd, uid: u32) -> Option<u64> {
    let file = sys::open(Some(spool), USAGE, Open::Read).ok()?;
    sys::fstat(&file).ok().filter(|stat| stat.is_own_file(uid))?;
    let mut words = [0; DROPPED_EVENTS_OFFSET + 8];
    read(&file, &mut words).ok()?;
    Some(word_at(&words, DROPPED_EVENTS_OFFSET))
}

/// A word at a place that is within the bytes.
fn word_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Reads a file's first bytes.
fn read(file: &Fd, into: &mut [u8]) -> Result<(), RingError> {
    let mut done = 0;
    while done < into.len() {
        match sys::pread(file, &mut into[done..], done as u64) {
            // Shorter than it should be.
            Ok(0) => return Err(RingError::Layout(LayoutError::Magic)),
            Ok(bytes) => done += bytes,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(RingError::System(errno)),
        }
    }
    Ok(())
}
