//! One reader at a time, and what the next one finds.

use crate::bus::{Bus, drain_all, publish, wait_for};
use hookring_bus::drain::{Batch, Drain, LaneEnd, MAX_BATCH_BYTES, OpenError, Options, Origin};
use hookring_bus::layout::{Geometry, word};
use hookring_bus::spool::DROPPED_EVENTS_OFFSET;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

#[test]
fn what_was_not_released_is_found_again_and_what_was_journaled_is_not() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    for i in 0..3 {
        bus.hook(format!("hook {i}").as_bytes()).unwrap();
        bus.spool(format!("spool {i}").as_bytes());
    }
    let mut ends = Vec::new();
    let mut spooled = BTreeMap::new();
    let mut taken = Vec::new();
    wait_for("all six events", || {
        for record in drain.next_batch().records() {
            taken.push(String::from_utf8_lossy(record.payload).into_owned());
            match record.origin {
                Origin::Lane(end) => ends.push((*end, record.header.id)),
                Origin::Spool(name) => drop(spooled.insert(name.to_string(), record.header.id)),
            }
        }
        (taken.len() >= 6).then_some(())
    });
    drop(drain);
    // Nothing was released: a reader without a journal gets everything again.
    let mut again = bus.drain();
    let count = again.next_batch().len();
    assert_eq!(count, 6);
    drop(again);
    // One that knows of the first four gets the last two.
    let mut recovered = bus.drain();
    let (first_two, lane_ids): (Vec<LaneEnd>, Vec<_>) = ends[..2].iter().copied().unzip();
    let two_ids = spooled.into_values().take(2).chain(lane_ids).collect();
    recovered.recover(&first_two, two_ids);
    assert_eq!(drain_all(&mut recovered), ["hook 2", "spool 2"]);
    assert_eq!(
        std::fs::read_dir(bus.temp.path().join("spool")).unwrap().count(),
        1,
        "only `usage`"
    );
}

#[test]
fn an_end_that_no_record_can_have_costs_nothing() {
    for (end, condemned) in
        [(0, 0), (64, 0), (128 + 1, 0), (64 * 1024 * 1024, 1), (u64::MAX - 63, 0)]
    {
        let bus = Bus::new(1);
        let mut drain = bus.drain();
        let mut lane = bus.lane();
        publish(&mut lane, b"released");
        assert_eq!(drain_all(&mut drain), ["released"]);
        publish(&mut lane, b"owed");
        let known = LaneEnd { end, ..drain.ends()[0] };
        assert_eq!(known.lane, 0);
        drop((drain, lane));
        let mut drain = bus.drain();
        drain.recover(&[known], Vec::new());
        assert_eq!(drain_all(&mut drain), ["owed"], "end {end}");
        assert_eq!(drain.counts().condemned_lanes, condemned, "end {end}");
    }
}

#[test]
fn an_end_that_no_lane_comes_to_leaves_a_damaged_one_usable() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    publish(&mut bus.lane(), b"first");
    drain_all(&mut drain);
    let known = LaneEnd { end: 1 << 63, ..drain.ends()[0] };
    drop(drain);
    let tail = Geometry::control_offset(0) + word::TAIL;
    bus.scribble(tail as u64, &(1u64 << 40).to_le_bytes());
    let mut drain = bus.drain();
    drain.recover(&[known], Vec::new());
    assert_eq!(drain_all(&mut drain), Vec::<String>::new());
    publish(&mut bus.lane(), b"afterwards");
    assert_eq!(drain_all(&mut drain), ["afterwards"]);
}

#[test]
fn a_second_reader_is_refused() {
    let bus = Bus::new(1);
    let _drain = bus.drain();
    let second = Drain::open(&bus.places(), bus.options);
    assert!(matches!(second, Err(OpenError::Busy(_))));
}

/// Names and bytes of everything in a directory, and below.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    all
}

#[test]
fn a_second_reader_changes_nothing_before_it_is_refused() {
    let bus = Bus::new(1);
    let mut drain = bus.drain();
    drain_all(&mut drain);
    bus.spool(b"waits");
    let spool = bus.temp.path().join("spool");
    // What somebody wrote over the count of what was dropped; an entry that was set aside and can be
    // read; a ring that was never finished: a reader that may would mend the one, move the other and
    // remove the third.
    let usage = OpenOptions::new().write(true).open(spool.join("usage")).unwrap();
    usage.write_all_at(&[0xff; 8], DROPPED_EVENTS_OFFSET as u64).unwrap();
    let entries = std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().file_name());
    let entry = entries.map(|name| name.into_string().unwrap()).find(|name| name != "usage");
    let aside = format!(".unreadable-{}", entry.as_deref().unwrap());
    std::fs::rename(spool.join(entry.unwrap()), spool.join(aside)).unwrap();
    let unmade = File::create(bus.temp.path().join("ring.new-none")).unwrap();
    unmade.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let before = contents(bus.temp.path());
    let options = Options { spool_bytes: 100, ..bus.options };
    assert!(matches!(Drain::open(&bus.places(), options), Err(OpenError::Busy(_))));
    assert_eq!(contents(bus.temp.path()), before);
    // And the one that may, does.
    drop(drain);
    assert_eq!(drain_all(&mut bus.drain()), ["waits"]);
    assert_eq!(bus.names("ring.new"), [""; 0]);
}

