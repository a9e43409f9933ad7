//! What the fuzz targets share: a private folder in memory, a reader that takes all there is, an event,
//! and a look at what is shown to people.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hookring::cli::style::{ERROR, FAINT, GOOD, GUIDE, HEADING, WARNING};
use hookring_bus::drain::{Drain, Options, Record};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_journal::{Event, Payload};
use tempfile::TempDir;

pub mod ring_file;

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

/// An event that is always the same, but for its payload.
pub fn event(payload: Payload<'_>) -> Event<'_> {
    Event {
        id: [7; 16],
        timestamp_ns: 0,
        monotonic_ns: Some(0),
        agent: None,
        event: None,
        session_id: None,
        working_directory: None,
        pid: 1,
        elapsed_us: 0,
        arguments: &[],
        truncated: false,
        payload,
    }
}

/// Looks for anything in a text for a terminal that could steer it, but for the colours that
/// hookring uses itself.
///
/// # Panics
///
/// When there is any.
pub fn assert_harmless(text: &str) {
    let styles = [ERROR, WARNING, GOOD, HEADING, GUIDE, FAINT];
    let colours = styles.map(|style| style.to_string());
    let reset = format!("{ERROR:#}");
    let mut rest = text;
    while let Some(at) = rest.find(steers) {
        rest = &rest[at..];
        let own = colours.iter().chain([&reset]).find(|own| rest.starts_with(own.as_str()));
        match own {
            Some(own) => rest = &rest[own.len()..],
            None if rest.starts_with('\n') => rest = &rest[1..],
            None => panic!("{:?} in {text:?}", rest.chars().next()),
        }
    }
}

/// Control characters, and marks that change the direction of writing or break lines.
fn steers(char: char) -> bool {
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    let is_direction = matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    char.is_control() || marks.contains(&char) || is_direction
}
