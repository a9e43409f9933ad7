//! Any bytes as the journal's segments: nothing panics, all readers agree, a repair leaves a whole
//! journal with the same events, and a writer goes on behind them.
//!
//! Input: a byte (bit 0: put the right check sums in, bit 1: repair before the writer opens it), the
//! first segment's number, the second one's distance from it, and the segments with [`CUT`] between.
#![no_main]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use hookring_fuzz::{event, private_dir};
use hookring_journal::{
    Filter, Journal, OLDEST, Options, Origin, Reader, Seq, SyncPolicy, export, last_seq, line,
    repair, segment, verify,
};
use libfuzzer_sys::fuzz_target;

const CUT: &[u8] = b"\n--\n";
/// The UUID in the first line of the seeds' segments.
const SEGMENT_UUID: [u8; 16] = [0x11; 16];

fuzz_target!(|input: &[u8]| {
    let [mode, first, distance, content @ ..] = input else { return };
    let dir = private_dir();
    let cut = content.windows(CUT.len()).position(|window| window == CUT);
    let (one, two) = match cut {
        Some(at) => (&content[..at + 1], Some(&content[at + CUT.len()..])),
        None => (content, None),
    };
    let first = Seq::from(*first) + 1;
    put(dir.path(), first, one, mode & 1 != 0);
    if let Some(two) = two {
        put(dir.path(), first + 1 + Seq::from(*distance), two, mode & 1 != 0);
    }
    let mut events = check_readers(dir.path());
    if mode & 2 != 0 {
        check_repair(dir.path());
        assert!(verify(dir.path(), |_, _| ()).expect("verified").is_whole());
        assert_eq!(check_readers(dir.path()), events);
    }
    let last = events.last().map_or(0, |(seq, _)| *seq);
    if last >= segment::MAX_SEQ {
        return;
    }
    let seq = append(dir.path());
    assert!(seq > last, "number {seq} after {last}");
    let after = check_readers(dir.path());
    assert_eq!(after.last().map(|(seq, _)| *seq), Some(seq));
    events.extend(after.last().cloned());
    assert_eq!(after, events);
});

/// Whatever stood in a line of a segment still does, there or in what was set aside, and a second
/// repair finds nothing to do.
fn check_repair(dir: &Path) {
    let content = |path: &Path| fs::read(path).expect("a segment");
    let names = fs::read_dir(dir).expect("the journal").map(|entry| entry.expect("a name").path());
    let segments = names.filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
    let before: Vec<_> = segments.map(|path| (path.clone(), content(&path))).collect();
    repair(dir, |_, _| ()).expect("repaired");
    for (path, before) in &before {
        let after = content(path);
        let aside = fs::read(path.with_extension("bad")).unwrap_or_default();
        // A line that was whole may have got another check sum; nothing else of it changes.
        let checked = |line: &[u8]| line.get(line::CHECKED_AT..).unwrap_or(line).to_vec();
        let lines = |content: &[u8]| content.split(|byte| *byte == b'\n').map(checked).collect();
        let kept: HashSet<Vec<u8>> = lines(&after);
        let aside: HashSet<Vec<u8>> = lines(&aside);
        let lost = before
            .split(|byte| *byte == b'\n')
            .map(checked)
            .find(|line| !line.is_empty() && !kept.contains(line) && !aside.contains(line));
        assert_eq!(lost, None);
        if aside.is_empty() {
            assert_eq!(after, *before, "changed, though nothing was wrong with it");
        }
    }
    assert_eq!(repair(dir, |_, _| ()).expect("repaired again").repaired, []);
}

/// Writes a segment, with the right check sums in whatever has the length of a line.
fn put(dir: &Path, first: Seq, content: &[u8], seal: bool) {
    let mut content = content.to_vec();
    if seal {
        let mut seed = 0;
        for line in content.split_mut(|byte| *byte == b'\n') {
            if line.len() > line::FROM_AT {
                let crc = crc32c::crc32c_append(seed, &line[line::CHECKED_AT..]);
                line[line::CRC_AT..line::CRC_AT + 8]
                    .copy_from_slice(format!("{crc:08x}").as_bytes());
            }
            seed = crc32c::crc32c(&SEGMENT_UUID);
        }
    }
    fs::write(dir.join(segment::file_name(first)), content).expect("a segment");
}

/// An event's number and the bytes of its line that do not depend on the segment.
type Read = (Seq, Vec<u8>);

/// What the reader gives, after a look whether all others see the same.
fn check_readers(dir: &Path) -> Vec<Read> {
    let (events, bad_lines) = read(dir, OLDEST, 3, 300);
    assert!(events.is_sorted_by(|one, other| one.0 < other.0), "not in order");
    let report = verify(dir, |_, _| ()).expect("verified");
    let whole: u64 = report.segments.iter().map(|it| it.lines - it.superseded_lines).sum();
    assert_eq!(events.len() as u64, whole, "the reader gives what verify calls whole");
    if report.is_whole() {
        assert_eq!(bad_lines, 0);
    }
    assert_eq!(read(dir, OLDEST, usize::MAX, usize::MAX).0, events);
    for from in [1, 2, events.last().map_or(5, |(seq, _)| *seq)] {
        let expected: Vec<Read> = events.iter().filter(|it| it.0 >= from).cloned().collect();
        assert_eq!(read(dir, from, 2, 1000).0, expected, "from {from}");
    }
    let mut exported = Vec::new();
    let done = export(dir, &Filter::default(), &mut exported, |_, _| ()).expect("exported");
    assert_eq!(done.events, events.len() as u64);
    let _ = export(dir, &by_session(), &mut Vec::new(), |_, _| ());
    // It does not check what it finds, so that it need not read everything.
    let _ = last_seq(dir).expect("the last number");
    events
}

fn by_session() -> Filter {
    Filter { session: Some("s1".to_owned()), ..Filter::default() }
}

/// Everything from a number on, and how many damaged lines were passed over.
fn read(dir: &Path, from: Seq, max_events: usize, max_bytes: usize) -> (Vec<Read>, u64) {
    let mut reader = Reader::open(dir, from).expect("a reader");
    let mut events = Vec::new();
    loop {
        let batch = reader.next_batch(max_events, max_bytes).expect("a batch");
        if batch.is_empty() {
            return (events, reader.skipped().bad_lines);
        }
        assert_eq!(batch.lines().count(), batch.len());
        for line in batch.lines() {
            let _ = line.origin();
            events.push((line.seq, line.bytes[line::CHECKED_AT..].to_vec()));
        }
    }
}

/// Journals one event more, as a daemon that starts does; its number.
fn append(dir: &Path) -> Seq {
    let options = Options {
        segment_bytes: 64 << 10,
        sync: SyncPolicy::Never,
        retention_bytes: None,
        retention_age: None,
        hard_limit_bytes: None,
        cache_bytes: 64 << 10,
    };
    let (mut journal, recovery) = Journal::open(dir, options, 0).expect("a journal");
    if recovery.needs_rotation {
        journal.rotate(&recovery.ends, &[]).expect("a segment");
    }
    let event = event(br#","payload":{}"#);
    let seq = journal.stage(Origin::Daemon, &event);
    assert_eq!(seq, recovery.next_seq);
    journal.commit().expect("written");
    journal.close().expect("closed");
    seq
}
