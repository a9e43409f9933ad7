//! What a record's header and metadata say stands in its event, and what was noticed is counted.

use super::*;
use hookring_bus::drain::LaneEnd;
use hookring_bus::record::{MAX_META_BYTES, MetaWriter, RecordHeader};
use serde_json::Value;

/// Makes the event of a record; its members.
fn made(
    intake: &mut Intake,
    header: &RecordHeader,
    (meta, payload): (&[u8], &[u8]),
    noticed: &mut Noticed,
) -> Value {
    let origin = Origin::Lane(LaneEnd { bus: [7; 16], lane: 1, end: 64 });
    let stamp_ns = header.stamp_ns;
    let record = Record { header, stamp_ns, meta, payload, origin: &origin };
    let mut line = b"{".to_vec();
    intake.event((&Batch::default(), &record), noticed).write_to(&mut line);
    line.push(b'}');
    serde_json::from_slice(&line).unwrap()
}

fn intake() -> Intake {
    Intake::new(Options::plain())
}

#[test]
fn header_and_metadata_are_in_the_event() {
    let mut buffer = [0; MAX_META_BYTES];
    let mut meta = MetaWriter::new(&mut buffer);
    for (tag, value) in
        [(tag::AGENT, &b"other"[..]), (tag::EVENT, b"Odd\xff"), (tag::DIRECTORY, b"/home/ada")]
    {
        meta.add(tag, value);
    }
    meta.add(tag::ARGUMENT, b"--flag");
    meta.add(u16::MAX, b"of a later version");
    let header = RecordHeader { id: [3; 16], pid: 12, elapsed_us: 34, ..RecordHeader::default() };
    let line = made(&mut intake(), &header, (meta.finish(), b"{}"), &mut Noticed::default());
    assert_eq!(line["id"], "03030303-0303-0303-0303-030303030303");
    assert_eq!([&line["event"], &line["event_type"]], ["Odd\u{fffd}", "Odd\u{fffd}"]);
    assert_eq!(line["source"]["agent"], "other");
    assert_eq!([&line["host"], &line["working_directory"]], ["host", "/home/ada"]);
    assert_eq!(line["process"], serde_json::json!({"pid": 12, "elapsed_us": 34}));
    assert_eq!(line["arguments"], serde_json::json!(["--flag"]));
}

#[test]
fn what_was_noticed_is_counted() {
    let mut intake = intake();
    let mut noticed = Noticed::default();
    let whole = RecordHeader::default();
    let mut make = |header: &RecordHeader, meta: &[u8], payload: &[u8]| {
        made(&mut intake, header, (meta, payload), &mut noticed);
        noticed.clone()
    };
    assert_eq!(make(&whole, b"", b"{}"), Noticed::default());
    let expected = Noticed { not_json: 1, ..Noticed::default() };
    assert_eq!(make(&whole, b"", b"hello"), expected);

    // Cut by the hook.
    for (flags, truncated) in [(flag::TRUNCATED, 1), (flag::META_CUT, 2)] {
        let cut = RecordHeader { flags, ..whole };
        let payload = format!("[{truncated}]");
        let noticed = make(&cut, b"", payload.as_bytes());
        assert_eq!((noticed.truncated, noticed.cut_events), (truncated, 0));
    }

    // Cut here.
    let mut buffer = [0; MAX_META_BYTES];
    let mut meta = MetaWriter::new(&mut buffer);
    meta.add(tag::EVENT, &vec![b'x'; hookring_pipeline::MAX_NAME_BYTES + 5]);
    let noticed = make(&whole, meta.finish(), b"{\"n\":1}");
    assert_eq!((noticed.truncated, noticed.cut_events, noticed.cut_bytes), (3, 1, 5));
    let warned = noticed.warned;

    // The same again, and with a name that nobody knows.
    assert_eq!(make(&whole, b"", b"hello").duplicates, 1);
    let noticed = make(&whole, b"", br#"{"hook_event_name":"Odd"}"#);
    assert_eq!((noticed.warned, noticed.duplicates, noticed.not_json), (warned + 1, 1, 2));
}
