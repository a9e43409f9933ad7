//! What holds commands together: separators, pipes, groups in braces and parentheses, keywords,
//! functions.

use super::parser::Parser;
use super::script::{Function, Ids, Span, Word};

/// How far the end of an arithmetic command is looked for.
const MAX_ARITHMETIC_BYTES: usize = 1024;

/// What is piped where, at one place of a list.
pub(super) struct Flow {
    /// The first command of what the next pipe takes its input from.
    element: u32,
    /// The commands whose output the next command reads.
    pub(super) input: Ids,
}

/// Something that is open: a group, a loop, a condition.
pub(super) struct Group {
    kind: Kind,
    first: u32,
    /// What everything in it may read.
    input: Ids,
    function: Option<usize>,
    subshell: u32,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Kind {
    Subshell,
    Brace,
    Case,
    /// `if`, `for`, `while`, `until`, `select`
    Other,
}

impl Flow {
    pub(super) fn new(next: u32) -> Flow {
        Flow { element: next, input: Ids::default() }
    }
}

impl Parser<'_> {
    /// `;`, `&`, a line's end, `&&`, `||`, `|`.
    pub(super) fn separator(&mut self, byte: u8, base: usize, flow: &mut Flow) {
        let next = self.next_id();
        let is_double = |parser: &Self| parser.is_at(&[byte, byte]);
        match byte {
            b'|' if !is_double(self) => {
                self.at += if self.is_at(b"|&") { 2 } else { 1 };
                flow.input = Ids { begin: flow.element, end: next };
                flow.element = next;
                return;
            }
            b'\n' => {
                self.at += 1;
                self.read_bodies();
                // A pipe goes on behind the end of a line.
                if flow.element == next && !flow.input.is_empty() {
                    return;
                }
            }
            b';' if is_double(self) || self.is_at(b";&") => {
                self.at += if self.is_at(b";;&") { 3 } else { 2 };
                if self.innermost(base).is_some_and(|group| group.kind == Kind::Case) {
                    self.skip_pattern();
                }
            }
            _ => self.at += if is_double(self) { 2 } else { 1 },
        }
        flow.element = self.next_id();
        flow.input = self.innermost(base).map_or(Ids::default(), |group| group.input);
    }

    pub(super) fn open_subshell(&mut self, flow: &mut Flow) {
        self.open(Kind::Subshell, flow);
        self.enter_subshell();
    }

    /// Whether there is one that could be closed.
    pub(super) fn close_subshell(&mut self, base: usize, flow: &mut Flow) -> bool {
        self.close(Kind::Subshell, base, flow)
    }

    /// Takes a keyword, if one stands here.
    pub(super) fn keyword(&mut self, base: usize, flow: &mut Flow) -> bool {
        let bytes = &self.script.buffer.as_bytes()[self.at..self.end];
        let length = bytes.iter().take(9).take_while(|byte| !is_break(**byte)).count();
        let keyword = &bytes[..length];
        // Most commands begin with a letter that no keyword has.
        if !matches!(keyword.first(), Some(b'a'..=b'w' | b'{' | b'}' | b'!' | b'[')) {
            return false;
        }
        match keyword {
            b"then" | b"else" | b"elif" | b"do" | b"!" | b"coproc" => self.at += length,
            b"if" | b"while" | b"until" => {
                self.at += length;
                self.open(Kind::Other, flow);
            }
            b"for" | b"select" => {
                self.at += length;
                self.open(Kind::Other, flow);
                self.loop_head();
            }
            b"case" => {
                self.at += length;
                self.open(Kind::Case, flow);
                self.case_head();
            }
            b"{" => {
                self.at += length;
                self.open(Kind::Brace, flow);
            }
            b"}" | b"fi" | b"done" | b"esac" => {
                self.at += length;
                let kind = match keyword {
                    b"}" => Kind::Brace,
                    b"esac" => Kind::Case,
                    _ => Kind::Other,
                };
                self.close(kind, base, flow);
            }
            b"[[" => self.skip_condition(),
            b"function" => {
                self.at += length;
                self.blanks_and_peek();
                let name = self.single_word();
                self.start_function(name.value);
                self.blanks_and_peek();
                if self.is_at(b"()") {
                    self.at += 2;
                }
            }
            _ => return false,
        }
        true
    }

