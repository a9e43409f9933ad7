//! Disks that are full or cannot be written: no hook waits, what is lost is counted, and everything
//! goes on by itself once there is room.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use hookring_tests::{Bed, wait_for};

/// Fills a file system to its last byte; removing the file makes room again.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).expect("the filler");
    for size in [65536, 4096, 1] {
        while file.write_all(&vec![0x55; size]).is_ok() {}
    }
    path
}

/// Hooks with a payload that fills a disk sooner than `{"n":1}` alone.
fn emit(bed: &Bed, numbers: std::ops::Range<u64>) {
    let padding = "x".repeat(300);
    numbers.for_each(|number| {
        bed.emit(format!("{{\"n\":{number},\"pad\":\"{padding}\"}}").as_bytes());
    });
}

fn dropped(bed: &Bed) -> u64 {
    bed.status()["places"][0]["dropped_events"].as_u64().expect("a number")
}

/// A ring that has room for about a hundred of the events above.
const SMALL_RING: &str = "[bus]\nlanes = 4\nlane_bytes = \"16KiB\"\n";

#[test]
fn a_full_disk_pauses_the_journal_and_no_hook() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=1m,mode=0700") else { return };
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n");
    let daemon = bed.start();
    emit(&bed, 0..10);
    bed.wait_for_events(10);
    let filler = fill(&bed.path().join("journal"));
    // More than the space that was reserved ahead.
    emit(&bed, 10..1000);
    let status = wait_for("the pause", || {
        Some(bed.status()).filter(|it| it["journal"]["paused"].is_string())
    });
    assert!(
        status["running"] == true && status["journal"]["pauses"].as_u64() >= Some(1),
        "{status}"
    );
    // What was written before is safe all the same.
    wait_for("a sync", || {
        let journal = bed.status()["journal"].clone();
        (journal["paused"].is_string() && journal["synced_seq"] == journal["written_seq"])
            .then_some(())
    });
    emit(&bed, 1000..1100);
    fs::remove_file(filler).expect("room is made");
    wait_for("the journal to go on", || bed.status()["journal"]["paused"].is_null().then_some(()));
    emit(&bed, 1100..1110);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..1110));
    assert_eq!(dropped(&bed), 0);
    assert!(bed.log().contains("events wait in the ring and the spool"), "{}", bed.log());
    assert!(bed.log().contains("the journal takes events again"), "{}", bed.log());
    assert_eq!(bed.hookring(&["journal", "verify"]).status.code(), Some(0));
}

#[test]
fn a_disk_that_is_full_for_the_status_as_well_is_told_by_it() {
    let Some(bed) = Bed::with_tmpfs("", "size=2m,mode=0700") else { return };
    bed.configure(&format!("{SMALL_RING}[journal]\nsegment_bytes = \"64KiB\"\n"));
    let daemon = bed.start();
    let is_fine = || bed.hookring(&["status", "--check"]).status.success();
    wait_for("the status", || is_fine().then_some(()));
    let filler = fill(bed.path());
    emit(&bed, 0..1000);
    wait_for("the pause to be told", || (!is_fine()).then_some(()));
    // By what the daemon says, or by the want of it: never by an old figure.
    let status = bed.status();
    let is_told = status["journal"]["paused"].is_string() || status["journal"].is_null();
    assert!(is_told && status["running"] == true, "{status}");
    fs::remove_file(filler).expect("room is made");
    wait_for("the journal to go on", || bed.status()["journal"]["paused"].is_null().then_some(()));
    wait_for("the status", || bed.status()["journal"].is_object().then_some(()));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn what_a_full_disk_costs_the_journal_is_counted() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=1m,mode=0700") else { return };
    bed.configure(
        "[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n\
         [sinks.s]\ntype = \"jsonl\"\n",
    );
    let daemon = bed.start();
    let count = 80;
    for n in 0..count {
        bed.emit(format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(30_000)).as_bytes());
        // What waits is written at once, for which the disk has room if it is not too much.
        if n % 8 == 7 {
            wait_for("room", || (bed.status()["events"] == n + 1).then_some(()));
        }
    }
    let status = wait_for("the last event", || {
        let status = bed.status();
        let is_done = status["journal"]["paused"].is_null() && status["events"] == count;
        (is_done && status["sinks"][0]["delivered_events"] == count).then_some(status)
    });
    let journal = &status["journal"];
    let number = |name: &str| journal[name].as_u64().expect("a number");
    let (segments, events) = (number("sacrificed_segments"), number("sacrificed_events"));
    assert!(0 < segments && segments < events, "{journal}");
    let own_events = status["own_events"].as_u64().expect("a number");
    assert!(number("sacrificed_bytes") > (events - own_events) * 30_000, "{journal}");
    assert_eq!(bed.log().matches("the disk is full: deleted events").count() as u64, segments);
    let shown = String::from_utf8(bed.hookring(&["status"]).stdout).expect("text");
    for (figure, what) in [
        (segments, "journal segments deleted early: the disk was full"),
        (events, "events in them, which every sink had"),
    ] {
        assert!(shown.contains(&format!("{figure}  {what}")), "{shown}");
    }
    assert_eq!(daemon.stop(), 0);
    let kept = bed.numbers();
    assert_eq!(kept, Vec::from_iter(count - kept.len() as u64..count));
    let written = bed.status()["journal"]["written_seq"].as_u64().expect("a number");
    assert_eq!(bed.all_lines().len() as u64 + events, written);
}

