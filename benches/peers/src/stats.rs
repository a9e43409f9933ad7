//! Medians and quantiles, clocks, cores.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use anyhow::{Result, ensure};

/// The median; not a number if there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which so large a part of them lies.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Each round's quotient, of two contenders that were measured in the same rounds.
pub(crate) fn ratios(of: &[f64], by: &[f64]) -> Vec<f64> {
    of.iter().zip(by).map(|(a, b)| a / b).collect()
}

/// CPU time of this thread.
pub(crate) fn thread_time() -> Result<Duration> {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to a live timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) };
    ensure!(result == 0, "could not read the thread's clock: {}", io::Error::last_os_error());
    // SAFETY: made of integers only, so the zeroes it began with were valid already.
    let time = unsafe { time.assume_init() };
    Ok(Duration::new(time.tv_sec.try_into()?, time.tv_nsec.try_into()?))
}

/// The cores that this process may use.
pub(crate) fn cores() -> Result<Vec<usize>> {
    // SAFETY: made of integers only.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live set of that size.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    ensure!(result == 0, "could not ask for the cores: {}", io::Error::last_os_error());
    // SAFETY: the numbers are below the set's size.
    let is_set = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_set).collect())
}

/// Lets this thread run on these cores only.
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    // SAFETY: made of integers only.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in cores {
        // SAFETY: the number came from such a set.
        unsafe { libc::CPU_SET(*core, &mut set) };
    }
    // SAFETY: the pointer is to a live set of that size.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    ensure!(result == 0, "could not choose cores: {}", io::Error::last_os_error());
    Ok(())
}
