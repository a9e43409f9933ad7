//! The ring's file removed, replaced, opened to others, filled with noise and cut off, again and again
//! while hooks and programs publish.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use hookring_tests::{Bed, Daemon, wait_for};
use serde_json::Value;

use crate::account::Acknowledged;
use crate::agents::{Agents, plain, wait_for_hooks};
use crate::numbered::Rng;
use crate::victims::ProducerStream;
use crate::{Seed, calm, count, dropped, new_bed, short_or_long};

const AGENTS: u32 = 4;
/// Library producers; their streams come behind the agents'.
const PRODUCERS: u32 = 3;
/// A record takes at least so much of a lane.
const MIN_RECORD_BYTES: u64 = 64;
/// What stands before the lanes' words.
const HEADER_BYTES: u64 = 4096;

fn agents<'a, C>(bed: &Bed, seed: &'a Seed, command: C) -> Agents<'a, C> {
    Agents::of(bed, AGENTS, seed, command)
}

/// What costs nothing as long as a daemon has the ring.
fn harm_the_name(ring: &Path, rng: &mut Rng) {
    // Beside the ring, and out of the way of what its daemon tidies up.
    let other = ring.with_file_name("other");
    let _ = fs::remove_dir_all(&other).or_else(|_| fs::remove_file(&other));
    let ours = |path: &Path| set_mode(path, 0o600);
    // The daemon may be about to replace the ring itself, so that nothing has the name.
    let _ = match rng.below(7) {
        0 => fs::remove_file(ring),
        1 => fs::rename(ring, &other),
        2 => fs::write(&other, b"not a ring")
            .and_then(|()| ours(&other))
            .and_then(|()| fs::rename(&other, ring)),
        3 => fs::File::create(&other)
            .and_then(|_| ours(&other))
            .and_then(|()| fs::rename(&other, ring)),
        4 => fs::write(&other, b"not a ring")
            .and_then(|()| fs::remove_file(ring))
            .and_then(|()| symlink(&other, ring)),
        5 => fs::remove_file(ring).and_then(|()| fs::create_dir(ring)),
        _ => {
            let mode = [0o644, 0o666, 0o000, 0o400, 0o700][rng.below(5) as usize];
            set_mode(ring, mode)
        }
    };
}

/// Sets the mode of what has this name, unless that is a link: the system would change what it leads to,
/// wherever that is.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let no_link = libc::O_PATH | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(no_link).open(path)?;
    if file.metadata()?.is_symlink() {
        return Ok(());
    }
    // What was opened, whoever has the name by now.
    let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::set_permissions(opened, fs::Permissions::from_mode(mode))
}

/// The length of a ring that the daemon makes here; a running program makes larger ones.
const RING_BYTES: u64 = (64 + 8 * 16) * 1024;

/// Waits until the daemon has a ring again that hooks may use.
fn wait_for_a_ring(bed: &Bed, ended: &AtomicU32) {
    wait_for("a ring at its place", || {
        let ring = fs::symlink_metadata(bed.path().join("ring")).ok()?;
        let is_usable = ring.is_file() && ring.permissions().mode() & 0o677 == 0o600;
        (is_usable && ring.len() == RING_BYTES).then_some(())
    });
    wait_for_hooks(ended, 10);
}

#[test]
fn the_mode_of_what_a_link_leads_to_is_left_alone() {
    let bed = new_bed();
    let (file, link) = (bed.path().join("file"), bed.path().join("link"));
    let mode = || fs::metadata(&file).expect("the file").permissions().mode() & 0o777;
    fs::write(&file, "").expect("a file");
    set_mode(&file, 0o640).expect("its mode");
    assert_eq!(mode(), 0o640);
    symlink(&file, &link).expect("a link");
    set_mode(&link, 0o000).expect("nothing happens");
    assert_eq!(mode(), 0o640);
}

#[test]
fn a_ring_whose_name_is_taken_from_it_loses_nothing() {
    let seed = Seed::choose();
    let bed = new_bed();
    let daemon = bed.start();
    let mut rng = seed.rng(1000);
    let mut producers: Vec<_> = (AGENTS..AGENTS + PRODUCERS)
        .map(|stream| ProducerStream::start(&bed, stream, rng.bits()))
        .collect();
    let rounds = short_or_long(8, 150);
    let agents = agents(&bed, &seed, plain(&bed));
    let ((), hooked) = agents.while_they_run(|ended| {
        for _ in 0..rounds {
            wait_for_hooks(ended, rng.below(20) as u32);
            let is_stopped = rng.percent(50);
            if is_stopped {
                daemon.signal("STOP");
                wait_for_hooks(ended, 1 + rng.below(10) as u32);
            }
            harm_the_name(&bed.path().join("ring"), &mut rng);
            if is_stopped {
                daemon.signal("CONT");
            }
            // A ring of a running program that is removed before a daemon has read it costs the order
            // of what went to the spool beside it.
            wait_for_a_ring(&bed, ended);
        }
    });
    let producers_move_on = |producer: &ProducerStream<'_>| producer.wait_for_progress();
    producers.iter().map(producers_move_on).for_each(drop);
    producers.iter_mut().for_each(ProducerStream::kill);
    let mut acknowledged = hooked.acknowledged;
    acknowledged.add_producers(&producers);
    let (account, status) = calm(&bed, daemon);
    account.settle(&acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
    let harmless = ["condemned_lanes", "damaged_bytes", "bad_spool_entries"];
    harmless.iter().for_each(|name| assert_eq!(count(&status, name), 0, "{name} in {status}"));
    assert!(count(&status, "retired_rings") > 0);
}

/// Nobody reads the ring that is removed, so only a running program can take along what is its own.
#[test]
fn programs_take_along_what_nobody_read_from_rings_that_are_removed() {
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let mut producers: Vec<_> = (0..AGENTS + PRODUCERS)
        .map(|stream| ProducerStream::start(&bed, stream, rng.bits()))
        .collect();
    let ring = bed.path().join("ring");
    for _ in 0..short_or_long(3, 30) {
        wait_for("a ring", || ring.exists().then_some(()));
        let producer = rng.below(producers.len() as u64) as usize;
        producers[producer].wait_for_progress();
        fs::remove_file(&ring).expect("the ring is removed");
    }
    wait_for("a ring", || ring.exists().then_some(()));
    // Each has looked at the ring's name, once a second, and gone to the new one.
    let inode = fs::metadata(&ring).expect("the ring");
    wait_for("all producers in the new ring", || {
        let inode = std::os::unix::fs::MetadataExt::ino(&inode);
        producers.iter().all(|it| maps(it.id(), inode)).then_some(())
    });
    producers.iter_mut().for_each(ProducerStream::kill);
    let mut acknowledged = Acknowledged::default();
    acknowledged.add_producers(&producers);
    let daemon = bed.start();
    let (account, status) = calm(&bed, daemon);
    account.settle(&acknowledged);
    assert_eq!(dropped(&status), 0, "{status}");
}

/// Whether a process has a file with this inode mapped, or would like to: there are few lanes for
/// running programs, and who has none goes without.
fn maps(pid: u32, inode: u64) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut rings = maps.lines().filter(|line| line.contains("/ring"));
    rings.all(|line| line.split_whitespace().nth(4) == Some(&inode.to_string()))
}

