//! Filters, and lines as they stand.

use super::*;
use crate::Event;
use crate::line::{self, Origin};
use crate::segment::Header;
use crate::testing::{damage_line, event, open, written};

fn exported(dir: &Path, filter: &Filter) -> (Vec<u64>, Exported) {
    let mut out = Vec::new();
    let mut told = Vec::new();
    let exported = export(dir, filter, &mut out, |done, total| told.push((done, total))).unwrap();
    assert!(told.iter().all(|(done, total)| done <= total));
    let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let seqs = lines.map(|line| {
        serde_json::from_slice::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap()
    });
    let seqs: Vec<u64> = seqs.collect();
    assert_eq!(seqs.len() as u64, exported.events);
    (seqs, exported)
}

#[test]
fn lines_come_out_as_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 2500);
    let mut out = Vec::new();
    let exported = export(dir.path(), &Filter::default(), &mut out, |_, _| {}).unwrap();
    assert_eq!(exported, Exported { events: 2500, skipped: Skipped::default() });
    let segment = std::fs::read(path).unwrap();
    let header = memchr::memchr(b'\n', &segment).unwrap() + 1;
    assert_eq!(out, segment[header..]);
}

#[test]
fn filters_by_time_and_session() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for n in 1..=6_i64 {
        let payload = if n % 2 == 0 { &br#"{"session_id":"a \"b\""}"#[..] } else { b"not json" };
        let mut event = event(payload);
        event.timestamp_ns = n * 1_000_000_000;
        journal.stage(Origin::Daemon, &event);
    }
    journal.commit().unwrap();
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let session = |id: &str| Some(id.to_owned());
    for (filter, expected) in [
        (Filter { since: at(3), ..Filter::default() }, &[3, 4, 5, 6][..]),
        (Filter { until: at(3), ..Filter::default() }, &[1, 2]),
        (Filter { since: at(2), until: at(5), session: session("a \"b\"") }, &[2, 4]),
        (Filter { session: session("none"), ..Filter::default() }, &[]),
    ] {
        assert_eq!(exported(dir.path(), &filter).0, expected, "{filter:?}");
        let of = |number: &u64| at(i64::try_from(*number).unwrap());
        let times = |numbers| times(dir.path(), &filter, numbers).unwrap();
        let ends = expected.first().and_then(of).zip(expected.last().and_then(of));
        assert_eq!(times(0..=6), ends, "{filter:?}");
        assert_eq!(times(0..=Seq::MAX), ends, "{filter:?}");
        // Not those before and behind.
        let inner: Vec<_> = expected.iter().filter(|number| (2..=4).contains(*number)).collect();
        let ends = inner.first().copied().and_then(of).zip(inner.last().copied().and_then(of));
        assert_eq!(times(2..=4), ends, "{filter:?}");
        assert_eq!(times(7..=9), None, "{filter:?}");
    }
}

#[test]
fn sessions_are_found_by_their_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for (n, id) in ["ab-1", "ab-2", "ab", "ab-2", "b"].into_iter().enumerate() {
        let payload = format!("{{\"session_id\":\"{id}\"}}");
        let mut event = event(payload.as_bytes());
        event.timestamp_ns = n as i64 * 1_000_000_000;
        journal.stage(Origin::Daemon, &event);
    }
    journal.stage(Origin::Daemon, &event(b"no session"));
    journal.commit().unwrap();
    let until = |second| Filter { until: Timestamp::from_second(second).ok(), ..Filter::default() };
    for (filter, prefix, max, expected) in [
        (Filter::default(), "ab-", 9, &["ab-1", "ab-2"][..]),
        (Filter::default(), "ab-", 1, &["ab-1"]),
        (Filter::default(), "ab", 9, &["ab"]),
        (until(2), "ab", 9, &["ab-1", "ab-2"]),
        (until(1), "ab-2", 9, &[]),
        (Filter::default(), "c", 9, &[]),
    ] {
        let found = sessions(dir.path(), &filter, prefix, max).unwrap();
        assert!(found.iter().eq(expected), "{prefix}, {filter:?}: {found:?}");
    }
}

#[test]
fn segments_that_ended_long_before_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let age = SignedDuration::from_hours;
    // Begun 5, 3 and 1 hours ago; each event is published in the middle of its segment's time.
    let mut sizes = Vec::new();
    for (at, hours) in [5, 3, 1].into_iter().enumerate() {
        let first = at as u64 + 1;
        let created = (now - age(hours)).as_nanosecond() as i64;
        let header = Header { created_ns: created, ..Header::new(&[], &[]) };
        let mut bytes = Vec::new();
        header.write_to(&mut bytes, first);
        let begin = bytes.len();
        line::begin(&mut bytes, first, &Origin::Daemon);
        bytes.push(b',');
        let timestamp_ns = created + 3_600_000_000_000;
        Event { timestamp_ns, ..event(b"{}") }.write_to(&mut bytes);
        line::finish(&mut bytes, begin, header.seed());
        sizes.push(bytes.len() as u64);
        std::fs::write(dir.path().join(segment::file_name(first)), bytes).unwrap();
    }
    let read = |hours| {
        let filter = Filter { since: Some(now - age(hours)), ..Filter::default() };
        let mut total = 0;
        let mut out = Vec::new();
        let exported = export(dir.path(), &filter, &mut out, |_, bytes| total = bytes).unwrap();
        assert_eq!(exported.skipped, Skipped::default());
        (exported.events, total)
    };
    assert_eq!(read(6), (3, sizes.iter().sum()));
    // A segment that ended a minute before might hold what a clock set back has stamped later.
    assert_eq!(read(3), (2, sizes.iter().sum()));
    assert_eq!(read(1), (1, sizes[1] + sizes[2]));
    // If its first line is damaged, the one before it is read, too.
    damage_line(&dir.path().join(segment::file_name(2)), 0);
    let filter = Filter { since: Some(now - age(1)), ..Filter::default() };
    assert_eq!(exported(dir.path(), &filter).0, [3]);
    assert_eq!(begin(dir.path(), &filter).unwrap(), (1, sizes.iter().sum()));
}

#[test]
fn what_could_not_be_read_is_told() {
    let dir = tempfile::tempdir().unwrap();
    damage_line(&written(dir.path(), 5), 2);
    let (seqs, exported) = exported(dir.path(), &Filter::default());
    assert_eq!(seqs, [1, 3, 4, 5]);
    assert_eq!((exported.skipped.bad_lines, exported.skipped.missing), (1, 1));
}

#[test]
fn an_output_that_fails_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 5);
    let mut full = &mut [0; 100][..];
    let error = export(dir.path(), &Filter::default(), &mut full, |_, _| {}).unwrap_err();
    assert!(matches!(error, ExportError::Write(_)));
    assert_eq!(error.to_string(), "cannot write the exported events");
}
