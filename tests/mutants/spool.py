"""The spool's checks, its limit and its counters, and those of a ring file that was set aside."""

from mutants import Equivalent, Mutation, bus, cargo, lanes

FILE = "bus/src/drain/spool_file.rs"
ENTRY = "bus/src/drain/spool_entry.rs"
READER = "bus/src/drain/spool_reader.rs"
COUNTERS = "bus/src/drain/spool_counters.rs"
STORE = "bus/src/spool.rs"
WRITE = "bus/src/spool/entry.rs"
SALVAGE_FILE = "bus/src/drain/salvage_file.rs"
SALVAGE = "bus/src/drain/salvage_reader.rs"

ENTRIES = lanes("damaged_spool_entries_are_set_aside", "entries_that_cannot_be_are_set_aside")
PLACES = lanes("opened_to_others", "is_put_away", "is_away_for_a_while")
NAMES = bus("spool_entry::")
READS = bus("spool_reader::")
STORES = bus("spool::")
SALVAGES = lanes("salvage::")

MUTATIONS = [
    # The spool and its counters, as hooks find them.
    Mutation(
        "a spool that was opened to others is read on",
        READER,
        "let is = |it: Stat| it.is_same_file(&ours) && it.is_private_dir(self.uid);",
        "let is = |it: Stat| it.is_same_file(&ours);",
        PLACES,
    ),
    Mutation(
        "a spool that was opened to others is not closed again",
        READER,
        "            && sys::set_mode_at(place, SPOOL, 0o700).is_ok()\n",
        "            && sys::set_mode_at(place, SPOOL, 0o755).is_ok()\n",
        PLACES,
    ),
    Mutation(
        "the reader leaves counters open to others",
        READER,
        "let is = |it: Stat| it.is_same_file(&ours.stat()) && it.is_private_file(self.uid);",
        "let is = |it: Stat| it.is_same_file(&ours.stat());",
        PLACES,
    ),
    Mutation(
        "whoever counts leaves the counters open to others",
        STORE,
        "            sys::set_mode(&file, 0o600)?;\n",
        "            let _ = &file;\n",
        PLACES,
    ),
    Mutation(
        "what is no counters keeps their name",
        COUNTERS,
        "            put_away(spool, USAGE, USAGE_BAD);\n",
        "            let _ = (put_away, USAGE_BAD);\n",
        PLACES,
    ),
    Mutation(
        "what a spool dropped is counted again when it is back",
        "bus/src/drain/place_reader.rs",
        "                    self.spool_dropped_before -= dropped;\n",
        "",
        PLACES,
    ),
    # An entry's file.
    Mutation(
        "an entry longer than an event can be is read",
        FILE,
        "if body > (MAX_META_BYTES + MAX_PAYLOAD_BYTES) as u64 {",
        "if body > u64::MAX - (MAX_META_BYTES + MAX_PAYLOAD_BYTES) as u64 {",
        ENTRIES,
    ),
    Mutation(
        "an entry of an impossible form is given out",
        FILE,
        "let fits = header.is_plausible(SPOOL_POSITION, u64::MAX)\n        && ",
        "let fits = ",
        ENTRIES,
    ),
    Mutation(
        "an entry that is a pad is given out",
        FILE,
        "        && header.kind == kind::DATA\n",
        "",
        ENTRIES,
    ),
    Mutation(
        "an entry of another length than it says is given out",
        FILE,
        "\n        && header.bytes() == stat.bytes;",
        " && header.bytes() <= stat.bytes;",
        ENTRIES,
    ),
    Mutation(
        "an entry's CRC is not looked at",
        FILE,
        "if found == header.crc { Ok",
        "if found == found { Ok",
        ENTRIES,
        is_quick=True,
    ),
    Mutation(
        "something that is no file is read as an entry",
        FILE,
        "        stat if !stat.is_file() => return Err(ReadError::Damaged),\n",
        "",
        READS,
    ),
    Mutation(
        "somebody else's entry is given out",
        FILE,
        "        stat if !stat.is_own_file(uid) => return Err(ReadError::Denied),\n",
        "",
        READS,
    ),
    Mutation(
        "an entry that others could open stays open to them",
        FILE,
        "sys::set_mode(&file, 0o600).map_err(|_| ReadError::System)?;",
        "let _ = &file;",
        ENTRIES,
    ),
    # Its name.
    Mutation(
        "a longer name is an entry's",
        ENTRY,
        "if name.len() != NAME_BYTES || ",
        "if name.len() < NAME_BYTES || ",
        NAMES,
    ),
    Mutation("a name without its dash is an entry's", ENTRY, " || name[20] != b'-' {", " {", NAMES),
    Mutation(
        "a name with a sign in its stamp is an entry's",
        ENTRY,
        "digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?",
        "digit.is_ascii_graphic().then(|| u64::from(digit & 15))?",
        NAMES,
    ),
    Mutation(
        "a stamp that cannot be is cut to one that can",
        ENTRY,
        "stamp.checked_mul(10)?.checked_add(digit)",
        "Some(stamp.wrapping_mul(10).wrapping_add(digit))",
        NAMES,
    ),
    Mutation(
        "upper-case hex is an entry's",
        ENTRY,
        "        _ => None,\n",
        "        b'A'..=b'F' => Some(digit - b'A' + 10),\n        _ => None,\n",
        NAMES,
    ),
    # Once, in order, and not before it is safe.
    Mutation(
        "an entry that the journal has is given out again",
        READER,
        "self.stuck.contains(&entry) || journaled.has(&entry.id);",
        "self.stuck.contains(&entry);",
        READS,
    ),
    Mutation(
        "an entry that could not be unlinked is given out again",
        READER,
        "self.stuck.contains(&entry) || journaled.has(&entry.id);",
        "journaled.has(&entry.id);",
        READS,
    ),
    Mutation(
        "an entry is unlinked before it is released",
        READER,
        "                counts.spool_records += 1;\n",
        "                counts.spool_records += 1;\n                self.release();\n",
        READS,
    ),
    Mutation(
        "what could not be unlinked is forgotten",
        READER,
        "                self.stuck.insert(entry);\n            }\n            self.give_back(bytes);",
        "                let _ = entry;\n            }\n            self.give_back(bytes);",
        READS,
    ),
    Mutation(
        "what is unlinked is not synced",
        READER,
        "            sys::sync(&self.dir)?;\n",
        "",
        READS,
    ),
    Mutation(
        "unlinked entries are not known to be unsynced",
        READER,
        "        self.has_unlinked |= !self.given.is_empty();\n",
        "",
        READS,
    ),
    Mutation(
        "lanes do not wait for a spool that was seen in part",
        READER,
        "let holds_back = self.is_cut && !self.is_stuck();",
        "let holds_back = self.is_cut && self.is_stuck();",
        READS,
    ),
    Mutation(
        "stores that are under way are not waited for",
        COUNTERS,
        "is_none_new && (now.open() == 0 || are_dead)",
        "is_none_new",
        READS,
    ),
    Mutation(
        "stores that ended are not looked for",
        COUNTERS,
        "is_none_new && (now.open() == 0 || are_dead)",
        "now.open() == 0 || are_dead",
        READS,
    ),
    Mutation(
        "a store stays taken for dead when one has ended",
        COUNTERS,
        "let are_dead = now.open() == self.dead.open() && now.ended == self.dead.ended;",
        "let are_dead = now.open() == self.dead.open();",
        READS,
    ),
    Mutation(
        "a look in the middle of a round counts as one a second later",
        "bus/src/drain/mod.rs",
        "            self.open_anew();\n            self.list_spools();",
        "            self.maintain();\n            self.list_spools();",
        lanes("spool::"),
    ),
    Mutation(
        "a replaced spool is not noticed before the round's look",
        "bus/src/drain/mod.rs",
        "        if self.places.has_replaced_spool(self.is_listing_due) {\n",
        "        if false {\n",
        lanes("spool::"),
    ),
    Mutation(
        "a hook announces no store",
        "producer/src/emit/send.rs",
        "oneshot::announce_stored(&self.places, ring.map(OneShot::control));",
        "let _ = ring;",
        cargo("producer", "emit"),
    ),
    Mutation(
        "a producer announces no store",
        "producer/src/producer/spool.rs",
        "oneshot::announce_stored(&places, ring);",
        "let _ = ring;",
        cargo("producer", "moving"),
    ),
    Mutation(
        "a store is announced in a retired ring only",
        "bus/src/oneshot.rs",
        "ring.is_some_and(|control| !announce_in(control))",
        "ring.map(announce_in).is_some()",
        lanes("spool::"),
    ),
    Mutation(
        "a hook at full lanes keeps their locks",
        "bus/src/oneshot.rs",
        "self.control.spooled(lane).fetch_add(1, Ordering::Relaxed);\n                self.give_back(lane)?;",
        "self.control.spooled(lane).fetch_add(1, Ordering::Relaxed);",
        lanes("publishing::"),
    ),
    Mutation(
        "stores that were announced are not heard of",
        "bus/src/drain/places.rs",
        "is_announced |= ring.hears_of_store();",
        "let _ = ring.hears_of_store();",
        lanes("spool::"),
    ),
    # Its limit, and what is dropped.
    Mutation(
        "the spool has no limit",
        STORE,
        ".filter(|sum| *sum <= limit)",
        ".filter(|sum| *sum <= limit.max(u64::MAX))",
        STORES,
    ),
    Mutation(
        "what is dropped at the limit is not counted",
        STORE,
        "        usage.count_dropped(bytes);\n        return Ok(Spooled::Dropped);",
        "        return Ok(Spooled::Dropped);",
        STORES,
    ),
    Mutation(
        "what is dropped at the limit stays counted as used",
        STORE,
        "let more = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);\n"
        "        self.used_bytes().fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()",
        "let before = self.used_bytes().fetch_add(bytes, Ordering::Relaxed);\n"
        "        before.saturating_add(bytes) <= limit",
        STORES,
    ),
    Mutation(
        "what is released stays counted as used",
        READER,
        "                self.stuck.insert(entry);\n            }\n            self.give_back(bytes);",
        "                self.stuck.insert(entry);\n            }\n            let _ = bytes;",
        lanes("the_bus_is_a_queue", "spool::"),
    ),
    Mutation(
        "a count of bytes that is too small is not mended",
        COUNTERS,
        "if missing_bytes > 0 {",
        "if missing_bytes > u64::MAX / 2 {",
        READS,
    ),
    Mutation(
        "a count of bytes that is too large is not mended",
        COUNTERS,
        "let is_stale = excess_bytes > 0 && excess_bytes == before;",
        "let is_stale = excess_bytes > 0 && excess_bytes == before && false;",
        READS,
    ),
    Mutation(
        "noise over the limit is not set right",
        COUNTERS,
        "        if is_limit_wrong {\n",
        "        if is_limit_wrong && limit_bytes == u64::MAX {\n",
        READS,
    ),
    Mutation(
        "noise over the count of the dropped is believed",
        COUNTERS,
        "        if now.can_follow(self.noted_dropped) {\n            self.noted",
        "        if now.events > 0 {\n            self.noted",
        READS,
    ),
    Mutation(
        "the same record is stored twice",
        WRITE,
        "Err(Errno::EXIST) if holds(spool, c_str(&name), pieces) => return Ok(Added::Before),\n",
        "",
        STORES,
    ),
    Mutation(
        "whatever has an entry's name is taken for it",
        WRITE,
        "Err(Errno::EXIST) if holds(spool, c_str(&name), pieces) => return Ok(Added::Before),",
        "Err(Errno::EXIST) => return Ok(Added::Before),",
        STORES,
    ),
    Mutation(
        "a spool that others may enter is used",
        "bus/src/place.rs",
        "if !stat.is_private_dir(uid) {",
        "if !stat.is_dir() {",
        bus("place::", "spool::"),
    ),
    # A ring file with a damaged header.
    Mutation(
        "a record that is not where its position says is found",
        SALVAGE_FILE,
        "\n            && header.position % LANE_ALIGN == offset % LANE_ALIGN",
        "",
        SALVAGES,
    ),
    Mutation(
        "a record without a CRC is found",
        SALVAGE_FILE,
        "false if header.flags & flag::CRC != 0 => Piece::Record(header),",
        "false => Piece::Record(header),",
        SALVAGES,
    ),
    Mutation(
        "a found record's CRC is not looked at",
        SALVAGE_FILE,
        "is_read && header.compute_crc(self.crc, meta, payload) == header.crc;",
        "is_read && meta.len() + payload.len() > 0;",
        SALVAGES,
    ),
    Mutation(
        "a pad that does not end with a lane is one",
        SALVAGE_FILE,
        "true if end.is_multiple_of(LANE_ALIGN) && header.meta_bytes == 0 => Piece::Pad(header),",
        "true if end > 0 => Piece::Pad(header),",
        SALVAGES,
    ),
    Mutation(
        "what a pad says that it covers is passed over",
        SALVAGE,
        """look.pad_end = look.pad_end.max(offset + header.lane_bytes());
                return RECORD_ALIGN;""",
        """look.pad_end = look.pad_end.max(offset + header.lane_bytes());
                return header.lane_bytes();""",
        SALVAGES,
    ),
    Mutation(
        "a pad hides damage behind a record",
        SALVAGE,
        """if self.file.read_body(&header, offset, body) {
                    look.pad_end = offset + found.bytes;""",
        "if self.file.read_body(&header, offset, body) {",
        SALVAGES,
    ),
    Mutation(
        "a found record that was written over is given out",
        SALVAGE_FILE,
        ".filter(|header| (header.position, header.crc) == (found.position, found.crc))",
        ".filter(|header| header.position == found.position)",
        SALVAGES,
    ),
    Mutation(
        "a file that is read is set aside by a second reader",
        SALVAGE_FILE,
        "            return Err(ReadError::Busy);\n",
        "",
        SALVAGES,
    ),
    Mutation(
        "producers in a file that was set aside are not told",
        SALVAGE_FILE,
        "        doorbell::retire(region.word32(DOORBELL_OFFSET));\n",
        "",
        SALVAGES,
    ),
    Mutation(
        "the last look comes while a producer holds a lane",
        SALVAGE,
        "let is_last = !self.file.is_in_use();",
        "let is_last = true;",
        SALVAGES,
    ),
    Mutation(
        "what the journal has of a file that was set aside comes again",
        SALVAGE,
        "if is_journaled(&found.id) {",
        "if is_journaled(&[0; 16]) {",
        SALVAGES,
    ),
    Mutation(
        "what was found before is found again",
        SALVAGE,
        "if self.known.contains(&found.key()) {",
        "if self.known.contains(&(0, 0, 0)) {",
        SALVAGES,
    ),
    Mutation(
        "what is released of a file that was set aside is not zeroed",
        SALVAGE,
        "        if self.is_searched {\n            self.zero_kept();\n        }\n",
        "",
        SALVAGES,
    ),
    Mutation(
        "what a file lost is not counted",
        SALVAGE,
        "counts.damaged_bytes += look.damaged_bytes + self.file.lost_bytes();",
        "counts.damaged_bytes += look.damaged_bytes;",
        SALVAGES,
    ),
    Mutation(
        "what is found and is no record is not counted",
        SALVAGE,
        "counts.damaged_bytes += look.damaged_bytes + self.file.lost_bytes();",
        "counts.damaged_bytes += self.file.lost_bytes();",
        SALVAGES,
    ),
]

EQUIVALENT: list[Equivalent] = []
