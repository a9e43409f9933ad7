//! How far a sink came: a small file that survives being killed, or losing power, at any moment.
//!
//! Two slots of 256 bytes, 4096 bytes apart so that they never share a disk block, are written in
//! turn; the one with the higher generation counts. All numbers are little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0–7 | `hrcurso2` |
//! | 8–15 | generation, from 1 |
//! | 16–23 | the number to deliver next |
//! | 24–31, 32–39 | first and last number of the batch in flight; 0, 0: none |
//! | 40–55 | UUID of that batch |
//! | 56–63 | how many events the sink lost, because the journal no longer had them |
//! | 64–231 | the latest seven gaps: first and last number, Unix time in seconds; 0: none |
//! | 232–251 | 0 |
//! | 252–255 | CRC-32C of bytes 0–251 |
//!
//! Stores are not synced: after power loss an older position is found, and some events are delivered
//! twice. They are never synced *before* the journal is, because a position beyond
//! [`Tail::synced`](crate::tail::Tail::synced) must not be stored.

mod list;
mod losses;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use list::{highest_cursor, stored_cursors};
use losses::LOSSES_BYTES;
pub use losses::{LOST_GAPS_KEPT, Losses, Lost};

use crate::reader::Gap;
use crate::segment::MAX_SEQ;
use crate::storage::{prepare_dir, private_file};
use crate::{OLDEST, Seq};

const SUFFIX: &str = ".cursor";
const NAME_BYTES_MAX: usize = 64;
const MAGIC: &[u8; 8] = b"hrcurso2";
const SLOT_BYTES: usize = 256;
const LOSSES_AT: usize = 56;
const CRC_AT: usize = SLOT_BYTES - 4;
const SLOT_AT: [u64; 2] = [0, 4096];
/// A file that came so far is made anew.
const MAX_GENERATION: u64 = 1 << 53;

/// Why a cursor could not be opened or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// A sink's name is part of a file name.
    #[error(
        "`{0}` cannot name a cursor; use 1 to 64 ASCII letters, digits, `-`, `_` or `.`, \
         not beginning with `.`"
    )]
    Name(String),
    /// The file could not be opened, created or read.
    #[error("cannot open the cursor {}", path.display())]
    Open {
        /// The cursor's file, or the directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be written. What was stored before is still there.
    #[error("cannot store the cursor {}; free some space or check the disk", path.display())]
    Store {
        /// The cursor's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What [`Cursor::open`] found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum CursorState {
    /// There was none; it begins at the number that was asked for.
    Fresh,
    /// The last stored position.
    Loaded,
    /// One slot is damaged, perhaps the one stored last: some events may be delivered twice.
    OlderSlot,
    /// Both slots are damaged; it begins at [`OLDEST`]. The old file is kept as `….cursor.bad`.
    Damaged,
}

/// A batch that was handed to the sink and not yet answered.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct InFlight {
    /// Its first event.
    pub first: Seq,
    /// Its last event.
    pub last: Seq,
    /// A UUID that stays the same through retry and restart.
    pub attempt: [u8; 16],
}

/// One sink's position. Belongs to one thread at a time; two for one sink would overwrite each
/// other.
#[derive(Debug)]
pub struct Cursor {
    file: File,
    path: PathBuf,
    /// What is stored.
    slot: Slot,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Slot {
    generation: u64,
    next: Seq,
    in_flight: Option<InFlight>,
    lost: Losses,
}

impl Cursor {
    /// Opens `<dir>/<sink>.cursor`, or creates it to begin at `start` ([`OLDEST`]: at the oldest
    /// event that still exists).
    ///
    /// # Errors
    ///
    /// If the name cannot be a file's, or the file cannot be opened or created. Damage is no error.
    pub fn open(dir: &Path, sink: &str, start: Seq) -> Result<(Cursor, CursorState), CursorError> {
        if !is_name(sink) {
            return Err(CursorError::Name(sink.to_owned()));
        }
        let path = dir.join(format!("{sink}{SUFFIX}"));
        let failed = |source| CursorError::Open { path: path.clone(), source };
        prepare_dir(dir).map_err(failed)?;
        let file = match private_file().open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::create(dir, path.clone(), start, CursorState::Fresh).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        let (slots, used) = read_slots(&file).map_err(failed)?;
        let Some(slot) = newest(&slots) else {
            fs::rename(&path, path.with_added_extension("bad")).map_err(failed)?;
            return Self::create(dir, path.clone(), OLDEST, CursorState::Damaged).map_err(failed);
        };
        // From the second store on, both slots have been written.
        let written = |used: bool| used || slot.generation > 1;
        let other_is_damaged =
            used.iter().zip(&slots).any(|(&used, slot)| slot.is_none() && written(used));
        let state = if other_is_damaged { CursorState::OlderSlot } else { CursorState::Loaded };
        Ok((Cursor { file, path, slot }, state))
    }