#[test]
fn a_daemon_stopped_while_the_disk_is_full_says_so_and_the_next_one_has_everything() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=1m,mode=0700") else { return };
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n");
    let daemon = bed.start();
    let filler = fill(&bed.path().join("journal"));
    emit(&bed, 0..1000);
    wait_for("the pause", || bed.status()["journal"]["paused"].is_string().then_some(()));
    assert_eq!(daemon.stop(), 1);
    assert!(bed.log().contains("events are left in the ring and the spool"), "{}", bed.log());
    fs::remove_file(filler).expect("room is made");
    let daemon = bed.start();
    emit(&bed, 1000..1010);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..1010));
}

/// So few that one batch has them all: the batch that the journal did not take is also the last.
#[test]
fn a_batch_that_a_full_disk_did_not_take_stays_in_ring_and_spool_at_the_stop() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=1m,mode=0700") else { return };
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n");
    let daemon = bed.start();
    let filler = fill(&bed.path().join("journal"));
    // More than the space that was reserved ahead; the second is too large for a lane.
    daemon.signal("STOP");
    for (n, bytes) in [(0, 100_000), (1, 200_000)] {
        bed.emit(format!(r#"{{"n":{n},"fill":"{}"}}"#, "x".repeat(bytes)).as_bytes());
    }
    daemon.signal("CONT");
    wait_for("the pause", || bed.status()["journal"]["paused"].is_string().then_some(()));
    assert_eq!(daemon.stop(), 1);
    fs::remove_file(filler).expect("room is made");
    assert_eq!(bed.start().stop(), 0);
    assert_eq!(bed.numbers(), [0, 1]);
}

#[test]
fn on_a_full_tmpfs_the_ring_takes_what_it_has_room_for_and_the_rest_is_counted() {
    let Some(bed) = Bed::with_tmpfs("", "size=2m,mode=0700") else { return };
    bed.configure(&format!(
        "{SMALL_RING}[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n"
    ));
    assert_eq!(bed.start().stop(), 0);
    let filler = fill(bed.path());
    // The ring's pages were reserved when it was made; the spool has none.
    let sent = 400;
    emit(&bed, 0..sent);
    fs::remove_file(filler).expect("room is made");
    let daemon = bed.start();
    emit(&bed, sent..sent + 10);
    assert_eq!(daemon.stop(), 0);
    let journaled = bed.numbers();
    println!(
        "{} of {} events journaled, {} counted as dropped",
        journaled.len(),
        sent + 10,
        dropped(&bed)
    );
    assert!(journaled.len() > 50 && journaled.ends_with(&Vec::from_iter(sent..sent + 10)));
    assert!(journaled.is_sorted_by(|a, b| a < b));
    assert_eq!(journaled.len() as u64 + dropped(&bed), sent + 10);
}

#[test]
fn what_a_full_tmpfs_without_a_ring_cannot_take_is_counted() {
    let Some(bed) = Bed::with_tmpfs("", "size=2m,mode=0700") else { return };
    bed.configure(SMALL_RING);
    emit(&bed, 0..1);
    let filler = fill(bed.path());
    // A small file's last page may have room left; this one has not.
    let lost = 5;
    (0..lost).for_each(|_| bed.emit(&vec![b'1'; 100_000]));
    fs::remove_file(filler).expect("room is made");
    let daemon = bed.start();
    bed.wait_for_events(1);
    assert_eq!(dropped(&bed), lost);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), [0]);
}

