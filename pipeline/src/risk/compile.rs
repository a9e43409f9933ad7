//! From rules as they are written to what is compared.

use super::Level;
use super::path_index::{PathIndex, Sets};
use super::pattern::{Alternatives, Names, in_braces, unknown};
use super::place::Kinds;
use super::rule::{RiskError, UserRule};
use super::statement::Statement;
use crate::shell::Via;

/// A rule that is ready.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: Box<str>,
    pub(super) level: Level,
    pub(super) programs: Vec<Box<str>>,
    pub(super) subcommands: Vec<Vec<Box<str>>>,
    pub(super) flags: Vec<Vec<Box<str>>>,
    pub(super) without: Vec<Box<str>>,
    pub(super) operands: Vec<Alternatives>,
    pub(super) arguments: Vec<Alternatives>,
    pub(super) is_bare: bool,
    pub(super) input: Option<Source>,
    pub(super) code_input: Option<Source>,
    pub(super) via: Vec<Via>,
    pub(super) redirects: Alternatives,
    pub(super) statements: Vec<Statement>,
    pub(super) code: Vec<Box<str>>,
    pub(super) variables: Vec<Box<str>>,
    pub(super) places: (Kinds, Sets),
    pub(super) access: Access,
    pub(super) hosts: Vec<Box<str>>,
    pub(super) tools: Vec<Box<str>>,
    pub(super) permission_modes: Vec<Box<str>>,
    pub(super) parameters: Vec<Box<str>>,
    pub(super) trigger: Trigger,
}

/// Where something that is read comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) programs: Vec<Box<str>>,
    pub(super) kinds: Kinds,
    pub(super) sets: Sets,
    pub(super) has_secret_variable: bool,
}

/// What is done to a file.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Access {
    Read,
    Write,
    Any,
}

/// When a rule is looked at.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Trigger {
    Program,
    Redirect,
    Variable,
    Path,
    Host,
    Action,
    ForkBomb,
    Unread,
}

/// Makes a rule ready.
pub(super) fn compile(
    rule: &UserRule,
    names: &Names,
    paths: &mut PathIndex,
) -> Result<Rule, RiskError> {
    let id = rule.id.as_str();
    let is_id = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if id.is_empty() || !id.chars().all(is_id) {
        return Err(RiskError::Id { id: id.to_owned() });
    }
    let level = Level::from_name(&rule.level)
        .ok_or_else(|| RiskError::Level { rule: id.to_owned(), level: rule.level.clone() })?;
    let each = |field, list: &[String]| -> Result<Vec<Alternatives>, RiskError> {
        list.iter().map(|text| names.alternatives(id, field, text)).collect()
    };
    Ok(Rule {
        trigger: trigger(rule)?,
        level,
        programs: names.programs(id, "programs", &rule.programs)?,
        subcommands: rule.subcommands.iter().map(|it| boxed(it.split(' '))).collect(),
        flags: rule.flags.iter().map(|it| boxed(it.split('|'))).collect(),
        without: boxed(rule.without.iter().flat_map(|it| it.split('|'))),
        operands: each("operands", &rule.operands)?,
        arguments: each("arguments", &rule.arguments)?,
        is_bare: rule.bare,
        input: source(id, "input", &rule.input, names)?,
        code_input: source(id, "code_input", &rule.code_input, names)?,
        via: rule.via.iter().map(|it| via(id, it)).collect::<Result<_, _>>()?,
        redirects: each("redirects", &rule.redirects)?.into_iter().flatten().collect(),
        statements: rule.statements.iter().map(|it| Statement::parse(it)).collect(),
        code: all(&rule.code),
        variables: all(&rule.variables),
        places: places(rule, names, paths)?,
        access: access(rule)?,
        hosts: all(&rule.hosts),
        tools: all(&rule.tools),
        permission_modes: all(&rule.permission_modes),
        parameters: all(&rule.parameters),
        id: id.into(),
    })
}

impl Rule {
    /// Whether nothing but the statements counts, whatever program they are given to.
    pub(super) fn is_about_statements(&self) -> bool {
        !self.statements.is_empty()
            && self.input.is_none()
            && self.code_input.is_none()
            && self.subcommands.is_empty()
            && self.flags.is_empty()
            && self.operands.is_empty()
            && self.arguments.is_empty()
            && self.via.is_empty()
    }
}

impl Access {
    /// Whether a rule that asks for this is met by what is done.
    pub(super) fn allows(self, done: Access) -> bool {
        self == Access::Any || done == Access::Any || self == done
    }
}

impl Source {
    pub(super) fn names(&self, program: &str) -> bool {
        self.programs.iter().any(|it| **it == *program)
    }
}

