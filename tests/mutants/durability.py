"""The journal's syncs and what follows from a failed one, the order of write and release, the sinks'
cursors."""

from mutants import Equivalent, Mutation, Tests, bus, journal, sinks, system

WRITER = "journal/src/writer.rs"
ROTATION = "journal/src/writer/rotation.rs"
REMOVED = "journal/src/writer/removed.rs"
OPEN = "journal/src/writer/open.rs"
RECOVERY = "journal/src/recovery.rs"
CURSOR = "journal/src/cursor.rs"
REPAIR = "journal/src/repair/rewrite.rs"
COLLECTOR = "daemon/src/run/collector.rs"
WORKER = "sinks/src/pump/worker.rs"
JOURNAL_READER = "journal/src/reader.rs"
AHEAD = "journal/src/feed/ahead.rs"

POWER = journal("writer::power_tests::")
REPAIR_POWER = journal("repair::power_tests::")
WRITES = journal("writer::tests::")
REMOVALS = journal("removed::")
RECOVERIES = journal("recovery::")
FULL_DISK = system("known_errors", "disks::a_batch_that_a_full_disk_did_not_take")
COLLECTS = Tests(
    ("cargo", "test", "--package", "hookring", "--lib", "--", "run::collector::"),
    (("cargo", "test", "--package", "hookring", "--lib", "--no-run"),),
)
DEATHS = system("crash", "nothing_is_lost_or_doubled_when_the_daemon_dies_between")

