//! Pipes that a hook shares with somebody else, who comes between two of its system calls: it was told
//! that there is something to read, or room to write, and there is none any more.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, Stdio};

use hookring_tests::{Bed, members};

use crate::tracee::Tracee;

#[test]
fn another_reader_of_its_stdin_does_not_hang_a_hook() {
    let bed = Bed::new();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let mut thief = without_waiting(&reader);
    let mut command = bed.command("hookring-emit");
    command.stdin(reader);
    let Some(mut hook) = start(&mut command) else { return };
    run_to_poll(&mut hook);
    writer.write_all(b"x").expect("the bait");
    assert_eq!(hook.run_to_call(), Some(libc::SYS_ppoll), "the end of the call");
    assert_eq!(thief.read(&mut [0; 8]).expect("the bait"), 1);
    // The writer stays: the input never ends.
    assert_eq!(hook.leave(), Ok(0));
    drop(writer);
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(members(&bed.lines()[0])["truncated"].get(), "true");
}

#[test]
fn another_writer_of_its_stdout_does_not_hang_a_hook() {
    let bed = Bed::new();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut other = without_waiting(&writer);
    let size = fill(&mut other);
    let mut command = bed.command("hookring-emit");
    command.args(["--reply", "text"]).stdin(Stdio::null()).stdout(writer);
    let Some(mut hook) = start(&mut command) else { return };
    run_to_poll(&mut hook);
    reader.read_exact(&mut vec![0; size]).expect("what filled it");
    assert_eq!(hook.run_to_call(), Some(libc::SYS_ppoll), "the end of the call");
    assert_eq!(fill(&mut other), size);
    // Nobody reads.
    assert_eq!(hook.leave(), Ok(0));
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.lines().len(), 1);
}

fn start(command: &mut Command) -> Option<Tracee> {
    Tracee::start(command)
        .inspect_err(|error| println!("left out: processes cannot be traced here ({error})"))
        .ok()
}

/// Runs until the hook is about to wait for its stdin or its stdout. A start with the standard library
/// may ask after descriptors, but that is before anything is read.
fn run_to_poll(hook: &mut Tracee) {
    let mut has_read = false;
    loop {
        let call = hook.run_to_call().expect("it waits before it ends");
        has_read |= call == libc::SYS_preadv2;
        if has_read && call == libc::SYS_ppoll {
            return;
        }
    }
}

/// Another description of the same end of a pipe, which does not block.
fn without_waiting(end: &impl End) -> File {
    let mut options = OpenOptions::new();
    options.read(end.is_for_reading()).write(!end.is_for_reading());
    let path = format!("/proc/self/fd/{}", end.as_raw_fd());
    options.custom_flags(libc::O_NONBLOCK).open(path).expect("another description")
}

trait End: AsRawFd {
    fn is_for_reading(&self) -> bool;
}

impl End for PipeReader {
    fn is_for_reading(&self) -> bool {
        true
    }
}

impl End for PipeWriter {
    fn is_for_reading(&self) -> bool {
        false
    }
}

/// Fills a pipe; how much it took.
fn fill(pipe: &mut File) -> usize {
    let mut bytes = 0;
    loop {
        match pipe.write(&[b'.'; 4096]) {
            Ok(written) => bytes += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return bytes,
            Err(error) => panic!("{error}"),
        }
    }
}
