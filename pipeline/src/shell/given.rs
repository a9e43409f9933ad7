//! What programs that are no wrappers are given to run: by an option (`ssh -o ProxyCommand=…`, `tar
//! --checkpoint-action=exec=…`, `git -c core.pager=…`), in a word (`vim '+!…'`), or by a variable (`GIT_PAGER=…`).

use std::sync::LazyLock;

use foldhash::HashSet;

use super::Dialect;
use super::script::{CommandId, Flags, Script, Span, Via, Word};

/// Where some programs have commands for a shell.
struct Given {
    programs: &'static [&'static str],
    /// Options whose value is one, in the next word or in the same; none: any word that is no option.
    options: &'static [&'static str],
    /// What such a value must begin with, in any case.
    begins: &'static [&'static str],
}

const fn given(
    programs: &'static [&'static str],
    options: &'static [&'static str],
    begins: &'static [&'static str],
) -> Given {
    Given { programs, options, begins }
}

const ALL: &[Given] = &[
    given(
        &["ssh", "scp", "sftp"],
        &["-o"],
        &[
            "proxycommand=",
            "proxycommand ",
            "localcommand=",
            "localcommand ",
            "remotecommand=",
            "knownhostscommand=",
        ],
    ),
    given(&["rsync"], &["-e", "--rsh", "--rsync-path"], &[""]),
    given(&["tar", "gtar", "bsdtar"], &["--checkpoint-action"], &["exec="]),
    given(
        &["tar", "gtar", "bsdtar"],
        &["-I", "--use-compress-program", "--to-command", "--rsh-command", "--info-script"],
        &[""],
    ),
    given(&["zip"], &["-TT", "--unzip-command"], &[""]),
    given(&["git"], &["-x", "--exec", "--upload-pack", "--receive-pack", "--extcmd"], &[""]),
    given(
        &["vi", "vim", "nvim", "ex", "view", "gvim"],
        &["-c", "--cmd"],
        &["!", ":!", "silent !", "silent! !", ":silent !"],
    ),
    given(
        &["vi", "vim", "nvim", "ex", "view", "gvim", "less", "more"],
        &[],
        &["+!", "+:!", "+silent !"],
    ),
    given(&["sqlite3"], &[], &[".shell ", ".system "]),
    given(&["sqlite3"], &["-cmd"], &[".shell ", ".system "]),
    given(&["psql"], &["-c", "--command"], &["\\!"]),
    given(&["mysql", "mariadb"], &["-e", "--execute"], &["system ", "\\!"]),
    given(&["gdb", "lldb"], &["-ex", "-eval-command", "--eval-command", "-o"], &["shell ", "!"]),
    given(&["nix-shell"], &["--run", "--command"], &[""]),
    given(&["npm", "npx"], &["-c", "--call"], &[""]),
    given(&["nodemon"], &["-x", "--exec"], &[""]),
    given(&["cargo"], &["-s", "--shell"], &[""]),
    given(&["vagrant", "gcloud", "fly", "flyctl"], &["-c", "-C", "--command"], &[""]),
    given(&["ansible"], &["-a", "--args"], &[""]),
    given(&["hyperfine", "concurrently"], &[], &[""]),
    given(
        &["export", "declare", "typeset"],
        &[],
        &[
            "browser=",
            "editor=",
            "git_editor=",
            "git_external_diff=",
            "git_pager=",
            "git_proxy_command=",
            "git_sequence_editor=",
            "git_ssh_command=",
            "lessopen=|",
            "manpager=",
            "pager=",
            "prompt_command=",
            "rsync_rsh=",
            "visual=",
        ],
    ),
];

/// Variables whose value programs run, as they are named before a command.
const VARIABLES: &[&str] = &[
    "BROWSER",
    "EDITOR",
    "GIT_EDITOR",
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH_COMMAND",
    "MANPAGER",
    "PAGER",
    "RSYNC_RSH",
    "VISUAL",
];

/// The last words of the names of git's settings that it runs.
const GIT_SETTINGS: &[&str] = &[
    "askpass",
    "clean",
    "cmd",
    "editor",
    "external",
    "fsmonitor",
    "helper",
    "pager",
    "process",
    "program",
    "smudge",
    "sshcommand",
    "textconv",
];

/// Whether a program may be given commands.
pub(super) fn is_given_some(name: &str) -> bool {
    static PROGRAMS: LazyLock<HashSet<&str>> =
        LazyLock::new(|| ALL.iter().flat_map(|given| given.programs).copied().collect());
    PROGRAMS.contains(name)
}

