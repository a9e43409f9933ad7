//! The reader of a text: lists of commands, and in each its words, assignments and redirections.
//!
//! One pass from left to right; only what lies within something else is read by recursion, at most
//! [`MAX_DEPTH`] deep.

use super::compound::{Flow, Group};
use super::heredoc::Pending;
use super::script::{
    Assignment, Command, CommandId, Flags, Operator, Redirect, Script, Span, Via, Word,
};
use super::{Dialect, MAX_COMMANDS, MAX_DEPTH};

/// What ends a list of commands.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Until {
    End,
    Parenthesis,
}

/// Reads a span of a script's buffer.
pub(super) struct Parser<'s> {
    pub(super) script: &'s mut Script,
    pub(super) at: usize,
    pub(super) end: usize,
    pub(super) dialect: Dialect,
    /// The command that what is read now stands in.
    pub(super) parent: Option<CommandId>,
    pub(super) depth: u8,
    pub(super) via: Via,
    pub(super) subshell: u32,
    pub(super) subshell_depth: u32,
    pub(super) subshells: u32,
    pub(super) groups: Vec<Group>,
    pub(super) heredocs: Vec<Pending>,
    /// A function whose body comes next.
    pub(super) function: Option<usize>,
}

/// Where the unfinished parts of a command begin in the scratch stacks.
struct Bases {
    words: usize,
    redirects: usize,
    assignments: usize,
}

