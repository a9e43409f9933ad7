//! Where what a command reads, or runs, comes from: pipes, substitutions, redirections.

use super::arguments::{Finder, Role, View, sort};
use super::compile::{Access, Source};
use super::files::uses;
use super::pattern::has_secret_variable;
use super::rules::Rules;
use crate::shell::{Command, CommandId, Flags, Operator, Script};

/// How many pipes are followed.
const MAX_STEPS: u8 = 6;

/// Commands that are looked at, at each of them.
const MAX_COMMANDS: usize = 16;

/// Commands that are looked at in all.
const MAX_VISITS: u32 = 64;

/// Words of each of them.
const MAX_WORDS: usize = 64;

/// Whether something that a command reads is from there. `is_code`: only what it runs.
pub(super) fn comes_from(
    view: &mut View<'_>,
    rules: &Rules,
    source: &Source,
    is_code: bool,
) -> bool {
    let mut search =
        Search { script: view.script, rules, source, finder: &mut view.finder, visits: MAX_VISITS };
    let takes_input = !is_code || runs_its_input(view.script, view.command);
    if takes_input && search.is_piped(view.command, MAX_STEPS) {
        return true;
    }
    let redirects = view.script.redirects(view.command);
    let reads = |operator| matches!(operator, Operator::Read | Operator::HereString);
    redirects.iter().filter(|it| takes_input && reads(it.operator)).any(|redirect| {
        let target = &redirect.target;
        search.is_nested(target.nested)
            || (redirect.operator == Operator::Read && search.is_file(target))
    }) || view.arguments.iter().any(|argument| {
        let has_commands =
            argument.word.flags.has(Flags::OUTPUT) || argument.word.flags.has(Flags::PROCESS);
        has_commands && search.is_nested(argument.word.nested)
    })
}

/// Whether a shell or interpreter takes its code from its standard input.
fn runs_its_input(script: &Script, command: &Command) -> bool {
    let program = script.program(command).unwrap_or_default();
    let is_shell = program.ends_with("sh");
    for word in script.words(command).iter().skip(1) {
        let value = script.value(word);
        match value {
            "-" | "/dev/stdin" | "-s" => return true,
            "--" => {}
            _ if !value.starts_with('-') => return false,
            _ if value.starts_with("--") => {
                if matches!(value, "--version" | "--help" | "--eval" | "--print") {
                    return false;
                }
            }
            _ if is_shell && value.contains('s') => return true,
            _ if is_shell && value.contains('c') => return false,
            _ if !is_shell && value.contains(['c', 'e', 'm', 'E', 'r', 'p', 'n', 'v', 'V']) => {
                return false;
            }
            _ => {}
        }
    }
    true
}

struct Search<'s, 'f, 'r> {
    script: &'s Script,
    rules: &'r Rules,
    source: &'r Source,
    finder: &'s mut Finder<'f>,
    /// How many more.
    visits: u32,
}

impl Search<'_, '_, '_> {
    fn is_piped(&mut self, command: &Command, steps: u8) -> bool {
        let Some(steps) = steps.checked_sub(1).filter(|_| self.visits > 0) else { return false };
        let ids = command.input.range().rev().take(MAX_COMMANDS);
        for id in ids {
            let from = *self.script.command(id as CommandId);
            if self.is_source(&from) || self.is_piped(&from, steps) {
                return true;
            }
        }
        false
    }

    /// Whether one of the commands in a substitution is a source.
    fn is_nested(&mut self, first: Option<CommandId>) -> bool {
        let Some(first) = first else { return false };
        let depth = self.script.command(first).depth;
        let commands = &self.script.commands()[first as usize..];
        let nested = commands.iter().take_while(|command| command.depth >= depth);
        nested.take(MAX_COMMANDS).any(|command| self.is_source(command))
    }

    fn is_source(&mut self, command: &Command) -> bool {
        self.is_source_itself(command)
            || command.unwrapped.range().take(MAX_COMMANDS).any(|id| {
                let inner = *self.script.command(id as CommandId);
                self.is_source_itself(&inner)
                    || inner.unwrapped.range().take(MAX_COMMANDS).any(|id| {
                        self.is_source_itself(&self.script.command(id as CommandId).clone())
                    })
            })
    }

    fn is_source_itself(&mut self, command: &Command) -> bool {
        let Some(visits) = self.visits.checked_sub(1) else { return false };
        self.visits = visits;
        let Some(program) = self.script.program(command) else { return false };
        if self.source.names(program) {
            // `env x` runs x, and `command -v x` prints a path.
            return program != "env" || self.script.words(command).len() == 1;
        }
        let words = self.script.words(command);
        if self.source.has_secret_variable && matches!(program, "echo" | "printf" | "printenv") {
            let is_secret = |text: &str| has_secret_variable(text);
            if words
                .iter()
                .any(|it| it.flags.has(Flags::UNKNOWN) && is_secret(self.script.value(it)))
            {
                return true;
            }
        }
        if self.source.sets == 0 {
            return false;
        }
        let reads = |it: &crate::shell::Redirect| it.operator == Operator::Read;
        if self
            .script
            .redirects(command)
            .iter()
            .filter(|it| reads(it))
            .any(|it| self.is_file(&it.target))
        {
            return true;
        }
        let spec = self.rules.program(program).and_then(|program| program.spec);
        let Some(spec) = spec.filter(|spec| spec.files.is_some()) else { return false };
        let mut arguments = Vec::new();
        sort(self.script, command, Some(spec), MAX_WORDS, &mut arguments);
        let operands = arguments.iter().filter(|it| it.role == Role::Operand).count();
        let mut number = 0;
        arguments.iter().filter(|it| it.role == Role::Operand).any(|argument| {
            let access = uses(spec, number, operands, false);
            number += 1;
            access.is_some_and(|it| it != Access::Write) && self.is_file(&argument.word)
        })
    }

    fn is_file(&mut self, word: &crate::shell::Word) -> bool {
        let place = self.finder.place(self.script.value(word), word.flags);
        place.sets & self.source.sets != 0 || place.kinds.meets(self.source.kinds)
    }
}