impl Script {
    /// Reads what a command gives its program to run.
    pub(super) fn read_given(&mut self, id: CommandId, name: &str) {
        let command = self.commands[id as usize];
        for at in command.assignments.range() {
            let assignment = self.assignments[at];
            if VARIABLES.contains(&self.text(assignment.name)) {
                self.read_derived(id, assignment.value.value, Via::SHELL, Dialect::Posix);
            }
        }
        for given in ALL.iter().filter(|given| given.programs.contains(&name)) {
            for at in command.words.range().skip(1) {
                if let Some(span) = self.given_at(given, at, command.words.end as usize) {
                    self.read_derived(id, span, Via::SHELL, Dialect::Posix);
                }
            }
        }
        let settings = if name == "git" { command.words.range() } else { 0..0 };
        for at in settings.skip(1) {
            if let Some(span) = self.setting_at(at, command.words.end as usize) {
                self.read_derived(id, span, Via::SHELL, Dialect::Posix);
            }
        }
    }

    /// The command that a word is, or has behind an option.
    fn given_at(&self, given: &Given, at: usize, end: usize) -> Option<Span> {
        let span = match given.options {
            [] => Some(self.words[at].value).filter(|span| !self.text(*span).starts_with('-')),
            options => options.iter().find_map(|option| self.option_value(option, at, end)),
        }?;
        let text = self.text(span);
        let begins = |begin: &&&str| {
            text.get(..begin.len()).is_some_and(|it| it.eq_ignore_ascii_case(begin))
        };
        let begin = given.begins.iter().find(begins)?;
        Some(Span { begin: span.begin + begin.len() as u32, ..span })
    }

    /// An option's value: the next word, or what stands behind it in its own.
    fn option_value(&self, option: &str, at: usize, end: usize) -> Option<Span> {
        let span = self.words[at].value;
        let text = self.text(span);
        if text == option {
            return (at + 1 < end).then(|| self.words[at + 1].value);
        }
        let rest = text.strip_prefix(option)?;
        let rest = if option.len() > 2 { rest.strip_prefix('=')? } else { rest };
        Some(Span { begin: span.end - rest.len() as u32, ..span })
    }

    /// The command in `-c NAME=COMMAND`, if git runs what it is given by this name.
    fn setting_at(&self, at: usize, end: usize) -> Option<Span> {
        let span = self.option_value("-c", at, end)?;
        let (name, value) = self.text(span).split_once('=')?;
        let last = name.rsplit('.').next()?.to_ascii_lowercase();
        let command = value.strip_prefix('!');
        let runs = name.starts_with("pager.") || GIT_SETTINGS.contains(&&*last);
        let command = command.or(Some(value).filter(|_| runs))?;
        Some(Span { begin: span.end - command.len() as u32, ..span })
    }

    /// Puts what `echo` prints in the place of `$(echo …)` where a word is nothing else, and what it prints is known.
    pub(super) fn see_through_echo(&mut self, id: CommandId) {
        for at in self.commands[id as usize].words.range().skip(1) {
            if let Some(word) = self.echoed_word(at) {
                self.words[at] = word;
            }
        }
    }

    fn echoed_word(&self, at: usize) -> Option<Word> {
        let word = self.words[at];
        let nested = word.nested.filter(|_| word.flags.has(Flags::OUTPUT))?;
        let text = self.text(word.value);
        let is_whole =
            text.starts_with("$(") && text.ends_with(')') && text.matches("$(").count() == 1
                || text.starts_with('`') && text.ends_with('`') && text.matches('`').count() == 2;
        let command = self.commands.get(nested as usize).filter(|_| is_whole)?;
        let [program, printed] = self.words.get(command.words.range())? else { return None };
        let next = self.commands.get(nested as usize + 1);
        let is_alone = command.redirects.is_empty()
            && next.is_none_or(|next| next.subshell != command.subshell);
        let is_known = ![Flags::UNKNOWN, Flags::OUTPUT, Flags::PROCESS, Flags::GLOB]
            .iter()
            .any(|flag| printed.flags.has(*flag));
        let value = self.value(printed);
        let is_echo = match self.value(program) {
            "echo" => true,
            "printf" => !value.contains(['%', '\\']),
            _ => false,
        };
        (is_alone && is_known && is_echo && !value.starts_with('-')).then_some(Word {
            nested: None,
            source: word.source,
            ..*printed
        })
    }
}