impl<'s> Parser<'s> {
    pub(super) fn new(script: &'s mut Script, span: Span, dialect: Dialect) -> Parser<'s> {
        Parser {
            script,
            at: span.begin as usize,
            end: span.end as usize,
            dialect,
            parent: None,
            depth: 0,
            via: Via::default(),
            subshell: 0,
            subshell_depth: 0,
            subshells: 0,
            groups: Vec::new(),
            heredocs: Vec::new(),
            function: None,
        }
    }

    /// Reads all of it.
    pub(super) fn run(&mut self) {
        self.list(Until::End);
    }

    /// Reads commands until the end, or past the parenthesis that closes the list.
    pub(super) fn list(&mut self, until: Until) {
        let base = self.groups.len();
        let mut flow = Flow::new(self.next_id());
        while let Some(byte) = self.blanks_and_peek() {
            if self.script.commands.len() >= MAX_COMMANDS {
                self.script.is_cut = true;
                self.at = self.end;
                break;
            }
            match byte {
                b'\n' | b';' | b'&' | b'|' if !self.is_at(b"&>") => {
                    self.separator(byte, base, &mut flow);
                }
                b'(' if self.is_at(b"((") => self.skip_arithmetic_command(),
                b'(' => {
                    self.at += 1;
                    self.open_subshell(&mut flow);
                }
                b')' => {
                    self.at += 1;
                    if !self.close_subshell(base, &mut flow) && until == Until::Parenthesis {
                        break;
                    }
                }
                b'#' => self.skip_line(),
                _ => self.command(base, &mut flow),
            }
        }
        self.groups.truncate(base);
    }

    /// Reads a simple command, or the keywords before it.
    fn command(&mut self, base: usize, flow: &mut Flow) {
        let before = self.at;
        if self.keyword(base, flow) {
            return;
        }
        let id = self.begin_command(flow);
        let bases = self.bases();
        let outer = self.parent.replace(id);
        let mut end = self.at;
        let begin = self.at;
        while let Some(byte) = self.blanks_and_peek() {
            let has_words = self.script.scratch.words.len() > bases.words;
            match byte {
                b'<' | b'>' if self.is_process() => self.word(true),
                b'<' | b'>' => self.redirect(),
                b'&' if self.is_at(b"&>") => self.redirect(),
                b'0'..=b'9' if self.has_descriptor() => self.redirect(),
                b'(' if has_words && self.define_function(bases.words) => break,
                b'\n' | b';' | b'&' | b'|' | b'(' | b')' => break,
                b'#' => self.skip_line(),
                _ if !has_words && self.assignment() => {}
                _ => self.word(true),
            }
            end = self.at;
        }
        self.parent = outer;
        self.finish_command(id, bases, Span { begin: begin as u32, end: end as u32 });
        // Whatever it is, it is not read again.
        if self.at == before {
            self.at += 1;
        }
    }

    fn begin_command(&mut self, flow: &Flow) -> CommandId {
        let id = self.next_id();
        self.script.commands.push(Command {
            input: flow.input,
            parent: self.parent,
            via: self.via,
            depth: self.depth,
            subshell: self.subshell,
            subshell_depth: self.subshell_depth,
            ..Command::default()
        });
        id
    }

    /// Moves what was read from the stacks to the lists.
    fn finish_command(&mut self, id: CommandId, bases: Bases, source: Span) {
        let script = &mut *self.script;
        let scratch = &mut script.scratch;
        let words = append(&mut script.words, &mut scratch.words, bases.words);
        let redirects = append(&mut script.redirects, &mut scratch.redirects, bases.redirects);
        let assignments =
            append(&mut script.assignments, &mut scratch.assignments, bases.assignments);
        let is_empty = words.is_empty() && redirects.is_empty() && assignments.is_empty();
        if is_empty && script.commands.len() == id as usize + 1 {
            script.commands.pop();
            return;
        }
        let command = &mut script.commands[id as usize];
        *command = Command { source, words, redirects, assignments, ..*command };
        self.note_declarations(words);
    }

    /// `export NAME=value` and the like set a variable, too.
    fn note_declarations(&mut self, words: Span) {
        let Some(first) = self.script.words[words.range()].first() else { return };
        let program = self.script.value(first);
        if !matches!(program, "export" | "declare" | "local" | "readonly" | "typeset" | "alias") {
            return;
        }
        for at in words.range().skip(1) {
            let word = self.script.words[at];
            let Some(equals) = self.script.value(&word).find('=') else { continue };
            let value_begin = word.value.begin + equals as u32;
            let name = Span { begin: word.value.begin, end: value_begin };
            let value = Span { begin: value_begin + 1, end: word.value.end };
            self.script.set_variable(name, Word { value, ..word });
        }
    }

    /// `NAME=value`, `NAME+=value`, `NAME=(a b)` at this place.
    fn assignment(&mut self) -> bool {
        let bytes = self.script.buffer.as_bytes();
        let name_bytes = name_length(&bytes[self.at..self.end]);
        let behind = &bytes[self.at + name_bytes..self.end];
        let operator_bytes = match behind {
            _ if name_bytes == 0 => return false,
            [b'=', ..] => 1,
            [b'+', b'=', ..] => 2,
            _ => return false,
        };
        let name = self.span(self.at, self.at + name_bytes);
        self.at += name_bytes + operator_bytes;
        let value = match self.peek() {
            Some(b'(') => self.array(),
            _ => self.single_word(),
        };
        self.script.set_variable(name, value);
        self.script.scratch.assignments.push(Assignment { name, value });
        true
    }

    /// The words of an array, joined.
    fn array(&mut self) -> Word {
        let begin = self.at;
        self.at += 1;
        let words = self.script.scratch.words.len();
        while let Some(byte) = self.blanks_and_peek() {
            match byte {
                b'\n' => self.at += 1,
                b'#' => self.skip_line(),
                b')' => {
                    self.at += 1;
                    break;
                }
                b';' | b'&' | b'|' | b'(' | b'<' | b'>' => break,
                _ => self.word(true),
            }
        }
        let source = self.span(begin, self.at);
        let mut script_words = Vec::new();
        script_words.extend(self.script.scratch.words.drain(words..));
        let value = self.script.join_values(&script_words).unwrap_or(source);
        let nested = script_words.iter().find_map(|word| word.nested);
        let flags = if nested.is_some() { Flags::OUTPUT } else { Flags::NONE };
        Word { source, value, flags, nested }
    }

    /// Whether digits here are a descriptor: an operator follows at once.
    fn has_descriptor(&self) -> bool {
        let bytes = &self.script.buffer.as_bytes()[self.at..self.end];
        let digits = bytes.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        digits < 4 && matches!(bytes.get(digits), Some(b'<' | b'>'))
    }

    fn redirect(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let (text, operator) = OPERATORS
            .iter()
            .find(|(text, _)| self.is_at(text.as_bytes()))
            .copied()
            .unwrap_or((">", Operator::Write));
        self.at += text.len();
        self.blanks_and_peek();
        let target = self.single_word();
        let is_descriptor = || {
            let value = self.script.value(&target);
            value == "-" || value.bytes().all(|byte| byte.is_ascii_digit())
        };
        // `>&file` writes both streams to a file.
        let operator = match operator {
            Operator::Duplicate if text == ">&" && !is_descriptor() => Operator::Write,
            operator => operator,
        };
        let body = (operator == Operator::Heredoc).then(|| self.expect_body(target, text == "<<-"));
        self.script.scratch.redirects.push(Redirect { operator, target, body });
    }

    fn bases(&self) -> Bases {
        let scratch = &self.script.scratch;
        Bases {
            words: scratch.words.len(),
            redirects: scratch.redirects.len(),
            assignments: scratch.assignments.len(),
        }
    }

    /// Reads a list in parentheses that begins here, behind the first; gives its first command.
    pub(super) fn nested_list(&mut self) -> Option<CommandId> {
        if self.depth >= MAX_DEPTH {
            self.script.is_cut = true;
            return None;
        }
        let first = self.next_id();
        let outer = (self.subshell, self.subshell_depth, self.function.take());
        self.enter_subshell();
        self.depth += 1;
        self.list(Until::Parenthesis);
        self.depth -= 1;
        (self.subshell, self.subshell_depth, self.function) = outer;
        (self.next_id() > first).then_some(first)
    }

    pub(super) fn enter_subshell(&mut self) {
        self.subshells += 1;
        self.subshell = self.subshells;
        self.subshell_depth += 1;
    }

    pub(super) fn next_id(&self) -> CommandId {
        self.script.commands.len() as CommandId
    }

    pub(super) fn span(&self, begin: usize, end: usize) -> Span {
        Span { begin: begin as u32, end: end as u32 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        (self.at < self.end).then(|| self.script.buffer.as_bytes()[self.at])
    }

    pub(super) fn is_at(&self, text: &[u8]) -> bool {
        self.script.buffer.as_bytes()[self.at..self.end].starts_with(text)
    }

    /// Whether `<(` or `>(` stands here.
    fn is_process(&self) -> bool {
        self.is_at(b"<(") || self.is_at(b">(")
    }

    /// Goes past blanks and continued lines.
    pub(super) fn blanks_and_peek(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.is_at(b"\\\n") => self.at += 2,
                b'\\' if self.is_at(b"\\\r\n") => self.at += 3,
                byte => return Some(byte),
            }
        }
    }

