//! The system calls under `--cfg loom`: those that the ring's algorithms make are `crate::model`'s, the
//! rest are Linux's, for the code around them that no model runs. `linux/` documents each.
#![allow(missing_docs)]

#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "linux/mod.rs"]
mod linux;

pub use linux::*;

use crate::atomic::{AtomicU32, Ordering};
use crate::model;
use crate::sys::{Errno, Fd, Open, Stat};
use core::ffi::CStr;

pub(in crate::sys) const MAPPING_KEEPS_LOCK: bool = true;

pub fn open(at: Option<&Fd>, path: &CStr, how: Open) -> Result<Fd, Errno> {
    model::open(at, path, how)
}

pub(in crate::sys) fn close(fd: i32) {
    model::close(fd);
}

pub fn fstat(fd: &Fd) -> Result<Stat, Errno> {
    Ok(model::node(fd).stat())
}

pub fn stat(at: Option<&Fd>, path: &CStr) -> Result<Stat, Errno> {
    let at = at.map(model::node);
    model::with_files(|files| files.find(at.as_deref(), path)).map(|found| found.stat())
}

pub fn pread(fd: &Fd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    Ok(model::node(fd).read(buffer, offset))
}

pub fn pwrite(fd: &Fd, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    pwrite_pieces(fd, [bytes, &[], &[]], offset)
}

pub fn pwrite_pieces(fd: &Fd, pieces: [&[u8]; 3], offset: u64) -> Result<usize, Errno> {
    let bytes = pieces.concat();
    model::node(fd).write(&bytes, offset);
    Ok(bytes.len())
}

pub fn mkdir(at: Option<&Fd>, path: &CStr) -> Result<(), Errno> {
    let at = model::node(at.expect("nobody makes the place"));
    model::with_files(|files| files.make_directory(&at, path))
}

pub fn link_unnamed(file: &Fd, at: &Fd, name: &CStr) -> Result<(), Errno> {
    let (file, at) = (model::node(file), model::node(at));
    model::with_files(|files| files.link(&file, &at, name))
}

pub fn unlink(at: &Fd, name: &CStr) -> Result<(), Errno> {
    let at = model::node(at);
    model::with_files(|files| files.unlink(&at, name))
}

pub fn allocate(fd: &Fd, bytes: u64) -> Result<(), Errno> {
    model::node(fd).allocate(bytes);
    Ok(())
}

pub fn for_each_name(dir: Fd, each: impl FnMut(&[u8]) -> bool) -> Result<(), Errno> {
    model::node(&dir).for_each_name(each);
    Ok(())
}

pub fn lock_byte(fd: &Fd, at: u64) -> Result<bool, Errno> {
    Ok(model::lock_byte(fd, at))
}

pub fn unlock_byte(fd: &Fd, at: u64) -> Result<(), Errno> {
    model::unlock_byte(fd, at);
    Ok(())
}

pub fn is_locked(fd: &Fd, start: u64, bytes: u64) -> Result<bool, Errno> {
    Ok(model::is_locked(fd, start, bytes))
}

pub fn has_barrier() -> bool {
    true
}

pub fn join_barrier() -> bool {
    true
}

pub fn barrier() -> bool {
    model::barrier_word().fetch_add(0, Ordering::AcqRel);
    true
}

pub fn boottime_ns() -> u64 {
    model::clock_ns()
}

pub fn realtime_ns() -> u64 {
    0
}

pub fn futex_wait_any(words: &[(&AtomicU32, u32)], _timeout_ns: u64) {
    let tests: Vec<_> = words
        .iter()
        .map(|(word, expected)| {
            (word.as_ptr() as usize, move || word.load(Ordering::Relaxed) == *expected)
        })
        .collect();
    let words: Vec<_> =
        tests.iter().map(|(address, test)| (*address, test as &dyn Fn() -> bool)).collect();
    model::futex_wait(&words);
}

pub fn futex_wake(word: *const u32) {
    model::futex_wake(word as usize);
}
