//! Heredocs: bodies that begin on the line behind the one that asks for them.

use super::parser::Parser;
use super::script::{CommandId, Flags, Span, Word};

/// One whose body was not reached yet.
pub(super) struct Pending {
    body: u32,
    delimiter: Span,
    strips_tabs: bool,
    /// Nothing in it is expanded.
    is_literal: bool,
    command: Option<CommandId>,
}

impl Parser<'_> {
    /// Notes that a body will come; gives its number.
    pub(super) fn expect_body(&mut self, target: Word, strips_tabs: bool) -> u32 {
        let body = self.script.bodies.len() as u32;
        self.script.bodies.push(Span::default());
        self.heredocs.push(Pending {
            body,
            delimiter: target.value,
            strips_tabs,
            is_literal: target.flags.has(Flags::QUOTED),
            command: self.parent,
        });
        body
    }

    /// Reads the bodies that begin here, behind the end of a line.
    pub(super) fn read_bodies(&mut self) {
        if self.heredocs.is_empty() {
            return;
        }
        for heredoc in std::mem::take(&mut self.heredocs) {
            let body = self.body_until(&heredoc);
            self.script.bodies[heredoc.body as usize] = body;
            if !heredoc.is_literal {
                self.expand_body(body, heredoc.command);
            }
        }
    }

    /// The lines before the one that is the delimiter, which is gone past, or all that is left.
    fn body_until(&mut self, heredoc: &Pending) -> Span {
        let begin = self.at;
        while self.at < self.end {
            let line_begin = self.at;
            self.skip_line();
            let line = &self.script.buffer[line_begin..self.at];
            let line = if heredoc.strips_tabs { line.trim_start_matches('\t') } else { line };
            let is_last = line.trim_end_matches('\r') == self.script.text(heredoc.delimiter);
            self.at = (self.at + 1).min(self.end);
            if is_last {
                return self.span(begin, line_begin);
            }
        }
        self.span(begin, self.end)
    }

    /// Reads the substitutions in a body.
    fn expand_body(&mut self, body: Span, command: Option<CommandId>) {
        let bytes = &self.script.buffer.as_bytes()[body.range()];
        if memchr::memchr2(b'$', b'`', bytes).is_none() {
            return;
        }
        let outer = (self.at, self.end, self.parent);
        (self.at, self.end, self.parent) = (body.begin as usize, body.end as usize, command);
        let base = self.script.scratch.text.len();
        self.expand_quoted(&mut super::quotes::State::inside(base), None);
        self.script.scratch.text.truncate(base);
        (self.at, self.end, self.parent) = outer;
    }
}
