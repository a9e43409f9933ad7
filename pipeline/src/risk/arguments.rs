//! A command's words as its program would take them: options, their values, operands.

use super::path_index::{PathIndex, Sets};
use super::place::{Kinds, Surroundings, below_home, locate};
use super::rules::Spec;
use crate::shell::{Command, Flags, Script, Via, Word};

/// `--rec` may be `--recursive`; shorter ones are too many things.
const MIN_ABBREVIATION: usize = 5;

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Option,
    /// What an option before it is set to.
    Value,
    Operand,
}

/// A word behind the program.
#[derive(Copy, Clone)]
pub(super) struct Argument {
    pub(super) word: Word,
    pub(super) role: Role,
    /// What it is as a path, once that was asked for.
    place: Option<Place>,
}

/// What a path is.
#[derive(Copy, Clone, Default)]
pub(super) struct Place {
    pub(super) kinds: Kinds,
    pub(super) sets: Sets,
}

/// A command under a rule's eyes.
pub(super) struct View<'v> {
    pub(super) script: &'v Script,
    pub(super) command: &'v Command,
    pub(super) spec: Option<&'v Spec>,
    pub(super) arguments: &'v mut Vec<Argument>,
    pub(super) finder: Finder<'v>,
}

/// Finds out what paths are.
pub(super) struct Finder<'f> {
    pub(super) around: Surroundings<'f>,
    pub(super) paths: &'f PathIndex,
    pub(super) normal: &'f mut String,
}

impl Finder<'_> {
    pub(super) fn place(&mut self, text: &str, flags: Flags) -> Place {
        let kinds = locate(text, flags, &self.around, self.normal);
        let below_home = below_home(self.normal, self.around.home);
        Place { kinds, sets: self.paths.sets(self.normal, below_home) }
    }
}

/// Sorts a command's words, at most that many, into options, values and operands.
pub(super) fn sort(
    script: &Script,
    command: &Command,
    spec: Option<&Spec>,
    max_words: usize,
    out: &mut Vec<Argument>,
) {
    out.clear();
    let mut role = Role::Operand;
    let mut are_operands = false;
    for word in script.words(command).iter().skip(1).take(max_words) {
        let value = script.value(word);
        let own = if role == Role::Value {
            Role::Value
        } else if are_operands || value.len() < 2 || !value.starts_with('-') {
            Role::Operand
        } else {
            are_operands = value == "--";
            Role::Option
        };
        out.push(Argument { word: *word, role: own, place: None });
        let takes_next = own == Role::Option && spec.is_some_and(|spec| spec.takes_next(value));
        role = if takes_next { Role::Value } else { Role::Operand };
    }
}

impl Spec {
    fn takes_next(&self, option: &str) -> bool {
        if self.valued.is_empty() || self.valued.iter().any(|it| it == option) {
            return !self.valued.is_empty();
        }
        // `-am x`: the last letter's, unless one before it takes the rest.
        let letters = &option.as_bytes()[1..];
        let is_valued =
            |letter: &u8| self.valued.iter().any(|it| it.len() == 2 && it.as_bytes()[1] == *letter);
        !self.single_dash
            && letters[0] != b'-'
            && letters.iter().position(is_valued) == Some(letters.len() - 1)
    }
}

impl<'v> View<'v> {
    pub(super) fn text(&self, word: &Word) -> &'v str {
        self.script.value(word)
    }

    /// The numbers of the operands among the arguments.
    pub(super) fn operands(&self) -> impl Iterator<Item = usize> + '_ {
        let is_operand =
            |(at, argument): (usize, &Argument)| (argument.role == Role::Operand).then_some(at);
        self.arguments.iter().enumerate().filter_map(is_operand)
    }

    /// What an argument is as a path.
    pub(super) fn place(&mut self, at: usize) -> Place {
        if let Some(place) = self.arguments[at].place {
            return place;
        }
        let word = self.arguments[at].word;
        let text = self.text(&word);
        let mut place = self.finder.place(text, word.flags);
        if text.contains("{}")
            && (self.command.via.has(Via::FIND) || self.command.via.has(Via::XARGS))
        {
            place.kinds = Kinds(Kinds::UNSEEN.0 | self.found_below().0);
        }
        self.arguments[at].place = Some(place);
        place
    }

    /// What find searches, where that is more than a project.
    fn found_below(&mut self) -> Kinds {
        let Some(parent) = self.command.parent.filter(|_| self.command.via.has(Via::FIND)) else {
            return Kinds::default();
        };
        let words = self.script.words(self.script.command(parent));
        let Some(word) = words.get(1) else { return Kinds::default() };
        let kinds = self.finder.place(self.script.value(word), word.flags).kinds;
        let wide = Kinds::ROOT.0 | Kinds::HOME.0 | Kinds::SYSTEM.0 | Kinds::OUTSIDE.0;
        Kinds(kinds.0 & wide)
    }

    /// Whether an option is there, in any of its forms.
    pub(super) fn has_flag(&self, flag: &str) -> bool {
        let is_clustered = flag.len() == 2 && self.spec.is_none_or(|spec| !spec.single_dash);
        self.arguments.iter().any(|argument| {
            let word = self.text(&argument.word);
            match argument.role {
                // Windows' options.
                Role::Operand => flag.starts_with('/') && word.eq_ignore_ascii_case(flag),
                Role::Option if is_clustered => self.has_letter(word, flag.as_bytes()[1]),
                Role::Option => is_option(word, flag),
                Role::Value => false,
            }
        })
    }

    /// Whether a letter is among those of one word, before one that takes a value.
    fn has_letter(&self, word: &str, letter: u8) -> bool {
        if word.starts_with("--") {
            return false;
        }
        let is_valued = |it: u8| {
            self.spec.is_some_and(|spec| {
                spec.valued.iter().any(|valued| valued.len() == 2 && valued.as_bytes()[1] == it)
            })
        };
        for own in word.bytes().skip(1) {
            if own == letter {
                return true;
            }
            if is_valued(own) {
                return false;
            }
        }
        false
    }
}

/// `--name`, `--name=value`, an unambiguous beginning of it, `-Name` in any case.
fn is_option(word: &str, flag: &str) -> bool {
    if flag.contains('=') {
        return word == flag;
    }
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    match flag.strip_prefix("--") {
        Some(_) if name == flag => true,
        // `--force` is not short for `--force-with-lease`.
        Some(_) => {
            name.len() >= MIN_ABBREVIATION
                && word == name
                && flag.strip_prefix(name).is_some_and(|rest| !rest.starts_with('-'))
        }
        None => name.eq_ignore_ascii_case(flag),
    }
}
