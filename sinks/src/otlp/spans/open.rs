//! A span that has not ended yet.

use std::borrow::Cow;
use std::sync::Arc;

use hookring_journal::Seq;
use opentelemetry_proto::tonic::trace::v1::span::{Event as SpanEvent, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::ended::Place;
use crate::otlp::attributes::Attributes;
use crate::otlp::ids::{Kind, SpanId, TraceId};
use crate::otlp::names;
use crate::otlp::origin::Origin;

/// Events of one span at most. What is more is left out, and said in the span.
pub(super) const MAX_EVENTS: usize = 128;

/// How a span ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Somebody said so.
    Told,
    /// Nobody did.
    Unfinished,
}

/// One span.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: Kind,
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    /// The prompt of a root, the call of a tool, the agent's id.
    pub(super) key: Box<str>,
    /// The event that began it.
    pub(super) since: Seq,
    pub(super) origin: Arc<Origin>,
    pub(super) parent: Option<SpanId>,
    /// It is a call of a tool that begins subagents.
    pub(super) begins_agents: bool,
    /// It has begun a subagent.
    pub(super) has_agent: bool,
    pub(super) name: String,
    pub(super) start_ns: u64,
    /// When it last was heard of; it ends then, unless somebody says otherwise.
    pub(super) end_ns: u64,
    pub(super) attributes: Attributes,
    pub(super) error: Option<Cow<'static, str>>,
    /// What went wrong, in words.
    pub(super) message: Option<Box<str>>,
    repaired: Vec<&'static str>,
    /// When it began was made up of the first that was told of it.
    is_made_up: bool,
    /// So much later than told it begins.
    shift_ns: u64,
    events: Vec<SpanEvent>,
    dropped_events: u32,
}

impl Open {
    pub(super) fn new(
        kind: Kind,
        ids: (TraceId, SpanId),
        key: &str,
        name: String,
        start_ns: u64,
        since: (Seq, Arc<Origin>),
    ) -> Open {
        Open {
            kind,
            trace: ids.0,
            id: ids.1,
            key: key.into(),
            since: since.0,
            origin: since.1,
            parent: None,
            begins_agents: false,
            has_agent: false,
            name,
            start_ns,
            end_ns: start_ns,
            attributes: Attributes::with_capacity(16),
            error: None,
            message: None,
            repaired: Vec::new(),
            is_made_up: kind == Kind::Root,
            shift_ns: 0,
            events: Vec::new(),
            dropped_events: 0,
        }
    }

    pub(super) fn is(&self, kind: Kind, key: &str) -> bool {
        self.kind == kind && *self.key == *key
    }

    pub(super) fn place(&self) -> Place {
        Place { trace: self.trace, span: self.id, start_ns: self.start_ns }
    }

    /// Something about it had to be made up.
    pub(super) fn repaired(&mut self, what: &'static str) {
        if !self.repaired.contains(&what) {
            self.repaired.push(what);
        }
    }

    /// The beginning of a prompt was told after something else of it.
    pub(super) fn begin_is_told(&mut self) {
        self.is_made_up = false;
        self.repaired.retain(|it| *it != "no_begin");
    }

    /// What ends now began before the first that was told of its prompt.
    pub(super) fn began_by(&mut self, start_ns: u64, now_ns: u64) {
        if self.is_made_up && now_ns >= self.start_ns {
            self.start_ns = self.start_ns.min(start_ns);
        }
    }

    /// It hangs below another and begins no earlier; if it was told to, for a clock was set, all of it is later.
    pub(super) fn hang(&mut self, below: Place) {
        self.parent = Some(below.span);
        if self.start_ns < below.start_ns {
            self.repaired("clock");
            self.shift_ns = below.start_ns - self.start_ns;
            self.start_ns = below.start_ns;
            self.end_ns = self.end_ns.max(self.start_ns);
        }
    }

    /// It ends then, or at its beginning, if that is later: clocks are set.
    pub(super) fn ends_at(&mut self, end_ns: u64) {
        let end_ns = self.shifted_ns(end_ns);
        if end_ns < self.start_ns {
            self.repaired("clock");
        }
        self.end_ns = end_ns.max(self.start_ns);
    }

    /// By the clock that it begins by. One that was set may have been set again.
    fn shifted_ns(&self, time_ns: u64) -> u64 {
        match time_ns < self.start_ns {
            true => time_ns.saturating_add(self.shift_ns),
            false => time_ns,
        }
    }

    pub(super) fn is_repaired(&self) -> bool {
        !self.repaired.is_empty()
    }

    /// Something happened meanwhile.
    pub(super) fn happened(&mut self, time_ns: u64, name: &str, attributes: Attributes) {
        if self.events.len() == MAX_EVENTS {
            self.dropped_events += 1;
            return;
        }
        self.attributes.cut += attributes.cut;
        self.events.push(SpanEvent {
            time_unix_nano: self.shifted_ns(time_ns),
            name: name.to_owned(),
            dropped_attributes_count: attributes.dropped,
            attributes: attributes.list,
        });
    }

    /// As OTLP has it, and how much of it was cut or left out.
    pub(super) fn into_span(mut self, end: End) -> (Span, u64) {
        if end == End::Unfinished {
            self.attributes.truth(names::UNFINISHED, true);
        }
        self.attributes.texts(names::REPAIRED, self.repaired.iter().copied());
        if let Some(error) = &self.error {
            self.attributes.text(names::ERROR_TYPE, error);
        }
        let is_failed = self.error.is_some();
        let code = if is_failed { StatusCode::Error } else { StatusCode::Unset };
        let message = self.message.take().map(String::from).unwrap_or_default();
        let cut = self.attributes.cut
            + u64::from(self.attributes.dropped)
            + u64::from(self.dropped_events);
        let span = Span {
            trace_id: self.trace.0.to_vec(),
            span_id: self.id.0.to_vec(),
            parent_span_id: self.parent.map(|it| it.0.to_vec()).unwrap_or_default(),
            flags: FLAGS,
            name: self.name,
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: self.start_ns,
            end_time_unix_nano: self.end_ns,
            attributes: self.attributes.list,
            dropped_attributes_count: self.attributes.dropped,
            events: self.events,
            dropped_events_count: self.dropped_events,
            // There always is one: in JSON it would be null, which not every receiver takes.
            status: Some(Status { code: code.into(), message }),
            ..Span::default()
        };
        (span, cut)
    }
}

/// The span's parent is not on another machine (bit 8: that is known).
const FLAGS: u32 = 0x100;
