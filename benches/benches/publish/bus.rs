//! A bus in memory of its own, and the reader that empties it between the measurements.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Result, ensure};
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_producer::Producer;
use tempfile::TempDir;

pub(crate) struct Bus {
    drain: Drain,
    dir: TempDir,
}

impl Bus {
    /// With a ring of the default shape.
    pub(crate) fn new() -> Result<Bus> {
        Self::with(Options::default())
    }

    /// With a ring of this shape.
    pub(crate) fn with(options: Options) -> Result<Bus> {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { TempDir::new_in(shm)? } else { TempDir::new()? };
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o700))?;
        let places = Places::new(Some(dir.path().as_os_str().as_bytes()), sys::effective_uid());
        let drain = Drain::open(&places, options)?;
        Ok(Bus { drain, dir })
    }

    pub(crate) fn producer(&self) -> Result<Producer> {
        let producer = Producer::open_in(self.dir.path())?;
        ensure!(producer.has_lane(), "no lane is free");
        Ok(producer)
    }

    /// Takes everything out. Fails unless that is `expected` records, all of them from lanes: a
    /// publish that spooled was no publish to be timed.
    pub(crate) fn empty(&mut self, expected: usize) -> Result<()> {
        let mut found = 0;
        while found < expected {
            found += self.drain.next_batch().len();
            self.drain.release();
        }
        let spooled = self.drain.counts().spool_records;
        ensure!(found == expected, "{found} records arrived where {expected} were published");
        ensure!(spooled == 0, "{spooled} records went to the spool");
        Ok(())
    }
}
