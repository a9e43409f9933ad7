//! One session: its prompt, and the spans that are open in it. What each event does to them.

use hookring_journal::Seq;

use super::Context;
use super::book::Book;
use super::describe;
use super::open::{End, Open};
use crate::otlp::event::Event;
use crate::otlp::ids::{Kind, SpanId, TraceId, span_id, trace_id};

#[derive(Default)]
pub(super) struct Session {
    /// In the order in which they began.
    open: Vec<Open>,
    /// The prompt that the agent works on.
    prompt: Option<Box<str>>,
    /// The model, as it was told last.
    model: Option<Box<str>>,
    last_ns: u64,
    last_seq: Seq,
    is_over: bool,
}

impl Session {
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

    /// It need not be remembered.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The event that began what is open for longest.
    pub(super) fn oldest(&self) -> Option<Seq> {
        self.open.iter().map(|it| it.since).min()
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
        self.prompt = None;
    }

    /// What the event does. Returns what it belongs to.
    pub(super) fn apply(&mut self, id: &str, event: &Event<'_>, book: &mut Book) -> Context {
        self.is_over = false;
        if let Some(model) = event.source.model.as_deref()
            && self.model.as_deref() != Some(model)
        {
            self.model = Some(model.into());
        }
        let mut turn = Turn { session: self, id, event, book };
        let context = match &*event.event_type {
            _ if event.duplicate_of.is_some() => turn.context(),
            "prompt.submit" => turn.prompt(),
            "turn.end" | "turn.fail" => turn.end(),
            "session.end" => turn.session_ends(),
            "tool.pre" => turn.tool_begins(),
            "tool.post" | "tool.fail" => turn.tool_ends(),
            "agent.start" => turn.agent_begins(),
            "agent.stop" => turn.agent_ends(),
            "permission.request"
            | "permission.denied"
            | "elicitation.request"
            | "elicitation.result"
            | "notify"
            | "context.compact.pre"
            | "context.compact.post" => turn.happens(),
            _ => turn.context(),
        };
        (self.last_ns, self.last_seq) = (event.time_ns, event.seq);
        context
    }

    /// Ends a span as nobody did. What stands for no prompt has no end that anybody could tell.
    fn give_up(&mut self, at: usize, seq: Seq, book: &mut Book) {
        let mut open = self.open.remove(at);
        let end = match open.kind == Kind::Root && open.key.is_empty() {
            true => End::Told,
            false => End::Unfinished,
        };
        // Others may have begun, or been heard of, later than this one's clock says.
        open.end_ns = open.start_ns.max(self.last_ns);
        book.end(open, end, seq);
    }

    fn find(&self, kind: Kind, key: &str) -> Option<usize> {
        self.open.iter().position(|it| it.kind == kind && *it.key == *key)
    }
}

/// One event at work on its session.
struct Turn<'t, 'a> {
    session: &'t mut Session,
    id: &'t str,
    event: &'t Event<'a>,
    book: &'t mut Book,
}

impl Turn<'_, '_> {
    /// The prompt that the event belongs to; empty if to none.
    fn key(&self) -> Box<str> {
        let told = self.event.prompt_id.as_deref();
        told.or(self.session.prompt.as_deref()).unwrap_or_default().into()
    }

    fn prompt(&mut self) -> Context {
        let (event, session) = (self.event, &mut *self.session);
        let key = event.prompt_id.as_deref().unwrap_or(&event.id);
        if let Some(at) = session.find(Kind::Root, key) {
            // Something of it was told before it.
            session.prompt = Some(key.into());
            let open = &mut session.open[at];
            describe::prompt(&mut open.attributes, event);
            return Context::of(open.trace, open.id);
        }
        session.end_all(event.seq, self.book);
        session.prompt = Some(key.into());
        let trace = trace_id(self.id, key);
        let (id, is_again) = self.book.begin(trace, Kind::Root, "", event);
        let mut open = self.root(key, (trace, id), event.time_ns);
        if is_again {
            open.repaired("same_id");
        }
        describe::prompt(&mut open.attributes, event);
        self.session.open.push(open);
        Context::of(trace, id)
    }

    fn end(&mut self) -> Context {
        let key = self.key();
        if self.session.prompt.as_deref() == Some(&*key) {
            self.session.prompt = None;
        }
        match self.session.find(Kind::Root, &key) {
            Some(at) => self.end_at(at, "turn_error"),
            None => self.context(),
        }
    }

