//! What wrappers run: `sudo`, `xargs`, `find -exec`, `sh -c`, `ssh`, `docker exec` and their like each
//! get the commands that they lead to, read in their turn.

use super::given::is_given_some;
use super::names::{is_interpreter, is_shell};
use super::script::{Assignment, Command, CommandId, Ids, Script, Span, Via, Word};
use super::wrappers::{CONTAINER_OPTIONS, Wrapper, subcommand, takes_next, wrapper};
use super::{Dialect, MAX_COMMANDS, MAX_DEPTH, program_name};

impl Script {
    /// Follows all commands, and those that come of it.
    pub(super) fn unwrap_all(&mut self, dialect: Dialect) {
        let mut at = 0;
        while at < self.commands.len() {
            let begin = self.commands.len() as u32;
            self.unwrap(at as CommandId, dialect);
            self.commands[at].unwrapped = Ids { begin, end: self.commands.len() as u32 };
            at += 1;
        }
    }

    fn unwrap(&mut self, id: CommandId, dialect: Dialect) {
        let command = self.commands[id as usize];
        let Some(&first) = self.words[command.words.range()].first() else { return };
        // `$(echo rm) -rf x`
        if first.nested.is_some() && command.words.len() > 1 {
            self.unwrap_printed(id, first, dialect);
        }
        self.see_through_echo(id);
        let name = program_name(self.text(first.value));
        if !command.assignments.is_empty() || is_given_some(name) {
            let name = name.to_owned();
            self.read_given(id, &name);
        }
        let name = program_name(self.text(first.value));
        if let Some((wrapper, begin)) = self.subcommand(&command, name) {
            return self.unwrap_from(id, &wrapper, begin, dialect);
        }
        if !may_run_others(name) {
            return;
        }
        let (wrapper, is_shell) = (wrapper(name), is_shell(name));
        if command.depth >= MAX_DEPTH {
            self.is_cut = true;
            return;
        }
        if let Some(wrapper) = wrapper {
            return self.unwrap_wrapper(id, &wrapper, dialect);
        }
        if is_shell {
            return self.unwrap_shell(id);
        }
        if is_interpreter(name) {
            return self.unwrap_interpreter(id);
        }
        match name {
            "find" | "fd" => self.unwrap_find(id),
            "eval" => self.unwrap_joined(id, 1, Via::SHELL, dialect),
            "trap" => self.unwrap_argument(id, 1, dialect),
            "source" | "." => self.unwrap_argument_output(id, 1),
            "su" | "runuser" | "script" => self.unwrap_option(id, &["-c", "--command"], dialect),
            "docker" | "podman" | "nerdctl" | "kubectl" | "oc" => self.unwrap_container(id),
            "cmd" => self.unwrap_after(id, &["/c", "/C", "/k", "/K"]),
            "powershell" | "pwsh" => {
                self.unwrap_after(id, &["-Command", "-command", "-c", "-C"]);
            }
            "alias" => self.unwrap_aliases(id, dialect),
            _ => {}
        }
    }

    /// What is known of a program that runs others only behind some of its first words (`uv run`), and where the
    /// words behind those begin.
    fn subcommand(&self, command: &Command, name: &str) -> Option<(Wrapper, usize)> {
        let words = &self.words[command.words.range()];
        let known = subcommand(name)?;
        let first = self.first_operand(command, 1, known.valued);
        let (_, second, wrapper) = known
            .words
            .iter()
            .find(|(it, ..)| words.get(first).is_some_and(|word| self.value(word) == *it))?;
        let is_next = |word: &Word| self.value(word) == *second;
        match *second {
            "" => Some((*wrapper, first + 1)),
            _ => words.get(first + 1).is_some_and(is_next).then_some((*wrapper, first + 2)),
        }
    }

    /// The wrapper's operands are the command.
    fn unwrap_wrapper(&mut self, id: CommandId, wrapper: &Wrapper, dialect: Dialect) {
        let command = self.commands[id as usize];
        if self.is_query(&command) {
            return;
        }
        let split = self.split_string(&command);
        if let Some(span) = split {
            return self.read_derived(id, span, wrapper.via, dialect);
        }
        self.unwrap_from(id, wrapper, 1, dialect);
    }

