//! A producer for the storm tests: it publishes, forks children that publish, idle or become another
//! program, closes its descriptors and runs out of them, and writes down each event whose publish
//! returned.
//!
//! `storm_producer DIR ACKS STREAM SEED`. ACKS is a file of 32-bit numbers, all 0 at first: how many
//! events were refused and counted, the last event of this process, and that of each child that
//! publishes, whose streams follow STREAM. The end of stdin ends it.

#[path = "crash_producer/numbered.rs"]
mod numbered;

use std::ffi::c_int;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use hookring_producer::{Producer, PublishError};
use numbered::{Number, Rng, payload};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// Events without a pause between them, at most.
const MAX_BURST: u64 = 30;
/// Children that idle at the same time, at most.
const MAX_IDLE: usize = 8;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, acks, stream, seed] = args.as_slice() else {
        panic!("usage: storm_producer DIR ACKS STREAM SEED");
    };
    let mut host = Host {
        rng: Rng::new(seed.parse().expect("a number")),
        producer: Producer::open_in(Path::new(dir)).expect("a producer"),
        acks: map(Path::new(acks)),
        stream: stream.parse().expect("a number"),
        slot: 1,
        children: 0,
        idle: Vec::new(),
    };
    while !is_told_to_end() {
        host.act();
        reap(false);
    }
    host.idle.iter().for_each(|child| kill_process(*child, Signal::KILL).expect("a child"));
    reap(true);
}

/// Maps the file, so that no descriptor is needed to write there, here or in a child.
fn map(path: &Path) -> &'static [AtomicU32] {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the file");
    let bytes = file.metadata().expect("its length").len() as usize;
    let (anywhere, flags) = (std::ptr::null_mut(), MapFlags::SHARED);
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the kernel chooses the place, so nothing is mapped over.
    let begin = unsafe { mmap(anywhere, bytes, protection, flags, &file, 0) };
    let begin = begin.expect("a mapping").cast_const().cast::<AtomicU32>();
    // SAFETY: mapped for reading and writing, never unmapped, aligned to a page; all who map it use
    // atomic access only.
    unsafe { std::slice::from_raw_parts(begin, bytes / 4) }
}

fn is_told_to_end() -> bool {
    let stdin = std::io::stdin();
    let mut descriptors = [rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN)];
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut descriptors, Some(&timeout)).expect("poll") > 0
}

/// Waits for children that have ended, or for all of them; each must have ended well, or been killed
/// here.
fn reap(all: bool) {
    let options = if all {
        rustix::process::WaitOptions::empty()
    } else {
        rustix::process::WaitOptions::NOHANG
    };
    while let Ok(Some((pid, status))) = rustix::process::wait(options) {
        let is_well = status.exit_status() == Some(0) || status.terminating_signal() == Some(9);
        assert!(is_well, "child {pid:?} ended with {status:?}");
    }
}

struct Host {
    rng: Rng,
    producer: Producer,
    acks: &'static [AtomicU32],
    stream: u32,
    /// Of this process in `acks`.
    slot: usize,
    /// Children that publish, so far.
    children: usize,
    idle: Vec<Pid>,
}

impl Host {
    fn act(&mut self) {
        match self.rng.below(20) {
            0..10 => {
                self.burst();
                thread::sleep(Duration::from_micros(self.rng.below(3_000)));
            }
            10..14 => self.fork_a_publisher(),
            14 => self.fork_an_idler(),
            15 => self.fork_another_program(),
            16 => self.end_an_idler(),
            17 => close_from(3),
            _ => self.publish_without_descriptors(),
        }
    }

    fn burst(&mut self) {
        for _ in 0..1 + self.rng.below(MAX_BURST) {
            if !self.publish() {
                return;
            }
        }
    }

    /// `false`: it was refused, and is published again later.
    fn publish(&mut self) -> bool {
        let stream = self.stream + self.slot as u32 - 1;
        let event = self.acks[self.slot].load(Ordering::Relaxed) + 1;
        let fill_bytes = self.rng.fill_bytes().min(20_000);
        let payload = payload(Number { stream, life: 0, event }, fill_bytes);
        match self.producer.publish(payload.as_slice()) {
            Ok(_) => self.acks[self.slot].store(event, Ordering::Relaxed),
            Err(PublishError::Spool { is_counted, .. }) => {
                self.acks[0].fetch_add(u32::from(is_counted), Ordering::Relaxed);
                return false;
            }
            Err(error) => panic!("{error}: {error:?}"),
        }
        true
    }

    /// A child that publishes as the first thing that it does, or after it closed everything, and ends
    /// without a word.
    fn fork_a_publisher(&mut self) {
        if self.children + 2 >= self.acks.len() {
            return;
        }
        self.children += 1;
        let seed = self.rng.bits();
        if self.fork().is_some() {
            return;
        }
        (self.slot, self.rng) = (self.children + 1, Rng::new(seed));
        let closes = self.rng.below(3);
        if closes == 0 {
            close_from(0);
        }
        self.burst();
        if closes == 1 {
            close_from(0);
        }
        self.burst();
        self.end_child();
    }

    /// A child that has everything that this process has, and does nothing.
    fn fork_an_idler(&mut self) {
        if self.idle.len() < MAX_IDLE {
            let Some(child) = self.fork() else {
                loop {
                    thread::park();
                }
            };
            self.idle.push(child);
        }
    }

    fn end_an_idler(&mut self) {
        if !self.idle.is_empty() {
            let child = self.idle.swap_remove(self.rng.below(self.idle.len() as u64) as usize);
            kill_process(child, Signal::KILL).expect("a child");
        }
    }

    /// A child that becomes another program, which has what was not closed at that.
    fn fork_another_program(&mut self) {
        let publishes_first = self.rng.percent(50);
        if publishes_first && self.children + 2 >= self.acks.len() {
            return;
        }
        self.children += usize::from(publishes_first);
        if self.fork().is_some() {
            return;
        }
        if publishes_first {
            self.slot = self.children + 1;
            self.burst();
        }
        let error = std::os::unix::process::CommandExt::exec(
            std::process::Command::new("sleep").arg("0.05"),
        );
        panic!("no sleep: {error}");
    }

    /// The child's id; `None` in the child.
    fn fork(&mut self) -> Option<Pid> {
        // SAFETY: this process has one thread, so the child may do whatever this one may.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "no fork: {}", std::io::Error::last_os_error());
        Pid::from_raw(pid)
    }

    fn end_child(&self) -> ! {
        // SAFETY: ends the process without running what belongs to its parent.
        unsafe { libc::_exit(0) }
    }

    fn publish_without_descriptors(&mut self) {
        let own = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..own }).expect("a lower limit");
        self.burst();
        setrlimit(Resource::Nofile, own).expect("the limit that it had");
    }
}

fn close_from(first: c_int) {
    // SAFETY: the standard library's own descriptors here are 0 to 2, which a child that closes them
    // does not use; the producer is made to lose the others.
    unsafe { libc::close_range(first as libc::c_uint, libc::c_uint::MAX, 0) };
}
