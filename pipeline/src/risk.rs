//! How risky it is what a tool is about to do, or did: rules over commands, paths, addresses and the
//! agent's own permissions, each with the evidence that it was found by.
//!
//! The rules are data: `risk/rules.toml`, and what users add in the same form.

mod arguments;
mod assess;
mod compile;
mod files;
mod glob;
mod input;
mod matching;
mod path_index;
mod pattern;
mod place;
mod rule;
mod rules;
mod statement;

use serde::Serialize;

use crate::document::Value;

pub use assess::Workspace;
pub use hookring_journal::model::{Level, Operation};
pub use rule::{RiskError, UserRule};
pub use rules::{RuleInfo, Rules, built_in_rules};

/// The length at which evidence is cut, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 200;

/// Findings in one assessment; what is found after them counts for the level only.
pub const MAX_FINDINGS: usize = 16;

/// The text without its secrets; `None` if it can stay as it is.
pub type Clean<'a> = &'a dyn Fn(&str) -> Option<String>;

/// More of what meets a rule is not looked at for [`Action::clean`].
pub const MAX_CLEANED_BYTES: usize = 4096;

/// What a tool is about to do, or did. Text in it has had its secrets replaced.
#[derive(Copy, Clone, Default)]
pub struct Action<'a> {
    /// As the agent names it.
    pub tool_name: &'a str,
    /// What kind of thing it does.
    pub operation: Operation,
    /// The shell command that it runs.
    pub command: Option<&'a str>,
    /// The files that it reads or writes.
    pub paths: &'a [&'a str],
    /// The SQL that it gives a database itself, not by a command.
    pub statements: Option<&'a str>,
    /// The address that it gets.
    pub url: Option<&'a str>,
    /// Where it runs; absolute.
    pub working_directory: Option<&'a str>,
    /// The user's home; absolute.
    pub home: Option<&'a str>,
    /// The agent's permission mode.
    pub permission_mode: Option<&'a str>,
    /// All that the tool is given.
    pub parameters: Option<Value<'a>>,
    /// Takes secrets out of a text, if there are any: what a shell puts together may be one, though no part of
    /// it was.
    pub clean: Option<Clean<'a>>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Risk {
    /// The worst of the findings'.
    pub level: Level,
    /// One for each rule that was met, the worst first.
    pub findings: Vec<Finding>,
}

/// A rule that was met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// The rule's level.
    pub level: Level,
    /// What it was met by, at most [`MAX_EVIDENCE_BYTES`].
    pub evidence: String,
}

/// What users change about the rules.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Options {
    /// Rules of their own.
    pub rules: Vec<UserRule>,
    /// The ids of rules that do not hold.
    pub disabled: Vec<String>,
}

#[cfg(test)]
mod tests;
