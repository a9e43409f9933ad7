//! Whether a command is what a rule is about.

use super::arguments::{Role, View};
use super::compile::Rule;
use super::files::is_remote;
use super::glob;
use super::input::comes_from;
use super::pattern::{Prefix, Test, has_secret_variable};
use super::place::Kinds;
use super::rules::Rules;
use crate::shell::{Flags, Operator, Script, Via};

/// What is looked at of each text that is piped into a command.
const MAX_PIPED_BYTES: usize = 1024;

/// Whether all that a rule says of a command holds.
pub(super) fn meets(rule: &Rule, view: &mut View<'_>, rules: &Rules) -> bool {
    if !rule.via.is_empty() && !rule.via.iter().any(|via| view.command.via.has(*via)) {
        return false;
    }
    if rule.is_bare && !view.arguments.is_empty() {
        return false;
    }
    let Some(subcommands) = subcommand_length(rule, view) else { return false };
    let has_any =
        |flags: &[Box<str>], view: &View<'_>| flags.iter().any(|flag| view.has_flag(flag));
    rule.flags.iter().all(|flags| has_any(flags, view))
        && !has_any(&rule.without, view)
        && rule.operands.iter().all(|tests| has_operand(tests, view, subcommands))
        && rule.arguments.iter().all(|tests| has_argument(tests, view))
        && (rule.redirects.is_empty() || is_redirected(rule, view))
        && (rule.variables.is_empty() || sets_variable(rule, view))
        && (rule.statements.is_empty() || has_statement(rule, view))
        && (rule.code.is_empty() || has_code(rule, view))
        && rule.input.as_ref().is_none_or(|it| comes_from(view, rules, it, false))
        && rule.code_input.as_ref().is_none_or(|it| comes_from(view, rules, it, true))
}

/// Whether one of a command's variables is the rule's.
pub(super) fn sets_variable(rule: &Rule, view: &View<'_>) -> bool {
    view.script.assignments(view.command).iter().any(|assignment| {
        let name = view.script.text(assignment.name);
        rule.variables.iter().any(|it| glob::matches(it, name))
    }) || declares_variable(rule, view)
}

/// `export NAME=value`
fn declares_variable(rule: &Rule, view: &View<'_>) -> bool {
    let program = view.script.program(view.command);
    matches!(program, Some("export" | "declare" | "typeset"))
        && view.arguments.iter().any(|argument| {
            let assignment = view.text(&argument.word).split_once('=');
            assignment
                .is_some_and(|(name, _)| rule.variables.iter().any(|it| glob::matches(it, name)))
        })
}

/// Whether a redirection leads where the rule says.
pub(super) fn is_redirected(rule: &Rule, view: &mut View<'_>) -> bool {
    let redirects = view.script.redirects(view.command);
    redirects.iter().any(|redirect| {
        let access = super::files::redirected(redirect.operator);
        access.is_some_and(|access| rule.access.allows(access)) && {
            let (text, flags) = (view.script.value(&redirect.target), redirect.target.flags);
            rule.redirects.iter().any(|test| is_met(test, text, flags, view))
        }
    })
}

/// How many operands the subcommand takes up; `None` if it is none of the rule's.
fn subcommand_length(rule: &Rule, view: &View<'_>) -> Option<usize> {
    if rule.subcommands.is_empty() {
        return Some(0);
    }
    let is_it = |words: &&Vec<Box<str>>| {
        let mut operands = view.operands();
        words.iter().all(|word| {
            operands.next().is_some_and(|at| view.text(&view.arguments[at].word) == &**word)
        })
    };
    rule.subcommands.iter().find(is_it).map(Vec::len)
}

