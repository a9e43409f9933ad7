//! A ring that is damaged or of another version, found by hooks and by the next daemon.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::PathBuf;
use std::process::Stdio;

use hookring_producer::{Producer, Published};
use hookring_tests::{Bed, block_sigbus, make_private_dir, wait_for};

/// Where the layout (docs/ring-format.md) has the major version, and where lane 0's words begin.
const MAJOR_AT: u64 = 8;
const CONTROL_AT: u64 = 4096;
const CONTROL_BYTES: u64 = 256;

fn ring(bed: &Bed) -> PathBuf {
    bed.path().join("ring")
}

/// Writes over part of the ring.
fn overwrite(bed: &Bed, offset: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(ring(bed)).expect("the ring");
    file.write_all_at(bytes, offset).expect("the damage");
}

/// Bytes that look like nothing in particular; the same every time.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A bed whose ring nobody reads, with nothing in it.
fn bed_with_a_ring() -> Bed {
    let bed = Bed::new();
    assert_eq!(bed.start().stop(), 0);
    bed
}

/// Waits until the daemon is done with a ring that it set aside.
fn wait_until_salvaged(bed: &Bed) {
    let kept = bed.path().join("ring.bad");
    wait_for("the damaged ring to be emptied", || kept.exists().then_some(()));
}

#[test]
fn a_ring_with_a_damaged_header_gives_out_what_it_holds_and_hooks_spool_meanwhile() {
    for bytes in [noise(4096), noise(65_536), vec![0; 4096]] {
        let bed = bed_with_a_ring();
        bed.emit_numbers(0..20);
        overwrite(&bed, 0, &bytes);
        bed.emit_numbers(20..40);
        let daemon = bed.start();
        bed.emit_numbers(40..60);
        wait_until_salvaged(&bed);
        assert_eq!(daemon.stop(), 0);
        assert_eq!(bed.numbers(), Vec::from_iter(0..60));
        let status = bed.status();
        assert_eq!(status["counts"]["retired_rings"], 1);
        assert_eq!(status["counts"]["damaged_bytes"], 0);
        assert!(status["places"][0]["ring_damage"].is_string(), "{status}");
    }
}

#[test]
fn a_daemon_killed_over_a_damaged_ring_leaves_the_rest_to_the_next() {
    let bed = bed_with_a_ring();
    bed.emit_numbers(0..100);
    overwrite(&bed, 0, &noise(4096));
    for count in [1, 100] {
        let daemon = bed.start();
        bed.wait_for_events(count);
        daemon.kill();
    }
    let daemon = bed.start();
    wait_until_salvaged(&bed);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..100));
}

#[test]
fn a_producer_that_idles_in_a_damaged_ring_delays_nothing_and_doubles_nothing() {
    let bed = Bed::new();
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n");
    assert_eq!(bed.start().stop(), 0);
    bed.emit_numbers(0..20);
    let mut producer = Producer::open_in(bed.path()).expect("a producer").with_crc();
    let mut publish = |number: u64| producer.publish(format!("{{\"n\":{number}}}").as_bytes());
    assert_eq!(publish(20).expect("published"), Published::Ring);
    overwrite(&bed, 0, &noise(4096));
    let daemon = bed.start();
    bed.wait_for_events(21);
    // Segments enough that the last one holds none of these.
    bed.emit_numbers(21..621);
    bed.wait_for_events(621);
    daemon.kill();
    let daemon = bed.start();
    bed.emit_numbers(621..630);
    bed.wait_for_events(630);
    assert!(bed.path().join("journal").read_dir().expect("segments").count() > 3);
    // Into the damaged ring, which it then leaves.
    assert_eq!(publish(630).expect("published"), Published::Ring);
    wait_until_salvaged(&bed);
    bed.wait_for_events(631);
    assert_eq!(daemon.stop(), 0);
    let mut numbers = bed.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..631));
}

