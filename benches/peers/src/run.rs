//! One run: its directory, its driver, and what it finds out.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use hookring_benches::figures::Figures;
use hookring_benches::machine::hop;
use tempfile::TempDir;

use crate::aeron_driver::Driver;
use crate::peers::{Peer, Place, Shape};
use crate::watchdog;

/// What the blocks share.
pub(crate) struct Run {
    pub(crate) is_quick: bool,
    pub(crate) figures: Figures,
    /// Every measurement of the cache line's way from core to core, in ns.
    pub(crate) hops: Vec<f64>,
    // Before the directory that it uses.
    driver: Driver,
    dir: TempDir,
    places: usize,
}

impl Run {
    /// In memory, where the system has some that files can be in.
    pub(crate) fn start(is_quick: bool) -> Result<Run> {
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { TempDir::new_in(shm)? } else { TempDir::new()? };
        let driver = Driver::start(dir.path())?;
        driver.set_awake(false);
        Ok(Run { is_quick, figures: Figures::default(), hops: Vec::new(), driver, dir, places: 0 })
    }

    /// The run's own directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A directory for two ends to meet in.
    pub(crate) fn place(&mut self, shape: Shape) -> Result<Place> {
        self.places += 1;
        let dir = self.dir.path().join(format!("place-{}", self.places));
        std::fs::create_dir(&dir)?;
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700))?;
        Ok(Place { dir, shape })
    }

    /// So many rounds, or few of them.
    pub(crate) fn rounds(&self, full: usize) -> usize {
        if self.is_quick { full.div_ceil(8) } else { full }
    }

    /// Lets one contender have its turn.
    pub(crate) fn turn<T>(&self, peer: Peer, act: impl FnOnce() -> Result<T>) -> Result<T> {
        watchdog::begin(peer.name());
        let is_aeron = peer == Peer::Aeron;
        if is_aeron {
            self.driver.set_awake(true);
        }
        let result = act();
        if is_aeron {
            self.driver.set_awake(false);
        }
        result
    }

    /// To be called while contenders are made or unmade: Aeron's need their driver for it.
    pub(crate) fn set_up<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        self.turn(Peer::Aeron, act)
    }

    /// Between rounds, all of this process's threads being idle: how far the cores are apart now.
    pub(crate) fn look_at_cores(&mut self) {
        self.hops.push(hop().as_nanos() as f64);
    }
}