    fn create(
        dir: &Path,
        path: PathBuf,
        start: Seq,
        state: CursorState,
    ) -> io::Result<(Cursor, CursorState)> {
        let slot = Slot { generation: 1, next: start, in_flight: None, lost: Losses::default() };
        let file = make(dir, &path, &slot)?;
        Ok((Cursor { file, path, slot }, state))
    }

    /// The number to deliver next; [`OLDEST`]: whatever is oldest.
    pub fn position(&self) -> Seq {
        self.slot.next
    }

    /// The batch that was begun and not answered, also by a process before this one: deliver just
    /// these events again under the same UUID.
    pub fn in_flight(&self) -> Option<InFlight> {
        self.slot.in_flight
    }

    /// Remembers a batch before it is delivered. The same numbers as those in flight stay the same
    /// batch; others begin a new one.
    ///
    /// # Errors
    ///
    /// If it cannot be stored; nothing has changed then.
    pub fn begin(&mut self, first: Seq, last: Seq) -> Result<InFlight, CursorError> {
        if let Some(same) = self.slot.in_flight.filter(|it| (it.first, it.last) == (first, last)) {
            return Ok(same);
        }
        let in_flight = InFlight { first, last, attempt: *uuid::Uuid::new_v4().as_bytes() };
        self.write(self.slot.next, Some(in_flight))?;
        Ok(in_flight)
    }

    /// Moves to `next` (back, too) and forgets the batch in flight. The caller never passes more
    /// than one beyond [`Tail::synced`](crate::tail::Tail::synced).
    ///
    /// # Errors
    ///
    /// If it cannot be stored; nothing has changed then.
    pub fn store(&mut self, next: Seq) -> Result<(), CursorError> {
        self.write(next, None)
    }

    /// Moves to `next`, as [`Self::store`] does, and keeps the batch in flight unless all of it is done with.
    ///
    /// # Errors
    ///
    /// If it cannot be stored; nothing has changed then.
    pub fn advance(&mut self, next: Seq) -> Result<(), CursorError> {
        self.write(next, self.slot.in_flight.filter(|it| it.last >= next))
    }

    /// What the sink lost since this cursor was made.
    pub fn lost(&self) -> &Losses {
        &self.slot.lost
    }

    /// Remembers that these numbers were gone before the sink took them; returns those that were
    /// not known to be. Stored with the next store, or by [`Self::save`].
    pub fn note_lost(&mut self, gap: Gap, at: SystemTime) -> Vec<Gap> {
        self.slot.lost.add(gap, at)
    }

    /// Counts numbers that were lost, too, and that nobody listed.
    pub fn count_lost(&mut self, events: u64) {
        self.slot.lost.count(events);
    }

    /// Stores it as it is.
    ///
    /// # Errors
    ///
    /// If it cannot be stored; the next store makes up for it.
    pub fn save(&mut self) -> Result<(), CursorError> {
        self.write(self.slot.next, self.slot.in_flight)
    }

    fn write(&mut self, next: Seq, in_flight: Option<InFlight>) -> Result<(), CursorError> {
        let slot = Slot {
            generation: self.slot.generation + 1,
            next,
            in_flight,
            lost: self.slot.lost.clone(),
        };
        let written = self.write_slot(slot);
        self.slot =
            written.map_err(|source| CursorError::Store { path: self.path.clone(), source })?;
        Ok(())
    }

