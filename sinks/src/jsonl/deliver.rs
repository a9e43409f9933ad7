//! The sink itself: leaves out what the files hold already, rotates, appends.

use std::time::SystemTime;

use hookring_journal::{Batch, Seq};

use super::compress::Compressor;
use super::config::JsonlConfig;
use super::encode::{encode_line, encode_replay};
use super::file::{ActiveFile, FileError};
use super::resume::WrittenLines;
use super::rotate::{self, Rotated};
use crate::sink::{Outcome, Sink, SinkError};

/// Appends each event as a line of JSON to a file.
///
/// The file holds each event once and in order, also after `kill -9` at any moment: a torn last line
/// is cut off when the file is opened, and events that it holds already are left out. Only what lies
/// more than [`RESUME_BYTES`](super::RESUME_BYTES) before the end of the file is written again if it
/// is sent again, and what was written shortly before the disk refused to sync. After a loss of
/// power no event is missing: the cursor moves only when the file is synced.
///
/// The file, whose mode becomes 0600 where it existed before with a wider one, is locked while it is open. It may be moved
/// away or removed at any time: the next event goes to a new one.
pub struct JsonlSink {
    config: JsonlConfig,
    clock: fn() -> SystemTime,
    compressor: Compressor,
    /// `None` until opened, and again after any failure: the next call looks at the disk anew.
    file: Option<ActiveFile>,
    /// What the files held when the file was opened; `None` until the first batch asks.
    written: Option<WrittenLines>,
    /// The file could not be synced: it is set aside and never appended to again.
    sealed: bool,
    /// The pump must hear of that from the next flush, so that it sends again.
    resend: bool,
}

impl JsonlSink {
    /// Touches nothing yet: [`Sink::open`] does.
    pub fn new(config: JsonlConfig) -> JsonlSink {
        JsonlSink::with_clock(config, SystemTime::now)
    }

    /// The clock decides on rotation by age and names the rotated files.
    pub(super) fn with_clock(config: JsonlConfig, clock: fn() -> SystemTime) -> JsonlSink {
        let compressor = Compressor::new(&config.path, config.compression);
        JsonlSink {
            config,
            clock,
            compressor,
            file: None,
            written: None,
            sealed: false,
            resend: false,
        }
    }

    #[cfg(test)]
    pub(super) fn wait_for_compression(&mut self) {
        self.compressor.wait();
    }

    /// From here on, the open file cannot be synced.
    #[cfg(test)]
    pub(super) fn break_sync(&mut self) {
        self.file.as_mut().expect("an open file").break_sync();
    }

    fn write(&mut self, batch: &Batch) -> Result<(), FileError> {
        // Out of `self` while work is in progress: an error or a panic leaves nothing half done.
        let mut file = self.take_file()?;
        let written = match self.written.take() {
            Some(written) => written,
            None => self.read_written(&file, batch.first())?,
        };
        let mut pending = Pending::default();
        let mut line = Vec::new();
        for event in batch.lines() {
            line.clear();
            encode_line(&event, &mut line);
            if written.contains(&line) {
                continue;
            }
            let (waiting, more) = (pending.lines.len(), line.len());
            if rotate::is_due(&self.config, &file, waiting, more, (self.clock)()) {
                pending.append_to(&mut file)?;
                file = self.rotate(file)?;
            }
            pending.push(event.seq, &line);
        }
        pending.append_to(&mut file)?;
        self.written = Some(if written.is_past(batch.last()) { <_>::default() } else { written });
        self.file = Some(file);
        Ok(())
    }

    /// Appends what is sent once more, behind what there is. What the files hold is not asked.
    fn write_again(&mut self, batch: &Batch) -> Result<(), FileError> {
        let mut file = self.take_file()?;
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        for event in batch.lines() {
            line.clear();
            encode_replay(&event, &mut line);
            let (waiting, more) = (lines.len(), line.len());
            if rotate::is_due(&self.config, &file, waiting, more, (self.clock)()) {
                file.append(&lines, None)?;
                lines.clear();
                file = self.rotate(file)?;
            }
            lines.extend_from_slice(&line);
        }
        file.append(&lines, None)?;
        self.file = Some(file);
        Ok(())
    }

    /// The open file, opened anew if somebody moved, removed or changed it.
    fn take_file(&mut self) -> Result<ActiveFile, FileError> {
        if let Some(mut file) = self.file.take() {
            if file.is_untouched()? {
                return Ok(file);
            }
            self.sync_last(&mut file)?;
        }
        self.open_file()
    }

    fn open_file(&mut self) -> Result<ActiveFile, FileError> {
        self.written = None;
        let file = ActiveFile::open(&self.config.path)?;
        if !self.sealed {
            return Ok(file);
        }
        if file.bytes() > 0 {
            rotate::set_aside(&self.config.path, &file, (self.clock)())?;
        }
        self.sealed = false;
        // Its lines are not to be relied on, so they are not looked at.
        self.written = Some(WrittenLines::default());
        ActiveFile::open(&self.config.path)
    }

    fn rotate(&mut self, mut file: ActiveFile) -> Result<ActiveFile, FileError> {
        self.sync_last(&mut file)?;
        rotate::set_aside(&self.config.path, &file, (self.clock)())?;
        let file = ActiveFile::open(&self.config.path)?;
        self.compressor.start();
        Ok(file)
    }

    /// Syncs a file that the next flush will not see.
    fn sync_last(&mut self, file: &mut ActiveFile) -> Result<(), FileError> {
        let synced = file.sync();
        if synced.is_err() {
            (self.sealed, self.resend) = (true, true);
        }
        synced
    }

    fn read_written(&self, file: &ActiveFile, from: Seq) -> Result<WrittenLines, FileError> {
        if file.last_seq().is_some_and(|last| last < from) {
            return Ok(WrittenLines::default());
        }
        WrittenLines::read(file, &Rotated::list(&self.config.path)?, from)
    }
}

impl Sink for JsonlSink {
    fn open(&mut self) -> Result<(), SinkError> {
        self.file = Some(self.open_file()?);
        self.compressor.start();
        Ok(())
    }

    fn deliver(&mut self, batch: &Batch) -> Outcome {
        match self.write(batch) {
            Ok(()) => Outcome::Accepted,
            Err(error) => Outcome::failed(error),
        }
    }

    fn replay(&mut self, batch: &Batch) -> Outcome {
        match self.write_again(batch) {
            Ok(()) => Outcome::Accepted,
            Err(error) => Outcome::failed(error),
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        if std::mem::take(&mut self.resend) {
            return Err(FileError::Unsynced { path: self.config.path.clone() }.into());
        }
        // After a failed delivery there is no open file, but there may be unsynced lines in it.
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_file()?,
        };
        if let Err(error) = file.sync() {
            self.sealed = true;
            return Err(error.into());
        }
        self.file = Some(file);
        Ok(())
    }
}

/// Lines on their way to the file, written in one call.
#[derive(Default)]
struct Pending {
    lines: Vec<u8>,
    /// The numbers of the first and the last of them.
    range: Option<(Seq, Seq)>,
}

impl Pending {
    fn push(&mut self, seq: Seq, line: &[u8]) {
        self.lines.extend_from_slice(line);
        let first = self.range.map_or(seq, |(first, _)| first);
        self.range = Some((first, seq));
    }

    fn append_to(&mut self, file: &mut ActiveFile) -> Result<(), FileError> {
        if let Some(range) = self.range.take() {
            file.append(&self.lines, Some(range))?;
            self.lines.clear();
        }
        Ok(())
    }
}