/// What is written over the ring's bytes.
fn write_noise(ring: &Path, rng: &mut Rng) {
    let Some((file, len)) = open(ring) else { return };
    let (from, to) = match rng.below(4) {
        0 => (0, len),
        1 => (HEADER_BYTES, len),
        // In a part of it: some lanes' words, or some of the records.
        2 => {
            let from = HEADER_BYTES + rng.below(len - HEADER_BYTES);
            (from, (from + rng.below(40_000)).min(len))
        }
        _ => (0, rng.below(HEADER_BYTES)),
    };
    let noise: Vec<u8> = (from..to).map(|_| rng.bits() as u8).collect();
    file.write_all_at(&noise, from).expect("the noise");
}

/// What leaves no trace of what was there.
fn wipe_or_cut(ring: &Path, rng: &mut Rng) {
    let Some((file, len)) = open(ring) else { return };
    match rng.below(3) {
        0 => {
            let from = rng.below(len);
            file.write_all_at(&vec![0; (len - from) as usize], from).expect("the zeros");
        }
        1 => file.set_len(0).expect("the cut"),
        _ => file.set_len(rng.below(len)).expect("the cut"),
    }
}

/// `None` if it was harmed before, and that was not seen yet.
fn open(ring: &Path) -> Option<(File, u64)> {
    let file = OpenOptions::new().write(true).open(ring).ok()?;
    let len = file.metadata().ok()?.len();
    (len > HEADER_BYTES).then_some((file, len))
}

/// Hooks run while the ring is harmed over and over. How many events were lost, and the last status.
fn lose_events_to(harm: impl Fn(&Path, &mut Rng)) -> (u64, Value) {
    let seed = Seed::choose();
    let bed = new_bed();
    let mut rng = seed.rng(1000);
    let daemon = bed.start();
    let mut agents = agents(&bed, &seed, plain(&bed));
    // What is found in a damaged lane comes out when its owner has left, and so later than others.
    agents.loners = AGENTS;
    let (last, hooked) = agents.while_they_run(|ended| {
        let mut last = Instant::now();
        for _ in 0..short_or_long(8, 200) {
            wait_for_hooks(ended, rng.below(20) as u32);
            harm_once(&bed, ended, &daemon, &harm, &mut rng);
            // What begins from here on finds no lane that lies and has not been seen to.
            wait_for_hooks(ended, AGENTS + 1);
            wait_for_a_ring(&bed, ended);
            last = Instant::now();
        }
        wait_for_hooks(ended, 50);
        last
    });
    let (account, status) = calm(&bed, daemon);
    let lost = account
        .settle_but_for(&hooked.acknowledged, |number| hooked.has_begun_before(number, last));
    assert_eq!(dropped(&status), 0, "{status}");
    println!("{lost} events lost");
    (lost, status)
}

#[test]
fn noise_costs_what_it_hits_and_every_byte_of_that_is_counted() {
    let (lost, status) = lose_events_to(write_noise);
    assert!(count(&status, "damaged_bytes") >= lost * MIN_RECORD_BYTES, "{lost} lost, in {status}");
}

#[test]
fn what_is_wiped_or_cut_off_goes_with_lanes_that_are_counted() {
    let (lost, status) = lose_events_to(wipe_or_cut);
    assert!(lost == 0 || count(&status, "condemned_lanes") > 0, "{lost} lost, in {status}");
    assert!(count(&status, "retired_rings") > 0, "{status}");
    assert!(status["places"][0]["ring_damage"].is_string(), "{status}");
}

/// Harms the ring with its daemon at work or stopped.
fn harm_once(
    bed: &Bed,
    ended: &AtomicU32,
    daemon: &Daemon,
    harm: impl Fn(&Path, &mut Rng),
    rng: &mut Rng,
) {
    let ring = bed.path().join("ring");
    let is_stopped = rng.percent(50);
    if is_stopped {
        daemon.signal("STOP");
        wait_for_hooks(ended, 1 + rng.below(20) as u32);
    }
    harm(&ring, rng);
    if is_stopped {
        // Hooks find what is left of it.
        wait_for_hooks(ended, rng.below(10) as u32);
        daemon.signal("CONT");
    }
}
