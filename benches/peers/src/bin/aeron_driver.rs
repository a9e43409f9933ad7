//! The Aeron C media driver as a process of its own, as it is deployed. It ends with its stdin.

use std::ffi::CString;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rusteron_media_driver::bindings::aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED;
use rusteron_media_driver::{AeronDriver, AeronDriverContext};

/// As in `src/peers/aeron.rs`.
const TIMEOUT_MS: u64 = 60_000;
/// Between two looks when there was nothing to do. It does not spin: on a small machine it would
/// take a core from the two ends, which for IPC do not need it in between.
const LOOK_EVERY: Duration = Duration::from_micros(500);

fn main() -> Result<()> {
    let dir = std::env::args_os().nth(1).context("usage: hookring-peers-aeron-driver DIRECTORY")?;
    let context = AeronDriverContext::new()?;
    context.set_dir(&CString::new(dir.into_vec())?)?;
    context.set_dir_delete_on_start(true)?;
    context.set_threading_mode(AERON_THREADING_MODE_SHARED)?;
    context.set_driver_timeout_ms(TIMEOUT_MS)?;
    let driver = AeronDriver::new(&context)?;
    driver.start(true)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    thread::spawn(move || {
        // Whatever ends it: nobody is there any more.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        over.store(true, Ordering::Relaxed);
    });
    while !is_over.load(Ordering::Relaxed) {
        if driver.main_do_work()? == 0 {
            thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}
