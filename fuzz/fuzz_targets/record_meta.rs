//! Any header, any metadata: read without a panic, written again as they were, and made an event.
#![no_main]

use std::cell::RefCell;

use hookring::pipeline::{Intake, Noticed};
use hookring_bus::crc::Crc32c;
use hookring_bus::drain::{Batch, LaneEnd, Origin, Record};
use hookring_bus::record::{
    MAX_META_BYTES, MetaWriter, RECORD_HEADER_BYTES, RecordHeader, flag, meta_entries,
};
use hookring_fuzz::line_of;
use hookring_journal::Fields;
use hookring_pipeline::Options;
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// To make one takes much longer than to run one.
    static INTAKE: RefCell<Intake> = RefCell::new(Intake::new(Options::plain()));
}

fuzz_target!(|input: &[u8]| {
    let Some((header, body)) = input.split_first_chunk::<RECORD_HEADER_BYTES>() else { return };
    let header = RecordHeader::from_bytes(header);
    assert_eq!(&header.to_bytes()[..], &input[..RECORD_HEADER_BYTES]);
    if header.is_plausible(header.position, body.len() as u64) {
        assert!(header.bytes() <= body.len() as u64);
    }
    let (meta, payload) = body.split_at(body.len().min(usize::from(header.agent)));
    check_entries(meta);
    check_crc(&header, meta, payload);
    check_event(&header, meta, payload);
});

/// The entries are a prefix of the block, and read back after they were written.
fn check_entries(meta: &[u8]) {
    let mut buffer = vec![0; MAX_META_BYTES];
    let mut writer = MetaWriter::new(&mut buffer);
    for (tag, value) in meta_entries(meta) {
        writer.add(tag, value);
    }
    if !writer.is_cut() {
        assert!(meta.starts_with(writer.finish()));
    }
}

fn check_crc(header: &RecordHeader, meta: &[u8], payload: &[u8]) {
    let bare = RecordHeader { crc: 0, ..*header };
    let expected = crc32c::crc32c(&[&bare.to_bytes(), meta, payload].concat());
    assert_eq!(header.compute_crc(Crc32c::portable(), meta, payload), expected);
    assert_eq!(header.compute_crc(Crc32c::fastest(), meta, payload), expected);
}

/// Whatever was in the ring becomes one line of JSON.
fn check_event(header: &RecordHeader, meta: &[u8], payload: &[u8]) {
    let origin = Origin::Lane(LaneEnd { bus: [7; 16], lane: 1, end: 64 });
    let stamp_ns = header.stamp_ns;
    let record = Record { header, stamp_ns, meta, payload, origin: &origin };
    let mut noticed = Noticed::default();
    let line = INTAKE.with_borrow_mut(|intake| {
        line_of(&intake.event((&Batch::default(), &record), &mut noticed))
    });
    let fields: Fields<'_> = serde_json::from_str(&line).expect("the documented members");
    assert_eq!(fields.truncated, noticed.truncated > 0);
    assert!(fields.truncated || header.flags & (flag::TRUNCATED | flag::META_CUT) == 0);
    assert_eq!(fields.parse_error.is_some(), noticed.not_json > 0);
}