    pub(super) fn skip_line(&mut self) {
        let rest = &self.script.buffer.as_bytes()[self.at..self.end];
        self.at = memchr::memchr(b'\n', rest).map_or(self.end, |newline| self.at + newline);
    }
}

/// Longest first.
const OPERATORS: [(&str, Operator); 13] = [
    ("<<<", Operator::HereString),
    ("<<-", Operator::Heredoc),
    ("<<", Operator::Heredoc),
    ("<&", Operator::Duplicate),
    ("<>", Operator::ReadWrite),
    ("<", Operator::Read),
    ("&>>", Operator::Append),
    ("&>", Operator::Write),
    (">>", Operator::Append),
    (">&", Operator::Duplicate),
    (">|", Operator::Write),
    (">!", Operator::Write),
    (">", Operator::Write),
];

/// How long the variable's name is that the bytes begin with.
pub(super) fn name_length(bytes: &[u8]) -> usize {
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    match bytes.first() {
        Some(first) if first.is_ascii_digit() => 0,
        _ => bytes.iter().take_while(is_name).count(),
    }
}

fn append<T>(list: &mut Vec<T>, stack: &mut Vec<T>, base: usize) -> Span {
    let begin = list.len() as u32;
    list.extend(stack.drain(base..));
    Span { begin, end: list.len() as u32 }
}