fn trigger(rule: &UserRule) -> Result<Trigger, RiskError> {
    let has = [
        ("programs", !rule.programs.is_empty(), Trigger::Program),
        ("redirects", !rule.redirects.is_empty(), Trigger::Redirect),
        ("variables", !rule.variables.is_empty(), Trigger::Variable),
        ("paths", !rule.paths.is_empty(), Trigger::Path),
        ("hosts", !rule.hosts.is_empty(), Trigger::Host),
    ];
    let mut found = has.iter().filter(|(_, has, _)| *has);
    let first = found.next();
    match (first, found.next(), &rule.shape) {
        (
            Some((_, _, Trigger::Program)),
            Some((_, _, Trigger::Redirect | Trigger::Variable)),
            None,
        ) => Ok(Trigger::Program),
        (Some((first, ..)), Some((second, ..)), _) => {
            Err(RiskError::Mixed { rule: rule.id.clone(), first, second })
        }
        (Some((first, ..)), None, Some(_)) => {
            Err(RiskError::Mixed { rule: rule.id.clone(), first, second: "shape" })
        }
        (Some((_, _, trigger)), None, None) => Ok(*trigger),
        (None, _, Some(shape)) => match shape.as_str() {
            "fork-bomb" => Ok(Trigger::ForkBomb),
            "unread" => Ok(Trigger::Unread),
            _ => Err(choice(rule, "shape", shape, "fork-bomb, unread")),
        },
        (None, _, None) if !is_about_actions(rule) => {
            Err(RiskError::Empty { rule: rule.id.clone() })
        }
        (None, _, None) => Ok(Trigger::Action),
    }
}

/// Whether it says something of tools, modes or parameters.
fn is_about_actions(rule: &UserRule) -> bool {
    let all = [&rule.tools, &rule.permission_modes, &rule.parameters];
    all.into_iter().any(|list| !list.is_empty())
}

fn access(rule: &UserRule) -> Result<Access, RiskError> {
    // A redirection is a rule's only for what it writes, a path for both.
    match rule.access.as_deref() {
        None if rule.paths.is_empty() => Ok(Access::Write),
        None | Some("any") => Ok(Access::Any),
        Some("read") => Ok(Access::Read),
        Some("write") => Ok(Access::Write),
        Some(other) => Err(choice(rule, "access", other, "read, write, any")),
    }
}

fn places(
    rule: &UserRule,
    names: &Names,
    paths: &mut PathIndex,
) -> Result<(Kinds, Sets), RiskError> {
    let mut found = (Kinds::default(), 0);
    let mut globs = Vec::new();
    for path in &rule.paths {
        match in_braces(path) {
            Some(("", name)) => {
                let (kinds, sets) =
                    names.place(name).ok_or_else(|| unknown(&rule.id, "paths", path))?;
                found = (Kinds(found.0.0 | kinds.0), found.1 | sets);
            }
            _ => globs.push(path.as_str()),
        }
    }
    if !globs.is_empty() {
        found.1 |= paths.add(&rule.id, &globs)?;
    }
    Ok(found)
}

fn source(
    rule: &str,
    field: &'static str,
    list: &[String],
    names: &Names,
) -> Result<Option<Source>, RiskError> {
    if list.is_empty() {
        return Ok(None);
    }
    let mut source = Source {
        programs: Vec::new(),
        kinds: Kinds::default(),
        sets: 0,
        has_secret_variable: false,
    };
    for text in list {
        let place = in_braces(text).and_then(|(_, name)| names.place(name));
        match (text.as_str(), place) {
            ("{secret-variable}", _) => source.has_secret_variable = true,
            (_, Some((kinds, sets))) => {
                source.kinds = Kinds(source.kinds.0 | kinds.0);
                source.sets |= sets;
            }
            _ => source.programs.extend(names.programs(rule, field, std::slice::from_ref(text))?),
        }
    }
    Ok(Some(source))
}

fn via(rule: &str, name: &str) -> Result<Via, RiskError> {
    Ok(match name {
        "sudo" => Via::SUDO,
        "xargs" => Via::XARGS,
        "find" => Via::FIND,
        "ssh" => Via::SSH,
        "container" => Via::CONTAINER,
        "shell" => Via::SHELL,
        "code" => Via::CODE,
        "decoded" => Via::DECODED,
        _ => {
            return Err(RiskError::Choice {
                rule: rule.to_owned(),
                field: "via",
                value: name.to_owned(),
                choices: "sudo, xargs, find, ssh, container, shell, code, decoded",
            });
        }
    })
}

fn choice(rule: &UserRule, field: &'static str, value: &str, choices: &'static str) -> RiskError {
    RiskError::Choice { rule: rule.id.clone(), field, value: value.to_owned(), choices }
}

fn all(list: &[String]) -> Vec<Box<str>> {
    boxed(list.iter().map(String::as_str))
}

fn boxed<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Box<str>> {
    texts.map(Box::from).collect()
}
