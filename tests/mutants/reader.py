"""The reader's checks of lanes, rings and headers: it trusts nothing that it maps."""

from mutants import Equivalent, Mutation, bus, lanes, loom, system

LANE = "bus/src/drain/lane_reader.rs"
RECOVER = "bus/src/drain/lane_reader/recover.rs"
SALVAGE = "bus/src/drain/lane_reader/salvage.rs"
RING = "bus/src/drain/ring_reader.rs"
TURN = "bus/src/drain/turn.rs"
RECORD = "bus/src/record.rs"
LAYOUT = "bus/src/layout.rs"

LIES = lanes("damage::a_lying_tail_or_head", "damage::a_head_and_a_tail_that_lie_together")
DAMAGED_RECORD = lanes("a_damaged_record_costs_itself_and_the_lane_is_used_again")
DAMAGE = lanes("damage::", "condemned::")
RECOVERY = lanes("recovery::")
WORDS = lanes("words::")
HEADERS = bus("layout::")
PLAUSIBLE = bus("record::")

MUTATIONS = [
    Mutation(
        "a retired ring keeps its name when its directory is back",
        "bus/src/drain/place_reader.rs",
        "Err(ReadError::Busy) if self.retired.iter().any(|it| it.leave_name(dir)) => {}",
        "Err(ReadError::Busy) if self.retired.iter().any(|it| it.leave_name(dir)) && false => {}",
        lanes("a_directory_that_was_away"),
    ),
    # The words of a lane, when a ring is opened.
    Mutation(
        "a tail before its head is believed when a ring is opened",
        LANE,
        "tail.checked_sub(head).is_some_and(|used| used <= geometry.lane_bytes)",
        "tail.wrapping_sub(head) <= u64::MAX",
        LIES,
        is_quick=True,
    ),
    Mutation(
        "a head between two records is believed when a ring is opened",
        LANE,
        "let sane = head.is_multiple_of(RECORD_ALIGN)\n            && ",
        "let sane = ",
        LIES,
    ),
    Mutation(
        "a tail between two records is believed when a ring is opened",
        LANE,
        "            && tail.is_multiple_of(RECORD_ALIGN)\n            && tail < u64::MAX / 2",
        "            && tail < u64::MAX / 2",
        LIES,
    ),
    Mutation(
        "a tail near the end of all numbers is believed when a ring is opened",
        LANE,
        "            && tail < u64::MAX / 2\n",
        "",
        LIES,
    ),
    Mutation(
        "a lane that was condemned is sound when a ring is opened",
        LANE,
        "if !sane || lane.control.is_condemned(index) {",
        "if !sane {",
        lanes("a_lane_that_a_dead_reader_condemned_is_mended_by_the_next"),
    ),
    # What a journal knows of a lane.
    Mutation(
        "what the journal knows of a lane is not taken up",
        RECOVER,
        "            (self.read, self.given) = (end, end);\n            self.release(lane);\n",
        "",
        RECOVERY,
        is_quick=True,
    ),
    Mutation(
        "an end before the head takes the lane back",
        RECOVER,
        "let is_ahead = end > self.read;",
        "let is_ahead = end > 0;",
        RECOVERY,
    ),
    Mutation(
        "an end between two records is taken up",
        RECOVER,
        "if !end.is_multiple_of(RECORD_ALIGN) || end >= MAX_END {",
        "if end >= MAX_END {",
        RECOVERY,
    ),
    Mutation(
        "an end that no lane comes to is taken up",
        RECOVER,
        "if !end.is_multiple_of(RECORD_ALIGN) || end >= MAX_END {",
        "if !end.is_multiple_of(RECORD_ALIGN) {",
        RECOVERY,
    ),
    Mutation(
        "a tail before what is journaled is believed",
        RECOVER,
        "end > tail || self.is_no_end",
        "end > u64::MAX / 2 || self.is_no_end",
        WORDS,
        is_quick=True,
    ),
    Mutation(
        "another record before a journaled end is taken for the one that is journaled",
        RECOVER,
        "|| (is_last && is_other() && self.is_whole(lane, offset, &header))",
        "",
        WORDS,
    ),
    Mutation(
        "a record across a journaled end is believed",
        RECOVER,
        "behind > end || (is_last",
        "(is_last",
        WORDS,
    ),
    Mutation(
        "a head behind which a record stands is believed",
        RECOVER,
        "true => end < self.read && self.is_unread()",
        "true => end > self.read && self.is_unread()",
        WORDS,
    ),
    Mutation(
        "what is journaled is not known where a lane's words lie",
        RECOVER,
        "self.journaled = ids.collect();",
        "self.journaled = ids.take(0).collect();",
        WORDS,
    ),
    Mutation(
        "a lane whose words lie begins anew where it was",
        RECOVER,
        "(self.released, self.read, self.given) = (end, end, end);",
        "(self.read, self.given) = (self.released, self.released);",
        WORDS,
    ),
    Mutation(
        "what the journal has is found again where a lane's words lie",
        SALVAGE,
        "found.extend(Some(header).filter(|_| !is_given && !is_journaled));",
        "found.extend(Some(header).filter(|_| !is_given));",
        WORDS,
    ),
    Mutation(
        "a lane whose words lie is emptied by its positions",
        SALVAGE,
        "found.sort_by_key(|header| (header.stamp_ns, header.position));",
        "found.sort_by_key(|header| header.position);",
        WORDS,
    ),
    # The tail of a round.
    Mutation(
        "a tail that went back is believed",
        LANE,
        "self.tail >= self.read\n            && self.tail - self.released <= self.lane_bytes",
        "self.tail - self.released <= self.lane_bytes",
        LIES,
    ),
    Mutation(
        "a tail more than a lane ahead is believed",
        LANE,
        "            && self.tail - self.released <= self.lane_bytes\n",
        "",
        LIES,
    ),
    Mutation(
        "a tail between two records is believed",
        LANE,
        "\n            && self.tail.is_multiple_of(RECORD_ALIGN)\n    }",
        "\n    }",
        LIES,
    ),
    Mutation(
        "a tail that cannot be is believed",
        LANE,
        "        if !self.is_tail_sane() {\n            self.condemn",
        "        if false {\n            self.condemn",
        LIES,
    ),
    # One record.
    Mutation(
        "a record at another's position is believed",
        RECORD,
        "&& self.position == position;",
        "&& self.position <= position.max(self.position);",
        PLAUSIBLE,
    ),
    Mutation(
        "a record of an unknown kind is believed",
        RECORD,
        "matches!(self.kind, kind::DATA | kind::PAD)",
        "true",
        PLAUSIBLE,
    ),
    Mutation(
        "a record that is longer than what is there is believed",
        RECORD,
        "known && self.lane_bytes() <= available && ",
        "known && available > 0 && ",
        PLAUSIBLE,
    ),
    Mutation(
        "a payload beyond the limit is believed",
        RECORD,
        "self.payload_bytes as usize <= MAX_PAYLOAD_BYTES\n            && ",
        "",
        PLAUSIBLE,
    ),
    Mutation(
        "metadata beyond the limit is believed",
        RECORD,
        "\n            && self.meta_bytes as usize <= MAX_META_BYTES;",
        ";",
        PLAUSIBLE,
    ),
    Mutation(
        "a record that wraps round the lane's end is believed",
        LANE,
        "(end - position).min(self.lane_bytes - offset as u64)",
        "end - position",
        DAMAGE,
    ),
    Mutation(
        "a record's CRC is not looked at",
        LANE,
        "header.compute_crc(lane.crc, meta, payload) == header.crc",
        "header.compute_crc(lane.crc, meta, payload) | header.crc >= header.crc",
        DAMAGED_RECORD,
        is_quick=True,
    ),
    Mutation(
        "zeros behind a cut are a record's",
        LANE,
        "            lane.is_there(from + body, &buffer[start..])",
        "            lane.is_there(0, &buffer[start..])",
        DAMAGE,
    ),
    Mutation(
        "the file is not asked whether zeros at a record's end were there",
        LANE,
        "body.last() == Some(&0) || self.guard.is_hit();",
        "self.guard.is_hit();",
        DAMAGE,
    ),
    Mutation(
        "stamps fall within a lane",
        LANE,
        "self.last_stamp_ns = self.last_stamp_ns.max(header.stamp_ns.min(now_ns));",
        "self.last_stamp_ns = header.stamp_ns.min(now_ns);",
        lanes("order::", "the_bus_is_a_queue"),
    ),
    Mutation(
        "a stamp from the future waits for ever",
        TURN,
        "(false, true) => Due::Seen,",
        "(false, true) => Due::Fresh,",
        lanes("a_stamp_from_the_future_waits_one_round_and_is_clamped"),
    ),
    Mutation(
        "a stamp from the future is given out at once",
        TURN,
        "(false, false) => Due::Fresh,",
        "(false, false) => Due::Seen,",
        lanes("order::"),
    ),
    # What is given out stays until it is released, and no longer.
    Mutation(
        "what is released is not zeroed",
        LANE,
        "        lane.data.zero(self.base + from, to_end);\n",
        "",
        lanes("consumed_bytes_are_zeroed"),
        is_quick=True,
    ),
    Mutation(
        "what is released behind the lane's end is not zeroed",
        LANE,
        "        lane.data.zero(self.base, bytes - to_end);\n",
        "",
        lanes("consumed_bytes_are_zeroed"),
    ),
    Mutation(
        "a pad is released before the record behind it",
        LANE,
        "            self.read += header.lane_bytes();\n        }\n        None",
        "            self.read += header.lane_bytes();\n            self.given = self.read;\n        }\n        None",
        lanes("a_pad_is_released_together_with_the_record_behind_it"),
    ),
    Mutation(
        "the head moves when a record is given out",
        LANE,
        "            self.given = self.read;\n            counts",
        "            self.given = self.read;\n            self.release(lane);\n            counts",
        lanes("what_was_not_released_is_found_again_and_what_was_journaled_is_not"),
    ),
    Mutation(
        "a batch that was not released is not given out again",
        "bus/src/drain/mod.rs",
        "        if !self.batch.is_empty() {\n            return &self.batch;\n        }\n",
        "        self.batch.clear();\n",
        lanes("recovery::", "order::"),
    ),
    # A damaged lane.
    Mutation(
        "a damaged lane is not condemned",
        LANE,
        "control.condemned(self.index).store(1, Ordering::Release);",
        "control.condemned(self.index).store(0, Ordering::Release);",
        DAMAGED_RECORD,
    ),
    Mutation(
        "a lane is salvaged while its producer may still write",
        RING,
        "if lane::try_lock(&self.file, index as u32) == Ok(true) {",
        "if lane::try_lock(&self.file, index as u32).is_ok() {",
        lanes("damage::"),
    ),
    Mutation(
        "a mended lane keeps the reader's lock",
        RING,
        "            if reset {\n",
        "            if reset && index > 1_000_000 {\n",
        DAMAGED_RECORD,
    ),
    Mutation(
        "a mended lane begins at a position that was in use",
        SALVAGE,
        "let restart = (used + self.lane_bytes).next_multiple_of(self.lane_bytes);",
        "let restart = self.released;",
        DAMAGE,
    ),
    Mutation(
        "a mended lane is not zeroed",
        SALVAGE,
        "        lane.data.zero(self.base, self.lane_bytes as usize);\n",
        "",
        DAMAGE,
    ),
    Mutation(
        "what stands beyond the lane's window is owed",
        SALVAGE,
        "let owed = header.position >= self.read && in_window;",
        "let owed = header.position >= self.read;",
        DAMAGE,
    ),
    Mutation(
        "what is not where its position says is owed",
        SALVAGE,
        "        header.position % self.lane_bytes == offset\n            && header",
        "        header",
        DAMAGE,
    ),
    Mutation(
        "what has no CRC and was not published is owed",
        SALVAGE,
        "let whole = header.flags & flag::CRC != 0 || end <= published;",
        "let whole = header.flags & flag::CRC != 0 || end > 0;",
        DAMAGE,
    ),
    Mutation(
        "a record inside another one is owed",
        SALVAGE,
        "            if at < end {\n                continue;\n            }\n",
        "",
        DAMAGE,
    ),
    Mutation(
        "what a damaged lane lost is not counted",
        SALVAGE,
        "counts.damaged_bytes += account(u64::MAX, u64::MAX);",
        "account(u64::MAX, u64::MAX);",
        DAMAGE,
    ),
    # The ring.
    Mutation(
        "a second reader is let in",
        RING,
        "            return Err(ReadError::Busy);\n        }\n        let stat",
        "        }\n        let stat",
        lanes("a_second_reader_is_refused"),
    ),
    Mutation(
        "a ring that others could open is kept",
        RING,
        "let mode = self.open_mode.or(open_mode)?;",
        "let mode = self.open_mode.or(open_mode).filter(|mode| *mode > 0o7777)?;",
        lanes("a_ring_whose_mode_was_opened_is_closed_emptied_and_replaced"),
    ),
    Mutation(
        "a ring that others could open stays open to them",
        RING,
        "    sys::set_mode(file, 0o600)?;\n",
        "",
        lanes("a_ring_whose_mode_was_opened_is_closed_emptied_and_replaced"),
    ),
    Mutation(
        "a header that changed is not noticed",
        RING,
        "            && self.control.is_header_intact()\n",
        "",
        lanes("damage::", "replacement::"),
    ),
    Mutation(
        "a file that was cut off is not noticed",
        RING,
        "            && sys::fstat(&self.file).is_ok_and(|stat| stat.bytes == self.stat.bytes)\n",
        "",
        DAMAGE,
    ),
    Mutation(
        "a retired ring is empty while a lane is locked",
        RING,
        "if locked == Ok(false) {",
        "if locked.is_ok() {",
        loom("retire"),
    ),
    Mutation(
        "a retired ring is empty without a last round",
        RING,
        "!self.has_work() && !self.lanes.iter().any(open)",
        "true",
        lanes("replacement::", "the_bus_is_a_queue"),
    ),
    Mutation(
        "a retired ring's producers are not told",
        RING,
        "            doorbell::retire(self.control.doorbell());\n",
        "",
        lanes("replacement::", "the_bus_is_a_queue"),
    ),
    # The header.
    Mutation(
        "a file that is no ring is opened as one",
        LAYOUT,
        "if header.magic != MAGIC {",
        "if header.magic > [0xff; 8] {",
        HEADERS,
    ),
    Mutation(
        "a ring of another version is opened",
        LAYOUT,
        "if header.major != MAJOR {",
        "if header.major < MAJOR {",
        HEADERS,
    ),
    Mutation(
        "a header's CRC is not looked at",
        LAYOUT,
        "if header.crc != expected {",
        "if header.crc != expected && false {",
        HEADERS,
    ),
    Mutation(
        "a header with impossible sizes is believed",
        LAYOUT,
        "let fits = geometry.is_valid()\n            && ",
        "let fits = ",
        HEADERS,
    ),
    Mutation(
        "a header with its control lines elsewhere is believed",
        LAYOUT,
        "\n            && header.control_offset == CONTROL_OFFSET as u64",
        "",
        HEADERS,
    ),
    Mutation(
        "a header with its lanes elsewhere is believed",
        LAYOUT,
        "\n            && header.data_offset == geometry.data_offset()",
        "",
        HEADERS,
    ),
    Mutation(
        "a header with another length is believed",
        LAYOUT,
        "\n            && header.file_bytes == geometry.file_bytes();",
        ";",
        HEADERS,
    ),
    Mutation(
        "a file of another length than its header says is opened",
        LAYOUT,
        "if expected != file_bytes {",
        "if expected > u64::MAX - file_bytes {",
        HEADERS,
    ),
    Mutation(
        "a ring that is somebody else's, or open to others, is used",
        "bus/src/control.rs",
        "if !stat.is_private_file(uid) {",
        "if !stat.is_file() {",
        system("invariants", "privacy::"),
    ),
    Mutation(
        "a file that is too short for a header is read",
        "bus/src/control.rs",
        "if stat.bytes < HEADER_BYTES as u64 {",
        "if stat.bytes > u64::MAX - HEADER_BYTES as u64 {",
        lanes("damage::", "salvage::"),
    ),
    Mutation(
        "a daemon that was started with SIGBUS blocked dies of a ring that is cut off",
        "bus/src/drain/sigbus.rs",
        "let unblocked = sys::unblock_sigbus();",
        "let unblocked = Ok::<(), sys::Errno>(());",
        system("known_errors", "ring::a_ring_cut_off_under_a_daemon"),
    ),
]

EQUIVALENT = [
    Equivalent(
        "a stamp from the future is not clamped for its turn",
        TURN,
        "Turn { stamp_ns: published_ns.min(now_ns), published_ns, due }",
        "it comes behind what is not from the future either way, in the order of the published stamps",
    ),
    Equivalent(
        "what was given out is listed in a damaged lane again",
        SALVAGE,
        "let owed = header.position >= self.read && in_window;",
        "`salvage_published` passes over what begins before the end of what it has, which begins with what was read: "
        "that has a mutation",
    ),
    Equivalent(
        "what was given out is found again where a lane's words lie",
        SALVAGE,
        "let is_given = (self.released..self.read).contains(&header.position);",
        "it matters only if a tail that can be becomes one that cannot between a round's look and its salvage, "
        "which no test can time",
    ),
]
