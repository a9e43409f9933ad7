//! What a rule says, as it is written in TOML, and what can be wrong with it.

use serde::Deserialize;
use thiserror::Error;

/// A rule as it is written. It is met if all that it says is so; `|` divides alternatives.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserRule {
    /// Its name: a class, a dot, and what it is about.
    pub id: String,
    /// `low`, `medium`, `high` or `critical`.
    pub level: String,
    /// What it finds, in a sentence.
    pub description: String,
    /// The program is one of these; `{set}` is a set of programs.
    pub programs: Vec<String>,
    /// The first operands are one of these.
    pub subcommands: Vec<String>,
    /// All of these options are there.
    pub flags: Vec<String>,
    /// None of these options is there.
    pub without: Vec<String>,
    /// For each of these there is an operand behind the subcommand.
    pub operands: Vec<String>,
    /// For each of these there is a word, option or not.
    pub arguments: Vec<String>,
    /// It has neither options nor operands.
    pub bare: bool,
    /// What the command reads comes from one of these programs or files.
    pub input: Vec<String>,
    /// The code that it runs comes from one of these programs or files.
    pub code_input: Vec<String>,
    /// It is run through one of these wrappers.
    pub via: Vec<String>,
    /// It is redirected to one of these.
    pub redirects: Vec<String>,
    /// One of its arguments, or its input, has one of these statements.
    pub statements: Vec<String>,
    /// One of its arguments, or the code it is given, has all of these in it.
    pub code: Vec<String>,
    /// One of these variables is set for it.
    pub variables: Vec<String>,
    /// One of these files is read or written, by a tool or by a command.
    pub paths: Vec<String>,
    /// For `paths` and `redirects`: `read`, `write` or `any`.
    pub access: Option<String>,
    /// The host of an address is one of these.
    pub hosts: Vec<String>,
    /// The tool is one of these.
    pub tools: Vec<String>,
    /// The agent's permission mode is one of these.
    pub permission_modes: Vec<String>,
    /// One of these parameters of the tool is true.
    pub parameters: Vec<String>,
    /// `fork-bomb` or `unread`.
    pub shape: Option<String>,
}

/// Why rules cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RiskError {
    /// `disable` names what is no rule.
    #[error("cannot switch the risk rule {id:?} off: there is none with this id{}", suggestion(.nearest))]
    UnknownId {
        /// As it is written.
        id: String,
        /// A rule whose id looks like it.
        nearest: Option<String>,
    },
    /// Two rules have one name.
    #[error(
        "cannot take the risk rule {id:?}: there is one with this id already; give it another one, and switch that off with `disable` if this takes its place"
    )]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// An id that could not be told from others.
    #[error(
        "cannot take the risk rule {id:?}: an id has letters, digits, `.`, `-` and `_`, and is not empty"
    )]
    Id {
        /// The id.
        id: String,
    },
    /// No level.
    #[error(
        "cannot take the risk rule {rule:?}: its level {level:?} must be one of low, medium, high, critical"
    )]
    Level {
        /// The rule.
        rule: String,
        /// As it is written.
        level: String,
    },
    /// A glob for paths that is none.
    #[error(
        "cannot take the risk rule {rule:?}: the path glob {glob:?} must be at most 8 names, with `*` and `?` in them or `**` alone"
    )]
    Glob {
        /// The rule.
        rule: String,
        /// As it is written.
        glob: String,
    },
    /// A name in braces that stands for nothing.
    #[error(
        "cannot take the risk rule {rule:?}: {pattern:?} in `{field}` is no kind or set that is known"
    )]
    Pattern {
        /// The rule.
        rule: String,
        /// The list that it stands in.
        field: &'static str,
        /// As it is written.
        pattern: String,
    },
    /// A word that must be one of a few.
    #[error("cannot take the risk rule {rule:?}: {value:?} in `{field}` must be one of {choices}")]
    Choice {
        /// The rule.
        rule: String,
        /// The key.
        field: &'static str,
        /// As it is written.
        value: String,
        /// What it may be.
        choices: &'static str,
    },
    /// It says nothing that could be met.
    #[error(
        "cannot take the risk rule {rule:?}: it names neither programs nor paths, hosts, redirects, variables, tools, modes or parameters; name some"
    )]
    Empty {
        /// The rule.
        rule: String,
    },
    /// It asks for things that are not looked at together.
    #[error(
        "cannot take the risk rule {rule:?}: `{first}` and `{second}` are not looked at together; make two rules of it"
    )]
    Mixed {
        /// The rule.
        rule: String,
        /// One of the keys.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// More rules with paths than are told apart.
    #[error(
        "cannot take the risk rule {rule:?}: there are too many rules with paths; put several of them in one"
    )]
    TooManyPaths {
        /// The rule.
        rule: String,
    },
}

fn suggestion(id: &Option<String>) -> String {
    id.as_ref().map(|id| format!("; did you mean {id:?}?")).unwrap_or_default()
}