    fn write_slot(&mut self, slot: Slot) -> io::Result<Slot> {
        let is_removed = self.file.metadata()?.nlink() == 0;
        if !is_removed && slot.generation <= MAX_GENERATION {
            self.file.write_all_at(&slot.to_bytes(), slot.offset())?;
            return Ok(slot);
        }
        // Removed while the sink ran: without it, a restart would begin where the sink once began. Or
        // it goes no further, which nobody but a stranger can have brought about.
        let first = Slot { generation: 1, ..slot };
        let dir = self.path.parent().unwrap_or(Path::new(""));
        prepare_dir(dir)?;
        self.file = make(dir, &self.path, &first)?;
        Ok(first)
    }
}

/// Made complete under another name first, so that there is never half a cursor.
fn make(dir: &Path, path: &Path, slot: &Slot) -> io::Result<File> {
    make_with(dir, path, slot, File::sync_all)
}

fn make_with(
    dir: &Path,
    path: &Path,
    slot: &Slot,
    sync: impl Fn(&File) -> io::Result<()>,
) -> io::Result<File> {
    let new = path.with_added_extension("new");
    let file = private_file().create(true).truncate(true).open(&new)?;
    file.write_all_at(&slot.to_bytes(), slot.offset())?;
    sync(&file)?;
    fs::rename(&new, path)?;
    sync(&File::open(dir)?)?;
    Ok(file)
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

/// Both slots as far as they are whole, and whether something was ever written there.
fn read_slots(file: &File) -> io::Result<([Option<Slot>; 2], [bool; 2])> {
    let (mut slots, mut used) = ([const { None }; 2], [false; 2]);
    for (at, offset) in SLOT_AT.into_iter().enumerate() {
        let mut bytes = [0; SLOT_BYTES];
        let mut len = 0;
        while len < SLOT_BYTES {
            match file.read_at(&mut bytes[len..], offset + len as u64)? {
                0 => break,
                read => len += read,
            }
        }
        // The second slot is a hole until the first store.
        used[at] = bytes != [0; SLOT_BYTES];
        // A slot is only written to the place that its generation names.
        slots[at] = Slot::from_bytes(&bytes).filter(|slot| slot.offset() == offset);
    }
    Ok((slots, used))
}

fn newest(slots: &[Option<Slot>; 2]) -> Option<Slot> {
    slots.iter().flatten().max_by_key(|slot| slot.generation).cloned()
}

impl Slot {
    fn offset(&self) -> u64 {
        SLOT_AT[(self.generation % 2) as usize]
    }

    fn to_bytes(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let in_flight = self.in_flight.unwrap_or(InFlight { first: 0, last: 0, attempt: [0; 16] });
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.next.to_le_bytes());
        bytes[24..32].copy_from_slice(&in_flight.first.to_le_bytes());
        bytes[32..40].copy_from_slice(&in_flight.last.to_le_bytes());
        bytes[40..56].copy_from_slice(&in_flight.attempt);
        self.lost.write_to(&mut bytes[LOSSES_AT..LOSSES_AT + LOSSES_BYTES]);
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` if it is damaged, or says what cannot be.
    fn from_bytes(bytes: &[u8; SLOT_BYTES]) -> Option<Slot> {
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        let crc = bytes[CRC_AT..].try_into().map(u32::from_le_bytes).ok()?;
        if &bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..CRC_AT]) != crc {
            return None;
        }
        let attempt = bytes[40..56].try_into().ok()?;
        let (generation, next) = (number(8)?, number(16)?);
        let batch = InFlight { first: number(24)?, last: number(32)?, attempt };
        let is_possible = (1..=MAX_GENERATION).contains(&generation)
            && next <= MAX_SEQ
            && (batch.first..=MAX_SEQ).contains(&batch.last);
        if !is_possible {
            return None;
        }
        let lost = Losses::read_from(&bytes[LOSSES_AT..]);
        Some(Slot { generation, next, in_flight: (batch.last > 0).then_some(batch), lost })
    }
}

#[cfg(test)]
mod tests;
