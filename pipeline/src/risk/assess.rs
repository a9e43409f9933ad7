//! Holds an action against the rules.

use super::arguments::{Argument, Finder, Place, View, sort};
use super::compile::{Access, Rule, Trigger};
use super::glob;
use super::matching::{is_redirected, meets, sets_variable};
use super::place::{Surroundings, locate};
use super::rules::{Program, Rules};
use super::{
    Action, Finding, Level, MAX_CLEANED_BYTES, MAX_EVIDENCE_BYTES, MAX_FINDINGS, Operation, Risk,
};
use crate::shell::{Command, CommandId, Dialect, Flags, Ids, Script};

/// The longest path that `cd` is followed to.
const MAX_DIRECTORY_BYTES: usize = 4096;

/// Buffers that are used again from action to action.
#[derive(Default)]
pub struct Workspace {
    script: Script,
    arguments: Vec<Argument>,
    normal: String,
    directories: Vec<Directory>,
}

/// Where `cd` led, for a subshell.
struct Directory {
    subshell: u32,
    depth: u32,
    path: Option<String>,
}

impl Rules {
    /// What is risky about an action; `None` if nothing is.
    pub fn assess(&self, action: &Action<'_>) -> Option<Risk> {
        self.assess_with(action, &mut Workspace::default())
    }

    /// The same with buffers that the caller keeps.
    pub fn assess_with(&self, action: &Action<'_>, workspace: &mut Workspace) -> Option<Risk> {
        workspace.directories.clear();
        let Workspace { script, arguments, normal, directories } = workspace;
        let mut found = Found { rules: self, action, findings: Vec::new(), level: None };
        found.permissions();
        if let Some(url) = action.url {
            found.address(url);
        }
        if let Some(statements) = action.statements {
            found.statements(statements);
        }
        let mut commands = Commands { script, arguments, normal, directories };
        commands.tool_paths(&mut found);
        if let Some(command) = action.command {
            commands.script.read(command, dialect(action.tool_name));
            commands.assess(&mut found);
        }
        found.finish()
    }
}

fn head(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes.min(text.len()))]
}

/// What was found so far.
struct Found<'a> {
    rules: &'a Rules,
    action: &'a Action<'a>,
    findings: Vec<Finding>,
    level: Option<Level>,
}

impl<'a> Found<'a> {
    fn add(&mut self, rule: &Rule, evidence: &str) {
        if !self.is_about_action(rule) {
            return;
        }
        self.level = self.level.max(Some(rule.level));
        let is_there = self.findings.iter().any(|finding| *finding.rule == *rule.id);
        if is_there || self.findings.len() == MAX_FINDINGS {
            return;
        }
        // Before it is cut, since nobody knows half of a secret.
        let evidence = head(evidence, MAX_CLEANED_BYTES);
        let cleaned = self.action.clean.and_then(|clean| clean(evidence));
        let evidence = head(cleaned.as_deref().unwrap_or(evidence), MAX_EVIDENCE_BYTES);
        self.findings.push(Finding {
            rule: rule.id.to_string(),
            level: rule.level,
            evidence: evidence.to_owned(),
        });
    }

    fn finish(mut self) -> Option<Risk> {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        Some(Risk { level: self.level?, findings: self.findings })
    }

    fn triggered(&self, trigger: Trigger) -> impl Iterator<Item = &'a Rule> + use<'a> {
        let rules = self.rules;
        rules.triggered(trigger).iter().map(|id| &rules.all[usize::from(*id)])
    }

    /// Whether tool, mode and parameters are as the rule wants them.
    fn is_about_action(&self, rule: &Rule) -> bool {
        let action = self.action;
        let any = |globs: &[Box<str>], text: &str| globs.iter().any(|it| glob::matches(it, text));
        (rule.tools.is_empty() || any(&rule.tools, action.tool_name))
            && (rule.permission_modes.is_empty()
                || action.permission_mode.is_some_and(|mode| any(&rule.permission_modes, mode)))
            && (rule.parameters.is_empty()
                || rule.parameters.iter().any(|name| {
                    let value = action.parameters.and_then(|it| it.get(name));
                    value.and_then(crate::document::Value::as_bool) == Some(true)
                }))
    }