#[test]
fn a_ring_that_was_cut_off_gives_out_what_is_left_of_it() {
    let bed = bed_with_a_ring();
    bed.emit_numbers(0..20);
    let file = OpenOptions::new().write(true).open(ring(&bed)).expect("the ring");
    let bytes = file.metadata().expect("its length").len();
    // The lanes that hooks fill first are in the second half.
    file.set_len(bytes * 3 / 4).expect("the cut");
    let daemon = bed.start();
    wait_until_salvaged(&bed);
    bed.emit_numbers(20..40);
    assert_eq!(daemon.stop(), 0);
    let numbers = bed.numbers();
    assert!(numbers.is_sorted() && numbers.ends_with(&Vec::from_iter(20..40)), "{numbers:?}");
    assert!(numbers.len() > 20, "none of the first twenty: {numbers:?}");
}

/// A fault whose signal is blocked ends a process, whatever its handler.
#[test]
fn a_ring_cut_off_under_a_daemon_that_was_started_with_sigbus_blocked_is_replaced() {
    let bed = Bed::new();
    let mut daemon = bed.start_with(block_sigbus(&mut bed.command("hookring")));
    bed.emit_numbers(0..20);
    bed.wait_for_events(20);
    let file = OpenOptions::new().write(true).open(ring(&bed)).expect("the ring");
    file.set_len(CONTROL_AT).expect("the cut");
    wait_for("the ring to be replaced", || {
        assert!(daemon.is_alive(), "the daemon died: {}", bed.log());
        (bed.status()["counts"]["retired_rings"] == 1).then_some(())
    });
    bed.emit_numbers(20..40);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..40));
}

#[test]
fn a_ring_whose_mode_was_opened_is_emptied_and_replaced() {
    let bed = bed_with_a_ring();
    bed.emit_numbers(0..20);
    fs::set_permissions(ring(&bed), PermissionsExt::from_mode(0o640)).expect("the mode");
    bed.emit_numbers(20..40);
    let daemon = bed.start();
    bed.emit_numbers(40..60);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..60));
    let status = bed.status();
    assert_eq!(status["counts"]["retired_rings"], 1);
    let said = status["places"][0]["ring_damage"].as_str().expect("the reason");
    assert!(said.contains("0640"), "{said}");
    // The next daemon found nothing wrong, and somebody may look only now.
    let mut command = bed.command("hookring");
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = bed.adopt(command.spawn().expect("the daemon starts"));
    let later = wait_for("its status", || Some(bed.status()).filter(|it| it["pid"] == daemon.id()));
    for member in ["ring_damage", "ring_damage_at"] {
        assert!(later["places"][0][member].is_string(), "{later}");
        assert_eq!(later["places"][0][member], status["places"][0][member]);
    }
    assert_eq!(bed.hookring(&["status", "--check"]).status.code(), Some(1));
}

#[test]
fn a_ring_damaged_under_a_running_daemon_is_replaced_and_nothing_is_lost() {
    let bed = Bed::new();
    let daemon = bed.start();
    bed.emit_numbers(0..20);
    bed.wait_for_events(20);
    overwrite(&bed, 0, &noise(64));
    bed.emit_numbers(20..40);
    wait_for("the ring to be replaced", || {
        (bed.status()["counts"]["retired_rings"] == 1).then_some(())
    });
    bed.emit_numbers(40..60);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..60));
}

#[test]
fn lanes_with_damaged_words_are_condemned_and_the_others_go_on() {
    let bed = bed_with_a_ring();
    for lane in 0..4 {
        overwrite(&bed, CONTROL_AT + lane * CONTROL_BYTES, &noise(CONTROL_BYTES as usize));
    }
    bed.emit_numbers(0..100);
    let daemon = bed.start();
    bed.emit_numbers(100..200);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..200));
    assert!(bed.status()["counts"]["condemned_lanes"].as_u64() >= Some(1));
}

#[test]
fn lanes_whose_words_went_to_zero_without_a_daemon_give_out_what_hooks_published_by_them() {
    for kill in [false, true] {
        let bed = Bed::new();
        let daemon = bed.start();
        bed.emit_numbers(0..300);
        bed.wait_for_events(300);
        if kill {
            daemon.kill();
        } else {
            assert_eq!(daemon.stop(), 0);
        }
        overwrite(&bed, CONTROL_AT, &[0; 32 * CONTROL_BYTES as usize]);
        bed.emit_numbers(300..400);
        let daemon = bed.start();
        bed.emit_numbers(400..420);
        assert_eq!(daemon.stop(), 0);
        // What comes out of damaged lanes comes lane by lane.
        let mut numbers = bed.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, Vec::from_iter(0..420));
        let counts = &bed.status()["counts"];
        assert!(counts["condemned_lanes"].as_u64() >= Some(1), "{counts}");
        assert_eq!(counts["damaged_bytes"], 0, "{counts}");
        // The next one has no doubts.
        assert_eq!(bed.start().stop(), 0);
        assert_eq!(bed.status()["counts"]["condemned_lanes"], 0);
        assert_eq!(bed.events().len(), 420);
    }
}

