//! Spans, made of events: a function of the sequence of events alone, however that is cut into batches, and
//! however often parts of it are sent.
//!
//! Each event is applied once. What it ends waits, under the event's number, until that is
//! [done with](Spans::forget); so an attempt that is repeated, or half of it, has the same spans. What is open needs
//! no file: after a restart the events before are applied again, and what they end is forgotten.

mod belonging;
mod book;
mod describe;
mod ended;
mod open;
mod session;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hookring_journal::Seq;
use opentelemetry_proto::tonic::trace::v1::Span;

use self::book::Book;
pub(super) use self::describe::{mcp, risk, session};
use self::session::Session;
use super::event::Event;
use super::ids::{SpanId, TraceId};
use super::origin::Origin;

/// Sessions that are remembered at most, also when they are over. One with nothing open is forgotten first, and
/// among those alike the one that was silent for longest; all its spans are ended.
pub(super) const MAX_SESSIONS: usize = 1024;
/// Spans that are open at most; the oldest is ended.
pub(super) const MAX_OPEN: usize = 2048;

/// What an event belongs to.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Context {
    pub(super) trace: Option<TraceId>,
    pub(super) span: Option<SpanId>,
}

/// Those of one span.
type Ids = (TraceId, SpanId);

/// A span that has ended.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// The event that ended it.
    pub(super) seq: Seq,
    pub(super) origin: Arc<Origin>,
    pub(super) span: Span,
}

/// What was done to have spans that are valid. Of this run of the daemon, of what was recalled, too.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Spans that ended.
    pub(super) finished: u64,
    /// Those of them whose end nobody told.
    pub(super) unfinished: u64,
    /// Those of them without a beginning, with the id of another, or with an end before their beginning.
    pub(super) repaired: u64,
    /// Ends of what had ended.
    pub(super) late: u64,
    /// Those of `unfinished` that were too many.
    pub(super) evicted: u64,
    /// Texts that were cut, and attributes and events of spans that were left out.
    pub(super) cut: u64,
}

/// The spans of all sessions.
pub(super) struct Spans {
    timeout_ns: u64,
    /// By agent and id: two agents may call theirs alike.
    sessions: BTreeMap<Box<str>, Session>,
    book: Book,
    /// No session with open spans is silent for too long before this.
    next_timeout_ns: u64,
    /// What the events that are not done with belong to.
    contexts: VecDeque<(Seq, Context)>,
    /// The number of the last event that was applied.
    applied: Seq,
}

impl Spans {
    /// `timeout`: a session that is silent for longer has ended.
    pub(super) fn new(timeout: Duration) -> Spans {
        Spans {
            timeout_ns: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            sessions: BTreeMap::new(),
            book: Book::default(),
            next_timeout_ns: u64::MAX,
            contexts: VecDeque::new(),
            applied: 0,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.book.counts
    }

    /// What the event belongs to. It is applied unless it was before.
    pub(super) fn apply(&mut self, event: &Event<'_>) -> Context {
        if event.seq <= self.applied {
            let at = self.contexts.binary_search_by_key(&event.seq, |it| it.0);
            return at.map_or_else(|_| Context::default(), |at| self.contexts[at].1);
        }
        self.applied = event.seq;
        self.end_silent(event);
        let has_spans = !matches!(event.agent(), Some("git")) && &*event.namespace != "system";
        let session = event.session_id.as_deref().filter(|_| has_spans);
        let scope = session.map(|id| format!("{}\0{id}", event.agent().unwrap_or_default()));
        let context = scope.map_or_else(Context::default, |it| self.apply_to(&it, event));
        self.contexts.push_back((event.seq, context));
        context
    }

    /// The spans that these events ended, in the order of their ends.
    pub(super) fn finished(&mut self, first: Seq, last: Seq) -> &mut [Finished] {
        let spans = self.book.finished.make_contiguous();
        let begin = spans.partition_point(|it| it.seq < first);
        let end = spans.partition_point(|it| it.seq <= last);
        &mut spans[begin..end.max(begin)]
    }

    /// Everything up to there is done with.
    pub(super) fn forget(&mut self, through: Seq) {
        let spans = self.book.finished.partition_point(|it| it.seq <= through);
        self.book.finished.drain(..spans);
        let contexts = self.contexts.partition_point(|it| it.0 <= through);
        self.contexts.drain(..contexts);
    }

    fn apply_to(&mut self, scope: &str, event: &Event<'_>) -> Context {
        if !self.sessions.contains_key(scope) {
            self.make_room(event.seq);
            self.sessions.insert(scope.into(), Session::new(scope));
        }
        let Some(session) = self.sessions.get_mut(scope) else { return Context::default() };
        let context = session.apply(scope, event, &mut self.book);
        if session.open_count() > 0 {
            let until_ns = session.last_ns().saturating_add(self.timeout_ns);
            self.next_timeout_ns = self.next_timeout_ns.min(until_ns);
        }
        while self.book.open > MAX_OPEN {
            self.evict_oldest(event.seq);
        }
        context
    }

    /// Ends what sessions have open that are silent for too long, as far as this event tells. They stay known: what
    /// comes late belongs to the same prompt.
    fn end_silent(&mut self, event: &Event<'_>) {
        if event.time_ns <= self.next_timeout_ns {
            return;
        }
        self.next_timeout_ns = u64::MAX;
        for session in self.sessions.values_mut().filter(|it| it.open_count() > 0) {
            let until_ns = session.last_ns().saturating_add(self.timeout_ns);
            if event.time_ns > until_ns {
                session.end_all(event.seq, &mut self.book);
            } else {
                self.next_timeout_ns = self.next_timeout_ns.min(until_ns);
            }
        }
    }

    fn make_room(&mut self, seq: Seq) {
        if self.sessions.len() < MAX_SESSIONS {
            return;
        }
        let sessions = self.sessions.iter();
        let least = sessions.min_by_key(|(_, it)| (it.open_count() > 0, it.last_seq()));
        let Some(scope) = least.map(|(scope, _)| scope.clone()) else { return };
        if let Some(mut session) = self.sessions.remove(&scope) {
            self.book.counts.evicted += session.open_count() as u64;
            session.end_all(seq, &mut self.book);
        }
    }

    fn evict_oldest(&mut self, seq: Seq) {
        let sessions = self.sessions.values_mut();
        let oldest = sessions.filter_map(|it| it.oldest().map(|since| (since, it)));
        let Some((_, session)) = oldest.min_by_key(|(since, _)| *since) else { return };
        self.book.counts.evicted += 1;
        session.end_oldest(seq, &mut self.book);
    }
}
