//! One session: its prompt, and the spans that are open in it. What is open may be of several prompts: a call or a
//! subagent may go on while the next prompt is worked on.

use hookring_journal::Seq;

use super::Context;
use super::book::Book;
use super::open::{End, Open};
use super::turn::Turn;
use crate::otlp::event::Event;
use crate::otlp::ids::{Kind, SpanId, TraceId, span_id, trace_id};

pub(super) struct Session {
    /// In the order in which they began.
    pub(super) open: Vec<Open>,
    /// The prompt that the agent works on.
    pub(super) prompt: Option<Box<str>>,
    /// The model, as it was told last.
    pub(super) model: Option<Box<str>>,
    /// The trace of what belongs to no prompt.
    own: TraceId,
    last_ns: u64,
    last_seq: Seq,
}

impl Session {
    /// `scope`: what it is called among all sessions.
    pub(super) fn new(scope: &str) -> Session {
        Session {
            open: Vec::new(),
            prompt: None,
            model: None,
            own: trace_id(scope, ""),
            last_ns: 0,
            last_seq: 0,
        }
    }

    /// When it was last heard of, by its own events.
    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns
    }

    pub(super) fn last_seq(&self) -> Seq {
        self.last_seq
    }

    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// The event that began what is open for longest.
    pub(super) fn oldest(&self) -> Option<Seq> {
        self.open.iter().map(|it| it.since).min()
    }

    /// What a span is called within this session, in whatever trace it is.
    pub(super) fn name(&self, kind: Kind, key: &str) -> SpanId {
        span_id(self.own, kind, key, None)
    }

    pub(super) fn find(&self, kind: Kind, key: &str) -> Option<usize> {
        self.open.iter().position(|it| it.is(kind, key))
    }

    pub(super) fn end_oldest(&mut self, seq: Seq, book: &mut Book) {
        let oldest = (0..self.open.len()).min_by_key(|at| self.open[*at].since);
        if let Some(at) = oldest {
            self.give_up(at, seq, book);
        }
    }

    /// Ends everything, since nothing more is to come.
    pub(super) fn end_all(&mut self, seq: Seq, book: &mut Book) {
        while !self.open.is_empty() {
            self.give_up(self.open.len() - 1, seq, book);
        }
    }

    /// Ends what the session has open at its end.
    pub(super) fn ends(&mut self, event: &Event<'_>, book: &mut Book) {
        let first_ns = self.open.iter().map(|it| it.start_ns).min().unwrap_or(0);
        self.last_ns = event.time_ns.max(first_ns);
        self.end_all(event.seq, book);
        self.prompt = None;
    }

    /// Another prompt is worked on: those before are over. What still runs of them ends by itself.
    pub(super) fn end_prompts_but(&mut self, key: &str, seq: Seq, book: &mut Book) {
        while let Some(at) =
            self.open.iter().rposition(|it| it.kind == Kind::Root && *it.key != *key)
        {
            self.give_up(at, seq, book);
        }
    }

    /// What the event does. Returns what it belongs to.
    pub(super) fn apply(&mut self, scope: &str, event: &Event<'_>, book: &mut Book) -> Context {
        if let Some(model) = event.source.model.as_deref()
            && self.model.as_deref() != Some(model)
        {
            self.model = Some(model.into());
        }
        let context = Turn { session: self, scope, event, book }.apply();
        (self.last_ns, self.last_seq) = (event.time_ns, event.seq);
        context
    }

    /// A span is open no more.
    pub(super) fn close(&mut self, at: usize, end: End, seq: Seq, book: &mut Book) {
        let open = self.open.remove(at);
        // Nobody can tell the end of what stands for no prompt.
        let is_told = open.kind != Kind::Root || !open.key.is_empty();
        let name = is_told.then(|| self.name(open.kind, &open.key));
        book.end(open, end, seq, name);
    }

    /// Ends a span as nobody did. What stands for no prompt has no end that anybody could tell.
    fn give_up(&mut self, at: usize, seq: Seq, book: &mut Book) {
        let open = &mut self.open[at];
        let end = match open.is(Kind::Root, "") {
            true => End::Told,
            false => End::Unfinished,
        };
        // Others may have begun, or been heard of, later than this one's clock says.
        open.end_ns = open.start_ns.max(self.last_ns);
        self.close(at, end, seq, book);
    }
}
