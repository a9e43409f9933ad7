//! `docs/ring-format.md` is enough to write a producer from: `ring_producer.py` was, and its events
//! arrive like any other's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use hookring_bus::drain::{Drain, Options};
use hookring_bus::layout::{DOORBELL_OFFSET, Geometry, word};
use hookring_bus::place::{Places, RING};
use hookring_bus::record::{RecordHeader, meta_entries, tag};
use hookring_bus::sys::{self, Fd, Open};
use hookring_bus::{create, doorbell, lane, names};
use hookring_producer::{Event, Producer};
use hookring_tests::{Bed, wait_for};
use serde_json::{Value, json};

const LANES: u32 = 8;
const LANE_BYTES: u64 = 16 * 1024;
const OPTIONS: Options = Options { lanes: LANES, lane_bytes: LANE_BYTES, spool_bytes: 1 << 26 };
/// The ways in which the Python producer sends.
const HOOK: &[&str] = &[];
const LONG_LIVED: &[&str] = &["--long-lived"];
const SPOOL: &[&str] = &["--spool"];

/// A running Python producer.
struct Python {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Python {
    fn start(bed: &Bed, args: &[&str]) -> Python {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ring_producer.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(args)
            .env("HOOKRING_DIR", bed.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("its stdout"));
        Python { child, stdin, stdout }
    }

    /// Publishes an event; where it says that it went.
    fn publish(&mut self, payload: &str) -> Value {
        let stdin = self.stdin.as_mut().expect("it still listens");
        writeln!(stdin, "{payload}").expect("it reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("the answer is JSON")
    }

    /// As [`Self::publish`], of what must go to this part of the bus.
    fn publish_to(&mut self, to: &str, payload: &str) -> Value {
        let went = self.publish(payload);
        assert_eq!(went["to"], to, "{went}");
        went
    }

    fn finish(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().expect("its end").success());
    }
}

/// An event that came out.
#[derive(Clone, Debug)]
struct Got {
    header: RecordHeader,
    meta: Vec<(u16, String)>,
    payload: String,
}

impl Got {
    fn id(&self) -> String {
        create::hex(&self.header.id)
    }

    fn meta(&self, tag: u16) -> Vec<&str> {
        self.meta.iter().filter(|entry| entry.0 == tag).map(|entry| entry.1.as_str()).collect()
    }
}

fn places(bed: &Bed) -> Places<'_> {
    Places::new(Some(bed.path().as_os_str().as_bytes()), sys::effective_uid())
}

fn open(bed: &Bed) -> Drain {
    Drain::open(&places(bed), OPTIONS).expect("the bus opens")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One batch, released.
fn drain_some(drain: &mut Drain) -> Vec<Got> {
    let batch = drain.next_batch();
    let got = batch.records().map(|record| Got {
        header: *record.header,
        meta: meta_entries(record.meta).map(|(tag, value)| (tag, text(value))).collect(),
        payload: text(record.payload),
    });
    let got = got.collect();
    drain.release();
    got
}

/// Everything that is there.
fn drain_all(drain: &mut Drain) -> Vec<Got> {
    let mut all = Vec::new();
    // Two empty rounds: a record that was stamped during one waits for the next.
    let mut empty = 0;
    while empty < 2 {
        let got = drain_some(drain);
        empty = if got.is_empty() { empty + 1 } else { 0 };
        all.extend(got);
    }
    all
}

fn payloads(got: &[Got]) -> Vec<&str> {
    got.iter().map(|event| event.payload.as_str()).collect()
}

/// An event of about this many bytes.
fn payload(from: &str, number: usize, bytes: usize) -> String {
    json!({"from": from, "number": number, "filler": "é".repeat(bytes / 2)}).to_string()
}

/// Publishes events of its own and says where each went.
type Publisher = Box<dyn FnOnce() -> Vec<Value> + Send>;

/// Drains while these publish; what came out, and what they said.
fn drain_beside(bed: &Bed, publishers: Vec<Publisher>) -> (Vec<Got>, Vec<Vec<Value>>) {
    let mut drain = open(bed);
    let mut all = Vec::new();
    let threads: Vec<_> = publishers.into_iter().map(thread::spawn).collect();
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        all.extend(wait_for("an event, or the publishers' end", || {
            let got = drain_some(&mut drain);
            let is_over = threads.iter().all(thread::JoinHandle::is_finished);
            (is_over || !got.is_empty()).then_some(got)
        }));
    }
    all.extend(drain_all(&mut drain));
    let counts = drain.counts();
    assert_eq!((counts.condemned_lanes, counts.bad_spool_entries, counts.damaged_bytes), (0, 0, 0));
    (all, threads.into_iter().map(|thread| thread.join().expect("it publishes")).collect())
}

