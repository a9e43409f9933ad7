//! What comes of reading: one buffer with the text and all that was derived from it, and flat lists of
//! the commands, words and redirections in it.

use super::Dialect;
use super::parser::Parser;

/// A place in the buffer of a [`Script`], in bytes. That of the text comes first, at 0.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// First byte.
    pub begin: u32,
    /// Behind the last byte.
    pub end: u32,
}

/// Consecutive entries of one of a script's lists.
pub type Ids = Span;

/// The number of a command in its script.
pub type CommandId = u32;

/// What is known of a word's characters beyond their value.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Flags(pub(super) u8);

impl Flags {
    /// A part of it was quoted.
    pub const QUOTED: Flags = Flags(1);
    /// `*`, `?`, `[` or `{` stand for more than themselves.
    pub const GLOB: Flags = Flags(1 << 1);
    /// It begins with a tilde that means a home.
    pub const TILDE: Flags = Flags(1 << 2);
    /// It contains a variable whose value is not known; that stands there as it is written.
    pub const UNKNOWN: Flags = Flags(1 << 3);
    /// It contains the output of a command, which stands there as it is written.
    pub const OUTPUT: Flags = Flags(1 << 4);
    /// It is the name of a pipe from or to a command: `<(…)`.
    pub const PROCESS: Flags = Flags(1 << 5);
    /// It was read without any of the above, as an operator's neighbour would be.
    pub const NONE: Flags = Flags(0);

    /// Whether all of `other` hold.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    pub fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These, but none of `other`.
    pub fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    pub(super) fn add(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// One word of a command.
#[derive(Copy, Clone, Debug)]
pub struct Word {
    /// As it is written.
    pub source: Span,
    /// Without quotes, and with the variables that are known.
    pub value: Span,
    /// What is known of it.
    pub flags: Flags,
    /// The first command whose output is in it.
    pub nested: Option<CommandId>,
}

/// What a redirection does.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Operator {
    /// `<`
    Read,
    /// `>`, `>|`, `&>`
    Write,
    /// `>>`, `&>>`
    Append,
    /// `<>`
    ReadWrite,
    /// `>&` and `<&` to a descriptor, or away from it.
    Duplicate,
    /// `<<`: the target is the line that ends the body.
    Heredoc,
    /// `<<<`: the target is the text.
    HereString,
}

/// A redirection.
#[derive(Copy, Clone, Debug)]
pub struct Redirect {
    /// What it does.
    pub operator: Operator,
    /// The file, descriptor, or text.
    pub target: Word,
    /// What a heredoc hands over: an entry of the script's bodies.
    pub(super) body: Option<u32>,
}

/// `NAME=value` before a command or alone.
#[derive(Copy, Clone, Debug)]
pub struct Assignment {
    /// The variable.
    pub name: Span,
    /// What it is set to.
    pub value: Word,
}

/// Through which wrappers a command is run.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Via(pub(super) u8);

impl Via {
    /// As another user.
    pub const SUDO: Via = Via(1);
    /// With words that come from xargs' or parallel's input.
    pub const XARGS: Via = Via(1 << 1);
    /// On what find finds.
    pub const FIND: Via = Via(1 << 2);
    /// On another machine.
    pub const SSH: Via = Via(1 << 3);
    /// In a container.
    pub const CONTAINER: Via = Via(1 << 4);
    /// As a text that a shell is given.
    pub const SHELL: Via = Via(1 << 5);
    /// By another language's program.
    pub const CODE: Via = Via(1 << 6);
    /// From a text that was decoded.
    pub const DECODED: Via = Via(1 << 7);

    /// Whether all of `other` hold.
    pub fn has(self, other: Via) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn with(self, other: Via) -> Via {
        Via(self.0 | other.0)
    }
}

/// A simple command: a program and its words.
#[derive(Copy, Clone, Debug, Default)]
pub struct Command {
    /// From its first character to its last.
    pub source: Span,
    /// Program and arguments.
    pub words: Ids,
    /// Its redirections.
    pub redirects: Ids,
    /// The assignments before it.
    pub assignments: Ids,
    /// The commands whose output it reads.
    pub input: Ids,
    /// The commands that it runs as a wrapper does.
    pub unwrapped: Ids,
    /// The command that it stands in or is run by.
    pub parent: Option<CommandId>,
    /// The wrappers around it.
    pub via: Via,
    /// How many commands it stands in.
    pub depth: u8,
    /// The subshell it is in; 0 is none.
    pub subshell: u32,
    /// How many subshells are around it.
    pub subshell_depth: u32,
    /// Where `code` is: the text that an interpreter of another language is given.
    pub code: Option<Span>,
}

/// A function that a script defines.
#[derive(Copy, Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Span,
    /// The commands in it; none if it never ends.
    pub body: Ids,
}