    /// `name ()` before a body: the name is taken off the words.
    pub(super) fn define_function(&mut self, base: usize) -> bool {
        let bytes = &self.script.buffer.as_bytes()[self.at..self.end];
        let blanks = bytes[1..].iter().take(16).take_while(|byte| **byte == b' ').count();
        if bytes.get(1 + blanks) != Some(&b')') || self.script.scratch.words.len() != base + 1 {
            return false;
        }
        self.at += blanks + 2;
        if let Some(word) = self.script.scratch.words.pop() {
            self.start_function(word.value);
        }
        true
    }

    fn start_function(&mut self, name: Span) {
        // The body is known once it is closed.
        self.script.functions.push(Function { name, body: Ids::default() });
        self.function = Some(self.script.functions.len() - 1);
    }

    fn open(&mut self, kind: Kind, flow: &mut Flow) {
        self.groups.push(Group {
            kind,
            first: self.next_id(),
            input: flow.input,
            function: self.function.take(),
            subshell: self.subshell,
        });
        flow.element = self.next_id();
    }

    /// Closes the innermost group of this kind and what was left open in it.
    fn close(&mut self, kind: Kind, base: usize, flow: &mut Flow) -> bool {
        // Usually the last one. What was opened and never closed is not searched for long.
        let open = self.groups[base..].iter().rev().take(8).position(|group| group.kind == kind);
        let Some(from_end) = open else { return false };
        let at = self.groups.len() - 1 - from_end;
        let next = self.next_id();
        let group = &self.groups[at];
        flow.element = group.first;
        flow.input = group.input;
        if let Some(function) = group.function {
            self.script.functions[function].body = Ids { begin: group.first, end: next };
        }
        if kind == Kind::Subshell {
            self.subshell = group.subshell;
            self.subshell_depth = self.subshell_depth.saturating_sub(1);
        }
        self.groups.truncate(at);
        true
    }

    fn innermost(&self, base: usize) -> Option<&Group> {
        self.groups[base..].last()
    }

    /// `NAME in a b c` behind `for`: the variable has all of the words as its value.
    fn loop_head(&mut self) {
        if self.blanks_and_peek() == Some(b'(') {
            return;
        }
        let name = self.single_word();
        self.blanks_and_peek();
        if !self.is_at(b"in") {
            return;
        }
        self.at += 2;
        let base = self.script.scratch.words.len();
        while let Some(byte) = self.blanks_and_peek() {
            match byte {
                b';' | b'\n' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => break,
                _ => self.word(true),
            }
        }
        let mut words = Vec::new();
        words.extend(self.script.scratch.words.drain(base..));
        let (Some(first), Some(value)) = (words.first(), self.script.join_values(&words)) else {
            return;
        };
        let mut all = Word { value, ..*first };
        for word in &words[1..] {
            all.flags.add(word.flags);
            all.nested = all.nested.or(word.nested);
        }
        self.script.set_variable(name.value, all);
    }

    /// `WORD in` and the first pattern behind `case`.
    fn case_head(&mut self) {
        self.blanks_and_peek();
        self.single_word();
        while matches!(self.blanks_and_peek(), Some(b'\n')) {
            self.at += 1;
        }
        if self.is_at(b"in") {
            self.at += 2;
            self.skip_pattern();
        }
    }

    /// Goes past `a | b)`, unless the case ends here.
    fn skip_pattern(&mut self) {
        while let Some(byte) = self.blanks_and_peek() {
            match byte {
                b'\n' | b'(' | b'|' => self.at += 1,
                b'#' => self.skip_line(),
                b')' => {
                    self.at += 1;
                    return;
                }
                b';' | b'&' | b'<' | b'>' => return,
                _ if self.is_at(b"esac") => return,
                _ => {
                    self.single_word();
                }
            }
        }
    }

    /// Goes past `[[ … ]]`, whose operators are not the shell's.
    fn skip_condition(&mut self) {
        let rest = &self.script.buffer.as_bytes()[self.at..self.end];
        let line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += memchr::memmem::find(&rest[..line], b"]]").map_or(line, |end| end + 2);
    }

    /// Goes past `(( … ))`.
    pub(super) fn skip_arithmetic_command(&mut self) {
        let rest = &self.script.buffer.as_bytes()[self.at..self.end];
        let near = &rest[..rest.len().min(MAX_ARITHMETIC_BYTES)];
        match memchr::memmem::find(near, b"))") {
            Some(end) => self.at += end + 2,
            None => self.at += 2,
        }
    }
}

/// Whether a keyword ends before this byte.
fn is_break(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>')
}
