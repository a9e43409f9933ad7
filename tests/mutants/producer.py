"""The producer's checks: the words of its lane, the retired bit, the condemned one; and what a hook
promises its agent."""

from mutants import Equivalent, Mutation, bus, cargo, lanes, loom, system

LANE = "bus/src/lane.rs"
HOOK = "bus/src/oneshot.rs"
OWNED = "bus/src/owned.rs"

LIES = lanes("damage::")
WORDS = bus("lane::")
LEAVING = cargo("producer", "leaving")
ORPHANS = cargo("producer", "orphans")
HOOKS = cargo("producer", "emit")
SHARED = system("every_instruction", "shared::")
DOORBELL = cargo("producer", "doorbell")
LIMITED = system("invariants", "hook::a_limit_for_the_size_of_files")

MUTATIONS = [
    # Where a lane stands.
    Mutation(
        "a producer takes a lane whose tail is more than a lane ahead",
        LANE,
        "let holds = tail.wrapping_sub(head) <= lane_bytes\n            && ",
        "let holds = ",
        WORDS,
    ),
    Mutation(
        "a producer takes a lane whose tail is between two records",
        LANE,
        "            && tail.is_multiple_of(RECORD_HEADER_BYTES as u64)\n",
        "",
        WORDS,
    ),
    Mutation(
        "a producer takes a lane whose head is beyond its tail",
        LANE,
        "            && head <= tail\n",
        "",
        WORDS,
    ),
    Mutation(
        "a producer takes a lane at the end of all numbers",
        LANE,
        "\n            && tail < u64::MAX / 2;",
        ";",
        WORDS,
    ),
    Mutation(
        "a producer believes a head that went back or ahead",
        LANE,
        "let sane = (self.head..=self.tail).contains(&head);",
        "let sane = true;",
        WORDS,
    ),
    Mutation(
        "a producer writes over what was not released",
        LANE,
        "(end - self.head <= self.lane_bytes).then_some(",
        "(end - self.head <= 2 * self.lane_bytes).then_some(",
        bus("lane::"),
        is_quick=True,
    ),
    Mutation(
        "a record wraps round the lane's end",
        LANE,
        "if bytes <= to_end { (self.tail, None) }",
        "if bytes > 0 { (self.tail, None) }",
        bus("lane::"),
    ),
    Mutation(
        "a record larger than half a lane is put into it",
        OWNED,
        "if bytes > self.control.geometry().max_record_bytes() {",
        "if bytes > 2 * self.control.geometry().max_record_bytes() {",
        lanes("the_bus_is_a_queue", "publishing::"),
    ),
    # Retired, under the lock; condemned; a lock of one's own.
    Mutation(
        "a hook does not look at the retired bit",
        HOOK,
        "if doorbell::is_retired(self.control.doorbell()) {",
        "if false {",
        loom("retire"),
        is_quick=True,
    ),
    Mutation(
        "a hook looks at the retired bit before it has the lock",
        HOOK,
        "if self.control.is_condemned(lane) || !self.try_lock(lane)? {\n"
        "                continue;\n"
        "            }\n"
        "            // Looked at under the lock: a reader that found no lane locked after it retired the ring\n"
        "            // will not look again.\n"
        "            if doorbell::is_retired(self.control.doorbell()) {\n"
        "                self.give_back(lane)?;\n"
        "                return Err(NotTaken::Retired);\n"
        "            }\n",
        "if doorbell::is_retired(self.control.doorbell()) {\n"
        "                return Err(NotTaken::Retired);\n"
        "            }\n"
        "            if self.control.is_condemned(lane) || !self.try_lock(lane)? {\n"
        "                continue;\n"
        "            }\n",
        loom("retire"),
    ),
    Mutation(
        "a producer claims a lane of a retired ring",
        OWNED,
        "if doorbell::is_retired(control.doorbell()) {",
        "if false {",
        loom("retire"),
    ),
    Mutation(
        "a producer does not hear that its ring is retired",
        OWNED,
        "if self.has_joined { doorbell::ring_joined(word) } else { doorbell::ring(word) }",
        "if self.has_joined { doorbell::ring_joined(word) } else { doorbell::ring(word) };\n        false",
        lanes("the_bus_is_a_queue"),
    ),
    Mutation(
        "a condemned lane is taken",
        LANE,
        "(holds && !control.is_condemned(lane)).then_some(",
        "holds.then_some(",
        WORDS,
    ),
    Mutation(
        "a producer goes on in a condemned lane",
        OWNED,
        "        if self.control.is_condemned(self.lane) {\n            return Err(PutError::Condemned);\n        }\n",
        "",
        lanes("a_damaged_record_costs_itself_and_the_lane_is_used_again"),
        is_quick=True,
    ),
    Mutation(
        "a hook writes without a lock",
        HOOK,
        "|| !self.try_lock(lane)? {",
        "|| self.try_lock(lane).is_err() {",
        loom("claim"),
    ),
    Mutation(
        "a producer that finds a lane of no use keeps its lock",
        OWNED,
        "                lane::give_back(&file, lane)?;\n",
        "",
        LIES,
    ),
    Mutation(
        "a lane's lock goes with its descriptor",
        OWNED,
        "let _lock = MappedLock::new(file)?;",
        "lane::give_back(&file, lane)?;\n            let _lock = MappedLock::new(file)?;",
        lanes("two_producers_never_share_a_lane_and_hooks_find_the_upper_half"),
    ),
    Mutation(
        "a forked child has its parent's lane",
        OWNED,
        "            data.advise(Advice::DontFork)?;\n",
        "",
        ORPHANS,
    ),
    # What is put is not seen before it is published.
    Mutation(
        "what is put is visible at once",
        OWNED,
        "        self.position.advance(place);\n",
        "        self.position.advance(place);\n        self.position.publish(&self.control, self.lane);\n",
        lanes("a_slot_filled_in_place_shows_what_was_put_and_nothing_if_dropped", "the_bus_is_a_queue"),
    ),
    Mutation(
        "a hook's short write is published",
        HOOK,
        "if written? == bytes { Ok(()) }",
        "if written? <= bytes { Ok(()) }",
        LIMITED,
    ),
    # The doorbell.
    Mutation(
        "a producer does not wake the reader",
        OWNED,
        "if self.has_joined { doorbell::ring_joined(word) } else { doorbell::ring(word) }",
        "doorbell::is_retired(word)",
        DOORBELL,
    ),
    Mutation(
        "a producer that joined the barrier does not wake the reader",
        OWNED,
        "if self.has_joined { doorbell::ring_joined(word) } else { doorbell::ring(word) }",
        "if self.has_joined { doorbell::is_retired(word) } else { doorbell::ring(word) }",
        DOORBELL,
    ),
    Mutation(
        "a hook does not wake the reader",
        "producer/src/emit/send.rs",
        "            ring.ring();\n        }\n        published",
        "        }\n        published",
        DOORBELL,
    ),
    Mutation(
        "what was stored in a spool wakes nobody",
        HOOK,
        "    doorbell::ring(control.doorbell())\n",
        "    doorbell::is_retired(control.doorbell())\n",
        DOORBELL,
    ),
    Mutation(
        "a hook announces what it has yet to store",
        "producer/src/emit/send.rs",
        "        let Message { header, meta, payload } = &self.message;\n        let stored =",
        "        oneshot::announce_stored(&self.places, ring.map(OneShot::control));\n"
        "        let Message { header, meta, payload } = &self.message;\n        let stored =",
        DOORBELL,
    ),
    # An orphaned ring.
    Mutation(
        "a ring that a daemon will find is emptied into the spool",
        "producer/src/producer/claimed.rs",
        "pub(super) fn is_in_place(&self, places: &Places<'_>) -> bool {\n",
        "pub(super) fn is_in_place(&self, places: &Places<'_>) -> bool {\n"
        "        if READER_LOCK == 0 {\n            return false;\n        }\n",
        cargo("producer", "publishing"),
    ),
    Mutation(
        "a ring that a daemon reads is emptied into the spool",
        "producer/src/producer/claimed.rs",
        "if sys::share_byte(spare, READER_LOCK) != Ok(true) {",
        "if sys::share_byte(spare, READER_LOCK).is_err() {",
        LEAVING,
    ),
    # The hook command.
    Mutation(
        "a hook takes an instruction that the kernel did not promise",
        "bus/src/crc.rs",
        "hwcap2 & X86_HWCAP2_FSGSBASE != 0",
        "hwcap2 & X86_HWCAP2_FSGSBASE == 0",
        bus("crc::"),
    ),
    Mutation(
        "a hook that is switched off leaves its input unread",
        "producer/src/emit/main.rs",
        "        None => stdin::read_to_end(buffer, started_ns),",
        "        None if off => Payload { bytes: b\"\", is_cut: false, spare: buffer },\n"
        "        None => stdin::read_to_end(buffer, started_ns),",
        HOOKS,
    ),
    Mutation(
        "a hook waits for its input for ever",
        "producer/src/emit/main.rs",
        "const DEADLINE_NS: u64 = 5_000_000_000;",
        "const DEADLINE_NS: u64 = 5_000_000_000_000;",
        cargo("producer", "emit", "a_writer_that_never_ends"),
    ),
    Mutation(
        "a hook reads what another reader has taken",
        "producer/src/emit/stdin.rs",
        "None if errno == Errno::AGAIN && kind != Kind::Stored => return Step::More,",
        "None if errno == Errno::PERM && kind != Kind::Stored => return Step::More,",
        SHARED,
    ),
    Mutation(
        "a hook writes its reply where another writer has taken the room",
        "producer/src/emit/main.rs",
        "Ok(true) | Err(_) if errno == Errno::AGAIN => return Err(Errno::AGAIN),",
        "Ok(true) | Err(_) if errno == Errno::PERM => return Err(Errno::AGAIN),",
        SHARED,
    ),
    Mutation(
        "a hook whose agent blocked SIGBUS dies of a ring that is cut off",
        "producer/src/emit/send.rs",
        "        let _ = sys::unblock_sigbus();\n",
        "",
        cargo("producer", "emit", "a_sigbus_that_the_agent_blocked"),
    ),
    Mutation(
        "a limit for the size of files kills the hook",
        "producer/src/emit/send.rs",
        "        let _ = sys::ignore_sigxfsz();\n",
        "",
        LIMITED,
    ),
    Mutation(
        "an event that nothing takes is not counted",
        "producer/src/emit/send.rs",
        "            None => self.count_dropped(),",
        "            None => {}",
        system("known_errors", "disks::what_a_full_tmpfs"),
    ),
]

