//! What each event does to the spans of its session.

use super::Context;
use super::book::Book;
use super::describe;
use super::ended::Place;
use super::open::{End, Open};
use super::session::Session;
use crate::otlp::event::Event;
use crate::otlp::ids::{Kind, span_id, trace_id};

/// One event at work on its session.
pub(super) struct Turn<'t, 'a> {
    pub(super) session: &'t mut Session,
    /// What the session is called among all sessions.
    pub(super) scope: &'t str,
    pub(super) event: &'t Event<'a>,
    pub(super) book: &'t mut Book,
}

impl Turn<'_, '_> {
    /// Returns what the event belongs to.
    pub(super) fn apply(&mut self) -> Context {
        match &*self.event.event_type {
            _ if self.event.duplicate_of.is_some() => self.context(),
            "prompt.submit" => self.prompt(),
            "turn.end" | "turn.fail" => self.end(),
            "session.end" => self.session_ends(),
            "tool.pre" => self.tool_begins(),
            "tool.post" | "tool.fail" => self.tool_ends(),
            "agent.start" => self.agent_begins(),
            "agent.stop" => self.agent_ends(),
            "permission.request"
            | "permission.denied"
            | "elicitation.request"
            | "elicitation.result"
            | "notify"
            | "context.compact.pre"
            | "context.compact.post" => self.happens(),
            _ => self.context(),
        }
    }

    fn prompt(&mut self) -> Context {
        let event = self.event;
        let key = event.prompt_id.as_deref().unwrap_or(&event.id);
        self.session.end_prompts_but(key, event.seq, self.book);
        self.session.prompt = Some(key.into());
        let at = self.session.find(Kind::Root, key).unwrap_or_else(|| {
            let trace = trace_id(self.scope, key);
            let (id, is_again) = self.book.begin(trace, Kind::Root, "", event);
            let open = self.root(key, (trace, id), event.time_ns);
            self.push(open, is_again)
        });
        let open = &mut self.session.open[at];
        // Something of it may have been told before it.
        open.begin_is_told();
        describe::prompt(&mut open.attributes, event);
        self.context_of(at)
    }

    fn end(&mut self) -> Context {
        let key = self.key();
        if self.session.prompt.as_deref() == Some(&*key) {
            self.session.prompt = None;
        }
        if let Some(at) = self.session.find(Kind::Root, &key) {
            return self.end_at(at, "turn_error");
        }
        if key.is_empty() {
            return self.context();
        }
        match self.ended_root(&key) {
            Some(root) => self.is_late(root),
            None => {
                let at = self.begin_root(&key, self.start_ns());
                self.end_at(at, "turn_error")
            }
        }
    }

    fn session_ends(&mut self) -> Context {
        let told = self.event.prompt_id.as_deref();
        // What was told of it before may hang below it.
        if let Some(key) = told
            && self.session.find(Kind::Root, key).is_none()
            && self.ended_root(key).is_none()
        {
            self.begin_root(key, self.event.time_ns);
        }
        let context = self.context();
        self.session.ends(self.event, self.book);
        context
    }

    fn tool_begins(&mut self) -> Context {
        let call = self.event.call().unwrap_or(&self.event.id);
        let at = self.begin_tool(call, self.event.time_ns);
        self.context_of(at)
    }

    fn tool_ends(&mut self) -> Context {
        let call = self.event.call().unwrap_or(&self.event.id);
        if let Some(at) = self.find_call(call) {
            return self.end_at(at, "tool_error");
        }
        if let Some(place) = self.ended(Kind::Tool, call) {
            return self.is_late(place);
        }
        let at = self.begin_tool(call, self.start_ns());
        self.session.open[at].repaired("no_begin");
        self.end_at(at, "tool_error")
    }

    fn agent_begins(&mut self) -> Context {
        let key = self.event.agent_id.as_deref().unwrap_or(&self.event.id);
        let open = self.session.find(Kind::Agent, key);
        let at = open.unwrap_or_else(|| self.begin_agent(key, self.event.time_ns));
        self.context_of(at)
    }

    fn agent_ends(&mut self) -> Context {
        let Some(key) = self.event.agent_id.as_deref() else {
            return match self.only_agent() {
                Some(at) => self.end_at(at, "agent_error"),
                None => self.context(),
            };
        };
        if let Some(at) = self.session.find(Kind::Agent, key) {
            return self.end_at(at, "agent_error");
        }
        if let Some(place) = self.ended(Kind::Agent, key) {
            return self.is_late(place);
        }
        let at = self.begin_agent(key, self.start_ns());
        self.session.open[at].repaired("no_begin");
        self.end_at(at, "agent_error")
    }

