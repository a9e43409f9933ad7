//! What shells and other languages' programs are given to run: `-c` and its like, standard input, and
//! what other commands print.

use super::parser::Parser;
use super::script::{CommandId, Flags, Script, Span, Via, Word};
use super::{Dialect, MAX_DEPTH, program_name};

impl Script {
    /// A shell runs `-c`'s value, the script that it is given, or its standard input.
    pub(super) fn unwrap_shell(&mut self, id: CommandId) {
        let command = self.commands[id as usize];
        let words = self.words[command.words.range()].to_vec();
        let mut has_code = false;
        let mut at = 1;
        while let Some(word) = words.get(at) {
            let value = self.value(word);
            if value == "-" || !value.starts_with(['-', '+']) {
                break;
            }
            has_code |= !value.starts_with("--") && value.starts_with('-') && value.contains('c');
            let has_value = matches!(value, "-o" | "+o" | "-O" | "+O" | "--rcfile" | "--init-file");
            at += if has_value { 2 } else { 1 };
            if value == "--" || value == "-s" {
                break;
            }
        }
        match words.get(at).copied() {
            Some(word) if has_code => self.read_word(id, &word, Via::SHELL, Dialect::Posix),
            Some(word) if word.nested.is_some() => self.read_output(id, &word),
            Some(word) if !matches!(self.value(&word), "-" | "/dev/stdin") => {}
            _ => self.read_input(id),
        }
    }

    /// Code of another language is looked through for commands.
    pub(super) fn unwrap_interpreter(&mut self, id: CommandId) {
        let command = self.commands[id as usize];
        let words = self.words[command.words.range()].to_vec();
        let name = program_name(self.value(&words[0])).to_owned();
        let is_awk = name.ends_with("awk");
        let mut code = None;
        let mut has_script = false;
        for (at, word) in words.iter().enumerate().skip(1) {
            let value = self.value(word);
            let is_code = match name.as_str() {
                "python" => {
                    value.starts_with('-') && !value.starts_with("--") && value.ends_with('c')
                }
                "php" => value == "-r",
                "deno" => value == "eval",
                _ => is_code_option(value),
            };
            if is_code && !is_awk {
                code = words.get(at + 1).copied();
                break;
            }
            if !value.starts_with('-') {
                has_script = true;
                code = is_awk.then_some(*word);
                break;
            }
            // What comes behind a module's name is the module's.
            if name == "python" && value == "-m" {
                return;
            }
        }
        let span = match code {
            Some(word) => Some(word.value),
            None if has_script => None,
            None => self.input_text(id).map(|(span, _)| span),
        };
        if let Some(span) = span {
            self.commands[id as usize].code = Some(span);
            self.read_code(id, span, matches!(name.as_str(), "perl" | "ruby" | "php"));
        }
    }

    /// Reads a word as code, or what the command in it prints.
    pub(super) fn read_word(&mut self, id: CommandId, word: &Word, via: Via, dialect: Dialect) {
        if word.flags.has(Flags::OUTPUT) || word.flags.has(Flags::PROCESS) {
            self.read_output(id, word);
            // The commands in it were read with the word.
            if self.text(word.value).starts_with(['$', '`', '<']) {
                return;
            }
        }
        self.read_derived(id, word.value, via, dialect);
    }

    pub(super) fn read_output(&mut self, id: CommandId, word: &Word) {
        if let Some((span, via)) = self.output_text(word) {
            self.read_derived(id, span, via.with(Via::SHELL), Dialect::Posix);
        }
    }

    fn read_input(&mut self, id: CommandId) {
        if let Some((span, via)) = self.input_text(id) {
            self.read_derived(id, span, via.with(Via::SHELL), Dialect::Posix);
        }
    }

    /// Reads a span of the buffer as commands that this one runs.
    pub(super) fn read_derived(&mut self, id: CommandId, span: Span, via: Via, dialect: Dialect) {
        let command = self.commands[id as usize];
        if command.depth >= MAX_DEPTH || !self.take_derived(span.len()) {
            self.is_cut = true;
            return;
        }
        let mut parser = Parser::new(self, span, dialect);
        parser.parent = Some(id);
        parser.depth = command.depth + 1;
        parser.via = command.via.with(via);
        parser.subshell = command.subshell;
        parser.subshell_depth = command.subshell_depth + 1;
        parser.run();
    }
}

fn is_code_option(value: &str) -> bool {
    match value {
        "-e" | "-E" | "-p" | "--eval" | "--print" => true,
        // `perl -ne`, `ruby -rsocket` is none
        _ => {
            value.starts_with('-')
                && !value.starts_with("--")
                && value.len() <= 5
                && value.ends_with(['e', 'E'])
        }
    }
}
