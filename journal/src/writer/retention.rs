//! Which segments are kept.

use std::time::SystemTime;

use super::{Journal, OlderSegment, RetainError};
use crate::Seq;
use crate::reader::Gap;
use crate::segment::file_name;

/// What retention did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retained {
    /// The segments that are gone, oldest first.
    pub deleted: Vec<Deleted>,
    /// Numbers among them that some sink still needed.
    pub given_up: Option<Gap>,
}

/// A deleted segment.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// Its numbers.
    pub numbers: Gap,
    /// Its length.
    pub bytes: u64,
}

impl Journal {
    /// Deletes whole segments, oldest first, that are beyond the limits for bytes or age. What is
    /// needed (`needed` is the lowest number that some sink still needs, `Seq::MAX` if none does)
    /// is deleted only beyond the hard limit. The current segment always stays.
    ///
    /// # Errors
    ///
    /// If a segment cannot be deleted; the error holds what was deleted before it.
    pub fn retain(&mut self, needed: Seq, now: SystemTime) -> Result<Retained, RetainError> {
        let mut retained = Retained::default();
        let mut bytes = self.stats().bytes;
        while let Some(oldest) = self.older.front() {
            let age = now.duration_since(oldest.modified).unwrap_or_default();
            let beyond = |limit: Option<u64>| limit.is_some_and(|limit| bytes > limit);
            let unwanted = beyond(self.options.retention_bytes)
                || self.options.retention_age.is_some_and(|limit| age > limit);
            let is_needed = self.numbers_of_oldest().last >= needed;
            if !(beyond(self.options.hard_limit_bytes) || unwanted && !is_needed) {
                break;
            }
            bytes -= oldest.bytes;
            self.delete_oldest(needed, &mut retained)?;
        }
        Ok(retained)
    }

    /// For a full disk: deletes the oldest segment that no sink needs, within all limits, too.
    /// Nothing is deleted if all are needed.
    ///
    /// # Errors
    ///
    /// If the segment cannot be deleted.
    pub fn relieve(&mut self, needed: Seq) -> Result<Retained, RetainError> {
        let mut retained = Retained::default();
        if !self.older.is_empty() && self.numbers_of_oldest().last < needed {
            self.delete_oldest(needed, &mut retained)?;
        }
        for Deleted { numbers, bytes } in &retained.deleted {
            self.counters.sacrificed_segments += 1;
            self.counters.sacrificed_bytes += bytes;
            self.counters.sacrificed_events += numbers.last - numbers.first + 1;
        }
        Ok(retained)
    }

    pub(super) fn numbers_of_oldest(&self) -> Gap {
        let numbers = |segment: &OlderSegment| Gap { first: segment.first, last: segment.end - 1 };
        let first = self.current.first;
        self.older.front().map_or(Gap { first, last: first - 1 }, numbers)
    }

    /// Tells readers where the journal begins now.
    pub(super) fn publish_oldest(&self) {
        let oldest = self.older.front().map_or(self.current.first, |segment| segment.first);
        self.tail.set_oldest(oldest);
    }

    fn delete_oldest(&mut self, needed: Seq, retained: &mut Retained) -> Result<(), RetainError> {
        let numbers = self.numbers_of_oldest();
        let name = file_name(numbers.first);
        match self.storage.remove(&name) {
            // Somebody was faster; it is gone all the same.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let before = std::mem::take(retained);
                return Err(RetainError { path: self.dir.join(name), before, source: error });
            }
            _ => {}
        }
        let bytes = self.older.pop_front().map_or(0, |segment| segment.bytes);
        self.publish_oldest();
        let Gap { first, last } = numbers;
        tracing::debug!("the journal deletes events {first} to {last}, {bytes} bytes");
        retained.deleted.push(Deleted { numbers, bytes });
        self.counters.deleted_segments += 1;
        self.counters.deleted_bytes += bytes;
        if numbers.last >= needed {
            let first = numbers.first.max(needed);
            self.counters.given_up_events += numbers.last - first + 1;
            let given_up = retained.given_up.get_or_insert(Gap { first, last: numbers.last });
            given_up.last = numbers.last;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