    fn permissions(&mut self) {
        for rule in self.triggered(Trigger::Action) {
            let mode = self.action.permission_mode.filter(|_| !rule.permission_modes.is_empty());
            let parameter = rule.parameters.first().map(|name| &**name);
            self.add(rule, mode.or(parameter).unwrap_or(self.action.tool_name));
        }
    }

    fn address(&mut self, url: &str) {
        let host = host(url);
        for rule in self.triggered(Trigger::Host) {
            let is_it = |it: &str| {
                glob::matches(it, host) || it.strip_prefix("*.").is_some_and(|it| it == host)
            };
            if rule.hosts.iter().any(|it| is_it(it)) {
                self.add(rule, url);
            }
        }
    }

    /// By the rules for what programs of databases are given.
    fn statements(&mut self, text: &str) {
        let rules = self.rules;
        for rule in rules.all.iter().filter(|rule| rule.is_about_statements()) {
            if rule.statements.iter().any(|statement| statement.is_in(text)) {
                self.add(rule, text);
            }
        }
    }

    fn path(&mut self, place: Place, access: Access, evidence: &str) {
        if place.sets == 0 && place.kinds == super::place::Kinds::default() {
            return;
        }
        for rule in self.triggered(Trigger::Path) {
            let (kinds, sets) = rule.places;
            let is_it = place.sets & sets != 0 || place.kinds.meets(kinds);
            if is_it && rule.access.allows(access) {
                self.add(rule, evidence);
            }
        }
    }
}

/// The commands of one action, and what looking at them takes.
struct Commands<'w> {
    script: &'w mut Script,
    arguments: &'w mut Vec<Argument>,
    normal: &'w mut String,
    directories: &'w mut Vec<Directory>,
}

impl Commands<'_> {
    fn tool_paths(&mut self, found: &mut Found<'_>) {
        let access = match found.action.operation {
            Operation::Read => Access::Read,
            Operation::Write => Access::Write,
            _ => Access::Any,
        };
        let (paths, normal) = (&found.rules.paths, &mut *self.normal);
        let around = around(found.action, self.directories);
        let mut finder = Finder { around, paths, normal };
        for path in found.action.paths {
            let flags = if path.starts_with('~') { Flags::TILDE } else { Flags::QUOTED };
            let place = finder.place(path, flags);
            found.path(place, access, path);
        }
    }

    fn assess(&mut self, found: &mut Found<'_>) {
        self.commands(self.script.outer_commands(), found);
        for rule in found.triggered(Trigger::ForkBomb) {
            if let Some(evidence) = fork_bomb(self.script) {
                found.add(rule, evidence);
            }
        }
        for rule in found.triggered(Trigger::Unread).filter(|_| self.script.is_cut()) {
            found.add(rule, found.action.command.unwrap_or_default());
        }
    }

    /// Those, and what they run, in the order in which it would be run.
    fn commands(&mut self, ids: Ids, found: &mut Found<'_>) {
        for id in ids.range() {
            let command = *self.script.command(id as CommandId);
            self.leave_subshells(&command);
            self.command(&command, found);
            self.commands(command.unwrapped, found);
        }
    }

    fn command(&mut self, command: &Command, found: &mut Found<'_>) {
        let rules = found.rules;
        let name = self.script.program(command);
        let program = name.and_then(|name| rules.program(name));
        let declares = matches!(name, Some("export" | "declare" | "typeset"));
        let has_extras =
            declares || !command.redirects.is_empty() || !command.assignments.is_empty();
        if let Some("cd" | "pushd") = name {
            self.change_directory(command, found.action);
        }
        if program.is_none() && !has_extras {
            return;
        }
        let spec = program.and_then(|program| program.spec);
        sort(self.script, command, spec, usize::MAX, self.arguments);
        let finder = Finder {
            around: around(found.action, self.directories),
            paths: &rules.paths,
            normal: self.normal,
        };
        let mut view =
            View { script: self.script, command, spec, arguments: self.arguments, finder };
        if let Some(program) = program {
            of_program(program, &mut view, found);
        }
        if has_extras {
            of_extras(&mut view, found);
        }
    }

    fn change_directory(&mut self, command: &Command, action: &Action<'_>) {
        let mut operands = self.script.words(command).iter().skip(1);
        let operand = operands.find(|word| !self.script.value(word).starts_with('-'));
        let around = around(action, self.directories);
        let path = match operand {
            None => around.home.or(Some("~")).map(str::to_owned),
            Some(word) => {
                let kinds = locate(self.script.value(word), word.flags, &around, self.normal);
                let is_known = !kinds.meets(super::place::Kinds::UNSEEN)
                    && self.normal.len() <= MAX_DIRECTORY_BYTES;
                is_known.then(|| self.normal.clone())
            }
        };
        let Command { subshell, subshell_depth: depth, .. } = *command;
        self.directories.push(Directory { subshell, depth, path });
        // Only the last of each subshell counts.
        if let [.., before, _] = &self.directories[..]
            && before.subshell == subshell
            && before.depth == depth
        {
            let last = self.directories.len() - 2;
            self.directories.swap_remove(last);
        }
    }

    /// What `cd` did in a subshell ends with it.
    fn leave_subshells(&mut self, command: &Command) {
        while let Some(last) = self.directories.last()
            && last.depth >= command.subshell_depth
            && last.subshell != command.subshell
        {
            self.directories.pop();
        }
    }
}

