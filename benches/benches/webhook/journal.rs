//! Events to send: a recorded session's, as the daemon journals them.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Instant;

use hookring::pipeline::{Intake, Noticed};
use hookring_bus::drain::{Drain, Options};
use hookring_bus::place::Places;
use hookring_bus::sys;
use hookring_journal::{Journal, Options as JournalOptions, Tail};
use hookring_producer::Producer;
use tempfile::TempDir;

/// A journal of events, and room for cursors.
pub(crate) struct Events {
    pub(crate) tail: Arc<Tail>,
    pub(crate) count: usize,
    // Dropped before the directory goes.
    _journal: Journal,
    pub(crate) dir: TempDir,
}

impl Events {
    #[allow(dead_code, reason = "another bench has payloads of its own")]
    pub(crate) fn new(count: usize) -> Events {
        let (payloads, _) = hookring_benches::payloads::payloads();
        Events::of(payloads.iter().copied().cycle().take(count), count)
    }

    /// Of these payloads, `count` in all.
    pub(crate) fn of(payloads: impl Iterator<Item = impl AsRef<[u8]>>, count: usize) -> Events {
        let dir = tempfile::tempdir().expect("a directory");
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(dir.path(), private).expect("its mode");
        let ring = dir.path().join("ring");
        let places = Places::new(Some(ring.as_os_str().as_bytes()), sys::effective_uid());
        let options = Options { lanes: 2, lane_bytes: 64 << 20, ..Options::default() };
        let mut drain = Drain::open(&places, options).expect("the ring");
        let mut producer = Producer::open_in(&ring).expect("a producer").with_crc();
        for payload in payloads {
            producer.publish(payload.as_ref()).expect("room in the ring");
        }
        let (mut journal, _) =
            Journal::open(&dir.path().join("journal"), JournalOptions::default(), 0)
                .expect("the journal");
        let mut intake = Intake::new(hookring_pipeline::Options::plain());
        let mut noticed = Noticed::default();
        let mut journaled = 0;
        while journaled < count {
            let batch = drain.next_batch();
            for record in batch.records() {
                intake.stage((batch, &record), &mut journal, &mut noticed);
            }
            journaled += batch.len();
            journal.commit().expect("the journal");
            drain.release();
        }
        journal.sync_if_due(Instant::now()).expect("a sync");
        Events { tail: journal.tail(), count, _journal: journal, dir }
    }
}
