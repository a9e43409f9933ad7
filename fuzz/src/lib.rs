//! What the fuzz targets share: a private folder in memory, and a reader that takes all there is.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hookring_bus::drain::{Drain, Options, Record};
use hookring_bus::place::Places;
use hookring_bus::sys;
use tempfile::TempDir;

/// A ring of the smallest size, so that a run is short.
pub const OPTIONS: Options = Options { lanes: 2, lane_bytes: 16 * 1024, spool_bytes: 1 << 20 };

/// A new folder with mode 0700, in memory where the system has such; it goes with its value.
///
/// # Panics
///
/// When it cannot be made.
pub fn private_dir() -> TempDir {
    let shm = Path::new("/dev/shm");
    let dir = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() };
    let dir = dir.expect("a temporary folder");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("its mode");
    dir
}

/// The reader of the ring and the spool in `dir`.
///
/// # Panics
///
/// When there is none to be had: whatever stands in a place, a reader must be able to start.
pub fn open_drain(dir: &Path) -> Drain {
    let places = Places::new(Some(dir.as_os_str().as_bytes()), sys::effective_uid());
    Drain::open(&places, OPTIONS).expect("a reader")
}

/// Hands everything that is there to `each`.
///
/// # Panics
///
/// When it does not come to an end.
pub fn drain_all(drain: &mut Drain, mut each: impl FnMut(&Record<'_>)) {
    const ROUNDS_MAX: usize = 1000;
    let mut empty = 0;
    // Two empty rounds: what was stamped in the future waits for the second one.
    for _ in 0..ROUNDS_MAX {
        let batch = drain.next_batch();
        empty = if batch.is_empty() { empty + 1 } else { 0 };
        batch.records().for_each(|record| each(&record));
        drain.release();
        if empty == 2 {
            return;
        }
    }
    panic!("the reader finds no end");
}