    fn session_ends(&mut self) -> Context {
        let context = self.context();
        let open = self.session.open.iter();
        let first_ns = open.map(|it| it.start_ns).min().unwrap_or(0);
        self.session.last_ns = self.event.time_ns.max(first_ns);
        self.session.end_all(self.event.seq, self.book);
        self.session.is_over = true;
        context
    }

    fn tool_begins(&mut self) -> Context {
        let event = self.event;
        let call = event.call().unwrap_or(&event.id);
        let (trace, parent) = self.parent(event.time_ns);
        let (id, is_again) = self.book.begin(trace, Kind::Tool, call, event);
        let mut open = self.tool(call, (trace, id), parent, event.time_ns);
        if is_again {
            open.repaired("same_id");
        }
        self.session.open.push(open);
        Context::of(trace, id)
    }

    fn tool_ends(&mut self) -> Context {
        let event = self.event;
        let call = event.call().unwrap_or(&event.id);
        if let Some(at) = self.session.find(Kind::Tool, call) {
            return self.end_at(at, "tool_error");
        }
        if let Some(context) = self.ended_before(Kind::Tool, call) {
            return context;
        }
        let start_ns = self.start_ns();
        let (trace, parent) = self.parent(start_ns);
        let (id, _) = self.book.begin(trace, Kind::Tool, call, event);
        let mut open = self.tool(call, (trace, id), parent, start_ns);
        open.repaired("no_begin");
        self.session.open.push(open);
        self.end_at(self.session.open.len() - 1, "tool_error")
    }

    fn agent_begins(&mut self) -> Context {
        let event = self.event;
        let key = event.agent_id.as_deref().unwrap_or(&event.id);
        if let Some(at) = self.session.find(Kind::Agent, key) {
            return self.context_of(at);
        }
        let (trace, root) = self.of_prompt(event.time_ns);
        let parent = self.launcher(trace).unwrap_or(root);
        let (id, is_again) = self.book.begin(trace, Kind::Agent, key, event);
        let mut open = self.agent(key, (trace, id), parent, event.time_ns);
        if is_again {
            open.repaired("same_id");
        }
        self.session.open.push(open);
        Context::of(trace, id)
    }

    fn agent_ends(&mut self) -> Context {
        let event = self.event;
        let agents = self.session.open.iter().filter(|it| it.kind == Kind::Agent).count();
        let at = match event.agent_id.as_deref() {
            Some(key) => self.session.find(Kind::Agent, key),
            // Whose end it is must be clear.
            None if agents == 1 => self.session.open.iter().position(|it| it.kind == Kind::Agent),
            None => None,
        };
        if let Some(at) = at {
            return self.end_at(at, "agent_error");
        }
        let Some(key) = event.agent_id.as_deref() else { return self.context() };
        if let Some(context) = self.ended_before(Kind::Agent, key) {
            return context;
        }
        let start_ns = self.start_ns();
        let (trace, root) = self.of_prompt(start_ns);
        let parent = self.launcher(trace).unwrap_or(root);
        let (id, _) = self.book.begin(trace, Kind::Agent, key, event);
        let mut open = self.agent(key, (trace, id), parent, start_ns);
        open.repaired("no_begin");
        self.session.open.push(open);
        self.end_at(self.session.open.len() - 1, "agent_error")
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
        let Some(prompt) = self.event.prompt_id.as_deref() else { return Context::default() };
        let trace = trace_id(self.id, prompt);
        let root = span_id(trace, Kind::Root, "", None);
        Context { trace: Some(trace), span: Some(root).filter(|it| self.book.begun.has(*it)) }
    }

    fn context_of(&self, at: usize) -> Context {
        Context::of(self.session.open[at].trace, self.session.open[at].id)
    }

    /// The open span of its call, else of its subagent, else of its prompt.
    fn innermost(&self) -> Option<usize> {
        let (event, session) = (self.event, &*self.session);
        let tool = event.call().and_then(|call| session.find(Kind::Tool, call));
        tool.or_else(|| session.find(Kind::Agent, event.agent_id.as_deref()?))
            .or_else(|| session.find(Kind::Root, &self.key()))
    }