MUTATIONS = [
    # When the collector does what.
    Mutation(
        "the daemon sleeps for ten seconds",
        COLLECTOR,
        "const SLEEP_LIMIT: Duration = Duration::from_millis(200);",
        "const SLEEP_LIMIT: Duration = Duration::from_secs(10);",
        COLLECTS,
    ),
    Mutation(
        "the daemon sleeps until something is due",
        COLLECTOR,
        "due.saturating_duration_since(now).min(SLEEP_LIMIT)",
        "due.saturating_duration_since(now)",
        COLLECTS,
    ),
    Mutation(
        "the daemon sleeps beyond a sync that is due",
        COLLECTOR,
        "let due = sync_due.map_or(housekeeping, |due| due.min(housekeeping));",
        "let due = sync_due.map_or(housekeeping, |_| housekeeping);",
        COLLECTS,
    ),
    Mutation(
        "a sync that is due waits for the housekeeping",
        COLLECTOR,
        "        self.sync_if_due();\n        if Instant::now() >= self.next_housekeeping {\n",
        "        if Instant::now() >= self.next_housekeeping {\n            self.sync_if_due();\n",
        COLLECTS,
    ),
    Mutation(
        "what was taken from a spool is not synced where a segment begins",
        COLLECTOR,
        "if let Err((place, errno)) = self.drain.sync_released() {",
        "if let Err((place, errno)) = Ok::<(), (String, sys::Errno)>(()) {",
        COLLECTS,
    ),
    Mutation(
        "what was taken from a spool is synced behind a segment's beginning",
        COLLECTOR,
        "        if let Err((place, errno)) = self.drain.sync_released() {\n"
        "            let error = std::io::Error::from(errno);\n"
        "            tracing::error!(\n"
        "                \"cannot sync the spool in {place}: {error}; after a loss of power events may come twice\"\n"
        "            );\n"
        "        }\n"
        "        let ends: Vec<_> = self.drain.ends().iter().map(pipeline::lane_end).collect();\n"
        "        match self.journal.rotate(&ends, &self.drain.stuck_ids()) {\n",
        "        let ends: Vec<_> = self.drain.ends().iter().map(pipeline::lane_end).collect();\n"
        "        let rotated = self.journal.rotate(&ends, &self.drain.stuck_ids());\n"
        "        let _ = self.drain.sync_released();\n"
        "        match rotated {\n",
        COLLECTS,
    ),
    Mutation(
        "what a reader before unlinked is taken for synced",
        "bus/src/drain/spool_reader.rs",
        "            has_unlinked: true,\n",
        "            has_unlinked: false,\n",
        bus("what_was_unlinked_is_synced_once"),
    ),
    Mutation(
        "a written line is synced a second later",
        "journal/src/writer/options.rs",
        "sync: SyncPolicy::Interval(Duration::from_millis(100)),",
        "sync: SyncPolicy::Interval(Duration::from_millis(1000)),",
        COLLECTS,
    ),
    # What is called synced is on the disk.
    Mutation(
        "a sync that does not sync",
        WRITER,
        "let result = file.sync();",
        "let result = file.id().map(drop);",
        POWER,
        is_quick=True,
    ),
    Mutation(
        "a sync leaves the directory out",
        WRITER,
        "        if self.directory_unsynced {\n",
        "        if false {\n",
        POWER,
    ),
    Mutation(
        "a sync of the real disk does nothing",
        "journal/src/storage.rs",
        "        self.sync_data()\n",
        "        self.metadata().map(drop)\n",
        journal("storage::"),
    ),
    Mutation(
        "a sync of the real directory does nothing",
        "journal/src/storage.rs",
        "        File::open(&self.dir)?.sync_all()\n",
        "        File::open(&self.dir).map(drop)\n",
        journal("storage::"),
    ),
    Mutation(
        "the interval never ends",
        WRITER,
        "Some(due) if due <= now || at_once => self.sync(),",
        "Some(_) if at_once => self.sync(),",
        WRITES,
        is_quick=True,
    ),
    Mutation(
        "too much unsynced is not synced",
        WRITER,
        "if self.unsynced.bytes >= UNSYNCED_BYTES_MAX && !self.current.is_sealed() {",
        "if self.unsynced.bytes >= usize::MAX && !self.current.is_sealed() {",
        WRITES,
    ),
    Mutation(
        "lines are synced for readers once they are written",
        WRITER,
        "            self.unsynced.chunks.push_back(Arc::clone(&chunk));\n",
        "            self.unsynced.chunks.push_back(Arc::clone(&chunk));\n"
        "            self.tail.set_synced(chunk.last());\n",
        POWER,
    ),
    Mutation(
        "a new segment is not synced before it has its name",
        ROTATION,
        "            file.sync()?;\n        }\n        self.storage.rename",
        "        }\n        self.storage.rename",
        POWER,
    ),
    Mutation(
        "a new segment's name is not synced",
        ROTATION,
        "        match self.storage.sync() {\n            Ok(())",
        "        match self.storage.id(\"\").map(drop).or(Ok::<(), io::Error>(())) {\n            Ok(())",
        POWER,
    ),
    Mutation(
        "a new segment's name that could not be synced is forgotten",
        ROTATION,
        "                self.directory_unsynced = true;\n",
        "",
        POWER,
    ),
    Mutation(
        "a start does not sync what the process before wrote",
        OPEN,
        "            file.sync()?;\n",
        "",
        POWER,
    ),
    Mutation(
        "a start does not sync the names that the process before made",
        OPEN,
        "            self.storage.sync()?;\n",
        "",
        POWER,
    ),
    # After a failed sync nobody knows what is on the disk.
    Mutation(
        "a segment goes on after a failed sync",
        WRITER,
        "            self.counters.sync_errors += 1;\n            self.current.file = None;\n",
        "            self.counters.sync_errors += 1;\n",
        WRITES,
        is_quick=True,
    ),
    Mutation(
        "what could not be synced is not written again",
        ROTATION,
        "            let Some(chunk) = chunks.next() else { break };\n",
        "            let Some(chunk) = chunks.next().filter(|_| false) else { break };\n",
        POWER,
    ),
    Mutation(
        "a start goes on in a segment that it could not sync",
        OPEN,
        "                    self.current.uncertain = true;\n",
        "",
        POWER,
    ),
    Mutation(
        "a start calls synced what it could not sync",
        OPEN,
        "                    self.tail.set_synced(last.first - 1);\n",
        "",
        POWER,
    ),
    # A full disk.
    Mutation(
        "half a line stays behind a failed write",
        WRITER,
        "        if file.set_len(good_bytes).is_err() {\n            self.current.file = None;\n        }\n",
        "",
        WRITES,
    ),
    Mutation(
        "a segment that cannot be cut back goes on",
        WRITER,
        "        if file.set_len(good_bytes).is_err() {\n            self.current.file = None;\n        }\n",
        "        let _ = file.set_len(good_bytes);\n",
        WRITES,
    ),
    Mutation(
        "a write that stops short is not continued",
        WRITER,
        "            Ok(written) => done += written,\n",
        "            Ok(written) => done += written.max(bytes.len()),\n",
        WRITES,
    ),
    # Removed under the writer.
    Mutation(
        "a deleted segment is not noticed at the commit",
        WRITER,
        "if !self.is_current_kept() {",
        "if false {",
        REMOVALS,
    ),
    Mutation(
        "a segment that was moved away is not noticed at the sync",
        WRITER,
        "if !self.is_current_named() || self.is_current_cut() {\n            self.seal_removed();\n            return Err(SyncError",
        "if self.is_current_cut() {\n            self.seal_removed();\n            return Err(SyncError",
        REMOVALS,
    ),
    Mutation(
        "a segment that was cut off is not noticed at the commit",
        WRITER,
        "        if self.is_current_cut() {\n            let path",
        "        if false {\n            let path",
        REMOVALS,
    ),
    Mutation(
        "a segment that was cut off is not noticed by who looks after it",
        REMOVED,
        "if !self.is_current_named() || self.is_current_cut() {",
        "if !self.is_current_named() {",
        REMOVALS,
    ),
    Mutation(
        "a journal that somebody else took is written",
        REMOVED,
        "        if self.lock.is_in_place(&self.dir) {\n            return Ok(());\n        }\n",
        "        if !self.dir.as_os_str().is_empty() {\n            return Ok(());\n        }\n",
        REMOVALS,
    ),
    # What a start finds.
    Mutation(
        "numbers go on below a cursor",
        RECOVERY,
        "after_last.max(cursor_floor.saturating_add(1))",
        "after_last.max(cursor_floor.min(1))",
        RECOVERIES,
    ),
    Mutation(
        "a torn last line is not cut off",
        OPEN,
        "found.seed.filter(|_| recovery.cut_bytes > 0)",
        "found.seed.filter(|_| recovery.cut_bytes > u64::MAX / 2)",
        RECOVERIES,
    ),
    Mutation(
        "the ends in a first line are not taken up",
        RECOVERY,
        "            header.ends.iter().for_each(|end| self.ends.note(end));\n            self.ids.extend",
        "            self.ids.extend",
        RECOVERIES,
    ),
    Mutation(
        "the ids in a first line are not taken up",
        RECOVERY,
        "            self.ids.extend(&header.ids);\n",
        "",
        RECOVERIES,
    ),
    Mutation(
        "a spool entry's event is not known again",
        RECOVERY,
        "            Some(u128::from_str_radix(id, 16).ok()?.to_be_bytes())\n",
        "            Some(u128::from_str_radix(id, 16).ok()?.to_le_bytes())\n",
        RECOVERIES,
    ),
    Mutation(
        "a line's checksum is not looked at",
        "journal/src/line.rs",
        "if crc32c::crc32c_append(seed, &line[CHECKED_AT..]) != crc {",
        "if crc32c::crc32c_append(seed, &line[CHECKED_AT..]) != crc && seq == 0 {",
        journal("line::"),
    ),
    Mutation(
        "a line that comes twice counts twice",
        "journal/src/scan.rs",
        "if seq > self.last { Ok(seq) }",
        "if seq > 0 { Ok(seq) }",
        journal("scan::"),
    ),
    # The collector.
    Mutation(
        "a batch is released before it is journaled",
        COLLECTOR,
        "        if !self.write() {\n            return false;\n        }\n",
        "        self.drain.release();\n        if !self.write() {\n            return false;\n        }\n",
        FULL_DISK,
    ),
    Mutation(
        "a batch that the journal did not take is released",
        COLLECTOR,
        "        if !self.write() {\n            return false;\n        }\n",
        "        self.write();\n",
        FULL_DISK,
    ),
    Mutation(
        "a segment is begun before the batch is released",
        COLLECTOR,
        "        self.drain.release();\n        self.rotate_if_wanted();\n        true",
        "        self.rotate_if_wanted();\n        self.drain.release();\n        true",
        DEATHS,
    ),
    Mutation(
        "a segment is begun without the ids that still stand in spools",
        COLLECTOR,
        "rotate(&ends, &self.drain.stuck_ids())",
        "rotate(&ends, &[])",
        system("known_errors", "spool::an_entry_that_cannot_be_removed"),
    ),
    Mutation(
        "that the daemon ends is written behind the last sync",
        COLLECTOR,
        "        if !self.is_refused() {\n            self.say_stop();\n        }\n        self.last_sync()?;\n",
        "        self.last_sync()?;\n        if !self.is_refused() {\n            self.say_stop();\n        }\n",
        system("invariants", "daemon::sigterm_and_sigint"),
    ),
    # The cursors.
    Mutation(
        "a cursor goes beyond what the journal has synced",
        WORKER,
        "let next = self.next.min(self.tail.synced() + 1);",
        "let next = self.next;",
        sinks("the_cursor_never_passes_what_the_journal_has_synced"),
    ),
    Mutation(
        "a cursor is stored though the sink could not flush",
        WORKER,
        "            self.rewind();\n            return Err(error);\n",
        "            let _ = error;\n",
        sinks("after_a_failed_flush_everything_since_the_cursor_is_sent_again"),
    ),
    Mutation(
        "a failed flush does not bring events again",
        WORKER,
        "            self.rewind();\n            return Err(error);\n",
        "            return Err(error);\n",
        sinks("after_a_failed_flush_everything_since_the_cursor_is_sent_again"),
    ),
    Mutation(
        "a changed sink gets again what was not synced yet",
        WORKER,
        "        self.await_sync();\n",
        "",
        system("lifecycle", "reload::a_sink_that_changes_before_its_events_are_synced_gets_none_of_them_again"),
    ),
    Mutation(
        "what is written is not synced while the journal is paused",
        COLLECTOR,
        "            self.sync_if_due();\n            // Only what",
        "            // Only what",
        system("known_errors", "disks::a_full_disk_pauses_the_journal_and_no_hook"),
    ),
    Mutation(
        "a reload is in force before the collector has it",
        COLLECTOR,
        "            self.take_settings();\n            self.report();\n",
        "            self.report();\n",
        system("lifecycle", "capture::what_is_not_to_be_kept_is_left_out_from_the_next_reload_on"),
    ),
    Mutation(
        "a reload leaves a sink alone that was refused",
        "daemon/src/run/supervisor.rs",
        "        stay.iter().for_each(|entry| self.try_refused(entry));\n",
        "",
        system("webhooks", "a_reload_has_a_refused_sink_tried_at_once"),
    ),
    Mutation(
        "a batch is delivered before it is remembered",
        WORKER,
        "            self.cursor.begin(begun.first(), begun.last())?;\n",
        "",
        sinks("a_batch_is_remembered_before_it_is_delivered"),
    ),
    Mutation(
        "a retry is another attempt",
        CURSOR,
        ".filter(|it| (it.first, it.last) == (first, last))",
        ".filter(|it| (it.first, it.last) == (last + 1, first))",
        journal("cursor::"),
    ),
    Mutation(
        "a batch that is not done with is forgotten when the cursor moves",
        CURSOR,
        "self.slot.in_flight.filter(|it| it.last >= next)",
        "self.slot.in_flight.filter(|it| it.first >= next)",
        journal("cursor::"),
    ),
    Mutation(
        "what was gathered for a batch survives a reset",
        WORKER,
        "(self.batch, self.gathering) = (None, Gathering::default());",
        "self.batch = None;",
        sinks("a_reset_goes_back_and_forth_with_a_batch_that_gathers"),
    ),
    Mutation(
        "what was read of the journal before an error is lost",
        JOURNAL_READER,
        "Err(error) if lines.events == 0 => return Err(error),",
        "Err(error) => return Err(error),",
        journal("reader::"),
    ),
    Mutation(
        "a batch that was read ahead is taken whatever its limits",
        AHEAD,
        "is_none_or(|(_, ready)| *ready == limits)",
        "is_none_or(|(_, ready)| *ready == *ready)",
        journal("feed::"),
    ),
    Mutation(
        "a torn cursor is believed",
        CURSOR,
        " || crc32c::crc32c(&bytes[..CRC_AT]) != crc {",
        " || crc == 1 {",
        journal("cursor::"),
    ),
    Mutation(
        "both stores of a cursor go to the same place",
        CURSOR,
        "SLOT_AT[(self.generation % 2) as usize]",
        "SLOT_AT[(self.generation % 1) as usize]",
        journal("cursor::"),
    ),
    Mutation(
        "a new cursor is not synced before it has its name",
        CURSOR,
        "    sync(&file)?;\n    fs::rename(&new, path)?;",
        "    fs::rename(&new, path)?;",
        journal("cursor::"),
    ),
    Mutation(
        "a new cursor's name is not synced",
        CURSOR,
        "    sync(&File::open(dir)?)?;\n    Ok(file)",
        "    Ok(file)",
        journal("cursor::"),
    ),
    # A repair.
    Mutation(
        "a repair does not sync what it set aside",
        REPAIR,
        "    out.into_inner()?.file.sync()?;\n    Ok(total)",
        "    out.into_inner()?;\n    Ok(total)",
        REPAIR_POWER,
    ),
    Mutation(
        "a repair does not sync the name of what it set aside",
        REPAIR,
        "    storage.sync()?;\n    let mut new",
        "    let mut new",
        REPAIR_POWER,
    ),
    Mutation(
        "a repaired segment is not synced before it has its name",
        REPAIR,
        "    new.sync()?;\n",
        "",
        REPAIR_POWER,
    ),
    Mutation(
        "a repaired segment's name is not synced",
        REPAIR,
        "    storage.sync()?;\n    Ok(RepairedSegment",
        "    Ok(RepairedSegment",
        REPAIR_POWER,
    ),
]

EQUIVALENT = [
    Equivalent(
        "a segment is begun without what is known of the lanes",
        COLLECTOR,
        "match self.journal.rotate(&ends, &",
        "everything in the segments before is released by then: zeroed, its heads moved. The ends say it again",
    ),
    Equivalent(
        "a segment is begun before the one before it is synced",
        ROTATION,
        "if !self.current.is_sealed() && self.options.sync != SyncPolicy::Never {",
        "what is not synced then is written again to the new segment, which is synced: it costs room only",
    ),
    Equivalent(
        "a start does not sync the directories above the journal",
        OPEN,
        "        sync_ancestors(dir).map_err(directory)?;\n",
        "only a loss of power shows it, and no test cuts that of the file system above a journal; what is synced "
        "there, and in which order, has mutations",
    ),
]
