//! Where victims and others publish, the reader of it all, and what it gave out.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use hookring_bus::drain::{Drain, Options, Origin};
use hookring_bus::oneshot::{Message, NotTaken, OneShot};
use hookring_bus::place::Places;
use hookring_bus::record::{RecordHeader, kind};
use hookring_bus::{create, doorbell, spool, sys};
use hookring_producer::{Producer, Published};
use hookring_tests::{Bed, wait_for};

use super::tracee::Tracee;
use super::{OTHER, PAYLOAD, Victim, WARM, start_tracee};

/// Events that others publish while a victim stands still; and where each goes to the spool, which is a
/// file.
const OTHERS: usize = 1000;
const SPOOLING_OTHERS: usize = 20;
/// The lanes of a ring in which hooks find none.
const FEW_LANES: u32 = 4;
/// Looks at the places after which the spool's counts are right again, whoever died.
const LOOKS: usize = 3;

pub(super) struct Yard {
    bed: Bed,
    /// The control area, to see what is published without the reader.
    ring: OneShot,
    drain: Drain,
    others: Producer,
    payload: File,
    /// The reader has said that it sleeps when a victim begins.
    sleeps: bool,
    /// What others publish goes to the spool.
    others_spool: bool,
    /// Hooks that hold lanes of the ring.
    holders: Vec<OneShot>,
}

/// What the reader gave out.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) victims: usize,
    /// How many of those came from a spool.
    pub(super) spooled: usize,
    pub(super) others: usize,
}

impl Yard {
    pub(super) fn new() -> Yard {
        Yard::of(Options::default())
    }

    fn of(options: Options) -> Yard {
        let bed = Bed::new();
        let uid = sys::effective_uid();
        let places = Places::new(Some(bed.path().as_os_str().as_bytes()), uid);
        let drain = Drain::open(&places, options).expect("a reader");
        let ring = OneShot::open(&places.open(0).expect("the place"), uid).expect("the ring");
        let others = Producer::open_in(bed.path()).expect("a producer");
        let path = bed.path().join("payload");
        fs::write(&path, PAYLOAD).expect("the payload");
        let payload = File::open(path).expect("the payload");
        let (sleeps, others_spool, holders) = (false, false, Vec::new());
        Yard { bed, ring, drain, others, payload, sleeps, others_spool, holders }
    }

    pub(super) fn with_a_sleeper() -> Yard {
        Yard { sleeps: true, ..Yard::new() }
    }

    /// A ring that producers must leave, and no other: what they publish goes to the spool.
    pub(super) fn without_a_ring() -> Yard {
        let yard = Yard::new();
        doorbell::retire(yard.ring.control().doorbell());
        Yard { others_spool: true, ..yard }
    }

    /// A ring whose lanes are all taken but one, which is full, and a reader that sleeps. One lane is that
    /// of the others.
    pub(super) fn without_a_lane() -> Yard {
        let mut yard = Yard::of(Options { lanes: FEW_LANES, ..Options::default() });
        for _ in 2..FEW_LANES {
            let (holder, taken) = yard.fill();
            taken.expect("a lane is free");
            yard.holders.push(holder);
        }
        Yard { sleeps: true, ..yard }
    }

    /// A hook takes half of a lane, the first that is free and has room.
    fn fill(&self) -> (OneShot, Result<(), NotTaken>) {
        let place = Places::new(Some(self.bed.path().as_os_str().as_bytes()), sys::effective_uid());
        let place = place.open(0).expect("the place");
        let hook = OneShot::open(&place, sys::effective_uid()).expect("the ring");
        let half = hook.control().geometry().max_record_bytes() as usize;
        let mut payload = WARM.to_vec();
        payload.resize(half - size_of::<RecordHeader>(), b' ');
        let payload_bytes = payload.len() as u32;
        let header = RecordHeader { payload_bytes, kind: kind::DATA, ..RecordHeader::default() };
        let mut message = Message { header, meta: b"", payload: &payload };
        message.stamp(&mut hookring_bus::ident::Ids::new(create::random_seed()), 0);
        let taken = hook.publish(&mut message, 0);
        (hook, taken)
    }