/// The events of one publisher, in the order in which they came out.
fn of<'a>(got: &'a [Got], from: &str) -> Vec<&'a Got> {
    let is_from = |event: &&Got| {
        let parsed: Value = serde_json::from_str(&event.payload).expect("a whole payload");
        parsed["from"] == from
    };
    got.iter().filter(is_from).collect()
}

#[test]
fn events_in_every_mode_come_out_once_whole_and_in_order_beside_rust_producers() {
    const EVENTS: usize = 200;
    const MODES: [(&str, &[&str]); 3] = [("hook", HOOK), ("kept", LONG_LIVED), ("spool", SPOOL)];
    const RUST: [&str; 2] = ["rust-0", "rust-1"];
    // Longer and shorter than a few hundred bytes, so that lanes end in the middle of many.
    let nth = |from: &str, number: usize| payload(from, number, number * 37 % 1900);
    let bed = Bed::new();
    // The Rust producers would make one of the usual size.
    drop(open(&bed));
    let mut publishers: Vec<Publisher> = Vec::new();
    for (name, mode) in MODES {
        let args =
            ["--agent", "claude-code", "--event", "Novel", "--argument", "ä", "--argument", "b"];
        let mut python = Python::start(&bed, &[mode, &args].concat());
        publishers.push(Box::new(move || {
            let went = (0..EVENTS).map(|number| python.publish(&nth(name, number))).collect();
            python.finish();
            went
        }));
    }
    for name in RUST {
        let mut producer = Producer::open_in(bed.path()).expect("a producer");
        publishers.push(Box::new(move || {
            for number in 0..10 * EVENTS {
                let payload = nth(name, number);
                producer.publish(Event::from(payload.as_bytes())).expect("it is published");
            }
            Vec::new()
        }));
    }
    let (got, reports) = drain_beside(&bed, publishers);
    for name in RUST {
        let payloads: Vec<_> = of(&got, name).iter().map(|event| event.payload.clone()).collect();
        assert_eq!(payloads, (0..10 * EVENTS).map(|number| nth(name, number)).collect::<Vec<_>>());
    }
    for ((name, _), reports) in MODES.into_iter().zip(reports) {
        let got = of(&got, name);
        let payloads: Vec<_> = got.iter().map(|event| event.payload.clone()).collect();
        assert_eq!(payloads, (0..EVENTS).map(|number| nth(name, number)).collect::<Vec<_>>());
        let ids: Vec<_> = got.iter().map(|event| Value::from(event.id())).collect();
        assert_eq!(ids, reports.iter().map(|report| report["id"].clone()).collect::<Vec<_>>());
        let to_spool = reports.iter().filter(|report| report["to"] == "spool").count();
        assert_eq!(to_spool == EVENTS, name == "spool", "{name}: {to_spool} events in the spool");
        got.iter().for_each(|event| check_metadata(event, name != "kept"));
    }
}

fn check_metadata(event: &Got, is_hook: bool) {
    assert_eq!(names::name(names::AGENTS, event.header.agent), Some("claude-code"));
    assert_eq!(event.header.event, 0);
    assert_eq!(event.meta(tag::AGENT), [""; 0]);
    assert_eq!(event.meta(tag::EVENT), ["Novel"]);
    assert_eq!(event.meta(tag::DIRECTORY), ["/"]);
    assert_eq!(event.meta(tag::ARGUMENT), ["ä", "b"]);
    assert_eq!(event.header.id[6] >> 4, 7);
    assert_ne!(event.header.pid, 0);
    assert_eq!(event.header.elapsed_us > 0, is_hook);
}

