//! What begins with a dollar, a backtick or `<(`: variables are put in where they are known, and the
//! commands in substitutions are read.

use super::MAX_DEPTH;
use super::parser::{Parser, Until, name_length};
use super::quotes::State;
use super::script::{Flags, Span};

/// How far the end of an arithmetic expression is looked for.
const MAX_ARITHMETIC_BYTES: usize = 256;

impl Parser<'_> {
    pub(super) fn dollar(&mut self, state: &mut State, is_quoted: bool, splits: bool) {
        let begin = self.at;
        let next = self.script.buffer.as_bytes()[begin..self.end].get(1);
        match next {
            Some(b'(') => self.substitution(state),
            Some(b'{') => self.parameter(state, is_quoted, splits),
            Some(b'\'') if !is_quoted => self.ansi_quoted(state),
            Some(b'"') if !is_quoted => {
                self.at += 1;
                self.double_quoted(state);
            }
            Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => {
                let bytes = &self.script.buffer.as_bytes()[begin + 1..self.end];
                self.at += 1 + name_length(bytes);
                let name = self.span(begin + 1, self.at);
                self.variable(state, name, begin, is_quoted, splits);
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-') => {
                self.at += 2;
                state.flags.add(Flags::UNKNOWN);
                self.push_source(begin);
            }
            _ => {
                self.at += 1;
                self.push_source(begin);
            }
        }
    }

    /// `$( … )` or `$(( … ))`.
    fn substitution(&mut self, state: &mut State) {
        let begin = self.at;
        if self.is_at(b"$((") && self.arithmetic(state) {
            return;
        }
        self.at += 2;
        self.nested_commands(state, Flags::OUTPUT);
        self.push_source(begin);
    }

    /// `<( … )` or `>( … )`.
    pub(super) fn process(&mut self, state: &mut State) {
        let begin = self.at;
        self.at += 2;
        self.nested_commands(state, Flags::PROCESS);
        self.push_source(begin);
    }

    fn nested_commands(&mut self, state: &mut State, flag: Flags) {
        // What is half read of the function or of heredocs outside stays there.
        let heredocs = std::mem::take(&mut self.heredocs);
        let nested = self.nested_list();
        self.heredocs.splice(..0, heredocs);
        state.flags.add(flag);
        state.nested = state.nested.or(nested);
    }

    /// Whether it is one that ends nearby.
    fn arithmetic(&mut self, state: &mut State) -> bool {
        let begin = self.at;
        let inside = begin + 3;
        let bytes = &self.script.buffer.as_bytes()[inside..self.end];
        let mut open = 0;
        let close = bytes.iter().take(MAX_ARITHMETIC_BYTES).position(|byte| {
            match byte {
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            open < 0
        });
        let Some(length) = close.filter(|at| bytes.get(at + 1) == Some(&b')')) else {
            return false;
        };
        self.within(self.span(inside, inside + length), |parser| {
            let base = parser.script.scratch.text.len();
            parser.expand_quoted(&mut State::inside(base), None);
            parser.script.scratch.text.truncate(base);
        });
        self.at = inside + length + 2;
        state.flags.add(Flags::UNKNOWN);
        self.push_source(begin);
        true
    }

    /// `${NAME}`, and with operators behind the name.
    fn parameter(&mut self, state: &mut State, is_quoted: bool, splits: bool) {
        let begin = self.at;
        self.at += 2;
        if self.depth >= MAX_DEPTH {
            self.script.is_cut = true;
            self.push_source(begin);
            return;
        }
        let name_begin = self.at;
        let rest = &self.script.buffer.as_bytes()[self.at..self.end];
        self.at += name_length(rest);
        let name = self.span(name_begin, self.at);
        if self.is_at(b"[@]") || self.is_at(b"[*]") {
            self.at += 3;
        }
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.variable(state, name, begin, is_quoted, splits);
            return;
        }
        let has_default = [&b":-"[..], b":=", b"-", b"="].iter().any(|it| self.is_at(it));
        let is_checked = [&b":?"[..], b"?"].iter().any(|it| self.is_at(it));
        while matches!(self.peek(), Some(b':' | b'-' | b'=' | b'?'))
            && self.at < name.end as usize + 2
        {
            self.at += 1;
        }
        let base = self.script.scratch.text.len();
        let mut inner = State::inside(base);
        self.depth += 1;
        self.expand_quoted(&mut inner, Some(b'}'));
        self.depth -= 1;
        state.nested = state.nested.or(inner.nested);
        // A user always has a home.
        let text = self.script.text(name);
        let known = text == "HOME" || self.script.variable(text).is_some();
        if has_default && !known && !name.is_empty() {
            if state.is_at_start_before(base) && self.script.scratch.text[base..].starts_with('~') {
                inner.flags.add(Flags::TILDE);
            }
            state.flags.add(inner.flags);
            return;
        }
        self.script.scratch.text.truncate(base);
        if has_default || is_checked {
            self.variable(state, name, begin, is_quoted, splits);
        } else {
            state.flags.add(Flags::UNKNOWN);
            self.push_source(begin);
        }
    }

    /// Puts in a variable's value; one that is not known stays as it is written from `begin` on.
    fn variable(
        &mut self,
        state: &mut State,
        name: Span,
        begin: usize,
        is_quoted: bool,
        splits: bool,
    ) {
        let text = self.script.text(name);
        let known = self.script.variable(text);
        let (is_blank, is_home) = (text == "IFS", text == "HOME");
        match known {
            Some(word) if self.script.take_derived(word.value.len()) => {
                let mut flags = word.flags;
                if !state.is_at_start(self.script) {
                    flags = flags.without(Flags::TILDE);
                }
                state.nested = state.nested.or(word.nested);
                if is_quoted || !splits {
                    state.flags.add(flags.without(Flags::GLOB));
                    self.push_span(word.value);
                } else {
                    self.push_words(state, word.value, flags);
                }
            }
            None if is_blank && splits && !is_quoted => self.split(state),
            None if is_home => {
                state.flags.add(Flags::UNKNOWN);
                self.script.scratch.text.push_str("$HOME");
            }
            _ => {
                state.flags.add(Flags::UNKNOWN);
                self.push_source(begin);
            }
        }
    }

    /// Puts in a value that blanks divide into words.
    fn push_words(&mut self, state: &mut State, value: Span, flags: Flags) {
        let mut at = value.begin as usize;
        let end = value.end as usize;
        while at < end {
            let bytes = &self.script.buffer.as_bytes()[at..end];
            let length = bytes.iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len());
            if length > 0 {
                let is_pattern = bytes[..length].iter().any(|it| matches!(it, b'*' | b'?' | b'['));
                state.flags.add(flags);
                if is_pattern {
                    state.flags.add(Flags::GLOB);
                }
                self.push_span(self.span(at, at + length));
            }
            at += length;
            if at < end {
                self.split(state);
                at += 1;
            }
        }
    }

    /// Ends the word here; what follows is another one.
    fn split(&mut self, state: &mut State) {
        if let Some(word) = self.end_word(state) {
            self.script.scratch.words.push(word);
        }
    }

    /// `$'…'`
    fn ansi_quoted(&mut self, state: &mut State) {
        let begin = self.at + 2;
        let bytes = &self.script.buffer.as_bytes()[begin..self.end];
        let mut length = 0;
        while length < bytes.len() && bytes[length] != b'\'' {
            length += if bytes[length] == b'\\' { 2 } else { 1 };
        }
        let length = length.min(bytes.len());
        let content = self.script.buffer[begin..begin + length].to_owned();
        super::output::unescape(&content, &mut self.script.scratch.text);
        state.flags.add(Flags::QUOTED);
        self.at = (begin + length + 1).min(self.end);
    }

    /// `` ` … ` ``
    pub(super) fn backticks(&mut self, state: &mut State) {
        let begin = self.at;
        let bytes = &self.script.buffer.as_bytes()[begin + 1..self.end];
        let mut length = 0;
        while length < bytes.len() && bytes[length] != b'`' {
            length += if bytes[length] == b'\\' { 2 } else { 1 };
        }
        let length = length.min(bytes.len());
        let mut content = self.span(begin + 1, begin + 1 + length);
        if self.depth >= MAX_DEPTH {
            self.script.is_cut = true;
        } else {
            if memchr::memchr(b'\\', &bytes[..length]).is_some() {
                content = self.without_backslashes(content);
            }
            let first = self.next_id();
            self.within(content, |parser| {
                let outer = (parser.subshell, parser.subshell_depth);
                parser.enter_subshell();
                parser.depth += 1;
                parser.list(Until::End);
                parser.depth -= 1;
                (parser.subshell, parser.subshell_depth) = outer;
            });
            state.nested = state.nested.or((self.next_id() > first).then_some(first));
        }
        state.flags.add(Flags::OUTPUT);
        self.at = (begin + length + 2).min(self.end);
        self.push_source(begin);
    }

    /// The text with one level of backslashes gone, as backticks want it.
    fn without_backslashes(&mut self, content: Span) -> Span {
        let base = self.script.scratch.text.len();
        let text = self.script.text(content).to_owned();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (character, characters.clone().next()) {
                ('\\', Some(next @ ('`' | '$' | '\\' | '"'))) => {
                    characters.next();
                    self.script.scratch.text.push(next);
                }
                _ => self.script.scratch.text.push(character),
            }
        }
        self.script.store_scratch(base).unwrap_or(content)
    }

    /// Reads a part of the buffer, and comes back to where this was.
    fn within(&mut self, span: Span, read: impl FnOnce(&mut Self)) {
        let outer = (self.at, self.end);
        (self.at, self.end) = (span.begin as usize, span.end as usize);
        read(self);
        (self.at, self.end) = outer;
    }
}