#[test]
fn without_room_for_a_ring_the_daemon_serves_the_spool_and_makes_one_later() {
    let Some(bed) = Bed::with_tmpfs("", "size=4m,mode=0700") else { return };
    // The default ring has 8 MiB.
    bed.configure("[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64MiB\"\n");
    let daemon = bed.start();
    emit(&bed, 0..20);
    bed.wait_for_events(20);
    let place = bed.status()["places"][0].clone();
    assert!(place["ring_error"].is_string() && place["lanes"] == 0, "{place}");
    bed.configure(SMALL_RING);
    daemon.signal("HUP");
    wait_for("a ring", || (bed.status()["places"][0]["lanes"] == 4).then_some(()));
    emit(&bed, 20..40);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers(), Vec::from_iter(0..40));
    let status = bed.status();
    assert!(status["places"][0]["ring_error"].is_null(), "{status}");
    assert!(status["counts"]["ring_events"].as_u64() >= Some(1), "{status}");
}

#[test]
fn an_unwritable_directory_stops_the_daemon_with_a_reason_and_no_hook() {
    let Some(bed) = Bed::with_tmpfs("", "ro,mode=0700") else { return };
    emit(&bed, 0..3);
    let (code, said) = bed.start_refused();
    assert_eq!(code, 1, "{said}");
    let directory = bed.path().join("journal");
    assert!(said.contains(&directory.display().to_string()), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

#[test]
fn a_directory_that_cannot_be_made_stops_the_daemon_with_a_reason_and_no_hook() {
    let bed = Bed::new();
    // Nobody can make a directory there, not even root.
    let place = "/proc/hookring";
    let output = bed.run_hook(bed.command("hookring-emit").env("HOOKRING_DIR", place), b"{}");
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
    let (code, said) = bed.start_refused_with(bed.command("hookring").env("HOOKRING_DIR", place));
    assert_eq!(code, 1, "{said}");
    assert!(said.starts_with("error: ") && said.contains(place), "{said}");
}

#[test]
fn while_the_journal_waits_new_limits_are_in_force_and_the_counters_are_mended() {
    let Some(bed) = Bed::with_tmpfs("journal", "size=1m,mode=0700") else { return };
    let configure = |limit: &str| {
        bed.configure(&format!(
            "[journal]\nsegment_bytes = \"64KiB\"\nretention_bytes = \"64KiB\"\n\
             hard_limit_bytes = \"{limit}\"\ncache_bytes = \"64KiB\"\n[sinks.s]\ntype = \"jsonl\"\n"
        ));
    };
    configure("64MiB");
    // A sink that takes nothing keeps the journal from making room.
    fs::write(bed.path().join("sinks"), "").expect("a file in the folder's place");
    let daemon = bed.start();
    let count = 60;
    for n in 0..count {
        bed.emit(format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(30_000)).as_bytes());
        // What is left must fit on the disk in one batch, however slow the daemon is.
        if n % 8 == 7 && n < 32 {
            wait_for("room", || (bed.status()["events"] == n + 1).then_some(()));
        }
    }
    let paused = |bed: &Bed| bed.status()["journal"]["paused"].is_string();
    wait_for("the pause", || paused(&bed).then_some(()));
    let usage = File::options().read(true).write(true).open(bed.path().join("spool/usage"));
    let usage = usage.expect("the counters");
    // The spool's limit, as docs/ring-format.md has it.
    usage.write_all_at(&1_u64.to_le_bytes(), 8).expect("the noise");
    wait_for("the limit to be mended", || {
        let mut word = [0; 8];
        usage.read_exact_at(&mut word, 8).expect("the counters");
        (u64::from_le_bytes(word) == 256 << 20).then_some(())
    });
    assert!(paused(&bed), "it still waits");
    configure("256KiB");
    daemon.signal("HUP");
    let sink = wait_for("the journal to go on", || {
        let status = bed.status();
        let is_done = status["journal"]["paused"].is_null() && status["events"] == count;
        let sink = status["sinks"][0].clone();
        let number = |name: &str| sink[name].as_u64();
        let written = status["journal"]["written_seq"].as_u64();
        (is_done && written == Some(number("lost_events")? + number("lag_events")?)).then_some(sink)
    });
    assert!(sink["lost_events"].as_u64() > Some(0), "{sink}");
    // All of the others may have stood in one segment, larger than the limit.
    bed.emit_numbers(count..count + 1);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(bed.numbers().last(), Some(&count));
}
