//! The daemon's process, under the names that every exporter has for it.

use std::fs;

use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::family::{CPU, MAX_FDS, OPEN_FDS, RESIDENT, START_TIME, VIRTUAL};
use super::status::unix_s;
use super::text::Text;

const BYTES_PER_KB: u64 = 1024;

/// Writes what the system says of this process; what it does not say is left out.
pub(super) fn write(started: Timestamp, text: &mut Text) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    text.family(&CPU).sample(&[], cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for (family, name) in [(&RESIDENT, "VmRSS:"), (&VIRTUAL, "VmSize:")] {
        if let Some(kb) = kb(&status, name) {
            text.family(family).sample(&[], kb * BYTES_PER_KB);
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // Not the one that the folder is read through.
        text.family(&OPEN_FDS).sample(&[], (entries.count() as u64).saturating_sub(1));
    }
    match getrlimit(Resource::Nofile).current {
        Some(limit) => text.family(&MAX_FDS).sample(&[], limit),
        None => text.family(&MAX_FDS).sample(&[], f64::INFINITY),
    };
    text.family(&START_TIME).sample(&[], unix_s(started));
}

/// A line's number, such as `VmRSS:     1234 kB`.
fn kb(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