    /// A span ends now, as it should.
    fn end_at(&mut self, at: usize, failed: &'static str) -> Context {
        let mut open = self.session.open.remove(at);
        let context = Context::of(open.trace, open.id);
        open.ends_at(self.event.time_ns);
        describe::end(&mut open, self.event, failed);
        self.book.end(open, End::Told, self.event.seq);
        context
    }

    /// The span of this kind and key if it has ended: its end is told once more, and makes no second one.
    fn ended_before(&mut self, kind: Kind, key: &str) -> Option<Context> {
        let trace = match self.open_agent() {
            Some(at) if kind == Kind::Tool => self.session.open[at].trace,
            _ => trace_id(self.id, &self.key()),
        };
        let id = span_id(trace, kind, key, None);
        if !self.book.begun.has(id) {
            return None;
        }
        self.book.counts.late += 1;
        Some(Context::of(trace, id))
    }

    /// When something began of which only the end is told.
    fn start_ns(&self) -> u64 {
        let duration_ns = self.event.duration_ms.unwrap_or(0).saturating_mul(1_000_000);
        self.event.time_ns.saturating_sub(duration_ns)
    }

    /// The subagent that the event is of.
    fn open_agent(&self) -> Option<usize> {
        self.session.find(Kind::Agent, self.event.agent_id.as_deref()?)
    }

    /// The trace and the parent of a call: its subagent, or the prompt.
    fn parent(&mut self, start_ns: u64) -> (TraceId, SpanId) {
        match self.open_agent() {
            Some(at) => (self.session.open[at].trace, self.session.open[at].id),
            None => self.of_prompt(start_ns),
        }
    }

    /// The call that begins subagents, if it is clear which.
    fn launcher(&self, trace: TraceId) -> Option<SpanId> {
        let tools = self.session.open.iter().filter(|it| it.kind == Kind::Tool);
        let mut launchers = tools.filter(|it| it.trace == trace && it.begins_agents);
        launchers.next().filter(|_| launchers.next().is_none()).map(|it| it.id)
    }

    /// The trace of the event's prompt and its root, which begins now if nothing was told of it yet. One that has
    /// ended stays the parent of what comes late; what belongs to no prompt gets another.
    fn of_prompt(&mut self, start_ns: u64) -> (TraceId, SpanId) {
        let key = self.key();
        if let Some(at) = self.session.find(Kind::Root, &key) {
            return (self.session.open[at].trace, self.session.open[at].id);
        }
        let trace = trace_id(self.id, &key);
        let id = span_id(trace, Kind::Root, "", None);
        if self.book.begun.has(id) && !key.is_empty() {
            return (trace, id);
        }
        let (id, _) = self.book.begin(trace, Kind::Root, "", self.event);
        let open = self.root(&key, (trace, id), start_ns);
        self.session.open.push(open);
        (trace, id)
    }

    fn root(&mut self, key: &str, ids: (TraceId, SpanId), start_ns: u64) -> Open {
        let mut open = self.begin(Kind::Root, ids, key, describe::root_name(self.event), start_ns);
        describe::root(&mut open.attributes, self.event, self.session.model.as_deref());
        open
    }

    fn tool(&mut self, key: &str, ids: (TraceId, SpanId), parent: SpanId, start_ns: u64) -> Open {
        let mut open = self.begin(Kind::Tool, ids, key, describe::tool_name(self.event), start_ns);
        open.parent = Some(parent);
        open.begins_agents = self.event.tool_name.as_deref().is_some_and(describe::begins_agents);
        describe::tool(&mut open.attributes, self.event);
        open
    }

    fn agent(&mut self, key: &str, ids: (TraceId, SpanId), parent: SpanId, start_ns: u64) -> Open {
        let mut open =
            self.begin(Kind::Agent, ids, key, describe::agent_name(self.event), start_ns);
        open.parent = Some(parent);
        describe::agent(&mut open.attributes, self.event);
        open
    }

    fn begin(
        &mut self,
        kind: Kind,
        ids: (TraceId, SpanId),
        key: &str,
        name: String,
        start_ns: u64,
    ) -> Open {
        self.book.open += 1;
        let origin = self.book.origins.of(self.event);
        Open::new(kind, ids, key, name, start_ns, (self.event.seq, origin))
    }
}
