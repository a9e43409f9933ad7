//! A ring that is cut off under a hook, after every single instruction, where the hook's agent had
//! SIGBUS blocked: a fault then ends a process whatever its handler, unless it unblocks the signal.

use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use hookring_bus::oneshot::OneShot;
use hookring_bus::place::Places;
use hookring_bus::{spool, sys};
use hookring_tests::{Bed, block_sigbus};

use crate::tracee::Tracee;
use crate::{PAYLOAD, chosen};

#[test]
fn a_ring_is_cut_off_after_each_instruction_of_a_hook() {
    let bench = Bench::new();
    let Some(mut whole) = bench.start() else { return };
    let way = whole.explore();
    let instructions = way.instructions;
    drop(whole);
    assert!(bench.is_published(), "nothing was published by {instructions} instructions");
    let (mut published, mut rescued) = (0, 0);
    for step in chosen(instructions) {
        let place = format!("instruction {step} of {instructions}");
        let mut hook = bench.start().expect("it started before");
        assert!(!bench.is_published(), "{place}: a new ring");
        hook.follow(&way, step);
        let is_published = bench.is_published();
        bench.cut();
        assert_eq!(hook.leave(), Ok(0), "{place}: how it ended");
        // What is published went with the ring. What was not is in the spool, or was written after the
        // cut, where the reader finds it.
        let is_kept = bench.entries().len() == 1 || bench.is_written();
        *(if is_published { &mut published } else { &mut rescued }) += 1;
        assert!(is_published || is_kept, "{place}: the event is nowhere");
    }
    assert!(published > 0 && rescued > 0, "{published} and {rescued}");
}

/// Where hooks find an empty ring, again and again.
struct Bench {
    bed: Bed,
    image: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let bed = Bed::new();
        bed.configure("[bus]\nlanes = 2\nlane_bytes = \"16KiB\"\n");
        assert_eq!(bed.start().stop(), 0);
        let image = fs::read(bed.path().join("ring")).expect("the ring");
        fs::write(bed.path().join("payload"), PAYLOAD).expect("the payload");
        Bench { bed, image }
    }

    /// A hook before its first instruction, for a new ring. `None`, said on stdout, where processes
    /// cannot be traced.
    fn start(&self) -> Option<Tracee> {
        let _ = fs::remove_file(self.ring());
        let ring = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.ring());
        ring.expect("a ring").write_all_at(&self.image, 0).expect("its content");
        for entry in self.entries() {
            fs::remove_file(entry).expect("an entry that goes");
        }
        let mut command = self.bed.command("hookring-emit");
        command.stdin(File::open(self.bed.path().join("payload")).expect("the payload"));
        Tracee::start(block_sigbus(&mut command))
            .inspect_err(|error| println!("left out: processes cannot be traced here ({error})"))
            .ok()
    }

    fn ring(&self) -> PathBuf {
        self.bed.path().join("ring")
    }

    fn cut(&self) {
        let ring = OpenOptions::new().write(true).open(self.ring()).expect("the ring");
        ring.set_len(0).expect("the cut");
    }

    /// Whether a lane's tail has moved. Keeps no mapping of the ring.
    fn is_published(&self) -> bool {
        let uid = sys::effective_uid();
        let places = Places::new(Some(self.bed.path().as_os_str().as_bytes()), uid);
        let ring = OneShot::open(&places.open(0).expect("the place"), uid).expect("the ring");
        let control = ring.control();
        (0..control.geometry().lanes).any(|lane| {
            control.tail(lane).load(Ordering::Acquire) != control.head(lane).load(Ordering::Acquire)
        })
    }

    /// Whether the ring's file has the event.
    fn is_written(&self) -> bool {
        let bytes = fs::read(self.ring()).expect("the ring");
        bytes.windows(PAYLOAD.len()).any(|part| part == PAYLOAD.as_bytes())
    }

    fn entries(&self) -> Vec<PathBuf> {
        let spool = fs::read_dir(self.bed.path().join("spool")).expect("the spool");
        let entries = spool.map(|entry| entry.expect("an entry"));
        let entries = entries.filter(|entry| entry.file_name().len() == spool::NAME_BYTES);
        entries.map(|entry| entry.path()).collect()
    }
}
