//! What an event belongs to: the spans, open or ended, that it is about or that hang above it.

use super::ended::Place;
use super::open::Open;
use super::turn::Turn;
use crate::otlp::ids::{Kind, span_id, trace_id};

impl Turn<'_, '_> {
    /// The prompt that the event belongs to; empty if to none.
    pub(super) fn key(&self) -> Box<str> {
        let told = self.event.prompt_id.as_deref();
        told.or(self.session.prompt.as_deref()).unwrap_or_default().into()
    }

    /// The open span of its call, else of its subagent, else of its prompt.
    pub(super) fn innermost(&self) -> Option<usize> {
        let (event, session) = (self.event, &*self.session);
        let tool = event.call().and_then(|call| self.find_call(call));
        tool.or_else(|| session.find(Kind::Agent, event.agent_id.as_deref()?))
            .or_else(|| session.find(Kind::Root, &self.key()))
    }

    /// The open call of this id: that of the event's prompt, else the one that is open for longest.
    pub(super) fn find_call(&self, call: &str) -> Option<usize> {
        let first = self.session.find(Kind::Tool, call)?;
        let is_another = |it: &Open| it.is(Kind::Tool, call);
        if !self.session.open[first + 1..].iter().any(is_another) {
            return Some(first);
        }
        let trace = trace_id(self.scope, &self.key());
        let of_prompt = |it: &Open| it.trace == trace && it.is(Kind::Tool, call);
        self.session.open.iter().position(of_prompt).or(Some(first))
    }

    /// The subagent whose end is told without its name: whose it is must be clear.
    pub(super) fn only_agent(&self) -> Option<usize> {
        let trace = trace_id(self.scope, &self.key());
        let agents = || {
            let open = self.session.open.iter().enumerate();
            open.filter(|(_, it)| it.kind == Kind::Agent)
        };
        let of_prompt = only(agents().filter(|(_, it)| it.trace == trace).map(|it| it.0));
        of_prompt.or_else(|| only(agents().map(|it| it.0)))
    }

    /// A span of this session that has ended, of whatever prompt.
    pub(super) fn ended(&self, kind: Kind, key: &str) -> Option<Place> {
        self.book.ended.get(self.session.name(kind, key))
    }

    /// The root of a prompt that is over.
    pub(super) fn ended_root(&self, key: &str) -> Option<Place> {
        self.ended(Kind::Root, key).or_else(|| {
            let trace = trace_id(self.scope, key);
            let span = span_id(trace, Kind::Root, "", None);
            self.book.begun.has(span).then_some(Place { trace, span, start_ns: 0 })
        })
    }

    /// What a call hangs below: its subagent, or its prompt.
    pub(super) fn parent(&mut self, start_ns: u64) -> Place {
        let Some(key) = self.event.agent_id.as_deref() else { return self.of_prompt(start_ns) };
        if let Some(at) = self.session.find(Kind::Agent, key) {
            return self.session.open[at].place();
        }
        // An agent may call all its subagents of a kind alike: one of another prompt is another.
        let ended = self.ended(Kind::Agent, key);
        let ended = ended.filter(|it| it.trace == trace_id(self.scope, &self.key()));
        ended.unwrap_or_else(|| self.of_prompt(start_ns))
    }

    /// What a subagent hangs below that begins: the call that began it, or what all calls hang below that may
    /// have, if that is clear.
    pub(super) fn launcher(&mut self) -> Option<Place> {
        let trace = trace_id(self.scope, &self.key());
        let open = &mut self.session.open;
        let launchers = |is_wanted: &dyn Fn(&Open) -> bool| -> Vec<usize> {
            let is_one = |it: &Open| it.begins_agents && is_wanted(it);
            (0..open.len()).filter(|at| is_one(&open[*at])).collect()
        };
        // Subagents that begin others have a call above them, too, which is open just as long.
        let mut found = launchers(&|it| it.trace == trace && !it.has_agent);
        if found.is_empty() {
            found = launchers(&|it| !it.has_agent);
        }
        if found.is_empty() {
            found = launchers(&|it| it.trace == trace);
        }
        let (first, others) = found.split_first()?;
        if others.is_empty() {
            open[*first].has_agent = true;
            return Some(open[*first].place());
        }
        let above = open[*first].parent;
        let is_alike = others.iter().all(|at| open[*at].parent == above);
        open.iter().find(|it| is_alike && Some(it.id) == above).map(Open::place)
    }

    /// The root of the event's prompt, which begins now if nothing was told of it yet. One that has ended stays the
    /// parent of what comes late; what belongs to no prompt gets another.
    pub(super) fn of_prompt(&mut self, start_ns: u64) -> Place {
        let key = self.key();
        if let Some(at) = self.session.find(Kind::Root, &key) {
            let open = &mut self.session.open[at];
            open.began_by(start_ns, self.event.time_ns);
            return open.place();
        }
        let ended = Some(&*key).filter(|it| !it.is_empty()).and_then(|it| self.ended_root(it));
        ended.unwrap_or_else(|| {
            let at = self.begin_root(&key, start_ns);
            self.session.open[at].place()
        })
    }
}

/// The only one.
fn only(mut all: impl Iterator<Item = usize>) -> Option<usize> {
    all.next().filter(|_| all.next().is_none())
}
