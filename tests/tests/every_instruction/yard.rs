/// Where victims and others publish, and the reader of it all.
struct Yard {
    bed: Bed,
    /// The control area, to see what is published without the reader.
    ring: OneShot,
    drain: Drain,
    others: Producer,
    payload: File,
    /// The reader has said that it sleeps when a victim begins.
    sleeps: bool,
}

/// What the reader gave out.
#[derive(Default)]
struct Taken {
    victims: usize,
    others: usize,
}

impl Yard {
    fn new() -> Yard {
        let bed = Bed::new();
        let uid = sys::effective_uid();
        let places = Places::new(Some(bed.path().as_os_str().as_bytes()), uid);
        let drain = Drain::open(&places, Options::default()).expect("a reader");
        let ring = OneShot::open(&places.open(0).expect("the place"), uid).expect("the ring");
        let others = Producer::open_in(bed.path()).expect("a producer");
        let path = bed.path().join("payload");
        fs::write(&path, PAYLOAD).expect("the payload");
        let payload = File::open(path).expect("the payload");
        Yard { bed, ring, drain, others, payload, sleeps: false }
    }

    fn with_a_sleeper() -> Yard {
        Yard { sleeps: true, ..Yard::new() }
    }

    /// A ring that producers must leave, and no other: what they publish goes to the spool.
    fn without_a_ring() -> Yard {
        let yard = Yard::new();
        doorbell::retire(yard.ring.control().doorbell());
        yard
    }

    /// A process before its first instruction; a library's, before its publish. `None`, said by
    /// [`left_out`], where processes cannot be traced.
    fn start(&mut self, victim: Victim) -> Option<Tracee> {
        let mut command = match victim {
            Victim::Hook => {
                self.payload.seek(SeekFrom::Start(0)).expect("its start");
                let mut command = self.bed.command("hookring-emit");
                command.stdin(self.payload.try_clone().expect("a descriptor"));
                command
            }
            Victim::Library => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_publish_once"));
                command.arg(PAYLOAD).env("HOOKRING_DIR", self.bed.path());
                command
            }
        };
        let mut tracee = start_tracee(&mut command)?;
        if matches!(victim, Victim::Library) {
            tracee.run_to_its_stop();
            self.take_all();
        }
        if self.sleeps {
            let doorbell = self.ring.control().doorbell();
            doorbell.fetch_or(doorbell::SLEEPING, Ordering::SeqCst);
        }
        Some(tracee)
    }

    fn is_asleep(&self) -> bool {
        self.ring.control().doorbell().load(Ordering::SeqCst) & doorbell::SLEEPING != 0
    }

    /// Whoever died without a wake takes nobody else's along.
    fn check_others_wake(&mut self, place: &str) {
        if self.sleeps {
            self.others.publish(OTHER).expect("published");
            assert!(!self.is_asleep(), "{place}: another does not wake the reader");
        }
    }

    /// All bytes ever published into lanes, and those in the spool now.
    fn published_bytes(&self) -> u64 {
        let control = self.ring.control();
        let tails = (0..control.geometry().lanes)
            .map(|lane| control.tail(lane).load(Ordering::Acquire))
            .sum::<u64>();
        tails + spooled_bytes(self.bed.path())
    }

    fn publish_others(&mut self) {
        for _ in 0..OTHERS {
            self.others.publish(OTHER).expect("published");
        }
    }

    fn take_all(&mut self) -> Taken {
        take_all(&mut self.drain)
    }

    /// Nothing was damaged or dropped, and every lane is free again.
    fn check(self) {
        drop(self.others);
        let counts = self.drain.counts();
        let damaged = (counts.condemned_lanes, counts.damaged_bytes, counts.bad_spool_entries);
        assert_eq!(damaged, (0, 0, 0));
        let place = &self.drain.report()[0];
        assert_eq!((place.locked_lanes, place.dropped_events), (0, 0));
    }
}

/// What stands in the spool of a place.
fn spooled_bytes(place: &Path) -> u64 {
    let entries = fs::read_dir(place.join("spool")).into_iter().flatten();
    let entries = entries.map(|entry| entry.expect("an entry"));
    let entries = entries.filter(|entry| entry.file_name().len() == spool::NAME_BYTES);
    entries.map(|entry| entry.metadata().expect("its length").len()).sum()
}

/// Everything that can be read now.
fn take_all(drain: &mut Drain) -> Taken {
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
                WARM => {}
                payload => {
                    assert_eq!(payload, PAYLOAD.as_bytes());
                    taken.victims += 1;
                }
            }
        }
        drain.release();
    }
}