/// A variable that was set.
#[derive(Copy, Clone)]
pub(super) struct Variable {
    pub(super) name: Span,
    pub(super) value: Word,
}

/// How many pipes are followed back, and how many commands before each of them.
const MAX_PIPES: usize = 16;

/// A text that was read. Reused from text to text, it allocates nothing once its buffers have grown.
#[derive(Default)]
pub struct Script {
    pub(super) buffer: String,
    pub(super) commands: Vec<Command>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
    pub(super) assignments: Vec<Assignment>,
    pub(super) functions: Vec<Function>,
    pub(super) bodies: Vec<Span>,
    pub(super) variables: Vec<Variable>,
    pub(super) scratch: Scratch,
    pub(super) parsed: u32,
    pub(super) derived_bytes: usize,
    pub(super) is_cut: bool,
    /// How much of the buffer is the text itself; what was derived from it is behind that.
    pub(super) text_bytes: u32,
}

/// What a parser needs while commands are unfinished: stacks, since they lie in each other.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) text: String,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
    pub(super) assignments: Vec<Assignment>,
}

impl Script {
    /// Reads a text in the place of what was read before.
    pub fn read(&mut self, text: &str, dialect: Dialect) {
        self.clear();
        let read_bytes = text.floor_char_boundary(super::MAX_BYTES.min(text.len()));
        self.is_cut = read_bytes < text.len();
        let text = &text[..read_bytes];
        self.buffer.push_str(text);
        let whole = Span { begin: 0, end: text.len() as u32 };
        Parser::new(self, whole, dialect).run();
        self.parsed = self.commands.len() as u32;
        self.text_bytes = text.len() as u32;
        self.unwrap_all(dialect);
    }

    /// Whether a limit was reached, so that a part of the text was not read or not followed.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// All commands: those of the text first, in its order, then those that wrappers run.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The commands that the text itself has; the others are reached over [`Command::unwrapped`].
    pub fn outer_commands(&self) -> Ids {
        Span { begin: 0, end: self.parsed }
    }

    /// The command with this number.
    ///
    /// # Panics
    ///
    /// If it is another script's, which is longer.
    pub fn command(&self, id: CommandId) -> &Command {
        &self.commands[id as usize]
    }

    /// A command's program and arguments.
    pub fn words(&self, command: &Command) -> &[Word] {
        &self.words[command.words.range()]
    }

    /// A command's redirections.
    pub fn redirects(&self, command: &Command) -> &[Redirect] {
        &self.redirects[command.redirects.range()]
    }

    /// What is set before a command.
    pub fn assignments(&self, command: &Command) -> &[Assignment] {
        &self.assignments[command.assignments.range()]
    }

    /// The functions that are defined.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// What a heredoc hands over.
    pub fn body(&self, redirect: &Redirect) -> Option<&str> {
        redirect.body.map(|id| self.text(self.bodies[id as usize]))
    }

    /// The characters at a place.
    pub fn text(&self, span: Span) -> &str {
        &self.buffer[span.range()]
    }

    /// From the first command whose output a command reads to its own end, over all pipes between, as far as these
    /// stand in the text itself.
    pub fn pipeline(&self, command: &Command) -> Span {
        let mut whole = command.source;
        let mut first = *command;
        for _ in 0..MAX_PIPES {
            let inputs = first.input.range().take(MAX_PIPES).map(|id| self.commands[id]);
            let before = inputs.filter(|it| it.source.begin < whole.begin);
            let Some(input) = before.min_by_key(|it| it.source.begin) else { break };
            whole.begin = input.source.begin;
            first = input;
        }
        if whole.end <= self.text_bytes { whole } else { command.source }
    }

    /// A word without its quotes.
    pub fn value(&self, word: &Word) -> &str {
        self.text(word.value)
    }

    /// The name of a command's program, without its folder.
    pub fn program(&self, command: &Command) -> Option<&str> {
        self.words(command).first().map(|word| super::program_name(self.value(word)))
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.commands.clear();
        self.words.clear();
        self.redirects.clear();
        self.assignments.clear();
        self.functions.clear();
        self.bodies.clear();
        self.variables.clear();
        self.derived_bytes = 0;
        self.is_cut = false;
    }
}

impl Span {
    /// The same as a range.
    pub fn range(self) -> std::ops::Range<usize> {
        self.begin as usize..self.end as usize
    }

    /// How much it spans.
    pub fn len(self) -> usize {
        (self.end - self.begin) as usize
    }

    /// Whether it spans nothing.
    pub fn is_empty(self) -> bool {
        self.begin == self.end
    }
}