/// A journal knows of records, not of pads: a reader that zeroed a pad and died before it moved the
/// head would leave zeros for its successor, which would take them for damage.
#[test]
fn a_pad_is_released_together_with_the_record_behind_it() {
    let mut bus = Bus::new(2);
    bus.options.spool_bytes = 4 << 20;
    let mut drain = bus.drain();
    let mut lane = bus.lane();
    let payload = [b'x'; 6000];
    publish(&mut lane, &payload);
    drain_all(&mut drain);
    bus.spool(&vec![b'y'; MAX_BATCH_BYTES - 1]);
    publish(&mut lane, &payload);
    // Does not fit before the end of the lane's 16 KiB: a pad comes first.
    publish(&mut lane, &payload);
    for taken in [2, 1] {
        let batch = drain.next_batch();
        assert_eq!(batch.len(), taken);
        let last = batch.records().last().map(|record| record.origin.clone());
        drain.release();
        let end = drain.ends().into_iter().find(|end| end.lane == lane.lane() as u16);
        assert_eq!(last, end.map(Origin::Lane));
    }
    assert_eq!(drain.counts().lane_records, 3);
}

#[test]
fn a_ring_opened_late_is_recovered_as_one_opened_at_the_start() {
    let bus = Bus::new(2);
    let mut drain = bus.drain();
    bus.hook(b"journaled").unwrap();
    let (end, id) = first_of_a_lane(drain.next_batch());
    drop(drain);
    bus.hook(b"owed").unwrap();
    // Out of sight at the start, as it is for a daemon without descriptors.
    let away = bus.temp.path().join("away");
    std::fs::rename(bus.ring_path(), &away).unwrap();
    let busy = BusyFile::new(bus.ring_path());
    let mut drain = bus.drain();
    drain.recover(&[end], vec![id]);
    assert!(drain.report()[0].ring_error.is_some());
    drop(busy);
    std::fs::rename(&away, bus.ring_path()).unwrap();
    drain.maintain();
    assert_eq!(drain_all(&mut drain), ["owed"]);
}

#[test]
fn a_retired_ring_opened_late_is_recovered_as_one_opened_at_the_start() {
    let mut bus = Bus::new(2);
    let mut drain = bus.drain();
    bus.hook(b"journaled").unwrap();
    let (end, id) = first_of_a_lane(drain.next_batch());
    drop(drain);
    bus.hook(b"owed").unwrap();
    bus.options.lanes = 4;
    let away = bus.temp.path().join("away");
    std::fs::rename(bus.ring_path(), &away).unwrap();
    let busy = BusyFile::new(bus.ring_path());
    let mut drain = bus.drain();
    drain.recover(&[end], vec![id]);
    drop(busy);
    std::fs::rename(&away, bus.ring_path()).unwrap();
    drain.maintain();
    assert_eq!(drain_all(&mut drain), ["owed"]);
}

fn first_of_a_lane(batch: &Batch) -> (LaneEnd, [u8; 16]) {
    let record = batch.records().next().unwrap();
    let Origin::Lane(end) = record.origin else { panic!("from a lane") };
    (*end, record.header.id)
}

/// A file that cannot be opened for writing, as long as this lives: a program that runs. It is removed
/// at the end.
struct BusyFile {
    path: PathBuf,
    program: Child,
}

impl BusyFile {
    fn new(path: PathBuf) -> BusyFile {
        std::fs::copy("/bin/sh", &path).unwrap();
        let program = wait_for("the copy's descriptor to be closed", || {
            let mut program = Command::new(&path);
            program.arg0("sh").args(["-c", "read line"]).stdin(Stdio::piped());
            match program.spawn() {
                Ok(program) => Some(program),
                // A process that another test is starting just now has it.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
                Err(error) => panic!("{error}"),
            }
        });
        BusyFile { path, program }
    }
}

impl Drop for BusyFile {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
        std::fs::remove_file(&self.path).unwrap();
    }
}