#[test]
fn names_have_codes_or_stand_in_the_metadata() {
    let bed = Bed::new();
    let mut drain = open(&bed);
    let mut python = Python::start(&bed, &["--agent", "novel", "--event", "PreToolUse"]);
    python.publish_to("ring", "{}");
    python.finish();
    let event = drain_all(&mut drain).remove(0);
    assert_eq!(names::name(names::EVENTS, event.header.event), Some("PreToolUse"));
    assert_eq!((event.header.agent, event.meta(tag::AGENT)), (0, vec!["novel"]));
}

#[test]
fn a_pad_fills_the_end_of_a_lane() {
    for mode in [HOOK, LONG_LIVED] {
        let bed = Bed::new();
        let options = Options { lanes: 1, ..OPTIONS };
        let mut drain = Drain::open(&places(&bed), options).expect("the bus opens");
        let mut python = Python::start(&bed, mode);
        let mut pads = 0;
        for number in 0..12 {
            // Three fit a lane, so every fourth goes round its end.
            let payload = payload("pad", number, 4800);
            pads += usize::from(python.publish_to("ring", &payload)["padded"] == true);
            assert_eq!(payloads(&drain_all(&mut drain)), [payload]);
        }
        assert_eq!(pads, 3);
        python.finish();
    }
}

#[test]
fn what_the_ring_does_not_take_goes_to_the_spool() {
    for (mode, lanes) in [(HOOK, 0..LANES), (LONG_LIVED, 0..LANES / 2)] {
        let bed = Bed::new();
        let mut drain = open(&bed);
        let held: Vec<_> = lanes.map(|lane| hold(&bed, lane)).collect();
        let mut python = Python::start(&bed, mode);
        python.publish_to("spool", "[\"busy\"]");
        drop(held);
        python.publish_to("ring", "[\"free\"]");
        let large = payload("large", 0, LANE_BYTES as usize / 2);
        python.publish_to("spool", &large);
        python.finish();
        assert_eq!(payloads(&drain_all(&mut drain)), ["[\"busy\"]", "[\"free\"]", &large]);
    }
    let bed = Bed::new();
    let mut python = Python::start(&bed, HOOK);
    python.publish_to("spool", "{}");
    python.finish();
    assert_eq!(payloads(&drain_all(&mut open(&bed))), ["{}"], "without a ring");
}

/// Takes a lane as its producer would.
fn hold(bed: &Bed, lane: u32) -> Fd {
    let place = places(bed).open(0).expect("the place");
    let ring = sys::open(Some(&place), RING, Open::ReadWrite).expect("the ring");
    assert_eq!(lane::try_lock(&ring, lane), Ok(true));
    ring
}

#[test]
fn a_full_lane_spools_and_a_full_spool_drops_and_counts() {
    let bed = Bed::new();
    let options = Options { lanes: 1, spool_bytes: 3000, ..OPTIONS };
    let mut drain = Drain::open(&places(&bed), options).expect("the bus opens");
    let mut python = Python::start(&bed, LONG_LIVED);
    let mut sent = Vec::new();
    // Three large ones and a small one fill the lane, two small ones the spool.
    for (number, to) in
        ["ring", "ring", "ring", "ring", "spool", "spool", "dropped"].iter().enumerate()
    {
        sent.push(payload("full", number, if number < 3 { 4800 } else { 1000 }));
        python.publish_to(to, &sent[number]);
    }
    python.finish();
    assert_eq!(drain.report()[0].spool_dropped_events, 1);
    assert_eq!(payloads(&drain_all(&mut drain)), sent[..6]);
    assert_eq!(drain.report()[0].spool_bytes, 0);
}

#[test]
fn a_sleeping_reader_is_woken() {
    for mode in [HOOK, LONG_LIVED] {
        let bed = Bed::new();
        let mut drain = open(&bed);
        let mut python = Python::start(&bed, mode);
        // Ten minutes: the test ends because the doorbell wakes the reader, or hangs.
        let reader = thread::spawn(move || drain.wait(Duration::from_secs(600)));
        wait_for("the reader to wake", || {
            python.publish("{}");
            reader.is_finished().then_some(())
        });
        reader.join().expect("it wakes");
        python.finish();
    }
}