/// The rules for a program, and those for the files that it uses.
fn of_program(program: &Program, view: &mut View<'_>, found: &mut Found<'_>) {
    let rules = found.rules;
    let evidence = view.script.text(view.command.source);
    for id in &program.rules {
        let rule = &rules.all[usize::from(*id)];
        if meets(rule, view, rules) {
            // Where it reads from is half of what such a rule is about.
            let is_about_input = rule.input.is_some() || rule.code_input.is_some();
            let whole = is_about_input.then(|| view.script.pipeline(view.command));
            found.add(rule, whole.map_or(evidence, |whole| view.script.text(whole)));
        }
    }
    view.each_file(|view, at, access| {
        let place = view.place(at);
        found.path(place, access, evidence);
    });
    if view.spec.is_some_and(|spec| spec.network) {
        for argument in view.arguments.iter() {
            let text = view.script.value(&argument.word);
            if text.contains("://") {
                found.address(text);
            }
        }
    }
}

/// The rules for redirections and variables.
fn of_extras(view: &mut View<'_>, found: &mut Found<'_>) {
    let evidence = view.script.text(view.command.source);
    let files: Vec<_> = view.redirected_files().collect();
    for (word, access) in &files {
        let place = view.finder.place(view.script.value(word), word.flags);
        found.path(place, *access, evidence);
    }
    for rule in found.triggered(Trigger::Redirect).filter(|_| !files.is_empty()) {
        if is_redirected(rule, view) {
            found.add(rule, evidence);
        }
    }
    for rule in found.triggered(Trigger::Variable) {
        if sets_variable(rule, view) {
            found.add(rule, evidence);
        }
    }
}

/// A function that pipes itself into itself.
fn fork_bomb(script: &Script) -> Option<&str> {
    let function = script.functions().iter().find(|function| {
        let name = script.text(function.name);
        let is_itself = |command: &Command| script.program(command) == Some(name);
        function.body.range().take(16).any(|id| {
            let command = script.command(id as CommandId);
            let mut input = command.input.range().take(16);
            is_itself(command) && input.any(|id| is_itself(script.command(id as CommandId)))
        })
    })?;
    let first = script.command(function.body.begin);
    let last = script.command(function.body.end - 1);
    let begin = function.name.begin.min(first.source.begin);
    Some(script.text(Ids { begin, end: last.source.end.max(begin) }))
}

fn around<'a>(action: &Action<'a>, directories: &'a [Directory]) -> Surroundings<'a> {
    let current = match directories.last() {
        Some(directory) => directory.path.as_deref(),
        None => action.working_directory,
    };
    Surroundings {
        working_directory: action.working_directory,
        current,
        home: action.home.filter(|home| home.len() > 1),
    }
}

fn dialect(tool_name: &str) -> Dialect {
    match tool_name {
        "PowerShell" | "powershell" | "pwsh" | "Cmd" | "cmd" => Dialect::Windows,
        _ => Dialect::Posix,
    }
}

/// The host in an address.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}