    /// Something to be noted in the innermost span that it belongs to.
    fn happens(&mut self) -> Context {
        let event = self.event;
        let Some(at) = self.innermost() else { return self.context() };
        let open = &mut self.session.open[at];
        open.happened(event.time_ns, &event.event_type, describe::happening(event));
        // Nothing else tells the end of a call that was not allowed.
        let is_over = open.kind == Kind::Tool && &*event.event_type == "permission.denied";
        if is_over { self.end_at(at, "denied") } else { self.context_of(at) }
    }

    /// What an event belongs to that changes nothing.
    fn context(&self) -> Context {
        if let Some(at) = self.innermost() {
            return self.context_of(at);
        }
        let key = self.key();
        if key.is_empty() {
            return Context::default();
        }
        let span = self.ended_root(&key).map(|it| it.span);
        Context { trace: Some(trace_id(self.scope, &key)), span }
    }

    fn context_of(&self, at: usize) -> Context {
        self.session.open[at].place().context()
    }

    /// What had ended is told to end.
    fn is_late(&mut self, place: Place) -> Context {
        self.book.counts.late += 1;
        place.context()
    }

    /// A span ends now, as it should.
    fn end_at(&mut self, at: usize, failed: &'static str) -> Context {
        let context = self.context_of(at);
        let open = &mut self.session.open[at];
        open.ends_at(self.event.time_ns);
        describe::end(open, self.event, failed);
        self.session.close(at, End::Told, self.event.seq, self.book);
        context
    }

    /// When something began of which only the end is told.
    fn start_ns(&self) -> u64 {
        let duration_ns = self.event.duration_ms.unwrap_or(0).saturating_mul(1_000_000);
        self.event.time_ns.saturating_sub(duration_ns)
    }

    fn begin_tool(&mut self, call: &str, start_ns: u64) -> usize {
        let event = self.event;
        let parent = self.parent(start_ns);
        let (id, is_again) = self.book.begin(parent.trace, Kind::Tool, call, event);
        let name = describe::tool_name(event);
        let mut open = self.open(Kind::Tool, (parent.trace, id), call, name, start_ns);
        open.hang(parent);
        open.begins_agents = event.tool_name.as_deref().is_some_and(describe::begins_agents);
        describe::tool(&mut open.attributes, event);
        self.push(open, is_again)
    }

    fn begin_agent(&mut self, key: &str, start_ns: u64) -> usize {
        let event = self.event;
        let parent = self.launcher().unwrap_or_else(|| self.of_prompt(start_ns));
        let (id, is_again) = self.book.begin(parent.trace, Kind::Agent, key, event);
        let name = describe::agent_name(event);
        let mut open = self.open(Kind::Agent, (parent.trace, id), key, name, start_ns);
        open.hang(parent);
        describe::agent(&mut open.attributes, event);
        self.push(open, is_again)
    }

    /// The root of a prompt of whose beginning nothing was told, or of what belongs to none.
    pub(super) fn begin_root(&mut self, key: &str, start_ns: u64) -> usize {
        let trace = trace_id(self.scope, key);
        if key.is_empty() {
            // There may be many, one after the other, and who counts them may be killed.
            let (id, _) = self.book.begin(trace, Kind::Root, &self.event.id, self.event);
            let open = self.root(key, (trace, id), start_ns);
            return self.push(open, false);
        }
        // What hangs below it knows this id.
        let id = span_id(trace, Kind::Root, "", None);
        self.book.begun.add(id);
        let mut open = self.root(key, (trace, id), start_ns);
        open.repaired("no_begin");
        self.push(open, false)
    }

    fn root(&mut self, key: &str, ids: super::Ids, start_ns: u64) -> Open {
        let mut open = self.open(Kind::Root, ids, key, describe::root_name(self.event), start_ns);
        describe::root(&mut open.attributes, self.event, self.session.model.as_deref());
        open
    }

    fn open(
        &mut self,
        kind: Kind,
        ids: super::Ids,
        key: &str,
        name: String,
        start_ns: u64,
    ) -> Open {
        self.book.open += 1;
        let origin = self.book.origins.of(self.event);
        Open::new(kind, ids, key, name, start_ns, (self.event.seq, origin))
    }

    /// `is_again`: there was one of its key in its trace.
    fn push(&mut self, mut open: Open, is_again: bool) -> usize {
        if is_again {
            open.repaired("same_id");
        }
        self.session.open.push(open);
        self.session.open.len() - 1
    }
}