#[test]
fn a_lane_of_a_retired_ring_is_left_for_the_new_one() {
    let bed = Bed::new();
    let mut drain = open(&bed);
    let mut python = Python::start(&bed, LONG_LIVED);
    let old = python.publish_to("ring", "1");
    let mut got = drain_all(&mut drain);
    drain.set_options(Options { lanes: LANES / 2, ..OPTIONS });
    drain.maintain();
    assert_eq!(python.publish_to("ring", "2")["bus"], old["bus"], "it notices behind this event");
    let new = python.publish_to("ring", "3");
    assert_ne!(new["bus"], old["bus"]);
    got.extend(drain_all(&mut drain));
    assert_eq!(payloads(&got), ["1", "2", "3"]);
    wait_for("the old ring to go", || {
        drain.maintain();
        drain_all(&mut drain);
        (drain.report()[0].retired_rings == 0).then_some(())
    });
    python.finish();
}

#[test]
fn a_retired_ring_gets_nothing_from_a_hook() {
    let bed = Bed::new();
    drop(open(&bed));
    scribble(&bed, DOORBELL_OFFSET, u64::from(doorbell::RETIRED));
    let mut python = Python::start(&bed, HOOK);
    python.publish_to("spool", "{}");
    python.finish();
    assert_eq!(payloads(&drain_all(&mut open(&bed))), ["{}"]);
}

/// Overwrites a word of the ring.
fn scribble(bed: &Bed, offset: usize, word: u64) {
    let ring = std::fs::OpenOptions::new().write(true).open(bed.path().join("ring"));
    let written = ring.expect("the ring").write_all_at(&word.to_le_bytes(), offset as u64);
    written.expect("it is written");
}

#[test]
fn a_condemned_lane_is_left() {
    let bed = Bed::new();
    let mut drain = open(&bed);
    let mut python = Python::start(&bed, LONG_LIVED);
    let before = python.publish_to("ring", "1")["lane"].as_u64().expect("a lane");
    scribble(&bed, Geometry::control_offset(before as u32) + word::CONDEMNED, 1);
    python.publish_to("spool", "2");
    assert_ne!(python.publish_to("ring", "3")["lane"], before);
    python.finish();
    assert_eq!(payloads(&drain_all(&mut drain)), ["1", "2", "3"]);
}

#[test]
fn a_ring_that_was_removed_is_left_with_everything_in_it() {
    let bed = Bed::new();
    let place = places(&bed).open(0).expect("the place");
    create::ring(&place, &create::geometry(LANES, LANE_BYTES)).expect("a ring");
    let mut python = Python::start(&bed, LONG_LIVED);
    let old = python.publish_to("ring", "0");
    // No daemon lives. Somebody wipes the directory, and another producer makes a new ring.
    std::fs::remove_file(bed.path().join("ring")).expect("it goes");
    create::ring(&place, &create::geometry(LANES, LANE_BYTES)).expect("a ring");
    let mut sent = 1;
    wait_for("the producer to look at the path", || {
        sent += 1;
        let went = python.publish(&(sent - 1).to_string());
        (went["to"] == "ring" && went["bus"] != old["bus"]).then_some(())
    });
    python.finish();
    let expected: Vec<_> = (0..sent).map(|number| number.to_string()).collect();
    assert_eq!(payloads(&drain_all(&mut open(&bed))), expected);
}

#[test]
fn what_is_in_a_ring_that_was_set_aside_is_left_to_the_next_daemon() {
    let bed = Bed::new();
    let place = places(&bed).open(0).expect("the place");
    create::ring(&place, &create::geometry(LANES, LANE_BYTES)).expect("a ring");
    let mut python = Python::start(&bed, LONG_LIVED);
    python.publish_to("ring", "0");
    let file = std::fs::OpenOptions::new().write(true).open(bed.path().join("ring"));
    std::os::unix::fs::FileExt::write_all_at(&file.expect("the ring"), &[0; 96], 0).expect("harm");
    // A daemon sets it aside and dies.
    drop(open(&bed));
    python.publish_to("ring", "1");
    python.finish();
    assert_eq!(payloads(&drain_all(&mut open(&bed))), ["0", "1"]);
}