fn has_operand(tests: &[Test], view: &mut View<'_>, skipped: usize) -> bool {
    let mut number = 0;
    for at in 0..view.arguments.len() {
        if view.arguments[at].role != Role::Operand {
            continue;
        }
        number += 1;
        if number > skipped && tests.iter().any(|test| is_argument_met(test, view, at)) {
            return true;
        }
    }
    // xargs adds operands that nobody sees.
    let is_unseen = |test: &Test| matches!(test, Test::Place(Prefix::None, kinds, _) if kinds.meets(Kinds::UNSEEN));
    view.command.via.has(Via::XARGS) && tests.iter().any(is_unseen)
}

fn has_argument(tests: &[Test], view: &mut View<'_>) -> bool {
    (0..view.arguments.len()).any(|at| tests.iter().any(|test| is_argument_met(test, view, at)))
}

fn is_argument_met(test: &Test, view: &mut View<'_>, at: usize) -> bool {
    if let Test::Place(Prefix::None, kinds, sets) = test {
        if is_remote(view.text(&view.arguments[at].word)) {
            return false;
        }
        let place = view.place(at);
        return place.kinds.meets(*kinds) || place.sets & sets != 0;
    }
    let word = view.arguments[at].word;
    is_met(test, view.text(&word), word.flags, view)
}

fn is_met(test: &Test, text: &str, flags: Flags, view: &mut View<'_>) -> bool {
    match test {
        Test::Exact(exact) => **exact == *text,
        Test::Glob(pattern) => glob::matches(pattern, text),
        Test::Place(prefix, kinds, sets) => prefix.strip(text).is_some_and(|rest| {
            // A tilde behind something else is one for curl and its like only.
            let is_tilde = rest.starts_with('~');
            let flags = if is_tilde { Flags::TILDE } else { flags.without(Flags::TILDE) };
            let place = view.finder.place(rest, flags);
            place.kinds.meets(*kinds) || place.sets & sets != 0
        }),
        Test::Output => flags.has(Flags::OUTPUT),
        Test::SecretVariable => flags.has(Flags::UNKNOWN) && has_secret_variable(text),
        Test::Remote => is_remote(text) && !text.contains("://"),
        Test::Address => text.contains("://"),
    }
}

/// Looks through the arguments, and what the command is given to read.
fn has_statement(rule: &Rule, view: &View<'_>) -> bool {
    let is_in = |text: &str| rule.statements.iter().any(|statement| statement.is_in(text));
    // `--execute=…`, `-e…`
    let behind_option = |text: &'_ str| match text.split_once('=') {
        Some((option, _)) if option.starts_with("--") => option.len() + 1,
        _ if text.starts_with('-') && text.is_char_boundary(2) => 2,
        _ => 0,
    };
    view.arguments.iter().any(|argument| {
        let text = view.text(&argument.word);
        is_in(&text[behind_option(text).min(text.len())..])
    }) || inputs(view.script, view).any(is_in)
}

fn has_code(rule: &Rule, view: &View<'_>) -> bool {
    let is_in = |text: &str| rule.code.iter().all(|part| text.contains(&**part));
    view.command.code.is_some_and(|code| is_in(view.script.text(code)))
        || view.arguments.iter().any(|argument| is_in(view.text(&argument.word)))
}

/// The texts that a command reads and that stand in the script.
fn inputs<'v>(script: &'v Script, view: &View<'v>) -> impl Iterator<Item = &'v str> {
    let own =
        script.redirects(view.command).iter().filter_map(|redirect| match redirect.operator {
            Operator::HereString => Some(script.value(&redirect.target)),
            _ => script.body(redirect),
        });
    let piped = view.command.input.range().take(4).flat_map(|id| {
        let command = script.command(id as u32);
        let prints = matches!(script.program(command), Some("echo" | "printf"));
        let bodies = script.redirects(command).iter().filter_map(|it| script.body(it));
        let words = script.words(command).iter().filter(move |_| prints);
        words.map(|word| script.value(word)).chain(bodies).map(beginning)
    });
    own.chain(piped)
}

/// What is looked at of a text that several commands may read.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_PIPED_BYTES.min(text.len()))]
}