EQUIVALENT = [
    Equivalent(
        "the static hook takes the portable CRC whatever the kernel promises",
        "producer/src/emit/start.rs",
        "has_crc: crc::is_promised(hwcap, hwcap2)",
        "the hook built with std, as here, has another start; of the static one "
        "`a_hook_takes_the_crc_instruction_where_the_kernel_promises_it_and_nowhere_else` in "
        "tests/tests/every_instruction/crc.rs notices it",
    ),
    Equivalent(
        "a reply that nobody reads kills the hook",
        "producer/src/emit/main.rs",
        "fn write_out(mut text: &[u8], started_ns: u64) {\n    let _ = sys::ignore_sigpipe();",
        "the hook built with std, as here, ignores the signal from its start; of the static one "
        "`a_reader_that_went_away_is_no_failure` in tests/tests/invariants/hook.rs notices it",
    ),
    Equivalent(
        "the head does not move behind what is moved to the spool",
        OWNED,
        "self.control.head(self.lane).store(at, Ordering::Release);",
        "nobody comes for a ring that has no name: it matters only if somebody gives it the name back",
    ),
    Equivalent(
        "a hook locks a lane before it asks whether that is condemned",
        HOOK,
        "if self.control.is_condemned(lane) || !self",
        "`Position::load` asks under the lock; this question spares the lock, which the reader needs",
    ),
]