#[test]
fn a_damaged_record_costs_itself_and_is_counted() {
    let bed = bed_with_a_ring();
    bed.emit_numbers(0..1);
    let victim = br#"{"n":1}"#;
    bed.emit(victim);
    bed.emit_numbers(2..3);
    let bytes = fs::read(ring(&bed)).expect("the ring");
    let at = bytes.windows(victim.len()).position(|it| it == victim).expect("the record");
    overwrite(&bed, at as u64, b"{\"n\":7}");
    let daemon = bed.start();
    bed.emit_numbers(3..6);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), [0, 2, 3, 4, 5]);
    let counts = &bed.status()["counts"];
    assert_eq!(counts["condemned_lanes"], 1);
    assert!(counts["damaged_bytes"].as_u64() >= Some(1), "{counts}");
}

#[test]
fn a_ring_of_another_version_is_left_alone_by_hooks_and_kept_for_the_daemon_that_knows_it() {
    let bed = bed_with_a_ring();
    let theirs = fs::read(ring(&bed)).map(|mut bytes| {
        bytes[MAJOR_AT as usize..][..2].copy_from_slice(&2_u16.to_le_bytes());
        bytes
    });
    let theirs = theirs.expect("the ring");
    overwrite(&bed, 0, &theirs);
    bed.emit_numbers(0..20);
    assert!(fs::read(ring(&bed)).expect("the ring") == theirs, "a hook wrote into it");
    let daemon = bed.start();
    bed.emit_numbers(20..40);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..40));
    let put_away = bed.path().join("ring.other-version");
    assert!(
        fs::read(&put_away).expect("it is kept") == theirs,
        "the other version's ring was changed"
    );
    // Where a directory has that name, nothing of it is touched.
    fs::remove_file(&put_away).expect("room for a directory");
    make_private_dir(&put_away);
    overwrite(&bed, 0, &theirs);
    assert_eq!(bed.start().stop(), 0);
    let names = fs::read_dir(bed.path()).expect("the place");
    let mut names =
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    let beside = names.find(|name| name.starts_with("ring.other-version.")).expect("another name");
    assert_eq!(beside.len(), "ring.other-version.".len() + 32);
    assert!(put_away.is_dir());
}

#[test]
fn damaged_spool_entries_are_kept_and_counted() {
    let bed = Bed::new();
    bed.emit_numbers(0..3);
    let mut entries: Vec<_> = fs::read_dir(bed.path().join("spool"))
        .expect("the spool")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "usage"))
        .collect();
    entries.sort();
    assert_eq!(entries.len(), 3);
    let entry = OpenOptions::new().write(true).open(&entries[1]).expect("an entry");
    entry.write_all_at(b"7", 64 + 5).expect("the damage");
    let daemon = bed.start();
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), [0, 2]);
    assert_eq!(bed.status()["counts"]["bad_spool_entries"], 1);
    let name = entries[1].file_name().expect("a name").to_str().expect("text");
    assert!(bed.path().join("spool").join(format!(".bad-{name}")).exists());
    // Whoever asks once a day is told, also if the daemon was started anew meanwhile.
    let mut command = bed.command("hookring");
    command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = bed.adopt(command.spawn().expect("the daemon starts"));
    let later = wait_for("its status", || Some(bed.status()).filter(|it| it["pid"] == daemon.id()));
    assert_eq!(later["counts"]["bad_spool_entries"], 0, "{later}");
    let told = later["needs_attention"].to_string();
    assert!(told.starts_with("[\"1 spool entry was damaged and set aside for good, "), "{told}");
    assert_eq!(bed.hookring(&["status", "--check"]).status.code(), Some(1));
    assert_eq!(daemon.stop(), 0);
}