    /// The command is among the words from `begin` on.
    fn unwrap_from(&mut self, id: CommandId, wrapper: &Wrapper, begin: usize, dialect: Dialect) {
        let command = self.commands[id as usize];
        let mut at = self.first_operand(&command, begin, wrapper.valued) + wrapper.skipped;
        let separator = self.words[command.words.range()]
            .iter()
            .skip(begin)
            .position(|word| wrapper.separates && self.value(word) == "--");
        if let Some(separator) = separator {
            at = begin + separator + 1;
        }
        let words = &self.words[command.words.range()];
        if wrapper.skipped > 0 && words.get(at).is_some_and(|word| self.value(word) == "--") {
            at += 1;
        }
        let assignments = self.assignments.len() as u32;
        while wrapper.takes_assignments && self.note_assignment(&command, at) {
            at += 1;
        }
        if at >= command.words.len() {
            return;
        }
        if wrapper.joins {
            return self.unwrap_joined(id, at, wrapper.via, dialect);
        }
        let words = Ids { begin: command.words.begin + at as u32, ..command.words };
        let assignments = Ids { begin: assignments, end: self.assignments.len() as u32 };
        self.add(id, words, assignments, wrapper.via);
    }

    /// `env -S 'x y'`, `flock x -c 'x y'`
    fn split_string(&self, command: &Command) -> Option<Span> {
        let words = &self.words[command.words.range()];
        let program = program_name(self.value(&words[0]));
        let option = match program {
            "env" => "-S",
            "flock" => "-c",
            _ => return None,
        };
        let at = words.iter().position(|word| self.value(word) == option)?;
        words.get(at + 1).map(|word| word.value)
    }

    /// `command -v x` asks where x is.
    fn is_query(&self, command: &Command) -> bool {
        let words = &self.words[command.words.range()];
        let is_option = |word: &Word| matches!(self.value(word), "-v" | "-V");
        self.value(&words[0]) == "command" && words.get(1).is_some_and(is_option)
    }

    fn note_assignment(&mut self, command: &Command, at: usize) -> bool {
        let Some(&word) = self.words[command.words.range()].get(at) else { return false };
        let value = self.value(&word);
        let name = super::parser::name_length(value.as_bytes());
        if name == 0 || value.as_bytes().get(name) != Some(&b'=') {
            return false;
        }
        let Span { begin, end } = word.value;
        let name_end = begin + name as u32;
        self.assignments.push(Assignment {
            name: Span { begin, end: name_end },
            value: Word { value: Span { begin: name_end + 1, end }, ..word },
        });
        true
    }

    /// `-exec … ;`, `-exec … +` and their like.
    fn unwrap_find(&mut self, id: CommandId) {
        let command = self.commands[id as usize];
        let words = command.words;
        let mut at = words.begin + 1;
        while at < words.end {
            let value = self.value(&self.words[at as usize]);
            let is_exec = matches!(
                value,
                "-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X" | "--exec" | "--exec-batch"
            );
            at += 1;
            if !is_exec {
                continue;
            }
            let rest = &self.words[at as usize..words.end as usize];
            let length = rest.iter().position(|word| matches!(self.value(word), ";" | "+"));
            let end = at + length.unwrap_or(rest.len()) as u32;
            self.add(id, Ids { begin: at, end }, Ids::default(), Via::FIND);
            at = end;
        }
    }

    /// `docker exec NAME x`, `docker compose run NAME x`, `kubectl exec NAME -- x`
    fn unwrap_container(&mut self, id: CommandId) {
        let command = self.commands[id as usize];
        let words = &self.words[command.words.range()];
        let mut at = self.first_operand(&command, 1, CONTAINER_OPTIONS);
        if words.get(at).is_some_and(|word| matches!(self.value(word), "compose" | "container")) {
            at = self.first_operand(&command, at + 1, CONTAINER_OPTIONS);
        }
        if !words.get(at).is_some_and(|word| matches!(self.value(word), "exec" | "run")) {
            return;
        }
        let is_separator = |word: &Word| self.value(word) == "--";
        let begin = match words.iter().position(is_separator) {
            Some(separator) => separator + 1,
            None => self.first_operand(&command, at + 1, CONTAINER_OPTIONS) + 1,
        };
        if begin < words.len() {
            let words = Ids { begin: command.words.begin + begin as u32, ..command.words };
            self.add(id, words, Ids::default(), Via::CONTAINER);
        }
    }

    fn unwrap_joined(&mut self, id: CommandId, at: usize, via: Via, dialect: Dialect) {
        let command = self.commands[id as usize];
        let words = Ids { begin: command.words.begin + at as u32, ..command.words };
        if at == 1
            && words.len() == 1
            && let Some(word) = self.words.get(words.begin as usize).copied()
        {
            return self.read_word(id, &word, via, dialect);
        }
        if let Some(span) = (at < command.words.len()).then(|| self.join(words)).flatten() {
            self.read_derived(id, span, via, dialect);
        }
    }

    fn unwrap_argument(&mut self, id: CommandId, at: usize, dialect: Dialect) {
        let command = self.commands[id as usize];
        if let Some(word) = self.words[command.words.range()].get(at).copied() {
            self.read_word(id, &word, Via::SHELL, dialect);
        }
    }