    /// A process before its first instruction; a library's, before its publish. `None`, said by
    /// [`left_out`], where processes cannot be traced.
    pub(super) fn start(&mut self, victim: Victim) -> Option<Tracee> {
        let mut command = match victim {
            Victim::Hook => {
                self.payload.seek(SeekFrom::Start(0)).expect("its start");
                let mut command = self.bed.command("hookring-emit");
                command.stdin(self.payload.try_clone().expect("a descriptor"));
                command
            }
            Victim::Library | Victim::LibraryFull | Victim::LibraryFirst => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_publish_once"));
                command.arg(PAYLOAD).env("HOOKRING_DIR", self.bed.path());
                match victim {
                    Victim::LibraryFull => _ = command.arg("full"),
                    Victim::LibraryFirst => _ = command.arg("first"),
                    _ => {}
                }
                command
            }
        };
        let mut tracee = start_tracee(&mut command)?;
        if !matches!(victim, Victim::Hook) {
            tracee.run_to_its_stop();
        }
        // What fills a lane stays in it.
        if !matches!(victim, Victim::LibraryFull) {
            self.take_all();
        }
        if !self.holders.is_empty() {
            // One whose lock a child that another test forked still has looks as if it were full.
            wait_for("full lanes", || {
                while self.fill().1.is_ok() {}
                let is_settled = self.drain.report()[0].locked_lanes <= self.holders.len() + 1;
                (is_settled && self.fill().1.is_err()).then_some(())
            });
        }
        if self.sleeps {
            let doorbell = self.ring.control().doorbell();
            doorbell.fetch_or(doorbell::SLEEPING, Ordering::SeqCst);
        }
        Some(tracee)
    }

    /// Whether the victim's event goes to the spool.
    pub(super) fn spools(&self, victim: Victim) -> bool {
        let is_full = matches!(victim, Victim::LibraryFull) || !self.holders.is_empty();
        is_full || self.others_spool
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.ring.control().doorbell().load(Ordering::SeqCst) & doorbell::SLEEPING != 0
    }

    /// Whoever died without a wake takes nobody else's along.
    pub(super) fn check_others_wake(&mut self, place: &str) {
        if self.sleeps {
            self.others.publish(OTHER).expect("published");
            assert!(!self.is_asleep(), "{place}: another does not wake the reader");
        }
    }

    /// All bytes ever published into lanes, and those in the spool now.
    pub(super) fn published_bytes(&self) -> u64 {
        let control = self.ring.control();
        let tails = (0..control.geometry().lanes)
            .map(|lane| control.tail(lane).load(Ordering::Acquire))
            .sum::<u64>();
        tails + spooled_bytes(self.bed.path())
    }

    /// How many events that are.
    pub(super) fn publish_others(&mut self) -> usize {
        let others = if self.others_spool { SPOOLING_OTHERS } else { OTHERS };
        for _ in 0..others {
            self.others.publish(OTHER).expect("published");
        }
        others
    }

    pub(super) fn take_all(&mut self) -> Taken {
        take_all(&mut self.drain)
    }

    /// Nothing was damaged or dropped, every lane is free and can be used, and the spool's counts are right
    /// again.
    pub(super) fn check(mut self) {
        for _ in 0..LOOKS {
            self.drain.maintain();
            self.take_all();
            // Whoever is told to leave a ring does.
            self.others.publish(OTHER).expect("published");
        }
        self.take_all();
        drop((self.others, self.holders));
        let counts = self.drain.counts();
        let damaged = (counts.condemned_lanes, counts.damaged_bytes, counts.bad_spool_entries);
        assert_eq!(damaged, (0, 0, 0));
        // A child that another test forks has this one's locks, too, until it is another program.
        let drain = &self.drain;
        wait_for("free lanes", || (drain.report()[0].locked_lanes == 0).then_some(()));
        let place = &self.drain.report()[0];
        assert_eq!((place.dropped_events, place.spool_dropped_events), (0, 0));
        assert_eq!((place.spool_bytes, place.spool_entries, place.used_bytes), (0, 0, 0));
        let open = || Producer::open_in(self.bed.path()).expect("a producer");
        let mut producers: Vec<_> = (0..place.lanes.div_ceil(2)).map(|_| open()).collect();
        for producer in &mut producers {
            let published = producer.publish(OTHER).expect("published");
            assert_eq!(published, Published::Ring, "a lane is lost");
        }
    }
}

/// What stands in the spool of a place.
pub(super) fn spooled_bytes(place: &Path) -> u64 {
    let entries = fs::read_dir(place.join("spool")).into_iter().flatten();
    let entries = entries.map(|entry| entry.expect("an entry"));
    let entries = entries.filter(|entry| entry.file_name().len() == spool::NAME_BYTES);
    entries.map(|entry| entry.metadata().expect("its length").len()).sum()
}

/// Everything that can be read now.
pub(super) fn take_all(drain: &mut Drain) -> Taken {
    let mut taken = Taken::default();
    loop {
        // Twice empty: a stamp of this very moment waits one round.
        if drain.next_batch().is_empty() && drain.next_batch().is_empty() {
            drain.release();
            return taken;
        }
        for record in drain.batch().records() {
            match record.payload {
                OTHER => taken.others += 1,
                warm if warm.starts_with(WARM) => {}
                payload => {
                    assert_eq!(payload, PAYLOAD.as_bytes());
                    taken.victims += 1;
                    taken.spooled += usize::from(matches!(record.origin, Origin::Spool(_)));
                }
            }
        }
        drain.release();
    }
}
