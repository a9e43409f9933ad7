//! A journal with events as the daemon makes them of a recorded session's payloads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use hookring_journal::{Event, Journal, Options, Origin, Seq, SyncPolicy, Tail};
use hookring_pipeline::Pipeline;
use tempfile::TempDir;

use crate::received::received;

pub(crate) struct Events {
    journal: Journal,
    members: Vec<Vec<u8>>,
    written: u64,
    dir: TempDir,
}

impl Events {
    pub(crate) fn new() -> Events {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options {
            segment_bytes: 16 << 20,
            sync: SyncPolicy::Never,
            retention_bytes: None,
            retention_age: None,
            hard_limit_bytes: None,
            ..Options::default()
        };
        let (journal, _) =
            Journal::open(&dir.path().join("journal"), options, 0).expect("the journal");
        let mut pipeline = Pipeline::new(hookring_pipeline::Options::plain());
        let (payloads, _) = hookring_benches::payloads::payloads();
        let members = payloads.into_iter().zip(1..).map(|(payload, number)| {
            let mut out = Vec::new();
            pipeline.write(&received(payload, number), &mut out);
            out
        });
        Events { journal, members: members.collect(), written: 0, dir }
    }

    /// Writes so many, in one batch.
    pub(crate) fn write(&mut self, events: usize) -> Seq {
        let mut last = 0;
        for _ in 0..events {
            let members = &self.members[self.written as usize % self.members.len()];
            self.written += 1;
            let id = u128::from(self.written).to_be_bytes();
            let event = Event { id, timestamp_ns: 1_800_000_000_000_000_000, members };
            last = self.journal.stage(Origin::Daemon, &event);
        }
        self.journal.commit().expect("the journal");
        self.journal.sync_if_due(Instant::now()).expect("a sync");
        if self.journal.wants_rotation() {
            self.journal.rotate(&[], &[]).expect("a segment");
        }
        last
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.journal.tail()
    }

    /// The journal's files, in order.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("journal")).expect("the journal");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let is_segment = |path: &Path| path.extension().is_some_and(|it| it == "jsonl");
        let mut paths: Vec<_> = paths.filter(|path| is_segment(path)).collect();
        paths.sort();
        paths
    }
}