    fn unwrap_argument_output(&mut self, id: CommandId, at: usize) {
        let command = self.commands[id as usize];
        if let Some(word) = self.words[command.words.range()].get(at).copied() {
            self.read_output(id, &word);
        }
    }

    /// The value of an option is the command.
    fn unwrap_option(&mut self, id: CommandId, options: &[&str], dialect: Dialect) {
        let command = self.commands[id as usize];
        let words = &self.words[command.words.range()];
        let option = words.iter().position(|word| options.contains(&self.value(word)));
        if let Some(option) = option {
            self.unwrap_argument(id, option + 1, dialect);
        }
    }

    /// What stands behind an option is a command for Windows' shells.
    fn unwrap_after(&mut self, id: CommandId, options: &[&str]) {
        let command = self.commands[id as usize];
        let words = &self.words[command.words.range()];
        if let Some(at) = words.iter().position(|word| options.contains(&self.value(word))) {
            self.unwrap_joined(id, at + 1, Via::SHELL, Dialect::Windows);
        }
    }

    fn unwrap_aliases(&mut self, id: CommandId, dialect: Dialect) {
        let command = self.commands[id as usize];
        for at in command.words.range().skip(1) {
            let word = self.words[at];
            let Some(equals) = self.value(&word).find('=') else { continue };
            let span = Span { begin: word.value.begin + equals as u32 + 1, ..word.value };
            self.read_derived(id, span, Via::SHELL, dialect);
        }
    }

    /// The program's name is what a command prints.
    fn unwrap_printed(&mut self, id: CommandId, first: Word, dialect: Dialect) {
        let command = self.commands[id as usize];
        let Some((span, via)) = self.output_text(&first) else { return };
        let base = self.scratch.text.len();
        let rest = Ids { begin: command.words.begin + 1, ..command.words };
        let Some(rest) = self.join(rest) else { return };
        for part in [span, rest] {
            let Script { scratch, buffer, .. } = &mut *self;
            scratch.text.push_str(&buffer[part.range()]);
            scratch.text.push(' ');
        }
        if let Some(span) = self.store_scratch(base) {
            self.read_derived(id, span, via.with(Via::SHELL), dialect);
        }
    }

    /// Notes that some of a command's words are a command of their own.
    pub(super) fn add(&mut self, id: CommandId, words: Ids, assignments: Ids, via: Via) {
        let command = self.commands[id as usize];
        if words.is_empty() {
            return;
        }
        if command.depth >= MAX_DEPTH || self.commands.len() >= MAX_COMMANDS {
            self.is_cut = true;
            return;
        }
        let first = self.words[words.begin as usize].source;
        let last = self.words[words.end as usize - 1].source;
        let source = Span { begin: first.begin.min(last.begin), end: first.end.max(last.end) };
        self.commands.push(Command {
            source,
            words,
            assignments,
            parent: Some(id),
            via: command.via.with(via),
            depth: command.depth + 1,
            unwrapped: Ids::default(),
            code: None,
            ..command
        });
    }

    /// Where, from the word `at` on, the first one is that is no option and no option's value.
    fn first_operand(&self, command: &Command, mut at: usize, valued: &str) -> usize {
        let words = &self.words[command.words.range()];
        while let Some(word) = words.get(at) {
            let value = self.value(word);
            if value == "--" {
                return at + 1;
            }
            if !value.starts_with('-') || value.len() < 2 {
                return at;
            }
            at += if takes_next(value, valued) { 2 } else { 1 };
        }
        at.min(words.len())
    }
}

/// Whether a program can be one that leads to other commands: most are told by their first letter.
fn may_run_others(name: &str) -> bool {
    wrapper_initials(name)
        && (wrapper(name).is_some() || is_shell(name) || is_interpreter(name) || is_other(name))
}

fn wrapper_initials(name: &str) -> bool {
    !matches!(
        name,
        "cargo"
            | "git"
            | "ls"
            | "cd"
            | "cat"
            | "echo"
            | "grep"
            | "rg"
            | "sed"
            | "npm"
            | "make"
            | "head"
            | "tail"
            | "mkdir"
            | "pytest"
            | "go"
    )
}

fn is_other(name: &str) -> bool {
    matches!(
        name,
        "find"
            | "fd"
            | "eval"
            | "trap"
            | "source"
            | "."
            | "su"
            | "runuser"
            | "script"
            | "docker"
            | "podman"
            | "nerdctl"
            | "kubectl"
            | "oc"
            | "cmd"
            | "powershell"
            | "pwsh"
            | "alias"
    )
}
