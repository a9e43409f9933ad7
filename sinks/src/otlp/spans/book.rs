//! What all sessions write into: the spans that ended, and which ones there were.

use std::collections::VecDeque;

use hookring_journal::Seq;

use super::ended::Ended;
use super::open::{End, Open};
use super::{Counts, Finished};
use crate::otlp::event::Event;
use crate::otlp::ids::{Begun, Kind, SpanId, TraceId, span_id};
use crate::otlp::origin::Origins;

#[derive(Default)]
pub(super) struct Book {
    pub(super) begun: Begun,
    pub(super) ended: Ended,
    pub(super) finished: VecDeque<Finished>,
    pub(super) counts: Counts,
    pub(super) origins: Origins,
    /// Spans that are open now.
    pub(super) open: usize,
}

impl Book {
    /// The id of a span that begins now: another one where there was one of the same key. Whether that is so.
    pub(super) fn begin(
        &mut self,
        trace: TraceId,
        kind: Kind,
        key: &str,
        event: &Event<'_>,
    ) -> (SpanId, bool) {
        let id = span_id(trace, kind, key, None);
        if self.begun.add(id) {
            return (id, false);
        }
        let id = span_id(trace, kind, key, Some(&event.id));
        self.begun.add(id);
        (id, true)
    }

    /// An open span ends by the event `seq`. `name`: what it is called within its session, if its end may be told
    /// once more.
    pub(super) fn end(&mut self, open: Open, end: End, seq: Seq, name: Option<SpanId>) {
        if let Some(name) = name {
            self.ended.add(name, open.place());
        }
        self.open -= 1;
        self.counts.finished += 1;
        self.counts.unfinished += u64::from(end == End::Unfinished);
        let origin = std::sync::Arc::clone(&open.origin);
        let is_repaired = open.is_repaired();
        let (span, cut) = open.into_span(end);
        self.counts.repaired += u64::from(is_repaired);
        self.counts.cut += cut;
        self.finished.push_back(Finished { seq, origin, span });
    }
}
